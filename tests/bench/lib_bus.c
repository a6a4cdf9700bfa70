/* lib_bus.c: drives mangabus: publishing, the way from publishing to settling, and calls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/msgpack.h"
#include "proto/wire.h"
#include "tests/bench/lib_zmq.h"

#define HELLO_WAIT_MS 10000
#define TAKE_FRAMES 256      /* at once; then new ones are begun */
#define CREDIT_MESSAGES 4096 /* WELCOME.delivery_window */
#define CREDIT_BYTES (UINT64_C(16) << 20)
#define CREDIT_STEP 512 /* given back at once */

typedef struct {
    const load_options_t *options;
    void *zmq, *socket;
    char name[LOAD_NAME_BYTES];
    template_t frame;
    bool settles;
    wire_msg_t *in;
    wire_settle_t *settle;
    buf_t out;
    uint64_t unreturned; /* credit, in messages */
    uint64_t unreturned_bytes;
    worker_t worker;
    bool has_worker;
    wire_msg_t *asked; /* the worker's */
    buf_t reply;
} line_t;

/* -- frames -------------------------------------------------------------------------------------- */
static void say(buf_t *out, void *socket, wire_verb_t verb, uint64_t seq, const void *values)
{
    buf_clear(out);
    wire_encode_verb(out, verb, seq, values);
    dealer_send(socket, out->data, out->len);
}

static void refused(const wire_msg_t *msg)
{
    measure_die("the broker says %s: %.*s", wire_verb_name(msg->verb), BYTES_FMT(msg->error.message));
}

static void hear(void *socket, wire_msg_t *in, wire_verb_t wanted)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    zmq_msg_t msg;
    error_t err = {0};
    if (zmq_poll(&item, 1, HELLO_WAIT_MS) != 1)
        measure_die("the broker does not answer");
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, socket, 0) < 0 || !wire_decode(bytes_from(zmq_msg_data(&msg), zmq_msg_size(&msg)), in, &err))
        measure_die("a frame cannot be read: %s", err.message);
    if (in->verb != wanted)
        refused(in);
    zmq_msg_close(&msg);
}

static void greet(void *socket, buf_t *out, wire_msg_t *in, const char *name, const char *producer)
{
    const wire_hello_t hello = {.protocol = WIRE_PROTOCOL,
                                .name = bytes_cstr(name),
                                .producer = bytes_cstr(producer),
                                .epoch = *producer ? 1 : 0};
    say(out, socket, WIRE_HELLO, 1, &hello);
    hear(socket, in, WIRE_WELCOME);
}

/* -- a worker ------------------------------------------------------------------------------------ */
static line_t *line_of(worker_t *worker)
{
    return (line_t *)(void *)((char *)worker - offsetof(line_t, worker));
}

static void serve(worker_t *worker)
{
    line_t *line = line_of(worker);
    char name[LOAD_NAME_BYTES + 8];
    wire_serve_t *methods = calloc(1, sizeof *methods);
    if (!methods)
        measure_die("out of memory");
    (void)snprintf(name, sizeof name, "%s-worker", line->name);
    greet(worker->socket, &line->reply, line->asked, name, "");
    methods->methods.count = 1;
    methods->methods.items[0] = (wire_serve_entry_t){.method = BYTES_LIT("bench"), .capacity = 4096};
    say(&line->reply, worker->socket, WIRE_SERVE, 2, methods);
    free(methods);
}

static void answer(worker_t *worker, zmq_msg_t *msg)
{
    line_t *line = line_of(worker);
    wire_msg_t *asked = line->asked;
    error_t err = {0};
    if (!wire_decode(bytes_from(zmq_msg_data(msg), zmq_msg_size(msg)), asked, &err))
        measure_die("the worker cannot read a frame: %s", err.message);
    if (asked->verb == WIRE_ERROR)
        refused(asked);
    if (asked->verb != WIRE_CALL)
        return;
    const wire_reply_t reply = {
        .caller = asked->call.caller, .number = asked->call.number, .final = true, .body = asked->call.body};
    say(&line->reply, worker->socket, WIRE_REPLY, 0, &reply);
}

/* -- life ---------------------------------------------------------------------------------------- */
static void subscribe(line_t *line, unsigned nth)
{
    char queue[LOAD_NAME_BYTES];
    (void)snprintf(queue, sizeof queue, "bench-%u", nth);
    const wire_subscribe_t subscribe = {.sub = 1,
                                        .kind = WIRE_SUBSCRIBE_QUEUE,
                                        .target = bytes_cstr(queue),
                                        .visibility_ms = -1,
                                        .messages = CREDIT_MESSAGES,
                                        .bytes = CREDIT_BYTES};
    say(&line->out, line->socket, WIRE_SUBSCRIBE, 2, &subscribe);
    hear(line->socket, line->in, WIRE_SUBSCRIBED);
}

