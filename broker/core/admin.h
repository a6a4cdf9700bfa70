/* admin.h: QUEUE, RULE, TOPOLOGY and BROKER: administration. RESULT carries one msgpack value.
 *
 *   verb      op        needs    name      args, body                  RESULT
 *   QUEUE     list      observe  prefix    -                           [queue]
 *             info      observe  queue     -                           queue, with `holders`
 *             peek      observe  queue     max (10), after_message     [message], by the front; nothing is received
 *                                          or after (record)
 *             create    admin    queue     attributes by SQS's names   queue; the same again is no error
 *             set       admin    queue     attributes that change      queue
 *             delete    admin    queue     -                           {messages}: how many were in it
 *             purge     admin    queue     -                           {count}
 *             redrive   admin    queue     to (queue), rate (500),     task: begun, or what would be
 *                                          dry_run (boolean)
 *             move      admin    queue     messages ([message]), to    {moved, missing, refused: [{message, why}]}:
 *                                          (queue), delay_ms           at once, of a dead-letter queue
 *             discard   admin    queue     messages, detail            the same: they are gone
 *             tasks     observe  queue     -                           [task]: the newest 10, newest first
 *             cancel    admin    handle    -                           task
 *   RULE      list      observe  bus or ""  -                          [rule]
 *             test      observe  bus       body: envelope              [rule]: those that match, disabled ones too
 *             explain   observe  bus       rule, replay_name;          [{rule, bus, state, targets, explanation}], see
 *                                          body: envelope              explanation_put in rules/explain.h
 *             schedules observe  -         -                           [{name, state, expression, time_zone, queue,
 *                                                                      missed, next_us, fired_us, fired, waiting}]
 *   TOPOLOGY  show      observe  -         -                           {version, sha256, document: JSON as text,
 *                                                                      applied_us, by}
 *             diff      observe  -         body: JSON as text          as apply with dry_run
 *             apply     admin    -         force, dry_run (booleans),  {version, dry_run, changes: [text], messages}:
 *                                          by; body: JSON as text      messages in queues that are dropped
 *             export    observe  -         -                           {document}: what is now, JSON as text
 *   BROKER    status    observe  -         -                           {broker, version, started_us, now_us, head,
 *                                                                      stopping, topology_version, …counters}
 *             sessions  observe  -         -                           [{session, name, live, heard_us, in_flight,
 *                                                                      subscriptions, services, calls, producer,
 *                                                                      epoch}]
 *             services  observe  -         -                           [{method, waiting, instances: [{name, capacity,
 *                                                                      running}]}]
 *             methods   observe  prefix    -                           [method name]
 *             check     observe  -         after (place, 0)            {ok, problem, checked, next, messages}: a slice
 *                                                                      of check.h; next 0 ends it
 *             permits   observe  -         -                           [{name, rate, burst, expiry_ms, available,
 *                                                                      waiting: [live, normal, batch], granted,
 *                                                                      returned}]
 *
 *   REPLAY    start     admin    replay    archive or bus; to, pattern replay: begun; a dry run counts, writes nothing
 *                                          (JSON text), ids, from_us, and is forgotten by a restart
 *                                          until_us, speed_permille
 *                                          or rate, dry_run (boolean)
 *             list      observe  -         -                           [replay]
 *             info      observe  replay    -                           replay
 *             pause, resume, cancel
 *                       admin    replay    -                           replay
 *
 *   replay: {replay, state, dry_run, settings: JSON as text, position, until, at_us, replayed, deliveries, refused,
 *           began_us, ended_us, now_us, waits, why, queues: {name: deliveries}}
 *   queue:  {name, incarnation, visible, in_flight, delayed, bytes, groups, groups_blocked, groups_noisy, lost,
 * oldest_us, consumers, fifo, from_topology, entered, delivered, left (messages since the start, what was there then
 *           counts as entered: for rates), attributes: {SQS names}}; of info besides `holders`: [{record, receives,
 *           until_us, session, name, group}], the first 100: who has what, and until when
 *
 *   task:   {task, state, source, to, rate, wanted, moved, began_us, ended_us, why}; task: the handle, of a running
 *           one; to: "" for the queues that the messages came from
 *
 *   rule:   {name, bus, state, pattern: JSON as text, targets: [{id, queue, state}]} */
#ifndef BROKER_CORE_ADMIN_H
#define BROKER_CORE_ADMIN_H

#include "broker/core/state.h"

#define ADMIN_HOLDERS_MAX 100u
#define ADMIN_PEEK_MAX 256u
#define ADMIN_PICK_MAX 256u        /* messages moved or discarded by one request */
#define ADMIN_DELAY_MAX_MS 900000u /* SQS: DelaySeconds */

void admin_handle(core_t *core, session_t *session, const wire_msg_t *msg);

/* True when some queue has `dead` as its dead-letter queue. */
bool admin_is_dead_letters(const core_t *core, const queue_t *dead);

/* -- operations ------------------------------------------------------------------------------------- */
typedef struct {
    const session_t *session;
    uint64_t seq;
    bytes_t name, args, body;
} admin_request_t;

/* Appends the RESULT's value to `out`; one that leaves it empty has answered by itself. */
typedef bool (*admin_fn)(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);

bool admin_queue_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_info(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_peek(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_create(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_set(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_delete(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_redrive(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_move(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_discard(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_tasks(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_cancel(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_queue_purge(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_rule_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_rule_test(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_rule_explain(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_rule_schedules(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_topology_show(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_topology_diff(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_topology_apply(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_topology_export(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_status(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_sessions(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_services(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_check(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_methods(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_broker_permits(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_start(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_info(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_pause(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_resume(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);
bool admin_replay_cancel(core_t *core, const admin_request_t *request, buf_t *out, error_t *err);

#endif
