/* bench_load.c: one load on one peer, told as one line of JSON: bench_load PEER WORK ENDPOINT [NAME=VALUE]... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "tests/bench/lib_load.h"

#define USAGE                                                                                                          \
    "usage: bench_load bus|bare|redis|nats|amqp|beanstalk publish|settle|call tcp://HOST:PORT\n"                       \
    "  connections=1 outstanding=1 batch=1 bytes=512 seconds=1 warm=0.3 server=PID queue=quorum\n"                     \
    "  workers=ENDPOINT server_key=Z85 public_key=Z85 secret_key=Z85"

static const load_peer_t *peer_named(const char *name)
{
    static const load_peer_t *const peers[] = {&load_bus,  &load_bare, &load_redis,
                                               &load_nats, &load_amqp, &load_beanstalk};
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        if (strcmp(peers[i]->name, name) == 0)
            return peers[i];
    measure_die(USAGE);
}

typedef struct {
    const char *name;
    unsigned *number;
    double *real;
    const char **text;
} setting_t;

static void set_one(const setting_t *settings, size_t count, const char *argument)
{
    const char *value = strchr(argument, '=');
    for (size_t i = 0; value && i < count; i++) {
        size_t len = strlen(settings[i].name);
        if (len != (size_t)(value - argument) || memcmp(argument, settings[i].name, len) != 0)
            continue;
        if (settings[i].number)
            *settings[i].number = (unsigned)strtoul(value + 1, NULL, 10);
        if (settings[i].real)
            *settings[i].real = strtod(value + 1, NULL);
        if (settings[i].text)
            *settings[i].text = value + 1;
        return;
    }
    measure_die("%s?\n" USAGE, argument);
}

static void parse(int argc, char **argv, load_options_t *o)
{
    unsigned server = 0;
    const setting_t settings[] = {
        {.name = "connections", .number = &o->connections},
        {.name = "outstanding", .number = &o->outstanding},
        {.name = "batch", .number = &o->batch},
        {.name = "bytes", .number = &o->bytes},
        {.name = "seconds", .real = &o->seconds},
        {.name = "warm", .real = &o->warm_s},
        {.name = "server", .number = &server},
        {.name = "queue", .text = &o->queue},
        {.name = "workers", .text = &o->worker_endpoint},
        {.name = "server_key", .text = &o->server_key},
        {.name = "public_key", .text = &o->own_public},
        {.name = "secret_key", .text = &o->own_secret},
    };
    for (int i = 4; i < argc; i++)
        set_one(settings, ARRAY_LEN(settings), argv[i]);
    o->server = (pid_t)server;
}

int main(int argc, char **argv)
{
    load_result_t r;
    if (argc < 4)
        measure_die(USAGE);
    load_options_t o = {.work = argv[2],
                        .endpoint = argv[3],
                        .queue = "quorum",
                        .connections = 1,
                        .outstanding = 1,
                        .batch = 1,
                        .bytes = 512,
                        .seconds = 1,
                        .warm_s = 0.3};
    parse(argc, argv, &o);
    load_run(peer_named(argv[1]), &o, &r);
    printf("{\"per_s\": %.1f, \"messages\": %llu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"server_cpu\": %.3f, \"client_cpu\": %.3f, \"server_cpu_us_a_message\": %.3f}\n",
           (double)r.units * o.batch / r.seconds, (unsigned long long)r.units * o.batch, r.seconds, r.p50_us, r.p99_us,
           r.server_cpu_s / r.seconds, r.own_cpu_s / r.seconds,
           r.units ? r.server_cpu_s * 1e6 / ((double)r.units * o.batch) : 0.0);
    return 0;
}
