/* test_archive.c: archives filled by checkpoints on a disk that loses power: each event once, in order, found by time
 * and by id, and what does not hold is refused by file and offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "broker/checkpoint.h"
#include "broker/core/archive_def.h"
#include "broker/journal/history.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"
#include "tests/lib/fault_disk.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define FILE_BYTES 8192
#define GROWING_BYTES ((uint64_t)1 << 20) /* of a file that takes in what comes, again and again */
#define EVENTS 400
#define PHASES 6
#define DAY_US INT64_C(86400000000)

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"},{\"Name\":\"other\"}],\"Queues\":[{\"QueueName\":\"q\"}],\"Archives\":["
    "{\"ArchiveName\":\"all\",\"EventSourceArn\":\"b\"},"
    "{\"ArchiveName\":\"some\",\"EventSourceArn\":\"b\",\"EventPattern\":{\"detail-type\":[\"kind-1\"]}},"
    "{\"ArchiveName\":\"of-the-other\",\"EventSourceArn\":\"other\",\"RetentionDays\":30}]}";
static const char *const archives[] = {"all", "some", "of-the-other"};

typedef struct {
    rig_t rig;
    uint64_t count;
    fault_disk_t *disk;
    journal_t *journal;
    core_t *core;
    history_t *history;
    checkpoint_loader_t loader;
    checkpoint_t *checkpoint;
    uint64_t file_bytes, archived;
    error_t err;
} world_t;

/* -- what is written ----------------------------------------------------------------------------------- */
static void publish(rig_t *rig, const char *bus, const char *type, const char *replay_name, const char *to)
{
    buf_t envelope = {0};
    wire_publish_t *msg = calloc(1, sizeof *msg);
    assert_non_null(msg);
    rig_envelope(&envelope, type, rig->random++);
    *msg = (wire_publish_t){.bus = bytes_cstr(bus), .replay_name = bytes_cstr(replay_name), .to = bytes_cstr(to)};
    msg->entries.count = 1;
    msg->entries.items[0].body = buf_bytes(&envelope);
    rig_send(rig, 1, WIRE_PUBLISH, 7, msg);
    (void)rig_expect(rig, 1, WIRE_PUBLISHED);
    buf_free(&envelope);
    free(msg);
}

/* Events of two buses and three kinds, among them replayed ones and one for a queue alone. */
static void write_events(rig_t *rig)
{
    char type[16];
    rig_topology(rig, topology);
    rig_hello(rig, 1, "tester-000001", NULL);
    for (int i = 0; i < EVENTS; i++) {
        (void)snprintf(type, sizeof type, "kind-%d", i % 3);
        publish(rig, i % 4 ? "b" : "other", type, i % 7 ? "" : "again", i % 11 ? "" : "queue:q");
        rig_sleep(rig, 1000);
    }
}

static int open_world(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    assert_non_null(w);
    rig_open(&w->rig, NULL);
    write_events(&w->rig);
    w->count = w->rig.records;
    *state = w;
    return 0;
}

static bytes_t raw_record(const world_t *w, uint64_t seq)
{
    size_t at = w->rig.offsets[seq - 1], end = seq < w->count ? w->rig.offsets[seq] : w->rig.journal.len;
    return bytes_from(w->rig.journal.data + at, end - at);
}

/* -- a broker's files ---------------------------------------------------------------------------------- */
static bool load_one(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(&((world_t *)ctx)->loader, items, err);
}

static bool apply_one(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    return core_apply(((world_t *)ctx)->core, record, err);
}

static bool come_up(world_t *w)
{
    journal_recovery_t recovery;
    const journal_options_t options = {.dir = DIR,
                                       .io = fault_disk_io(w->disk),
                                       .segment_bytes = SEGMENT_BYTES,
                                       .no_thread = true,
                                       .load = load_one,
                                       .salt = 7};
    w->core = core_new(&w->rig.config, &w->err);
    assert_non_null(w->core);
    w->loader = (checkpoint_loader_t){.core = w->core};
    w->journal = journal_open(&options, apply_one, w, &recovery, &w->err);
    checkpoint_loader_end(&w->loader);
    w->history = w->journal ? history_new(w->journal) : NULL;
    return w->journal != NULL;
}

static void go_down(world_t *w)
{
    error_t err;
    checkpoint_free(&w->checkpoint);
    history_free(&w->history);
    if (w->journal)
        (void)!journal_close(&w->journal, &err);
    core_free(&w->core);
}

