/* sim.c: a request comes in: who asks, which model, is the body right, is there room; then the exchange starts. */
#include "tools/sims/bedrock-sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "kit/sigv4.h"
#include "proto/json.h"
#include "tools/sims/bedrock-sim/compose.h"
#include "tools/sims/bedrock-sim/sim_internal.h"
#include "tools/sims/bedrock-sim/titan.h"

#define MODEL_ID_BYTES 2048 /* as Bedrock says */
#define US_PER_S INT64_C(1000000)
#define JSON_DEPTH_MAX 64

/* -- refusing ------------------------------------------------------------------------------------ */
static void count_refused(sim_t *sim, const char *name)
{
    for (size_t i = 0; i < SIM_NAMES_MAX; i++) {
        sim_count_t *slot = &sim->stats.refused[i];
        if (slot->count && strcmp(slot->name, name) != 0)
            continue;
        (void)snprintf(slot->name, sizeof slot->name, "%s", name);
        slot->count++;
        return;
    }
}

void sim_refuse(sim_t *sim, http_request_t *request, unsigned status, const char *name, const char *message)
{
    char type[SIM_NAME_BYTES + 64];
    buf_t json = {0};
    count_refused(sim, name);
    log_debug("refused", LOG_S("error", name), LOG_S("reason", message));
    (void)snprintf(type, sizeof type, "%s:http://internal.amazon.com/coral/com.amazon.bedrock/", name);
    buf_append_cstr(&json, "{\"message\":");
    json_string_append(&json, bytes_cstr(message));
    buf_append_byte(&json, '}');
    const http_header_t headers[] = {{"Content-Type", "application/json"}, {"x-amzn-ErrorType", type}};
    http_respond(request, status, headers, ARRAY_LEN(headers), buf_bytes(&json));
    buf_free(&json);
}

bool sim_fault_refuse(sim_t *sim, http_request_t *request, fault_t fault)
{
    static const struct {
        fault_t fault;
        unsigned status;
        const char *name, *message;
    } table[] = {
        {FAULT_THROTTLING, 429, "ThrottlingException", "Too many requests, please wait before trying again."},
        {FAULT_NOT_READY, 429, "ModelNotReadyException", "The model is not ready for inference."},
        {FAULT_INTERNAL, 500, "InternalServerException", "The server failed to process the request."},
        {FAULT_UNAVAILABLE, 503, "ServiceUnavailableException", "Bedrock is unable to process your request."},
        {FAULT_TIMEOUT, 408, "ModelTimeoutException", "The model took too long to answer."},
        {FAULT_MODEL_ERROR, 424, "ModelErrorException", "The model could not process the request."},
        {FAULT_ACCESS_DENIED, 403, "AccessDeniedException",
         "You don't have access to the model with the specified model ID."},
        {FAULT_QUOTA, 400, "ServiceQuotaExceededException", "Your account's quota for this model is used up."},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].fault == fault) {
            sim_refuse(sim, request, table[i].status, table[i].name, table[i].message);
            return true;
        }
    return false;
}

/* -- who asks ------------------------------------------------------------------------------------ */
typedef struct {
    http_header_t headers[SIGV4_HEADERS_MAX];
    size_t count;
    bool overflowed;
} headers_t;

static void header_collect(void *ctx, const char *name, const char *value)
{
    headers_t *all = ctx;
    all->overflowed |= all->count == SIGV4_HEADERS_MAX;
    if (all->count < SIGV4_HEADERS_MAX)
        all->headers[all->count++] = (http_header_t){name, value};
}

static bool is_signed(const sim_t *sim, http_request_t *request, error_t *err)
{
    headers_t all = {0};
    http_request_headers(request, header_collect, &all);
    if (all.overflowed)
        return error_set(err, STATUS_UNAUTHENTICATED, "InvalidSignatureException", "too many headers");
    const char *raw = http_request_raw_path(request);
    const char *query = strchr(raw, '?');
    char *path = bytes_dup(bytes_from(raw, query ? (size_t)(query - raw) : strlen(raw)));
    if (!path)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "InternalServerException", "out of memory");
    const sigv4_request_t what = {.method = http_request_method(request),
                                  .path = path,
                                  .query = query ? query + 1 : "",
                                  .headers = all.headers,
                                  .header_count = all.count,
                                  .body = http_request_body(request),
                                  .region = sim->settings->region,
                                  .service = "bedrock",
                                  .time_us = clock_wall_us()};
    const sigv4_credentials_t expected = {sim->settings->access_key_id, sim->settings->secret_access_key,
                                          sim->settings->session_token};
    bool ok = sigv4_verify(&what, &expected, err);
    free(path);
    return ok;
}

