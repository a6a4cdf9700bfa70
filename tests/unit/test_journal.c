/* The journal's contract on a disk that works: appending, reading back, room, release, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "broker/journal/journal_format.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/journal_case.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)32 << 10)

typedef struct {
    fault_disk_t *disk;
    journal_case_t c;
} fixture_t;

static int fixture_new(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->disk = fault_disk_new(1);
    f->c = (journal_case_t){.random = {1}};
    f->c.options = (journal_options_t){.dir = DIR,
                                       .io = fault_disk_io(f->disk),
                                       .segment_bytes = SEGMENT_BYTES,
                                       .tail_cache_bytes = 4096,
                                       .no_thread = true};
    assert_true(journal_case_open(&f->c));
    *state = f;
    return 0;
}

static int fixture_free(void **state)
{
    fixture_t *f = *state;
    journal_case_free(&f->c);
    fault_disk_free(f->disk);
    free(f);
    return 0;
}

static void append(fixture_t *f, int records, size_t body_max)
{
    for (int i = 0; i < records; i++)
        if (!journal_case_append(&f->c, body_max))
            fail_msg("%s", f->c.err.message);
}

static void commit(fixture_t *f)
{
    assert_true(journal_commit(f->c.journal, &f->c.err));
    journal_case_note(&f->c);
}

static void a_record_is_synced_after_its_commit_and_not_before(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(journal_next_seq(f->c.journal), 1);
    append(f, 3, 100);
    assert_int_equal(journal_synced(f->c.journal), 0);
    assert_int_equal(journal_next_seq(f->c.journal), 4);
    commit(f);
    assert_int_equal(journal_synced(f->c.journal), 3);
}

static void one_sync_covers_all_that_gathered(void **state)
{
    fixture_t *f = *state;
    journal_stats_t before, after;
    journal_stats(f->c.journal, &before);
    append(f, 30, 100);
    commit(f);
    commit(f); /* nothing left to do */
    journal_stats(f->c.journal, &after);
    assert_int_equal(after.syncs - before.syncs, 1);
    assert_int_equal(after.appended - before.appended, 30);
    assert_int_equal(after.pending_records, 0);
}

static void records_are_read_back_from_memory_and_from_the_file(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 60; i++) {
        append(f, 3, 2000);
        if (i % 2)
            commit(f);
    }
    assert_true(journal_case_read_all(&f->c)); /* the newest are not even committed */
    commit(f);
    assert_true(journal_case_close(&f->c));
    assert_true(journal_case_open(&f->c));
    assert_int_equal(f->c.recovery.records, 180);
    assert_int_equal(f->c.recovery.cut_bytes, 0);
    assert_true(f->c.recovery.segments > 2);
    assert_true(journal_case_read_all(&f->c));
}

