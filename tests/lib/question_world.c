/* question_world.c: ports of a question that note what is asked, and say what the test wants said. */
#include "tests/lib/question_world.h"

#include <stdio.h>
#include <stdlib.h>

/* -- a scripted world ---------------------------------------------------------------------------------- */
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

int world_new(void **state)
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

int world_free(void **state)
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

void asks_as(world_t *w, question_kind_t kind, const char *text, const char *session, const char *user)
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

void asks(world_t *w, const char *text)
{
    asks_as(w, QUESTION_CHAT, text, "", "");
}

/* The newest call of the method that is open; NULL when there is none. */
made_t *open_call(world_t *w, const char *method)
{
    for (size_t i = w->call_count; i-- > 0;)
        if (w->calls[i].is_open && strcmp(w->calls[i].method, method) == 0)
            return &w->calls[i];
    return NULL;
}

made_t *wanted_call(world_t *w, const char *method)
{
    made_t *made = open_call(w, method);
    if (!made)
        fail_msg("%s was not asked", method);
    return made;
}

void ends(made_t *made, const bus_reply_t *reply)
{
    made->is_open = false;
    made->call.on_done(made->call.ctx, reply);
}

void fails(world_t *w, const char *method, status_t code)
{
    error_t err = {.code = code};
    ends(wanted_call(w, method), &(bus_reply_t){.err = &err});
}

void answers(world_t *w, const char *method, const void *value)
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

void passes(world_t *w, int64_t ms)
{
    w->now_us += ms * MS;
    if (!w->is_done && w->wake_us && w->now_us >= w->wake_us)
        question_wake(w->question);
}

/* -- what others say ------------------------------------------------------------------------------------ */
book_t one_piece(int64_t volume, const char *isbn)
{
    book_t book = {.isbn = bytes_cstr(isbn), .title = BYTES_LIT("ONE PIECE")};
    SCHEMA_SET(&book, title_kana, BYTES_LIT("ワンピース"));
    SCHEMA_SET(&book, title_en, BYTES_LIT("One Piece"));
    SCHEMA_SET(&book, volume, volume);
    return book;
}

void catalog_has(world_t *w, const book_t *book)
{
    catalog_get_response_t response = {.items = {.items = book, .count = book ? 1 : 0}};
    answers(w, CALL_CATALOG_GET, &response);
}

stock_line_t line_of(const char *isbn, int64_t quantity)
{
    return (stock_line_t){.isbn = bytes_cstr(isbn),
                          .warehouse_code = BYTES_LIT("TK01"),
                          .quantity = quantity,
                          .status = quantity ? BYTES_LIT("in_stock") : BYTES_LIT("out_of_stock"),
                          .as_of = BYTES_LIT("2026-01-30T00:00:00Z")};
}

void stock_is(world_t *w, int64_t quantity, int64_t stale_ms)
{
    stock_line_t line = line_of(ISBN, quantity);
    if (stale_ms)
        SCHEMA_SET(&line, stale_age_ms, stale_ms);
    erp_stock_get_response_t response = {
        .isbn = line.isbn, .lines = {.items = &line, .count = 1}, .total_quantity = quantity};
    answers(w, CALL_ERP_STOCK_GET, &response);
}

void model_streams(world_t *w, const char *piece)
{
    made_t *made = wanted_call(w, CALL_FM_INVOKE);
    buf_t chunk = {0};
    fm_invoke_chunk_t value = {.text = bytes_cstr(piece)};
    error_t err;
    assert_true(fm_invoke_chunk_pack(&chunk, &value, &err));
    made->call.on_chunk(made->call.ctx, buf_bytes(&chunk));
    buf_free(&chunk);
}

void model_says(world_t *w, const char *text, const char *stop_reason)
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

void search_finds_nothing(world_t *w)
{
    search_query_response_t response = {.mode = BYTES_LIT("text")};
    answers(w, CALL_SEARCH_QUERY, &response);
}

void comes_to_stock(world_t *w)
{
    book_t book = one_piece(42, ISBN);
    asks(w, QUESTION);
    catalog_has(w, &book);
}
