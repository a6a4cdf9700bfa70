/* bus_link.c: the socket and the session on it: connect, HELLO, heartbeats, back-off, frames in and out.
 *
 * ZeroMQ reconnects TCP by itself, but the broker then sees a stranger, so a lost session gets a new socket:
 * nothing that was queued for the old one can then arrive late. Its own heartbeats stay off (they abort the
 * process when a pipe is full, libzmq #4767); ours are PING and PONG. */
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define US_PER_MS 1000
#define RECONNECT_MS 100
#define RECONNECT_MAX_MS 500

/* -- socket ------------------------------------------------------------------------------------------------ */
static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_key(void *socket, int option, const char *z85)
{
    return zmq_setsockopt(socket, option, z85, BUS_KEY_CHARS + 1) == 0;
}

static bool set_options(const bus_t *bus, void *socket)
{
    bool ok = set_int(socket, ZMQ_LINGER, BUS_LINGER_MS) && set_int(socket, ZMQ_SNDHWM, BUS_HWM) &&
              set_int(socket, ZMQ_RCVHWM, BUS_HWM) && set_int(socket, ZMQ_HEARTBEAT_IVL, 0) &&
              set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
              set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    if (ok && bus->has_curve)
        ok = set_key(socket, ZMQ_CURVE_SERVERKEY, bus->server_key) &&
             set_key(socket, ZMQ_CURVE_PUBLICKEY, bus->public_key) &&
             set_key(socket, ZMQ_CURVE_SECRETKEY, bus->secret_key);
    return ok;
}

static void drop_outbox(bus_t *bus)
{
    for (bus_frame_t *frame; (frame = TAILQ_FIRST(&bus->outbox));) {
        TAILQ_REMOVE(&bus->outbox, frame, link);
        free(frame);
    }
}

static void close_socket(bus_t *bus)
{
    bus_monitor_close(bus);
    if (bus->watch)
        loop_watch_end(&bus->watch);
    if (bus->socket)
        zmq_close(bus->socket);
    bus->socket = NULL;
    drop_outbox(bus);
}

static void on_readable(void *ctx, int events);

static bool open_socket(bus_t *bus, error_t *err)
{
    bus->socket = zmq_socket(bus->zmq, ZMQ_DEALER);
    if (bus->socket && set_options(bus, bus->socket) && bus_monitor_open(bus) &&
        zmq_connect(bus->socket, bus->endpoint) == 0)
        bus->watch = loop_watch_zmq(bus->loop, bus->socket, on_readable, bus);
    if (bus->watch)
        return true;
    error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot connect to %s: %s", bus->endpoint, zmq_strerror(errno));
    close_socket(bus);
    return false;
}

/* -- frames out -------------------------------------------------------------------------------------------- */
static bool send_now(bus_t *bus, const void *data, size_t len)
{
    int rc;
    do
        rc = zmq_send(bus->socket, data, len, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc >= 0;
}

static void keep(bus_t *bus, bytes_t bytes)
{
    bus_frame_t *frame = malloc(sizeof *frame + bytes.len);
    if (!frame) {
        bus->broken = true;
        return;
    }
    frame->len = bytes.len;
    memcpy(frame->data, bytes.data, bytes.len);
    TAILQ_INSERT_TAIL(&bus->outbox, frame, link);
}

void bus_link_send(bus_t *bus, wire_verb_t verb, uint64_t seq, const void *values)
{
    buf_clear(&bus->frame);
    wire_encode_verb(&bus->frame, verb, seq, values);
    bus->broken |= bus->frame.failed;
    if (!bus->broken && (!TAILQ_EMPTY(&bus->outbox) || !send_now(bus, bus->frame.data, bus->frame.len)))
        keep(bus, buf_bytes(&bus->frame));
    if (bus->broken || !TAILQ_EMPTY(&bus->outbox))
        bus_flush_soon(bus);
    bus->sent_us = clock_mono_us();
}

void bus_link_flush(bus_t *bus)
{
    for (bus_frame_t *frame; bus->socket && (frame = TAILQ_FIRST(&bus->outbox));) {
        if (!send_now(bus, frame->data, frame->len)) {
            loop_timer_in(bus->flush, BUS_FLUSH_RETRY_MS);
            bus->flush_due = true;
            return;
        }
        TAILQ_REMOVE(&bus->outbox, frame, link);
        free(frame);
    }
}

/* -- frames in --------------------------------------------------------------------------------------------- */
/* True when there was one. */
static bool take_frame(bus_t *bus)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    bool taken = zmq_msg_recv(&msg, bus->socket, ZMQ_DONTWAIT) >= 0;
    if (taken) {
        bus->heard_us = clock_mono_us();
        bus_dispatch(bus, bytes_from(zmq_msg_data(&msg), zmq_msg_size(&msg)));
    }
    bool again = taken || errno == EINTR;
    zmq_msg_close(&msg);
    return again;
}

