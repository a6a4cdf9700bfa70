/* test_question.c: a question's way through scripted replies: slow, missing, broken, down, retried, cancelled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "services/chat-router/question.h"

#define MS INT64_C(1000)
#define CALLS_MAX 64
#define DEADLINE_MS 3000
#define ISBN "9784000000420"
#define OTHER_ISBN "9784000000437"

/* -- a scripted world ---------------------------------------------------------------------------------- */
typedef struct {
    char method[64];
    bus_call_t call;
    buf_t body;
    uint64_t number;
    bool is_open, is_cancelled;
} made_t;

typedef struct {
    int64_t now_us, wake_us;
    made_t calls[CALLS_MAX];
    size_t call_count;
    const char *refused; /* a method that cannot even be sent */
    bool has_history, history_asked, is_over;
    buf_t text;
    bool is_done;
    question_t *question;
    question_ports_t ports;
    arena_t arena;
} world_t;

static uint64_t port_call(void *ctx, const bus_call_t *call, error_t *err)
{
    world_t *w = ctx;
    assert_true(w->call_count < CALLS_MAX);
    assert_true(call->timeout_ms > 0);
    if (w->refused && strcmp(w->refused, call->method) == 0) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "full");
        return 0;
    }
    made_t *made = &w->calls[w->call_count++];
    *made = (made_t){.call = *call, .number = w->call_count, .is_open = true};
    (void)snprintf(made->method, sizeof(made->method), "%s", call->method);
    buf_append_bytes(&made->body, call->body);
    return made->number;
}

static void port_cancel(void *ctx, uint64_t number, const char *reason)
{
    world_t *w = ctx;
    (void)reason;
    assert_true(w->calls[number - 1].is_open);
    w->calls[number - 1].is_open = false;
    w->calls[number - 1].is_cancelled = true;
}

static int64_t port_now_us(void *ctx)
{
    return ((world_t *)ctx)->now_us;
}

static bool port_is_over(void *ctx)
{
    return ((world_t *)ctx)->is_over;
}

static void port_wake_at(void *ctx, int64_t mono_us)
{
    ((world_t *)ctx)->wake_us = mono_us;
}

static bool port_history(void *ctx, bytes_t session_id)
{
    world_t *w = ctx;
    assert_true(session_id.len > 0);
    w->history_asked = true;
    return w->has_history;
}

static void port_text(void *ctx, bytes_t piece)
{
    buf_append_bytes(&((world_t *)ctx)->text, piece);
}

static void port_done(void *ctx, question_t *question)
{
    world_t *w = ctx;
    assert_false(w->is_done);
    assert_ptr_equal(question, w->question);
    w->is_done = true;
}

static int with_world(void **state)
{
    world_t *w = calloc(1, sizeof(*w));
    w->now_us = 1000000;
    w->ports = (question_ports_t){.call = port_call,
                                  .cancel = port_cancel,
                                  .now_us = port_now_us,
                                  .is_over = port_is_over,
                                  .wake_at = port_wake_at,
                                  .history = port_history,
                                  .text = port_text,
                                  .done = port_done,
                                  .ctx = w};
    arena_init(&w->arena, 0);
    *state = w;
    return 0;
}

static int without_world(void **state)
{
    world_t *w = *state;
    question_free(&w->question);
    for (size_t i = 0; i < w->call_count; i++) {
        assert_false(w->calls[i].is_open);
        buf_free(&w->calls[i].body);
    }
    buf_free(&w->text);
    arena_free(&w->arena);
    free(w);
    return 0;
}

static void asks_as(world_t *w, question_kind_t kind, const char *text, const char *session, const char *user)
{
    question_input_t input = {.kind = kind,
                              .text = bytes_cstr(text),
                              .session_id = bytes_cstr(session),
                              .user_id = bytes_cstr(user),
                              .start_us = w->now_us,
                              .deadline_us = w->now_us + DEADLINE_MS * MS};
    error_t err;
    w->question = question_new(&w->ports, &input, &err);
    assert_non_null(w->question);
    question_start(w->question);
}

static void asks(world_t *w, const char *text)
{
    asks_as(w, QUESTION_CHAT, text, "", "");
}

/* The newest call of the method that is open; NULL when there is none. */
static made_t *open_call(world_t *w, const char *method)
{
    for (size_t i = w->call_count; i-- > 0;)
        if (w->calls[i].is_open && strcmp(w->calls[i].method, method) == 0)
            return &w->calls[i];
    return NULL;
}

static made_t *wanted_call(world_t *w, const char *method)
{
    made_t *made = open_call(w, method);
    if (!made)
        fail_msg("%s was not asked", method);
    return made;
}

static void ends(made_t *made, const bus_reply_t *reply)
{
    made->is_open = false;
    made->call.on_done(made->call.ctx, reply);
}

static void fails(world_t *w, const char *method, status_t code)
{
    error_t err = {.code = code};
    ends(wanted_call(w, method), &(bus_reply_t){.err = &err});
}

