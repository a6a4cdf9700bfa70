/* test_journal_memory.c: whichever allocation fails, the journal says so and nothing on disk is harmed.
 *
 * malloc and its kin are this program's own (they call glibc's), and the n-th call fails, for every n until the work
 * runs clean. What is tested is the journal: the core ends the process for want of memory, by design. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/lib/fault_disk.h"
#include "tests/lib/journal_case.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16384)
#define FAILURES_MAX 20000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void the_allocator_is_the_sanitizers(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_allocator_is_the_sanitizers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else

/* -- the allocator --------------------------------------------------------------------------------- */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

static bool is_armed;
static uint64_t calls, fail_at;

static bool fails(void)
{
    return is_armed && calls++ == fail_at;
}

void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(old, bytes);
}

static void arm(uint64_t at)
{
    calls = 0;
    fail_at = at;
    is_armed = true;
}

static bool disarm(void)
{
    is_armed = false;
    return calls > fail_at;
}

/* -- the disk and the caller allocate too; theirs do not fail ---------------------------------------- */
typedef struct {
    const journal_io_t *real;
} quiet_t;

#define QUIET(result, name, params, ...)                                                                               \
    static result quiet_##name params                                                                                  \
    {                                                                                                                  \
        const journal_io_t *io = ((const quiet_t *)ctx)->real;                                                         \
        bool was_armed = is_armed;                                                                                     \
        is_armed = false;                                                                                              \
        result value = io->name(io->ctx, __VA_ARGS__);                                                                 \
        is_armed = was_armed;                                                                                          \
        return value;                                                                                                  \
    }
QUIET(int, open, (void *ctx, const char *path, int flags, uint32_t mode), path, flags, mode)
QUIET(int64_t, pwrite, (void *ctx, int fd, const void *data, uint64_t bytes, uint64_t at), fd, data, bytes, at)
QUIET(int, datasync, (void *ctx, int fd), fd)
QUIET(int, truncate, (void *ctx, int fd, uint64_t bytes), fd, bytes)
QUIET(int, rename, (void *ctx, const char *from, const char *to), from, to)
QUIET(int, remove, (void *ctx, const char *path), path)
QUIET(int, sync_dir, (void *ctx, const char *path), path)
QUIET(int, close, (void *ctx, int fd), fd)
QUIET(int64_t, pread, (void *ctx, int fd, void *out, uint64_t bytes, uint64_t at), fd, out, bytes, at)
QUIET(int64_t, size, (void *ctx, int fd), fd)
QUIET(int, make_dir, (void *ctx, const char *path, uint32_t mode), path, mode)
QUIET(int, lock, (void *ctx, int fd), fd)
QUIET(int64_t, free_bytes, (void *ctx, const char *path), path)

/* Its callback is the journal's own, and may fail. */
static int list_dir(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name), void *each_ctx)
{
    const journal_io_t *io = ((const quiet_t *)ctx)->real;
    return io->list_dir(io->ctx, path, each, each_ctx);
}

typedef struct {
    fault_disk_t *disk;
    quiet_t quiet;
    journal_io_t io;
    journal_case_t c;
} world_t;

static void open_world(world_t *w)
{
    w->disk = fault_disk_new(1);
    w->quiet = (quiet_t){fault_disk_io(w->disk)};
    w->io = (journal_io_t){.ctx = &w->quiet,
                           .open = quiet_open,
                           .close = quiet_close,
                           .pread = quiet_pread,
                           .pwrite = quiet_pwrite,
                           .datasync = quiet_datasync,
                           .truncate = quiet_truncate,
                           .size = quiet_size,
                           .rename = quiet_rename,
                           .remove = quiet_remove,
                           .sync_dir = quiet_sync_dir,
                           .make_dir = quiet_make_dir,
                           .lock = quiet_lock,
                           .list_dir = list_dir,
                           .free_bytes = quiet_free_bytes};
    w->c = (journal_case_t){.random = {3}};
    w->c.options = (journal_options_t){
        .dir = DIR, .io = &w->io, .segment_bytes = SEGMENT_BYTES, .tail_cache_bytes = 4096, .no_thread = true};
}

static void close_world(world_t *w)
{
    journal_case_free(&w->c);
    fault_disk_free(w->disk);
}

/* Several segments, a snapshot, kept records. */
static void fill(world_t *w)
{
    bool none;
    for (int i = 0; i < 120; i++) {
        assert_true(journal_case_append(&w->c, 900));
        if (i % 3)
            journal_case_drop(&w->c, w->c.count);
        assert_true(journal_commit(w->c.journal, &w->c.err));
        if (i % 50 == 49)
            assert_true(journal_case_checkpoint(&w->c, SEGMENT_BYTES, &none));
    }
    journal_case_note(&w->c);
}

/* -- the tests --------------------------------------------------------------------------------------- */
static void opening_fails_in_words_whichever_allocation_fails_and_then_opens(void **state)
{
    (void)state;
    world_t w;
    open_world(&w);
    assert_true(journal_case_open(&w.c));
    fill(&w);
    assert_true(journal_case_close(&w.c));
    uint64_t at = 0;
    for (bool reached = true; reached; at++) {
        assert_true(at < FAILURES_MAX);
        w.c.err = (error_t){0};
        arm(at);
        bool good = journal_case_open(&w.c);
        reached = disarm();
        if (!good && (w.c.err.code != STATUS_RESOURCE_EXHAUSTED && w.c.err.code != STATUS_INTERNAL))
            fail_msg("allocation %lu: %s", at, w.c.err.message);
        assert_true(good || w.c.err.message[0]);
        assert_true(good || reached);
        assert_true(journal_case_close(&w.c));
    }
    assert_true(at > 20);
    assert_true(journal_case_open(&w.c) && journal_case_read_all(&w.c));
    close_world(&w);
}

/* A checkpoint without memory ends alone or ends the journal; either way all that was acknowledged is there. */
static void work_stops_in_words_whichever_allocation_fails_and_nothing_is_lost(void **state)
{
    (void)state;
    uint64_t at = 0;
    for (bool reached = true; reached; at++) {
        world_t w;
        bool none, good = true;
        assert_true(at < FAILURES_MAX);
        open_world(&w);
        assert_true(journal_case_open(&w.c));
        fill(&w);
        buf_t raw = {0};
        record_encode(&raw, journal_next_seq(w.c.journal), w.c.time_us, RECORD_PURGE, &(record_purge_t){.queue = 1});
        arm(at);
        good = journal_append(w.c.journal, buf_bytes(&raw), &w.c.err) && journal_commit(w.c.journal, &w.c.err);
        is_armed = false;
        if (good)
            journal_case_remember(&w.c, buf_bytes(&raw));
        journal_case_note(&w.c);
        is_armed = true;
        good = good && journal_case_checkpoint(&w.c, 0, &none);
        reached = disarm();
        buf_free(&raw);
        assert_true(good || (reached && w.c.err.message[0]));
        (void)journal_case_close(&w.c);
        if (!journal_case_open(&w.c) || !journal_case_read_all(&w.c))
            fail_msg("allocation %lu: %s", at, w.c.err.message);
        close_world(&w);
    }
    assert_true(at > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_fails_in_words_whichever_allocation_fails_and_then_opens),
        cmocka_unit_test(work_stops_in_words_whichever_allocation_fails_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
