/* archive_def.h: the archives that the topology in effect asks for.
 *
 * Source: EventBridge CreateArchive (ArchiveName, EventSourceArn, EventPattern, RetentionDays); RetentionBytes is ours.
 * What an archive takes in is every live event of its bus (published there, or passed on to it by a rule of another
 * one) that matches its pattern: none that a replay brought, and none that was addressed to one queue or subscriber,
 * which no rule saw either. */
#ifndef BROKER_CORE_ARCHIVE_DEF_H
#define BROKER_CORE_ARCHIVE_DEF_H

#include "broker/core/core.h"
#include "broker/rules/pattern.h"

#define ARCHIVE_DEF_NAME_MAX_BYTES 48
#define ARCHIVE_DEF_RETENTION_MAX_DAYS INT32_MAX
#define ARCHIVE_DEF_RETENTION_MIN_BYTES ((uint64_t)1 << 20)

typedef struct {
    bytes_t name, bus;
    bytes_t pattern;          /* msgpack; empty: every event */
    int64_t retention_us;     /* 0: for ever */
    uint64_t retention_bytes; /* UINT64_MAX: no bound */
} archive_def_t;

/* The nth archive (0, 1, …) of the topology in effect; false when there are no more. Its slices live until another
 * topology takes effect. */
MUST_USE bool archive_def_at(const core_t *core, uint32_t nth, archive_def_t *out);
/* Changes whenever another topology takes effect; 0: none has. */
uint64_t archive_def_version(const core_t *core);

/* Of one entry of the document: its name can name a folder, its pattern compiles, its retention is one. */
MUST_USE bool archive_def_check(bytes_t given, error_t *err);
/* *out is NULL for an archive without a pattern. */
MUST_USE bool archive_def_pattern(const archive_def_t *def, pattern_t **out, error_t *err);
/* True when the event belongs in. `pattern` is the archive's. */
bool archive_def_takes(const archive_def_t *def, const pattern_t *pattern, const record_publish_t *event);

#endif
