/* session.h: who is talking: HELLO, resume, heartbeats, grace and end.
 *
 * A session is LIVE while it has a connection that was heard of within three heartbeats. Then, or when the
 * connection is known to be gone, it is LOST: the connection is forgotten (a frame on it is answered
 * NO_SESSION), subscriptions and services end at once. After three heartbeats of silence the calls it was
 * running are given up; after the grace what it held returns and it is over. Subscriptions and services
 * belong to the connection: who resumes announces them again. A session's number, name and token are
 * durable. */
#ifndef BROKER_CORE_SESSION_H
#define BROKER_CORE_SESSION_H

#include "broker/core/state.h"

#define SESSION_HEARTBEATS 3 /* missed ones that mean death */

void sessions_init(core_t *core);
void sessions_free(core_t *core);

session_t *session_by_peer(const core_t *core, uint64_t peer);     /* NULL for none */
session_t *session_by_number(const core_t *core, uint64_t number); /* NULL for none */
session_t *session_by_name(const core_t *core, bytes_t name);      /* NULL for none */
session_t *session_at(const core_t *core, uint32_t id);

void session_heard(core_t *core, session_t *session);
/* So long may a session be silent before its connection is given up. */
int64_t session_silence_us(const core_t *core);

/* Verbs. */
void session_hello(core_t *core, const wire_msg_t *msg);
void session_bye(core_t *core, session_t *session, const wire_msg_t *msg);

/* The connection cannot be reached any more. */
void session_gone(core_t *core, uint64_t peer);
/* Sessions whose time has come. */
void sessions_due(core_t *core);
int64_t sessions_next_us(const core_t *core);
/* After recovery: all sessions are LOST from now on. */
void sessions_start(core_t *core);
/* Tells all that the broker stops. */
void sessions_stop(core_t *core);

MUST_USE bool session_apply(core_t *core, const record_t *record, error_t *err);

#endif
