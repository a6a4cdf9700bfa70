/* capture_set.h: a capture as one file, or as numbered files, each of which is a whole capture.
 *
 * Numbered files are FILE.000001, FILE.000002 and so on, from one behind the highest number that is there: nothing is
 * overwritten, whatever was removed meanwhile. A file is ended, synced and closed by the event that opens the next. */
#ifndef MANGACTL_CAPTURE_SET_H
#define MANGACTL_CAPTURE_SET_H

#include "tools/mangactl/capture_file.h"
#include "tools/mangactl/ctl.h"

#define CAPTURE_ROTATE_MIN_BYTES (4 << 10) /* less is a slip of the pen, and would fill a folder with files */
#define CAPTURE_ROTATE_MIN_MS 1000

/* When a file is full; both 0: never. */
typedef struct {
    uint64_t bytes; /* a file that has so many takes no more events: it is larger by one event at most */
    int64_t us;     /* from its first event's ingest time on */
} capture_rotate_t;

typedef struct {
    const char *path; /* borrowed */
    capture_rotate_t rotate;
    bytes_t fields; /* of each capture-begin; borrowed */
    bool force;     /* of the one file */

    capture_file_t file;
    char name[CTL_PATH_BYTES]; /* of `file` */
    uint64_t first, number;    /* of the numbered files */
    uint64_t events, bytes;    /* of those that are ended */
    int64_t first_us;          /* ingest time of the file's first event */
} capture_set_t;

/* "64MiB" (or KiB, GiB, or bytes with a B), or "1h" as any duration. */
MUST_USE bool capture_rotate_read(const char *text, capture_rotate_t *out, error_t *err);

/* The path, rotate, fields and force are set; creates the first file. */
MUST_USE bool capture_set_begin(capture_set_t *self, error_t *err);
MUST_USE bool capture_set_event(capture_set_t *self, uint64_t seq, int64_t ingest_us, const record_publish_t *event,
                                error_t *err);
/* Ends the file; on disk when true. */
MUST_USE bool capture_set_end(capture_set_t *self, error_t *err);
void capture_set_close(capture_set_t *self);

bool capture_set_is_numbered(const capture_set_t *self);
/* Of file `number`, first..number; of the one file for a set that has no numbers. False when it is too long. */
MUST_USE bool capture_set_name(const capture_set_t *self, uint64_t number, char out[CTL_PATH_BYTES]);
/* All events and bytes so far. */
uint64_t capture_set_events(const capture_set_t *self);
uint64_t capture_set_bytes(const capture_set_t *self);

#endif
