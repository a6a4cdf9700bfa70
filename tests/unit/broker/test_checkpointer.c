/* test_checkpointer.c: a checkpoint in its thread beside a journal that is written, read and released. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker/checkpointer.h"
#include "broker/core/snapshot.h"
#include "kit/clock.h"

#define SEGMENT_BYTES ((uint64_t)8 << 20)
#define BODY_BYTES 30000

/* How far the wall clock is ahead of what timed waits are measured by: it was set back just after it was read. */
static atomic_long wall_ahead_s;

int clock_gettime(clockid_t id, struct timespec *out)
{
    long result = syscall(SYS_clock_gettime, id, out);
    if (result == 0 && id == CLOCK_REALTIME)
        out->tv_sec += wall_ahead_s;
    return (int)result;
}

typedef struct {
    char dir[64];
    core_config_t config;
    core_t *core;
    journal_t *journal;
    core_effects_t out;
    wire_msg_t *msg;
    int64_t now_us;
    uint64_t sent;
    error_t err;
} world_t;

static bool load(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(ctx, items, err);
}

static bool apply(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    return core_apply(((checkpoint_loader_t *)ctx)->core, record, err);
}

static void take_records(world_t *w)
{
    for (bytes_t left = buf_bytes(&w->out.records); left.len;) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        assert_true(record_peek(left, &length, &seq, &ingest_us));
        assert_true(journal_append(w->journal, bytes_from(left.data, length), &w->err));
        left = bytes_from(left.data + length, left.len - length);
    }
    core_effects_clear(&w->out);
}

static uint64_t come_up(world_t *w)
{
    journal_recovery_t recovery = {0};
    w->core = core_new(&w->config, &w->err);
    assert_non_null(w->core);
    checkpoint_loader_t loader = {.core = w->core};
    const journal_options_t options = {.dir = w->dir, .segment_bytes = SEGMENT_BYTES, .load = load};
    w->journal = journal_open(&options, apply, &loader, &recovery, &w->err);
    checkpoint_loader_end(&loader);
    if (!w->journal)
        fail_msg("%s", w->err.message);
    core_start(w->core, ++w->now_us, journal_next_seq(w->journal), &w->out);
    take_records(w);
    return recovery.snapshot;
}

static void go_down(world_t *w)
{
    assert_true(journal_close(&w->journal, &w->err));
    core_free(&w->core);
}

static void step(world_t *w, core_in_kind_t kind)
{
    static const char topology[] = "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"q\"}]}";
    const core_input_t input = {.kind = kind,
                                .peer = 1,
                                .role = role_all(),
                                .msg = w->msg,
                                .random = {1, 2},
                                .topology = {.json = bytes_cstr(topology), .sha256 = "1"}};
    core_step(w->core, ++w->now_us, &input, &w->out);
    take_records(w);
}

static void send_one(world_t *w)
{
    static uint8_t body[BODY_BYTES] = {0xc5, (BODY_BYTES - 3) >> 8, (BODY_BYTES - 3) & 0xff};
    w->msg->verb = WIRE_SEND;
    w->msg->send = (wire_send_t){.queue = BYTES_LIT("q"), .entries = {.count = 1}};
    w->msg->send.entries.items[0] = (wire_send_entry_t){.delay_ms = -1, .body = bytes_from(body, sizeof body)};
    step(w, CORE_IN_FRAME);
    w->sent++;
}

static void settle(world_t *w)
{
    assert_true(journal_commit(w->journal, &w->err));
    while (journal_synced(w->journal) + 1 < journal_next_seq(w->journal)) {
        struct pollfd fd = {.fd = journal_fd(w->journal), .events = POLLIN};
        (void)poll(&fd, 1, 1000);
        assert_true(journal_poll(w->journal, &w->err));
    }
}

static void send_mebibytes(world_t *w, uint64_t mebibytes)
{
    for (uint64_t bytes = 0; bytes < mebibytes << 20; bytes += BODY_BYTES) {
        send_one(w);
        if (w->sent % 16 == 0)
            settle(w);
    }
    settle(w);
}

static int open_world(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->msg = calloc(1, sizeof *w->msg);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/test-checkpointer-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->config = (core_config_t){.broker_name = "test", .version = "test"};
    w->now_us = INT64_C(1700000000000000);
    *state = w;
    assert_int_equal(come_up(w), 0);
    step(w, CORE_IN_TOPOLOGY);
    w->msg->verb = WIRE_HELLO;
    w->msg->hello = (wire_hello_t){.protocol = WIRE_PROTOCOL, .name = BYTES_LIT("tester-000001")};
    step(w, CORE_IN_FRAME);
    return 0;
}

