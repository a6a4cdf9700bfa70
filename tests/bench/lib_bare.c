/* lib_bare.c: drives bench_bare: the frames of mangabus, to a program that does nothing with them that it need not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib_bare.h"
#include "tests/bench/lib_zmq.h"

#define TAKE_FRAMES 256

typedef struct {
    void *zmq, *socket;
    template_t frame;
    buf_t call; /* the frame behind room for the caller's routing id */
    worker_t worker;
    bool has_worker, calls, settles;
    buf_t settlement;
} line_t;

/* So that the forwarder knows whom to send to. */
static void introduce(worker_t *worker)
{
    dealer_send(worker->socket, "", 0);
}

static void echo(worker_t *worker, zmq_msg_t *msg)
{
    if (zmq_msg_send(msg, worker->socket, 0) < 0 && errno != ETERM)
        measure_die("zmq_msg_send: %s", zmq_strerror(errno));
}

static void *line_open(const load_options_t *options, unsigned nth)
{
    line_t *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->zmq = zmq_ctx_new();
    line->calls = strcmp(options->work, "call") == 0;
    line->settles = strcmp(options->work, "settle") == 0;
    if (line->calls) {
        template_call(&line->frame, options, "bench");
        line->worker = (worker_t){.options = options, .begin = introduce, .answer = echo};
        line->has_worker = nth == 0;
        if (line->has_worker)
            worker_start(&line->worker, options->worker_endpoint);
    } else {
        template_publish(&line->frame, options, nth);
    }
    line->socket = dealer_open(line->zmq, options->endpoint, options);
    return line;
}

static void line_close(void *connection)
{
    line_t *line = connection;
    if (line->has_worker)
        worker_stop(&line->worker);
    zmq_close(line->socket);
    zmq_ctx_term(line->zmq);
    buf_free(&line->frame.bytes);
    buf_free(&line->call);
    buf_free(&line->settlement);
    free(line);
}

static void line_start(void *connection)
{
    static const uint8_t room[BARE_ID_BYTES];
    line_t *line = connection;
    buf_t *out = &line->frame.bytes;
    template_next(&line->frame);
    if (line->calls) {
        out = &line->call;
        buf_clear(out);
        buf_append(out, room, sizeof room);
        buf_append_bytes(out, buf_bytes(&line->frame.bytes));
    }
    dealer_send(line->socket, out->data, out->len);
}

static void settle(line_t *line, uint32_t count)
{
    static const uint8_t begin = BARE_SETTLE, receipt[BARE_RECEIPT_BYTES];
    buf_clear(&line->settlement);
    buf_append(&line->settlement, &begin, 1);
    buf_append(&line->settlement, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        buf_append(&line->settlement, receipt, sizeof receipt);
    dealer_send(line->socket, line->settlement.data, line->settlement.len);
}

/* The units that one frame ends. */
static unsigned take_frame(line_t *line, bytes_t frame)
{
    uint32_t count;
    if (!line->settles)
        return 1;
    if (frame.len < BARE_TAG_BYTES || frame.data[0] == 0)
        return 0; /* the event is on the disk */
    memcpy(&count, frame.data + 1, sizeof count);
    if (frame.data[0] == BARE_SETTLED)
        return count;
    settle(line, count);
    return 0;
}

static unsigned line_take(void *connection)
{
    line_t *line = connection;
    unsigned ended = 0;
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    for (int i = 0; i < TAKE_FRAMES && zmq_msg_recv(&msg, line->socket, ZMQ_DONTWAIT) >= 0; i++)
        ended += take_frame(line, bytes_from(zmq_msg_data(&msg), zmq_msg_size(&msg)));
    zmq_msg_close(&msg);
    return ended;
}

static void line_watch(void *connection, zmq_pollitem_t *item)
{
    const line_t *line = connection;
    *item = (zmq_pollitem_t){.socket = line->socket, .events = ZMQ_POLLIN};
}

const load_peer_t load_bare = {.name = "bare",
                               .open = line_open,
                               .close = line_close,
                               .start = line_start,
                               .take = line_take,
                               .watch = line_watch};
