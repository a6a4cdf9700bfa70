/* workers.h: calls from the worker's side: SERVE, dispatch to the least busy, REPLY, and lost workers. */
#ifndef BROKER_CORE_WORKERS_H
#define BROKER_CORE_WORKERS_H

#include "broker/core/state.h"

#define WORKER_CAPACITY_MAX 65536u

/* Verbs. */
void workers_serve(core_t *core, session_t *session, const wire_msg_t *msg);
void workers_reply(core_t *core, session_t *session, const wire_msg_t *msg);

/* Gives waiting calls of the method to instances that have room. */
void workers_dispatch(core_t *core, method_t *method);
bool workers_any(const core_t *core, const method_t *method);

/* Takes a running call from its worker; tells it with CANCEL when `reason` is not NULL. */
void workers_stop(core_t *core, call_t *call, const char *reason);
/* A call that was answered runs at this worker once more. */
void workers_take_back(core_t *core, call_t *call, session_t *worker);
/* Has the worker of a running call send again from chunk c->reply_from on. */
void workers_repeat(core_t *core, call_t *call, const wire_call_t *c);
/* Sends a PING to the worker of a running call, at most one in a while: a connection that is gone is only noticed by
 * sending. Sets the call's next probe. */
void workers_probe(core_t *core, call_t *call);
/* Tells the worker of a running call that it may send so much more. */
void workers_credit(core_t *core, const call_t *call, uint64_t bytes);

/* The connection is lost: its services end, what it runs is unsure. */
void workers_disconnect(core_t *core, session_t *session);
/* It will not come back in time: calls it was running are dispatched again, or fail. */
void workers_lost(core_t *core, session_t *session);

#endif
