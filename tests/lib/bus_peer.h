/* bus_peer.h: a scripted broker for tests of the bus client: it receives, and answers only what the test says. */
#ifndef TESTS_BUS_PEER_H
#define TESTS_BUS_PEER_H

#include <sys/queue.h>

#include "kit/bus.h"

#define PEER_WAIT_MS 10000 /* a test that waits longer has failed */

typedef struct peer_frame {
    TAILQ_ENTRY(peer_frame) link;
    size_t len;
    uint8_t data[];
} peer_frame_t;

typedef struct {
    loop_t *loop;
    void *zmq, *socket;
    loop_watch_t *watch;
    loop_timer_t *tick, *timeout;
    char endpoint[64];
    uint8_t client[256]; /* routing id of the newest sender */
    size_t client_len;
    TAILQ_HEAD(peer_frames, peer_frame) frames;
    peer_frame_t *taken; /* what msg points into */
    wire_msg_t *msg;
    buf_t out;
    const int *flag;
    int flag_least;
    bool timed_out;
    bool deaf; /* counts nothing, answers no PING */
} peer_t;

/* Ends the test's process on failure, as do all of these. */
void peer_start(peer_t *peer);
void peer_stop(peer_t *peer);
/* Breaks every connection and is there again, at the same address. */
void peer_restart(peer_t *peer);
/* Answers PING by itself. Runs the loop until a frame of that verb is there, and takes it; earlier frames of
 * other verbs stay. Valid until the next take. */
const wire_msg_t *peer_take(peer_t *peer, wire_verb_t verb);
/* True when a frame of that verb is there, without running the loop. */
bool peer_has(const peer_t *peer, wire_verb_t verb);
void peer_forget(peer_t *peer); /* the frames that were not taken */
/* Runs the loop until *flag >= least. */
void peer_until(peer_t *peer, const int *flag, int least);
/* Runs the loop for some milliseconds: for showing that something does not happen. */
void peer_for(peer_t *peer, int64_t ms);
void peer_say(peer_t *peer, wire_verb_t verb, uint64_t seq, const void *values);
void peer_say_bytes(peer_t *peer, bytes_t frame);
void peer_error(peer_t *peer, uint64_t seq, status_t status, const char *name, const char *message);
/* WELCOME with the defaults of docs/protocol.md and this resume token. */
wire_welcome_t peer_welcome(const char *resume);
/* Takes HELLO and answers it. */
void peer_greet(peer_t *peer, const wire_welcome_t *welcome);

/* A client of it, named "tester-000001". */
bus_t *peer_client(peer_t *peer, const char *producer);

#endif
