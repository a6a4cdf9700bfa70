/* question_ask.c: a question's calls: budgets, the one retry, and a hop for each. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/log.h"
#include "proto/msgpack.h"
#include "services/chat-router/question_internal.h"

#define US_PER_MS 1000
#define HOP_DEPTH_MAX 14 /* of a nested one: the contract's bound, less our two levels */

int64_t question_left_ms(const question_t *q)
{
    int64_t left_us = q->input.deadline_us - q->ports.now_us(q->ports.ctx);
    return left_us > 0 ? left_us / US_PER_MS : 0;
}

int64_t ask_budget_ms(const question_t *q, int64_t most_ms, int64_t percent)
{
    int64_t left_ms = question_left_ms(q) - QUESTION_RESERVE_MS;
    int64_t part_ms = left_ms > 0 ? left_ms * percent / 100 : 0;
    return part_ms < most_ms ? part_ms : most_ms;
}

bytes_t question_keep(question_t *q, bytes_t bytes)
{
    uint8_t *copy = arena_alloc(&q->arena, bytes.len + 1);
    if (!copy)
        return BYTES_NONE;
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return bytes_from(copy, bytes.len);
}

bool ask_runs(const question_t *q, ask_kind_t kind)
{
    return q->asks[kind].state == ASK_RUNNING;
}

bool ask_ok(const question_t *q, ask_kind_t kind)
{
    return q->asks[kind].state == ASK_OK;
}

bool ask_failed(const question_t *q, ask_kind_t kind)
{
    return q->asks[kind].state == ASK_FAILED;
}

/* -- hops -------------------------------------------------------------------------------------------- */
static hop_t *hop_add(question_t *q, bytes_t service, bytes_t operation, int64_t depth)
{
    if (q->hop_count == CONTRACT_HOPS_MAX)
        return NULL;
    hop_t *hop = &q->hops[q->hop_count++];
    *hop = (hop_t){.service = service, .operation = operation};
    SCHEMA_SET(hop, depth, depth);
    return hop;
}

static int64_t since_start_us(const question_t *q, int64_t at_us)
{
    return at_us > q->input.start_us ? at_us - q->input.start_us : 0;
}

void hop_own(question_t *q, const char *operation, int64_t start_us, const char *detail)
{
    hop_t *hop = hop_add(q, BYTES_LIT("chat-router"), bytes_cstr(operation), 1);
    if (!hop)
        return;
    hop->duration_us = q->ports.now_us(q->ports.ctx) - start_us;
    SCHEMA_SET(hop, start_us, since_start_us(q, start_us));
    if (detail)
        SCHEMA_SET(hop, detail, question_keep(q, bytes_cstr(detail)));
}

/* Who serves a method, for calls that nobody answered. */
static bytes_t service_of(const char *method)
{
    static const struct {
        const char *prefix, *service;
    } served[] = {
        {"erp.", "acl-erp"}, {"catalog.", "sync-reconciler"}, {"search.", "embed-indexer"}, {"fm.", "fm-invoker"}};
    for (size_t i = 0; i < ARRAY_LEN(served); i++)
        if (strncmp(method, served[i].prefix, strlen(served[i].prefix)) == 0)
            return bytes_cstr(served[i].service);
    return bytes_cstr("bus");
}

/* "acl-erp-3fa9c1" is an instance of acl-erp. */
static bytes_t service_of_instance(bytes_t instance)
{
    const uint8_t *dash = instance.len ? memrchr(instance.data, '-', instance.len) : NULL;
    return dash ? bytes_from(instance.data, (size_t)(dash - instance.data)) : instance;
}

static void hop_open(ask_t *ask)
{
    question_t *q = ask->question;
    ask->hop = q->hop_count;
    hop_t *hop = hop_add(q, service_of(ask->method), bytes_cstr(ask->method), 1);
    if (hop)
        SCHEMA_SET(hop, start_us, since_start_us(q, ask->start_us));
}

static void hop_close(ask_t *ask, bytes_t worker, const char *detail)
{
    question_t *q = ask->question;
    if (ask->hop >= CONTRACT_HOPS_MAX)
        return;
    hop_t *hop = &q->hops[ask->hop];
    hop->duration_us = q->ports.now_us(q->ports.ctx) - ask->start_us;
    bytes_t service = service_of_instance(worker);
    if (service.len && service.len <= 64)
        hop->service = question_keep(q, service);
    if (detail)
        SCHEMA_SET(hop, detail, question_keep(q, bytes_cstr(detail)));
}

