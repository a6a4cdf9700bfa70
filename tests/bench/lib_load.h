/* lib_load.h: keeps a number of units in flight at some peer for a while, and says how many came back.
 *
 * A unit is what is answered as one: a frame of events, a message's way to its settlement, a call. One thread drives
 * all connections, so that the load costs little beside what is measured on a small machine. */
#ifndef TESTS_BENCH_LIB_LOAD_H
#define TESTS_BENCH_LIB_LOAD_H

#include <zmq.h>

#include "tests/bench/lib_measure.h"

#define LOAD_CONNECTIONS_MAX 64
#define LOAD_NAME_BYTES 32

typedef struct {
    const char *endpoint;        /* tcp://HOST:PORT */
    const char *worker_endpoint; /* bare: where workers connect */
    const char *server_key;      /* CURVE: of the server, Z85; NULL for none */
    const char *own_public, *own_secret;
    const char *work;  /* what a unit is: publish, settle, call */
    const char *queue; /* AMQP: the kind of queue */
    unsigned connections;
    unsigned outstanding; /* units in flight on each connection */
    unsigned batch;       /* messages in a unit */
    unsigned bytes;       /* of a message */
    double seconds, warm_s;
    pid_t server; /* whose CPU time is told */
} load_options_t;

/* What drives one peer. Failures end the process. */
typedef struct {
    const char *name;
    /* Connects and does what must be done once; blocks. */
    void *(*open)(const load_options_t *options, unsigned nth);
    void (*close)(void *connection);
    /* Begins one unit; may only gather it. */
    void (*start)(void *connection);
    /* Hands over what was gathered; NULL where start does. */
    void (*flush)(void *connection);
    /* Takes what has arrived, without blocking; returns the units that ended, in the order of their beginning. */
    unsigned (*take)(void *connection);
    void (*watch)(void *connection, zmq_pollitem_t *item);
} load_peer_t;

typedef struct {
    uint64_t units;
    double seconds;
    double server_cpu_s, own_cpu_s;
    double p50_us, p99_us;
} load_result_t;

void load_run(const load_peer_t *peer, const load_options_t *options, load_result_t *result);

extern const load_peer_t load_bus, load_bare, load_redis, load_nats, load_amqp, load_beanstalk;

#endif
