/* journal_kept_note.h: the note that a repair leaves in a kept file where it lost records: a NOTE `lost` under the
 * first sequence that may have been among them, with `through`, the last such, in its fields. Which of the sequences
 * between were there cannot be told. */
#ifndef BROKER_JOURNAL_JOURNAL_KEPT_NOTE_H
#define BROKER_JOURNAL_JOURNAL_KEPT_NOTE_H

#include "proto/record.h"

#define KEPT_NOTE_EVENT "lost"
#define KEPT_NOTE_THROUGH "through"

/* Appends the record. `text` is for people. */
void kept_note_encode(buf_t *out, uint64_t first, uint64_t through, int64_t ingest_us, const char *text);
/* The last sequence that this note stands for; 0 for any other record. */
uint64_t kept_note_through(bytes_t raw);

#endif
