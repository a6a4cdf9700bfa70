/* erp.c: builds the ERP's requests, reads its answers, and tells faults of the asker from faults of the ERP. */
#include "services/acl-erp/erp.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "proto/timefmt.h"
#include "services/acl-erp/translate.h"

#define PATH "/soap/inventory"
#define ERP_AFTER_MAX_BYTES 32
/* The ERP's error codes that mean something to us; docs/services/erp-sim.md has them all. */
#define CODE_UNKNOWN_BOOK "E101"
#define CODE_REFUSED_LOGIN "E010"
#define CODE_BUSY "E503"

struct erp_reply {
    unsigned holders;
    arena_t arena;
    soap_reply_t soap;
};

struct erp {
    backend_t *backend;
    coalescer_t *coalescer;
    cp932_t *codec;
    erp_options_t options;
    metric_t *batch_isbns, *asked, *joined;
};

/* One call that is made; what it is about comes back with its answer. */
typedef struct {
    erp_t *erp;
    coalescer_batch_t *batch; /* of a stock call; else NULL */
    erp_books_fn fn;
    void *ctx;
} question_t;

/* -- answers' memory --------------------------------------------------------------------------------------- */
static erp_reply_t *reply_new(void)
{
    erp_reply_t *reply = calloc(1, sizeof(*reply));
    if (!reply)
        return NULL;
    reply->holders = 1;
    arena_init(&reply->arena, SOAP_ARENA_MAX_BYTES);
    return reply;
}

void erp_reply_hold(erp_reply_t *reply)
{
    reply->holders++;
}

void erp_reply_release(erp_reply_t *reply)
{
    if (!reply || --reply->holders)
        return;
    arena_free(&reply->arena);
    free(reply);
}

/* -- faults --------------------------------------------------------------------------------------------------- */
static backend_verdict_t fault_read(const erp_t *erp, const soap_fault_t *fault, error_t *err)
{
    log_warn("the ERP answered a fault", LOG_S("backend", erp->options.backend.name), LOG_B("code", fault->code),
             LOG_B("error", fault->message));
    if (bytes_eq_cstr(fault->code, CODE_BUSY)) {
        (void)error_set(err, STATUS_UNAVAILABLE, "BackendBusy", "the ERP takes no more requests for the moment");
        return BACKEND_BUSY;
    }
    if (bytes_eq_cstr(fault->code, CODE_UNKNOWN_BOOK))
        (void)error_set(err, STATUS_NOT_FOUND, NULL, "the ERP does not know this book");
    else if (bytes_eq_cstr(fault->code, CODE_REFUSED_LOGIN))
        (void)error_set(err, STATUS_FAILED_PRECONDITION, NULL, "the ERP refuses this service's credentials");
    else if (fault->is_sender)
        (void)error_set(err, STATUS_INTERNAL, NULL, "the ERP refused a request of ours; see the log");
    else
        (void)error_set(err, STATUS_UNAVAILABLE, NULL, "the ERP reports a fault of its own");
    return fault->is_sender ? BACKEND_WELL : BACKEND_FAILED;
}

/* Reads what came into `reply`; faults are looked for whatever the HTTP status says. */
static bool answer_read(erp_t *erp, const backend_result_t *result, erp_reply_t *reply, backend_verdict_t *verdict,
                        error_t *err)
{
    *verdict = BACKEND_FAILED;
    if (result->err) {
        *err = *result->err;
        return false;
    }
    if (!soap_read(erp->codec, result->http->body, &reply->arena, &reply->soap, err)) {
        unsigned status = result->http->http_status;
        if (status == 429 || status == 503)
            *verdict = BACKEND_BUSY;
        if (status >= 400)
            (void)error_set(err, STATUS_UNAVAILABLE, NULL, "the ERP answered HTTP %u without a SOAP envelope", status);
        log_warn("unreadable answer of the ERP", LOG_I("status", status), LOG_S("error", err->message));
        return false;
    }
    if (reply->soap.is_fault) {
        *verdict = fault_read(erp, &reply->soap.fault, err);
        return false;
    }
    *verdict = BACKEND_WELL;
    return true;
}

