/* verbs.h: every command, each defined in the file of its family. */
#ifndef MANGACTL_VERBS_H
#define MANGACTL_VERBS_H

#include "tools/mangactl/ctl.h"

extern const command_t command_ask;
extern const command_t command_publish, command_send;
extern const command_t command_call;
extern const command_t command_tail;
extern const command_t command_capture, command_capture_show;
extern const command_t command_replay;
extern const command_t command_replay_start, command_replay_ls, command_replay_info;
extern const command_t command_replay_pause, command_replay_resume, command_replay_cancel;
extern const command_t command_queue_ls, command_queue_info, command_queue_peek;
extern const command_t command_queue_receive, command_queue_settle;
extern const command_t command_queue_create, command_queue_set, command_queue_purge, command_queue_rm;
extern const command_t command_queue_redrive, command_queue_move, command_queue_tasks, command_queue_cancel;
extern const command_t command_rule_ls, command_rule_test, command_rule_explain, command_rule_lint, command_rule_next,
    command_rules_diff;
extern const command_t command_topology_show, command_topology_apply, command_topology_export;
extern const command_t command_status, command_top, command_bench;
extern const command_t command_schema_ls, command_schema_show, command_schema_diff;
extern const command_t command_journal_verify, command_journal_dump, command_journal_repair;
extern const command_t command_archive_ls, command_archive_info, command_archive_read;
extern const command_t command_context_add, command_context_use, command_context_ls, command_context_rm;
extern const command_t command_keygen;
extern const command_t command_doctor;
extern const command_t command_completion;

#define CTL_OPTIONS(rows)                                                                                              \
    {                                                                                                                  \
        (rows), ARRAY_LEN(rows)                                                                                        \
    }

#endif
