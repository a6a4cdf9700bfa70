/* core_calls_rig.h: a core with a caller and two workers, and the frames of calls in shorthand. */
#ifndef TESTS_LIB_CORE_CALLS_RIG_H
#define TESTS_LIB_CORE_CALLS_RIG_H

#include "tests/lib/core_rig.h"

#define MS INT64_C(1000) /* in microseconds */
#define S INT64_C(1000000)
#define CALLER 1 /* the peers: "caller-000001", "worker-000002" and "worker-000003" */
#define WORKER 2
#define OTHER 3

/* For cmocka: *state is a rig_t where the three have said HELLO and nobody serves. */
int calls_rig_open(void **state);
int calls_rig_close(void **state);

/* The peer serves stock.get. Takes SERVED, and what rig_take looks at starts over: a call that was waiting may be
 * there. */
void rig_serve(rig_t *rig, uint64_t peer, uint64_t capacity);
/* A worker with a capacity of 4 comes back, and says that it runs this call of CALLER and will send `chunk` next.
 * Leaves SERVED and what follows to the test. */
void rig_serve_running(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk);

/* CALL of stock.get by "caller-000001", with 3 s to go. */
wire_call_t a_call(uint64_t number);
/* CALLER sends it. */
void rig_call(rig_t *rig, uint64_t number);
/* A piece of the answer to CALLER. */
void rig_reply(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk, bool final);
/* The next frame to CALLER is the last of an answer, with this status. Valid until the next frame is taken. */
const wire_reply_t *rig_expect_final(rig_t *rig, uint64_t status);

/* PING from each of these peers: they live. */
void rig_say_all(rig_t *rig, uint64_t first, uint64_t last);
/* HELLO from a new connection with the token of an old one, whose session the core still has. */
void rig_resume(rig_t *rig, uint64_t peer, const char *name, const uint8_t token[CORE_RESUME_BYTES]);

#endif