void bus_link_drain(bus_t *bus)
{
    const void *socket = bus->socket;
    for (int i = 0; i < BUS_TURN_FRAMES && bus->socket && bus->socket == socket; i++)
        if (!take_frame(bus))
            return;
}

static void on_readable(void *ctx, int events)
{
    (void)events;
    bus_link_drain(ctx);
}

/* -- session ----------------------------------------------------------------------------------------------- */
static void say_hello(bus_t *bus)
{
    wire_hello_t hello = {.protocol = WIRE_PROTOCOL,
                          .name = bytes_cstr(bus->instance),
                          .role = bytes_cstr(bus->role),
                          .resume = bus->welcome.resume,
                          .producer = bytes_cstr(bus->producer),
                          .epoch = bus->epoch,
                          .version = bytes_cstr(bus->version)};
    bus->hello_seq = ++bus->seq;
    bus_link_send(bus, WIRE_HELLO, bus->hello_seq, &hello);
}

static bool open_link(bus_t *bus, error_t *err)
{
    if (!open_socket(bus, err))
        return false;
    bus->state = BUS_GREETING;
    bus->broken = false;
    loop_timer_in(bus->beat, BUS_GREETING_MS);
    say_hello(bus);
    return true;
}

static bytes_t keep_text(bytes_t from, void *to, size_t cap)
{
    size_t len = from.len < cap ? from.len : cap;
    if (len > 0)
        memcpy(to, from.data, len);
    return bytes_from(to, len);
}

