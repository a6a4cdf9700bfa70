/* event_source.h: events one after another, wherever they are kept: the one door for verbs that work on many. */
#ifndef MANGACTL_EVENT_SOURCE_H
#define MANGACTL_EVENT_SOURCE_H

#include "proto/bytes.h"
#include "proto/status.h"

typedef struct {
    uint64_t number; /* from 1, in this source */
    uint64_t record; /* in the broker; 0: not known */
    int64_t ingest_us;
    bytes_t bus, replay_name, attrs;
    bytes_t body; /* the envelope; checked but for a capture's */
} source_event_t;

/* `next` gives the next event, whose bytes live until the next call; false at the end, or with err->code set. */
typedef struct {
    bool (*next)(void *self, source_event_t *out, error_t *err);
    void (*close)(void *self);
    void *self;
} event_source_t;

/* A capture file, or JSON Lines, of which each is one of these:
 *  - what `tail --json` and `capture show --json` print ({"record", "bus", "attributes", "event"});
 *  - an envelope, as EventBridge's archives and targets have it;
 *  - an entry of PutEvents (event_entry.h).
 * `bus` is that of events that say none; NULL: such are refused, "": they are given without. "-" is standard input
 * (JSON Lines). Errors name the line, and what of it is wrong. Reading blocks on the file. */
MUST_USE bool event_source_file(const char *path, const char *bus, event_source_t *out, error_t *err);

typedef struct {
    const char *journal, *archive; /* folder; name */
    int64_t from_us, to_us;        /* ingest times, the second excluded; 0: no bound */
    bytes_t id;                    /* events with this id alone, found by the index; empty: all */
} event_archive_t;

/* What an archive's files hold, oldest first; what is in the log alone is not among it. */
MUST_USE bool event_source_archive(const event_archive_t *from, event_source_t *out, error_t *err);

void event_source_close(event_source_t *source);

#endif
