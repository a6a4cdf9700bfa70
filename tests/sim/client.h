/* client.h: those who use the broker of a run, as kit/bus does: they reconnect, resume, and send again what was not
 * answered. Each knows what it was promised, and says when a promise is broken. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "broker/core/core.h"
#include "tests/sim/link.h"

typedef struct sim sim_t;

typedef enum {
    CLIENT_PRODUCER,  /* numbers what it publishes and sends */
    CLIENT_PUBLISHER, /* gives keys, or nothing */
    CLIENT_CONSUMER,
    CLIENT_DRAINER, /* comes at the end, and empties all queues */
    CLIENT_WATCHER, /* a live subscription */
    CLIENT_CALLER,
    CLIENT_WORKER,
} client_kind_t;

#define CLIENT_OPS 48
#define CLIENT_OPEN 6 /* unanswered at once */
#define CLIENT_ENTRIES 3
#define CLIENT_HELD 48
#define CLIENT_SETTLES 16
#define CLIENT_CHOICES 4
#define CLIENT_CALLS 40
#define CLIENT_KEY_BYTES 24

typedef struct { /* one frame to publish or send */
    uint64_t frame_seq, token, producer_seq;
    uint32_t count; /* entries: token, token + 1, … */
    int queue;      /* -1: events on the bus */
    bool answered;
    char key[CLIENT_KEY_BYTES];
} op_t;

typedef struct {
    uint8_t receipt[CORE_RECEIPT_BYTES];
    uint64_t action;
    int64_t delay_ms;
} choice_t;

typedef struct {
    uint64_t frame_seq; /* 0: free */
    uint32_t count;
    choice_t choices[CLIENT_CHOICES];
} settle_op_t;

typedef struct { /* a call, at its caller or at its worker */
    uint64_t number;
    bool idempotent, done;
    int64_t due_us; /* caller: deadline; worker: when it answers */
    uint32_t asked;
} call_op_t;

typedef struct {
    sim_t *sim;
    client_kind_t kind;
    char name[24];
    link_t link;
    bool is_on; /* has its WELCOME */
    bool has_resume;
    uint8_t resume[CORE_RESUME_BYTES];
    uint64_t seq;
    int64_t wake_us, spoke_us, on_since_us;
    /* producer, publisher */
    op_t ops[CLIENT_OPS];
    uint32_t op_count;
    uint64_t producer_seq;
    /* consumer */
    choice_t held[CLIENT_HELD];
    uint32_t held_count;
    settle_op_t settles[CLIENT_SETTLES];
    uint64_t receive_seq; /* of the RECEIVE that is open; 0: none */
    int64_t receive_by_us;
    /* watcher */
    uint64_t last, owed_credit;
    /* caller, worker */
    call_op_t calls[CLIENT_CALLS];
    uint32_t call_count;
} client_t;

void client_init(client_t *client, sim_t *sim, client_kind_t kind, int nth);
void client_wake(client_t *client);
void client_heard(client_t *client, bytes_t frame);
/* The connection is gone; it comes back after a while. */
void client_lose(client_t *client);
/* Nothing is left open. */
bool client_is_done(const client_t *client);

/* -- between the files of the client ----------------------------------------------------------------- */
void client_send(client_t *client, wire_verb_t verb, uint64_t seq, const void *values);

void produce_ready(client_t *client, uint64_t accepted);
void produce_wake(client_t *client);
void produce_answered(client_t *client, uint64_t seq, const wire_published_t *results);

void consume_ready(client_t *client);
void consume_wake(client_t *client);
void consume_delivered(client_t *client, const wire_deliver_t *deliver);
void consume_received(client_t *client, uint64_t seq, const wire_received_t *received);
void consume_settled(client_t *client, uint64_t seq, const wire_settled_t *settled);

void watch_ready(client_t *client);
void watch_wake(client_t *client);
void watch_delivered(client_t *client, const wire_deliver_t *deliver);
void watch_gap(client_t *client, const wire_gap_t *gap);

void call_ready(client_t *client);
void call_wake(client_t *client);
void call_replied(client_t *client, const wire_reply_t *reply);
void work_ready(client_t *client);
void work_wake(client_t *client);
void work_called(client_t *client, const wire_call_t *call);

#endif