/* -- stock ------------------------------------------------------------------------------------------------------ */
typedef struct {
    erp_stock_t stocks[COALESCER_BATCH_MAX];
    bool is_known[COALESCER_BATCH_MAX]; /* the ERP has something to say of it, readable or not */
    stock_line_t *lines;
    uint32_t line_count;
    bytes_t *broken; /* books of lines that cannot be read */
    uint32_t broken_count;
} sorted_t;

/* Lines in the order of the answer; the ERP groups them by book, and nothing relies on it: they are sorted here. */
static bool lines_read(erp_reply_t *reply, bytes_t as_of, sorted_t *out)
{
    error_t err = {0};
    size_t room = reply->soap.item_count ? reply->soap.item_count : 1;
    out->lines = arena_array(&reply->arena, room, sizeof(*out->lines));
    out->broken = arena_array(&reply->arena, room, sizeof(*out->broken));
    for (uint32_t i = 0; out->lines && out->broken && i < reply->soap.item_count; i++) {
        stock_line_t *line = &out->lines[out->line_count];
        if (translate_stock(&reply->soap.items[i], as_of, &reply->arena, line, &err)) {
            out->line_count++;
            continue;
        }
        out->broken[out->broken_count++] = line->isbn;
        log_warn("a stock line of the ERP is unreadable", LOG_B("isbn", line->isbn), LOG_S("error", err.message));
    }
    return out->lines && out->broken;
}

static bool is_broken(const sorted_t *sorted, const char *isbn)
{
    for (uint32_t i = 0; i < sorted->broken_count; i++)
        if (bytes_eq_cstr(sorted->broken[i], isbn))
            return true;
    return false;
}

static bool book_lines(erp_reply_t *reply, const sorted_t *sorted, const char *isbn, erp_stock_t *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sorted->line_count; i++)
        count += bytes_eq_cstr(sorted->lines[i].isbn, isbn);
    stock_line_t *lines = arena_array(&reply->arena, count + 1, sizeof(*lines));
    *out = (erp_stock_t){.lines = lines, .reply = reply};
    for (uint32_t i = 0; lines && i < sorted->line_count && out->count < ERP_WAREHOUSES_MAX; i++)
        if (bytes_eq_cstr(sorted->lines[i].isbn, isbn))
            lines[out->count++] = sorted->lines[i];
    return lines != NULL;
}

static bool stock_sort(erp_reply_t *reply, const coalescer_batch_t *batch, int64_t as_of_us, sorted_t *sorted)
{
    char *as_of = arena_alloc(&reply->arena, TIMEFMT_MS_BYTES);
    if (!as_of)
        return false;
    timefmt_ms(as_of_us, as_of);
    if (!lines_read(reply, bytes_cstr(as_of), sorted))
        return false;
    for (size_t i = 0; i < coalescer_batch_count(batch); i++) {
        const char *isbn = coalescer_batch_isbn(batch, i);
        if (!book_lines(reply, sorted, isbn, &sorted->stocks[i]))
            return false;
        sorted->is_known[i] = sorted->stocks[i].count || is_broken(sorted, isbn);
    }
    return true;
}

static void stock_settle(erp_t *erp, coalescer_batch_t *batch, const sorted_t *sorted, int64_t as_of_us,
                         int64_t done_us)
{
    const void *answers[COALESCER_BATCH_MAX];
    for (size_t i = 0; i < coalescer_batch_count(batch); i++) {
        const erp_stock_t *stock = &sorted->stocks[i];
        answers[i] = sorted->is_known[i] ? stock : NULL;
        if (stock->count && erp->options.on_stock)
            erp->options.on_stock(erp->options.ctx, coalescer_batch_isbn(batch, i), stock, as_of_us);
    }
    coalescer_settle(erp->coalescer, batch, answers, done_us);
}