static int close_world(void **state)
{
    world_t *w = *state;
    go_down(w);
    if (w->disk)
        fault_disk_free(w->disk);
    rig_close(&w->rig);
    free(w);
    return 0;
}

static void new_disk(world_t *w, uint64_t seed)
{
    go_down(w);
    if (w->disk)
        fault_disk_free(w->disk);
    w->disk = fault_disk_new(seed);
    w->file_bytes = FILE_BYTES;
    w->archived = 0;
}

static bool append_until(world_t *w, uint64_t end)
{
    while (journal_next_seq(w->journal) <= end) {
        uint64_t seq = journal_next_seq(w->journal);
        if (!journal_append(w->journal, raw_record(w, seq), &w->err) ||
            (seq % 3 == 0 && !journal_commit(w->journal, &w->err)))
            return false;
    }
    return journal_commit(w->journal, &w->err);
}

/* False when it did not come to its end, and it is clear why. */
static bool take_checkpoint(world_t *w, int64_t now_us, uint64_t retain_bytes)
{
    const checkpoint_options_t options = {
        .core = w->rig.config,
        .retain = {.bytes = retain_bytes, .since_us = INT64_MAX, .from_seq = UINT64_MAX},
        .now_us = now_us,
        .archive_file_bytes = w->file_bytes};
    checkpoint_state_t state = CHECKPOINT_WORKING;
    distil_stats_t stats;
    w->checkpoint = checkpoint_begin(w->journal, &options, &w->err);
    if (!w->checkpoint)
        return w->err.code == STATUS_OK;
    while (state == CHECKPOINT_WORKING || state == CHECKPOINT_READY) {
        if (state == CHECKPOINT_READY && !checkpoint_adopt(w->checkpoint, w->journal, &w->err))
            return false;
        state = checkpoint_step(w->checkpoint, 5000);
    }
    history_changed(w->history);
    checkpoint_distilled(w->checkpoint, &stats);
    w->archived += state == CHECKPOINT_DONE ? stats.events : 0;
    w->err = *checkpoint_error(w->checkpoint);
    checkpoint_free(&w->checkpoint);
    return state == CHECKPOINT_DONE;
}

/* All of it, from where the files stand, with a checkpoint behind each phase. */
static bool live(world_t *w, uint64_t retain_bytes)
{
    if (!come_up(w))
        return false;
    uint64_t first = journal_next_seq(w->journal) > 1 ? 47 : 0; /* so that another life folds more than the last one */
    for (uint64_t phase = 1; phase <= PHASES; phase++)
        if (!append_until(w, phase < PHASES ? w->count * phase / PHASES + first : w->count) ||
            !take_checkpoint(w, w->rig.now_us, retain_bytes))
            return false;
    return true;
}

/* -- what must be there -------------------------------------------------------------------------------- */
static bool belongs(const record_t *record, const char *archive)
{
    const record_publish_t *event = &record->publish;
    bytes_t type;
    bool of_b = bytes_eq_cstr(event->bus, "b");
    if (record->kind != RECORD_PUBLISH || event->replay_name.len || event->to.len)
        return false;
    if (strcmp(archive, "of-the-other") == 0)
        return !of_b;
    assert_true(mp_map_str(event->body, "detail-type", &type));
    return of_b && (strcmp(archive, "all") == 0 || bytes_eq_cstr(type, "kind-1"));
}

typedef struct {
    world_t *w;
    const char *archive;
    uint64_t next; /* expected */
    uint64_t seen;
} reading_t;

static uint64_t next_belonging(world_t *w, const char *archive, uint64_t from)
{
    while (from <= w->count && !belongs(rig_record(&w->rig, from), archive))
        from++;
    return from;
}

static bool compare(void *ctx, const record_t *record)
{
    reading_t *r = ctx;
    if (!belongs(record, r->archive)) { /* the log has all of them */
        assert_true(record->seq >= journal_first_seq(r->w->journal));
        return true;
    }
    assert_int_equal(record->seq, r->next);
    const record_t *wanted = rig_record(&r->w->rig, record->seq);
    assert_int_equal(record->ingest_us, wanted->ingest_us);
    assert_true(bytes_eq(record->publish.body, wanted->publish.body));
    assert_true(bytes_eq(record->publish.bus, wanted->publish.bus));
    r->next = next_belonging(r->w, r->archive, record->seq + 1);
    r->seen++;
    return true;
}

