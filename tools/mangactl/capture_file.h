/* capture_file.h: capture files, written and read one record at a time.
 *
 * A capture is a line of text, CAPTURE_MAGIC, and then records as the journal has them (proto/record.h): a NOTE
 * capture-begin, PUBLISH records under their own sequence and ingest time, a NOTE capture-end.
 * docs/capture-format.md tells it in full. */
#ifndef MANGACTL_CAPTURE_FILE_H
#define MANGACTL_CAPTURE_FILE_H

#include <stdio.h>

#include "proto/record.h"

#define CAPTURE_MAGIC "mangabus-capture 1\n"

typedef struct {
    FILE *file;
    const char *path; /* borrowed */
    uint64_t events;
    uint64_t bytes;
    buf_t buf;
    record_t *record;
} capture_file_t;

/* A new file (0600); an existing one is refused unless `force`. */
MUST_USE bool capture_create(capture_file_t *self, const char *path, bool force, error_t *err);
MUST_USE bool capture_note(capture_file_t *self, const char *event, const char *text, bytes_t fields, int64_t now_us,
                           error_t *err);
MUST_USE bool capture_event(capture_file_t *self, uint64_t seq, int64_t ingest_us, const record_publish_t *event,
                            error_t *err);
/* Synced and closed; false when the disk did not take it. */
MUST_USE bool capture_finish(capture_file_t *self, error_t *err);

MUST_USE bool capture_open(capture_file_t *self, const char *path, error_t *err);
/* The next record, its checksum verified; valid until the next call. False at the end, or with err->code set. */
MUST_USE bool capture_next(capture_file_t *self, const record_t **record, error_t *err);
void capture_close(capture_file_t *self);

#endif