static backend_verdict_t stock_done(void *ctx, const backend_result_t *result)
{
    question_t *question = ctx;
    erp_t *erp = question->erp;
    coalescer_batch_t *batch = question->batch;
    backend_verdict_t verdict = BACKEND_FAILED;
    error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
    erp_reply_t *reply = reply_new();
    int64_t as_of_us = clock_wall_us();
    sorted_t sorted = {0};
    free(question);
    if (reply && answer_read(erp, result, reply, &verdict, &err) && stock_sort(reply, batch, as_of_us, &sorted))
        stock_settle(erp, batch, &sorted, as_of_us, result->done_us);
    else
        coalescer_fail(erp->coalescer, batch, &err, result->done_us);
    erp_reply_release(reply);
    return verdict;
}

/* -- building ----------------------------------------------------------------------------------------------------- */
static bool begin(erp_t *erp, soap_writer_t *writer, const char *operation, buf_t *out, error_t *err)
{
    soap_moment_t moment = {.created_us = clock_wall_us()};
    clock_random(moment.nonce, sizeof(moment.nonce));
    return soap_begin(writer, erp->codec, &erp->options.account, &moment, operation, out, err);
}

static void call_fill(const erp_t *erp, backend_call_t *call, question_t *question, backend_done_fn fn)
{
    call->method = "POST";
    call->path = PATH;
    call->headers[0] = (http_header_t){"Content-Type", soap_content_type(erp->options.account.version)};
    call->headers[1] = (http_header_t){"SOAPAction", "\"\""};
    call->header_count = 2;
    call->fn = fn;
    call->on_cancel = free;
    call->ctx = question;
}

static bool batch_write(erp_t *erp, const coalescer_batch_t *batch, buf_t *out, error_t *err)
{
    soap_writer_t writer;
    bool is_written = begin(erp, &writer, "GetBatchStockLevels", out, err);
    for (size_t i = 0; is_written && i < coalescer_batch_count(batch); i++)
        is_written = soap_argument(&writer, "ISBN", bytes_cstr(coalescer_batch_isbn(batch, i)), err);
    return is_written && soap_end(&writer, err);
}

/* -- the source of batches ------------------------------------------------------------------------------------------
 */
static int64_t source_due_us(void *ctx, bool is_live)
{
    const erp_t *erp = ctx;
    return coalescer_due_us(erp->coalescer, is_live);
}

static bool source_make(void *ctx, bool is_live, int64_t now_us, backend_call_t *out)
{
    erp_t *erp = ctx;
    error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
    coalescer_batch_t *batch = coalescer_take(erp->coalescer, is_live, now_us);
    if (!batch)
        return false;
    question_t *question = calloc(1, sizeof(*question));
    if (!question || !batch_write(erp, batch, &out->body, &err)) {
        free(question);
        buf_free(&out->body);
        coalescer_fail(erp->coalescer, batch, &err, now_us);
        return false;
    }
    *question = (question_t){.erp = erp, .batch = batch};
    out->is_live = is_live;
    out->deadline_us = coalescer_batch_deadline_us(batch);
    call_fill(erp, out, question, stock_done);
    metric_observe(erp->batch_isbns, (double)coalescer_batch_count(batch));
    return true;
}

static void source_refuse(void *ctx, const error_t *err)
{
    erp_t *erp = ctx;
    coalescer_fail_waiting(erp->coalescer, err, clock_mono_us());
}

coalescer_wait_t *erp_stock(erp_t *erp, bytes_t isbn, bool is_live, int64_t deadline_us, coalescer_fn fn, void *ctx,
                            error_t *err)
{
    if (!backend_is_open_for_calls(erp->backend, err))
        return NULL;
    coalescer_wait_t *wait = coalescer_add(erp->coalescer, isbn, is_live, deadline_us, clock_mono_us(), fn, ctx, err);
    if (wait)
        backend_wake(erp->backend);
    return wait;
}

