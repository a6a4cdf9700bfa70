/* history.h: the events of an archive, from its files and then from the log, up to the newest record.
 *
 * Where the files end the log goes on: every record that a segment lost was looked at for the archive before. So there
 * is no gap between them, and since both say where they are by the log's sequence, nothing comes twice. Everything
 * blocks on the disk; all calls are the owner's of the journal. */
#ifndef BROKER_JOURNAL_HISTORY_H
#define BROKER_JOURNAL_HISTORY_H

#include "broker/journal/archive_folder.h"
#include "broker/journal/archive_reader.h"

typedef struct history history_t;

/* What is read. Which events belong to it is the callback's business: files hold those that the archive took in, the
 * log those of every bus. */
typedef struct {
    bytes_t archive;    /* empty: the log alone */
    const bytes_t *ids; /* events with these ids are enough; the log is not told apart by them */
    size_t id_count;    /* 0: all */
} history_source_t;

/* Called with each PUBLISH record; false ends the reading before this record. */
typedef bool (*history_fn)(void *ctx, const record_t *record);

/* `journal` outlives it. NULL when out of memory. */
MUST_USE history_t *history_new(journal_t *journal);
void history_free(history_t **history);
/* To be called when a checkpoint was adopted: files came and went. */
void history_changed(history_t *history);

/* First record of the source that may not be older than `us`; a few older ones may follow. */
MUST_USE bool history_find_time(history_t *history, const history_source_t *source, int64_t us, uint64_t *seq,
                                error_t *err);
/* Reads on from sequence `from`, about `max_bytes` of records; *next is where to go on, journal_next_seq() at the end.
 * False with the file and the offset when something does not hold (ARCHIVE_CORRUPT, JOURNAL_CORRUPT). */
MUST_USE bool history_read(history_t *history, const history_source_t *source, uint64_t from, size_t max_bytes,
                           history_fn fn, void *ctx, uint64_t *next, error_t *err);

#endif
