/* admin.h: QUEUE, RULE, TOPOLOGY and BROKER: administration. */
#ifndef BROKER_CORE_ADMIN_H
#define BROKER_CORE_ADMIN_H

#include "broker/core/state.h"

void admin_handle(core_t *core, session_t *session, const wire_msg_t *msg);

#endif