void erp_stock_cancel(erp_t *erp, coalescer_wait_t *wait)
{
    coalescer_cancel(erp->coalescer, wait);
}

/* -- books -------------------------------------------------------------------------------------------------------- */
static void book_reject(const soap_item_t *item, arena_t *arena, const error_t *why, erp_rejected_item_t *out)
{
    bytes_t raw = BYTES_NONE, key = soap_field(item, "ISBN");
    size_t len = strlen(why->message);
    char *reason = arena_alloc(arena, len + 1);
    *out = (erp_rejected_item_t){.key = bytes_from(key.data, key.len <= 256 ? key.len : 0),
                                 .reason = BYTES_LIT("unreadable")};
    if (reason)
        out->reason = bytes_from(memcpy(reason, why->message, len), len);
    if (translate_raw(item, arena, &raw) && raw.len <= 16000)
        SCHEMA_SET(out, raw, raw);
}

bool erp_after_is_valid(bytes_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum(text.data[i]) && text.data[i] != '-')
            return false;
    return text.len > 0 && text.len <= ERP_AFTER_MAX_BYTES;
}

static bool books_fill(erp_reply_t *reply, erp_books_t *out)
{
    const soap_reply_t *soap = &reply->soap;
    size_t room = soap->item_count ? soap->item_count : 1;
    book_t *books = arena_array(&reply->arena, room, sizeof(*books));
    erp_rejected_item_t *rejected = arena_array(&reply->arena, room, sizeof(*rejected));
    *out = (erp_books_t){.books = books, .rejected = rejected, .reply = reply};
    for (uint32_t i = 0; books && rejected && i < soap->item_count; i++) {
        error_t why = {0};
        if (translate_book(&soap->items[i], &reply->arena, &books[out->book_count], &why))
            out->book_count++;
        else
            book_reject(&soap->items[i], &reply->arena, &why, &rejected[out->rejected_count++]);
        if (erp_after_is_valid(soap_field(&soap->items[i], "ISBN")))
            out->next_after = soap_field(&soap->items[i], "ISBN");
    }
    out->has_more = bytes_eq_cstr(soap_field(&soap->values, "HasMore"), "1");
    out->has_total = translate_number(soap_field(&soap->values, "TotalCount"), INT64_MAX / 100, &out->total);
    return books && rejected;
}

static backend_verdict_t books_done(void *ctx, const backend_result_t *result)
{
    question_t *question = ctx;
    backend_verdict_t verdict = BACKEND_FAILED;
    error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
    erp_reply_t *reply = reply_new();
    erp_books_t books;
    erp_books_result_t told = {.err = &err, .sent_us = result->sent_us, .done_us = result->done_us};
    if (reply && answer_read(question->erp, result, reply, &verdict, &err) && books_fill(reply, &books)) {
        told.books = &books;
        told.err = NULL;
    }
    question->fn(question->ctx, &told);
    free(question);
    erp_reply_release(reply);
    return verdict;
}

