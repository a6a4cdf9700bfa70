/* What a journal owes after the machine stopped, the disk failed or somebody changed its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>

#include "tests/lib/fault_disk.h"
#include "tests/lib/journal_case.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define CRASH_SEEDS 1500
#define CRASHES 4 /* of one disk */

static uint64_t seeds(void)
{
    const char *text = getenv("JOURNAL_CRASH_SEEDS"); /* for longer runs */
    return text ? strtoull(text, NULL, 10) : CRASH_SEEDS;
}

static void case_init(journal_case_t *c, fault_disk_t *disk, uint64_t seed)
{
    *c = (journal_case_t){.random = {seed}};
    c->options = (journal_options_t){.dir = DIR,
                                     .io = fault_disk_io(disk),
                                     .segment_bytes = SEGMENT_BYTES,
                                     .tail_cache_bytes = 4096,
                                     .no_thread = true,
                                     .salt = seed};
}

/* -- power --------------------------------------------------------------------------------------- */

/* Some records are needed no more, mostly old ones; what is left must stay readable. */
static bool checkpoint_some(journal_case_t *c)
{
    bool none;
    uint64_t keep = 1 + random_below(&c->random, 10);
    for (uint64_t seq = 1; seq <= c->count; seq++)
        if (random_below(&c->random, 10) >= keep)
            journal_case_drop(c, seq);
    return journal_case_checkpoint(c, random_below(&c->random, 2) * 2 * SEGMENT_BYTES, &none);
}

static bool work_once(journal_case_t *c)
{
    uint64_t records = 1 + random_below(&c->random, 6);
    for (uint64_t i = 0; i < records; i++)
        if (!journal_case_append(c, random_below(&c->random, 8) ? 300 : 3000))
            return false;
    if (random_below(&c->random, 10) == 0 && !checkpoint_some(c))
        return false;
    if (random_below(&c->random, 4) == 0 && !journal_idle(c->journal, &c->err))
        return false;
    bool good = journal_commit(c->journal, &c->err);
    journal_case_note(c);
    return good;
}

static void one_life(journal_case_t *c, fault_disk_t *disk, uint64_t operations)
{
    fault_disk_arm(disk, FAULT_DEAD, operations, EIO);
    if (!journal_case_open(c))
        assert_true(fault_disk_struck(disk));
    while (c->journal && work_once(c))
        ;
    if (!fault_disk_struck(disk))
        fail_msg("%s", c->err.message);
    (void)journal_case_close(c);
}

/* Everything that is not synced is lost, without any chance of a good end. */
static void power_off(journal_case_t *c, fault_disk_t *disk)
{
    fault_disk_arm(disk, FAULT_DEAD, 0, EIO);
    (void)journal_case_close(c);
    fault_disk_cut_power(disk, true);
}

/* False when something acknowledged was lost, or anything else is wrong: then c->err says what. */
static bool crash_once(journal_case_t *c, fault_disk_t *disk)
{
    one_life(c, disk, random_below(&c->random, 150));
    fault_disk_cut_power(disk, random_below(&c->random, 4) == 0);
    if (!journal_case_open(c) || !journal_case_read_all(c))
        return false;
    /* What recovery told the broker is as good as acknowledged: it must be safe already. */
    power_off(c, disk);
    bool good = journal_case_open(c);
    power_off(c, disk);
    return good;
}

static bool crash_and_recover(uint64_t seed, const journal_io_t *io, fault_disk_t *disk, error_t *err)
{
    journal_case_t c;
    bool good = true;
    case_init(&c, disk, seed);
    c.options.io = io ? io : c.options.io;
    for (int crash = 0; good && crash < CRASHES; crash++)
        good = crash_once(&c, disk);
    *err = c.err;
    journal_case_free(&c);
    fault_disk_free(disk);
    return good;
}

static void a_power_cut_at_any_operation_loses_nothing_acknowledged_and_invents_nothing(void **state)
{
    (void)state;
    error_t err;
    for (uint64_t seed = 1; seed <= seeds(); seed++)
        if (!crash_and_recover(seed, NULL, fault_disk_new(seed), &err))
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
}

static int open_copies_elsewhere(void *ctx, const char *path, int flags, uint32_t mode)
{
    bool copy = strstr(path, "tail.copy") && (flags & O_ACCMODE) == O_RDWR;
    return fault_disk_io(ctx)->open(ctx, copy ? DIR "/elsewhere" : path, flags, mode);
}

