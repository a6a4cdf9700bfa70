/* journal_case.h: a journal under test and the memory of everything that was appended to it. */
#ifndef TESTS_LIB_JOURNAL_CASE_H
#define TESTS_LIB_JOURNAL_CASE_H

#include "broker/journal/journal.h"
#include "tests/lib/random.h"

typedef struct {
    journal_options_t options;
    journal_t *journal;
    random_t random;
    bytes_t *records; /* records[i] has sequence i + 1; its bytes are ours */
    size_t count, cap;
    uint64_t first;      /* sequence of the oldest that the journal must still have */
    uint64_t releasable; /* highest that it was ever told to be the oldest needed: `first` may have moved up to it */
    uint64_t acked;      /* highest that the journal called synced */
    int64_t time_us;
    uint64_t checked; /* records compared while opening */
    journal_recovery_t recovery;
    error_t err;
} journal_case_t;

/* Forgets what was never acked and is not there, checks all that is: order, content, nothing invented, nothing
 * acked lost. False, with c->err, when the journal refused or a check failed (then err.aws is "TEST"). */
bool journal_case_open(journal_case_t *c);
/* Appends one random record with a body of at most `body_max` bytes; keeps it in mind. */
bool journal_case_append(journal_case_t *c, size_t body_max);
/* Keeps a record in mind that was appended otherwise. */
void journal_case_remember(journal_case_t *c, bytes_t raw);
/* Takes note of journal_synced. */
void journal_case_note(journal_case_t *c);
/* Closes, with or without success. */
bool journal_case_close(journal_case_t *c);
/* Reads every record again by sequence, and all by scanning; false as journal_case_open. */
bool journal_case_read_all(journal_case_t *c);
void journal_case_free(journal_case_t *c);

#endif
