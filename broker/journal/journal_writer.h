/* journal_writer.h: brings batches to the disk, by a thread of its own or in place.
 *
 * One commit at a time: a run of closed batches is written and synced once. The thread also prepares the next
 * segment's file, which costs the disk as much as the records do: when no commits come, and beside them only as fast
 * as it will be needed, from the first quarter of a segment on; often one comes back before that. */
#ifndef BROKER_JOURNAL_JOURNAL_WRITER_H
#define BROKER_JOURNAL_JOURNAL_WRITER_H

#include <stdatomic.h>

#include "broker/journal/journal_spare.h"
#include "broker/journal/journal_tail.h"

/* What one commit is to do, and how it went. */
typedef struct {
    batch_t **batches; /* in order; the array is the commit's, the batches are the tail's */
    size_t count, cap;
    uint64_t synced;  /* highest batch known to be on disk: before, and when it is done, after */
    uint64_t proven;  /* highest batch that the last one written says is on disk */
    atomic_bool done; /* set last: all else is the owner's then */
    bool good;
    error_t err; /* when not good */
    uint64_t syncs, bytes, sync_ns;
} commit_t;

typedef struct {
    const folder_t *folder;
    spares_t *spares;
    int event_fd; /* readable when a commit is done or filling failed; -1 without a thread */
    bool running;
    bool is_quiet;   /* the thread's: no commit came for a while */
    uint64_t used;   /* the thread's: of the segment it wrote to last, in bytes */
    commit_t *given; /* the owner's: not taken back yet */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what is below */
    pthread_cond_t wake, finished;
    commit_t *commit; /* to be done; NULL when it is */
    bool stop;
} writer_t;

/* Without a thread until writer_start. */
void writer_init(writer_t *writer, const folder_t *folder, spares_t *spares);
MUST_USE bool writer_start(writer_t *writer, error_t *err);
/* Ends the thread after the commit it has; frees all but what was only lent. */
void writer_free(writer_t *writer);

/* Gives the thread a commit; its result is there when writer_done says so. One at a time. */
void writer_give(writer_t *writer, commit_t *commit);
/* True, once, when the commit that was given is done. One look at memory while it is not. */
bool writer_done(writer_t *writer);
/* Takes the event, for a commit that was found done before it came. */
void writer_heard(const writer_t *writer);
/* Waits until it is; without a thread it does it. */
void writer_wait(writer_t *writer);
/* The thread looks again whether there is something to fill. */
void writer_wake(writer_t *writer);

/* Without a thread: does the commit that was given; false when there is none. The next spare with it. */
bool writer_work(writer_t *writer);

/* Does a commit here and now; no other may be under way. Beside a running thread no batch of it may begin a
 * segment: taking spares is the thread's work then. */
void writer_commit_here(writer_t *writer, commit_t *commit);

#endif
