/* test_journal_repair_power.c: a repair that fails or loses power at any of its operations: no file is gone, and a
 * second one brings back as much as the first would have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "broker/journal/journal_repair.h"
#include "tests/lib/journal_world.h"

/* Under its name, or in the attic of the first repair or of the second. */
static void assert_kept_somewhere(const journal_world_t *w, fault_disk_t *disk, uint64_t at)
{
    for (size_t i = 0; i < w->images.count; i++) {
        const image_t *image = &w->images.items[i];
        bool found = image->missing || journal_world_is_same(disk, image->path, image);
        for (int attic = 1; attic <= 2 && !found; attic++) {
            char path[160];
            (void)snprintf(path, sizeof path, JOURNAL_WORLD_DIR "/attic/%d%s", attic, strrchr(image->path, '/'));
            found = journal_world_is_same(disk, path, image);
        }
        if (!found)
            fail_msg("operation %lu of a repair failed: %s is gone", at, image->path);
    }
}

/* Repairs it in peace; how many records can be read then. */
static uint64_t repair_in_peace(journal_world_t *w, fault_disk_t *disk, uint64_t at)
{
    folder_t folder;
    repair_report_t report;
    survey_report_t again;
    error_t err = {0};
    const survey_sink_t none = {0}, notes = {.ctx = w, .record = journal_world_take};
    journal_world_start_t start;
    assert_true(folder_init(&folder, JOURNAL_WORLD_DIR, fault_disk_io(disk), &err));
    if (!journal_repair(&folder, 99, true, &none, &report, &err))
        fail_msg("operation %lu of a repair failed: it cannot be done again: %s", at, err.message);
    fault_disk_cut_power(disk, true);
    assert_kept_somewhere(w, disk, at);
    if (!journal_survey(&folder, &notes, &again, &err) || again.damages)
        fail_msg("operation %lu of a repair failed: still damaged: %s", at, err.message);
    journal_t *journal = journal_world_start(w, disk, &start, &err);
    if (!journal)
        fail_msg("operation %lu of a repair failed: then refused: %s", at, err.message);
    assert_int_equal(journal_next_seq(journal), w->count + 1);
    uint64_t lost = journal_world_lost(w, journal), readable = 0;
    for (uint64_t seq = 1; seq <= w->count; seq++)
        readable += journal_world_has(w, journal, seq);
    assert_true(lost || core_digest(start.core) == w->digest);
    journal_world_go_on(w, journal);
    assert_int_equal(journal_world_lost(w, journal), lost);
    journal_world_stop(&journal, &start);
    return readable;
}

/* The first repair ends at operation `at`, and power with it. False when it was over before. */
static bool interrupted(journal_world_t *w, uint64_t at, unsigned way, uint64_t readable)
{
    fault_disk_t *disk = images_disk(&w->images, JOURNAL_WORLD_DIR);
    folder_t folder;
    repair_report_t report;
    error_t err = {0};
    const survey_sink_t none = {0};
    assert_true(folder_init(&folder, JOURNAL_WORLD_DIR, fault_disk_io(disk), &err));
    fault_disk_arm(disk, way & 1 ? FAULT_DEAD : FAULT_ONCE, at, way & 4 ? ENOSPC : EIO);
    bool good = journal_repair(&folder, 99, true, &none, &report, &err), struck = fault_disk_struck(disk);
    assert_true(good || struck);
    fault_disk_disarm(disk);
    fault_disk_cut_power(disk, way & 2);
    assert_kept_somewhere(w, disk, at);
    assert_int_equal(repair_in_peace(w, disk, at), readable);
    fault_disk_free(disk);
    return struck;
}

/* All operations of the repair of `w` as it is damaged now, each failing in every way; how many there are. */
static uint64_t interrupt_everywhere(journal_world_t *w)
{
    fault_disk_t *disk = images_disk(&w->images, JOURNAL_WORLD_DIR);
    uint64_t readable = repair_in_peace(w, disk, 0), at = 0;
    fault_disk_free(disk);
    for (bool struck = true; struck; at++) {
        struck = false;
        for (unsigned way = 0; way < 8; way++)
            struck = interrupted(w, at, way, readable) || struck;
    }
    return at;
}

static void flip(image_t *image, uint64_t at)
{
    image->data[at] ^= 1;
}

static void a_repair_of_kept_files_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    uint64_t operations = 0;
    journal_world_open(w, JOURNAL_WORLD_SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++) {
        image_t *image = &w->images.items[i];
        if (!strstr(image->path, ".kept"))
            continue;
        flip(image, image->bytes / 2); /* a record, */
        operations += interrupt_everywhere(w);
        flip(image, image->bytes - 1); /* and the index */
        operations += interrupt_everywhere(w);
    }
    assert_true(operations > 40);
    journal_world_close(w);
}

static void a_repair_of_a_snapshot_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    journal_world_open(w, UINT64_MAX); /* the log that it was made of is there */
    flip(journal_world_image(w, ".snapshot"), 300);
    assert_true(interrupt_everywhere(w) > 5);
    journal_world_close(w);
}

static void a_repair_of_everything_at_once_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    journal_world_t *w = calloc(1, sizeof *w);
    journal_world_open(w, JOURNAL_WORLD_SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++)
        if (!strstr(w->images.items[i].path, ".snapshot"))
            flip(&w->images.items[i], w->images.items[i].bytes / 3);
    assert_true(interrupt_everywhere(w) > 20);
    journal_world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repair_of_kept_files_can_be_interrupted_anywhere),
        cmocka_unit_test(a_repair_of_a_snapshot_can_be_interrupted_anywhere),
        cmocka_unit_test(a_repair_of_everything_at_once_can_be_interrupted_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