static void answers(world_t *w, const char *method, const void *value)
{
    made_t *made = wanted_call(w, method);
    const schema_call_t *call = schema_find_call(bytes_cstr(method));
    buf_t body = {0};
    error_t err = {0};
    if (!schema_pack(call->response, &body, value, &err))
        fail_msg("%s: %s", method, err.message);
    ends(made, &(bus_reply_t){.body = buf_bytes(&body), .worker = BYTES_LIT("worker-3fa9c1"), .duration_us = 5});
    buf_free(&body);
}

static void passes(world_t *w, int64_t ms)
{
    w->now_us += ms * MS;
    if (!w->is_done && w->wake_us && w->now_us >= w->wake_us)
        question_wake(w->question);
}

/* -- what others say ------------------------------------------------------------------------------------ */
static book_t one_piece(int64_t volume, const char *isbn)
{
    book_t book = {.isbn = bytes_cstr(isbn), .title = BYTES_LIT("ONE PIECE")};
    SCHEMA_SET(&book, title_kana, BYTES_LIT("ワンピース"));
    SCHEMA_SET(&book, title_en, BYTES_LIT("One Piece"));
    SCHEMA_SET(&book, volume, volume);
    return book;
}

static void catalog_has(world_t *w, const book_t *book)
{
    catalog_get_response_t response = {.items = {.items = book, .count = book ? 1 : 0}};
    answers(w, CALL_CATALOG_GET, &response);
}

static stock_line_t line_of(const char *isbn, int64_t quantity)
{
    return (stock_line_t){.isbn = bytes_cstr(isbn),
                          .warehouse_code = BYTES_LIT("TK01"),
                          .quantity = quantity,
                          .status = quantity ? BYTES_LIT("in_stock") : BYTES_LIT("out_of_stock"),
                          .as_of = BYTES_LIT("2026-01-30T00:00:00Z")};
}

static void stock_is(world_t *w, int64_t quantity, int64_t stale_ms)
{
    stock_line_t line = line_of(ISBN, quantity);
    if (stale_ms)
        SCHEMA_SET(&line, stale_age_ms, stale_ms);
    erp_stock_get_response_t response = {
        .isbn = line.isbn, .lines = {.items = &line, .count = 1}, .total_quantity = quantity};
    answers(w, CALL_ERP_STOCK_GET, &response);
}

static void model_streams(world_t *w, const char *piece)
{
    made_t *made = wanted_call(w, CALL_FM_INVOKE);
    buf_t chunk = {0};
    fm_invoke_chunk_t value = {.text = bytes_cstr(piece)};
    error_t err;
    assert_true(fm_invoke_chunk_pack(&chunk, &value, &err));
    made->call.on_chunk(made->call.ctx, buf_bytes(&chunk));
    buf_free(&chunk);
}

static void model_says(world_t *w, const char *text, const char *stop_reason)
{
    fm_invoke_response_t response = {.inference_id = BYTES_LIT("i1"),
                                     .text = bytes_cstr(text),
                                     .model_id = BYTES_LIT("m1"),
                                     .stop_reason = bytes_cstr(stop_reason),
                                     .usage = {.input_tokens = 10, .output_tokens = 5},
                                     .cost_usd_micros = 7,
                                     .latency_ms = 3};
    answers(w, CALL_FM_INVOKE, &response);
}

static void search_finds_nothing(world_t *w)
{
    search_query_response_t response = {.mode = BYTES_LIT("text")};
    answers(w, CALL_SEARCH_QUERY, &response);
}

#define ASSERT_SAYS(w, expected) assert_string_equal(buf_cstr(&(w)->text), expected)

static const char question[] = "ワンピース 42巻の在庫はありますか？";

static void comes_to_stock(world_t *w)
{
    book_t book = one_piece(42, ISBN);
    asks(w, question);
    catalog_has(w, &book);
}

/* -- the straight way ------------------------------------------------------------------------------------- */
static void catalogue_and_search_are_asked_at_once_then_stock_then_a_model(void **state)
{
    world_t *w = *state;
    asks(w, question);
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
    asks(w, question);
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

/* -- others fail ------------------------------------------------------------------------------------------ */
static void a_book_that_the_catalogue_lacks_is_looked_for_in_the_erps_pages(void **state)
{
    world_t *w = *state;
    book_t first = one_piece(1, OTHER_ISBN), wanted = one_piece(42, ISBN);
    asks(w, question);
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
    asks(w, question);
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
    asks(w, question);
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
    asks(w, question);
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
    asks(w, question);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, with_world, without_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(catalogue_and_search_are_asked_at_once_then_stock_then_a_model),
        TEST(an_isbn_asks_catalogue_and_stock_at_once),
        TEST(a_greeting_asks_nobody),
        TEST(a_price_that_the_catalogue_knows_needs_no_stock),
        TEST(another_volume_is_never_taken_for_the_one_asked_for),
        TEST(a_longer_title_is_not_taken_for_a_shorter_one_that_is_there),
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