static backend_job_t *books_submit(erp_t *erp, backend_call_t *call, erp_books_fn fn, void *ctx, error_t *err)
{
    question_t *question = calloc(1, sizeof(*question));
    if (!question) {
        buf_free(&call->body);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    *question = (question_t){.erp = erp, .fn = fn, .ctx = ctx};
    call_fill(erp, call, question, books_done);
    backend_job_t *job = backend_submit(erp->backend, call, err);
    if (!job)
        free(question);
    return job;
}

static bool page_write(erp_t *erp, const erp_page_t *page, buf_t *out, error_t *err)
{
    soap_writer_t writer;
    char size[24], room[256];
    arena_t arena = {.max_bytes = ARENA_BLOCK_BYTES * 2};
    bytes_t since = BYTES_NONE;
    bool is_written = page->changed_since.len == 0 || translate_time_back(page->changed_since, &arena, &since, err);
    (void)bytes_to_cstr(since, room, sizeof(room));
    arena_free(&arena);
    (void)snprintf(size, sizeof(size), "%lld", (long long)page->page_size);
    return is_written && begin(erp, &writer, "GetCatalogPage", out, err) &&
           soap_argument(&writer, "AfterISBN", page->after_isbn, err) &&
           soap_argument(&writer, "PageSize", bytes_cstr(size), err) &&
           soap_argument(&writer, "ChangedSince", bytes_cstr(room), err) && soap_end(&writer, err);
}

backend_job_t *erp_page(erp_t *erp, const erp_page_t *page, erp_books_fn fn, void *ctx, error_t *err)
{
    backend_call_t call = {.is_live = page->is_live, .deadline_us = page->deadline_us};
    if (page_write(erp, page, &call.body, err))
        return books_submit(erp, &call, fn, ctx, err);
    buf_free(&call.body);
    return NULL;
}

backend_job_t *erp_product(erp_t *erp, bytes_t isbn, int64_t deadline_us, erp_books_fn fn, void *ctx, error_t *err)
{
    backend_call_t call = {.is_live = true, .deadline_us = deadline_us};
    soap_writer_t writer;
    if (begin(erp, &writer, "GetProduct", &call.body, err) && soap_argument(&writer, "ISBN", isbn, err) &&
        soap_end(&writer, err))
        return books_submit(erp, &call, fn, ctx, err);
    buf_free(&call.body);
    return NULL;
}

void erp_cancel(erp_t *erp, backend_job_t *job)
{
    backend_cancel(erp->backend, job);
}

bool erp_is_open(const erp_t *erp, error_t *err)
{
    return backend_is_open_for_calls(erp->backend, err);
}

/* -- life ------------------------------------------------------------------------------------------------------------
 */
static void collect(void *ctx)
{
    const erp_t *erp = ctx;
    coalescer_stats_t stats = coalescer_stats(erp->coalescer);
    metric_set(erp->asked, (double)stats.asked);
    metric_set(erp->joined, (double)stats.joined);
}

static void metrics_make(erp_t *erp, metrics_t *metrics)
{
    static const double sizes[] = {1, 2, 5, 10, 15, 19, 20};
    erp->batch_isbns = metrics_histogram(metrics, "mangabus_erp_batch_isbns", "", "Books in one call to the ERP.",
                                         sizes, ARRAY_LEN(sizes));
    erp->asked = metrics_counter(metrics, "mangabus_erp_books_asked_total", "", "Questions for one book's stock.");
    erp->joined = metrics_counter(metrics, "mangabus_erp_books_joined_total", "",
                                  "Of these, those for a book that was already asked for.");
    metrics_on_collect(metrics, collect, erp);
}

erp_t *erp_new(loop_t *loop, http_client_t *http, metrics_t *metrics, const erp_options_t *options, error_t *err)
{
    erp_t *erp = calloc(1, sizeof(*erp));
    if (!erp)
        return NULL;
    erp->options = *options;
    erp->codec = cp932_new(err);
    erp->coalescer = coalescer_new(&options->gather);
    erp->backend = erp->codec && erp->coalescer ? backend_new(loop, http, metrics, &options->backend, err) : NULL;
    if (!erp->backend) {
        erp_free(&erp);
        return NULL;
    }
    const backend_source_t source = {.due_us = source_due_us, .make = source_make, .refuse = source_refuse, .ctx = erp};
    backend_set_source(erp->backend, &source);
    metrics_make(erp, metrics);
    return erp;
}

void erp_free(erp_t **erp)
{
    if (!*erp)
        return;
    backend_free(&(*erp)->backend);
    coalescer_free(&(*erp)->coalescer);
    cp932_free(&(*erp)->codec);
    free(*erp);
    *erp = NULL;
}
