/* test_journal_base.c: a folder with a snapshot, kept files and segments, under the real core: whatever is damaged, it
 * comes up right or is refused by file and offset; and a repair loses what is damaged alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/journal/journal_repair.h"
#include "tests/lib/journal_world.h"

/* -- judging --------------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t refused, late, harmless, unnoticed, hopeless, lost, damages; /* the last two: most at once */
} tally_t;

/* Every file is there as it was, under its name or in the attic. */
static void assert_nothing_gone(const journal_world_t *w, fault_disk_t *disk, const char *attic)
{
    for (size_t i = 0; i < w->images.count; i++) {
        const image_t *image = &w->images.items[i];
        char kept[FILE_PATH_BYTES + FILE_NAME_BYTES];
        if (image->missing || image->bytes == 0)
            continue;
        (void)snprintf(kept, sizeof kept, "%s%s", attic, strrchr(image->path, '/'));
        if (!journal_world_is_same(disk, image->path, image) && !(attic[0] && journal_world_is_same(disk, kept, image)))
            fail_msg("%s is gone or changed", image->path);
    }
}

/* After a repair: it comes up, has every sequence, lost no more than it said, and goes on through a checkpoint. */
static void judge_repair(journal_world_t *w, const image_t *image, fault_disk_t *disk, tally_t *tally)
{
    folder_t folder;
    repair_report_t report;
    survey_report_t again;
    error_t err = {0};
    const survey_sink_t none = {0}, notes = {.ctx = w, .record = journal_world_take};
    journal_world_start_t start;
    assert_true(folder_init(&folder, JOURNAL_WORLD_DIR, fault_disk_io(disk), &err));
    if (!journal_repair(&folder, 99, true, &none, &report, &err)) {
        if (!strstr(err.message, "cannot be repaired"))
            fail_msg("%s: cannot repair: %s", image->path, err.message);
        assert_nothing_gone(w, disk, "");
        tally->hopeless++;
        return;
    }
    fault_disk_cut_power(disk, true);
    assert_nothing_gone(w, disk, report.attic);
    if (!journal_survey(&folder, &notes, &again, &err) || again.damages)
        fail_msg("%s: still damaged behind a repair: %s", image->path, err.message);
    journal_t *journal = journal_world_start(w, disk, &start, &err);
    if (!journal)
        fail_msg("%s: a repaired journal is refused: %s", image->path, err.message);
    assert_true(journal_next_seq(journal) == w->count + 1 || image == &w->images.items[w->images.count - 1]);
    uint64_t lost = journal_world_lost(w, journal);
    if (lost > report.survey.lost && journal_next_seq(journal) == w->count + 1)
        fail_msg("%s: %lu records are lost, and the repair told of %lu", image->path, lost, report.survey.lost);
    if (report.survey.lost == 0 && journal_next_seq(journal) == w->count + 1)
        assert_true(core_digest(start.core) == w->digest);
    journal_world_go_on(w, journal);
    bool knows = report.survey.total.snapshot || report.survey.lost == 0; /* of messages whose records are lost */
    assert_true(!knows || journal_world_lost(w, journal) == lost);
    tally->lost = report.survey.lost > tally->lost ? report.survey.lost : tally->lost;
    journal_world_stop(&journal, &start);
}