/* Many begin their list with the call itself: that is the hop which stands here already. */
static bool is_same_hop(const hop_t *hop, const hop_t *nested)
{
    return (!nested->has_depth || nested->depth == 0) && bytes_eq(hop->service, nested->service) &&
           bytes_eq(hop->operation, nested->operation);
}

/* The steps that the answerer reports, below the call that caused them. */
static void hops_insert(ask_t *ask, const hop_t *nested, size_t count)
{
    question_t *q = ask->question;
    if (ask->hop >= CONTRACT_HOPS_MAX || count == 0)
        return;
    bool is_same = is_same_hop(&q->hops[ask->hop], &nested[0]);
    if (is_same && nested[0].has_detail)
        SCHEMA_SET(&q->hops[ask->hop], detail, nested[0].detail);
    nested += is_same;
    count -= is_same;
    size_t room = CONTRACT_HOPS_MAX - q->hop_count, at = ask->hop + 1;
    count = count < room ? count : room;
    memmove(&q->hops[at + count], &q->hops[at], (q->hop_count - at) * sizeof(hop_t));
    for (size_t i = 0; i < ASK_COUNT; i++)
        if (q->asks[i].state == ASK_RUNNING && q->asks[i].hop > ask->hop)
            q->asks[i].hop += count;
    for (size_t i = 0; i < count; i++) {
        hop_t *hop = &q->hops[at + i];
        *hop = nested[i];
        SCHEMA_SET(hop, depth, (hop->has_depth ? hop->depth : 0) + (is_same ? 1 : 2));
        if (hop->has_start_us)
            hop->start_us += since_start_us(q, ask->start_us);
    }
    q->hop_count += count;
}

/* -- calls ------------------------------------------------------------------------------------------- */
static const hop_t *hops_of(question_t *q, bytes_t reply, uint32_t *count)
{
    bytes_t list, one;
    *count = 0;
    uint32_t declared;
    mp_reader_t reader;
    if (!mp_map_find(reply, "hops", &list))
        return NULL;
    reader = mp_reader(list);
    if (!mp_get_array(&reader, &declared) || declared > CONTRACT_HOPS_MAX)
        return NULL;
    hop_t *hops = arena_array(&q->arena, declared + 1, sizeof(*hops));
    while (hops && declared-- && mp_get_raw(&reader, &one))
        if (hop_unpack(one, &q->arena, &hops[*count], NULL) &&
            (!hops[*count].has_depth || hops[*count].depth < HOP_DEPTH_MAX))
            (*count)++;
    return hops;
}

static void ask_end(ask_t *ask, ask_state_t state, status_t status)
{
    ask->state = state;
    ask->status = status;
    ask->number = 0;
}

static void on_reply(void *ctx, const bus_reply_t *reply);
static void on_chunk(void *ctx, bytes_t chunk);

static bool is_idempotent(const char *method)
{
    const schema_call_t *call = schema_find_call(bytes_cstr(method));
    return call && call->idempotent;
}

static void ask_send(ask_t *ask)
{
    question_t *q = ask->question;
    int64_t left_ms = (ask->limit_us - q->ports.now_us(q->ports.ctx)) / US_PER_MS;
    error_t err = {0};
    ask->attempts++;
    ask->state = ASK_RUNNING;
    bus_call_t call = {.method = ask->method,
                       .body = ask->request,
                       .timeout_ms = left_ms,
                       .idempotent = is_idempotent(ask->method),
                       .trace = q->input.trace,
                       .on_chunk = ask->is_streaming ? on_chunk : NULL,
                       .on_done = on_reply,
                       .ctx = ask};
    ask->number = left_ms > 0 ? q->ports.call(q->ports.ctx, &call, &err) : 0;
    if (ask->number)
        return;
    ask_end(ask, ASK_FAILED, left_ms > 0 ? err.code : STATUS_DEADLINE_EXCEEDED);
    hop_close(ask, BYTES_NONE, status_name(ask->status));
}

