/* zap.c: one request in, one answer out. */
#include "broker/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "kit/log.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_VERSION "1.0"
#define PART_BYTES 256 /* no part of a CURVE request is longer */
#define PARTS_MAX 7
#define REQUESTS_A_TURN 64
#define TELL_MS 1000 /* a line of refusals at most so often: strangers must not fill the log */

enum { PART_VERSION, PART_REQUEST, PART_DOMAIN, PART_ADDRESS, PART_IDENTITY, PART_MECHANISM, PART_KEY };

struct zap {
    void *socket;
    loop_watch_t *watch;
    const keyring_t *keyring;
    uint64_t refused;
    loop_timer_t *tell;
    bool has_told;             /* a moment ago: what follows waits for the timer */
    uint64_t untold;           /* refused since */
    char peer[PART_BYTES + 1]; /* of the newest of them */
};

typedef struct {
    uint8_t data[PARTS_MAX][PART_BYTES];
    size_t len[PARTS_MAX];
    size_t count;
} request_t;

/* False when nothing is there. Parts beyond those known, and the end of long ones, are passed over. */
static bool receive(void *socket, request_t *request)
{
    uint8_t passed_over[PART_BYTES] = {0};
    int more = 1;
    size_t more_bytes = sizeof more;
    for (request->count = 0; more;) {
        bool keep = request->count < PARTS_MAX;
        int len = zmq_recv(socket, keep ? request->data[request->count] : passed_over, PART_BYTES, ZMQ_DONTWAIT);
        if (len < 0)
            return false;
        if (keep)
            request->len[request->count++] = (size_t)len < PART_BYTES ? (size_t)len : PART_BYTES;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_bytes) != 0)
            return false;
    }
    return true;
}

static bytes_t part(const request_t *request, size_t at)
{
    return at < request->count ? bytes_from(request->data[at], request->len[at]) : BYTES_NONE;
}

static void reply(void *socket, const request_t *request, bool known)
{
    char key[KEYRING_Z85_BYTES] = "";
    bytes_t given = part(request, PART_KEY);
    if (known)
        (void)zmq_z85_encode(key, given.data, given.len);
    const bytes_t parts[] = {
        BYTES_LIT(ZAP_VERSION),
        part(request, PART_REQUEST),
        known ? BYTES_LIT("200") : BYTES_LIT("400"),
        known ? BYTES_LIT("OK") : BYTES_LIT("the key is not known here"),
        bytes_cstr(key),
        BYTES_NONE,
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (zmq_send(socket, parts[i].data, parts[i].len, i + 1 < ARRAY_LEN(parts) ? ZMQ_SNDMORE : 0) < 0)
            log_warn("a handshake could not be answered", LOG_S("error", zmq_strerror(errno)));
}

static void tell(void *ctx)
{
    zap_t *zap = ctx;
    zap->has_told = zap->untold > 0;
    if (!zap->has_told)
        return;
    log_warn("a connection was refused: its key is not known", LOG_S("peer", zap->peer), LOG_I("count", zap->untold));
    zap->untold = 0;
    loop_timer_in(zap->tell, TELL_MS);
}

static void refused(zap_t *zap, bytes_t peer)
{
    zap->refused++;
    zap->untold++;
    (void)bytes_to_cstr(peer, zap->peer, sizeof zap->peer);
    if (!zap->has_told)
        tell(zap);
}

static void answer(zap_t *zap, const request_t *request)
{
    bool known = bytes_eq_cstr(part(request, PART_VERSION), ZAP_VERSION) &&
                 bytes_eq_cstr(part(request, PART_MECHANISM), "CURVE") &&
                 keyring_name_of(zap->keyring, part(request, PART_KEY));
    if (!known)
        refused(zap, part(request, PART_ADDRESS));
    reply(zap->socket, request, known);
}

static void on_request(void *ctx, int events UNUSED)
{
    zap_t *zap = ctx;
    request_t request;
    for (int i = 0; i < REQUESTS_A_TURN && receive(zap->socket, &request); i++)
        answer(zap, &request);
}

zap_t *zap_open(loop_t *loop, void *zmq_context, const keyring_t *keyring, error_t *err)
{
    zap_t *zap = calloc(1, sizeof *zap);
    if (!zap) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the key handler.");
        return NULL;
    }
    zap->keyring = keyring;
    zap->tell = loop_timer_new(loop, tell, zap);
    zap->socket = zmq_socket(zmq_context, ZMQ_REP);
    if (zap->tell && zap->socket && zmq_bind(zap->socket, ZAP_ENDPOINT) == 0)
        zap->watch = loop_watch_zmq(loop, zap->socket, on_request, zap);
    if (!zap->watch) {
        error_set(err, STATUS_INTERNAL, NULL, "The key handler cannot start: %s.", zmq_strerror(errno));
        zap_close(&zap);
    }
    return zap;
}

void zap_close(zap_t **zap)
{
    zap_t *z = *zap;
    *zap = NULL;
    if (!z)
        return;
    if (z->watch)
        loop_watch_end(&z->watch);
    if (z->tell)
        loop_timer_end(&z->tell);
    if (z->socket)
        zmq_close(z->socket);
    free(z);
}

uint64_t zap_refused(const zap_t *zap)
{
    return zap->refused;
}
