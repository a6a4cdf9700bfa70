/* calls.h: requests and their answers, from the caller's side: CALL, CANCEL, deadlines, asking again.
 *
 * Calls are not durable and never wait for the journal. A call's identity is (caller, number); asking again under it
 * never starts it twice while the broker knows it. Final replies are kept for a while for that. One that is asked
 * again and not known is started only if it may run twice, or if it cannot have come here before; else it waits for a
 * worker to claim it, as long as workers may still be coming back after a restart. What workers do is in workers.h.
 * Rules: docs/protocol.md, calls. */
#ifndef BROKER_CORE_CALLS_H
#define BROKER_CORE_CALLS_H

#include "broker/core/state.h"

#define CALLS_WORKER_WAIT_US US_PER_S /* for a worker to appear */
#define CALLS_PROBES 4                /* a worker is looked after so often in a heartbeat */
#define CALLS_KEEP_US (30 * US_PER_S) /* a final reply */
#define CALLS_KEEP_MAX 4096u
#define CALLS_KEEP_BYTES ((size_t)16 << 20)
#define CALLS_KEEP_CAP_BYTES ((size_t)4 << 10) /* the memory of a request up to this size is its answer's then */
#define CALLS_METHODS_MAX 4096u
#define CALLS_RETRY_MS 1000 /* told with UNAVAILABLE */

void calls_init(core_t *core);
void calls_free(core_t *core);

/* Verbs. */
void calls_handle(core_t *core, session_t *session, const wire_msg_t *msg);
void calls_cancel(core_t *core, session_t *session, const wire_msg_t *msg);
void calls_credit(core_t *core, session_t *session, const wire_msg_t *msg); /* hands REPLY_CREDIT to the worker */

/* The caller's session ends: its calls are cancelled. */
void calls_lose_caller(core_t *core, session_t *session);
void calls_due(core_t *core);
int64_t calls_next_us(const core_t *core);

/* -- for workers.c --------------------------------------------------------------------------------- */
call_t *call_at(const core_t *core, uint32_t id);
call_t *call_find(const core_t *core, bytes_t caller, uint64_t number);
call_t *call_make(core_t *core, bytes_t caller, uint64_t number);
void call_forget(core_t *core, call_t *call);
void call_arm(core_t *core, call_t *call);
void call_wait(core_t *core, call_t *call, bool at_front);
void call_unwait(core_t *core, call_t *call);
/* Answers the caller and keeps the answer; the call is done. */
void call_finish(core_t *core, call_t *call, const wire_reply_t *reply);
/* The same with a failure that the broker itself states. */
void call_fail(core_t *core, call_t *call, status_t status, const char *aws, const char *message,
               uint64_t retry_after_ms);
void call_drop_request(call_t *call);

method_t *method_at(const core_t *core, uint32_t id);
method_t *method_get(core_t *core, bytes_t name); /* made if there is none */
method_t *method_find(const core_t *core, bytes_t name);
void method_use(method_t *method);
void method_leave(core_t *core, method_t *method); /* frees it after its last use */

#endif
