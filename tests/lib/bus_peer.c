/* bus_peer.c: a scripted broker for tests of the bus client. */
#include "tests/lib/bus_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#define TICK_MS 1
#define BIND_TRIES 200
#define BIND_WAIT_US 5000

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bus_peer: %s\n", what);
    abort();
}

/* -- frames in ------------------------------------------------------------------------------------- */
static bool pong(peer_t *peer, bytes_t frame)
{
    uint64_t verb, seq;
    if (!wire_peek(frame, &verb, &seq) || verb != WIRE_PING)
        return false;
    must(wire_decode(frame, peer->msg, NULL), "a PING that cannot be read");
    if (!peer->deaf) {
        wire_pong_t answer = {.number = peer->msg->ping.number};
        peer_say(peer, WIRE_PONG, seq, &answer);
    }
    return true;
}

static void keep(peer_t *peer, bytes_t frame)
{
    peer_frame_t *kept = calloc(1, sizeof *kept + frame.len);
    must(kept, "no memory");
    kept->len = frame.len;
    memcpy(kept->data, frame.data, frame.len);
    TAILQ_INSERT_TAIL(&peer->frames, kept, link);
}

static void on_frame(void *ctx, int events)
{
    (void)events;
    peer_t *peer = ctx;
    zmq_msg_t id, body;
    zmq_msg_init(&id);
    zmq_msg_init(&body);
    while (zmq_msg_recv(&id, peer->socket, ZMQ_DONTWAIT) >= 0) {
        must(zmq_msg_recv(&body, peer->socket, 0) >= 0 && !zmq_msg_more(&body), "not one frame");
        peer->client_len = zmq_msg_size(&id);
        memcpy(peer->client, zmq_msg_data(&id), peer->client_len);
        bytes_t frame = bytes_from(zmq_msg_data(&body), zmq_msg_size(&body));
        if (!pong(peer, frame))
            keep(peer, frame);
    }
    zmq_msg_close(&id);
    zmq_msg_close(&body);
}

static peer_frame_t *find(const peer_t *peer, wire_verb_t verb)
{
    peer_frame_t *frame;
    for (frame = TAILQ_FIRST(&peer->frames); frame; frame = TAILQ_NEXT(frame, link)) {
        uint64_t found, seq;
        must(wire_peek(bytes_from(frame->data, frame->len), &found, &seq), "a frame that cannot be read");
        if (found == verb)
            return frame;
    }
    return NULL;
}

bool peer_has(const peer_t *peer, wire_verb_t verb)
{
    return find(peer, verb) != NULL;
}

void peer_forget(peer_t *peer)
{
    for (peer_frame_t *frame; (frame = TAILQ_FIRST(&peer->frames));) {
        TAILQ_REMOVE(&peer->frames, frame, link);
        free(frame);
    }
}

/* -- running the loop -------------------------------------------------------------------------------- */
static void on_timeout(void *ctx)
{
    peer_t *peer = ctx;
    peer->timed_out = true;
    loop_stop(peer->loop);
}

static void on_tick(void *ctx)
{
    peer_t *peer = ctx;
    if (!peer->flag || *peer->flag >= peer->flag_least)
        loop_stop(peer->loop);
}

const wire_msg_t *peer_take(peer_t *peer, wire_verb_t verb)
{
    peer_frame_t *frame;
    peer->timed_out = false;
    loop_timer_in(peer->timeout, PEER_WAIT_MS);
    while (!(frame = find(peer, verb)) && !peer->timed_out) {
        peer->flag = NULL;
        loop_timer_in(peer->tick, TICK_MS);
        loop_run(peer->loop);
    }
    if (!frame)
        fprintf(stderr, "bus_peer: waited in vain for %s\n", wire_verb_name(verb));
    must(frame, "timeout");
    TAILQ_REMOVE(&peer->frames, frame, link);
    free(peer->taken);
    peer->taken = frame;
    must(wire_decode(bytes_from(frame->data, frame->len), peer->msg, NULL), "a frame that cannot be read");
    return peer->msg;
}

void peer_until(peer_t *peer, const int *flag, int least)
{
    peer->timed_out = false;
    peer->flag = flag;
    peer->flag_least = least;
    loop_timer_in(peer->timeout, PEER_WAIT_MS);
    loop_timer_every(peer->tick, TICK_MS);
    if (*flag < least)
        loop_run(peer->loop);
    loop_timer_off(peer->tick);
    must(!peer->timed_out, "waited in vain for a callback");
}

void peer_for(peer_t *peer, int64_t ms)
{
    static const int never = 0;
    peer->flag = &never;
    peer->flag_least = 1;
    loop_timer_in(peer->timeout, ms);
    loop_run(peer->loop);
}

