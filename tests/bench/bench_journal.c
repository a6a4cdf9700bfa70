/* How many 512-byte records a second become durable, at several numbers outstanding, beside a bare program
 * that writes as many bytes and syncs: bench_journal [FOLDER]. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "broker/journal/journal_checkpoint.h"

#define RECORD_BYTES 512
#define SECONDS 1.0
#define FLOOR_FILE_BYTES ((off_t)64 << 20)

typedef struct {
    buf_t raw;
    uint8_t body[RECORD_BYTES];
} maker_t;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool good, const error_t *err)
{
    if (good)
        return;
    (void)fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static uint64_t unsynced(const journal_t *journal)
{
    return journal_next_seq(journal) - 1 - journal_synced(journal);
}

static void append(journal_t *journal, maker_t *maker, uint64_t count)
{
    error_t err;
    size_t overhead = RECORD_HEADER_BYTES + 20;
    record_send_t send = {.queue = 1, .body = bytes_from(maker->body, RECORD_BYTES - overhead)};
    for (uint64_t i = 0; i < count; i++) {
        buf_clear(&maker->raw);
        record_encode(&maker->raw, journal_next_seq(journal), 1, RECORD_SEND, &send);
        must(journal_append(journal, buf_bytes(&maker->raw), &err), &err);
    }
}

/* So many are always outstanding: what was synced is replaced at once. */
static double journal_rate(journal_t *journal, maker_t *maker, uint64_t outstanding, double *per_sync)
{
    error_t err;
    journal_stats_t before, after;
    uint64_t first = journal_synced(journal);
    double begun = now_s(), end = begun + SECONDS;
    journal_stats(journal, &before);
    append(journal, maker, outstanding - unsynced(journal));
    while (now_s() < end) {
        must(journal_commit(journal, &err), &err);
        struct pollfd fd = {.fd = journal_fd(journal), .events = POLLIN};
        if (unsynced(journal) == outstanding && poll(&fd, 1, 1000) > 0)
            must(journal_poll(journal, &err), &err);
        append(journal, maker, outstanding - unsynced(journal));
    }
    journal_stats(journal, &after);
    uint64_t done = journal_synced(journal) - first;
    *per_sync = (double)done / (double)(after.syncs - before.syncs);
    return (double)done / (now_s() - begun);
}

static double floor_rate(int fd, uint64_t outstanding)
{
    static uint8_t data[RECORD_BYTES * 4096];
    double begun = now_s(), end = begun + SECONDS / 2;
    off_t at = 0;
    uint64_t done = 0;
    size_t bytes = RECORD_BYTES * outstanding;
    while (now_s() < end) {
        if (pwrite(fd, data, bytes, at) != (ssize_t)bytes || fdatasync(fd) != 0)
            exit(1);
        at = (at + (off_t)bytes) % (FLOOR_FILE_BYTES - (off_t)sizeof data);
        done += outstanding;
    }
    return (double)done / (now_s() - begun);
}

static int floor_file(const char *dir)
{
    static uint8_t zeros[1 << 20];
    char path[512];
    (void)snprintf(path, sizeof path, "%s/floor", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)unlink(path);
    for (off_t at = 0; at < FLOOR_FILE_BYTES; at += (off_t)sizeof zeros)
        if (fd < 0 || pwrite(fd, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros)
            exit(1);
    return fd < 0 || fdatasync(fd) != 0 ? (exit(1), -1) : fd;
}

static int remove_one(void *ctx, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    return unlink(path);
}

static bool load_nothing(void *ctx, bytes_t items, error_t *err)
{
    (void)ctx;
    (void)items;
    (void)err;
    return true;
}

static bool fold_nothing(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)ctx;
    (void)record;
    (void)raw;
    (void)err;
    return true;
}

/* Nobody needs what was written: segments become spares again. */
static void give_back(journal_t *journal)
{
    error_t err;
    bool done = false;
    const journal_retain_t nothing = {.since_us = INT64_MAX, .from_seq = UINT64_MAX};
    journal_checkpoint_t *checkpoint = journal_checkpoint_begin(journal, &nothing, &err);
    if (!checkpoint)
        return;
    must(journal_checkpoint_load(checkpoint, load_nothing, NULL, SIZE_MAX, &done, &err), &err);
    must(journal_checkpoint_fold(checkpoint, fold_nothing, NULL, SIZE_MAX, &done, &err), &err);
    must(journal_checkpoint_need(checkpoint, NULL, 0, &err), &err);
    must(journal_checkpoint_copy(checkpoint, SIZE_MAX, &done, &err), &err);
    must(journal_checkpoint_write(checkpoint, BYTES_LIT("-"), &err), &err);
    must(journal_checkpoint_publish(checkpoint, &err) && journal_checkpoint_adopt(journal, checkpoint, &err), &err);
    for (done = false; !done;)
        must(journal_checkpoint_release(checkpoint, &done, &err), &err);
    journal_checkpoint_free(&checkpoint);
}

int main(int argc, char **argv)
{
    static const uint64_t outstanding[] = {1, 8, 32, 128, 512, 4096};
    char dir[256];
    maker_t maker = {0};
    error_t err;
    (void)snprintf(dir, sizeof dir, "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (!mkdtemp(dir))
        return 1;
    journal_options_t options = {.dir = dir};
    journal_t *journal = journal_open(&options, NULL, NULL, NULL, &err);
    must(journal != NULL, &err);
    int fd = floor_file(dir);
    printf("%12s %14s %14s %14s\n", "outstanding", "records/s", "records/sync", "floor");
    for (size_t i = 0; i < ARRAY_LEN(outstanding); i++) {
        double per_sync, rate = journal_rate(journal, &maker, outstanding[i], &per_sync);
        printf("%12llu %14.0f %14.1f %14.0f\n", (unsigned long long)outstanding[i], rate, per_sync,
               floor_rate(fd, outstanding[i]));
        give_back(journal);
    }
    must(journal_close(&journal, &err), &err);
    (void)close(fd);
    buf_free(&maker.raw);
    (void)journal_io_posix()->list_dir(NULL, dir, remove_one, dir);
    return rmdir(dir);
}