/* That the test above can fail: a start that rewrites without having copied loses what power ruins in its hands. */
static void a_start_that_does_not_find_its_copy_is_caught(void **state)
{
    (void)state;
    error_t err;
    for (uint64_t seed = 1; seed <= 4 * CRASH_SEEDS; seed++) {
        fault_disk_t *disk = fault_disk_new(seed);
        journal_io_t io = *fault_disk_io(disk);
        io.open = open_copies_elsewhere;
        if (crash_and_recover(seed, &io, disk, &err))
            continue;
        assert_true(strstr(err.message, "was acknowledged and is lost") || strstr(err.message, "is damaged"));
        return;
    }
    fail_msg("never caught");
}

/* -- failing operations -------------------------------------------------------------------------- */

/* A fixed piece of work over several segments; stops at the first refusal. True when nothing failed. */
static bool fixed_work(journal_case_t *c)
{
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 3; i++)
            if (!journal_case_append(c, 900))
                return false;
        if (!journal_commit(c->journal, &c->err))
            return false;
        journal_case_note(c);
        if (round % 10 == 9 && !checkpoint_some(c))
            return false;
    }
    return true;
}

static void assert_refuses_for_good(journal_case_t *c)
{
    uint64_t synced = journal_synced(c->journal);
    for (int i = 0; i < 3; i++) {
        assert_false(journal_case_append(c, 10));
        assert_false(journal_commit(c->journal, &c->err));
        assert_false(journal_poll(c->journal, &c->err));
        assert_false(journal_idle(c->journal, &c->err));
        assert_false(journal_has_room(c->journal, 1));
    }
    assert_true(c->err.message[0]);
    assert_int_equal(journal_synced(c->journal), synced);
}

/* Fails operation `at` once. True when the work was over before it came to that. */
static bool fail_once(uint64_t seed, uint64_t at, int error, bool power)
{
    fault_disk_t *disk = fault_disk_new(seed);
    journal_case_t c;
    case_init(&c, disk, seed);
    fault_disk_arm(disk, FAULT_ONCE, at, error);
    bool clean = journal_case_open(&c) && fixed_work(&c);
    bool struck = fault_disk_struck(disk);
    /* A full disk, met while preparing the next segment, is no failure: new work is refused, the rest goes on. */
    bool full = !clean && c.journal && strcmp(c.err.aws, "JOURNAL_FULL") == 0 && journal_commit(c.journal, NULL);
    if (full)
        assert_false(journal_has_room(c.journal, 1));
    else if (!clean && c.journal)
        assert_refuses_for_good(&c);
    fault_disk_disarm(disk);
    if (c.journal)
        assert_true(journal_case_close(&c) == (clean || full));
    if (power)
        fault_disk_cut_power(disk, true);
    if (!journal_case_open(&c) || !journal_case_read_all(&c))
        fail_msg("operation %llu failed with %d: %s", (unsigned long long)at, error, c.err.message);
    /* Writes that a failed sync lost in the dark must not be told as safe either. */
    power_off(&c, disk);
    if (!journal_case_open(&c) || !journal_case_read_all(&c))
        fail_msg("operation %llu failed with %d, then power went: %s", (unsigned long long)at, error, c.err.message);
    journal_case_free(&c);
    fault_disk_free(disk);
    return !struck;
}

/* The machine stops at operation `at` of the fixed work: commits, new segments, and whole checkpoints with what they
 * copy, publish and give back. True when the work was over before it came to that. */
static bool stop_once(uint64_t seed, uint64_t at, bool harsh)
{
    fault_disk_t *disk = fault_disk_new(seed);
    journal_case_t c;
    case_init(&c, disk, 7);
    fault_disk_arm(disk, FAULT_DEAD, at, EIO);
    (void)(journal_case_open(&c) && fixed_work(&c));
    bool struck = fault_disk_struck(disk);
    (void)journal_case_close(&c);
    fault_disk_cut_power(disk, harsh);
    if (!journal_case_open(&c) || !journal_case_read_all(&c))
        fail_msg("the machine stopped at operation %llu: %s", (unsigned long long)at, c.err.message);
    /* The next start is not over when power goes again. */
    power_off(&c, disk);
    if (!journal_case_open(&c) || !fixed_work(&c) || !journal_case_close(&c) || !journal_case_open(&c) ||
        !journal_case_read_all(&c))
        fail_msg("the machine stopped at operation %llu, then it goes on: %s", (unsigned long long)at, c.err.message);
    (void)journal_case_close(&c);
    journal_case_free(&c);
    fault_disk_free(disk);
    return !struck;
}

