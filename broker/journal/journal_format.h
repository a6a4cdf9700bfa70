/* journal_format.h: what the journal's files hold, byte by byte; docs/journal-format.md says it for readers.
 *
 * Pure: no file is touched here. All numbers are little-endian. */
#ifndef BROKER_JOURNAL_JOURNAL_FORMAT_H
#define BROKER_JOURNAL_JOURNAL_FORMAT_H

#include <endian.h>
#include <string.h>

#include "broker/journal/journal.h"

#define SEGMENT_BLOCK_BYTES 4096 /* batches begin here: writing one never touches the header's page */
#define SEGMENT_HEADER_BYTES 64  /* of that block; the rest is zero */
#define BATCH_HEADER_BYTES 56
#define BATCH_ALIGN_BYTES 8
#define BATCH_LIMIT_BYTES (BATCH_HEADER_BYTES + JOURNAL_BATCH_MAX_BYTES)
#define SEGMENT_TINY_BYTES ((uint64_t)16 << 10) /* smallest segment, in tests */
#define SEGMENT_MAX_BYTES ((uint64_t)1 << 30)
#define FILE_NAME_BYTES 48

typedef struct {
    uint64_t number;      /* of the segment; consecutive */
    uint64_t generation;  /* of this use of the file; every use of any file gets a higher one */
    uint64_t first_seq;   /* sequence of its first record, present or to come */
    uint64_t first_batch; /* number of its first batch: all before it were synced when this was written */
    uint64_t salt;        /* goes into every checksum of a batch header, so that no client can forge one in a body */
    uint64_t bytes;       /* of the file */
} segment_header_t;

typedef struct {
    uint64_t generation; /* as in the segment's header, or the batch is a leftover */
    uint64_t number;     /* consecutive over all segments */
    uint64_t synced;     /* highest batch known to be on disk when this one was written */
    uint64_t first_seq;  /* of its first record; of the next one to come when it has none */
    uint32_t count;      /* records */
    uint32_t length;     /* of the batch with its header, without padding */
    uint32_t records_crc;
} batch_header_t;

/* What the copy file's content is a copy of: see journal_copy.h. */
typedef struct {
    uint64_t segment; /* its number */
    uint64_t generation;
    uint64_t at;    /* offset in the segment */
    uint64_t bytes; /* of the content */
    uint32_t content_crc;
} copy_header_t;

/* `out` has SEGMENT_HEADER_BYTES. */
void segment_header_encode(const segment_header_t *header, uint8_t *out);

/* DATA_LOSS when it is none, FAILED_PRECONDITION when a newer program wrote it. */
MUST_USE bool segment_header_decode(const uint8_t *in, segment_header_t *out, error_t *err);

/* The fields as they stand, whether they can be or not: for what is to be saved of a damaged one. */
void segment_header_guess(const uint8_t *in, segment_header_t *out);

/* Fills in the header, checksums included, of the `header->length` bytes at `batch`. */
void batch_seal(uint8_t *batch, batch_header_t *header, uint64_t salt);

#define BATCH_MAGIC UINT32_C(0x5442424D) /* "MBBT" */

/* The cheapest look, for who searches for batches at every eighth byte. */
static inline bool batch_may_begin(const uint8_t *in)
{
    uint32_t magic;
    memcpy(&magic, in, sizeof magic);
    return magic == htole32(BATCH_MAGIC);
}

/* True when a whole batch header of this generation is at `in` (BATCH_HEADER_BYTES). */
MUST_USE bool batch_header_decode(const uint8_t *in, uint64_t generation, uint64_t salt, batch_header_t *out);

/* The same without the header's own checksum: for a segment whose salt is lost. `generation` 0 for any. */
MUST_USE bool batch_header_guess(const uint8_t *in, uint64_t generation, batch_header_t *out);

/* True when the records behind the header at `batch` are what was written. */
MUST_USE bool batch_records_hold(const uint8_t *batch, const batch_header_t *header);

/* `out` has SEGMENT_HEADER_BYTES. */
void copy_header_encode(const copy_header_t *header, uint8_t *out);
/* False when it is none; the content is not looked at. */
MUST_USE bool copy_header_decode(const uint8_t *in, copy_header_t *out);

static inline uint64_t batch_padded(uint64_t length)
{
    return (length + BATCH_ALIGN_BYTES - 1) & ~(uint64_t)(BATCH_ALIGN_BYTES - 1);
}

/* -- names in the folder ------------------------------------------------------------------------ */
#define LOCK_NAME "lock"
#define FILLING_NAME "filling.tmp" /* a spare that is not whole yet; worthless after a stop */
#define COPY_NAME "tail.copy"      /* what a start was writing anew */

#define KEPT_FILLING_NAME "kept.tmp"
#define SNAPSHOT_FILLING_NAME "snapshot.tmp"

void segment_name(uint64_t number, char out[FILE_NAME_BYTES]);  /* 0000000000000001.journal */
void spare_name(uint64_t id, char out[FILE_NAME_BYTES]);        /* 0000000000000001.spare */
void snapshot_name(uint64_t number, char out[FILE_NAME_BYTES]); /* 0000000000000001.snapshot */
/* 0000000000000009-0000000000000001.kept: written with snapshot 9, holds records from 1 on */
void kept_name(uint64_t made, uint64_t first, char out[FILE_NAME_BYTES]);
/* The number of a name as above; false for any other name. */
MUST_USE bool segment_name_parse(const char *name, uint64_t *number);
MUST_USE bool spare_name_parse(const char *name, uint64_t *id);
MUST_USE bool snapshot_name_parse(const char *name, uint64_t *number);
MUST_USE bool kept_name_parse(const char *name, uint64_t *made, uint64_t *first);

#endif
