/* core_life.h: one life of a core: random clients, what they hold, and what must be true at every moment.
 *
 * The promises are those of docs/guarantees.md: what was acknowledged is delivered, waiting or dead-lettered, and an
 * ack is final. All functions end the test when one is broken. */
#ifndef TESTS_CORE_LIFE_H
#define TESTS_CORE_LIFE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/core_rig.h"
#include "tests/lib/random.h"

#define LIFE_CLIENTS 6
#define LIFE_KEYS 40
#define LIFE_RECEIVES 2048
#define LIFE_FIFO_IDS 200
#define LIFE_HELD_MAX 4096
#define S INT64_C(1000000)
#define LIFE_DEDUP_WINDOW_US (300 * S)

#define LIFE_STANDARD 5
#define LIFE_QUEUES 8

/* What happened in all lives: a test that never gets there proves nothing. */
typedef struct {
    uint64_t records, acked, moved, dropped, released, restarts, crashes, resumed, duplicates, snapshots;
    uint64_t received, received_none;
    uint64_t fifo_sent, fifo_duplicates, fifo_checks;
    uint64_t purges_refused, redriven;
} life_tally_t;

typedef struct {
    bool is_on;
    uint64_t peer, next_sub;
    char name[32];
    uint8_t resume[CORE_RESUME_BYTES];
    bool has_resume;
} client_t;

typedef struct {
    rig_t rig;
    random_t random;
    client_t clients[LIFE_CLIENTS];
    uint64_t next_peer;
    core_item_t held[LIFE_HELD_MAX]; /* receipts handed out */
    uint32_t held_count;
    uint8_t *acked; /* by (record of the bytes, receipt's queue): see life_acked_at */
    uint64_t key_record[LIFE_KEYS];
    int64_t key_us[LIFE_KEYS];
    uint64_t producer_seq;
    uint64_t producer_record[8];
    uint64_t watched; /* last record that the watcher saw */
    uint64_t watch_peer, watch_credit;
    life_tally_t *tally;
    uint64_t synced;                                   /* records that a crash cannot take */
    uint64_t receive_seq, receive_peer[LIFE_RECEIVES]; /* by seq: who waits; 0: answered */
    int64_t receive_until_us[LIFE_RECEIVES];
    int64_t purged_us[LIFE_QUEUES];
    uint64_t fifo_record[5][LIFE_FIFO_IDS];
    int64_t fifo_us[5][LIFE_FIFO_IDS];
} life_t;

#define LIFE_ACKED_SLOTS (1u << 20)

extern const char life_topology[];
extern const char *const life_queues[LIFE_QUEUES]; /* the first LIFE_STANDARD are no FIFO queues */

/* -- what comes out, and what must hold ---------------------------------------------------------------------- */
uint64_t life_queue_of(const core_item_t *item);
uint64_t life_identity_of(const core_item_t *item);
uint8_t *life_acked_at(life_t *life, const core_item_t *item);
void life_collect(life_t *life);
void life_check_counts(const core_t *core);
void life_tally_journal(life_t *life);
void life_check_account(life_t *life);

/* -- what clients do ----------------------------------------------------------------------------------------- */
void life_connect(life_t *life);
void life_leave(life_t *life);
void life_send(life_t *life);
void life_publish(life_t *life);
void life_subscribe(life_t *life);
void life_credit(life_t *life);
void life_receive(life_t *life);
void life_check_receives(life_t *life);
void life_settle(life_t *life);
void life_purge(life_t *life);
void life_redrive(life_t *life);
void life_watch(life_t *life);
void life_watch_more(life_t *life, uint64_t credit);

#endif
