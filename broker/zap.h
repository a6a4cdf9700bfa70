/* zap.h: answers libzmq's question whether a key may connect (ZAP, RFC 27).
 *
 * The handler is one REP socket on the broker's own loop: handshakes wait in libzmq's I/O thread meanwhile, nothing
 * else does. It must be opened before the first endpoint is bound. A key that the keyring knows is let in with itself
 * (in Z85) as User-Id, so that a frame is held against the keys of its moment; every other key, and every mechanism but
 * CURVE, is refused. */
#ifndef BROKER_ZAP_H
#define BROKER_ZAP_H

#include "broker/keyring.h"
#include "kit/loop.h"

#define ZAP_DOMAIN "mangabus"

typedef struct zap zap_t;

/* `zmq_context` is libzmq's; `keyring` outlives the handler. Refusals are logged once in a second, with their count. */
MUST_USE zap_t *zap_open(loop_t *loop, void *zmq_context, const keyring_t *keyring, error_t *err);
void zap_close(zap_t **zap);

uint64_t zap_refused(const zap_t *zap); /* handshakes so far */

#endif
