/* archive_format.h: what an archive's files hold, byte by byte; docs/archive-format.md says it for readers.
 *
 * Pure: no file is touched here. All numbers are little-endian. */
#ifndef BROKER_JOURNAL_ARCHIVE_FORMAT_H
#define BROKER_JOURNAL_ARCHIVE_FORMAT_H

#include "broker/journal/journal_file.h"

#define ARCHIVE_FORMAT 1
#define ARCHIVE_HEADER_BYTES 128
#define ARCHIVE_BLOCK_ENTRY_BYTES 32
#define ARCHIVE_ID_ENTRY_BYTES 16
#define ARCHIVE_BLOCK_BYTES ((size_t)32768) /* of records; a larger record is a block of its own */
#define ARCHIVE_NAME_MAX_BYTES 48           /* EventBridge: ArchiveName (core/archive_def.h) */
#define ARCHIVES_NAME "archive"             /* in the journal's folder: one folder for each archive */
#define ARCHIVE_FILLING_NAME "archive.tmp"  /* a file that is not whole yet; worthless */

typedef struct {
    uint64_t from, through;    /* records of the log that were looked at for this file */
    uint64_t first, last;      /* sequences of its records */
    int64_t first_us, last_us; /* their ingest times */
    uint64_t records;
    uint64_t index_at; /* offset behind the last record, where the index by time begins */
    uint64_t ids_at;   /* where the index by event id begins */
    uint64_t bytes;    /* of the file */
    uint32_t index_crc, ids_crc;
} archive_header_t;

/* Up to ARCHIVE_BLOCK_BYTES of records. */
typedef struct {
    uint64_t seq; /* of its first record */
    int64_t ingest_us;
    uint64_t offset; /* in the file */
    uint64_t count;  /* records */
} archive_block_t;

typedef struct {
    uint64_t hash;   /* archive_id_hash of the event's id */
    uint64_t offset; /* of its record in the file */
} archive_id_t;

/* `out` has ARCHIVE_HEADER_BYTES. */
void archive_header_encode(const archive_header_t *header, uint8_t *out);
/* NULL when it holds and fits a file of so many bytes, else what is wrong. A file of a newer format has *format above
 * ARCHIVE_FORMAT. */
const char *archive_header_decode(const uint8_t *in, uint64_t file_bytes, archive_header_t *out, uint32_t *format);

void archive_block_encode(const archive_block_t *block, uint8_t *out);
void archive_block_decode(const uint8_t *in, archive_block_t *out);
void archive_id_encode(const archive_id_t *id, uint8_t *out);
void archive_id_decode(const uint8_t *in, archive_id_t *out);

/* FNV-1a, 64 bits. */
uint64_t archive_id_hash(bytes_t event_id);

/* 0000000000000001-0000000000000017.archive: the records of the log from 1 through 17 were looked at. */
void archive_file_name(uint64_t from, uint64_t through, char out[FILE_NAME_BYTES]);
MUST_USE bool archive_file_name_parse(const char *name, uint64_t *from, uint64_t *through);

#endif
