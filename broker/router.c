/* router.c: libzmq's ROUTER, used so that neither a slow peer nor a bad one concerns the others. */
#include "broker/router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "broker/zap.h"
#include "kit/log.h"

/* libzmq's automatic routing id: a zero byte and a number. */
#define ID_BYTES 5
#define PEER_BASE (UINT64_C(1) << 32) /* so that no peer is 0 */
#define HOST_BYTES 128
#define BACKLOG 1024

typedef struct queued_frame {
    struct queued_frame *next;
    size_t len;
    uint8_t data[];
} queued_frame_t;

/* A peer whose pipe is full. */
typedef struct stalled {
    struct stalled *next;
    uint64_t peer;
    queued_frame_t *head, **tail;
    size_t bytes;
} stalled_t;

struct router {
    loop_t *loop;
    void *socket;
    loop_watch_t *watch;
    loop_timer_t *retry;
    stalled_t *stalled;
    size_t stalled_bytes;
    uint64_t cut_off;
    bool has_keys; /* some endpoint asks for them */
    uint64_t *gone;
    size_t gone_count, gone_cap;
};

static void on_retry(void *ctx);

/* -- life ---------------------------------------------------------------------------------------- */
static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(void *socket, size_t max_frame_bytes)
{
    int64_t max_bytes = (int64_t)max_frame_bytes;
    return set_int(socket, ZMQ_ROUTER_MANDATORY, 1) && set_int(socket, ZMQ_SNDHWM, ROUTER_HIGH_WATER) &&
           set_int(socket, ZMQ_RCVHWM, ROUTER_HIGH_WATER) && set_int(socket, ZMQ_LINGER, ROUTER_LINGER_MS) &&
           set_int(socket, ZMQ_BACKLOG, BACKLOG) && set_int(socket, ZMQ_IPV6, 1) &&
           set_int(socket, ZMQ_HANDSHAKE_IVL, ROUTER_HANDSHAKE_MS) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
}

static bool open_router(router_t *r, void *zmq_context, size_t max_frame_bytes, loop_watch_fn on_readable, void *ctx)
{
    r->socket = zmq_socket(zmq_context, ZMQ_ROUTER);
    if (!r->socket || !set_options(r->socket, max_frame_bytes))
        return false;
    r->watch = loop_watch_zmq(r->loop, r->socket, on_readable, ctx);
    r->retry = loop_timer_new(r->loop, on_retry, r);
    return r->watch && r->retry;
}

router_t *router_new(loop_t *loop, void *zmq_context, size_t max_frame_bytes, loop_watch_fn on_readable, void *ctx,
                     error_t *err)
{
    router_t *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the bus socket.");
        return NULL;
    }
    r->loop = loop;
    if (!open_router(r, zmq_context, max_frame_bytes, on_readable, ctx)) {
        error_set(err, STATUS_INTERNAL, NULL, "The bus socket cannot be made: %s.", zmq_strerror(errno));
        router_free(&r);
    }
    return r;
}

static void free_stalled(router_t *r, stalled_t *s)
{
    while (s->head) {
        queued_frame_t *frame = s->head;
        s->head = frame->next;
        free(frame);
    }
    r->stalled_bytes -= s->bytes;
    free(s);
}

void router_free(router_t **router)
{
    router_t *r = *router;
    *router = NULL;
    if (!r)
        return;
    while (r->stalled) {
        stalled_t *s = r->stalled;
        r->stalled = s->next;
        free_stalled(r, s);
    }
    if (r->watch)
        loop_watch_end(&r->watch);
    if (r->retry)
        loop_timer_end(&r->retry);
    if (r->socket)
        zmq_close(r->socket);
    free(r->gone);
    free(r);
}

/* -- endpoints ----------------------------------------------------------------------------------- */
static bool host_of(const char *address, char host[HOST_BYTES])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_BYTES)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    return true;
}

