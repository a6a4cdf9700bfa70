/* test_observe_queues.c: what /metrics says of queues, from a core that lived a little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/observe_queues.h"
#include "tests/lib/sqs_case.h"

/* The value of the series; fails when it is not shown. */
static double shown(metrics_t *metrics, const rig_t *rig, const char *series)
{
    buf_t text = {0};
    char line[256];
    observe_queues(metrics, rig->core, rig->now_us);
    metrics_expose(metrics, &text);
    (void)snprintf(line, sizeof line, "\nmangabus_broker_queue_%s ", series);
    const char *at = strstr(buf_cstr(&text), line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    if (!at)
        fail_msg("%s is not in\n%s", series, buf_cstr(&text));
    buf_free(&text);
    return value;
}

static bool is_shown(metrics_t *metrics, const rig_t *rig, const char *queue)
{
    buf_t text = {0};
    char label[128];
    observe_queues(metrics, rig->core, rig->now_us);
    metrics_expose(metrics, &text);
    (void)snprintf(label, sizeof label, "queue=\"%s\"", queue);
    bool found = strstr(buf_cstr(&text), label) != NULL;
    buf_free(&text);
    return found;
}

static void a_queue_shows_what_became_of_its_messages(void **state)
{
    rig_t *rig = *state;
    metrics_t *m = metrics_new();
    wire_send_entry_t entry = sqs_entry("g", "same");
    (void)sqs_try_send(rig, "q.fifo", &entry);
    (void)sqs_try_send(rig, "q.fifo", &entry);
    assert_true(shown(m, rig, "deduplicated_total{queue=\"q.fifo\"}") == 1);
    assert_int_equal(sqs_receive(rig, "q.fifo", 1).count, 1);
    (void)sqs_send(rig, "q.fifo", "g");
    assert_true(shown(m, rig, "groups_blocked{queue=\"q.fifo\"}") == 1);
    assert_true(shown(m, rig, "messages{queue=\"q.fifo\",state=\"visible\"}") == 1);
    assert_true(shown(m, rig, "messages{queue=\"q.fifo\",state=\"in_flight\"}") == 1);
    assert_int_equal(sqs_receive(rig, "plain", 1).count, 0);
    assert_true(shown(m, rig, "empty_receives_total{queue=\"plain\"}") == 1);
    assert_true(shown(m, rig, "empty_receives_total{queue=\"q.fifo\"}") == 0);
    rig_sleep(rig, 3 * S);
    assert_true(shown(m, rig, "oldest_age_seconds{queue=\"q.fifo\"}") == 3);
    metrics_free(&m);
}

static void what_is_too_old_or_moved_by_a_task_is_counted_where_it_was(void **state)
{
    rig_t *rig = *state;
    metrics_t *m = metrics_new();
    (void)sqs_send(rig, "plain", NULL);
    (void)sqs_send(rig, "plain", NULL);
    rig_sleep(rig, 5 * 86400 * S);
    assert_true(shown(m, rig, "expired_total{queue=\"plain\"}") == 2);
    assert_true(shown(m, rig, "expired_total{queue=\"dead\"}") == 0);
    rig_hello(rig, 1, "one-000009", NULL);
    (void)sqs_send(rig, "dead", NULL);
    (void)sqs_ask(rig, "redrive", "dead", "{\"to\":\"plain\"}");
    rig_sleep(rig, 2 * S);
    assert_true(shown(m, rig, "redriven_total{queue=\"dead\"}") == 1);
    assert_true(shown(m, rig, "redriven_total{queue=\"plain\"}") == 0);
    metrics_free(&m);
}

static void a_tenant_that_holds_more_than_its_share_is_shown_as_noisy(void **state)
{
    rig_t *rig = *state;
    metrics_t *m = metrics_new();
    for (int i = 0; i < 40; i++)
        (void)sqs_send(rig, "plain", "loud");
    for (int i = 0; i < 3; i++)
        (void)sqs_receive(rig, "plain", 10);
    (void)sqs_send(rig, "plain", "quiet");
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 1);
    assert_true(shown(m, rig, "tenants_noisy{queue=\"plain\"}") == 1);
    metrics_free(&m);
}

static void a_deleted_queue_is_shown_no_more(void **state)
{
    rig_t *rig = *state;
    metrics_t *m = metrics_new();
    (void)sqs_ask(rig, "create", "brief", NULL);
    assert_true(is_shown(m, rig, "brief"));
    (void)sqs_ask(rig, "delete", "brief", NULL);
    assert_false(is_shown(m, rig, "brief"));
    assert_true(is_shown(m, rig, "plain"));
    metrics_free(&m);
}

static void of_very_many_queues_the_last_are_shown_together(void **state)
{
    rig_t *rig = *state;
    metrics_t *m = metrics_new();
    char name[32];
    for (int i = 0; i < OBSERVE_QUEUES_MAX; i++) {
        (void)snprintf(name, sizeof name, "many-%d", i);
        (void)sqs_ask(rig, "create", name, NULL);
    }
    for (int i = OBSERVE_QUEUES_MAX - 2; i < OBSERVE_QUEUES_MAX; i++) {
        (void)snprintf(name, sizeof name, "many-%d", i);
        (void)sqs_send(rig, name, NULL);
    }
    assert_true(is_shown(m, rig, "many-0"));
    assert_false(is_shown(m, rig, name));
    assert_true(shown(m, rig, "messages{queue=\"other\",state=\"visible\"}") == 2);
    assert_true(shown(m, rig, "messages{queue=\"other\",state=\"visible\"}") == 2);
    metrics_free(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqs_open, sqs_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_shows_what_became_of_its_messages),
        TEST(what_is_too_old_or_moved_by_a_task_is_counted_where_it_was),
        TEST(a_tenant_that_holds_more_than_its_share_is_shown_as_noisy),
        TEST(a_deleted_queue_is_shown_no_more),
        TEST(of_very_many_queues_the_last_are_shown_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
