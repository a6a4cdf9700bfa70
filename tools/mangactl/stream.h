/* stream.h: listening to a bus from the command line: what tail and capture have in common. */
#ifndef MANGACTL_STREAM_H
#define MANGACTL_STREAM_H

#include "tools/mangactl/ctl.h"

typedef struct stream {
    ctl_t *ctl;
    const char *bus, *name, *pattern;
    uint64_t from;
    int64_t since_us, until_us; /* 0: none; by this machine's clock, stream_run takes them to the broker's */
    bool live_only, replays_only;
    int64_t count;      /* end after so many; 0: no end */
    int64_t timeout_ms; /* end after this time; 0: never */
    /* Called for each event that is wanted; false ends the stream. */
    bool (*each)(void *ctx, const bus_delivery_t *delivery);
    void *ctx;

    uint64_t gaps; /* how often events were missed */
    int64_t seen;
    uint64_t next;    /* record that would come next */
    int64_t heard_us; /* when the last event came, monotonic */
    bool ended;       /* by count, until or each */
    loop_timer_t *quiet;
    int code;
} stream_t;

#define STREAM_OPTION_ROWS                                                                                             \
    {"pattern", ARG_TEXT, "JSON", "only events that match this EventBridge pattern (or @FILE)"},                       \
        {"since", ARG_TEXT, "WHEN", "begin at an RFC 3339 time, or a time ago such as 5m"},                            \
        {"from", ARG_COUNT, "RECORD", "begin at this record"}, {"count", ARG_COUNT, "N", "end after so many events"},  \
    {                                                                                                                  \
        "timeout", ARG_DURATION, "TIME", "end after this time"                                                         \
    }

/* Fills what the options above and the first positional say. */
MUST_USE bool stream_options(stream_t *stream, const args_t *args, buf_t *pattern, error_t *err);
/* Connects, listens, and returns when the stream is over: an exit code. */
int stream_run(stream_t *stream);

#endif
