/* lib_zmq.h: the DEALER sockets of load generators, the frames that they send over and over, and a worker. */
#ifndef TESTS_BENCH_LIB_ZMQ_H
#define TESTS_BENCH_LIB_ZMQ_H

#include <pthread.h>

#include "proto/bytes.h"
#include "tests/bench/lib_load.h"

/* A frame of which two numbers change: its seq, and the sequence of its producer or the number of its call. Both are
 * written with all their bytes, so that a new frame is two copies of eight bytes. */
typedef struct {
    buf_t bytes;
    size_t seq_at, number_at;
    uint64_t seq, number;
    unsigned step; /* by which the number grows */
} template_t;

/* PUBLISH with options->batch events of about options->bytes each, of detail-type "bench-NTH". */
void template_publish(template_t *frame, const load_options_t *options, unsigned nth);
/* CALL of method "bench" under this caller's name, with a body of options->bytes. */
void template_call(template_t *frame, const load_options_t *options, const char *caller);
/* The next frame, in frame->bytes. */
void template_next(template_t *frame);

/* A connected DEALER, with CURVE where the options have keys; ends the process on failure. */
void *dealer_open(void *zmq, const char *endpoint, const load_options_t *options);
/* Blocks until the frame is taken. */
void dealer_send(void *socket, const void *data, size_t len);

/* A thread with a socket and a context of its own, as another process would have them. */
typedef struct worker {
    const load_options_t *options;
    void *zmq, *socket;
    void (*begin)(struct worker *worker);                  /* says what must be said first */
    void (*answer)(struct worker *worker, zmq_msg_t *msg); /* one message; what `msg` holds in the end is closed */
    pthread_t thread;
} worker_t;

/* Sets socket and context, and runs until worker_stop. */
void worker_start(worker_t *worker, const char *endpoint);
void worker_stop(worker_t *worker);

#endif
