/* test_question.c: a question's way when all goes well; history, orders, an unsure text, its end. */
#include "tests/lib/question_world.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

/* -- the straight way ------------------------------------------------------------------------------------- */
static void catalogue_and_search_are_asked_at_once_then_stock_then_a_model(void **state)
{
    world_t *w = *state;
    asks(w, QUESTION);
    assert_non_null(open_call(w, CALL_SEARCH_QUERY));
    book_t book = one_piece(42, ISBN);
    catalog_has(w, &book);
    assert_true(w->calls[1].is_cancelled);
    stock_is(w, 12, 0);
    model_streams(w, "あり");
    model_streams(w, "ます。");
    assert_false(w->is_done);
    model_says(w, "あります。", "end_turn");
    assert_true(w->is_done);
    ASSERT_SAYS(w, "あります。");
    const question_result_t *r = question_result(w->question);
    assert_int_equal(r->missing, 0);
    assert_int_equal(r->cost_usd_micros, 7);
    assert_true(bytes_eq_cstr(r->answer, "あります。"));
    assert_true(question_concerns(w->question, bytes_cstr(ISBN)));
    assert_false(question_concerns(w->question, bytes_cstr(OTHER_ISBN)));
}

static void an_isbn_asks_catalogue_and_stock_at_once(void **state)
{
    world_t *w = *state;
    asks(w, ISBN "の在庫は？");
    assert_non_null(open_call(w, CALL_CATALOG_GET));
    stock_is(w, 3, 0);
    book_t book = one_piece(42, ISBN);
    catalog_has(w, &book);
    model_says(w, "3冊", "end_turn");
    ASSERT_SAYS(w, "3冊");
}

static void a_greeting_asks_nobody(void **state)
{
    world_t *w = *state;
    asks(w, "Hello!");
    assert_true(w->is_done);
    assert_int_equal(w->call_count, 0);
}

static void a_price_that_the_catalogue_knows_needs_no_stock(void **state)
{
    world_t *w = *state;
    book_t book = one_piece(42, ISBN);
    SCHEMA_SET(&book, price_jpy, 528);
    asks(w, "ワンピース 42巻の値段は？");
    catalog_has(w, &book);
    assert_null(open_call(w, CALL_ERP_STOCK_GET));
    fails(w, CALL_FM_INVOKE, STATUS_UNAVAILABLE);
    if (!w->is_done)
        fails(w, CALL_FM_INVOKE, STATUS_UNAVAILABLE);
    ASSERT_SAYS(w, "『ONE PIECE』42巻の価格は528円です。");
}

static void another_volume_is_never_taken_for_the_one_asked_for(void **state)
{
    world_t *w = *state;
    book_t book = one_piece(43, OTHER_ISBN);
    asks(w, QUESTION);
    catalog_has(w, &book);
    erp_catalog_page_response_t page = {.items = {.items = &book, .count = 1}};
    answers(w, CALL_ERP_CATALOG_PAGE, &page);
    search_finds_nothing(w);
    assert_true(w->is_done);
    ASSERT_SAYS(w, "『ワンピース』42巻は当店の商品に見つかりませんでした。");
    assert_null(open_call(w, CALL_ERP_STOCK_GET));
}

static void a_longer_title_is_not_taken_for_a_shorter_one_that_is_there(void **state)
{
    world_t *w = *state;
    book_t books[] = {one_piece(42, OTHER_ISBN), one_piece(42, ISBN)};
    books[0].title = BYTES_LIT("ONE PIECE PARTY");
    books[0].has_title_kana = books[0].has_title_en = false;
    asks(w, "ONE PIECE 42巻の在庫は？");
    catalog_get_response_t response = {.items = {.items = books, .count = 2}};
    answers(w, CALL_CATALOG_GET, &response);
    assert_non_null(
        memmem(wanted_call(w, CALL_ERP_STOCK_GET)->body.data, w->calls[w->call_count - 1].body.len, ISBN, 13));
    stock_is(w, 1, 0);
    model_says(w, "1冊", "end_turn");
}

/* -- history, orders, intent ---------------------------------------------------------------------------------- */
static void what_names_no_book_takes_it_from_history(void **state)
{
    world_t *w = *state;
    w->has_history = true;
    asks_as(w, QUESTION_CHAT, "43巻は？", "s1", "");
    assert_true(w->history_asked);
    question_recall(w->question, true,
                    &(question_recalled_t){
                        .title = BYTES_LIT("ONE PIECE"), .has_volume = true, .volume = 42, .isbn = BYTES_LIT(ISBN)});
    made_t *catalog = wanted_call(w, CALL_CATALOG_GET);
    assert_non_null(memmem(catalog->body.data, catalog->body.len, "ONE PIECE", 9));
    catalog_has(w, NULL);
    fails(w, CALL_ERP_CATALOG_PAGE, STATUS_INTERNAL);
    search_finds_nothing(w);
    assert_true(question_result(w->question)->is_personal);
}

static void history_that_is_late_is_left_out(void **state)
{
    world_t *w = *state;
    w->has_history = true;
    asks_as(w, QUESTION_CHAT, "43巻は？", "s1", "");
    passes(w, QUESTION_HISTORY_MS);
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->missing, PART_HISTORY);
    question_recall(w->question, true, NULL); /* too late: nothing happens */
    ASSERT_SAYS(w, "どの作品の何巻をお探しでしょうか。タイトルと巻数をお知らせください。");
}

static void a_stranger_learns_nothing_of_orders(void **state)
{
    world_t *w = *state;
    asks(w, "Where is my order MB-0001-03?");
    assert_true(w->is_done);
    assert_int_equal(w->call_count, 0);
}