static uint64_t read_from(world_t *w, const char *archive, uint64_t from)
{
    const history_source_t source = {.archive = bytes_cstr(archive)};
    reading_t r = {.w = w, .archive = archive, .next = next_belonging(w, archive, from)};
    for (uint64_t next = from; next < journal_next_seq(w->journal);)
        if (!history_read(w->history, &source, next, 3000, compare, &r, &next, &w->err))
            fail_msg("%s: %s", archive, w->err.message);
    assert_int_equal(r.next, w->count + 1);
    return r.seen;
}

static bool is_whole(const folder_t *folder, const char *name, error_t *err)
{
    archive_t *archive = archive_open(folder, name, NULL, err);
    bool whole = archive && archive_verify(archive, err);
    archive_close(&archive);
    return whole;
}

static void assert_whole(world_t *w, const char *archive)
{
    folder_t folder;
    archive_list_t list;
    char name[FILE_NAME_BYTES];
    assert_true(archive_folder(&folder, journal_folder(w->journal), bytes_cstr(archive), &w->err));
    assert_true(archive_list(&list, &folder, &w->err));
    for (size_t i = 0; i < list.count; i++) {
        archive_file_name(list.files[i].from, list.files[i].through, name);
        if (!is_whole(&folder, name, &w->err))
            fail_msg("%s", w->err.message);
    }
    archive_list_free(&list);
}

static void assert_all_there(world_t *w)
{
    for (size_t i = 0; i < ARRAY_LEN(archives); i++) {
        assert_whole(w, archives[i]);
        (void)read_from(w, archives[i], 1);
    }
}

/* -- tests --------------------------------------------------------------------------------------------- */
static void files_and_then_the_log_hold_each_event_once(void **state)
{
    world_t *w = *state;
    for (uint64_t retain = 0; retain <= 3; retain++) {
        new_disk(w, 1);
        w->file_bytes = retain % 2 ? FILE_BYTES : GROWING_BYTES;
        if (!live(w, retain * SEGMENT_BYTES))
            fail_msg("%s", w->err.message);
        assert_true(journal_first_seq(w->journal) > 1); /* only files have the first ones */
        assert_true(w->archived > EVENTS / 2);
        assert_all_there(w);
        assert_true(read_from(w, "all", w->count / 2) > 50);
    }
}

static void power_may_go_at_any_step(void **state)
{
    world_t *w = *state;
    uint64_t crashes = 0;
    for (uint64_t at = 0;; at++) {
        new_disk(w, at + 1);
        w->file_bytes = at % 3 ? FILE_BYTES : GROWING_BYTES;
        fault_disk_arm(w->disk, FAULT_DEAD, at, EIO);
        bool whole = live(w, SEGMENT_BYTES);
        bool struck = fault_disk_struck(w->disk);
        go_down(w);
        fault_disk_disarm(w->disk);
        if (whole && !struck)
            break;
        assert_true(struck);
        fault_disk_cut_power(w->disk, at % 2);
        if (!live(w, SEGMENT_BYTES))
            fail_msg("crash at %lu: %s", at, w->err.message);
        assert_all_there(w);
        crashes++;
    }
    assert_true(crashes > 200);
}

/* The disk says no once: the broker stops, or a full disk ends the checkpoint alone. */
static void a_disk_that_is_full_ends_the_checkpoint_and_nothing_else(void **state)
{
    world_t *w = *state;
    uint64_t given_up = 0;
    for (uint64_t at = 0; at < 400; at += 3) {
        new_disk(w, at + 1);
        fault_disk_arm(w->disk, FAULT_ONCE, at, ENOSPC);
        bool whole = live(w, 0);
        given_up += !whole && w->journal != NULL && w->err.code == STATUS_RESOURCE_EXHAUSTED;
        go_down(w);
        fault_disk_disarm(w->disk);
        if (!live(w, 0))
            fail_msg("full at %lu: %s", at, w->err.message);
        assert_all_there(w);
    }
    assert_true(given_up > 10);
}

