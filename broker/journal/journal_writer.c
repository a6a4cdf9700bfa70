/* journal_writer.c: the thread, and one commit. */
#include "broker/journal/journal_writer.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define QUIET_NS 20000000L /* without a commit: then a spare is filled at full speed */
#define NS_PER_S 1000000000L

/* -- one commit ---------------------------------------------------------------------------------- */

/* For statistics only; decisions never look at a clock. */
static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * (uint64_t)NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool sync_batches(writer_t *writer, commit_t *commit, const batch_t *last)
{
    uint64_t begun = monotonic_ns();
    if (!file_sync(writer->folder, last->segment->fd, &commit->err))
        return false;
    commit->sync_ns = monotonic_ns() - begun;
    commit->syncs++;
    commit->synced = last->number;
    return true;
}

static bool write_batch(writer_t *writer, commit_t *commit, batch_t *batch)
{
    const segment_header_t *segment = &batch->segment->header;
    batch_header_t header = {.generation = segment->generation,
                             .number = batch->number,
                             .synced = commit->synced,
                             .first_seq = batch->first_seq,
                             .count = batch->count,
                             .length = batch->length};
    commit->proven = commit->synced;
    batch_seal(batch->data.data, &header, segment->salt);
    commit->bytes += batch->data.len;
    return file_write(writer->folder, batch->segment->fd, batch->data.data, batch->write_bytes, batch->at,
                      &commit->err);
}

static bool write_all(writer_t *writer, commit_t *commit)
{
    for (size_t i = 0; i < commit->count; i++) {
        batch_t *batch = commit->batches[i];
        /* A segment begins only when all before it is on disk: its header is the proof of that. */
        if (batch->begins_segment && i > 0 && !sync_batches(writer, commit, commit->batches[i - 1]))
            return false;
        if (batch->begins_segment && !spares_take(writer->spares, batch->segment, &commit->err))
            return false;
        if (!write_batch(writer, commit, batch))
            return false;
    }
    return sync_batches(writer, commit, commit->batches[commit->count - 1]);
}

void writer_commit_here(writer_t *writer, commit_t *commit)
{
    commit->good = write_all(writer, commit);
}

/* -- the thread ---------------------------------------------------------------------------------- */

static void tell(const writer_t *writer)
{
    uint64_t one = 1;
    ssize_t n = write(writer->event_fd, &one, sizeof one);
    (void)n; /* a full counter is readable already */
}

/* Both are called with the mutex held, and let go of it while they work. */
static void thread_commit(writer_t *writer)
{
    commit_t *commit = writer->commit;
    const batch_t *last = commit->batches[commit->count - 1];
    pthread_mutex_unlock(&writer->mutex);
    writer_commit_here(writer, commit);
    writer->used = last->at + last->data.len;
    writer->is_quiet = false;
    pthread_mutex_lock(&writer->mutex);
    writer->commit = NULL;
    atomic_store_explicit(&commit->done, true, memory_order_release);
    pthread_cond_signal(&writer->finished);
    pthread_mutex_unlock(&writer->mutex);
    tell(writer); /* when it is done, not before: who is woken may need this very processor, and would ask in vain */
    pthread_mutex_lock(&writer->mutex);
}

static void thread_fill(writer_t *writer)
{
    pthread_mutex_unlock(&writer->mutex);
    spares_fill_slice(writer->spares);
    if (!spares_healthy(writer->spares, NULL))
        tell(writer);
    pthread_mutex_lock(&writer->mutex);
}

/* Beside commits: nothing in the first quarter of a segment, then twice as fast as that fills, done at three quarters.
 */
static bool fill_is_due(const writer_t *writer)
{
    uint64_t quarter = writer->spares->segment_bytes / 4;
    return writer->is_quiet || (writer->used > quarter && spares_filled(writer->spares) < (writer->used - quarter) * 2);
}

/* With the mutex held. */
static void thread_wait(writer_t *writer, bool to_fill)
{
    struct timespec until;
    if (!to_fill) {
        pthread_cond_wait(&writer->wake, &writer->mutex);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += QUIET_NS;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    writer->is_quiet = pthread_cond_timedwait(&writer->wake, &writer->mutex, &until) == ETIMEDOUT && !writer->commit;
}

static void *thread_main(void *arg)
{
    writer_t *writer = arg;
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        bool to_fill = spares_wanted(writer->spares);
        if (writer->commit)
            thread_commit(writer);
        else if (writer->stop)
            break;
        else if (to_fill && fill_is_due(writer))
            thread_fill(writer);
        else
            thread_wait(writer, to_fill);
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

void writer_init(writer_t *writer, const folder_t *folder, spares_t *spares)
{
    pthread_condattr_t monotonic;
    *writer = (writer_t){.folder = folder, .spares = spares, .event_fd = -1, .is_quiet = true};
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&writer->finished, NULL);
}

bool writer_start(writer_t *writer, error_t *err)
{
    writer->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    writer->running = writer->event_fd >= 0 && pthread_create(&writer->thread, NULL, thread_main, writer) == 0;
    return writer->running
               ? true
               : error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the journal's writer thread cannot be started");
}

static void writer_stop(writer_t *writer)
{
    pthread_mutex_lock(&writer->mutex);
    writer->stop = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    writer->running = false;
}

void writer_free(writer_t *writer)
{
    if (writer->running)
        writer_stop(writer);
    if (writer->event_fd >= 0)
        (void)close(writer->event_fd);
    pthread_cond_destroy(&writer->finished);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->mutex);
}

void writer_wake(writer_t *writer)
{
    pthread_mutex_lock(&writer->mutex);
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

void writer_give(writer_t *writer, commit_t *commit)
{
    atomic_store_explicit(&commit->done, false, memory_order_relaxed);
    writer->given = commit;
    pthread_mutex_lock(&writer->mutex);
    writer->commit = commit;
    pthread_mutex_unlock(&writer->mutex);
    pthread_cond_signal(&writer->wake);
}

void writer_heard(const writer_t *writer)
{
    uint64_t counter;
    ssize_t n = writer->event_fd >= 0 ? read(writer->event_fd, &counter, sizeof counter) : 0;
    (void)n; /* nothing there to take */
}

bool writer_done(writer_t *writer)
{
    if (!writer->given || !atomic_load_explicit(&writer->given->done, memory_order_acquire))
        return false;
    writer_heard(writer);
    writer->given = NULL;
    return true;
}

bool writer_work(writer_t *writer)
{
    commit_t *commit = writer->commit;
    if (!commit)
        return false;
    writer_commit_here(writer, commit);
    if (spares_wanted(writer->spares))
        spares_fill_slice(writer->spares);
    writer->commit = NULL;
    atomic_store_explicit(&commit->done, true, memory_order_release);
    return true;
}

void writer_wait(writer_t *writer)
{
    if (!writer->running)
        (void)writer_work(writer);
    pthread_mutex_lock(&writer->mutex);
    while (writer->commit)
        pthread_cond_wait(&writer->finished, &writer->mutex);
    pthread_mutex_unlock(&writer->mutex);
}
