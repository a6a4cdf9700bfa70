/* test_fm_money.c: prices, budgets, models: what a call may cost and who may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "services/fm-invoker/budget.h"
#include "services/fm-invoker/inference.h"
#include "services/fm-invoker/model.h"
#include "services/fm-invoker/price.h"

#define DAY_US INT64_C(86400000000)
#define NOON_US (20000 * DAY_US + DAY_US / 2)

/* -- prices -------------------------------------------------------------------------------------- */
static void a_price_list_is_read(void **state)
{
    (void)state;
    price_table_t table;
    assert_true(price_table_read("  a.b-v1:0=250/1250   c=0/0 ", &table, NULL));
    assert_int_equal(table.count, 2);
    assert_int_equal(price_find(&table, "a.b-v1:0")->input, 250);
    assert_int_equal(price_find(&table, "a.b-v1:0")->output, 1250);
    assert_null(price_find(&table, "a"));
    assert_true(price_table_read("", &table, NULL));
    assert_int_equal(table.count, 0);
}

static void a_wrong_price_list_is_refused_by_entry(void **state)
{
    (void)state;
    static const char *const bad[] = {"a",       "a=1",     "a=1/",    "a=/1",   "=1/1",           "a=-1/1",
                                      "a=1/2x",  "a=1/2/3", "a=1.5/2", "a=1 /2", "a=9999999999/1", "a=1/1 a=2/2",
                                      "ok=1/1 b"};
    price_table_t table;
    error_t err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(price_table_read(bad[i], &table, &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "MANGABUS_FM_PRICES"));
    }
    buf_t many = {0};
    for (int i = 0; i <= PRICE_MODELS_MAX; i++)
        buf_printf(&many, "m%d=1/1 ", i);
    assert_false(price_table_read(buf_cstr(&many), &table, &err));
    buf_free(&many);
}

static void cost_is_rounded_up_to_whole_micro_dollars(void **state)
{
    (void)state;
    const price_t price = {.input = 250, .output = 1250};
    assert_int_equal(price_cost(&price, 0, 0), 0);
    assert_int_equal(price_cost(&price, 1, 0), 1);
    assert_int_equal(price_cost(&price, 4, 0), 1);
    assert_int_equal(price_cost(&price, 1000, 1000), 1500);
    assert_int_equal(price_cost(&price, 1000, 1001), 1502);
    assert_int_equal(price_cost(&price, INT64_MAX, 1), INT64_MAX);
    assert_int_equal(price_cost(&(price_t){0}, 1000000, 1000000), 0);
}