static void what_has_had_its_time_goes(void **state)
{
    world_t *w = *state;
    new_disk(w, 1);
    assert_true(live(w, 0));
    uint64_t all = read_from(w, "of-the-other", 1), removed;
    go_down(w);
    assert_true(come_up(w)); /* a core that knows the topology */
    const folder_t *folder = journal_folder(w->journal);
    assert_true(distil_expire(folder, w->core, w->rig.now_us + 29 * DAY_US, &removed, &w->err));
    assert_int_equal(removed, 0);
    assert_true(distil_expire(folder, w->core, w->rig.now_us + 31 * DAY_US, &removed, &w->err));
    assert_true(removed > 0);
    folder_t archive;
    archive_list_t list;
    assert_true(archive_folder(&archive, folder, BYTES_LIT("of-the-other"), &w->err));
    assert_true(archive_list(&list, &archive, &w->err));
    assert_int_equal(list.count, 0);
    archive_list_free(&list);
    history_changed(w->history);
    assert_true(all > 50);
    assert_true(read_from(w, "all", 1) > 100); /* that one is kept for ever */
}

static void the_oldest_go_when_an_archive_is_too_large(void **state)
{
    world_t *w = *state;
    folder_t folder;
    archive_list_t list, after;
    uint64_t removed;
    const archive_retention_t retention = {.cutoff_us = INT64_MIN, .max_bytes = 3 * FILE_BYTES};
    new_disk(w, 1);
    assert_true(live(w, 0));
    assert_true(archive_folder(&folder, journal_folder(w->journal), BYTES_LIT("all"), &w->err));
    assert_true(archive_list(&list, &folder, &w->err));
    assert_true(list.count > 4);
    assert_true(archive_expire(&list, &folder, &retention, &removed, &w->err));
    assert_true(removed >= list.count - 4 && removed < list.count);
    assert_true(archive_list(&after, &folder, &w->err));
    assert_int_equal(after.count, list.count - removed);
    assert_int_equal(after.files[0].from, list.files[removed].from);
    archive_list_free(&list);
    archive_list_free(&after);
}

typedef struct {
    uint64_t seq;
    int64_t ingest_us;
} first_t;

static bool take_first(void *ctx, const record_t *record)
{
    first_t *first = ctx;
    if (!first->seq)
        *first = (first_t){record->seq, record->ingest_us};
    return false;
}

static void a_moment_and_an_event_id_are_found(void **state)
{
    world_t *w = *state;
    new_disk(w, 1);
    assert_true(live(w, 0));
    for (uint64_t seq = next_belonging(w, "all", 1); seq <= w->count; seq = next_belonging(w, "all", seq + 1)) {
        const record_t *record = rig_record(&w->rig, seq);
        bytes_t id;
        assert_true(mp_map_str(record->publish.body, "id", &id));
        const history_source_t source = {.archive = BYTES_LIT("all"), .ids = &id, .id_count = 1};
        const history_source_t any = {.archive = BYTES_LIT("all")};
        int64_t us = record->ingest_us;
        uint64_t next = 0, from;
        first_t first = {0};
        assert_true(history_find_time(w->history, &any, us, &from, &w->err));
        assert_true(from <= seq);
        while (!first.seq || first.ingest_us < us) {
            first = (first_t){0};
            assert_true(history_read(w->history, &any, from, 1, take_first, &first, &next, &w->err));
            from = (first.seq ? first.seq : next - 1) + 1;
        }
        assert_true(first.seq <= seq);
        if (seq >= journal_first_seq(w->journal))
            break;
        first = (first_t){0};
        for (next = 1; !first.seq && next < journal_first_seq(w->journal);)
            assert_true(history_read(w->history, &source, next, 1000, take_first, &first, &next, &w->err));
        assert_int_equal(first.seq, seq);
    }
}

static void first_file(world_t *w, const char *archive, folder_t *folder, char name[FILE_NAME_BYTES])
{
    archive_list_t list;
    assert_true(archive_folder(folder, journal_folder(w->journal), bytes_cstr(archive), &w->err));
    assert_true(archive_list(&list, folder, &w->err) && list.count > 0);
    archive_file_name(list.files[0].from, list.files[0].through, name);
    archive_list_free(&list);
}

