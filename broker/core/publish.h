/* publish.h: PUBLISH and SEND: admission, routing, and the one record that says where it all went. */
#ifndef BROKER_CORE_PUBLISH_H
#define BROKER_CORE_PUBLISH_H

#include "broker/core/state.h"

void publish_handle(core_t *core, session_t *session, const wire_msg_t *msg);
void publish_handle_send(core_t *core, session_t *session, const wire_msg_t *msg);

/* An event that a replay brings again. */
typedef struct {
    bytes_t name; /* of the replay */
    bytes_t bus;  /* that it is of: the event may have come to it from another one */
    bytes_t to;   /* of its settings */
    bytes_t rules;
    const record_t *record; /* as it was; not core->record */
    bool is_dry;            /* core->record->publish.routes says where it would go, and nothing is written */
} publish_replay_t;

/* *is_none: none of the rules asked for matches, and nothing is written. False when the event cannot go there. */
MUST_USE bool publish_replay(core_t *core, const publish_replay_t *event, bool *is_none, error_t *err);

MUST_USE bool publish_apply(core_t *core, const record_t *record, error_t *err);
MUST_USE bool publish_apply_send(core_t *core, const record_t *record, error_t *err);

#endif
