/* lib_amqp.c: drives RabbitMQ by AMQP 0-9-1: publishing with confirms, and a consumer that acknowledges.
 *
 * Source: the AMQP 0-9-1 specification and RabbitMQ's extension confirm.select. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib_load.h"
#include "tests/bench/lib_stream.h"

#define FRAME_METHOD 1
#define FRAME_HEADER 2
#define FRAME_BODY 3
#define FRAME_END 0xCE
#define FRAME_HEAD_BYTES 7
#define PREFETCH 2000

/* Class in the high half, method in the low one. */
typedef enum {
    CONNECTION_START = 10 << 16 | 10,
    CONNECTION_START_OK = 10 << 16 | 11,
    CONNECTION_TUNE = 10 << 16 | 30,
    CONNECTION_TUNE_OK = 10 << 16 | 31,
    CONNECTION_OPEN = 10 << 16 | 40,
    CONNECTION_OPEN_OK = 10 << 16 | 41,
    CONNECTION_CLOSE = 10 << 16 | 50,
    CHANNEL_OPEN = 20 << 16 | 10,
    CHANNEL_OPEN_OK = 20 << 16 | 11,
    CHANNEL_CLOSE = 20 << 16 | 40,
    QUEUE_DECLARE = 50 << 16 | 10,
    QUEUE_DECLARE_OK = 50 << 16 | 11,
    BASIC_QOS = 60 << 16 | 10,
    BASIC_QOS_OK = 60 << 16 | 11,
    BASIC_CONSUME = 60 << 16 | 20,
    BASIC_CONSUME_OK = 60 << 16 | 21,
    BASIC_PUBLISH = 60 << 16 | 40,
    BASIC_DELIVER = 60 << 16 | 60,
    BASIC_ACK = 60 << 16 | 80,
    BASIC_NACK = 60 << 16 | 120,
    CONFIRM_SELECT = 85 << 16 | 10,
    CONFIRM_SELECT_OK = 85 << 16 | 11,
} method_t;

typedef struct {
    stream_t stream;
    const load_options_t *options;
    char queue[LOAD_NAME_BYTES];
    buf_t one; /* one publish */
    bool settles;
    uint64_t confirmed, delivered; /* newest tags */
    unsigned unanswered;           /* of a unit's messages */
} amqp_t;

typedef struct {
    unsigned type;
    bytes_t payload;
    uint32_t method; /* of a FRAME_METHOD */
} frame_t;

/* -- writing ------------------------------------------------------------------------------------- */
static void put_number(buf_t *out, uint64_t value, size_t bytes)
{
    uint64_t wire = htobe64(value);
    buf_append(out, (const uint8_t *)&wire + (sizeof wire - bytes), bytes);
}

static void put_short_text(buf_t *out, const char *text)
{
    put_number(out, strlen(text), 1);
    buf_append_cstr(out, text);
}

static size_t frame_begin(buf_t *out, unsigned type, unsigned channel)
{
    put_number(out, type, 1);
    put_number(out, channel, 2);
    put_number(out, 0, 4);
    return out->len;
}

static void frame_end(buf_t *out, size_t begun)
{
    uint32_t wire = htobe32((uint32_t)(out->len - begun));
    memcpy(out->data + begun - sizeof wire, &wire, sizeof wire);
    put_number(out, FRAME_END, 1);
}

static size_t method_begin(buf_t *out, unsigned channel, method_t method)
{
    size_t begun = frame_begin(out, FRAME_METHOD, channel);
    put_number(out, (uint32_t)method, 4);
    return begun;
}