/* -- budget -------------------------------------------------------------------------------------- */
static void reservations_together_never_exceed_the_limit(void **state)
{
    (void)state;
    budget_t budget;
    error_t err;
    budget_init(&budget, 100, NOON_US);
    assert_true(budget_reserve(&budget, 60, NOON_US, &err));
    assert_false(budget_reserve(&budget, 41, NOON_US, &err));
    assert_int_equal(err.code, STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(err.retry_after_ms, 12 * 3600 * 1000 + 1);
    assert_true(budget_reserve(&budget, 40, NOON_US, &err));
    budget_settle(&budget, 60, 10, NOON_US);
    assert_true(budget_reserve(&budget, 50, NOON_US, &err));
    assert_false(budget_reserve(&budget, 1, NOON_US, &err));
    budget_settle(&budget, 40, 40, NOON_US);
    budget_settle(&budget, 50, 0, NOON_US);
    assert_int_equal(budget.spent, 50);
    assert_int_equal(budget.reserved, 0);
}

static void a_new_day_begins_with_nothing_spent(void **state)
{
    (void)state;
    budget_t budget;
    budget_init(&budget, 100, NOON_US);
    assert_true(budget_reserve(&budget, 100, NOON_US, NULL));
    budget_settle(&budget, 100, 100, NOON_US);
    assert_false(budget_reserve(&budget, 1, NOON_US + DAY_US / 2 - 1, NULL));
    assert_true(budget_reserve(&budget, 100, NOON_US + DAY_US / 2, NULL));
    assert_false(budget_reserve(&budget, 1, NOON_US - DAY_US, NULL)); /* a clock that goes back opens nothing */
}

static void what_runs_over_midnight_is_charged_to_the_day_it_ends(void **state)
{
    (void)state;
    budget_t budget;
    budget_init(&budget, 100, NOON_US);
    assert_true(budget_reserve(&budget, 80, NOON_US, NULL));
    budget_settle(&budget, 80, 70, NOON_US + DAY_US);
    assert_int_equal(budget.spent, 70);
    assert_int_equal(budget.reserved, 0);
}

static void no_limit_means_none_and_sums_do_not_overflow(void **state)
{
    (void)state;
    budget_t budget;
    budget_init(&budget, 0, NOON_US);
    assert_true(budget_reserve(&budget, INT64_MAX / 2, NOON_US, NULL));
    assert_false(budget_reserve(&budget, INT64_MAX, NOON_US, NULL));
    budget_settle(&budget, INT64_MAX / 2, INT64_MAX, NOON_US);
    budget_settle(&budget, 0, INT64_MAX, NOON_US);
    assert_int_equal(budget.spent, INT64_MAX);
}

static void what_others_spent_counts_for_the_same_day(void **state)
{
    (void)state;
    budget_t budget;
    budget_init(&budget, 100, NOON_US);
    budget_shared(&budget, budget_day(NOON_US), 90);
    assert_false(budget_reserve(&budget, 11, NOON_US, NULL));
    budget_shared(&budget, budget_day(NOON_US), 10); /* an old answer */
    assert_int_equal(budget.spent, 90);
    budget_shared(&budget, budget_day(NOON_US) - 1, 1000);
    assert_int_equal(budget.spent, 90);
}

/* -- models -------------------------------------------------------------------------------------- */
static char fast[] = "fast-model", quality[] = "quality-model", embed[] = "embed-model", standard[] = "fast";
static char prices[] = "fast-model=1/2 third=3/4";

static fm_settings_t settings_of(bool fallback)
{
    return (fm_settings_t){.model_fast = fast,
                           .model_quality = quality,
                           .model_embed = embed,
                           .model_default = standard,
                           .prices = prices,
                           .fallback = fallback};
}

static void names_and_aliases_find_models(void **state)
{
    (void)state;
    models_t models;
    error_t err;
    const fm_settings_t settings = settings_of(true);
    assert_true(models_init(&models, &settings, 0, NULL));
    assert_int_equal(models.count, 4);
    assert_string_equal(models_find(&models, BYTES_NONE, NULL)->id, fast);
    assert_string_equal(models_find(&models, BYTES_LIT("haiku"), NULL)->id, fast);
    assert_string_equal(models_find(&models, BYTES_LIT("sonnet"), NULL)->id, quality);
    assert_string_equal(models_find(&models, BYTES_LIT("titan"), NULL)->id, embed);
    assert_string_equal(models_find(&models, BYTES_LIT("third"), NULL)->id, "third");
    assert_false(models_find(&models, BYTES_LIT("quality"), NULL)->has_price);
    assert_null(models_find(&models, BYTES_LIT("fourth"), &err));
    assert_int_equal(err.code, STATUS_NOT_FOUND);
}

static void fast_and_quality_stand_in_for_each_other(void **state)
{
    (void)state;
    models_t models;
    fm_settings_t settings = settings_of(true);
    assert_true(models_init(&models, &settings, 0, NULL));
    assert_ptr_equal(models_other(&models, models.fast), models.quality);
    assert_ptr_equal(models_other(&models, models.quality), models.fast);
    assert_null(models_other(&models, models.embed));
    settings.fallback = false;
    assert_true(models_init(&models, &settings, 0, NULL));
    assert_null(models_other(&models, models.fast));
    settings = settings_of(true);
    settings.model_quality = fast; /* one model for both */
    assert_true(models_init(&models, &settings, 0, NULL));
    assert_null(models_other(&models, models.fast));
}

static void only_what_is_the_models_fault_counts_against_it(void **state)
{
    (void)state;
    static const struct {
        status_t code;
        int64_t waited_us;
        breaker_outcome_t outcome;
    } cases[] = {
        {STATUS_UNAVAILABLE, 0, BREAKER_BAD},
        {STATUS_RESOURCE_EXHAUSTED, 0, BREAKER_BAD},
        {STATUS_DATA_LOSS, 0, BREAKER_BAD},
        {STATUS_DEADLINE_EXCEEDED, 100000, BREAKER_IGNORED},
        {STATUS_DEADLINE_EXCEEDED, 3000000, BREAKER_BAD},
        {STATUS_CANCELLED, 9000000, BREAKER_IGNORED},
        {STATUS_INVALID_ARGUMENT, 0, BREAKER_IGNORED},
        {STATUS_UNAUTHENTICATED, 0, BREAKER_IGNORED},
    };
    assert_int_equal(model_outcome(NULL, 0), BREAKER_GOOD);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(model_outcome(&(error_t){.code = cases[i].code}, cases[i].waited_us), cases[i].outcome);
}

static void an_answer_is_not_longer_than_its_deadline_allows(void **state)
{
    (void)state;
    assert_int_equal(inference_tokens_cap(512, 60000, 60), 512);
    assert_int_equal(inference_tokens_cap(512, 2400, 60), 120);
    assert_int_equal(inference_tokens_cap(512, 100, 60), 16);
    assert_int_equal(inference_tokens_cap(8, 100, 60), 8);
    assert_int_equal(inference_tokens_cap(512, 100, 0), 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_list_is_read),
        cmocka_unit_test(a_wrong_price_list_is_refused_by_entry),
        cmocka_unit_test(cost_is_rounded_up_to_whole_micro_dollars),
        cmocka_unit_test(reservations_together_never_exceed_the_limit),
        cmocka_unit_test(a_new_day_begins_with_nothing_spent),
        cmocka_unit_test(what_runs_over_midnight_is_charged_to_the_day_it_ends),
        cmocka_unit_test(no_limit_means_none_and_sums_do_not_overflow),
        cmocka_unit_test(what_others_spent_counts_for_the_same_day),
        cmocka_unit_test(names_and_aliases_find_models),
        cmocka_unit_test(fast_and_quality_stand_in_for_each_other),
        cmocka_unit_test(only_what_is_the_models_fault_counts_against_it),
        cmocka_unit_test(an_answer_is_not_longer_than_its_deadline_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