static void at_whichever_operation_the_machine_stops_what_was_acknowledged_is_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint64_t at = 0;
        while (!stop_once(seed, at, seed == 1))
            at++;
        assert_true(at > 100); /* three checkpoints, and thirty commits over several segments */
    }
}

static void whichever_operation_fails_the_journal_stops_and_what_was_acknowledged_is_there(void **state)
{
    (void)state;
    const int errors[] = {EIO, ENOSPC, EMFILE};
    for (size_t e = 0; e < ARRAY_LEN(errors); e++)
        for (int power = 0; power < 2; power++) {
            uint64_t at = 0;
            while (!fail_once(7, at, errors[e], power == 1))
                at++;
            assert_true(at > 50);
        }
}

/* -- changed files ------------------------------------------------------------------------------- */

#define PATHS_MAX 8

typedef struct {
    fault_disk_t *disk;
    journal_case_t c;
    char paths[PATHS_MAX][64];
    size_t path_count;
} built_t;

static void note_path(void *ctx, const char *path)
{
    built_t *b = ctx;
    if (strstr(path, ".journal")) {
        assert_true(b->path_count < PATHS_MAX);
        (void)snprintf(b->paths[b->path_count++], sizeof b->paths[0], "%s", path);
    }
}

/* Three segments, closed in peace: all that they hold is proven. */
static void build(built_t *b)
{
    *b = (built_t){.disk = fault_disk_new(3)};
    case_init(&b->c, b->disk, 3);
    assert_true(journal_case_open(&b->c));
    while (b->c.count < 80) {
        assert_true(journal_case_append(&b->c, 600));
        if (b->c.count % 4 == 0)
            assert_true(journal_commit(b->c.journal, &b->c.err));
    }
    assert_true(journal_case_close(&b->c));
    fault_disk_each(b->disk, note_path, b);
    assert_true(b->path_count >= 2);
}

static void destroy(built_t *b)
{
    journal_case_free(&b->c);
    fault_disk_free(b->disk);
}

static bool count_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    const journal_case_t *c = ctx;
    (void)err;
    return bytes_eq(raw, c->records[record->seq - 1]);
}

/* All or a refusal that says where; never less. */
static void assert_all_or_refused(built_t *b, size_t *refused)
{
    journal_recovery_t found;
    error_t err = {0};
    if (journal_walk(DIR, b->c.options.io, count_one, &b->c, &found, &err)) {
        assert_int_equal(found.records, b->c.count);
        return;
    }
    ++*refused;
    assert_true(err.code == STATUS_DATA_LOSS || err.code == STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, ".journal"));
    assert_true(strstr(err.message, "offset") || strstr(err.message, "format"));
}

