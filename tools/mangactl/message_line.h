/* message_line.h: one message of a queue: for people, or as a JSON object. */
#ifndef MANGACTL_MESSAGE_LINE_H
#define MANGACTL_MESSAGE_LINE_H

#include "tools/mangactl/ctl.h"

/* `message` is a map as QUEUE peek has it: record, receives, attrs and body are shown to people, and all of it in JSON.
 * By ctl->json. An exit code. */
MUST_USE int message_line_print(ctl_t *ctl, bytes_t message);

#endif