/* The survey, the walk and the start agree on a folder; what is damaged is repaired when `mend`. */
static void judge(journal_world_t *w, const image_t *image, bool mend, tally_t *tally)
{
    fault_disk_t *surveyed = images_disk(&w->images, JOURNAL_WORLD_DIR),
                 *opened = images_disk(&w->images, JOURNAL_WORLD_DIR);
    folder_t folder;
    survey_report_t report;
    journal_recovery_t found;
    error_t err = {0}, refused = {0};
    journal_world_start_t start;
    const survey_sink_t none = {0};
    assert_true(folder_init(&folder, JOURNAL_WORLD_DIR, fault_disk_io(surveyed), &err));
    bool walks = journal_walk(JOURNAL_WORLD_DIR, fault_disk_io(surveyed), NULL, NULL, &found, &err);
    bool good = journal_survey(&folder, &none, &report, &err);
    journal_t *journal = journal_world_start(w, opened, &start, &refused);
    if (!good)
        assert_true(!walks && !journal && err.code == STATUS_FAILED_PRECONDITION); /* a newer format */
    else if (walks != (report.damages == 0) || (journal != NULL) != (report.refused == 0))
        fail_msg("%s: %lu damages, %lu refused; the start says \"%s\", the walk \"%s\"", image->path, report.damages,
                 report.refused, refused.message, err.message);
    bool is_snapshot = strstr(image->path, ".snapshot") != NULL; /* without it its log is missing as well */
    tally->damages = !is_snapshot && report.damages > tally->damages ? report.damages : tally->damages;
    if (!journal) {
        assert_true(!good || strstr(refused.message, JOURNAL_WORLD_DIR "/") ||
                    strstr(refused.message, JOURNAL_WORLD_DIR ":"));
        assert_nothing_gone(w, opened, "");
        tally->refused++;
    } else if (report.damages) {
        assert_true(core_digest(start.core) == w->digest && journal_world_lost(w, journal) <= report.lost);
        tally->late++;
    } else if (journal_next_seq(journal) == w->count + 1) {
        assert_true(core_digest(start.core) == w->digest && journal_world_lost(w, journal) == 0);
        tally->harmless++;
    } else {
        /* Nothing tells that there was a newest segment: it is the one thing that can be missing unnoticed. */
        assert_true(image->missing && image == &w->images.items[w->images.count - 1]);
        assert_true(core_digest(start.core) == journal_world_digest(w, journal_next_seq(journal) - 1, NULL));
        tally->unnoticed++;
    }
    journal_world_stop(&journal, &start);
    if (mend && good && report.damages)
        judge_repair(w, image, surveyed, tally);
    fault_disk_free(surveyed);
    fault_disk_free(opened);
}

