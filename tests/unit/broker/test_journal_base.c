/* test_journal_base.c: a folder with a snapshot, kept files and segments, under the real core: whatever is damaged, it
 * comes up right or is refused by file and offset; and a repair loses what is damaged alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "broker/checkpoint.h"
#include "broker/core/snapshot.h"
#include "broker/journal/journal_repair.h"
#include "tests/lib/core_rig.h"
#include "tests/lib/journal_images.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define RECORDS_MAX 4096
#define PHASES 4
#define SENT 50 /* in each */
#define ACKED 42

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":600}},"
    "{\"QueueName\":\"unread\"}]}";

typedef struct {
    rig_t rig;
    images_t images;
    bytes_t records[RECORDS_MAX]; /* into the rig's journal */
    uint64_t count;
    uint64_t digest;  /* of a core that applied them all */
    uint64_t *needed; /* by its messages */
    size_t needed_count;
    uint64_t retain_bytes;
} world_t;

/* -- a folder as it was ------------------------------------------------------------------------------ */
static void take_records(world_t *w)
{
    bytes_t left = buf_bytes(&w->rig.journal);
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    for (w->count = 0; left.len; left = bytes_from(left.data + length, left.len - length)) {
        assert_true(w->count < RECORDS_MAX && record_peek(left, &length, &seq, &ingest_us));
        w->records[w->count++] = bytes_from(left.data, length);
    }
}

static void checkpoint(world_t *w, journal_t *journal)
{
    error_t err = {0};
    const checkpoint_options_t options = {
        .core = w->rig.config, .retain = {.bytes = w->retain_bytes, .since_us = INT64_MAX, .from_seq = UINT64_MAX}};
    checkpoint_t *checkpoint = checkpoint_begin(journal, &options, &err);
    if (!checkpoint)
        fail_msg("no checkpoint: %s", err.message);
    checkpoint_state_t state = CHECKPOINT_WORKING;
    while (state == CHECKPOINT_WORKING || state == CHECKPOINT_READY) {
        if (state == CHECKPOINT_READY)
            assert_true(checkpoint_adopt(checkpoint, journal, &err));
        state = checkpoint_step(checkpoint, 10000);
    }
    if (state != CHECKPOINT_DONE)
        fail_msg("the checkpoint failed: %s", checkpoint_error(checkpoint)->message);
    checkpoint_free(&checkpoint);
}

/* Sends some, and settles most of those that come; `unread` others stay for ever. */
static void work(rig_t *rig, uint64_t phase, int unread)
{
    char text[500];
    core_item_t items[ACKED];
    size_t count = 0;
    memset(text, 'a' + (int)phase, sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < SENT; i++)
        (void)rig_send_message(rig, 1, "work", text);
    for (int i = 0; i < unread; i++)
        (void)rig_send_message(rig, 1, "unread", text);
    rig_subscribe_queue(rig, 1, 10 + phase, "work", ACKED);
    for (const core_out_t *out; (out = rig_deliver(rig, 1));)
        for (size_t i = 0; i < out->deliver.count && count < ACKED; i++)
            items[count++] = rig->out.items[out->deliver.first + i];
    for (size_t i = 0; i < count; i++)
        assert_int_equal(rig_settle(rig, 1, &items[i], WIRE_ACK, 0), 0);
    rig_sleep(rig, 1000000);
}

static journal_options_t options_for(fault_disk_t *disk)
{
    return (journal_options_t){
        .dir = DIR, .io = fault_disk_io(disk), .segment_bytes = SEGMENT_BYTES, .no_thread = true, .salt = 7};
}

static void write_folder(world_t *w, uint64_t retain_bytes, int unread)
{
    fault_disk_t *disk = fault_disk_new(3);
    journal_options_t options = options_for(disk);
    journal_recovery_t recovery;
    error_t err = {0};
    *w = (world_t){.retain_bytes = retain_bytes};
    rig_open(&w->rig, NULL);
    rig_topology(&w->rig, topology);
    rig_hello(&w->rig, 1, "tester-000001", NULL);
    journal_t *journal = journal_open(&options, NULL, NULL, &recovery, &err);
    assert_non_null(journal);
    for (uint64_t phase = 0; phase < PHASES; phase++) {
        work(&w->rig, phase, unread);
        take_records(w);
        for (uint64_t seq = journal_next_seq(journal); seq <= w->count; seq++) {
            assert_true(journal_append(journal, w->records[seq - 1], &err));
            assert_true(seq % 3 || journal_commit(journal, &err));
        }
        assert_true(journal_commit(journal, &err));
        if (phase + 1 < PHASES)
            checkpoint(w, journal);
    }
    assert_true(journal_close(&journal, &err));
    images_take(&w->images, disk);
    fault_disk_free(disk);
}

