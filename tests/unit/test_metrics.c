/* test_metrics.c: what Prometheus reads, character by character. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kit/metrics.h"

static void expect(metrics_t *metrics, const char *text)
{
    buf_t out = {0};
    metrics_expose(metrics, &out);
    assert_string_equal(buf_cstr(&out), text);
    buf_free(&out);
}

static void a_counter_is_shown_with_help_and_type(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    metric_t *metric = metrics_counter(metrics, "mangabus_things_total", "", "Things\nwith a \\ and a \"quote\".");
    metric_add(metric, 2);
    metric_add(metric, 0.5);
    expect(metrics, "# HELP mangabus_things_total Things\\nwith a \\\\ and a \"quote\".\n"
                    "# TYPE mangabus_things_total counter\n"
                    "mangabus_things_total 2.5\n");
    metrics_free(&metrics);
    assert_null(metrics);
}

static void the_same_name_and_labels_are_the_same_metric(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    metric_t *a = metrics_gauge(metrics, "g", "queue=\"a\"", "G.");
    metric_t *b = metrics_gauge(metrics, "g", "queue=\"b\"", "G.");
    assert_ptr_equal(metrics_gauge(metrics, "g", "queue=\"a\"", "G."), a);
    metric_set(a, -1);
    metric_set(b, 1e18);
    expect(metrics, "# HELP g G.\n# TYPE g gauge\ng{queue=\"a\"} -1\ng{queue=\"b\"} 1e+18\n");
    metrics_free(&metrics);
}

static void a_histogram_counts_cumulatively_with_inclusive_bounds(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    const double bounds[] = {0.5, 1};
    metric_t *h = metrics_histogram(metrics, "h_seconds", "method=\"m\"", "H.", bounds, 2);
    const double values[] = {0.25, 0.5, 0.75, 1, 7};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        metric_observe(h, values[i]);
    expect(metrics, "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
                    "h_seconds_bucket{method=\"m\",le=\"0.5\"} 2\n"
                    "h_seconds_bucket{method=\"m\",le=\"1\"} 4\n"
                    "h_seconds_bucket{method=\"m\",le=\"+Inf\"} 5\n"
                    "h_seconds_sum{method=\"m\"} 9.5\n"
                    "h_seconds_count{method=\"m\"} 5\n");
    assert_true(metric_value(h) == 9.5);
    metrics_free(&metrics);
}

static void seconds_have_fourteen_steps_unless_told_otherwise(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    (void)metrics_histogram(metrics, "h", "", "H.", NULL, 0);
    buf_t out = {0};
    metrics_expose(metrics, &out);
    int buckets = 0;
    for (const char *p = buf_cstr(&out); (p = strstr(p, "h_bucket{")); p++)
        buckets++;
    assert_int_equal(buckets, 15);
    assert_non_null(strstr(buf_cstr(&out), "le=\"0.0005\""));
    assert_non_null(strstr(buf_cstr(&out), "le=\"10\""));
    buf_free(&out);
    metrics_free(&metrics);
}

static void a_label_value_is_escaped(void **state)
{
    (void)state;
    buf_t out = {0};
    metrics_label(&out, "a", BYTES_LIT("x"));
    metrics_label(&out, "b", BYTES_LIT("q\"b\\n\nz"));
    assert_string_equal(buf_cstr(&out), "a=\"x\",b=\"q\\\"b\\\\n\\nz\"");
    buf_free(&out);
}

static void a_family_is_bounded_and_the_rest_counts_as_other(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    char labels[64];
    for (int i = 0; i < METRICS_SERIES_MAX + 50; i++) {
        (void)snprintf(labels, sizeof labels, "m=\"v\\\"%d\",s=\"ok\"", i);
        metric_add(metrics_counter(metrics, "c", labels, "C."), 1);
    }
    assert_true(metric_value(metrics_counter(metrics, "c", "m=\"other\",s=\"other\"", "C.")) == 50);
    assert_true(metric_value(metrics_counter(metrics, "c", "m=\"v\\\"999\",s=\"ok\"", "C.")) == 1);
    metrics_free(&metrics);
}

static void what_nobody_asks_for_any_more_is_dropped(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    for (int i = 0; i < 3; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "q=\"%d\"", i);
        metric_set(metrics_gauge(metrics, "g", labels, "G."), i);
    }
    metrics_prune(metrics, "g");
    metric_set(metrics_gauge(metrics, "g", "q=\"2\"", "G."), 7);
    metric_set(metrics_gauge(metrics, "g", "q=\"0\"", "G."), 5);
    metrics_prune(metrics, "g");
    expect(metrics, "# HELP g G.\n# TYPE g gauge\ng{q=\"0\"} 5\ng{q=\"2\"} 7\n");
    metrics_prune(metrics, "g");
    metrics_prune(metrics, "none of this name");
    metric_set(metrics_gauge(metrics, "g", "q=\"9\"", "G."), 1);
    expect(metrics, "# HELP g G.\n# TYPE g gauge\ng{q=\"9\"} 1\n");
    metrics_free(&metrics);
}

static void set_gauge(void *ctx)
{
    metric_set(ctx, 42);
}

static void collectors_run_before_each_exposition(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    metric_t *g = metrics_gauge(metrics, "g", "", "G.");
    metrics_on_collect(metrics, set_gauge, g);
    expect(metrics, "# HELP g G.\n# TYPE g gauge\ng 42\n");
    metrics_free(&metrics);
}

static void what_is_no_finite_number_is_spelled_as_prometheus_does(void **state)
{
    (void)state;
    metrics_t *metrics = metrics_new();
    metric_set(metrics_gauge(metrics, "a", "", "A."), NAN);
    metric_set(metrics_gauge(metrics, "b", "", "B."), INFINITY);
    metric_set(metrics_gauge(metrics, "c", "", "C."), -INFINITY);
    expect(metrics, "# HELP a A.\n# TYPE a gauge\na NaN\n# HELP b B.\n# TYPE b gauge\nb +Inf\n"
                    "# HELP c C.\n# TYPE c gauge\nc -Inf\n");
    metrics_free(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_shown_with_help_and_type),
        cmocka_unit_test(the_same_name_and_labels_are_the_same_metric),
        cmocka_unit_test(a_histogram_counts_cumulatively_with_inclusive_bounds),
        cmocka_unit_test(seconds_have_fourteen_steps_unless_told_otherwise),
        cmocka_unit_test(a_label_value_is_escaped),
        cmocka_unit_test(a_family_is_bounded_and_the_rest_counts_as_other),
        cmocka_unit_test(what_nobody_asks_for_any_more_is_dropped),
        cmocka_unit_test(collectors_run_before_each_exposition),
        cmocka_unit_test(what_is_no_finite_number_is_spelled_as_prometheus_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