static void prepare(line_t *line, unsigned nth)
{
    const char *work = line->options->work;
    if (strcmp(work, "call") == 0) {
        template_call(&line->frame, line->options, line->name);
        line->worker = (worker_t){.options = line->options, .begin = serve, .answer = answer};
        line->has_worker = nth == 0;
        if (line->has_worker)
            worker_start(&line->worker, line->options->endpoint);
        return;
    }
    template_publish(&line->frame, line->options, nth);
    line->settles = strcmp(work, "settle") == 0;
    if (line->settles)
        subscribe(line, nth);
}

static void *line_open(const load_options_t *options, unsigned nth)
{
    line_t *line = calloc(1, sizeof *line);
    if (!line)
        measure_die("out of memory");
    *line = (line_t){.options = options,
                     .zmq = zmq_ctx_new(),
                     .in = calloc(1, sizeof *line->in),
                     .asked = calloc(1, sizeof *line->asked),
                     .settle = calloc(1, sizeof *line->settle)};
    if (!line->zmq || !line->in || !line->asked || !line->settle)
        measure_die("out of memory");
    (void)snprintf(line->name, sizeof line->name, "bench-%d-%u", (int)getpid() % 100000, nth);
    line->socket = dealer_open(line->zmq, options->endpoint, options);
    greet(line->socket, &line->out, line->in, line->name, line->name);
    prepare(line, nth);
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
    buf_free(&line->out);
    buf_free(&line->reply);
    free(line->in);
    free(line->asked);
    free(line->settle);
    free(line);
}

static void line_watch(void *connection, zmq_pollitem_t *item)
{
    const line_t *line = connection;
    *item = (zmq_pollitem_t){.socket = line->socket, .events = ZMQ_POLLIN};
}

/* -- load ---------------------------------------------------------------------------------------- */
static void line_start(void *connection)
{
    line_t *line = connection;
    template_next(&line->frame);
    dealer_send(line->socket, line->frame.bytes.data, line->frame.bytes.len);
}

/* Every entry of a PUBLISHED must have been accepted. */
static bool all_accepted(mp_reader_t *r)
{
    uint32_t results, fields;
    uint64_t status;
    if (!mp_get_array(r, &results))
        return false;
    for (uint32_t i = 0; i < results; i++) {
        if (!mp_get_array(r, &fields) || fields == 0 || !mp_get_u64(r, &status) || status != 0)
            return false;
        for (uint32_t k = 1; k < fields; k++)
            if (!mp_skip(r))
                return false;
    }
    return results > 0;
}

static void settle_all(line_t *line)
{
    const wire_deliver_t *deliver = &line->in->deliver;
    line->settle->entries.count = deliver->deliveries.count;
    for (uint32_t i = 0; i < deliver->deliveries.count; i++) {
        const wire_delivery_t *d = &deliver->deliveries.items[i];
        line->settle->entries.items[i] = (wire_settle_entry_t){.receipt = d->receipt, .action = WIRE_ACK};
        line->unreturned_bytes += d->body.len + d->attrs.len;
    }
    say(&line->out, line->socket, WIRE_SETTLE, 3, line->settle);
    line->unreturned += deliver->deliveries.count;
    if (line->unreturned < CREDIT_STEP)
        return;
    const wire_credit_t credit = {.sub = 1, .messages = line->unreturned, .bytes = line->unreturned_bytes};
    say(&line->out, line->socket, WIRE_CREDIT, 0, &credit);
    line->unreturned = line->unreturned_bytes = 0;
}

static unsigned settled_count(const wire_settled_t *settled)
{
    for (uint32_t i = 0; i < settled->results.count; i++)
        if (settled->results.items[i].status != 0)
            measure_die("a settlement was refused: %.*s", BYTES_FMT(settled->results.items[i].message));
    return settled->results.count;
}

static unsigned replied_count(const wire_reply_t *reply)
{
    if (reply->status != 0)
        measure_die("a call failed: %.*s", BYTES_FMT(reply->message));
    return 1;
}

/* The units that one frame ends. */
static unsigned take_frame(line_t *line, bytes_t frame)
{
    mp_reader_t r = mp_reader(frame);
    uint32_t elements;
    uint64_t verb = 0, seq;
    error_t err = {0};
    if (mp_get_array(&r, &elements) && mp_get_u64(&r, &verb) && mp_get_u64(&r, &seq) && verb == WIRE_PUBLISHED) {
        if (!all_accepted(&r))
            measure_die("an event was refused");
        return line->settles ? 0 : 1;
    }
    if (!wire_decode(frame, line->in, &err))
        measure_die("a frame cannot be read: %s", err.message);
    switch (line->in->verb) {
    case WIRE_DELIVER:
        settle_all(line);
        return 0;
    case WIRE_SETTLED:
        return settled_count(&line->in->settled);
    case WIRE_REPLY:
        return replied_count(&line->in->reply);
    case WIRE_ERROR:
        refused(line->in);
        return 0;
    default:
        return 0; /* PING */
    }
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

const load_peer_t load_bus = {
    .name = "bus", .open = line_open, .close = line_close, .start = line_start, .take = line_take, .watch = line_watch};