/* -- tests ------------------------------------------------------------------------------------------------ */
static void whichever_bit_flips_it_comes_up_right_or_is_refused_and_a_repair_loses_no_more(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    journal_world_open(w, JOURNAL_WORLD_SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++) {
        image_t *image = &w->images.items[i];
        bool is_segment = strstr(image->path, ".journal") != NULL;
        for (uint64_t bit = 0; bit < image->bytes * 8; bit++) {
            bool is_header = bit / 8 < 64;
            if (!is_header && bit % (is_segment ? 1931 : 37) != 0)
                continue;
            image->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            judge(w, image, bit % 3 == 0, &tally);
            image->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    print_message("refused %lu, noticed when asked for %lu, harmless %lu, beyond repair %lu, lost %lu at most\n",
                  tally.refused, tally.late, tally.harmless, tally.hopeless, tally.lost);
    assert_true(tally.refused > 500 && tally.late > 500 && tally.harmless > 100 && tally.hopeless > 50);
    assert_true(tally.lost <= 1 && tally.damages == 1);
    journal_world_close(w);
}

static void whatever_file_is_cut_or_missing_it_is_refused_or_told(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    journal_world_open(w, JOURNAL_WORLD_SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++) {
        image_t *image = &w->images.items[i];
        uint64_t whole = image->bytes;
        for (image->bytes = 0; image->bytes < whole; image->bytes += 1 + whole / 60)
            judge(w, image, true, &tally);
        image->bytes = whole;
    }
    assert_int_equal(tally.late + tally.harmless, 0);
    assert_true(tally.refused > 300);
    journal_world_close(w);
}

static void a_damaged_snapshot_costs_nothing_while_the_log_is_there(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    journal_world_open(w, UINT64_MAX);
    image_t *snapshot = journal_world_image(w, ".snapshot");
    uint64_t whole = snapshot->bytes;
    for (uint64_t at = 0; at < whole; at += 41) {
        snapshot->data[at] ^= 1;
        judge(w, snapshot, true, &tally);
        snapshot->data[at] ^= 1;
        snapshot->bytes = at;
        judge(w, snapshot, true, &tally);
        snapshot->bytes = whole;
    }
    assert_true(tally.refused > 20 && tally.refused == 2 * ((whole + 40) / 41));
    assert_int_equal(tally.hopeless + tally.lost + tally.late + tally.harmless, 0);
    journal_world_close(w);
}

/* Without its snapshot a folder looks like one whose first segments are gone; without the newest segment, like one that
 * ends before. Records that were only there are told as lost, or there is no repair. */
static void whatever_file_is_missing_nothing_is_invented(void **state)
{
    (void)state;
    for (uint64_t retain_bytes = 0; retain_bytes <= 2 * JOURNAL_WORLD_SEGMENT_BYTES;
         retain_bytes += JOURNAL_WORLD_SEGMENT_BYTES) {
        journal_world_t *w = calloc(1, sizeof *w);
        tally_t tally = {0};
        journal_world_open(w, retain_bytes);
        for (size_t i = 0; i < w->images.count; i++) {
            image_t *image = &w->images.items[i];
            image->missing = true;
            judge(w, image, true, &tally);
            image->missing = false;
        }
        assert_true(tally.refused > 2 && tally.unnoticed == 1);
        journal_world_close(w);
    }
}

/* Remains of a checkpoint that did not end: the snapshot before, and what it needs. */
static void the_snapshot_before_serves_when_it_is_still_there(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    journal_world_open(w, UINT64_MAX);
    image_t *snapshot = journal_world_image(w, ".snapshot");
    image_t *second = &w->images.items[w->images.count++];
    *second = *snapshot;
    (void)snprintf(second->path, sizeof second->path, JOURNAL_WORLD_DIR "/0000000000000009.snapshot");
    second->data = malloc(snapshot->bytes);
    assert_non_null(second->data);
    memcpy(second->data, snapshot->data, snapshot->bytes); /* its header names another number */
    judge(w, second, true, &tally);
    assert_true(tally.refused == 1 && tally.hopeless == 0 && tally.lost == 0);
    journal_world_close(w);
}

/* Appends the acknowledgement of message `seq`. */
static void settle(const journal_world_t *w, journal_t *journal, uint64_t seq)
{
    error_t err = {0};
    buf_t raw = {0};
    record_t *record = malloc(sizeof *record);
    assert_non_null(record);
    assert_true(record_decode(w->records[seq - 1], record, &err) && record->kind == RECORD_SEND);
    uint64_t queue = record->send.queue;
    record->settled.entries.count = 1;
    record->settled.entries.items[0] = (record_settled_entry_t){.queue = queue, .record = seq, .action = WIRE_ACK};
    record_encode(&raw, journal_next_seq(journal), journal_last_ingest_us(journal), RECORD_SETTLED, &record->settled);
    assert_true(journal_append(journal, buf_bytes(&raw), &err) && journal_commit(journal, &err));
    buf_free(&raw);
    free(record);
}

/* One note stands for all messages of the file. The first of them goes, the others stay. */
static void a_repair_that_lost_a_whole_kept_file_outlives_the_first_of_its_messages(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    folder_t folder;
    repair_report_t report;
    error_t err = {0};
    journal_world_start_t start;
    const survey_sink_t none = {0};
    journal_world_open_with_unread(w, 0, 4);
    journal_world_image(w, ".kept")->missing = true;
    fault_disk_t *disk = images_disk(&w->images, JOURNAL_WORLD_DIR);
    assert_true(folder_init(&folder, JOURNAL_WORLD_DIR, fault_disk_io(disk), &err));
    assert_true(journal_repair(&folder, 99, true, &none, &report, &err));
    assert_true(report.survey.lost > 2);
    journal_t *journal = journal_world_start(w, disk, &start, &err);
    assert_non_null(journal);
    uint64_t lost = journal_world_lost(w, journal);
    for (size_t i = 0; i < w->needed_count; i++) {
        bytes_t raw;
        if (journal_read(journal, w->needed[i], &raw, &err) && bytes_eq(raw, w->records[w->needed[i] - 1]))
            continue;
        settle(w, journal, w->needed[i]);
        break;
    }
    for (int round = 0; round < 3; round++) /* each writes the file before anew, or leaves it */
        journal_world_go_on(w, journal);
    assert_int_equal(journal_world_lost(w, journal), lost);
    journal_world_stop(&journal, &start);
    fault_disk_free(disk);
    journal_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whichever_bit_flips_it_comes_up_right_or_is_refused_and_a_repair_loses_no_more),
        cmocka_unit_test(whatever_file_is_cut_or_missing_it_is_refused_or_told),
        cmocka_unit_test(whatever_file_is_missing_nothing_is_invented),
        cmocka_unit_test(the_snapshot_before_serves_when_it_is_still_there),
        cmocka_unit_test(a_repair_that_lost_a_whole_kept_file_outlives_the_first_of_its_messages),
        cmocka_unit_test(a_damaged_snapshot_costs_nothing_while_the_log_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
