/* bus_calls_rig.h: a bus client that makes and answers calls, its scripted broker, and what its callbacks were told. */
#ifndef TESTS_LIB_BUS_CALLS_RIG_H
#define TESTS_LIB_BUS_CALLS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    /* the caller's */
    int done, chunks, results, failures;
    bool failed;
    error_t err;
    char text[256]; /* bodies, one behind the other */
    /* the worker's */
    int requests, cancels;
    bus_request_t *request[8];
} fixture_t;

/* For cmocka: *state is a fixture_t with a broker and no client yet. */
int fixture_new(void **state);
int fixture_free(void **state);

/* The client comes and is welcomed, with two calls out at most and this many bytes of an answer on the way. */
void fixture_begin(fixture_t *f, uint64_t reply_window_bytes);
/* The link was lost, and the session is taken up again. */
void fixture_greet_again(fixture_t *f);

#endif