/* -- frames out -------------------------------------------------------------------------------------- */
void peer_say_bytes(peer_t *peer, bytes_t frame)
{
    must(zmq_send(peer->socket, peer->client, peer->client_len, ZMQ_SNDMORE) >= 0, "cannot send");
    must(zmq_send(peer->socket, frame.data, frame.len, 0) >= 0, "cannot send");
}

void peer_say(peer_t *peer, wire_verb_t verb, uint64_t seq, const void *values)
{
    buf_clear(&peer->out);
    wire_encode_verb(&peer->out, verb, seq, values);
    must(!peer->out.failed, "cannot encode");
    peer_say_bytes(peer, buf_bytes(&peer->out));
}

void peer_error(peer_t *peer, uint64_t seq, status_t status, const char *name, const char *message)
{
    wire_error_t frame = {.status = status, .name = bytes_cstr(name), .message = bytes_cstr(message)};
    peer_say(peer, WIRE_ERROR, seq, &frame);
}

wire_welcome_t peer_welcome(const char *resume)
{
    return (wire_welcome_t){.protocol = WIRE_PROTOCOL,
                            .broker = BYTES_LIT("mangabus-broker-000001"),
                            .session = 1,
                            .resume = bytes_cstr(resume),
                            .grace_ms = 30000,
                            .heartbeat_ms = 2000,
                            .max_frame_bytes = WIRE_FRAME_MAX_BYTES,
                            .publish_window = 4096,
                            .publish_window_bytes = 16 << 20,
                            .delivery_window = 4096,
                            .delivery_window_bytes = 16 << 20,
                            .call_window = 1024,
                            .reply_window_bytes = 1 << 20,
                            .head = 41};
}

void peer_greet(peer_t *peer, const wire_welcome_t *welcome)
{
    uint64_t seq = peer_take(peer, WIRE_HELLO)->seq;
    peer_say(peer, WIRE_WELCOME, seq, welcome);
}

/* -- life -------------------------------------------------------------------------------------------- */
static void open_socket(peer_t *peer, const char *address)
{
    int linger = 0;
    size_t len = sizeof peer->endpoint;
    peer->socket = zmq_socket(peer->zmq, ZMQ_ROUTER);
    must(peer->socket && zmq_setsockopt(peer->socket, ZMQ_LINGER, &linger, sizeof linger) == 0, "no socket");
    int rc = zmq_bind(peer->socket, address);
    for (int i = 0; rc != 0 && i < BIND_TRIES; i++) { /* the old one is closed behind our back */
        (void)usleep(BIND_WAIT_US);
        rc = zmq_bind(peer->socket, address);
    }
    must(rc == 0 && zmq_getsockopt(peer->socket, ZMQ_LAST_ENDPOINT, peer->endpoint, &len) == 0, "cannot bind");
    peer->watch = loop_watch_zmq(peer->loop, peer->socket, on_frame, peer);
    must(peer->watch, "no memory");
}

static void close_socket(peer_t *peer)
{
    loop_watch_end(&peer->watch);
    zmq_close(peer->socket);
}

void peer_restart(peer_t *peer)
{
    char address[sizeof peer->endpoint];
    memcpy(address, peer->endpoint, sizeof address);
    close_socket(peer);
    open_socket(peer, address);
}

void peer_start(peer_t *peer)
{
    *peer = (peer_t){.loop = loop_new(NULL), .zmq = zmq_ctx_new(), .msg = malloc(sizeof(wire_msg_t))};
    TAILQ_INIT(&peer->frames);
    must(peer->loop && peer->zmq && peer->msg, "no memory");
    open_socket(peer, "tcp://127.0.0.1:*");
    peer->tick = loop_timer_new(peer->loop, on_tick, peer);
    peer->timeout = loop_timer_new(peer->loop, on_timeout, peer);
    must(peer->tick && peer->timeout, "no memory");
}

void peer_stop(peer_t *peer)
{
    peer_forget(peer);
    free(peer->taken);
    free(peer->msg);
    buf_free(&peer->out);
    close_socket(peer);
    loop_timer_end(&peer->tick);
    loop_timer_end(&peer->timeout);
    zmq_ctx_term(peer->zmq);
    loop_free(&peer->loop);
}

bus_t *peer_client(peer_t *peer, const char *producer)
{
    bus_options_t options = {.endpoint = peer->endpoint,
                             .instance = "tester-000001",
                             .version = "1",
                             .producer = producer,
                             .epoch = producer ? 7 : 0};
    bus_t *bus = bus_new(peer->loop, &options, NULL);
    must(bus, "cannot make a client");
    return bus;
}
