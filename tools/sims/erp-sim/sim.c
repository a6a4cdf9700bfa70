/* sim.c: routes requests to the three backends and lets their answers leave when their time has come. */
#include "tools/sims/erp-sim/sim_internal.h"

#include <libxml/parser.h>
#include <stdlib.h>

#include "kit/clock.h"

#define JSON_TYPE "application/json"

struct answer {
    sim_t *sim;
    http_request_t *request;
    unsigned status;
    const char *content_type;
    buf_t body;
    loop_timer_t *timer;
    sim_answer_t *previous, *next;
};

/* -- answers -------------------------------------------------------------------------------------------- */
static void answer_send(http_request_t *request, unsigned status, const char *content_type, bytes_t body)
{
    const http_header_t headers[] = {{"Content-Type", content_type}, {"Retry-After", "1"}};
    http_respond(request, status, headers, status == 503 || status == 429 ? 2 : 1, body);
}

static void answer_finish(sim_answer_t *answer)
{
    answer_send(answer->request, answer->status, answer->content_type, buf_bytes(&answer->body));
    if (answer->previous)
        answer->previous->next = answer->next;
    else
        answer->sim->waiting = answer->next;
    if (answer->next)
        answer->next->previous = answer->previous;
    loop_timer_end(&answer->timer);
    buf_free(&answer->body);
    free(answer);
}

static void answer_due(void *ctx)
{
    answer_finish(ctx);
}

static sim_answer_t *answer_new(sim_t *sim, http_request_t *request)
{
    sim_answer_t *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    *answer = (sim_answer_t){.sim = sim, .request = request, .next = sim->waiting};
    answer->timer = loop_timer_new(sim->loop, answer_due, answer);
    if (!answer->timer) {
        free(answer);
        return NULL;
    }
    if (sim->waiting)
        sim->waiting->previous = answer;
    sim->waiting = answer;
    return answer;
}

void sim_answer(sim_t *sim, http_request_t *request, unsigned status, const char *content_type, buf_t *body,
                bool is_prompt)
{
    int64_t delay_us = is_prompt ? 0 : sim_latency_draw_us(&sim->latency);
    sim_answer_t *answer = delay_us > 0 ? answer_new(sim, request) : NULL;
    if (!answer) {
        answer_send(request, status, content_type, buf_bytes(body));
        buf_free(body);
        return;
    }
    answer->status = status;
    answer->content_type = content_type;
    answer->body = *body;
    *body = (buf_t){0};
    loop_timer_at(answer->timer, clock_mono_us() + delay_us);
}

/* -- the ERP ------------------------------------------------------------------------------------------- */
static sim_shop_t shop_of(const sim_t *sim)
{
    return (sim_shop_t){.catalogue = sim->catalogue, .stock = sim->stock, .text = sim->text};
}

static void fault_answer(sim_t *sim, http_request_t *request, unsigned status, sim_soap_t version,
                         const sim_fault_t *fault)
{
    sim_shop_t shop = shop_of(sim);
    buf_t body = {0};
    sim->stats.faults++;
    sim_soap_write_fault(&shop, version, fault, &body);
    sim_answer(sim, request, status, sim_soap_content_type(version), &body, status == 503);
}

static void count_operation(sim_stats_t *stats, const sim_soap_request_t *request)
{
    if (strcmp(request->operation, "GetStockLevel") == 0)
        stats->single++;
    else if (strcmp(request->operation, "GetBatchStockLevels") == 0) {
        stats->batch++;
        stats->isbns += request->isbn_count;
    } else if (strcmp(request->operation, "GetCatalogPage") == 0)
        stats->page++;
    else if (strcmp(request->operation, "GetProduct") == 0)
        stats->product++;
    else
        stats->other++;
}