static uint64_t at_least(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

/* A broker that leaves a window out means "no bound of mine": ours then hold. */
static void take_welcome(bus_t *bus, const wire_welcome_t *from)
{
    wire_welcome_t *to = &bus->welcome;
    *to = *from;
    to->broker = keep_text(from->broker, bus->welcome_text[0], WIRE_NAME_MAX_BYTES);
    to->version = keep_text(from->version, bus->welcome_text[1], WIRE_NAME_MAX_BYTES);
    to->resume = keep_text(from->resume, bus->resume, sizeof bus->resume);
    to->heartbeat_ms = at_least(from->heartbeat_ms, BUS_HEARTBEAT_MS);
    to->max_frame_bytes = at_least(from->max_frame_bytes, WIRE_FRAME_MAX_BYTES);
    to->publish_window = at_least(from->publish_window, FIELDS_LIST_MAX);
    if (to->publish_window > BUS_FLIGHT_MAX)
        to->publish_window = BUS_FLIGHT_MAX;
    to->publish_window_bytes = at_least(from->publish_window_bytes, WIRE_FRAME_MAX_BYTES);
    to->call_window = at_least(from->call_window, 1);
    to->reply_window_bytes = at_least(from->reply_window_bytes, WIRE_MESSAGE_MAX_BYTES);
    if (bus->producer_seq < from->producer_seq)
        bus->producer_seq = from->producer_seq;
}

static void tell(bus_t *bus, bool is_up, const char *why)
{
    if (bus->on_state)
        bus->on_state(bus->ctx, is_up, why);
}

void bus_link_welcomed(bus_t *bus, const wire_welcome_t *welcome)
{
    bool resumed = welcome->resumed;
    take_welcome(bus, welcome);
    bus->state = BUS_UP;
    bus->up_us = bus->heard_us;
    bus->why[0] = '\0';
    loop_timer_every(bus->beat, (int64_t)(bus->welcome.heartbeat_ms + 1) / 2);
    if (!resumed)
        bus_settle_forget(bus);
    if (!bus->on_state)
        log_info("the bus is up", LOG_B("peer", bus->welcome.broker), LOG_I("session", bus->welcome.session),
                 LOG_S("endpoint", bus->endpoint));
    bus_serve_up(bus);
    bus_listen_up(bus, resumed);
    bus_call_up(bus);
    bus_flush_soon(bus);
    tell(bus, true, "");
}

/* -- loss and back-off ------------------------------------------------------------------------------------- */
static int64_t backoff_ms(bus_t *bus)
{
    int64_t most = BUS_BACKOFF_MIN_MS;
    for (unsigned i = 0; i < bus->attempts && most < BUS_BACKOFF_MAX_MS; i++)
        most *= 2;
    if (most > BUS_BACKOFF_MAX_MS)
        most = BUS_BACKOFF_MAX_MS;
    uint64_t random;
    clock_random(&random, sizeof random);
    return most / 2 + (int64_t)(random % (uint64_t)(most / 2 + 1));
}

static void keep_why(bus_t *bus, const char *why)
{
    size_t len = strnlen(why, sizeof bus->why - 1);
    memmove(bus->why, why, len);
    bus->why[len] = '\0';
}

void bus_link_lost(bus_t *bus, const char *why)
{
    bool was_up = bus->state == BUS_UP, is_news = was_up || strcmp(why, bus->why) != 0;
    keep_why(bus, why);
    if (was_up && clock_mono_us() - bus->up_us >= (int64_t)BUS_STEADY_MS * US_PER_MS)
        bus->attempts = 0;
    close_socket(bus);
    bus->state = BUS_DOWN;
    loop_timer_off(bus->beat);
    loop_timer_in(bus->retry, backoff_ms(bus));
    bus->attempts++;
    if (is_news && !bus->on_state)
        log_warn("the bus is down", LOG_S("error", bus->why), LOG_S("endpoint", bus->endpoint));
    bus_settle_lost(bus);
    bus_listen_lost(bus);
    bus_admin_lost(bus);
    bus_hand_lost(bus);
    bus_permit_lost(bus);
    bus_publish_lost(bus);
    if (is_news)
        tell(bus, false, bus->why);
}

static void on_retry(void *ctx)
{
    bus_t *bus = ctx;
    error_t err = {0};
    if (!open_link(bus, &err))
        bus_link_lost(bus, err.message);
}

/* -- heartbeats -------------------------------------------------------------------------------------------- */
static void beat_up(bus_t *bus)
{
    int64_t beat_us = (int64_t)bus->welcome.heartbeat_ms * US_PER_MS;
    int64_t now_us = clock_mono_us();
    if (now_us - bus->heard_us >= BUS_SILENCES * beat_us) {
        bus_link_lost(bus, "the broker is silent");
        return;
    }
    if (now_us - bus->sent_us < beat_us && now_us - bus->heard_us < beat_us)
        return;
    wire_ping_t ping = {.number = (uint64_t)now_us};
    bus_link_send(bus, WIRE_PING, 0, &ping);
}

/* What arrived while a handler kept the loop busy counts as life: read before judging. */
static void on_beat(void *ctx)
{
    bus_t *bus = ctx;
    if (bus->state == BUS_UP)
        bus_link_drain(bus);
    if (bus->state == BUS_UP) {
        beat_up(bus);
        bus_serve_forget_old(bus);
    } else if (bus->state == BUS_GREETING) {
        bus_link_lost(bus, bus->has_curve ? "no broker answers, or it refuses this key" : "no broker answers");
    }
}

/* -- life -------------------------------------------------------------------------------------------------- */
bool bus_link_start(bus_t *bus, error_t *err)
{
    bus->zmq = zmq_ctx_new();
    bus->beat = loop_timer_new(bus->loop, on_beat, bus);
    bus->retry = loop_timer_new(bus->loop, on_retry, bus);
    if (!bus->zmq || !bus->beat || !bus->retry)
        return bus_no_memory(err);
    return open_link(bus, err);
}

void bus_link_stop(bus_t *bus)
{
    if (bus->state == BUS_UP) {
        bus_link_flush(bus);
        wire_bye_t bye = {.reason = BYTES_LIT("the client ends")};
        bus_link_send(bus, WIRE_BYE, 0, &bye);
    }
    close_socket(bus);
    bus->state = BUS_DOWN;
    if (bus->beat)
        loop_timer_end(&bus->beat);
    if (bus->retry)
        loop_timer_end(&bus->retry);
    if (bus->zmq)
        zmq_ctx_term(bus->zmq); /* for as long as BUS_LINGER_MS at most */
    bus->zmq = NULL;
}