/* -- reading ------------------------------------------------------------------------------------- */
static uint64_t get_number(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

static bool next_frame(amqp_t *amqp, frame_t *frame)
{
    bytes_t rest = stream_rest(&amqp->stream);
    if (rest.len < FRAME_HEAD_BYTES)
        return false;
    size_t bytes = (size_t)get_number(rest.data + 3, 4);
    if (rest.len < FRAME_HEAD_BYTES + bytes + 1)
        return false;
    *frame = (frame_t){.type = rest.data[0], .payload = bytes_from(rest.data + FRAME_HEAD_BYTES, bytes)};
    if (frame->type == FRAME_METHOD && bytes >= 4)
        frame->method = (uint32_t)get_number(frame->payload.data, 4);
    stream_skip(&amqp->stream, FRAME_HEAD_BYTES + bytes + 1);
    if (frame->method == CONNECTION_CLOSE || frame->method == CHANNEL_CLOSE || frame->method == BASIC_NACK)
        measure_die("RabbitMQ refuses: %.*s", (int)(bytes > 7 ? bytes - 7 : 0), (const char *)frame->payload.data + 7);
    return true;
}

static void ask(amqp_t *amqp, size_t begun, method_t answer)
{
    frame_t frame = {0};
    if (begun)
        frame_end(&amqp->stream.out, begun);
    stream_flush(&amqp->stream);
    while (frame.method != (uint32_t)answer)
        if (!next_frame(amqp, &frame))
            stream_wait(&amqp->stream);
}

/* -- greeting ------------------------------------------------------------------------------------ */
static void log_in(amqp_t *amqp)
{
    buf_t *out = &amqp->stream.out;
    buf_append(out, "AMQP\0\0\11\1", 8);
    ask(amqp, 0, CONNECTION_START);
    size_t begun = method_begin(out, 0, CONNECTION_START_OK);
    put_number(out, 0, 4); /* no properties */
    put_short_text(out, "PLAIN");
    put_number(out, 12, 4);
    buf_append(out, "\0guest\0guest", 12);
    put_short_text(out, "en_US");
    ask(amqp, begun, CONNECTION_TUNE);
    begun = method_begin(out, 0, CONNECTION_TUNE_OK);
    put_number(out, 16, 2);
    put_number(out, 131072, 4);
    put_number(out, 0, 2); /* no heartbeats */
    frame_end(out, begun);
    begun = method_begin(out, 0, CONNECTION_OPEN);
    put_short_text(out, "/");
    put_short_text(out, "");
    put_number(out, 0, 1);
    ask(amqp, begun, CONNECTION_OPEN_OK);
    begun = method_begin(out, 1, CHANNEL_OPEN);
    put_short_text(out, "");
    ask(amqp, begun, CHANNEL_OPEN_OK);
}

static void declare_queue(amqp_t *amqp)
{
    static const char key[] = "x-queue-type";
    buf_t *out = &amqp->stream.out;
    const char *kind = amqp->options->queue;
    size_t begun = method_begin(out, 1, QUEUE_DECLARE);
    put_number(out, 0, 2);
    put_short_text(out, amqp->queue);
    put_number(out, 2, 1); /* durable */
    put_number(out, 1 + strlen(key) + 1 + 4 + strlen(kind), 4);
    put_short_text(out, key);
    buf_append_byte(out, 'S');
    put_number(out, strlen(kind), 4);
    buf_append_cstr(out, kind);
    ask(amqp, begun, QUEUE_DECLARE_OK);
    begun = method_begin(out, 1, CONFIRM_SELECT);
    put_number(out, 0, 1);
    ask(amqp, begun, CONFIRM_SELECT_OK);
}

static void consume(amqp_t *amqp)
{
    buf_t *out = &amqp->stream.out;
    size_t begun = method_begin(out, 1, BASIC_QOS);
    put_number(out, 0, 4);
    put_number(out, PREFETCH, 2);
    put_number(out, 0, 1);
    ask(amqp, begun, BASIC_QOS_OK);
    begun = method_begin(out, 1, BASIC_CONSUME);
    put_number(out, 0, 2);
    put_short_text(out, amqp->queue);
    put_short_text(out, "");
    put_number(out, 0, 1); /* it acknowledges */
    put_number(out, 0, 4);
    ask(amqp, begun, BASIC_CONSUME_OK);
}

static void make_publish(amqp_t *amqp)
{
    buf_t *out = &amqp->one;
    size_t begun = method_begin(out, 1, BASIC_PUBLISH);
    put_number(out, 0, 2);
    put_short_text(out, "");
    put_short_text(out, amqp->queue);
    put_number(out, 0, 1);
    frame_end(out, begun);
    begun = frame_begin(out, FRAME_HEADER, 1);
    put_number(out, 60, 2);
    put_number(out, 0, 2);
    put_number(out, amqp->options->bytes, 8);
    put_number(out, 0x1000, 2); /* a delivery mode follows */
    put_number(out, 2, 1);      /* persistent */
    frame_end(out, begun);
    begun = frame_begin(out, FRAME_BODY, 1);
    for (unsigned i = 0; i < amqp->options->bytes; i++)
        buf_append_byte(out, 'x');
    frame_end(out, begun);
}

/* -- load ---------------------------------------------------------------------------------------- */
static void *amqp_open(const load_options_t *options, unsigned nth)
{
    amqp_t *amqp = calloc(1, sizeof *amqp);
    if (!amqp)
        return NULL;
    amqp->options = options;
    amqp->settles = strcmp(options->work, "settle") == 0;
    (void)snprintf(amqp->queue, sizeof amqp->queue, "bench-%.8s-%u", options->queue, nth);
    stream_open(&amqp->stream, options->endpoint);
    log_in(amqp);
    declare_queue(amqp);
    if (amqp->settles)
        consume(amqp);
    make_publish(amqp);
    return amqp;
}

static void amqp_close(void *connection)
{
    amqp_t *amqp = connection;
    stream_close(&amqp->stream);
    buf_free(&amqp->one);
    free(amqp);
}

static void amqp_start(void *connection)
{
    amqp_t *amqp = connection;
    for (unsigned i = 0; i < amqp->options->batch; i++)
        buf_append_bytes(&amqp->stream.out, buf_bytes(&amqp->one));
}

static void amqp_flush(void *connection)
{
    amqp_t *amqp = connection;
    stream_flush(&amqp->stream);
}

/* Units whose publishing is confirmed. Confirms may come in any order; what counts is how many. */
static unsigned on_confirm(amqp_t *amqp, const frame_t *frame)
{
    uint64_t tag = get_number(frame->payload.data + 4, 8);
    bool several = frame->payload.data[12] & 1;
    unsigned count = several ? (unsigned)(tag - amqp->confirmed) : 1;
    amqp->confirmed = several ? tag : amqp->confirmed + 1;
    if (amqp->settles)
        return 0;
    amqp->unanswered += count;
    unsigned ended = amqp->unanswered / amqp->options->batch;
    amqp->unanswered %= amqp->options->batch;
    return ended;
}

static uint64_t delivery_tag(const frame_t *frame)
{
    size_t consumer_bytes = frame->payload.data[4];
    return get_number(frame->payload.data + 5 + consumer_bytes, 8);
}

/* One acknowledgement for all that came at once. */
static unsigned acknowledge(amqp_t *amqp, uint64_t tag)
{
    buf_t *out = &amqp->stream.out;
    unsigned count = (unsigned)(tag - amqp->delivered);
    if (count == 0)
        return 0;
    amqp->delivered = tag;
    size_t begun = method_begin(out, 1, BASIC_ACK);
    put_number(out, tag, 8);
    put_number(out, 1, 1);
    frame_end(out, begun);
    return count;
}

static unsigned amqp_take(void *connection)
{
    amqp_t *amqp = connection;
    uint64_t tag = amqp->delivered;
    unsigned ended = 0;
    frame_t frame;
    stream_fill(&amqp->stream);
    while (next_frame(amqp, &frame)) {
        if (frame.method == BASIC_ACK)
            ended += on_confirm(amqp, &frame);
        else if (frame.method == BASIC_DELIVER)
            tag = delivery_tag(&frame);
    }
    ended += acknowledge(amqp, tag);
    stream_flush(&amqp->stream);
    return ended;
}

static void amqp_watch(void *connection, zmq_pollitem_t *item)
{
    const amqp_t *amqp = connection;
    stream_watch(&amqp->stream, item);
}

const load_peer_t load_amqp = {.name = "amqp",
                               .open = amqp_open,
                               .close = amqp_close,
                               .start = amqp_start,
                               .flush = amqp_flush,
                               .take = amqp_take,
                               .watch = amqp_watch};
