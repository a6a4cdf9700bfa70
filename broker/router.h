/* router.h: the ROUTER socket: frames in with their peer, frames out without ever blocking or losing one.
 *
 * A peer is the number in its automatic routing id; it is new with every connection. MANDATORY and DONTWAIT always:
 * a frame that the peer's pipe has no room for waits here (up to ROUTER_STALLED_MAX_BYTES for one peer) and is tried
 * again; a peer that is not there any more, or leaves more than that unread, is reported by router_next_gone. */
#ifndef BROKER_ROUTER_H
#define BROKER_ROUTER_H

#include "kit/loop.h"
#include "proto/bytes.h"

#define ROUTER_STALLED_MAX_BYTES ((size_t)32 << 20)
#define ROUTER_STALLED_TOTAL_MAX_BYTES ((size_t)512 << 20)
#define ROUTER_HIGH_WATER 16384 /* messages in one pipe; above the sum of the protocol's windows */
#define ROUTER_LINGER_MS 1000   /* so that a last answer or BYE leaves at a stop */
#define ROUTER_HANDSHAKE_MS                                                                                            \
    10000                 /* who has not said by then that it speaks ZeroMQ, and with which key, is a stranger */
#define ROUTER_RETRY_MS 5 /* MANDATORY tells of no single peer that has room again */
#define ROUTER_ENDPOINT_BYTES 256

typedef struct router router_t;

typedef struct {
    uint64_t peer;
    const char *key;    /* the client's public key in Z85; NULL without keys */
    bytes_t frame;      /* until the callback returns */
    bool several_parts; /* it had more than one frame: `frame` is the first */
} router_frame_t;

typedef void (*router_frame_fn)(void *ctx, const router_frame_t *frame);

/* `on_readable` is called on the loop when frames may be there: router_drain takes them. */
MUST_USE router_t *router_new(loop_t *loop, void *zmq_context, size_t max_frame_bytes, loop_watch_fn on_readable,
                              void *ctx, error_t *err);
void router_free(router_t **router);

/* Listens; with CURVE when `server_secret_key` (Z85) is given, after which no endpoint without can follow. `bound` gets
 * the endpoint as it is, port included. */
MUST_USE bool router_bind(router_t *router, const char *endpoint, const char *server_secret_key,
                          char bound[ROUTER_ENDPOINT_BYTES], error_t *err);

/* True for ipc://, inproc:// and tcp:// on loopback addresses. */
MUST_USE bool router_is_local(const char *endpoint);

/* Hands over at most `max` frames; returns how many there were. */
size_t router_drain(router_t *router, size_t max, router_frame_fn fn, void *ctx);

/* Sends, or keeps the frame to be sent later; a copy is made. */
void router_send(router_t *router, uint64_t peer, bytes_t frame);

/* Takes one peer that is gone; false when there is none. */
MUST_USE bool router_next_gone(router_t *router, uint64_t *peer);

uint64_t router_stalled_bytes(const router_t *router); /* waiting for peers that do not read */
uint64_t router_cut_off(const router_t *router);       /* peers given up because they did not read */

#endif
