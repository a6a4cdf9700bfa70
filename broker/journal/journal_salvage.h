/* journal_salvage.h: finds the records that hold by themselves where a batch does not.
 *
 * Each record has its own length, checksum and sequence. They are followed from where the batch's records begin; a
 * record whose checksum does not hold is stepped over by its length. Where even that leads nowhere, the place is
 * searched for the chain of records that ends exactly where the damage does. A message may hold bytes that look like
 * records, but no such chain can be made of them: they lie in a record that has its own sequence and end. */
#ifndef BROKER_JOURNAL_JOURNAL_SALVAGE_H
#define BROKER_JOURNAL_JOURNAL_SALVAGE_H

#include "broker/journal/journal_file.h"

typedef struct {
    bytes_t *records; /* ascending; into `bytes` */
    size_t count, cap;
    buf_t bytes;
} salvage_t;

/* What is there of records first_seq to before next_seq between two offsets of the file, at the first of which a
 * batch began. Forgets what it had before. */
MUST_USE bool salvage_read(salvage_t *salvage, window_t *window, uint64_t at, uint64_t end, uint64_t first_seq,
                           uint64_t next_seq, error_t *err);
void salvage_free(salvage_t *salvage);

#endif