/* True when the request was read, is allowed, and the dice did not want a fault. */
static bool erp_accepts(sim_t *sim, http_request_t *http, sim_soap_request_t *request, sim_fault_t *fault)
{
    if (!sim_soap_parse(sim->text, http_request_body(http), request, fault))
        return false;
    count_operation(&sim->stats, request);
    if (!sim_guard_admit(sim->guard, &request->credentials, clock_wall_us(), fault))
        return false;
    if (!sim_latency_chance(&sim->latency, sim->fault_rate))
        return true;
    sim->stats.injected++;
    return sim_fault_set(fault, false, "E900", "ORA-03113: 通信チャネルでファイルの終わりが検出されました");
}

static void handle_erp(sim_t *sim, http_request_t *http)
{
    sim_soap_request_t request = {0};
    sim_fault_t fault;
    if (!sim_gate_enter(&sim->gates[SIM_ERP], clock_mono_us())) {
        (void)sim_fault_set(&fault, false, "E503", "サーバー混雑中です。しばらくしてから再度実行してください");
        fault_answer(sim, http, 503, SIM_SOAP_11, &fault);
        return;
    }
    sim_shop_t shop = shop_of(sim);
    buf_t body = {0};
    if (erp_accepts(sim, http, &request, &fault) && sim_soap_answer(&shop, &request, &body, &fault)) {
        sim_answer(sim, http, 200, sim_soap_content_type(request.version), &body, false);
        return;
    }
    buf_free(&body);
    fault_answer(sim, http, 500, request.version, &fault);
}

/* -- the two REST systems --------------------------------------------------------------------------------- */
static bool rest_admitted(sim_t *sim, http_request_t *request, sim_backend_t backend)
{
    buf_t body = {0};
    if (!sim_gate_enter(&sim->gates[backend], clock_mono_us())) {
        buf_append_cstr(&body, "{\"error\":{\"code\":\"RATE_LIMITED\",\"message\":\"too many requests\"}}");
        sim_answer(sim, request, 429, JSON_TYPE, &body, true);
        return false;
    }
    if (!sim_latency_chance(&sim->latency, sim->fault_rate))
        return true;
    sim->stats.injected++;
    buf_append_cstr(&body, "{\"error\":{\"code\":\"INTERNAL\",\"message\":\"injected fault\"}}");
    sim_answer(sim, request, 500, JSON_TYPE, &body, false);
    return false;
}

static void handle_orders(sim_t *sim, http_request_t *request, const char *rest)
{
    buf_t body = {0};
    unsigned status;
    if (!rest_admitted(sim, request, SIM_ORDERS))
        return;
    if (*rest)
        status = sim_orders_get(sim->orders, rest + 1, &body);
    else
        status = sim_orders_list(sim->orders, http_request_query(request, "customer"),
                                 http_request_query(request, "limit"), http_request_query(request, "pageToken"), &body);
    sim_answer(sim, request, status, JSON_TYPE, &body, false);
}

static void handle_payments(sim_t *sim, http_request_t *request, const char *rest)
{
    buf_t body = {0};
    char id[64];
    unsigned status;
    const char *action = strchr(rest, '/');
    if (!rest_admitted(sim, request, SIM_PAYMENTS))
        return;
    (void)bytes_to_cstr(bytes_from(rest, action ? (size_t)(action - rest) : strlen(rest)), id, sizeof(id));
    if (!action)
        status = sim_payment_get(sim->orders, id, &body);
    else if (strcmp(action, "/refunds") == 0 && strcmp(http_request_method(request), "POST") == 0)
        status = sim_payment_refund(sim->orders, id, http_request_header(request, "Idempotency-Key"),
                                    http_request_body(request), &body);
    else {
        buf_append_cstr(&body, "{\"error\":{\"code\":\"not_found\",\"message\":\"no such path\"}}");
        status = 404;
    }
    sim_answer(sim, request, status, JSON_TYPE, &body, false);
}

