/* lib_zmq.c: DEALER sockets, frames that are made once, a worker thread. */
#include "tests/bench/lib_zmq.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/wire.h"

#define HIGH_WATER 100000 /* above what is ever outstanding */

static void set_int(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        measure_die("zmq_setsockopt: %s", zmq_strerror(errno));
}

static void set_key(void *socket, int option, const char *key)
{
    if (zmq_setsockopt(socket, option, key, strlen(key)) != 0)
        measure_die("a key is not right: %s", zmq_strerror(errno));
}

void *dealer_open(void *zmq, const char *endpoint, const load_options_t *options)
{
    void *socket = zmq_socket(zmq, ZMQ_DEALER);
    if (!socket)
        measure_die("no socket: %s", zmq_strerror(errno));
    set_int(socket, ZMQ_SNDHWM, HIGH_WATER);
    set_int(socket, ZMQ_RCVHWM, HIGH_WATER);
    set_int(socket, ZMQ_LINGER, 0);
    if (options->server_key) {
        set_key(socket, ZMQ_CURVE_SERVERKEY, options->server_key);
        set_key(socket, ZMQ_CURVE_PUBLICKEY, options->own_public);
        set_key(socket, ZMQ_CURVE_SECRETKEY, options->own_secret);
    }
    if (zmq_connect(socket, endpoint) != 0)
        measure_die("%s: %s", endpoint, zmq_strerror(errno));
    return socket;
}

void dealer_send(void *socket, const void *data, size_t len)
{
    if (zmq_send(socket, data, len, 0) < 0)
        measure_die("zmq_send: %s", zmq_strerror(errno));
}

/* -- frames -------------------------------------------------------------------------------------- */
static void put_detail(buf_t *out, size_t filler_bytes)
{
    mp_put_map(out, 3);
    mp_put_cstr(out, "isbn");
    mp_put_cstr(out, "9784088725093");
    mp_put_cstr(out, "quantity");
    mp_put_u64(out, 42);
    mp_put_cstr(out, "note");
    mp_put_str_head(out, filler_bytes);
    for (size_t i = 0; i < filler_bytes; i++)
        buf_append_byte(out, (uint8_t)('a' + i % 26));
}

static size_t write_with(buf_t *out, unsigned nth, size_t filler_bytes)
{
    char type[LOAD_NAME_BYTES];
    buf_t detail = {0};
    error_t err;
    size_t before = out->len;
    (void)snprintf(type, sizeof type, "bench-%u", nth);
    put_detail(&detail, filler_bytes);
    envelope_t event = {.id = BYTES_LIT("0190163d-8694-739b-aea5-966c26f8ad91"),
                        .detail_type = bytes_cstr(type),
                        .source = BYTES_LIT("bench"),
                        .time = BYTES_LIT("2026-01-30T20:15:12Z"),
                        .detail = buf_bytes(&detail)};
    if (!envelope_write(out, &event, &err))
        measure_die("%s", err.message);
    buf_free(&detail);
    return out->len - before;
}

static void event_write(buf_t *out, const load_options_t *options, unsigned nth)
{
    size_t before = out->len, bare = write_with(out, nth, 0);
    out->len = before;
    (void)write_with(out, nth, options->bytes > bare ? options->bytes - bare : 0);
}

/* Where the next number stands that was written as the largest, and so with all its bytes. */
static size_t number_after(const buf_t *frame, size_t from)
{
    static const uint8_t largest[] = {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *found = memmem(frame->data + from, frame->len - from, largest, sizeof largest);
    if (found)
        return (size_t)(found + 1 - frame->data);
    measure_die("the frame has no room for a number");
}

static void template_make(template_t *frame, wire_verb_t verb, const void *values, unsigned step)
{
    *frame = (template_t){.step = step, .number = 1};
    wire_encode_verb(&frame->bytes, verb, UINT64_MAX, values);
    frame->seq_at = number_after(&frame->bytes, 0);
    frame->number_at = number_after(&frame->bytes, frame->seq_at);
}

void template_publish(template_t *frame, const load_options_t *options, unsigned nth)
{
    wire_publish_t *publish = calloc(1, sizeof *publish);
    buf_t event = {0};
    if (!publish || options->batch > WIRE_BATCH_MAX)
        measure_die("a batch has at most %d events", WIRE_BATCH_MAX);
    event_write(&event, options, nth);
    publish->bus = BYTES_LIT("bench");
    publish->producer_seq = UINT64_MAX;
    publish->entries.count = options->batch;
    for (unsigned i = 0; i < options->batch; i++)
        publish->entries.items[i].body = buf_bytes(&event);
    template_make(frame, WIRE_PUBLISH, publish, options->batch);
    buf_free(&event);
    free(publish);
}

void template_call(template_t *frame, const load_options_t *options, const char *caller)
{
    buf_t body = {0};
    put_detail(&body, options->bytes);
    const wire_call_t call = {.caller = bytes_cstr(caller),
                              .number = UINT64_MAX,
                              .method = BYTES_LIT("bench"),
                              .deadline_ms = 60000,
                              .body = buf_bytes(&body)};
    template_make(frame, WIRE_CALL, &call, 1);
    buf_free(&body);
}

void template_next(template_t *frame)
{
    uint64_t seq = htobe64(++frame->seq), number = htobe64(frame->number);
    memcpy(frame->bytes.data + frame->seq_at, &seq, sizeof seq);
    memcpy(frame->bytes.data + frame->number_at, &number, sizeof number);
    frame->number += frame->step;
}

/* -- a worker ------------------------------------------------------------------------------------ */
static void *worker_main(void *arg)
{
    worker_t *worker = arg;
    zmq_msg_t msg;
    worker->begin(worker);
    for (;;) {
        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, worker->socket, 0) >= 0)
            worker->answer(worker, &msg);
        else if (errno != EINTR)
            break; /* the context ends */
        zmq_msg_close(&msg);
    }
    zmq_msg_close(&msg);
    zmq_close(worker->socket);
    return NULL;
}

void worker_start(worker_t *worker, const char *endpoint)
{
    worker->zmq = zmq_ctx_new();
    worker->socket = dealer_open(worker->zmq, endpoint, worker->options);
    if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
        measure_die("no thread for a worker");
}

void worker_stop(worker_t *worker)
{
    zmq_ctx_shutdown(worker->zmq);
    pthread_join(worker->thread, NULL);
    zmq_ctx_term(worker->zmq);
}
