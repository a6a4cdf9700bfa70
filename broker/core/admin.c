/* admin.c: dispatch of administration. */
#include "broker/core/admin.h"

#include "broker/core/answer.h"

void admin_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    error_t err;
    error_set(&err, STATUS_UNIMPLEMENTED, "UnsupportedOperation", "This version does not do %s yet.",
              wire_verb_name(msg->verb));
    answer_refuse(core, session->peer, msg->seq, &err);
}
