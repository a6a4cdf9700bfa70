/* journal_state.h: what a journal_t is, for the files of this folder that are its functions. */
#ifndef BROKER_JOURNAL_JOURNAL_STATE_H
#define BROKER_JOURNAL_JOURNAL_STATE_H

#include "broker/journal/journal_recover.h"
#include "broker/journal/journal_writer.h"

struct journal {
    folder_t folder;
    int lock_fd;
    uint64_t segment_bytes;
    uint64_t salt;
    bool no_thread, by_hand;

    segments_t segments;
    kepts_t kepts;
    snapfile_header_t snapshot; /* the newest; zeros for none */
    size_t planned;             /* of them: the newest, whose files are not made yet */
    spares_t spares;
    writer_t writer;
    tail_t tail;
    bool gathering; /* the tail's newest batch is open */
    commit_t commit;
    bool committing; /* the writer has it */

    uint64_t next_seq;
    uint64_t next_batch;      /* number that the next batch to be opened gets */
    uint64_t next_generation; /* of the next segment */
    int64_t last_ingest_us;
    uint64_t synced_seq;
    uint64_t synced_batch;
    uint64_t proven_batch; /* highest that a batch on disk proves to be synced */
    uint64_t filled_batch; /* highest that holds records */
    bool was_full;         /* when last looked */

    bool failed;
    error_t failure;
    journal_stats_t stats;

    buf_t read;         /* journal_read's result, when it came from the disk */
    window_t window;    /* journal_scan's */
    uint64_t window_of; /* segment number it looks at; 0 for none */
    unsigned open_fds;  /* of segments that are only read */
    record_t *record;   /* decoded for callbacks */
};

/* Takes note of the first failure, which is the last, and reports it. Returns false. */
bool journal_fail(journal_t *journal, const error_t *why, error_t *err);
/* False, with the first failure in *err, once there was one. */
MUST_USE bool journal_works(const journal_t *journal, error_t *err);

/* True for segments that are only read: the writer has nothing to do with their files, and what they hold is synced. */
bool journal_is_past(const journal_t *journal, size_t i);

/* Closes the files of segments that are only read; they are opened again when needed. */
void journal_close_past(journal_t *journal);

#endif
