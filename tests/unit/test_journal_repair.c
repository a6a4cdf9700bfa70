/* A damaged journal is told in full, and repaired without losing more than what is damaged, or a single byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>

#include "broker/journal/journal_repair.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/fields_random.h"
#include "tests/lib/journal_case.h"
#include "tests/lib/journal_images.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define REPAIR_EVERY 5 /* of the damaged bits: repairing is slow beside reading */

typedef struct {
    journal_case_t c; /* what was written, and how to open it */
    images_t images;
    uint64_t used; /* bytes that batches take in each segment, at most */
} written_t;

/* -- a journal as it was ----------------------------------------------------------------------------- */
static void append_random(journal_case_t *c, record_t *record)
{
    buf_t raw = {0};
    uint64_t kind = 1 + c->count % RECORD_KIND_MAX;
    fields_randomize(&c->random, record_layout(kind), 2, &record->publish);
    record_encode(&raw, journal_next_seq(c->journal), ++c->time_us, (record_kind_t)kind, &record->publish);
    assert_true(journal_append(c->journal, buf_bytes(&raw), &c->err));
    journal_case_remember(c, buf_bytes(&raw));
    buf_free(&raw);
}

/* Records of every kind, three to a commit, over `segments` files; closed in peace. */
static void write_journal(written_t *w, size_t segments)
{
    fault_disk_t *disk = fault_disk_new(5);
    record_t *record = calloc(1, sizeof *record);
    *w = (written_t){.c = {.random = {5}}};
    w->c.options = (journal_options_t){
        .dir = DIR, .io = fault_disk_io(disk), .segment_bytes = SEGMENT_BYTES, .no_thread = true, .salt = 77};
    assert_true(record && journal_case_open(&w->c));
    journal_stats_t stats = {0};
    while (stats.segments < segments || w->c.count % RECORD_KIND_MAX != 0) {
        append_random(&w->c, record);
        if (w->c.count % 3 == 0)
            assert_true(journal_commit(w->c.journal, &w->c.err));
        journal_stats(w->c.journal, &stats);
    }
    assert_true(journal_case_close(&w->c));
    images_take(&w->images, disk);
    fault_disk_free(disk);
    free(record);
}

static void forget(written_t *w)
{
    images_free(&w->images);
    journal_case_free(&w->c);
}

/* -- judging ------------------------------------------------------------------------------------------ */
typedef struct {
    const written_t *w;
    uint64_t records, lost;
    uint64_t lost_first, lost_last;
} judged_t;

static bool judge_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    judged_t *j = ctx;
    (void)err;
    j->records++;
    assert_int_equal(record->seq, j->records);
    if (record->seq <= j->w->c.count && bytes_eq(raw, j->w->c.records[record->seq - 1]))
        return true;
    assert_int_equal(record->kind, RECORD_NOTE);
    assert_true(bytes_eq_cstr(record->note.event, REPAIR_LOST_EVENT));
    j->lost_first = j->lost ? j->lost_first : record->seq;
    j->lost_last = record->seq;
    j->lost++;
    return true;
}

static bool any_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    const written_t *w = ctx;
    (void)err;
    assert_true(record->seq <= w->c.count && bytes_eq(raw, w->c.records[record->seq - 1]));
    return true;
}

static bool survey(const written_t *w, fault_disk_t *disk, survey_report_t *report, error_t *err)
{
    folder_t folder;
    const survey_sink_t sink = {.ctx = (void *)(uintptr_t)w, .record = any_record};
    return folder_init(&folder, DIR, fault_disk_io(disk), err) && journal_survey(&folder, &sink, report, err);
}

static repair_report_t repair(fault_disk_t *disk)
{
    folder_t folder;
    error_t err = {0};
    repair_report_t report;
    const survey_sink_t sink = {0};
    if (!folder_init(&folder, DIR, fault_disk_io(disk), &err) ||
        !journal_repair(&folder, 99, true, &sink, &report, &err))
        fail_msg("cannot repair: %s", err.message);
    return report;
}

/* The damaged file's bytes are in the attic. */
static void assert_kept(fault_disk_t *disk, const image_t *image, const repair_report_t *report)
{
    char path[FILE_PATH_BYTES + 32];
    uint64_t *bytes;
    (void)snprintf(path, sizeof path, "%s%s", report->attic, strrchr(image->path, '/'));
    const uint8_t *kept = fault_disk_file(disk, path, &bytes);
    assert_non_null(kept);
    assert_int_equal(*bytes, image->bytes);
    assert_memory_equal(kept, image->data, image->bytes);
}