/* -- opening it ---------------------------------------------------------------------------------------- */
typedef struct {
    core_t *core;
    checkpoint_loader_t loader;
} opening_t;

static bool load_one(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(&((opening_t *)ctx)->loader, items, err);
}

static bool apply_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    return core_apply(((opening_t *)ctx)->core, record, err);
}

static journal_t *open_folder(const world_t *w, fault_disk_t *disk, opening_t *opening, error_t *err)
{
    journal_options_t options = options_for(disk);
    journal_recovery_t recovery;
    opening->core = core_new(&w->rig.config, err);
    assert_non_null(opening->core);
    opening->loader = (checkpoint_loader_t){.core = opening->core};
    options.load = load_one;
    journal_t *journal = journal_open(&options, apply_one, opening, &recovery, err);
    checkpoint_loader_end(&opening->loader);
    return journal;
}

static void close_folder(journal_t **journal, opening_t *opening)
{
    error_t err;
    if (*journal)
        assert_true(journal_close(journal, &err));
    core_free(&opening->core);
}

/* Of a core that applied the first `count` records; also which of them it needs, unless `needed` is NULL. */
static uint64_t digest_of(world_t *w, uint64_t count, uint64_t **needed)
{
    error_t err = {0};
    core_t *core = core_new(&w->rig.config, &err);
    record_t *record = malloc(sizeof *record);
    assert_true(core && record);
    for (uint64_t i = 0; i < count; i++)
        assert_true(record_decode(w->records[i], record, &err) && core_apply(core, record, &err));
    uint64_t digest = core_digest(core);
    assert_true(!needed || core_needed_records(core, count, needed, &w->needed_count, &err));
    free(record);
    core_free(&core);
    return digest;
}

static bool can_be_read(const world_t *w, journal_t *journal, uint64_t seq)
{
    bytes_t raw;
    error_t err = {0};
    return journal_read(journal, seq, &raw, &err) && bytes_eq(raw, w->records[seq - 1]);
}

/* Needed records that cannot be had any more. */
static uint64_t count_lost(const world_t *w, journal_t *journal)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < w->needed_count; i++)
        lost += !can_be_read(w, journal, w->needed[i]);
    return lost;
}

static bool take_note(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    const world_t *w = ctx;
    (void)err;
    assert_true(record->seq <= w->count);
    assert_true(bytes_eq(raw, w->records[record->seq - 1]) ||
                (record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, REPAIR_LOST_EVENT)));
    return true;
}

/* -- judging --------------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t refused, late, harmless, unnoticed, hopeless, lost, damages; /* the last two: most at once */
} tally_t;

static bool is_same(fault_disk_t *disk, const char *path, const image_t *image)
{
    uint64_t *bytes;
    const uint8_t *data = fault_disk_file(disk, path, &bytes);
    return data && *bytes == image->bytes && memcmp(data, image->data, image->bytes) == 0;
}

/* Every file is there as it was, under its name or in the attic. */
static void assert_nothing_gone(const world_t *w, fault_disk_t *disk, const char *attic)
{
    for (size_t i = 0; i < w->images.count; i++) {
        const image_t *image = &w->images.items[i];
        char kept[FILE_PATH_BYTES + FILE_NAME_BYTES];
        if (image->missing || image->bytes == 0)
            continue;
        (void)snprintf(kept, sizeof kept, "%s%s", attic, strrchr(image->path, '/'));
        if (!is_same(disk, image->path, image) && !(attic[0] && is_same(disk, kept, image)))
            fail_msg("%s is gone or changed", image->path);
    }
}

/* More log, and a checkpoint that takes all of it in. */
static void go_on(world_t *w, journal_t *journal)
{
    static char text[2000];
    error_t err = {0};
    uint64_t retain_bytes = w->retain_bytes;
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 30; i++) {
        buf_t raw = {0};
        const record_note_t note = {.event = BYTES_LIT("proof"), .text = bytes_cstr(text)};
        record_encode(&raw, journal_next_seq(journal), journal_last_ingest_us(journal), RECORD_NOTE, &note);
        assert_true(journal_append(journal, buf_bytes(&raw), &err) && journal_commit(journal, &err));
        buf_free(&raw);
    }
    w->retain_bytes = 0;
    checkpoint(w, journal);
    w->retain_bytes = retain_bytes;
}