static void an_order_is_asked_for_in_its_customers_name(void **state)
{
    world_t *w = *state;
    asks_as(w, QUESTION_CHAT, "Where is my order MB-0001-03?", "s1", "cust-0001");
    made_t *made = wanted_call(w, CALL_ERP_ORDER_GET);
    assert_non_null(memmem(made->body.data, made->body.len, "cust-0001", 9));
    fails(w, CALL_ERP_ORDER_GET, STATUS_NOT_FOUND);
    ASSERT_SAYS(w, "I found no such order.");
    assert_true(question_result(w->question)->is_personal);
}

static void an_unsure_text_asks_a_model_and_searches_meanwhile(void **state)
{
    world_t *w = *state;
    asks(w, "what do you think about submarines");
    assert_non_null(open_call(w, CALL_SEARCH_QUERY));
    model_says(w, "Sure: {\"intent\":\"out_of_scope\",\"confidence\":0.9}", "end_turn");
    assert_true(w->is_done);
    assert_int_equal(question_result(w->question)->intent, INTENT_OUT_OF_SCOPE);
}

static void a_models_unsure_choice_is_not_taken(void **state)
{
    world_t *w = *state;
    asks(w, "what do you think about submarines");
    model_says(w, "{\"intent\":\"out_of_scope\",\"confidence\":0.3}", "end_turn");
    search_finds_nothing(w);
    assert_int_equal(question_result(w->question)->intent, INTENT_SEARCH);
}

static void a_volume_that_only_a_model_names_is_not_believed(void **state)
{
    world_t *w = *state;
    asks(w, "that pirate one, One Piece, right");
    model_says(w, "{\"intent\":\"inventory_check\",\"confidence\":1,\"title\":\"One Piece\",\"volume\":99}",
               "end_turn");
    assert_false(question_meaning(w->question)->mention.has_volume);
}

/* -- the end --------------------------------------------------------------------------------------------------- */
static void freeing_a_question_cancels_what_runs(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    stock_is(w, 12, 0);
    model_streams(w, "あり");
    made_t *model = wanted_call(w, CALL_FM_INVOKE);
    question_free(&w->question);
    assert_true(model->is_cancelled);
    assert_false(w->is_done);
}

static void when_the_process_ends_replies_are_ignored(void **state)
{
    world_t *w = *state;
    asks(w, QUESTION);
    size_t calls = w->call_count;
    w->is_over = true;
    for (size_t i = 0; i < calls; i++)
        fails(w, w->calls[i].method, STATUS_CANCELLED);
    assert_false(w->is_done);
    assert_int_equal(w->call_count, calls);
}

static void hops_nest_and_say_when_they_began(void **state)
{
    world_t *w = *state;
    comes_to_stock(w);
    w->now_us += 5 * MS;
    stock_line_t line = line_of(ISBN, 1);
    hop_t nested[] = {{.service = BYTES_LIT("worker"), .operation = BYTES_LIT(CALL_ERP_STOCK_GET), .duration_us = 4000},
                      {.service = BYTES_LIT("erp"), .operation = BYTES_LIT("GetStock"), .duration_us = 3000}};
    SCHEMA_SET(&nested[1], depth, 1);
    SCHEMA_SET(&nested[1], start_us, 100);
    erp_stock_get_response_t response = {.isbn = line.isbn, .lines = {.items = &line, .count = 1}, .total_quantity = 1};
    SCHEMA_SET(&response, hops, ((hop_list_t){.items = nested, .count = 2}));
    answers(w, CALL_ERP_STOCK_GET, &response);
    model_says(w, "1冊", "end_turn");
    const question_result_t *r = question_result(w->question);
    assert_true(bytes_eq_cstr(r->hops[0].operation, CALL_CHAT_SEND));
    assert_int_equal(r->hops[0].duration_us, 5 * MS);
    for (size_t i = 0; i < r->hop_count; i++) {
        if (!bytes_eq_cstr(r->hops[i].operation, CALL_ERP_STOCK_GET))
            continue;
        assert_int_equal(r->hops[i].depth, 1);
        assert_int_equal(r->hops[i].duration_us, 5 * MS);
        assert_true(bytes_eq_cstr(r->hops[i + 1].operation, "GetStock"));
        assert_int_equal(r->hops[i + 1].depth, 2);
        assert_int_equal(r->hops[i + 1].start_us, r->hops[i].start_us + 100);
        return;
    }
    fail_msg("no hop for the stock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(catalogue_and_search_are_asked_at_once_then_stock_then_a_model),
        TEST(an_isbn_asks_catalogue_and_stock_at_once),
        TEST(a_greeting_asks_nobody),
        TEST(a_price_that_the_catalogue_knows_needs_no_stock),
        TEST(another_volume_is_never_taken_for_the_one_asked_for),
        TEST(a_longer_title_is_not_taken_for_a_shorter_one_that_is_there),
        TEST(what_names_no_book_takes_it_from_history),
        TEST(history_that_is_late_is_left_out),
        TEST(a_stranger_learns_nothing_of_orders),
        TEST(an_order_is_asked_for_in_its_customers_name),
        TEST(an_unsure_text_asks_a_model_and_searches_meanwhile),
        TEST(a_models_unsure_choice_is_not_taken),
        TEST(a_volume_that_only_a_model_names_is_not_believed),
        TEST(freeing_a_question_cancels_what_runs),
        TEST(when_the_process_ends_replies_are_ignored),
        TEST(hops_nest_and_say_when_they_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