bool router_is_local(const char *endpoint)
{
    char host[HOST_BYTES];
    struct in_addr v4;
    if (strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "inproc://", 9) == 0)
        return true;
    if (strncmp(endpoint, "tcp://", 6) != 0 || !host_of(endpoint + 6, host))
        return false;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* Options of security concern the endpoints bound after them. Without a handler for the domain libzmq would encrypt
 * and let everybody in: zap_open comes first, and a start without it fails. */
static bool set_security(void *socket, const char *server_secret_key)
{
    return set_int(socket, ZMQ_CURVE_SERVER, 1) &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server_secret_key, strlen(server_secret_key)) == 0 &&
           zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) == 0;
}

bool router_bind(router_t *router, const char *endpoint, const char *server_secret_key,
                 char bound[ROUTER_ENDPOINT_BYTES], error_t *err)
{
    size_t len = ROUTER_ENDPOINT_BYTES;
    router->has_keys = router->has_keys || server_secret_key;
    if ((server_secret_key && !set_security(router->socket, server_secret_key)) ||
        zmq_bind(router->socket, endpoint) != 0 || zmq_getsockopt(router->socket, ZMQ_LAST_ENDPOINT, bound, &len) != 0)
        return error_set(err, STATUS_UNAVAILABLE, NULL, "Cannot listen on %s: %s.", endpoint, zmq_strerror(errno));
    return true;
}

/* -- in ------------------------------------------------------------------------------------------ */
static uint64_t peer_of_id(const uint8_t id[ID_BYTES])
{
    uint32_t number;
    memcpy(&number, id + 1, sizeof number);
    return PEER_BASE + number;
}

/* Reads and forgets the parts that are left of a message. */
static bool skip_parts(void *socket)
{
    bool any = false;
    int more = 0;
    size_t more_bytes = sizeof more;
    zmq_msg_t part;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_bytes) == 0 && more) {
        zmq_msg_init(&part);
        int got = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT);
        zmq_msg_close(&part);
        if (got < 0)
            break;
        any = true;
    }
    return any;
}

/* A routing id of the client's own making cannot be told from another's; it is not spoken to. */
static bool receive_id(router_t *r, uint64_t *peer, bool *is_ours)
{
    uint8_t id[ID_BYTES + 1];
    int len = zmq_recv(r->socket, id, sizeof id, ZMQ_DONTWAIT);
    if (len < 0)
        return false;
    *is_ours = len == ID_BYTES && id[0] == 0;
    *peer = peer_of_id(id);
    return true;
}

static bool receive(router_t *r, router_frame_fn fn, void *ctx)
{
    router_frame_t frame = {0};
    bool is_ours;
    zmq_msg_t msg;
    if (!receive_id(r, &frame.peer, &is_ours))
        return false;
    zmq_msg_init(&msg);
    int got = zmq_msg_recv(&msg, r->socket, ZMQ_DONTWAIT);
    frame.several_parts = got >= 0 && zmq_msg_more(&msg) && skip_parts(r->socket);
    if (got >= 0 && is_ours) {
        frame.frame = bytes_from(zmq_msg_data(&msg), zmq_msg_size(&msg));
        frame.key = r->has_keys ? zmq_msg_gets(&msg, "User-Id") : NULL; /* a look-up by name, for each frame */
        fn(ctx, &frame);
    } else if (got >= 0) {
        log_warn("a connection with a routing id of its own is not answered");
    }
    zmq_msg_close(&msg);
    return true;
}

size_t router_drain(router_t *router, size_t max, router_frame_fn fn, void *ctx)
{
    size_t count = 0;
    while (count < max && receive(router, fn, ctx))
        count++;
    return count;
}

/* -- out ----------------------------------------------------------------------------------------- */
typedef enum { SENT, NO_ROOM, NOBODY } sent_t;