static void any_byte_that_changes_is_noticed_by_file_and_offset(void **state)
{
    world_t *w = *state;
    folder_t folder;
    char name[FILE_NAME_BYTES], path[FILE_PATH_BYTES];
    uint64_t *bytes;
    new_disk(w, 1);
    assert_true(live(w, 0));
    first_file(w, "some", &folder, name);
    folder_file(&folder, name, path);
    assert_true(is_whole(&folder, name, &w->err));
    uint8_t *data = fault_disk_file(w->disk, path, &bytes);
    for (uint64_t i = 0; i < *bytes; i++) {
        data[i] ^= (uint8_t)(1u << (i % 8));
        assert_false(is_whole(&folder, name, &w->err));
        assert_true(w->err.code == STATUS_DATA_LOSS || i < 12); /* a newer format's */
        assert_non_null(strstr(w->err.message, name));
        data[i] ^= (uint8_t)(1u << (i % 8));
    }
    for (uint64_t cut = 1, whole = *bytes; cut < whole; cut += 97) {
        *bytes = whole - cut;
        assert_false(is_whole(&folder, name, &w->err));
        *bytes = whole;
    }
    assert_true(is_whole(&folder, name, &w->err));
}

/* Its newest file does not hold: what comes goes into another one, and the broker starts. */
static void a_damaged_file_stays_and_the_archive_goes_on(void **state)
{
    world_t *w = *state;
    folder_t folder;
    archive_list_t list;
    char name[FILE_NAME_BYTES], path[FILE_PATH_BYTES];
    uint64_t *bytes;
    new_disk(w, 1);
    assert_true(come_up(w) && append_until(w, w->count / 2) && take_checkpoint(w, w->rig.now_us, 0));
    first_file(w, "some", &folder, name);
    folder_file(&folder, name, path);
    uint8_t *data = fault_disk_file(w->disk, path, &bytes);
    data[ARCHIVE_HEADER_BYTES + 40] ^= 1;
    go_down(w);
    assert_true(live(w, 0));
    assert_non_null(fault_disk_file(w->disk, path, &bytes));
    assert_true(archive_list(&list, &folder, &w->err));
    assert_true(list.count > 1);
    (void)read_from(w, "some", list.files[0].through + 1);
    archive_list_free(&list);
    const history_source_t source = {.archive = BYTES_LIT("some")};
    first_t first = {0};
    uint64_t next;
    assert_false(history_read(w->history, &source, 1, 1000, take_first, &first, &next, &w->err));
    assert_string_equal(w->err.aws, "ARCHIVE_CORRUPT");
    assert_non_null(strstr(w->err.message, name));
}

static void an_archive_is_refused_by_name_pattern_or_retention(void **state)
{
    static const struct {
        const char *entry, *why;
    } cases[] = {
        {"{\"ArchiveName\":\"../x\",\"EventSourceArn\":\"b\"}", "ArchiveName must have"},
        {"{\"ArchiveName\":\"a\",\"EventSourceArn\":\"b\",\"EventPattern\":{\"source\":\"x\"}}", "EventPattern"},
        {"{\"ArchiveName\":\"a\",\"EventSourceArn\":\"b\",\"RetentionBytes\":10}", "RetentionBytes must be"},
        {"{\"ArchiveName\":\"a\",\"EventSourceArn\":\"b\",\"RetentionDays\":9999999999}", "RetentionDays must be"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rig_t rig;
        char json[512];
        archive_def_t def;
        rig_open(&rig, NULL);
        (void)snprintf(json, sizeof json, "{\"Buses\":[{\"Name\":\"b\"}],\"Archives\":[%s]}", cases[i].entry);
        const core_input_t input = {.kind = CORE_IN_TOPOLOGY, .topology = {.json = bytes_cstr(json), .sha256 = "1"}};
        core_step(rig.core, rig.now_us, &input, &rig.out);
        assert_false(archive_def_at(rig.core, 0, &def));
        assert_non_null(memmem(rig.out.bytes.data, rig.out.bytes.len, cases[i].why, strlen(cases[i].why)));
        core_effects_clear(&rig.out);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_and_then_the_log_hold_each_event_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(power_may_go_at_any_step, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_ends_the_checkpoint_and_nothing_else, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_has_had_its_time_goes, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_an_archive_is_too_large, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_moment_and_an_event_id_are_found, open_world, close_world),
        cmocka_unit_test_setup_teardown(any_byte_that_changes_is_noticed_by_file_and_offset, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_damaged_file_stays_and_the_archive_goes_on, open_world, close_world),
        cmocka_unit_test(an_archive_is_refused_by_name_pattern_or_retention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