/* After a repair: it comes up, has every sequence, lost no more than it said, and goes on through a checkpoint. */
static void judge_repair(world_t *w, const image_t *image, fault_disk_t *disk, tally_t *tally)
{
    folder_t folder;
    repair_report_t report;
    survey_report_t again;
    error_t err = {0};
    const survey_sink_t none = {0}, notes = {.ctx = w, .record = take_note};
    opening_t opening;
    assert_true(folder_init(&folder, DIR, fault_disk_io(disk), &err));
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
    journal_t *journal = open_folder(w, disk, &opening, &err);
    if (!journal)
        fail_msg("%s: a repaired journal is refused: %s", image->path, err.message);
    assert_true(journal_next_seq(journal) == w->count + 1 || image == &w->images.items[w->images.count - 1]);
    uint64_t lost = count_lost(w, journal);
    if (lost > report.survey.lost && journal_next_seq(journal) == w->count + 1)
        fail_msg("%s: %lu records are lost, and the repair told of %lu", image->path, lost, report.survey.lost);
    if (report.survey.lost == 0 && journal_next_seq(journal) == w->count + 1)
        assert_true(core_digest(opening.core) == w->digest);
    go_on(w, journal);
    bool knows = report.survey.total.snapshot || report.survey.lost == 0; /* of messages whose records are lost */
    assert_true(!knows || count_lost(w, journal) == lost);
    tally->lost = report.survey.lost > tally->lost ? report.survey.lost : tally->lost;
    close_folder(&journal, &opening);
}

/* The survey, the walk and the start agree on a folder; what is damaged is repaired when `mend`. */
static void judge(world_t *w, const image_t *image, bool mend, tally_t *tally)
{
    fault_disk_t *surveyed = images_disk(&w->images, DIR), *opened = images_disk(&w->images, DIR);
    folder_t folder;
    survey_report_t report;
    journal_recovery_t found;
    error_t err = {0}, refused = {0};
    opening_t opening;
    const survey_sink_t none = {0};
    assert_true(folder_init(&folder, DIR, fault_disk_io(surveyed), &err));
    bool walks = journal_walk(DIR, fault_disk_io(surveyed), NULL, NULL, &found, &err);
    bool good = journal_survey(&folder, &none, &report, &err);
    journal_t *journal = open_folder(w, opened, &opening, &refused);
    if (!good)
        assert_true(!walks && !journal && err.code == STATUS_FAILED_PRECONDITION); /* a newer format */
    else if (walks != (report.damages == 0) || (journal != NULL) != (report.refused == 0))
        fail_msg("%s: %lu damages, %lu refused; the start says \"%s\", the walk \"%s\"", image->path, report.damages,
                 report.refused, refused.message, err.message);
    bool is_snapshot = strstr(image->path, ".snapshot") != NULL; /* without it its log is missing as well */
    tally->damages = !is_snapshot && report.damages > tally->damages ? report.damages : tally->damages;
    if (!journal) {
        assert_true(!good || strstr(refused.message, DIR "/") || strstr(refused.message, DIR ":"));
        assert_nothing_gone(w, opened, "");
        tally->refused++;
    } else if (report.damages) {
        assert_true(core_digest(opening.core) == w->digest && count_lost(w, journal) <= report.lost);
        tally->late++;
    } else if (journal_next_seq(journal) == w->count + 1) {
        assert_true(core_digest(opening.core) == w->digest && count_lost(w, journal) == 0);
        tally->harmless++;
    } else {
        /* Nothing tells that there was a newest segment: it is the one thing that can be missing unnoticed. */
        assert_true(image->missing && image == &w->images.items[w->images.count - 1]);
        assert_true(core_digest(opening.core) == digest_of(w, journal_next_seq(journal) - 1, NULL));
        tally->unnoticed++;
    }
    close_folder(&journal, &opening);
    if (mend && good && report.damages)
        judge_repair(w, image, surveyed, tally);
    fault_disk_free(surveyed);
    fault_disk_free(opened);
}

static void open_world_with_unread(world_t *w, uint64_t retain_bytes, int unread)
{
    write_folder(w, retain_bytes, unread);
    w->digest = digest_of(w, w->count, &w->needed);
    assert_true(w->needed_count > 20);
}

static void open_world(world_t *w, uint64_t retain_bytes)
{
    open_world_with_unread(w, retain_bytes, 0);
}