static sent_t try_send(void *socket, uint64_t peer, bytes_t frame)
{
    uint8_t id[ID_BYTES] = {0};
    uint32_t number = (uint32_t)peer;
    memcpy(id + 1, &number, sizeof number);
    if (zmq_send(socket, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN ? NO_ROOM : NOBODY;
    return zmq_send(socket, frame.data, frame.len, ZMQ_DONTWAIT) < 0 ? NOBODY : SENT;
}

static void add_gone(router_t *r, uint64_t peer)
{
    if (r->gone_count == r->gone_cap) {
        size_t cap = r->gone_cap ? r->gone_cap * 2 : 16;
        uint64_t *gone = realloc(r->gone, cap * sizeof *gone);
        if (!gone)
            return; /* its session ends by silence then */
        r->gone = gone;
        r->gone_cap = cap;
    }
    r->gone[r->gone_count++] = peer;
}

bool router_next_gone(router_t *router, uint64_t *peer)
{
    if (router->gone_count == 0)
        return false;
    *peer = router->gone[--router->gone_count];
    return true;
}

static stalled_t **find_stalled(router_t *r, uint64_t peer)
{
    stalled_t **at = &r->stalled;
    while (*at && (*at)->peer != peer)
        at = &(*at)->next;
    return at;
}

static void drop_stalled(router_t *r, stalled_t **at)
{
    stalled_t *s = *at;
    *at = s->next;
    free_stalled(r, s);
}

static stalled_t *add_stalled(router_t *r, uint64_t peer)
{
    stalled_t *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->peer = peer;
    s->tail = &s->head;
    s->next = r->stalled;
    r->stalled = s;
    loop_timer_in(r->retry, ROUTER_RETRY_MS);
    return s;
}

static bool keep_frame(router_t *r, stalled_t *s, bytes_t frame)
{
    if (s->bytes + frame.len > ROUTER_STALLED_MAX_BYTES ||
        r->stalled_bytes + frame.len > ROUTER_STALLED_TOTAL_MAX_BYTES)
        return false;
    queued_frame_t *kept = malloc(sizeof *kept + frame.len);
    if (!kept)
        return false;
    *kept = (queued_frame_t){.len = frame.len};
    memcpy(kept->data, frame.data, frame.len);
    *s->tail = kept;
    s->tail = &kept->next;
    s->bytes += frame.len;
    r->stalled_bytes += frame.len;
    return true;
}

static void stall(router_t *r, uint64_t peer, bytes_t frame)
{
    stalled_t **at = find_stalled(r, peer);
    stalled_t *s = *at ? *at : add_stalled(r, peer);
    if (s && keep_frame(r, s, frame))
        return;
    log_warn("a connection does not read and is given up", LOG_I("peer", peer), LOG_I("bytes", s ? s->bytes : 0));
    if (s)
        drop_stalled(r, find_stalled(r, peer));
    r->cut_off++;
    add_gone(r, peer);
}

void router_send(router_t *router, uint64_t peer, bytes_t frame)
{
    sent_t sent = NO_ROOM; /* behind what waits already */
    if (!router->stalled || !*find_stalled(router, peer))
        sent = try_send(router->socket, peer, frame);
    if (sent == NO_ROOM)
        stall(router, peer, frame);
    else if (sent == NOBODY)
        add_gone(router, peer);
}

/* False when the peer has nothing left to send, or is no more. */
static bool is_still_stalled(router_t *r, stalled_t *s)
{
    while (s->head) {
        queued_frame_t *frame = s->head;
        sent_t sent = try_send(r->socket, s->peer, bytes_from(frame->data, frame->len));
        if (sent == NO_ROOM)
            return true;
        if (sent == NOBODY) {
            add_gone(r, s->peer);
            return false;
        }
        s->head = frame->next;
        s->bytes -= frame->len;
        r->stalled_bytes -= frame->len;
        free(frame);
    }
    return false;
}

static void on_retry(void *ctx)
{
    router_t *r = ctx;
    for (stalled_t **at = &r->stalled; *at;) {
        if (is_still_stalled(r, *at))
            at = &(*at)->next;
        else
            drop_stalled(r, at);
    }
    if (r->stalled)
        loop_timer_in(r->retry, ROUTER_RETRY_MS);
}

uint64_t router_stalled_bytes(const router_t *router)
{
    return router->stalled_bytes;
}

uint64_t router_cut_off(const router_t *router)
{
    return router->cut_off;
}
