/* The journal with its writer thread on the real disk: what a broker's loop does with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/journal_case.h"

#define WAIT_MS 60000
#define DIR_BYTES 64

typedef struct {
    char dir[DIR_BYTES];
    journal_case_t c;
} fixture_t;

static int fixture_new(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/test-journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->c = (journal_case_t){.random = {1}};
    f->c.options = (journal_options_t){
        .dir = f->dir, .segment_bytes = JOURNAL_SEGMENT_MIN_BYTES, .tail_cache_bytes = 1 << 20, .salt = 99};
    *state = f;
    return 0;
}

static int remove_one(void *ctx, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    return unlink(path);
}

static int fixture_free(void **state)
{
    fixture_t *f = *state;
    const journal_io_t *io = journal_io_posix();
    journal_case_free(&f->c);
    (void)io->list_dir(io->ctx, f->dir, remove_one, f->dir);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

/* One turn of a loop: commit, and when the writer has something to say, take it. */
static void turn(journal_case_t *c, int timeout_ms)
{
    struct pollfd fd = {.fd = journal_fd(c->journal), .events = POLLIN};
    if (!journal_commit(c->journal, &c->err))
        fail_msg("%s", c->err.message);
    if (poll(&fd, 1, timeout_ms) > 0 && !journal_poll(c->journal, &c->err))
        fail_msg("%s", c->err.message);
    journal_case_note(c);
}

static void wait_for_all(journal_case_t *c)
{
    while (c->acked < c->count)
        turn(c, WAIT_MS);
}

static void records_flow_through_the_thread_over_several_segments_while_others_are_read(void **state)
{
    fixture_t *f = *state;
    journal_case_t *c = &f->c;
    assert_true(journal_case_open(c));
    while (c->count < 24000) {
        for (uint64_t n = random_below(&c->random, 60); n > 0; n--)
            assert_true(journal_case_append(c, 2000));
        turn(c, 0);
        bytes_t raw;
        uint64_t seq = 1 + random_below(&c->random, c->count ? c->count : 1);
        if (c->count && !(journal_read(c->journal, seq, &raw, &c->err) && bytes_eq(raw, c->records[seq - 1])))
            fail_msg("%s", c->err.message);
    }
    wait_for_all(c);
    journal_stats_t stats;
    journal_stats(c->journal, &stats);
    assert_true(stats.segments >= 3);
    assert_true(stats.syncs > 0 && stats.batches < stats.appended);
    assert_true(journal_case_read_all(c));
    assert_true(journal_case_close(c));
    assert_true(journal_case_open(c));
    assert_int_equal(c->recovery.cut_bytes, 0);
    assert_true(journal_case_read_all(c));
}

static void a_single_record_is_synced_when_commit_returns(void **state)
{
    fixture_t *f = *state;
    assert_true(journal_case_open(&f->c));
    for (uint64_t i = 1; i <= 20; i++) {
        assert_true(journal_case_append(&f->c, 300));
        assert_true(journal_commit(f->c.journal, &f->c.err));
        assert_int_equal(journal_synced(f->c.journal), i);
    }
}

static void append_bytes(journal_case_t *c, size_t least)
{
    for (size_t bytes = 0; bytes < least; bytes += c->records[c->count - 1].len)
        assert_true(journal_case_append(c, 1000));
}

static void between_pieces_of_work_the_writer_gets_what_is_enough_and_no_less(void **state)
{
    fixture_t *f = *state;
    journal_case_t *c = &f->c;
    const size_t enough = 10000;
    assert_true(journal_case_open(c));
    struct pollfd fd = {.fd = journal_fd(c->journal), .events = POLLIN};
    append_bytes(c, 100);
    assert_true(journal_advance(c->journal, enough, &c->err));
    assert_int_equal(poll(&fd, 1, 0), 0);
    append_bytes(c, enough);
    uint64_t given = c->count;
    assert_true(journal_advance(c->journal, enough, &c->err));
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1); /* it was given, but is not taken in */
    assert_int_equal(journal_synced(c->journal), 0);
    append_bytes(c, enough);
    assert_true(journal_advance(c->journal, enough, &c->err)); /* the event came: the commit is done */
    assert_int_equal(journal_synced(c->journal), given);
    wait_for_all(c);
    assert_true(journal_case_read_all(c));
}

static void an_event_that_comes_when_the_commit_was_seen_already_is_taken_away(void **state)
{
    fixture_t *f = *state;
    journal_case_t *c = &f->c;
    assert_true(journal_case_open(c));
    struct pollfd fd = {.fd = journal_fd(c->journal), .events = POLLIN};
    for (int i = 0; i < 300; i++) {
        append_bytes(c, 5000);
        uint64_t given = c->count;
        assert_true(journal_commit(c->journal, &c->err));
        append_bytes(c, 1);
        while (journal_synced(c->journal) < given) /* asks until it is done, and so may be ahead of the event */
            assert_true(journal_advance(c->journal, 0, &c->err));
        wait_for_all(c);
    }
    while (poll(&fd, 1, 0) > 0) /* the test's limit ends it if the event stays */
        assert_true(journal_poll(c->journal, &c->err));
}

/* Disks that know no way past the page cache: one says so when a file is opened, one when it is written. */
typedef struct {
    journal_io_t io;
    int direct_fd; /* the file opened that way; -1: none */
    bool opens;    /* but does not write */
    unsigned refused;
} plain_disk_t;

static int plain_open(void *ctx, const char *path, int flags, uint32_t mode)
{
    plain_disk_t *disk = ctx;
    if ((flags & O_DIRECT) && !disk->opens) {
        disk->refused++;
        return -EINVAL;
    }
    int fd = journal_io_posix()->open(NULL, path, flags & ~O_DIRECT, mode);
    if (flags & O_DIRECT)
        disk->direct_fd = fd;
    else if (fd == disk->direct_fd)
        disk->direct_fd = -1;
    return fd;
}