/* After a repair: it opens, it has every sequence, and all records but those noted as lost. */
static judged_t open_repaired(const written_t *w, fault_disk_t *disk, const repair_report_t *report)
{
    judged_t judged = {.w = w};
    journal_options_t options = w->c.options;
    error_t err = {0};
    journal_recovery_t recovery;
    options.io = fault_disk_io(disk);
    fault_disk_cut_power(disk, true); /* what a repair has done is on the disk */
    journal_t *journal = journal_open(&options, judge_record, &judged, &recovery, &err);
    if (!journal)
        fail_msg("a repaired journal is refused: %s", err.message);
    assert_int_equal(journal_next_seq(journal), judged.records + 1);
    assert_true(judged.lost >= report->survey.lost); /* more: an earlier repair noted them */
    assert_true(journal_close(&journal, &err));
    return judged;
}

static bool opens(const written_t *w, fault_disk_t *disk, error_t *err)
{
    journal_recovery_t found;
    return journal_walk(DIR, fault_disk_io(disk), any_record, (void *)(uintptr_t)w, &found, err);
}

/* What the survey says of the folder is what journal_open will say; damage is repaired when `mend`. */
static uint64_t judge(const written_t *w, const image_t *image, bool mend, uint64_t *lost)
{
    fault_disk_t *disk = images_disk(&w->images, DIR);
    survey_report_t report;
    error_t refused = {0}, err = {0};
    bool open = opens(w, disk, &refused);
    if (!survey(w, disk, &report, &err)) {
        assert_false(open); /* a newer format: nothing to repair */
        assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
        fault_disk_free(disk);
        return 0;
    }
    if (open != (report.damages == 0))
        fail_msg("%s: journal_open says \"%s\", the survey tells of %llu damages", image->path, refused.message,
                 (unsigned long long)report.damages);
    if (mend && report.damages) {
        repair_report_t repaired = repair(disk);
        assert_kept(disk, image, &repaired);
        judged_t judged = open_repaired(w, disk, &repaired);
        assert_int_equal(judged.records, w->c.count);
        assert_int_equal(judged.lost, repaired.survey.lost);
        *lost = judged.lost > *lost ? judged.lost : *lost;
    }
    fault_disk_free(disk);
    return report.damages;
}

