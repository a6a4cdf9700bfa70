/* permit.h: named token buckets from which processes draw permits: one ceiling over all instances of a service.
 *
 * A bucket gives RateLimit tokens a second and saves up to BurstLimit. A permit is worth something for the bucket's
 * expiry and no longer, so in any stretch of T seconds at most RateLimit × (T + expiry) + BurstLimit of them are used.
 * What is given back in time goes to the next who asks, with what is left of its time: so that bound holds whatever is
 * given back. What nobody speaks of counts as used, for it may have been.
 *
 * Requests wait in three classes, a higher one first; within a class the sessions take turns, a session's own
 * requests in their order. A turn gets what is there, up to what it asks for. Waiting belongs to the connection.
 *
 * Buckets and their pace come from the topology. Durable is besides how far tokens may have been granted (PERMITS,
 * journaled a second ahead): a restart grants none before that, and none in its first second. */
#ifndef BROKER_CORE_PERMIT_H
#define BROKER_CORE_PERMIT_H

#include "broker/core/topology_doc.h"

#define PERMIT_WAITING_MAX 1024u           /* requests of one class of one bucket */
#define PERMIT_SESSION_MAX 256u            /* requests of one session that wait */
#define PERMIT_WAIT_MAX_MS UINT64_C(60000) /* of one request */
#define PERMIT_GRANTS_MAX 65536u           /* permits of one bucket that may be given back; older ones no more */
#define PERMIT_REST_US US_PER_S            /* after a restart nothing is granted for so long */
#define PERMIT_AHEAD_US US_PER_S           /* one record serves so long */

void permits_init(core_t *core);
void permits_free(core_t *core);

void permit_handle(core_t *core, session_t *session, const wire_msg_t *msg);

/* Answers with nothing those whose wait is over, and grants what has become due. */
void permits_due(core_t *core);
int64_t permits_next_us(const core_t *core);
/* Answers all with nothing: the broker is stopping. */
void permits_stop(core_t *core);
void permits_end_of_session(core_t *core, session_t *session);
/* After recovery. */
void permits_start(core_t *core);

/* For topology_apply: makes, changes and ends buckets. A new one begins empty. */
void permits_take(core_t *core, const topology_doc_t *doc, int64_t now_us);
MUST_USE bool permit_apply(core_t *core, const record_t *record, error_t *err);
uint64_t permits_digest(const core_t *core);

/* -- between permit.c and permit_bucket.c ------------------------------------------------------------- */
bucket_t *bucket_at(const core_t *core, uint32_t id);
bucket_t *bucket_find(const core_t *core, bytes_t name); /* NULL for none */
void buckets_free(core_t *core);
/* A moment as a bucket's pace has it. */
int64_t bucket_ns(int64_t us);
uint32_t bucket_waiting(const bucket_t *bucket); /* requests */
/* Sets the bucket's timer to the next token that somebody waits for. */
void bucket_arm(core_t *core, bucket_t *bucket);
/* Refuses all that wait: the bucket ends. */
void permits_turn_away(core_t *core, bucket_t *bucket);

#endif
