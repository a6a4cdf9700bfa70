/* single_flight.h: many who want the same thing at the same time cause one request.
 *
 * The first to join a key leads: it does the work and finishes the flight; all who joined meanwhile are told the
 * same. A flight ends with single_flight_finish(), which the leader owes, whatever happened. Those who no longer
 * wait leave; the flight goes on. Bounded: when a flight or the table is full, joining fails, and the caller goes
 * its own way. Callbacks run inside single_flight_finish(). Not thread-safe, never blocks. */
#ifndef KIT_SINGLE_FLIGHT_H
#define KIT_SINGLE_FLIGHT_H

#include "proto/bytes.h"

#define SINGLE_FLIGHT_WAITERS_MAX 1000

typedef struct single_flight single_flight_t;

/* `result` is what the leader handed to finish; it lives until fn returns. */
typedef void (*single_flight_fn)(void *ctx, const void *result);

typedef enum { SINGLE_FLIGHT_LEADS, SINGLE_FLIGHT_FOLLOWS, SINGLE_FLIGHT_FULL } single_flight_role_t;

MUST_USE single_flight_t *single_flight_new(size_t flights_max);
/* There must be no flight left. */
void single_flight_free(single_flight_t **self);

/* `key` is copied. The leader is told by finish like all others. One `ctx` joins a flight once. */
MUST_USE single_flight_role_t single_flight_join(single_flight_t *self, bytes_t key, single_flight_fn fn, void *ctx);
/* `ctx` no longer wants to be told. True when it was waiting. */
bool single_flight_leave(single_flight_t *self, bytes_t key, const void *ctx);
/* Ends the flight, then tells each waiter in the order of joining. A waiter may join the key anew: a new flight. */
void single_flight_finish(single_flight_t *self, bytes_t key, const void *result);
size_t single_flight_count(const single_flight_t *self);

#endif