/* -- tests ---------------------------------------------------------------------------------------------- */
static void whichever_bit_flips_the_survey_and_the_broker_agree_and_a_repair_loses_one_record_at_most(void **state)
{
    (void)state;
    written_t w;
    uint64_t damages = 0, lost = 0;
    write_journal(&w, 2);
    for (size_t i = 0; i < w.images.count; i++) {
        image_t *image = &w.images.items[i];
        for (uint64_t bit = 0; bit < image->bytes * 8; bit++) {
            bool is_header = bit / 8 < 64, is_early = bit / 8 >= 4096 && bit / 8 < 4096 + 1500;
            bool is_end = bit / 8 + 800 >= image->bytes && bit % 7 == 0; /* its last batch, behind which nothing is */
            if (!is_header && !is_early && !is_end && bit % 797 != 0)
                continue;
            image->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            damages += judge(&w, image, is_header || is_end || damages % REPAIR_EVERY == 0, &lost) > 0;
            image->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_true(damages > 15000);
    assert_int_equal(lost, 1);
    forget(&w);
}

static void a_file_cut_short_is_told_and_repaired(void **state)
{
    (void)state;
    written_t w;
    uint64_t lost = 0, ignored = 0;
    write_journal(&w, 3);
    image_t *image = &w.images.items[1];
    uint64_t whole = image->bytes;
    for (image->bytes = 1; image->bytes < whole; image->bytes += 127)
        assert_true(judge(&w, image, true, &lost) > 0);
    image->bytes = whole;
    assert_true(lost > 3);
    assert_int_equal(judge(&w, image, false, &ignored), 0);
    forget(&w);
}

static void a_missing_segment_becomes_notes(void **state)
{
    (void)state;
    written_t w;
    write_journal(&w, 4);
    fault_disk_t *disk = images_disk(&w.images, DIR);
    const journal_io_t *io = fault_disk_io(disk);
    assert_int_equal(io->remove(io->ctx, DIR "/0000000000000002.journal"), 0);
    assert_int_equal(io->remove(io->ctx, DIR "/0000000000000003.journal"), 0);
    repair_report_t report = repair(disk);
    assert_int_equal(report.files, 2);
    judged_t judged = open_repaired(&w, disk, &report);
    assert_int_equal(judged.records, w.c.count);
    assert_true(judged.lost > 10 && judged.lost_last - judged.lost_first + 1 == judged.lost);
    fault_disk_free(disk);
    forget(&w);
}

static void garbage_over_whole_batches_loses_these_and_no_more(void **state)
{
    (void)state;
    written_t w;
    uint64_t lost = 0;
    write_journal(&w, 2);
    image_t *image = &w.images.items[0];
    for (uint64_t at = 4096 + 700; at < 4096 + 1700; at++)
        image->data[at] = (uint8_t)random_u64(&w.c.random);
    /* The batch whose header holds, if there is such a one, and what is behind it. */
    assert_in_range(judge(&w, image, true, &lost), 1, 2);
    assert_true(lost > 2 && lost < 40);
    forget(&w);
}

static void a_damaged_header_and_first_batch_lose_what_was_in_them(void **state)
{
    (void)state;
    written_t w;
    uint64_t lost = 0;
    write_journal(&w, 3);
    w.images.items[1].data[20] ^= 1;        /* the segment's number */
    w.images.items[1].data[4096 + 8] ^= 16; /* the first batch's generation */
    assert_int_equal(judge(&w, &w.images.items[1], true, &lost), 2);
    assert_true(lost <= 1);
    forget(&w);
}

/* What a repair that nothing disturbs costs. */
static uint64_t lost_in_peace(const written_t *w)
{
    fault_disk_t *disk = images_disk(&w->images, DIR);
    repair_report_t report = repair(disk);
    uint64_t lost = open_repaired(w, disk, &report).lost;
    fault_disk_free(disk);
    return lost;
}

static void a_repair_that_fails_anywhere_has_changed_nothing_or_can_go_on(void **state)
{
    (void)state;
    written_t w;
    bool struck = true;
    write_journal(&w, 3);
    w.images.items[0].data[4096 + 300] ^= 1;
    w.images.items[1].data[4096 + 300] ^= 1;
    uint64_t lost = lost_in_peace(&w);
    assert_in_range(lost, 1, 2);
    for (uint64_t at = 0; struck; at++) {
        fault_disk_t *disk = images_disk(&w.images, DIR);
        folder_t folder;
        error_t err = {0};
        repair_report_t report;
        const survey_sink_t sink = {0};
        assert_true(folder_init(&folder, DIR, fault_disk_io(disk), &err));
        fault_disk_arm(disk, at % 2 ? FAULT_DEAD : FAULT_ONCE, at / 2, EIO);
        bool good = journal_repair(&folder, 99, true, &sink, &report, &err);
        struck = fault_disk_struck(disk);
        assert_true(good || struck);
        fault_disk_cut_power(disk, at % 4 < 2);
        report = repair(disk);
        assert_int_equal(open_repaired(&w, disk, &report).lost, lost);
        fault_disk_free(disk);
    }
    forget(&w);
}

static void what_is_whole_is_not_touched(void **state)
{
    (void)state;
    written_t w;
    write_journal(&w, 3);
    fault_disk_t *disk = images_disk(&w.images, DIR);
    uint64_t before = fault_disk_operations(disk);
    repair_report_t report = repair(disk);
    assert_int_equal(report.files, 0);
    assert_int_equal(report.survey.damages, 0);
    assert_int_equal(report.survey.total.records, w.c.count);
    assert_true(fault_disk_operations(disk) - before < 20); /* opening is an operation, too */
    fault_disk_free(disk);
    forget(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whichever_bit_flips_the_survey_and_the_broker_agree_and_a_repair_loses_one_record_at_most),
        cmocka_unit_test(a_file_cut_short_is_told_and_repaired),
        cmocka_unit_test(a_missing_segment_becomes_notes),
        cmocka_unit_test(garbage_over_whole_batches_loses_these_and_no_more),
        cmocka_unit_test(a_damaged_header_and_first_batch_lose_what_was_in_them),
        cmocka_unit_test(a_repair_that_fails_anywhere_has_changed_nothing_or_can_go_on),
        cmocka_unit_test(what_is_whole_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