static void close_world(world_t *w)
{
    images_free(&w->images);
    free(w->needed);
    rig_close(&w->rig);
    free(w);
}

static image_t *image_of(world_t *w, const char *end)
{
    for (size_t i = w->images.count; i-- > 0;)
        if (strstr(w->images.items[i].path, end))
            return &w->images.items[i];
    fail_msg("no file of kind %s", end);
    return NULL;
}

/* -- tests ------------------------------------------------------------------------------------------------ */
static void whichever_bit_flips_it_comes_up_right_or_is_refused_and_a_repair_loses_no_more(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    open_world(w, SEGMENT_BYTES);
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
    close_world(w);
}

static void whatever_file_is_cut_or_missing_it_is_refused_or_told(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    open_world(w, SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++) {
        image_t *image = &w->images.items[i];
        uint64_t whole = image->bytes;
        for (image->bytes = 0; image->bytes < whole; image->bytes += 1 + whole / 60)
            judge(w, image, true, &tally);
        image->bytes = whole;
    }
    assert_int_equal(tally.late + tally.harmless, 0);
    assert_true(tally.refused > 300);
    close_world(w);
}

static void a_damaged_snapshot_costs_nothing_while_the_log_is_there(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    open_world(w, UINT64_MAX);
    image_t *snapshot = image_of(w, ".snapshot");
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
    close_world(w);
}

/* Without its snapshot a folder looks like one whose first segments are gone; without the newest segment, like one that
 * ends before. Records that were only there are told as lost, or there is no repair. */
static void whatever_file_is_missing_nothing_is_invented(void **state)
{
    (void)state;
    for (uint64_t retain_bytes = 0; retain_bytes <= 2 * SEGMENT_BYTES; retain_bytes += SEGMENT_BYTES) {
        world_t *w = calloc(1, sizeof *w);
        tally_t tally = {0};
        open_world(w, retain_bytes);
        for (size_t i = 0; i < w->images.count; i++) {
            image_t *image = &w->images.items[i];
            image->missing = true;
            judge(w, image, true, &tally);
            image->missing = false;
        }
        assert_true(tally.refused > 2 && tally.unnoticed == 1);
        close_world(w);
    }
}

/* Remains of a checkpoint that did not end: the snapshot before, and what it needs. */
static void the_snapshot_before_serves_when_it_is_still_there(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    tally_t tally = {0};
    open_world(w, UINT64_MAX);
    image_t *snapshot = image_of(w, ".snapshot");
    image_t *second = &w->images.items[w->images.count++];
    *second = *snapshot;
    (void)snprintf(second->path, sizeof second->path, DIR "/0000000000000009.snapshot");
    second->data = malloc(snapshot->bytes);
    assert_non_null(second->data);
    memcpy(second->data, snapshot->data, snapshot->bytes); /* its header names another number */
    judge(w, second, true, &tally);
    assert_true(tally.refused == 1 && tally.hopeless == 0 && tally.lost == 0);
    close_world(w);
}

/* Appends the acknowledgement of message `seq`. */
static void settle(const world_t *w, journal_t *journal, uint64_t seq)
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
    world_t *w = calloc(1, sizeof *w);
    folder_t folder;
    repair_report_t report;
    error_t err = {0};
    opening_t opening;
    const survey_sink_t none = {0};
    open_world_with_unread(w, 0, 4);
    image_of(w, ".kept")->missing = true;
    fault_disk_t *disk = images_disk(&w->images, DIR);
    assert_true(folder_init(&folder, DIR, fault_disk_io(disk), &err));
    assert_true(journal_repair(&folder, 99, true, &none, &report, &err));
    assert_true(report.survey.lost > 2);
    journal_t *journal = open_folder(w, disk, &opening, &err);
    assert_non_null(journal);
    uint64_t lost = count_lost(w, journal);
    for (size_t i = 0; i < w->needed_count; i++) {
        bytes_t raw;
        if (journal_read(journal, w->needed[i], &raw, &err) && bytes_eq(raw, w->records[w->needed[i] - 1]))
            continue;
        settle(w, journal, w->needed[i]);
        break;
    }
    for (int round = 0; round < 3; round++) /* each writes the file before anew, or leaves it */
        go_on(w, journal);
    assert_int_equal(count_lost(w, journal), lost);
    close_folder(&journal, &opening);
    fault_disk_free(disk);
    close_world(w);
}

