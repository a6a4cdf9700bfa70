/* disk_probe.c: a file in the folder, without a name, written as the journal writes. */
#include "tools/mangactl/disk_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "kit/clock.h"

#define PATH_BYTES 4096
#define FILE_BYTES ((off_t)16 << 20) /* filled before, as segments are: then a sync moves data alone */
#define WRITE_BYTES (1u << 20)
#define SYNCS_MAX 2000
#define PHASE_NS INT64_C(700000000)

typedef struct {
    int64_t magic;
    const char *name;
    enum { DISK_LOCAL, DISK_MEMORY, DISK_NETWORK, DISK_OVERLAY } is;
} filesystem_t;

/* linux/magic.h and the sources of those that are not in it */
static const filesystem_t FILESYSTEMS[] = {
    {0xEF53, "ext4", DISK_LOCAL},       {0x58465342, "xfs", DISK_LOCAL},      {0x9123683E, "btrfs", DISK_LOCAL},
    {0x2FC12FC1, "zfs", DISK_LOCAL},    {0xF2F52010, "f2fs", DISK_LOCAL},     {0xCA451A4E, "bcachefs", DISK_LOCAL},
    {0x01021994, "tmpfs", DISK_MEMORY}, {0x858458F6, "ramfs", DISK_MEMORY},   {0x794C7630, "overlay", DISK_OVERLAY},
    {0x6969, "nfs", DISK_NETWORK},      {0xFF534D42, "cifs", DISK_NETWORK},   {0xFE534D42, "smb", DISK_NETWORK},
    {0x01021997, "9p", DISK_NETWORK},   {0x65735546, "fuse", DISK_NETWORK},   {0x00C36400, "ceph", DISK_NETWORK},
    {0x6B414653, "afs", DISK_NETWORK},  {0x786F4256, "vboxsf", DISK_NETWORK},
};

static bool failed(error_t *err, const char *dir, const char *what)
{
    return error_set(err, STATUS_INTERNAL, NULL, "%s: cannot %s: %s", dir, what, strerrordesc_np(errno));
}

static bool look_at_filesystem(const char *dir, disk_probe_t *out, error_t *err)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return failed(err, dir, "look at it");
    out->filesystem = "unknown";
    for (size_t i = 0; i < ARRAY_LEN(FILESYSTEMS); i++) {
        const filesystem_t *row = &FILESYSTEMS[i];
        if ((uint32_t)row->magic != (uint32_t)fs.f_type)
            continue;
        out->filesystem = row->name;
        out->is_memory = row->is == DISK_MEMORY;
        out->is_network = row->is == DISK_NETWORK;
        out->is_overlay = row->is == DISK_OVERLAY;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void sum_up(double *took_us, int count, disk_syncs_t *out)
{
    double total_us = 0;
    for (int i = 0; i < count; i++)
        total_us += took_us[i];
    qsort(took_us, (size_t)count, sizeof took_us[0], compare);
    *out = (disk_syncs_t){.p50_us = took_us[count / 2],
                          .p99_us = took_us[count * 99 / 100],
                          .per_s = (double)count * 1e6 / (total_us > 1 ? total_us : 1),
                          .count = count};
}

/* Batches of that size, each synced, one behind the other and round again. */
static bool measure_syncs(int fd, const uint8_t *data, size_t bytes, disk_syncs_t *out)
{
    double *took_us = malloc(SYNCS_MAX * sizeof *took_us);
    int64_t begun_ns = clock_mono_ns(), now_ns = begun_ns;
    int count = 0;
    off_t at = 0;
    bool good = took_us != NULL;
    for (; good && count < SYNCS_MAX && (count == 0 || now_ns - begun_ns < PHASE_NS); count++) {
        int64_t from_ns = now_ns;
        good = pwrite(fd, data, bytes, at) == (ssize_t)bytes && fdatasync(fd) == 0;
        now_ns = clock_mono_ns();
        took_us[count] = (double)(now_ns - from_ns) / 1e3;
        at = at + 2 * (off_t)bytes > FILE_BYTES ? 0 : at + (off_t)bytes;
    }
    if (good)
        sum_up(took_us, count, out);
    free(took_us);
    return good;
}

/* The first round fills the file; what is measured is written over it, as a segment is. */
static bool measure_writing(int fd, const uint8_t *data, double *bytes_per_s)
{
    int64_t begun_ns = 0, now_ns = 0;
    double bytes = 0;
    for (int round = 0; round == 0 || now_ns - begun_ns < PHASE_NS; round++) {
        for (off_t at = 0; at < FILE_BYTES; at += WRITE_BYTES)
            if (pwrite(fd, data, WRITE_BYTES, at) != (ssize_t)WRITE_BYTES)
                return false;
        if (fdatasync(fd) != 0)
            return false;
        now_ns = clock_mono_ns();
        begun_ns = round == 0 ? now_ns : begun_ns;
        bytes += round == 0 ? 0 : (double)FILE_BYTES;
    }
    *bytes_per_s = bytes * 1e9 / (double)(now_ns - begun_ns);
    return true;
}

/* Nothing compresses, and nothing is found to be there already. */
static void fill(uint8_t *data, size_t bytes)
{
    clock_random(data, bytes);
}

static bool measure(int fd, disk_probe_t *out)
{
    uint8_t *data = malloc(WRITE_BYTES);
    if (!data)
        return false;
    fill(data, WRITE_BYTES);
    bool good = measure_writing(fd, data, &out->write_bytes_per_s) &&
                measure_syncs(fd, data, DISK_RECORD_BYTES, &out->record) &&
                measure_syncs(fd, data, DISK_BATCH_BYTES, &out->batch);
    free(data);
    return good;
}

bool disk_probe(const char *dir, disk_probe_t *out, error_t *err)
{
    char path[PATH_BYTES];
    *out = (disk_probe_t){0};
    if (!look_at_filesystem(dir, out, err))
        return false;
    if (snprintf(path, sizeof path, "%s/doctor.XXXXXX", dir) >= (int)sizeof path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is too long a path", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return failed(err, dir, "make a file");
    (void)unlink(path);
    bool good = measure(fd, out) || failed(err, dir, "write and sync");
    (void)close(fd);
    return good;
}

double disk_publishes_per_s(const disk_probe_t *probe, double outstanding)
{
    double bytes = DISK_RECORD_BYTES + (outstanding - 1) * DISK_RECORD_IN_BATCH_BYTES;
    double part = bytes / DISK_BATCH_BYTES < 1 ? bytes / DISK_BATCH_BYTES : 1;
    double more = bytes > DISK_BATCH_BYTES ? bytes - DISK_BATCH_BYTES : 0;
    double larger_us = probe->batch.p50_us > probe->record.p50_us ? probe->batch.p50_us - probe->record.p50_us : 0;
    double took_us = probe->record.p50_us + part * larger_us + more * 1e6 / probe->write_bytes_per_s;
    return outstanding * 1e6 / (took_us > 1 ? took_us : 1);
}
