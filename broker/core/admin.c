/* admin.c: the table of operations, and who may ask for which. */
#include "broker/core/admin.h"

#include "broker/core/answer.h"
#include "broker/core/ledger.h"
#include "proto/msgpack.h"

static const struct {
    wire_verb_t verb;
    const char *op;
    bool changes;
    admin_fn run; /* NULL: known to the protocol, not to this version */
} operations[] = {
    {WIRE_QUEUE, "list", false, admin_queue_list},
    {WIRE_QUEUE, "info", false, admin_queue_info},
    {WIRE_QUEUE, "peek", false, admin_queue_peek},
    {WIRE_QUEUE, "create", true, admin_queue_create},
    {WIRE_QUEUE, "set", true, admin_queue_set},
    {WIRE_QUEUE, "delete", true, admin_queue_delete},
    {WIRE_QUEUE, "purge", true, admin_queue_purge},
    {WIRE_QUEUE, "redrive", true, admin_queue_redrive},
    {WIRE_QUEUE, "move", true, admin_queue_move},
    {WIRE_QUEUE, "discard", true, admin_queue_discard},
    {WIRE_QUEUE, "tasks", false, admin_queue_tasks},
    {WIRE_QUEUE, "cancel", true, admin_queue_cancel},
    {WIRE_RULE, "list", false, admin_rule_list},
    {WIRE_RULE, "test", false, admin_rule_test},
    {WIRE_RULE, "explain", false, admin_rule_explain},
    {WIRE_RULE, "schedules", false, admin_rule_schedules},
    {WIRE_TOPOLOGY, "show", false, admin_topology_show},
    {WIRE_TOPOLOGY, "diff", false, admin_topology_diff},
    {WIRE_TOPOLOGY, "apply", true, admin_topology_apply},
    {WIRE_TOPOLOGY, "export", false, admin_topology_export},
    {WIRE_BROKER, "status", false, admin_broker_status},
    {WIRE_BROKER, "sessions", false, admin_broker_sessions},
    {WIRE_BROKER, "services", false, admin_broker_services},
    {WIRE_BROKER, "methods", false, admin_broker_methods},
    {WIRE_BROKER, "check", false, admin_broker_check},
    {WIRE_BROKER, "permits", false, admin_broker_permits},
    {WIRE_REPLAY, "start", true, admin_replay_start},
    {WIRE_REPLAY, "list", false, admin_replay_list},
    {WIRE_REPLAY, "info", false, admin_replay_info},
    {WIRE_REPLAY, "pause", true, admin_replay_pause},
    {WIRE_REPLAY, "resume", true, admin_replay_resume},
    {WIRE_REPLAY, "cancel", true, admin_replay_cancel},
};

static bool admin_run(core_t *core, wire_verb_t verb, bytes_t op, const admin_request_t *request, buf_t *out,
                      error_t *err)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (operations[i].verb != verb || !bytes_eq_cstr(op, operations[i].op))
            continue;
        if (!(operations[i].changes ? answer_is_admin(core, err) : answer_may_observe(core, err)))
            return false;
        if (operations[i].run)
            return (!operations[i].changes || answer_takes_work(core, err)) &&
                   operations[i].run(core, request, out, err);
        return error_set(err, STATUS_UNIMPLEMENTED, "UnsupportedOperation", "This version does not do %s %s yet.",
                         wire_verb_name(verb), operations[i].op);
    }
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAction", "%s has no operation \"%.*s\".",
                     wire_verb_name(verb), BYTES_FMT(op));
}

void admin_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_queue_t *fields = &msg->queue; /* the five verbs have the same fields */
    const admin_request_t request = {session, msg->seq, fields->name, fields->args, fields->body};
    buf_t out = {0};
    error_t err;
    if (!admin_run(core, msg->verb, fields->op, &request, &out, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
    } else if (out.len) {
        const wire_result_t result = {.body = buf_bytes(&out)};
        effects_frame(core->out, session->peer, ledger_after(core), WIRE_RESULT, msg->seq, &result);
    }
    buf_free(&out);
}
