/* bench_recovery.c: how long a broker's start takes with many queued messages, without a snapshot and with one; what a
 * snapshot costs; and what those who publish meanwhile notice of it, and of a purge of all messages.
 *
 *     bench_recovery [--messages N] [--dir FOLDER]
 *
 * Writes build/bench/recovery.json. Core and journal are the real ones, without ZeroMQ. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "broker/checkpointer.h"
#include "gen/version.h"
#include "kit/clock.h"

#define MESSAGES 1000000
#define MESSAGES_MIN 200000 /* fewer fill no segment */
#define BODY_BYTES 512
#define FRAME_ENTRIES 64
#define LIVE_ROUNDS 3000
#define LIVE_ENTRIES 8
#define LIVE_PAUSE_US 500

typedef struct {
    const char *dir;
    core_t *core;
    journal_t *journal;
    core_effects_t out;
    wire_msg_t *msg;
    core_config_t config;
    int64_t now_us;
    uint64_t synced;
} world_t;

static void must(bool good, const error_t *err)
{
    if (good)
        return;
    fprintf(stderr, "bench_recovery: %s\n", err->message);
    exit(1);
}

static double seconds_since(int64_t began_us)
{
    return (double)(clock_mono_us() - began_us) / 1e6;
}

static double resident_mib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* -- the broker without its sockets ---------------------------------------------------------------------- */
static bool load(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(ctx, items, err);
}

static bool apply(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    return core_apply(((checkpoint_loader_t *)ctx)->core, record, err);
}

static void take_effects(world_t *w)
{
    error_t err = {0};
    for (bytes_t left = buf_bytes(&w->out.records); left.len;) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        must(record_peek(left, &length, &seq, &ingest_us), &err);
        must(journal_append(w->journal, bytes_from(left.data, length), &err), &err);
        left = bytes_from(left.data + length, left.len - length);
    }
    core_effects_clear(&w->out);
}

/* On a machine that others use the processor's time says more than the clock on the wall. */
typedef struct {
    double wall_s, cpu_s;
} start_t;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until it could answer. */
static start_t come_up(world_t *w, journal_recovery_t *recovery)
{
    error_t err = {0};
    int64_t began_us = clock_mono_us();
    double began_cpu_s = cpu_seconds();
    w->core = core_new(&w->config, &err);
    must(w->core != NULL, &err);
    checkpoint_loader_t loader = {.core = w->core};
    const journal_options_t options = {.dir = w->dir, .load = load};
    w->journal = journal_open(&options, apply, &loader, recovery, &err);
    checkpoint_loader_end(&loader);
    must(w->journal != NULL, &err);
    w->now_us = clock_wall_us();
    core_start(w->core, w->now_us, journal_next_seq(w->journal), &w->out);
    take_effects(w);
    return (start_t){seconds_since(began_us), cpu_seconds() - began_cpu_s};
}

static void go_down(world_t *w)
{
    error_t err = {0};
    must(journal_close(&w->journal, &err), &err);
    core_free(&w->core);
}

static void step(world_t *w, const core_input_t *input)
{
    int64_t now_us = clock_wall_us();
    w->now_us = now_us > w->now_us ? now_us : w->now_us + 1;
    core_step(w->core, w->now_us, input, &w->out);
    take_effects(w);
}

static void settle(world_t *w)
{
    error_t err = {0};
    must(journal_commit(w->journal, &err), &err);
    while (journal_synced(w->journal) + 1 < journal_next_seq(w->journal)) {
        struct pollfd fd = {.fd = journal_fd(w->journal), .events = POLLIN};
        (void)poll(&fd, 1, 1000);
        must(journal_poll(w->journal, &err), &err);
    }
}

static void hello(world_t *w)
{
    static const char topology[] = "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"q\"}]}";
    step(w, &(core_input_t){.kind = CORE_IN_TOPOLOGY, .topology = {.json = bytes_cstr(topology), .sha256 = "1"}});
    w->msg->verb = WIRE_HELLO;
    w->msg->hello = (wire_hello_t){.protocol = WIRE_PROTOCOL, .name = BYTES_LIT("bench-000001")};
    step(w, &(core_input_t){.kind = CORE_IN_FRAME, .peer = 1, .role = role_all(), .msg = w->msg, .random = {1, 2}});
}

static void send_messages(world_t *w, uint32_t count)
{
    static uint8_t body[BODY_BYTES];
    wire_send_t *send = &w->msg->send;
    w->msg->verb = WIRE_SEND;
    *send = (wire_send_t){.queue = BYTES_LIT("q"), .entries = {.count = count}};
    body[0] = 0xc5; /* binary of 509 bytes */
    body[1] = 0x01;
    body[2] = 0xfd;
    for (uint32_t i = 0; i < count; i++)
        send->entries.items[i] = (wire_send_entry_t){.delay_ms = -1, .body = bytes_from(body, sizeof body)};
    step(w, &(core_input_t){.kind = CORE_IN_FRAME, .peer = 1, .role = role_all(), .msg = w->msg});
}