static int64_t plain_pwrite(void *ctx, int fd, const void *data, uint64_t bytes, uint64_t offset)
{
    plain_disk_t *disk = ctx;
    if (fd != disk->direct_fd)
        return journal_io_posix()->pwrite(NULL, fd, data, bytes, offset);
    disk->refused++;
    return -EINVAL;
}

static void segments_are_prepared_where_the_page_cache_cannot_be_passed(void **state)
{
    fixture_t *f = *state;
    plain_disk_t disk = {.io = *journal_io_posix(), .direct_fd = -1, .opens = false};
    disk.io.ctx = &disk;
    disk.io.open = plain_open;
    disk.io.pwrite = plain_pwrite;
    f->c.options.io = &disk.io;
    for (int i = 0; i < 2; i++, disk.opens = !disk.opens) {
        disk.refused = 0;
        assert_true(journal_case_open(&f->c));
        append_bytes(&f->c, 2 * JOURNAL_SEGMENT_MIN_BYTES);
        wait_for_all(&f->c);
        assert_true(disk.refused > 0);
        assert_true(journal_case_close(&f->c));
    }
    f->c.options.io = NULL;
    assert_true(journal_case_open(&f->c));
    assert_true(journal_case_read_all(&f->c));
}

static void closing_commits_what_is_left(void **state)
{
    fixture_t *f = *state;
    assert_true(journal_case_open(&f->c));
    for (int i = 0; i < 5000; i++) {
        assert_true(journal_case_append(&f->c, 3000));
        if (i == 2500)
            assert_true(journal_commit(f->c.journal, &f->c.err)); /* under way while more gathers */
    }
    assert_true(journal_case_close(&f->c));
    assert_true(journal_case_open(&f->c));
    assert_int_equal(f->c.count, 5000);
}

static void released_segments_come_back_as_new_ones(void **state)
{
    fixture_t *f = *state;
    journal_case_t *c = &f->c;
    journal_stats_t stats;
    bool none;
    assert_true(journal_case_open(c));
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 9000; i++) {
            assert_true(journal_case_append(c, 2000));
            if (i % 50 == 0)
                turn(c, 0);
        }
        wait_for_all(c);
        for (uint64_t seq = 1; seq <= c->count; seq++)
            journal_case_drop(c, seq);
        assert_true(journal_case_checkpoint(c, 0, &none));
        assert_false(none);
    }
    journal_stats(c->journal, &stats);
    assert_true(stats.segments <= 2);
    assert_true(journal_case_read_all(c));
    assert_true(journal_case_close(c));
    assert_true(journal_case_open(c));
    assert_true(journal_case_read_all(c));
}

static void a_second_process_is_refused_while_the_first_lives(void **state)
{
    fixture_t *f = *state;
    error_t err;
    assert_true(journal_case_open(&f->c));
    assert_null(journal_open(&f->c.options, NULL, NULL, NULL, &err));
    assert_string_equal(err.aws, "JOURNAL_LOCKED");
    assert_true(journal_case_close(&f->c));
    assert_true(journal_case_open(&f->c));
}

/* The child says by the pipe what was acknowledged, until it is killed in the middle of something. */
static void live_until_killed(journal_case_t *c, int pipe_fd)
{
    if (!journal_case_open(c))
        _exit(1);
    for (;;) {
        for (uint64_t n = random_below(&c->random, 20); n > 0; n--)
            if (!journal_case_append(c, 2000))
                _exit(2);
        if (!journal_commit(c->journal, &c->err) || !journal_poll(c->journal, &c->err))
            _exit(3);
        uint64_t synced = journal_synced(c->journal);
        if (write(pipe_fd, &synced, sizeof synced) != sizeof synced)
            _exit(4);
    }
}

static uint64_t last_acknowledged(int fd, uint64_t enough)
{
    uint64_t synced = 0, next;
    while (synced < enough && read(fd, &next, sizeof next) == sizeof next)
        synced = next;
    return synced;
}

static void a_killed_process_loses_nothing_acknowledged(void **state)
{
    fixture_t *f = *state;
    for (uint64_t life = 1; life <= 5; life++) {
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {

            journal_case_t c = {.options = f->c.options, .random = {life}};
            live_until_killed(&c, ends[1]);
        }
        (void)close(ends[1]);
        uint64_t acked = last_acknowledged(ends[0], 500 * life);
        assert_int_equal(kill(child, SIGKILL), 0);
        for (uint64_t more; read(ends[0], &more, sizeof more) == sizeof more;)
            acked = more;
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)close(ends[0]);
        journal_recovery_t found;
        error_t err;
        if (!journal_walk(f->dir, NULL, NULL, NULL, &found, &err))
            fail_msg("%s", err.message);
        assert_true(found.records >= acked && acked > 0);
        const journal_io_t *io = journal_io_posix();
        (void)io->list_dir(io->ctx, f->dir, remove_one, f->dir);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_flow_through_the_thread_over_several_segments_while_others_are_read),
        TEST(a_single_record_is_synced_when_commit_returns),
        TEST(between_pieces_of_work_the_writer_gets_what_is_enough_and_no_less),
        TEST(an_event_that_comes_when_the_commit_was_seen_already_is_taken_away),
        TEST(segments_are_prepared_where_the_page_cache_cannot_be_passed),
        TEST(closing_commits_what_is_left),
        TEST(released_segments_come_back_as_new_ones),
        TEST(a_second_process_is_refused_while_the_first_lives),
        TEST(a_killed_process_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
