/* answer.c: the words of refusals. */
#include "broker/core/answer.h"

#include "broker/core/ledger.h"

#define AWS_DENIED "AccessDeniedException"
#define STOPPING_RETRY_MS 1000

void answer_refuse(core_t *core, uint64_t peer, uint64_t seq, const error_t *err)
{
    const wire_error_t error = {
        .status = err->code,
        .name = bytes_cstr(err->aws[0] ? err->aws : status_name(err->code)),
        .message = bytes_cstr(err->message),
        .retry_after_ms = (uint64_t)err->retry_after_ms,
    };
    core->stats.refused++;
    effects_frame(core->out, peer, ledger_after(core), WIRE_ERROR, seq, &error);
}

bool answer_allowed(const core_t *core, role_kind_t kind, bytes_t name, error_t *err)
{
    static const char *const doings[ROLE_KINDS] = {
        [ROLE_PUBLISH] = "publish on bus",
        [ROLE_SOURCES] = "publish under source",
        [ROLE_CONSUME] = "consume queue",
        [ROLE_SUBSCRIBE] = "subscribe bus",
        [ROLE_SEND] = "send to queue",
        [ROLE_CALL] = "call",
        [ROLE_SERVE] = "serve",
        [ROLE_PERMITS] = "draw permits of",
    };
    if (role_allows(core->input->role, kind, name))
        return true;
    return error_set(err, STATUS_PERMISSION_DENIED, AWS_DENIED, "Your role may not %s \"%.*s\".", doings[kind],
                     BYTES_FMT(name));
}

bool answer_is_admin(const core_t *core, error_t *err)
{
    return role_is_admin(core->input->role) ||
           error_set(err, STATUS_PERMISSION_DENIED, AWS_DENIED, "Your role may not administer the broker.");
}

bool answer_may_observe(const core_t *core, error_t *err)
{
    return role_may_observe(core->input->role) || role_is_admin(core->input->role) ||
           error_set(err, STATUS_PERMISSION_DENIED, AWS_DENIED, "Your role may not look into the broker.");
}

bool answer_takes_work(const core_t *core, error_t *err)
{
    if (!core->is_stopping)
        return true;
    error_set(err, STATUS_UNAVAILABLE, "STOPPING", "The broker is stopping: try again when it is back.");
    if (err)
        err->retry_after_ms = STOPPING_RETRY_MS;
    return false;
}