void ask_start(question_t *q, ask_kind_t kind, const char *method, const buf_t *body, int64_t budget_ms)
{
    int64_t now_us = q->ports.now_us(q->ports.ctx);
    ask_t *ask = &q->asks[kind];
    *ask = (ask_t){.question = q,
                   .kind = kind,
                   .method = method,
                   .request = question_keep(q, buf_bytes(body)),
                   .start_us = now_us,
                   .limit_us = now_us + budget_ms * US_PER_MS,
                   .is_streaming = kind == ASK_MODEL};
    hop_open(ask);
    if (body->failed || ask->request.len == 0) {
        ask_end(ask, ASK_FAILED, STATUS_RESOURCE_EXHAUSTED);
        hop_close(ask, BYTES_NONE, "out of memory");
        return;
    }
    ask_send(ask);
}

void ask_drop(question_t *q, ask_kind_t kind, const char *why)
{
    ask_t *ask = &q->asks[kind];
    if (ask->state != ASK_RUNNING)
        return;
    if (ask->number)
        q->ports.cancel(q->ports.ctx, ask->number, why);
    ask_end(ask, ASK_FAILED, STATUS_CANCELLED);
    if (kind != ASK_HISTORY)
        hop_close(ask, BYTES_NONE, why);
}

void ask_expire(question_t *q)
{
    int64_t now_us = q->ports.now_us(q->ports.ctx);
    for (int i = 0; i < ASK_COUNT; i++)
        if (ask_runs(q, (ask_kind_t)i) && now_us >= q->asks[i].limit_us) {
            ask_drop(q, (ask_kind_t)i, "not in time");
            q->asks[i].status = STATUS_DEADLINE_EXCEEDED;
        }
}

static bool may_retry(const ask_t *ask, status_t code)
{
    const question_t *q = ask->question;
    int64_t left_us = ask->limit_us - q->ports.now_us(q->ports.ctx);
    bool has_begun = ask->is_streaming && q->answer.len > 0;
    return code == STATUS_UNAVAILABLE && ask->attempts == 1 && !has_begun && is_idempotent(ask->method) &&
           left_us >= QUESTION_RETRY_MIN_MS * US_PER_MS;
}

/* A reply that breaks the contract is no reply: "there is nothing" must not come of it. */
static bool reply_holds(const ask_t *ask)
{
    const schema_call_t *call = schema_find_call(bytes_cstr(ask->method));
    error_t err = {0};
    if (ask->reply.data && call && schema_validate(call->response, ask->reply, &err))
        return true;
    log_warn("a reply breaks the contract", LOG_S("method", ask->method), LOG_S("error", err.message));
    return false;
}

static void reply_take(ask_t *ask, const bus_reply_t *reply)
{
    question_t *q = ask->question;
    uint32_t count;
    ask->reply = question_keep(q, reply->body);
    bool holds = reply_holds(ask);
    ask_end(ask, holds ? ASK_OK : ASK_FAILED, holds ? STATUS_OK : STATUS_INTERNAL);
    hop_close(ask, reply->worker, !holds ? "broken reply" : ask->attempts > 1 ? "second attempt" : NULL);
    const hop_t *hops = holds ? hops_of(q, ask->reply, &count) : NULL;
    if (hops)
        hops_insert(ask, hops, count);
}

static void on_reply(void *ctx, const bus_reply_t *reply)
{
    ask_t *ask = ctx;
    question_t *q = ask->question;
    if (ask->state != ASK_RUNNING)
        return;
    ask->number = 0;
    if (q->ports.is_over(q->ports.ctx)) {
        ask_end(ask, ASK_FAILED, STATUS_CANCELLED);
        return;
    }
    if (!reply->err) {
        reply_take(ask, reply);
    } else if (may_retry(ask, reply->err->code)) {
        ask_send(ask);
    } else {
        ask_end(ask, ASK_FAILED, reply->err->code);
        hop_close(ask, reply->worker, status_name(reply->err->code));
    }
    question_move(q);
}

static void on_chunk(void *ctx, bytes_t chunk)
{
    ask_t *ask = ctx;
    question_t *q = ask->question;
    arena_t arena;
    fm_invoke_chunk_t piece;
    if (ask->state != ASK_RUNNING)
        return;
    arena_init(&arena, 0);
    if (fm_invoke_chunk_unpack(chunk, &arena, &piece, NULL))
        question_say(q, piece.text);
    arena_free(&arena);
}