static void a_record_that_is_not_there_is_not_found(void **state)
{
    fixture_t *f = *state;
    bytes_t raw;
    append(f, 2, 10);
    assert_false(journal_read(f->c.journal, 3, &raw, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_NOT_FOUND);
    assert_false(journal_read(f->c.journal, 0, &raw, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_NOT_FOUND);
}

static void damage_that_happens_later_is_found_when_the_record_is_read(void **state)
{
    fixture_t *f = *state;
    bytes_t raw;
    uint64_t *bytes, next;
    append(f, 3, 10);
    commit(f);
    while (f->c.count < 40) {
        append(f, 4, 1500); /* drives the first ones out of memory */
        commit(f);
    }
    fault_disk_file(f->disk, DIR "/0000000000000001.journal", &bytes)[4096 + 60] ^= 1;
    assert_false(journal_read(f->c.journal, 1, &raw, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_DATA_LOSS);
    assert_non_null(strstr(f->c.err.message, "0000000000000001.journal at offset 4152"));
    assert_true(journal_read(f->c.journal, 2, &raw, &f->c.err));
    assert_false(journal_scan(f->c.journal, 1, 1, NULL, NULL, &next, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_DATA_LOSS);
    assert_int_equal(next, 1);
    fault_disk_file(f->disk, DIR "/0000000000000001.journal", &bytes)[4096 + 60] ^= 1;
}

static bool stop_at_five(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    ++*(int *)ctx;
    return record->seq < 5 ? true : error_set(err, STATUS_CANCELLED, NULL, "enough");
}

static void a_scan_goes_in_slices_and_stops_when_told(void **state)
{
    fixture_t *f = *state;
    int seen = 0;
    uint64_t next;
    append(f, 10, 50);
    assert_false(journal_scan(f->c.journal, 1, 1 << 20, stop_at_five, &seen, &next, &f->c.err));
    assert_int_equal(seen, 5);
    assert_int_equal(next, 5);
    assert_int_equal(f->c.err.code, STATUS_CANCELLED);
    seen = 0;
    assert_true(journal_scan(f->c.journal, 0, 1, stop_at_five, &seen, &next, &f->c.err));
    assert_int_equal(seen, 1); /* a slice has one record at least */
    assert_int_equal(next, 2);
    assert_true(journal_scan(f->c.journal, 11, 1 << 20, stop_at_five, &seen, &next, &f->c.err));
    assert_int_equal(next, 11);
}

/* Reads one record elsewhere, and appends one, for each of the first hundred that it is shown. */
static bool read_and_append(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    journal_case_t *c = ctx;
    bytes_t other;
    uint64_t seq = record->seq, elsewhere = 1 + random_below(&c->random, c->count);
    if (!bytes_eq(raw, c->records[seq - 1]) || !journal_read(c->journal, elsewhere, &other, err))
        return false;
    assert_true(bytes_eq(other, c->records[elsewhere - 1]));
    return seq > 100 || journal_case_append(c, 900);
}

static void what_a_scan_shows_may_lead_to_reading_and_appending(void **state)
{
    fixture_t *f = *state;
    uint64_t next = 1;
    while (f->c.count < 3000) {
        append(f, 3, 1000); /* more segments than files are kept open */
        commit(f);
    }
    while (next <= f->c.count)
        if (!journal_scan(f->c.journal, next, 3000, read_and_append, &f->c, &next, &f->c.err))
            fail_msg("%s", f->c.err.message);
    assert_int_equal(f->c.count, 3100);
    commit(f);
    assert_true(journal_case_read_all(&f->c));
}

static int64_t ingest_of(const journal_case_t *c, uint64_t seq)
{
    uint32_t length;
    uint64_t found;
    int64_t us = 0;
    assert_true(record_peek(c->records[seq - 1], &length, &found, &us));
    return us;
}

static void a_time_leads_to_the_first_record_not_before_it(void **state)
{
    fixture_t *f = *state;
    uint64_t seq;
    assert_true(journal_find_time(f->c.journal, 0, &seq, &f->c.err));
    assert_int_equal(seq, 1); /* the next one: there is none yet */
    for (int i = 0; i < 50; i++) {
        append(f, 4, 900);
        commit(f);
    }
    for (int64_t us = -1; us < f->c.time_us + 2; us += 61) {
        uint64_t wanted = 1;
        while (wanted <= f->c.count && ingest_of(&f->c, wanted) < us)
            wanted++;
        assert_true(journal_find_time(f->c.journal, us, &seq, &f->c.err));
        assert_int_equal(seq, wanted);
    }
    assert_int_equal(journal_last_ingest_us(f->c.journal), ingest_of(&f->c, f->c.count));
}

static void refuse(fixture_t *f, uint64_t seq, int64_t ingest_us, size_t body_bytes)
{
    buf_t raw = {0};
    uint8_t *body = calloc(1, body_bytes + 1);
    record_send_t send = {.body = bytes_from(body, body_bytes)};
    record_encode(&raw, seq, ingest_us, RECORD_SEND, &send);
    assert_false(journal_append(f->c.journal, buf_bytes(&raw), &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_INVALID_ARGUMENT);
    buf_free(&raw);
    free(body);
}

static void a_record_out_of_order_or_too_large_or_not_whole_is_refused_and_nothing_breaks(void **state)
{
    fixture_t *f = *state;
    append(f, 2, 10);
    refuse(f, 2, 1 << 20, 1);
    refuse(f, 4, 1 << 20, 1);
    refuse(f, 3, f->c.time_us - 1, 1);
    refuse(f, 3, 1 << 20, SEGMENT_BYTES);
    assert_false(journal_append(f->c.journal, BYTES_LIT("no record"), &f->c.err));
    append(f, 1, 10);
    commit(f);
    assert_true(journal_case_read_all(&f->c));
}

static void a_second_broker_is_refused_by_the_lock(void **state)
{
    fixture_t *f = *state;
    error_t err;
    journal_recovery_t found;
    assert_null(journal_open(&f->c.options, NULL, NULL, NULL, &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    assert_string_equal(err.aws, "JOURNAL_LOCKED");
    assert_false(journal_walk(DIR, f->c.options.io, NULL, NULL, &found, &err));
    assert_string_equal(err.aws, "JOURNAL_LOCKED");
    append(f, 1, 10);
    commit(f);
}

static void a_stopped_journal_can_be_walked_without_changing_it(void **state)
{
    fixture_t *f = *state;
    journal_recovery_t found;
    append(f, 9, 10);
    assert_true(journal_case_close(&f->c));
    uint64_t operations = fault_disk_operations(f->disk);
    assert_true(journal_walk(DIR, f->c.options.io, NULL, NULL, &found, &f->c.err));
    assert_int_equal(found.records, 9);
    /* Opening the lock and each segment is all that was done. */
    assert_true(fault_disk_operations(f->disk) - operations <= 1 + 2 * found.segments + 2);
}

/* -- the disk's room ----------------------------------------------------------------------------- */

static uint64_t disk_used(fixture_t *f)
{
    return (uint64_t)INT64_MAX - (uint64_t)f->c.options.io->free_bytes(f->c.options.io->ctx, DIR);
}

static void a_full_disk_refuses_new_work_first_and_goes_on_when_there_is_room_again(void **state)
{
    fixture_t *f = *state;
    fault_disk_limit(f->disk, disk_used(f) + SEGMENT_BYTES / 2);
    int taken = 0;
    for (; journal_has_room(f->c.journal, 600); taken++) {
        append(f, 1, 500);
        commit(f);
        assert_true(taken < 1000);
    }
    assert_true(taken > 20);
    /* The reserve still takes what ends something: at least a quarter of a segment, less a batch's header each. */
    uint64_t settled = 0;
    while (settled < SEGMENT_BYTES / 8) {
        append(f, 1, 60);
        settled += f->c.records[f->c.count - 1].len;
        commit(f);
    }
    assert_false(journal_has_room(f->c.journal, 600));
    /* Past the reserve even that is refused, without harm. */
    while (journal_case_append(&f->c, 60))
        commit(f);
    assert_int_equal(f->c.err.code, STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f->c.err.aws, "JOURNAL_FULL");
    commit(f);
    fault_disk_limit(f->disk, INT64_MAX);
    assert_true(journal_has_room(f->c.journal, 600));
    append(f, 100, 500);
    commit(f);
    assert_true(journal_case_read_all(&f->c));
}

static void a_disk_too_small_for_one_segment_is_refused_at_opening(void **state)
{
    fixture_t *f = *state;
    journal_options_t options = f->c.options;
    options.dir = "/another";
    fault_disk_limit(f->disk, disk_used(f) + 100);
    assert_null(journal_open(&options, NULL, NULL, NULL, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_RESOURCE_EXHAUSTED);
}

static void fill_segments(fixture_t *f, uint64_t segments)
{
    journal_stats_t stats;
    for (journal_stats(f->c.journal, &stats); stats.segments < segments; journal_stats(f->c.journal, &stats)) {
        append(f, 2, 900);
        commit(f);
    }
}

static void drop_all(fixture_t *f)
{
    for (uint64_t seq = 1; seq <= f->c.count; seq++)
        journal_case_drop(&f->c, seq);
}

static void released_segments_are_used_again_so_that_the_disk_does_not_grow(void **state)
{
    fixture_t *f = *state;
    bytes_t raw;
    bool none;
    fill_segments(f, 4);
    uint64_t used = disk_used(f);
    for (int i = 0; i < 20; i++) {
        fill_segments(f, 4);
        drop_all(f);
        assert_true(journal_case_checkpoint(&f->c, 0, &none));
        assert_false(none);
        assert_false(journal_read(f->c.journal, journal_first_seq(f->c.journal) - 1, &raw, &f->c.err));
        assert_int_equal(f->c.err.code, STATUS_NOT_FOUND);
        assert_true(disk_used(f) <= used + SEGMENT_BYTES);
    }
    assert_true(journal_case_read_all(&f->c));
    assert_true(journal_case_close(&f->c));
    assert_true(journal_case_open(&f->c));
    assert_true(journal_case_read_all(&f->c));
}

static void a_checkpoint_takes_sealed_segments_alone_and_leaves_what_is_retained(void **state)
{
    fixture_t *f = *state;
    journal_stats_t stats;
    bool none;
    append(f, 1, 900);
    commit(f);
    assert_true(journal_case_checkpoint(&f->c, 0, &none));
    assert_true(none);
    fill_segments(f, 4);
    drop_all(f);
    assert_true(journal_case_checkpoint(&f->c, 2 * SEGMENT_BYTES, &none));
    assert_false(none);
    journal_stats(f->c.journal, &stats);
    assert_int_equal(stats.segments, 3);
    assert_true(stats.snapshot > 0 && stats.sealed_bytes == 0);
    assert_true(journal_case_checkpoint(&f->c, 2 * SEGMENT_BYTES, &none));
    assert_true(none);
    assert_true(journal_case_checkpoint(&f->c, 0, &none)); /* nothing new, but what was retained may go */
    assert_false(none);
    journal_stats(f->c.journal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_true(journal_case_read_all(&f->c));
}

static void one_old_record_does_not_pin_the_disk(void **state)
{
    fixture_t *f = *state;
    journal_stats_t stats;
    bytes_t raw;
    bool none;
    append(f, 1, 900);
    for (int i = 0; i < 30; i++) {
        fill_segments(f, 3);
        for (uint64_t seq = 2; seq <= f->c.count; seq++)
            journal_case_drop(&f->c, seq);
        assert_true(journal_case_checkpoint(&f->c, 0, &none));
        journal_stats(f->c.journal, &stats);
        assert_int_equal(stats.segments, 1);
        assert_int_equal(stats.kept_files, 1);
        assert_true(stats.kept_bytes < 2000);
    }
    assert_true(journal_read(f->c.journal, 1, &raw, &f->c.err));
    assert_true(bytes_eq(raw, f->c.records[0]));
    assert_true(journal_case_read_all(&f->c));
}

/* Waste is at most half of the kept bytes, whatever is dropped in what order; files are few. */
static void kept_files_hold_at_most_as_much_waste_as_need(void **state)
{
    fixture_t *f = *state;
    bool none;
    size_t most_files = 0;
    for (int round = 0; round < 120; round++) {
        journal_stats_t stats;
        uint64_t need = 0;
        fill_segments(f, 4);
        for (uint64_t seq = 1; seq <= f->c.count; seq++)
            if (random_below(&f->c.random, 100) < 4 + (uint64_t)round % 3 * 4)
                journal_case_drop(&f->c, seq);
        assert_true(journal_case_checkpoint(&f->c, 0, &none));
        for (uint64_t seq = 1; seq < journal_first_seq(f->c.journal); seq++)
            need += f->c.dropped[seq - 1] ? 0 : f->c.records[seq - 1].len;
        journal_stats(f->c.journal, &stats);
        most_files = stats.kept_files > most_files ? stats.kept_files : most_files;
        /* to a block: its records count as if of one size */
        assert_true(stats.kept_bytes <= 2 * need + stats.kept_files * 65536);
    }
    assert_in_range(most_files, 1, 12);
    assert_true(journal_case_read_all(&f->c));
}

static void a_moment_is_found_among_kept_records_too(void **state)
{
    fixture_t *f = *state;
    uint64_t seq;
    bool none;
    fill_segments(f, 4);
    for (uint64_t at = 1; at <= f->c.count; at++)
        if (at % 7)
            journal_case_drop(&f->c, at);
    assert_true(journal_case_checkpoint(&f->c, 0, &none));
    for (uint64_t at = 1; at <= f->c.count; at++) {
        int64_t us = ingest_of(&f->c, at);
        assert_true(journal_find_time(f->c.journal, us, &seq, &f->c.err));
        uint64_t wanted = 1;
        while (wanted < journal_next_seq(f->c.journal) &&
               (ingest_of(&f->c, wanted) < us || (wanted < journal_first_seq(f->c.journal) && wanted % 7)))
            wanted++;
        assert_int_equal(seq, wanted);
    }
}

/* -- options and format -------------------------------------------------------------------------- */

static void options_that_cannot_be_are_refused(void **state)
{
    fixture_t *f = *state;
    journal_options_t options = f->c.options;
    const uint64_t sizes[] = {1, 4096, SEGMENT_BYTES + 1, (uint64_t)2 << 30};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        options.segment_bytes = sizes[i];
        assert_null(journal_open(&options, NULL, NULL, NULL, &f->c.err));
        assert_int_equal(f->c.err.code, STATUS_INVALID_ARGUMENT);
    }
    options.segment_bytes = SEGMENT_BYTES;
    options.no_thread = false; /* a broker's segment must hold the largest batch */
    assert_null(journal_open(&options, NULL, NULL, NULL, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_INVALID_ARGUMENT);
    options.dir = "";
    options.segment_bytes = 0;
    assert_null(journal_open(&options, NULL, NULL, NULL, &f->c.err));
    assert_int_equal(f->c.err.code, STATUS_INVALID_ARGUMENT);
}

static void segments_of_another_size_are_read_and_the_next_has_the_new_size(void **state)
{
    fixture_t *f = *state;
    fill_segments(f, 2);
    assert_true(journal_case_close(&f->c));
    f->c.options.segment_bytes = 2 * SEGMENT_BYTES;
    assert_true(journal_case_open(&f->c));
    fill_segments(f, 4);
    assert_true(journal_case_close(&f->c));
    assert_true(journal_case_open(&f->c));
    assert_true(journal_case_read_all(&f->c));
}

static void a_batch_sealed_without_the_segments_salt_is_none(void **state)
{
    (void)state;
    uint8_t batch[BATCH_HEADER_BYTES + 8] = {0};
    batch_header_t given = {
        .generation = 3, .number = 4, .synced = 2, .first_seq = 9, .count = 1, .length = sizeof batch};
    batch_header_t got;
    batch_seal(batch, &given, 77);
    assert_true(batch_header_decode(batch, 3, 77, &got));
    assert_true(got.number == 4 && got.synced == 2 && got.first_seq == 9 && got.count == 1);
    assert_true(batch_records_hold(batch, &got));
    assert_false(batch_header_decode(batch, 3, 78, &got));
    assert_false(batch_header_decode(batch, 4, 77, &got));
    batch[BATCH_HEADER_BYTES]++;
    assert_true(batch_header_decode(batch, 3, 77, &got));
    assert_false(batch_records_hold(batch, &got));
}

/* As beside a thread, with the disk's part at a moment of our choice. */
static void what_comes_while_a_commit_is_written_goes_with_the_next(void **state)
{
    fixture_t *f = *state;
    assert_true(journal_case_close(&f->c));
    f->c.options.by_hand = true;
    assert_true(journal_case_open(&f->c));
    append(f, 2, 300);
    commit(f);
    assert_false(journal_synced(f->c.journal) == 2);
    append(f, 3, 300);
    commit(f); /* one at a time */
    assert_true(journal_work(f->c.journal));
    assert_int_equal(journal_synced(f->c.journal), 0);  /* nobody was told yet */
    assert_true(journal_poll(f->c.journal, &f->c.err)); /* and the next one is handed over */
    assert_int_equal(journal_synced(f->c.journal), 2);
    assert_true(journal_work(f->c.journal));
    assert_false(journal_work(f->c.journal));
    assert_true(journal_poll(f->c.journal, &f->c.err));
    assert_int_equal(journal_synced(f->c.journal), 5);
    journal_case_note(&f->c);
    append(f, 1, 300);
    assert_true(journal_case_close(&f->c)); /* does what is left itself */
    assert_true(journal_case_open(&f->c) && journal_case_read_all(&f->c));
    assert_int_equal(f->c.recovery.records, 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_synced_after_its_commit_and_not_before),
        TEST(one_sync_covers_all_that_gathered),
        TEST(records_are_read_back_from_memory_and_from_the_file),
        TEST(a_record_that_is_not_there_is_not_found),
        TEST(damage_that_happens_later_is_found_when_the_record_is_read),
        TEST(a_scan_goes_in_slices_and_stops_when_told),
        TEST(what_a_scan_shows_may_lead_to_reading_and_appending),
        TEST(a_time_leads_to_the_first_record_not_before_it),
        TEST(a_record_out_of_order_or_too_large_or_not_whole_is_refused_and_nothing_breaks),
        TEST(a_second_broker_is_refused_by_the_lock),
        TEST(a_stopped_journal_can_be_walked_without_changing_it),
        TEST(a_full_disk_refuses_new_work_first_and_goes_on_when_there_is_room_again),
        TEST(a_disk_too_small_for_one_segment_is_refused_at_opening),
        TEST(released_segments_are_used_again_so_that_the_disk_does_not_grow),
        TEST(a_checkpoint_takes_sealed_segments_alone_and_leaves_what_is_retained),
        TEST(one_old_record_does_not_pin_the_disk),
        TEST(kept_files_hold_at_most_as_much_waste_as_need),
        TEST(a_moment_is_found_among_kept_records_too),
        TEST(options_that_cannot_be_are_refused),
        TEST(segments_of_another_size_are_read_and_the_next_has_the_new_size),
        TEST(a_batch_sealed_without_the_segments_salt_is_none),
        TEST(what_comes_while_a_commit_is_written_goes_with_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