/* -- which model --------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c ? strchr(digits, c | 0x20) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* The model id between /model/ and the operation, decoded. False when the path is of another form. */
static bool path_read(const char *raw, char id[MODEL_ID_BYTES], bytes_t *operation)
{
    static const char lead[] = "/model/";
    if (strncmp(raw, lead, sizeof lead - 1) != 0)
        return false;
    const char *at = raw + sizeof lead - 1;
    size_t len = 0;
    while (*at && *at != '/' && *at != '?' && len < MODEL_ID_BYTES - 1) {
        int high = *at == '%' ? hex_digit(at[1]) : -1, low = high >= 0 ? hex_digit(at[2]) : -1;
        id[len++] = (char)(low >= 0 ? high * 16 + low : *at);
        at += low >= 0 ? 3 : 1;
    }
    id[len] = '\0';
    if (*at != '/' || len == 0)
        return false;
    *operation = bytes_from(at + 1, strcspn(at + 1, "?"));
    return true;
}

/* -- is there room ------------------------------------------------------------------------------- */
static bool rate_admits(sim_t *sim)
{
    if (sim->rate_per_s == 0)
        return true;
    int64_t now_us = clock_mono_us();
    if (now_us < sim->next_free_us - US_PER_S / 10) /* a tenth of a second's worth may come at once */
        return false;
    if (sim->next_free_us < now_us)
        sim->next_free_us = now_us;
    sim->next_free_us += US_PER_S / sim->rate_per_s;
    return true;
}

static fault_t fault_take(sim_t *sim, const model_t *model)
{
    if (sim->order.count <= 0 || !strstr(model->id, sim->order.model))
        return FAULT_NONE;
    sim->order.count--;
    return sim->order.fault;
}

/* -- the two kinds of models --------------------------------------------------------------------- */
static void id_make(char out[CLAUDE_ID_BYTES])
{
    uint8_t random[12];
    clock_random(random, sizeof random);
    int len = snprintf(out, CLAUDE_ID_BYTES, "msg_bdrk_");
    for (size_t i = 0; i < sizeof random; i++)
        len += snprintf(out + len, CLAUDE_ID_BYTES - (size_t)len, "%02x", random[i]);
}

static bool claude_prepare(exchange_t *exchange, error_t *err)
{
    claude_request_t request;
    if (!claude_read(exchange->model, buf_bytes(&exchange->body), &exchange->arena, &request, err))
        return false;
    if (!compose_answer(request.system, request.user, &exchange->arena, &exchange->text))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "InternalServerException", "out of memory");
    claude_cut(&request, exchange->model, buf_bytes(&exchange->text), &exchange->answer);
    id_make(exchange->answer.id);
    exchange->sim->stats.input_tokens += exchange->answer.input_tokens;
    exchange->sim->stats.output_tokens += exchange->answer.output_tokens;
    return true;
}

static bool titan_prepare(exchange_t *exchange, error_t *err)
{
    titan_request_t request;
    if (exchange->is_stream)
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "The model is unsupported for streaming.");
    if (!titan_read(exchange->model, buf_bytes(&exchange->body), &request, err))
        return false;
    titan_write(&request, &exchange->json);
    exchange->answer.input_tokens = request.tokens;
    exchange->sim->stats.input_tokens += request.tokens;
    return true;
}

static bool body_read(exchange_t *exchange, error_t *err)
{
    const json_limits_t limits = {.max_bytes = SIM_BODY_MAX_BYTES, .max_depth = JSON_DEPTH_MAX};
    error_t why;
    if (json_to_msgpack(http_request_body(exchange->request), &limits, &exchange->body, &why))
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Malformed input request, please reformat your input and try again: %s", why.message);
}

static int64_t wait_ms(const exchange_t *exchange)
{
    const sim_t *sim = exchange->sim;
    if (exchange->model->kind != MODEL_CLAUDE)
        return sim->embed_ms;
    int64_t text_ms = (int64_t)((double)exchange->answer.output_tokens * 1000 / sim->tokens_per_s);
    return sim->first_token_ms + (exchange->is_stream ? 0 : text_ms);
}

static void exchange_refuse(exchange_t *exchange, const error_t *err)
{
    sim_refuse(exchange->sim, exchange->request, err->code == STATUS_INVALID_ARGUMENT ? 400 : 500, err->aws,
               err->message);
    exchange_free(exchange);
}