static void fill(world_t *w, uint64_t messages)
{
    error_t err = {0};
    hello(w);
    for (uint64_t sent = 0; sent < messages; sent += FRAME_ENTRIES) {
        send_messages(w, FRAME_ENTRIES);
        must(journal_poll(w->journal, &err), &err);
        must(journal_commit(w->journal, &err), &err);
        if (journal_next_seq(w->journal) - journal_synced(w->journal) > 65536)
            settle(w);
    }
    settle(w);
    core_stats_t stats;
    core_stats(w->core, &stats);
    if (stats.messages_visible < messages) {
        fprintf(stderr, "bench_recovery: %llu messages were taken\n", (unsigned long long)stats.messages_visible);
        exit(1);
    }
}

/* -- what is live meanwhile -------------------------------------------------------------------------------- */
static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct {
    double p50_us, p99_us, resident_mib, seconds;
    size_t rounds;
} live_t;

/* Publishes of a few messages, each waiting for its sync, until there were enough and the checkpointer is done. */
static live_t live(world_t *w, checkpointer_t *checkpointer)
{
    static double took_us[LIVE_ROUNDS * 100];
    live_t live = {0};
    int64_t began_us = clock_mono_us();
    while (live.rounds < LIVE_ROUNDS || (checkpointer && checkpointer_is_busy(checkpointer))) {
        checkpoint_t *over = NULL;
        int64_t at_us = clock_mono_us();
        send_messages(w, LIVE_ENTRIES);
        settle(w);
        if (live.rounds < ARRAY_LEN(took_us))
            took_us[live.rounds++] = (double)(clock_mono_us() - at_us);
        if (checkpointer && checkpointer_poll(checkpointer, w->journal, &over) != CHECKPOINT_WORKING)
            must(over && checkpoint_error(over)->code == STATUS_OK, checkpoint_error(over));
        if (over)
            live.seconds = seconds_since(began_us);
        checkpoint_free(&over);
        double now_mib = live.rounds % 64 ? 0 : resident_mib();
        live.resident_mib = now_mib > live.resident_mib ? now_mib : live.resident_mib;
        (void)usleep(LIVE_PAUSE_US);
        if (checkpointer && live.seconds > 0)
            break;
    }
    qsort(took_us, live.rounds, sizeof *took_us, by_time);
    live.p50_us = took_us[live.rounds / 2];
    live.p99_us = took_us[live.rounds * 99 / 100];
    return live;
}

static live_t live_beside_a_snapshot(world_t *w)
{
    error_t err = {0};
    checkpointer_t *checkpointer = checkpointer_new(&err);
    must(checkpointer != NULL, &err);
    const checkpoint_options_t options = {.core = w->config, .retain = {.since_us = INT64_MAX, .from_seq = UINT64_MAX}};
    checkpoint_t *checkpoint = checkpoint_begin(w->journal, &options, &err);
    must(checkpoint != NULL, &err);
    checkpointer_give(checkpointer, checkpoint);
    live_t result = live(w, checkpointer);
    checkpointer_free(&checkpointer);
    return result;
}

/* The messages of all the queue are freed meanwhile, a slice at a time. */
static live_t live_beside_a_purge(world_t *w)
{
    w->msg->verb = WIRE_QUEUE;
    w->msg->queue = (wire_queue_t){.op = BYTES_LIT("purge"), .name = BYTES_LIT("q")};
    step(w, &(core_input_t){.kind = CORE_IN_FRAME, .peer = 1, .role = role_all(), .msg = w->msg});
    return live(w, NULL);
}

/* -- the bench ---------------------------------------------------------------------------------------------- */
static void remove_folder(const char *dir)
{
    DIR *all = opendir(dir);
    for (const struct dirent *entry; all && (entry = readdir(all)) != NULL;) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(path);
    }
    if (all)
        (void)closedir(all);
    (void)rmdir(dir);
}

static uint64_t disk_mib(const world_t *w)
{
    journal_stats_t stats;
    journal_stats(w->journal, &stats);
    return stats.disk_bytes >> 20;
}

typedef struct {
    uint64_t messages, mib_log, mib_after;
    start_t empty, log, snapshot;
    double mib_live;
    live_t quiet, beside, quiet_again, purge;
} result_t;