static int close_world(void **state)
{
    world_t *w = *state;
    go_down(w);
    DIR *all = opendir(w->dir);
    for (const struct dirent *entry; all && (entry = readdir(all)) != NULL;) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", w->dir, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(all);
    (void)rmdir(w->dir);
    core_effects_free(&w->out);
    free(w->msg);
    free(w);
    return 0;
}

static void begin(world_t *w, checkpointer_t *checkpointer)
{
    const checkpoint_options_t options = {.core = w->config, .retain = {.since_us = INT64_MAX, .from_seq = UINT64_MAX}};
    checkpoint_t *checkpoint = checkpoint_begin(w->journal, &options, &w->err);
    assert_non_null(checkpoint);
    checkpointer_give(checkpointer, checkpoint);
    assert_true(checkpointer_is_busy(checkpointer));
}

/* Works on until it is over; the core that lives is not disturbed. */
static void work_until_over(world_t *w, checkpointer_t *checkpointer)
{
    checkpoint_t *over = NULL;
    bytes_t raw;
    while (!over) {
        send_one(w);
        settle(w);
        assert_true(journal_read(w->journal, 5 + w->sent / 2, &raw, &w->err));
        checkpoint_state_t state = checkpointer_poll(checkpointer, w->journal, &over);
        if (over && state != CHECKPOINT_DONE)
            fail_msg("%s", checkpoint_error(over)->message);
    }
    checkpoint_free(&over);
    assert_false(checkpointer_is_busy(checkpointer));
}

static void a_checkpoint_beside_live_work_is_what_the_next_start_begins_with(void **state)
{
    world_t *w = *state;
    checkpointer_t *checkpointer = checkpointer_new(&w->err);
    assert_non_null(checkpointer);
    for (int round = 0; round < 2; round++) {
        send_mebibytes(w, 20);
        begin(w, checkpointer);
        if (round)
            checkpointer_hurry(checkpointer);
        work_until_over(w, checkpointer);
    }
    checkpointer_free(&checkpointer);
    uint64_t first = journal_first_seq(w->journal), digest;
    core_step(w->core, ++w->now_us, &(core_input_t){.kind = CORE_IN_TIMER}, &w->out);
    digest = core_digest(w->core);
    go_down(w);
    assert_true(come_up(w) + 1 >= first && first > 1);
    core_step(w->core, w->now_us, &(core_input_t){.kind = CORE_IN_TIMER}, &w->out);
    assert_int_equal(core_digest(w->core), digest);
}

static void a_broker_that_stops_meanwhile_leaves_nothing_that_harms(void **state)
{
    world_t *w = *state;
    checkpointer_t *checkpointer = checkpointer_new(&w->err);
    assert_non_null(checkpointer);
    send_mebibytes(w, 20);
    begin(w, checkpointer);
    checkpointer_free(&checkpointer);
    go_down(w);
    (void)come_up(w); /* with the snapshot, if it came so far */
    core_stats_t stats;
    core_stats(w->core, &stats);
    assert_int_equal(stats.messages_visible, w->sent);
}

static void a_wall_clock_that_is_set_back_holds_nothing_up(void **state)
{
    world_t *w = *state;
    checkpoint_t *over = NULL;
    checkpointer_t *checkpointer = checkpointer_new(&w->err);
    assert_non_null(checkpointer);
    send_mebibytes(w, 20);
    wall_ahead_s = 3600;
    begin(w, checkpointer);
    for (int64_t limit_us = clock_mono_us() + 60 * 1000000; !over && clock_mono_us() < limit_us;) {
        struct pollfd fd = {.fd = checkpointer_fd(checkpointer), .events = POLLIN};
        (void)poll(&fd, 1, 60000);
        (void)checkpointer_poll(checkpointer, w->journal, &over);
    }
    wall_ahead_s = 0;
    assert_non_null(over);
    checkpoint_free(&over);
    checkpointer_free(&checkpointer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_checkpoint_beside_live_work_is_what_the_next_start_begins_with, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_wall_clock_that_is_set_back_holds_nothing_up, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_broker_that_stops_meanwhile_leaves_nothing_that_harms, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