/* -- routes ---------------------------------------------------------------------------------------------- */
static bool has_prefix(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static bool handle_own(sim_t *sim, http_request_t *request, const char *path)
{
    if (strcmp(path, "/sim/control") == 0)
        sim_handle_control(sim, request);
    else if (strcmp(path, "/sim/stats") == 0)
        sim_handle_stats(sim, request);
    else if (strcmp(path, "/metrics") == 0)
        sim_handle_metrics(sim, request);
    else if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0)
        http_respond_text(request, 200, "text/plain", "ok\n");
    else
        return false;
    return true;
}

static void handle_backend(sim_t *sim, http_request_t *request, const char *path)
{
    if (strcmp(path, "/health") == 0)
        http_respond_text(request, 200, "text/plain", "OK\n");
    else if (strcmp(path, "/soap/inventory") == 0 && strcmp(http_request_method(request), "POST") == 0)
        handle_erp(sim, request);
    else if (strcmp(path, "/api/v2/orders") == 0 || has_prefix(path, "/api/v2/orders/"))
        handle_orders(sim, request, path + strlen("/api/v2/orders"));
    else if (has_prefix(path, "/v1/payments/"))
        handle_payments(sim, request, path + strlen("/v1/payments/"));
    else
        http_respond_text(request, 404, "text/plain", "no such path\n");
}

void sim_handle(void *ctx, http_request_t *request)
{
    sim_t *sim = ctx;
    const char *path = http_request_path(request);
    if (handle_own(sim, request, path))
        return;
    if (sim->is_down) {
        sim->stats.while_down++;
        http_respond_text(request, 502, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>\n");
        return;
    }
    handle_backend(sim, request, path);
}

/* -- life ------------------------------------------------------------------------------------------------ */
static bool gates_make(sim_t *sim)
{
    sim->gates = calloc(SIM_BACKENDS, sizeof(*sim->gates));
    if (!sim->gates)
        return false;
    sim_gate_init(&sim->gates[SIM_ERP], (uint32_t)sim->settings->rate);
    sim_gate_init(&sim->gates[SIM_ORDERS], (uint32_t)sim->settings->order_rate);
    sim_gate_init(&sim->gates[SIM_PAYMENTS], (uint32_t)sim->settings->payment_rate);
    return true;
}

static bool parts_make(sim_t *sim)
{
    const sim_settings_t *settings = sim->settings;
    sim->stock = sim_stock_book_new((uint64_t)settings->seed);
    sim->orders = sim_orders_new(sim->catalogue, (uint64_t)settings->seed);
    sim->text = sim_text_new();
    sim->guard = sim_guard_new(settings->user, settings->password, settings->token);
    return sim->stock && sim->orders && sim->text && sim->guard && gates_make(sim);
}

sim_t *sim_new(loop_t *loop, const sim_settings_t *settings, error_t *err)
{
    sim_t *sim = calloc(1, sizeof(*sim));
    if (!sim)
        return NULL;
    *sim = (sim_t){.loop = loop, .settings = settings, .fault_rate = settings->fault_rate};
    sim->latency = (sim_latency_t){
        .seed = (uint64_t)settings->seed, .p50_ms = settings->latency_p50_ms, .p99_ms = settings->latency_p99_ms};
    xmlInitParser();
    sim->catalogue = sim_catalogue_new(settings->catalogue, (uint64_t)settings->seed, err);
    if (sim->catalogue && parts_make(sim))
        return sim;
    if (sim->catalogue)
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    sim_free(&sim);
    return NULL;
}

void sim_free(sim_t **sim)
{
    if (!*sim)
        return;
    while ((*sim)->waiting)
        answer_finish((*sim)->waiting);
    sim_guard_free(&(*sim)->guard);
    sim_text_free(&(*sim)->text);
    sim_orders_free(&(*sim)->orders);
    sim_stock_book_free(&(*sim)->stock);
    sim_catalogue_free(&(*sim)->catalogue);
    free((*sim)->gates);
    free(*sim);
    *sim = NULL;
}

size_t sim_works(const sim_t *sim)
{
    return sim_catalogue_works(sim->catalogue);
}

uint64_t sim_volumes(const sim_t *sim)
{
    return sim_catalogue_volumes(sim->catalogue);
}