static void write_json(const result_t *r, const char *machine)
{
    FILE *file = fopen("build/bench/recovery.json", "w");
    if (!file)
        return;
    fprintf(file,
            "{\"machine\": \"%s\", \"version\": \"%s\", \"messages\": %llu, \"body_bytes\": %d, \"empty_s\": %.4f, "
            "\"empty_cpu_s\": %.4f, \"log_s\": %.3f, \"log_cpu_s\": %.3f, \"snapshot_s\": %.3f, \"snapshot_cpu_s\": "
            "%.3f, \"log_mib\": %llu, \"after_mib\": %llu, \"checkpoint_s\": %.2f, "
            "\"live_p50_us\": %.0f, \"live_p99_us\": %.0f, \"beside_p50_us\": %.0f, \"beside_p99_us\": %.0f, "
            "\"purge_p50_us\": %.0f, \"purge_p99_us\": %.0f, \"rss_mib\": %.0f, \"rss_beside_mib\": %.0f}\n",
            machine, MANGABUS_VERSION, (unsigned long long)r->messages, BODY_BYTES, r->empty.wall_s, r->empty.cpu_s,
            r->log.wall_s, r->log.cpu_s, r->snapshot.wall_s, r->snapshot.cpu_s, (unsigned long long)r->mib_log,
            (unsigned long long)r->mib_after, r->beside.seconds, r->quiet.p50_us, r->quiet.p99_us, r->beside.p50_us,
            r->beside.p99_us, r->purge.p50_us, r->purge.p99_us, r->mib_live, r->beside.resident_mib);
    (void)fclose(file);
}

static void print(const result_t *r)
{
    printf("start, empty broker              %8.3f s, processor %.3f s\n", r->empty.wall_s, r->empty.cpu_s);
    printf("start, all from the log          %8.3f s, processor %.3f s (%llu messages, %llu MiB)\n", r->log.wall_s,
           r->log.cpu_s, (unsigned long long)r->messages, (unsigned long long)r->mib_log);
    printf("start, from a snapshot           %8.3f s, processor %.3f s (%llu MiB on disk)\n", r->snapshot.wall_s,
           r->snapshot.cpu_s, (unsigned long long)r->mib_after);
    printf("snapshot beside publishes        %8.3f s\n", r->beside.seconds);
    printf("publish of %d, alone              p50 %6.0f us   p99 %6.0f us\n", LIVE_ENTRIES, r->quiet.p50_us,
           r->quiet.p99_us);
    printf("publish of %d, beside a snapshot  p50 %6.0f us   p99 %6.0f us   (p99 x %.2f)\n", LIVE_ENTRIES,
           r->beside.p50_us, r->beside.p99_us, r->beside.p99_us / r->quiet.p99_us);
    printf("publish of %d, alone again        p50 %6.0f us   p99 %6.0f us\n", LIVE_ENTRIES, r->quiet_again.p50_us,
           r->quiet_again.p99_us);
    printf("publish of %d, beside a purge     p50 %6.0f us   p99 %6.0f us   (p99 x %.2f)\n", LIVE_ENTRIES,
           r->purge.p50_us, r->purge.p99_us, r->purge.p99_us / r->quiet_again.p99_us);
    printf("resident memory                  %8.0f MiB, %.0f MiB while the second core folds\n", r->mib_live,
           r->beside.resident_mib);
}

int main(int argc, char **argv)
{
    char dir[512];
    const char *where = "/var/tmp";
    result_t r = {.messages = MESSAGES};
    struct utsname name;
    journal_recovery_t recovery;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--messages") == 0)
            r.messages = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            where = argv[i + 1];
    }
    (void)snprintf(dir, sizeof dir, "%s/bench-recovery-XXXXXX", where);
    if (r.messages < MESSAGES_MIN)
        r.messages = MESSAGES_MIN;
    if (!mkdtemp(dir) || uname(&name) != 0)
        return 1;
    world_t w = {.dir = dir, .config = {.broker_name = "bench", .version = "bench"}, .msg = calloc(1, sizeof *w.msg)};
    if (!w.msg)
        return 1;
    char machine[256];
    (void)snprintf(machine, sizeof machine, "%ld cores, %s %s", sysconf(_SC_NPROCESSORS_ONLN), name.sysname,
                   name.release);
    printf("%s; mangabus %s; %d-byte messages\n", machine, MANGABUS_VERSION, BODY_BYTES);
    (void)come_up(&w, &recovery);
    go_down(&w);
    r.empty = come_up(&w, &recovery);
    fill(&w, r.messages);
    r.mib_log = disk_mib(&w);
    go_down(&w);
    r.log = come_up(&w, &recovery);
    hello(&w);
    r.mib_live = resident_mib();
    r.quiet = live(&w, NULL);
    r.beside = live_beside_a_snapshot(&w);
    r.mib_after = disk_mib(&w);
    go_down(&w);
    r.snapshot = come_up(&w, &recovery);
    core_stats_t stats;
    core_stats(w.core, &stats);
    must(recovery.snapshot > 0 && stats.messages_visible >= r.messages,
         &(error_t){.message = "the snapshot was not what it began with"});
    hello(&w);
    (void)live(&w, NULL); /* until the spares of the start are filled */
    r.quiet_again = live(&w, NULL);
    r.purge = live_beside_a_purge(&w);
    go_down(&w);
    remove_folder(dir);
    core_effects_free(&w.out);
    free(w.msg);
    print(&r);
    write_json(&r, machine);
    return 0;
}
