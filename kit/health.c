/* health.c: addresses of MANGABUS_HTTP, and the health check over kit's own HTTP client. */
#include "kit/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "kit/http_client.h"

#define HTTP_VARIABLE "MANGABUS_HTTP"
#define HEALTH_TIMEOUT_MS 2000
#define NOT_READY 1

bool health_address_parse(const char *text, health_address_t *out, error_t *err)
{
    const char *colon = strrchr(text, ':');
    bytes_t host = bytes_from(text, colon ? (size_t)(colon - text) : 0);
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = bytes_from(host.data + 1, host.len - 2);
    char *end = NULL;
    long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
    if (host.len == 0 || !bytes_to_cstr(host, out->host, sizeof out->host) || !end || *end || port < 0 ||
        port > UINT16_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         HTTP_VARIABLE " must be ADDRESS:PORT such as 127.0.0.1:7481, not '%s'", text);
    out->port = (uint16_t)port;
    return true;
}

typedef struct {
    loop_t *loop;
    const char *program;
    bool is_ready;
} check_t;

static void check_done(void *ctx, const http_result_t *result)
{
    check_t *check = ctx;
    check->is_ready = result->status == STATUS_OK && result->http_status == 200;
    if (result->status != STATUS_OK)
        (void)fprintf(stderr, "%s: %s\n", check->program, result->error);
    else if (!check->is_ready)
        (void)fprintf(stderr, "%s: %.*s\n", check->program, BYTES_FMT(result->body));
    loop_stop(check->loop);
}

/* Where one that listens everywhere is found from here. */
static const char *reachable(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int ask(const char *program, const health_address_t *address)
{
    char url[HEALTH_HOST_BYTES + 32];
    error_t err = {0};
    const char *host = reachable(address->host);
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(url, sizeof url, "http://%s%s%s:%u/readyz", v6 ? "[" : "", host, v6 ? "]" : "", address->port);
    check_t check = {.loop = loop_new(&err), .program = program};
    http_client_t *client = check.loop ? http_client_new(check.loop, &err) : NULL;
    http_call_t call = {
        .method = "GET", .url = url, .timeout_ms = HEALTH_TIMEOUT_MS, .on_done = check_done, .ctx = &check};
    (void)setenv("no_proxy", "*", 1); /* it asks itself */
    if (client && http_client_start(client, &call, &err))
        loop_run(check.loop);
    else
        (void)fprintf(stderr, "%s: %s\n", program, err.message);
    http_client_free(&client);
    loop_free(&check.loop);
    return check.is_ready ? EX_OK : NOT_READY;
}

int health_check(const char *program, const char *fallback)
{
    health_address_t address;
    error_t err = {0};
    const char *text = getenv(HTTP_VARIABLE);
    if (!text)
        text = fallback;
    if (!*text)
        (void)fprintf(stderr, "%s: " HTTP_VARIABLE " is empty: there is nothing to ask\n", program);
    else if (!health_address_parse(text, &address, &err))
        (void)fprintf(stderr, "%s: %s\n", program, err.message);
    else
        return ask(program, &address);
    return EX_CONFIG;
}
