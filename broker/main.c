/* main.c: the broker's command line: run, or say what it can be told, or ask the one that runs whether it is well. */
#include <curl/curl.h>
#include <czmq.h>
#include <stdio.h>
#include <string.h>

#include "broker/front.h"
#include "broker/observe.h"
#include "gen/version.h"

#define PROGRAM "mangabus-broker"
#define EXIT_NO 1
#define EXIT_USAGE 64
#define HEALTH_TIMEOUT_MS 2000L
#define HTTP_OK 200

static int print_help(FILE *to, int status)
{
    buf_t text = {0};
    config_table_t table = options_table();
    buf_append_cstr(&text, "mangabus-broker: the message backbone: buses, queues and calls over ZeroMQ, on disk.\n\n"
                           "  mangabus-broker               run until SIGTERM\n"
                           "  mangabus-broker healthcheck   exit 0 when the one that runs here is ready\n"
                           "  mangabus-broker --help | --version\n\n"
                           "It is told everything by the environment:\n\n");
    config_help(&table, 1, &text);
    buf_append_cstr(&text, "\nExit codes: 0 stopped as asked, 64 wrong usage, 69 cannot listen, 74 the disk failed,\n"
                           "75 another broker has the journal, 78 wrong configuration.\n");
    fputs(buf_cstr(&text), to);
    buf_free(&text);
    return status;
}

static int print_section(void)
{
    buf_t text = {0};
    config_table_t table = options_table();
    config_section(PROGRAM, "The message backbone.", &table, 1, &text);
    fputs(buf_cstr(&text), stdout);
    buf_free(&text);
    return 0;
}

static size_t ignore_body(char *data UNUSED, size_t size, size_t count, void *ctx UNUSED)
{
    return size * count;
}

static long http_status(const char *url)
{
    long status = 0;
    CURL *curl = curl_easy_init();
    if (!curl)
        return 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, HEALTH_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
}

static const char *reachable(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "*") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int healthcheck(const options_t *options)
{
    char host[256], url[512];
    uint16_t port;
    if (!observe_parse_address(options->http, host, sizeof host, &port) || port == 0) {
        fprintf(stderr, "%s: MANGABUS_HTTP=\"%s\" names no port to ask\n", PROGRAM, options->http);
        return EXIT_NO;
    }
    const char *to = reachable(host);
    snprintf(url, sizeof url, strchr(to, ':') ? "http://[%s]:%u/readyz" : "http://%s:%u/readyz", to, port);
    long status = http_status(url);
    if (status == HTTP_OK)
        return 0;
    fprintf(stderr, "%s: %s answers %ld\n", PROGRAM, url, status);
    return EXIT_NO;
}

static int with_options(int (*fn)(const options_t *options))
{
    options_t options = {0};
    error_t err = {0};
    if (!options_load(&options, &err)) {
        fprintf(stderr, "%s: %s\n", PROGRAM, err.message);
        options_free(&options);
        return FRONT_CONFIG;
    }
    int status = fn(&options);
    options_free(&options);
    return status;
}

int main(int argc, char **argv)
{
    zsys_handler_set(NULL); /* czmq's own signal handlers stay off; kit/loop has ours */
    if (argc == 1)
        return with_options(front_run);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help(stdout, 0);
    if (argc == 2 && strcmp(argv[1], "--config-markdown") == 0)
        return print_section();
    if (argc == 2 && strcmp(argv[1], "healthcheck") == 0)
        return with_options(healthcheck);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts(PROGRAM " " MANGABUS_VERSION) < 0;
    return print_help(stderr, EXIT_USAGE);
}
