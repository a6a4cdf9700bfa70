/* publish.h: PUBLISH and SEND: admission, routing, and the one record that says where it all went. */
#ifndef BROKER_CORE_PUBLISH_H
#define BROKER_CORE_PUBLISH_H

#include "broker/core/state.h"

void publish_handle(core_t *core, session_t *session, const wire_msg_t *msg);
void publish_handle_send(core_t *core, session_t *session, const wire_msg_t *msg);

MUST_USE bool publish_apply(core_t *core, const record_t *record, error_t *err);
MUST_USE bool publish_apply_send(core_t *core, const record_t *record, error_t *err);

#endif
