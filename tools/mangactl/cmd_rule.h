/* cmd_rule.h: what the verbs about rules have in common. */
#ifndef MANGACTL_CMD_RULE_H
#define MANGACTL_CMD_RULE_H

#include "tools/mangactl/verbs.h"

/* The list that RULE list and RULE test answer with, as a table. */
int rule_print_list(ctl_t *ctl, bytes_t list);

/* JSON as it stands, "@file", "-", or the name of a file: whatever begins like no JSON document is a name. */
MUST_USE bool rule_read_document(const char *given, buf_t *out, error_t *err);
/* The same, as msgpack. */
MUST_USE bool rule_read_event(const char *given, buf_t *out, error_t *err);

#endif