/* -- a repair that is interrupted -------------------------------------------------------------------------- */
/* Under its name, or in the attic of the first repair or of the second. */
static void assert_kept_somewhere(const world_t *w, fault_disk_t *disk, uint64_t at)
{
    for (size_t i = 0; i < w->images.count; i++) {
        const image_t *image = &w->images.items[i];
        bool found = image->missing || is_same(disk, image->path, image);
        for (int attic = 1; attic <= 2 && !found; attic++) {
            char path[160];
            (void)snprintf(path, sizeof path, DIR "/attic/%d%s", attic, strrchr(image->path, '/'));
            found = is_same(disk, path, image);
        }
        if (!found)
            fail_msg("operation %lu of a repair failed: %s is gone", at, image->path);
    }
}

/* Repairs it in peace; how many records can be read then. */
static uint64_t repair_in_peace(world_t *w, fault_disk_t *disk, uint64_t at)
{
    folder_t folder;
    repair_report_t report;
    survey_report_t again;
    error_t err = {0};
    const survey_sink_t none = {0}, notes = {.ctx = w, .record = take_note};
    opening_t opening;
    assert_true(folder_init(&folder, DIR, fault_disk_io(disk), &err));
    if (!journal_repair(&folder, 99, true, &none, &report, &err))
        fail_msg("operation %lu of a repair failed: it cannot be done again: %s", at, err.message);
    fault_disk_cut_power(disk, true);
    assert_kept_somewhere(w, disk, at);
    if (!journal_survey(&folder, &notes, &again, &err) || again.damages)
        fail_msg("operation %lu of a repair failed: still damaged: %s", at, err.message);
    journal_t *journal = open_folder(w, disk, &opening, &err);
    if (!journal)
        fail_msg("operation %lu of a repair failed: then refused: %s", at, err.message);
    assert_int_equal(journal_next_seq(journal), w->count + 1);
    uint64_t lost = count_lost(w, journal), readable = 0;
    for (uint64_t seq = 1; seq <= w->count; seq++)
        readable += can_be_read(w, journal, seq);
    assert_true(lost || core_digest(opening.core) == w->digest);
    go_on(w, journal);
    assert_int_equal(count_lost(w, journal), lost);
    close_folder(&journal, &opening);
    return readable;
}

/* The first repair ends at operation `at`, and power with it. False when it was over before. */
static bool interrupted(world_t *w, uint64_t at, unsigned way, uint64_t readable)
{
    fault_disk_t *disk = images_disk(&w->images, DIR);
    folder_t folder;
    repair_report_t report;
    error_t err = {0};
    const survey_sink_t none = {0};
    assert_true(folder_init(&folder, DIR, fault_disk_io(disk), &err));
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
static uint64_t interrupt_everywhere(world_t *w)
{
    fault_disk_t *disk = images_disk(&w->images, DIR);
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
    world_t *w = calloc(1, sizeof *w);
    uint64_t operations = 0;
    open_world(w, SEGMENT_BYTES);
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
    close_world(w);
}

static void a_repair_of_a_snapshot_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    open_world(w, UINT64_MAX); /* the log that it was made of is there */
    flip(image_of(w, ".snapshot"), 300);
    assert_true(interrupt_everywhere(w) > 5);
    close_world(w);
}

static void a_repair_of_everything_at_once_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    world_t *w = calloc(1, sizeof *w);
    open_world(w, SEGMENT_BYTES);
    for (size_t i = 0; i < w->images.count; i++)
        if (!strstr(w->images.items[i].path, ".snapshot"))
            flip(&w->images.items[i], w->images.items[i].bytes / 3);
    assert_true(interrupt_everywhere(w) > 20);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whichever_bit_flips_it_comes_up_right_or_is_refused_and_a_repair_loses_no_more),
        cmocka_unit_test(whatever_file_is_cut_or_missing_it_is_refused_or_told),
        cmocka_unit_test(whatever_file_is_missing_nothing_is_invented),
        cmocka_unit_test(the_snapshot_before_serves_when_it_is_still_there),
        cmocka_unit_test(a_repair_that_lost_a_whole_kept_file_outlives_the_first_of_its_messages),
        cmocka_unit_test(a_repair_of_kept_files_can_be_interrupted_anywhere),
        cmocka_unit_test(a_repair_of_a_snapshot_can_be_interrupted_anywhere),
        cmocka_unit_test(a_repair_of_everything_at_once_can_be_interrupted_anywhere),
        cmocka_unit_test(a_damaged_snapshot_costs_nothing_while_the_log_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