static void whichever_bit_is_flipped_it_is_harmless_or_refused_with_file_and_offset(void **state)
{
    (void)state;
    built_t b;
    build(&b);
    size_t refused = 0;
    for (size_t i = 0; i < b.path_count; i++) {
        uint64_t *bytes;
        uint8_t *content = fault_disk_file(b.disk, b.paths[i], &bytes);
        for (uint64_t at = 0; at < *bytes; at++) {
            if (at >= 64 && at < 4096)
                continue; /* the empty rest of the header's block */
            for (unsigned bit = 0; bit < 8; bit++) {
                content[at] ^= (uint8_t)(1u << bit);
                assert_all_or_refused(&b, &refused);
                content[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
    assert_true(refused > 160000); /* nearly every bit that is used matters */
    assert_true(journal_case_open(&b.c) && journal_case_read_all(&b.c));
    destroy(&b);
}

static void a_refused_journal_is_left_as_it_was(void **state)
{
    (void)state;
    built_t b;
    build(&b);
    uint64_t *bytes;
    uint8_t *content = fault_disk_file(b.disk, b.paths[0], &bytes);
    uint8_t *before = malloc(*bytes);
    assert_non_null(before);
    content[5000] ^= 4;
    memcpy(before, content, *bytes);
    assert_false(journal_case_open(&b.c));
    assert_int_equal(b.c.err.code, STATUS_DATA_LOSS);
    assert_non_null(strstr(b.c.err.message, "journal verify"));
    content = fault_disk_file(b.disk, b.paths[0], &bytes);
    assert_memory_equal(before, content, *bytes);
    content[5000] ^= 4;
    free(before);
    assert_true(journal_case_open(&b.c) && journal_case_read_all(&b.c));
    destroy(&b);
}

static void a_file_cut_short_is_refused_at_every_length(void **state)
{
    (void)state;
    built_t b;
    build(&b);
    for (size_t i = 0; i < b.path_count; i++) {
        uint64_t *bytes;
        size_t refused = 0;
        (void)fault_disk_file(b.disk, b.paths[i], &bytes);
        uint64_t whole = *bytes;
        for (*bytes = 0; *bytes < whole; ++*bytes)
            assert_all_or_refused(&b, &refused);
        assert_int_equal(refused, whole);
    }
    assert_true(journal_case_open(&b.c));
    destroy(&b);
}

static void a_missing_segment_is_refused(void **state)
{
    (void)state;
    built_t b;
    build(&b);
    assert_true(b.path_count >= 3);
    const char *middle = strstr(b.paths[0], "0002") ? b.paths[0] : strstr(b.paths[1], "0002") ? b.paths[1] : b.paths[2];
    assert_int_equal(b.c.options.io->rename(b.c.options.io->ctx, middle, DIR "/elsewhere"), 0);
    assert_false(journal_case_open(&b.c));
    assert_int_equal(b.c.err.code, STATUS_DATA_LOSS);
    assert_non_null(strstr(b.c.err.message, "missing"));
    destroy(&b);
}

static void a_newer_format_is_refused_by_its_number(void **state)
{
    (void)state;
    built_t b;
    build(&b);
    uint64_t *bytes;
    fault_disk_file(b.disk, b.paths[0], &bytes)[8] = 9;
    assert_false(journal_case_open(&b.c));
    assert_int_equal(b.c.err.code, STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(b.c.err.message, "format is 9"));
    destroy(&b);
}

/* -- the tail ------------------------------------------------------------------------------------ */

static void without_a_proof_a_damaged_last_commit_is_a_tail_and_cut(void **state)
{
    (void)state;
    fault_disk_t *disk = fault_disk_new(11);
    journal_case_t c;
    case_init(&c, disk, 11);
    assert_true(journal_case_open(&c));
    for (int i = 0; i < 2; i++) {
        assert_true(journal_case_append(&c, 100));
        assert_true(journal_commit(c.journal, &c.err));
    }
    power_off(&c, disk);
    uint64_t *bytes;
    uint8_t *content = fault_disk_file(disk, DIR "/0000000000000001.journal", &bytes);
    uint64_t at = 4096;
    at += (content[at + 44] | (uint64_t)content[at + 45] << 8) + 7;
    at &= ~UINT64_C(7);
    content[at + 60] ^= 1; /* in the second batch's records */
    c.acked = 1;
    assert_true(journal_case_open(&c));
    assert_int_equal(c.count, 1);
    assert_true(c.recovery.cut_bytes > 0);
    journal_case_free(&c);
    fault_disk_free(disk);
}

static void after_an_idle_moment_the_same_damage_is_refused(void **state)
{
    (void)state;
    fault_disk_t *disk = fault_disk_new(12);
    journal_case_t c;
    journal_stats_t before, after;
    case_init(&c, disk, 12);
    assert_true(journal_case_open(&c) && journal_case_append(&c, 100) && journal_commit(c.journal, &c.err));
    assert_true(journal_idle(c.journal, &c.err));
    journal_stats(c.journal, &before);
    assert_true(journal_idle(c.journal, &c.err) && journal_idle(c.journal, &c.err));
    journal_stats(c.journal, &after);
    assert_int_equal(before.syncs, after.syncs); /* proven once is proven */
    power_off(&c, disk);
    uint64_t *bytes;
    fault_disk_file(disk, DIR "/0000000000000001.journal", &bytes)[4096 + 60] ^= 1;
    assert_false(journal_case_open(&c));
    assert_int_equal(c.err.code, STATUS_DATA_LOSS);
    assert_non_null(strstr(c.err.message, "0000000000000001.journal is damaged at offset 4096"));
    journal_case_free(&c);
    fault_disk_free(disk);
}

#define BIG_BYTES 1300000 /* three to a batch */

static void append_big(journal_case_t *c)
{
    static uint8_t body[BIG_BYTES];
    buf_t raw = {0};
    memset(body, (int)random_below(&c->random, 256), sizeof body);
    record_send_t send = {.body = bytes_from(body, sizeof body)};
    record_encode(&raw, journal_next_seq(c->journal), 1, RECORD_SEND, &send);
    assert_true(journal_append(c->journal, buf_bytes(&raw), &c->err));
    journal_case_remember(c, buf_bytes(&raw));
    buf_free(&raw);
}

static void a_batch_behind_the_cut_never_comes_back(void **state)
{
    (void)state;
    fault_disk_t *disk = fault_disk_new(13);
    journal_case_t c;
    case_init(&c, disk, 13);
    c.options.segment_bytes = 16 << 20;
    assert_true(journal_case_open(&c));
    for (int i = 0; i < 4; i++)
        append_big(&c);
    assert_true(journal_commit(c.journal, &c.err)); /* two batches, one sync */
    power_off(&c, disk);
    uint64_t *bytes;
    fault_disk_file(disk, DIR "/0000000000000001.journal", &bytes)[4096 + 70] ^= 1;
    assert_true(journal_case_open(&c));
    assert_int_equal(c.count, 0);
    /* New records that end exactly where the second batch of before begins. */
    for (int i = 0; i < 3; i++)
        append_big(&c);
    assert_true(journal_commit(c.journal, &c.err));
    power_off(&c, disk);
    assert_true(journal_case_open(&c));
    assert_int_equal(c.count, 3);
    journal_case_free(&c);
    fault_disk_free(disk);
}

/* More than the copy file holds at once: it is rewritten in pieces. Power goes at each operation of that. */
static void a_long_commit_is_rewritten_in_pieces_and_power_may_go_in_each(void **state)
{
    (void)state;
    bool struck = true;
    for (uint64_t at = 0; struck; at++) {
        fault_disk_t *disk = fault_disk_new(at);
        journal_case_t c;
        case_init(&c, disk, 14);
        c.options.segment_bytes = 16 << 20;
        assert_true(journal_case_open(&c));
        for (int i = 0; i < 8; i++)
            append_big(&c);
        assert_true(journal_commit(c.journal, &c.err));
        journal_case_note(&c);
        power_off(&c, disk);
        fault_disk_arm(disk, FAULT_DEAD, at, EIO);
        assert_true(journal_case_open(&c) || fault_disk_struck(disk));
        struck = fault_disk_struck(disk);
        (void)journal_case_close(&c);
        fault_disk_cut_power(disk, false);
        if (!journal_case_open(&c))
            fail_msg("power went at operation %llu: %s", (unsigned long long)at, c.err.message);
        assert_int_equal(c.count, 8);
        assert_true(!struck || at < 2000);
        journal_case_free(&c);
        fault_disk_free(disk);
        at += struck ? random_below(&c.random, 120) : 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_operation_loses_nothing_acknowledged_and_invents_nothing),
        cmocka_unit_test(a_start_that_does_not_find_its_copy_is_caught),
        cmocka_unit_test(at_whichever_operation_the_machine_stops_what_was_acknowledged_is_there),
        cmocka_unit_test(whichever_operation_fails_the_journal_stops_and_what_was_acknowledged_is_there),
        cmocka_unit_test(whichever_bit_is_flipped_it_is_harmless_or_refused_with_file_and_offset),
        cmocka_unit_test(a_refused_journal_is_left_as_it_was),
        cmocka_unit_test(a_file_cut_short_is_refused_at_every_length),
        cmocka_unit_test(a_missing_segment_is_refused),
        cmocka_unit_test(a_newer_format_is_refused_by_its_number),
        cmocka_unit_test(without_a_proof_a_damaged_last_commit_is_a_tail_and_cut),
        cmocka_unit_test(a_batch_behind_the_cut_never_comes_back),
        cmocka_unit_test(a_long_commit_is_rewritten_in_pieces_and_power_may_go_in_each),
        cmocka_unit_test(after_an_idle_moment_the_same_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
