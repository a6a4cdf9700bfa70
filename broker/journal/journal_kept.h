/* journal_kept.h: files of records that outlived their segment: the same bytes, in order of sequence, with an index
 * of one entry for about 32 KiB, so that finding one costs one read and far less than a byte of memory for each.
 *
 * Written once, to the end, under another name; never changed after that. docs/journal-format.md has the layout. */
#ifndef BROKER_JOURNAL_JOURNAL_KEPT_H
#define BROKER_JOURNAL_JOURNAL_KEPT_H

#include "broker/journal/journal_file.h"

#define KEPT_FORMAT 1
#define KEPT_HEADER_BYTES 64
#define KEPT_INDEX_BYTES 24              /* one entry on disk */
#define KEPT_BLOCK_BYTES ((size_t)32768) /* of records; a larger record is a block of its own */

typedef struct {
    uint64_t seq;    /* of its first record */
    uint64_t offset; /* in the file */
    uint64_t count;  /* records */
} kept_block_t;

/* How a snapshot names a file, and proves that it is the one. */
typedef struct {
    uint64_t made;        /* snapshot with which it was written */
    uint64_t first, last; /* sequences of its records; of a repair's note, the last that it stands for */
    uint64_t records;
    uint64_t bytes; /* of the file */
} kept_ref_t;

typedef struct {
    kept_ref_t ref;
    kept_block_t *blocks;
    size_t count;
    uint64_t data_end; /* offset behind the last record */
    uint32_t notes;    /* of its records: what a repair left for lost ones (journal_kept_note.h) */
    int fd;            /* -1: not open */
    flaw_t flaw;       /* what was found wrong last */
} kept_t;

typedef struct {
    kept_t **items; /* by sequence; their ranges do not meet */
    size_t count, cap;
    buf_t block; /* of `held`, the last one read */
    kept_t *held;
    size_t held_block;
} kepts_t;

/* -- reading ------------------------------------------------------------------------------------- */
/* Reads header and index of the file that `ref` names, which it must fit. NULL with DATA_LOSS and the offset (also in
 * *flaw, unless that is NULL), or FAILED_PRECONDITION when a newer program wrote it. */
MUST_USE kept_t *kept_open(const folder_t *folder, const kept_ref_t *ref, flaw_t *flaw, error_t *err);
void kept_free(kept_t *kept, const folder_t *folder);

/* Reads block `i` into `out` (cleared before): its records, one behind the other. */
MUST_USE bool kept_read_block(kept_t *kept, const folder_t *folder, size_t i, buf_t *out, error_t *err);
/* The block that holds `seq` if any does. */
size_t kept_block_of(const kept_t *kept, uint64_t seq);
uint64_t kept_block_bytes(const kept_t *kept, size_t i);

/* Appends; takes `kept` over. False when out of memory (then it is freed). */
MUST_USE bool kepts_add(kepts_t *kepts, kept_t *kept, const folder_t *folder);
void kepts_free(kepts_t *kepts, const folder_t *folder);
/* The first record of all files whose sequence is not below `seq`, checked; an empty slice when there is none. The
 * slice lives until the next call. */
MUST_USE bool kepts_seek(kepts_t *kepts, const folder_t *folder, uint64_t seq, bytes_t *raw, error_t *err);

/* -- writing ------------------------------------------------------------------------------------- */
typedef struct {
    const folder_t *folder;
    int fd;
    kept_ref_t ref;
    uint32_t notes;
    buf_t index;        /* as it will be on disk */
    buf_t pending;      /* records not written yet */
    uint64_t at;        /* offset of pending */
    kept_block_t block; /* open one */
    size_t block_bytes;
    uint64_t unsynced;
} kept_writer_t;

MUST_USE bool kept_begin(kept_writer_t *writer, const folder_t *folder, uint64_t made, error_t *err);
MUST_USE bool kept_add(kept_writer_t *writer, uint64_t seq, bytes_t record, error_t *err);
/* Brings it to the disk under its name, which is durable then. With no record at all there is no file, and ref->records
 * says so. */
MUST_USE bool kept_end(kept_writer_t *writer, kept_ref_t *ref, error_t *err);
/* Gives up; the unfinished file is overwritten by the next. */
void kept_abandon(kept_writer_t *writer);

#endif
