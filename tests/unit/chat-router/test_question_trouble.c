/* test_question_trouble.c: a question when others are slow, missing, broken or down, and the one retry. */
#include "tests/lib/question_world.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

/* -- others fail ------------------------------------------------------------------------------------------ */
static void a_book_that_the_catalogue_lacks_is_looked_for_in_the_erps_pages(void **state)
{
    world_t *w = *state;
    book_t first = one_piece(1, OTHER_ISBN), wanted = one_piece(42, ISBN);
    asks(w, QUESTION);
    catalog_has(w, NULL);
    erp_catalog_page_response_t page = {.items = {.items = &first, .count = 1}};
    SCHEMA_SET(&page, next_cursor, BYTES_LIT("p2"));
    answers(w, CALL_ERP_CATALOG_PAGE, &page);
    erp_catalog_page_response_t second = {.items = {.items = &wanted, .count = 1}};
    answers(w, CALL_ERP_CATALOG_PAGE, &second);
    stock_is(w, 2, 0);
    model_says(w, "2冊", "end_turn");
    ASSERT_SAYS(w, "2冊");
    assert_int_equal(question_result(w->question)->missing, 0);
}

static void pages_are_read_up_to_a_bound(void **state)
{
    world_t *w = *state;
    asks(w, QUESTION);
    catalog_has(w, NULL);
    search_finds_nothing(w);
    erp_catalog_page_response_t page = {0};
    SCHEMA_SET(&page, next_cursor, BYTES_LIT("more"));
    int pages = 0;
    for (; open_call(w, CALL_ERP_CATALOG_PAGE); pages++)
        answers(w, CALL_ERP_CATALOG_PAGE, &page);
    assert_int_equal(pages, QUESTION_SCAN_PAGES_MAX);
    assert_true(w->is_done);
}

static void a_slow_model_is_not_waited_for_past_the_deadline(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 0);
    passes(w, DEADLINE_MS - QUESTION_RESERVE_MS);
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->missing, PART_MODEL);
    ASSERT_SAYS(w, "『ONE PIECE』42巻は在庫がございます。合計12冊（TK01：12冊）です。");
}

static void what_a_model_said_before_it_fell_silent_stays_and_the_facts_follow(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 0);
    model_streams(w, "はい、");
    fails(w, CALL_FM_INVOKE, STATUS_UNAVAILABLE);
    assert_true(w->is_done);
    ASSERT_SAYS(w, "はい、\n『ONE PIECE』42巻は在庫がございます。合計12冊（TK01：12冊）です。");
}

static void an_answer_that_was_cut_says_so(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 0);
    model_streams(w, "在庫は");
    model_says(w, "在庫は", "max_tokens");
    ASSERT_SAYS(w, "在庫は…");
}

static void missing_stock_is_told_and_named(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    fails(w, CALL_ERP_STOCK_GET, STATUS_INTERNAL);
    made_t *model = wanted_call(w, CALL_FM_INVOKE);
    assert_non_null(memmem(model->body.data, model->body.len, "FACT missing what=stock", 23));
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
    assert_int_equal(question_result(w->question)->missing, PART_STOCK | PART_MODEL);
    ASSERT_SAYS(w, "『ONE PIECE』42巻の在庫は現在確認できません。");
}

static void stock_that_is_late_costs_its_budget_and_no_more(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    passes(w, QUESTION_STOCK_MS);
    model_says(w, "わかりません", "end_turn");
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->missing, PART_STOCK);
}

static void the_age_of_kept_stock_is_added_when_a_model_leaves_it_out(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 720000);
    model_says(w, "12冊です。", "end_turn");
    ASSERT_SAYS(w, "12冊です。（在庫は12分前時点の情報です）");
}

static void the_age_of_kept_stock_is_not_said_twice(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 720000);
    model_says(w, "12分前の時点で12冊です。", "end_turn");
    ASSERT_SAYS(w, "12分前の時点で12冊です。");
}

