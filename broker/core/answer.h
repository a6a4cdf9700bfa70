/* answer.h: refusals and the permission checks that all verbs share. */
#ifndef BROKER_CORE_ANSWER_H
#define BROKER_CORE_ANSWER_H

#include "broker/core/state.h"

/* ERROR for the frame `seq` (0: none in particular). */
void answer_refuse(core_t *core, uint64_t peer, uint64_t seq, const error_t *err);

/* True when the role of this step's connection allows it; else PERMISSION_DENIED, AccessDeniedException. */
MUST_USE bool answer_allowed(const core_t *core, role_kind_t kind, bytes_t name, error_t *err);
MUST_USE bool answer_is_admin(const core_t *core, error_t *err);
MUST_USE bool answer_may_observe(const core_t *core, error_t *err);

/* False with UNAVAILABLE when the broker is stopping. */
MUST_USE bool answer_takes_work(const core_t *core, error_t *err);

#endif
