/* journal_case.h: a journal under test and the memory of everything that was appended to it. */
#ifndef TESTS_LIB_JOURNAL_CASE_H
#define TESTS_LIB_JOURNAL_CASE_H

#include "broker/journal/journal.h"
#include "broker/journal/journal_checkpoint.h"
#include "tests/lib/random.h"

typedef struct {
    journal_options_t options;
    journal_t *journal;
    random_t random;
    bytes_t *records; /* records[i] has sequence i + 1; its bytes are ours */
    size_t count, cap;
    bool *dropped;     /* nobody needs it: it may be gone */
    uint64_t snapshot; /* newest record of the one that was loaded */
    uint64_t acked;    /* highest that the journal called synced */
    int64_t time_us;
    uint64_t checked; /* records compared while opening */
    journal_recovery_t recovery;
    error_t err;
} journal_case_t;

/* Forgets what was never acked and is not there, checks all that is: order, content, nothing invented, nothing
 * acked lost, the snapshot right. False, with c->err, when the journal refused or a check failed (then err.aws is
 * "TEST"). */
bool journal_case_open(journal_case_t *c);
/* Appends one random record with a body of at most `body_max` bytes; keeps it in mind. */
bool journal_case_append(journal_case_t *c, size_t body_max);
/* Keeps a record in mind that was appended otherwise. */
void journal_case_remember(journal_case_t *c, bytes_t raw);
/* Takes note of journal_synced. */
void journal_case_note(journal_case_t *c);
/* Nobody needs this record any more. */
void journal_case_drop(journal_case_t *c, uint64_t seq);
/* A whole checkpoint in random steps, retaining so many bytes of log; *none tells that there was nothing to do. A
 * "state" of count and checksum is what it folds. False when it failed. */
bool journal_case_checkpoint(journal_case_t *c, uint64_t retain_bytes, bool *none);
/* Closes, with or without success. */
bool journal_case_close(journal_case_t *c);
/* Reads every record that is needed again by sequence, and all by scanning; false as journal_case_open. */
bool journal_case_read_all(journal_case_t *c);
void journal_case_free(journal_case_t *c);

#endif
