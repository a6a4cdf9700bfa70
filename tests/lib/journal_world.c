/* journal_world.c: sends, settles and checkpoints until a folder has everything that can be damaged. */
#include "tests/lib/journal_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/journal/journal_repair.h"

#define PHASES 4
#define SENT 50 /* in each */
#define ACKED 42

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":600}},"
    "{\"QueueName\":\"unread\"}]}";

/* -- a folder as it was ------------------------------------------------------------------------------ */
static void take_records(journal_world_t *w)
{
    bytes_t left = buf_bytes(&w->rig.journal);
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    for (w->count = 0; left.len; left = bytes_from(left.data + length, left.len - length)) {
        assert_true(w->count < JOURNAL_WORLD_RECORDS_MAX && record_peek(left, &length, &seq, &ingest_us));
        w->records[w->count++] = bytes_from(left.data, length);
    }
}

static void checkpoint(journal_world_t *w, journal_t *journal)
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
    return (journal_options_t){.dir = JOURNAL_WORLD_DIR,
                               .io = fault_disk_io(disk),
                               .segment_bytes = JOURNAL_WORLD_SEGMENT_BYTES,
                               .no_thread = true,
                               .salt = 7};
}

static void write_folder(journal_world_t *w, uint64_t retain_bytes, int unread)
{
    fault_disk_t *disk = fault_disk_new(3);
    journal_options_t options = options_for(disk);
    journal_recovery_t recovery;
    error_t err = {0};
    *w = (journal_world_t){.retain_bytes = retain_bytes};
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
static bool load_one(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(&((journal_world_start_t *)ctx)->loader, items, err);
}

static bool apply_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    return core_apply(((journal_world_start_t *)ctx)->core, record, err);
}

journal_t *journal_world_start(const journal_world_t *w, fault_disk_t *disk, journal_world_start_t *start, error_t *err)
{
    journal_options_t options = options_for(disk);
    journal_recovery_t recovery;
    start->core = core_new(&w->rig.config, err);
    assert_non_null(start->core);
    start->loader = (checkpoint_loader_t){.core = start->core};
    options.load = load_one;
    journal_t *journal = journal_open(&options, apply_one, start, &recovery, err);
    checkpoint_loader_end(&start->loader);
    return journal;
}

void journal_world_stop(journal_t **journal, journal_world_start_t *start)
{
    error_t err;
    if (*journal)
        assert_true(journal_close(journal, &err));
    core_free(&start->core);
}

/* -- judging it ---------------------------------------------------------------------------------------- */
uint64_t journal_world_digest(journal_world_t *w, uint64_t count, uint64_t **needed)
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

bool journal_world_has(const journal_world_t *w, journal_t *journal, uint64_t seq)
{
    bytes_t raw;
    error_t err = {0};
    return journal_read(journal, seq, &raw, &err) && bytes_eq(raw, w->records[seq - 1]);
}

uint64_t journal_world_lost(const journal_world_t *w, journal_t *journal)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < w->needed_count; i++)
        lost += !journal_world_has(w, journal, w->needed[i]);
    return lost;
}

bool journal_world_take(void *world, const record_t *record, bytes_t raw, error_t *err)
{
    const journal_world_t *w = world;
    (void)err;
    assert_true(record->seq <= w->count);
    assert_true(bytes_eq(raw, w->records[record->seq - 1]) ||
                (record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, REPAIR_LOST_EVENT)));
    return true;
}

bool journal_world_is_same(fault_disk_t *disk, const char *path, const image_t *image)
{
    uint64_t *bytes;
    const uint8_t *data = fault_disk_file(disk, path, &bytes);
    return data && *bytes == image->bytes && memcmp(data, image->data, image->bytes) == 0;
}

void journal_world_go_on(journal_world_t *w, journal_t *journal)
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

/* -- the world ------------------------------------------------------------------------------------------ */
void journal_world_open_with_unread(journal_world_t *w, uint64_t retain_bytes, int unread)
{
    write_folder(w, retain_bytes, unread);
    w->digest = journal_world_digest(w, w->count, &w->needed);
    assert_true(w->needed_count > 20);
}

void journal_world_open(journal_world_t *w, uint64_t retain_bytes)
{
    journal_world_open_with_unread(w, retain_bytes, 0);
}

void journal_world_close(journal_world_t *w)
{
    images_free(&w->images);
    free(w->needed);
    rig_close(&w->rig);
    free(w);
}

image_t *journal_world_image(journal_world_t *w, const char *part)
{
    for (size_t i = w->images.count; i-- > 0;)
        if (strstr(w->images.items[i].path, part))
            return &w->images.items[i];
    fail_msg("no file of kind %s", part);
    return NULL;
}