static void with_everything_down_the_answer_is_honest(void **state)
{
    world_t *w = *state;
    asks(w, QUESTION);
    for (int rounds = 0; rounds < CALLS_MAX && !w->is_done; rounds++)
        for (size_t i = 0; i < w->call_count; i++)
            if (w->calls[i].is_open)
                fails(w, w->calls[i].method, STATUS_UNAVAILABLE);
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->missing & PART_CATALOG, PART_CATALOG);
    ASSERT_SAYS(w, "『ワンピース』42巻を、ただいま確認できません。しばらくしてからもう一度お尋ねください。");
}

static void with_everybody_silent_it_ends_before_the_deadline(void **state)
{
    world_t *w = *state;
    asks(w, QUESTION);
    int64_t began_us = w->now_us;
    for (int i = 0; i < DEADLINE_MS && !w->is_done; i++)
        passes(w, 1);
    assert_true(w->is_done);
    assert_true(w->now_us - began_us <= (DEADLINE_MS - QUESTION_RESERVE_MS) * MS);
}

static void a_reply_that_breaks_the_contract_is_no_reply(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    ends(wanted_call(w, CALL_ERP_STOCK_GET), &(bus_reply_t){.body = BYTES_LIT("\x81\xa5lines\x90")});
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
    assert_int_equal(question_result(w->question)->missing & PART_STOCK, PART_STOCK);
}

static void what_cannot_even_be_sent_is_missing(void **state)
{
    world_t *w = *state;
    w->refused = CALL_ERP_STOCK_GET;
    comes_to_stock(w);
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->missing & PART_STOCK, PART_STOCK);
}

/* -- the one retry ------------------------------------------------------------------------------------------ */
static void an_idempotent_call_that_was_unavailable_is_tried_once_more(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    fails(w, CALL_ERP_STOCK_GET, STATUS_UNAVAILABLE);
    stock_is(w, 12, 0);
    model_says(w, "12冊", "end_turn");
    assert_int_equal(question_result(w->question)->missing, 0);
}

static void it_is_not_tried_a_third_time(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    fails(w, CALL_ERP_STOCK_GET, STATUS_UNAVAILABLE);
    fails(w, CALL_ERP_STOCK_GET, STATUS_UNAVAILABLE);
    assert_null(open_call(w, CALL_ERP_STOCK_GET));
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
}

static void other_failures_are_not_tried_again(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    fails(w, CALL_ERP_STOCK_GET, STATUS_DEADLINE_EXCEEDED);
    assert_null(open_call(w, CALL_ERP_STOCK_GET));
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
}

static void nothing_is_tried_again_when_its_budget_is_spent(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    w->now_us += (QUESTION_STOCK_MS - QUESTION_RETRY_MIN_MS + 1) * MS;
    fails(w, CALL_ERP_STOCK_GET, STATUS_UNAVAILABLE);
    assert_null(open_call(w, CALL_ERP_STOCK_GET));
    fails(w, CALL_FM_INVOKE, STATUS_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_book_that_the_catalogue_lacks_is_looked_for_in_the_erps_pages),
        TEST(pages_are_read_up_to_a_bound),
        TEST(a_slow_model_is_not_waited_for_past_the_deadline),
        TEST(what_a_model_said_before_it_fell_silent_stays_and_the_facts_follow),
        TEST(an_answer_that_was_cut_says_so),
        TEST(missing_stock_is_told_and_named),
        TEST(stock_that_is_late_costs_its_budget_and_no_more),
        TEST(the_age_of_kept_stock_is_added_when_a_model_leaves_it_out),
        TEST(the_age_of_kept_stock_is_not_said_twice),
        TEST(with_everything_down_the_answer_is_honest),
        TEST(with_everybody_silent_it_ends_before_the_deadline),
        TEST(a_reply_that_breaks_the_contract_is_no_reply),
        TEST(what_cannot_even_be_sent_is_missing),
        TEST(an_idempotent_call_that_was_unavailable_is_tried_once_more),
        TEST(it_is_not_tried_a_third_time),
        TEST(other_failures_are_not_tried_again),
        TEST(nothing_is_tried_again_when_its_budget_is_spent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