static void exchange_begin(sim_t *sim, http_request_t *request, const model_t *model, bool is_stream)
{
    exchange_t *exchange = calloc(1, sizeof *exchange);
    if (!exchange) {
        (void)sim_fault_refuse(sim, request, FAULT_INTERNAL);
        return;
    }
    *exchange = (exchange_t){.sim = sim, .request = request, .model = model, .is_stream = is_stream, .next = sim->live};
    exchange->start_us = clock_mono_us();
    arena_init(&exchange->arena, 0);
    if (sim->live)
        sim->live->prev = exchange;
    sim->live = exchange;
    if (++sim->stats.in_flight > sim->stats.in_flight_peak)
        sim->stats.in_flight_peak = sim->stats.in_flight;
    error_t err;
    if (!body_read(exchange, &err) ||
        !(model->kind == MODEL_CLAUDE ? claude_prepare(exchange, &err) : titan_prepare(exchange, &err))) {
        exchange_refuse(exchange, &err);
        return;
    }
    exchange->fault = fault_take(sim, model);
    if (sim_fault_refuse(sim, request, exchange->fault))
        exchange_free(exchange);
    else
        exchange_start(exchange, wait_ms(exchange));
}

/* -- in the order in which Bedrock looks --------------------------------------------------------- */
static void model_handle(sim_t *sim, http_request_t *request)
{
    char id[MODEL_ID_BYTES];
    bytes_t operation;
    error_t err;
    sim->stats.requests++;
    if (!path_read(http_request_raw_path(request), id, &operation)) {
        sim_refuse(sim, request, 404, "UnknownOperationException", "There is no such operation.");
        return;
    }
    bool is_stream = bytes_eq_cstr(operation, "invoke-with-response-stream");
    const model_t *model = model_find(bytes_cstr(id));
    if (!is_stream && !bytes_eq_cstr(operation, "invoke"))
        sim_refuse(sim, request, 404, "UnknownOperationException", "There is no such operation here.");
    else if (strcmp(http_request_method(request), "POST") != 0)
        sim_refuse(sim, request, 405, "UnknownOperationException", "Use POST.");
    else if (!is_signed(sim, request, &err))
        sim_refuse(sim, request, 403, err.aws, err.message);
    else if (http_request_body(request).len > SIM_BODY_MAX_BYTES)
        sim_refuse(sim, request, 413, "RequestEntityTooLargeException", "The body is larger than 25,000,000 bytes.");
    else if (!model)
        sim_refuse(sim, request, 404, "ResourceNotFoundException",
                   "Could not resolve the foundation model from the provided model identifier.");
    else if (!rate_admits(sim))
        (void)sim_fault_refuse(sim, request, FAULT_THROTTLING);
    else
        exchange_begin(sim, request, model, is_stream);
}

void sim_handle(void *ctx, http_request_t *request)
{
    sim_t *sim = ctx;
    const char *path = http_request_path(request);
    bool is_post = strcmp(http_request_method(request), "POST") == 0;
    if (strncmp(path, "/model/", 7) == 0)
        model_handle(sim, request);
    else if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0)
        http_respond_text(request, 200, "text/plain", "ok\n");
    else if (strcmp(path, "/metrics") == 0)
        sim_metrics(sim, request);
    else if (strcmp(path, "/sim/stats") == 0)
        sim_stats(sim, request);
    else if (strcmp(path, "/sim/control") == 0 && is_post)
        sim_control(sim, request);
    else
        sim_refuse(sim, request, 404, "UnknownOperationException", "There is nothing at this path.");
}

/* -- life ---------------------------------------------------------------------------------------- */
sim_t *sim_new(loop_t *loop, const sim_settings_t *settings, error_t *err)
{
    sim_t *sim = calloc(1, sizeof *sim);
    if (!sim) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    *sim = (sim_t){.loop = loop,
                   .settings = settings,
                   .first_token_ms = settings->first_token_ms,
                   .embed_ms = settings->embed_ms,
                   .rate_per_s = settings->rate_per_s,
                   .tokens_per_s = settings->tokens_per_s};
    return sim;
}

void sim_free(sim_t **self)
{
    sim_t *sim = *self;
    if (!sim)
        return;
    while (sim->live) {
        if (sim->live->has_begun)
            http_respond_end(sim->live->request);
        else
            (void)sim_fault_refuse(sim, sim->live->request, FAULT_UNAVAILABLE);
        exchange_free(sim->live);
    }
    free(sim);
    *self = NULL;
}
