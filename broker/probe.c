/* probe.c: a handful of fdatasyncs on a file of the journal's file system. */
#include "broker/probe.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/clock.h"

#define SYNCS 32
#define BLOCK_BYTES 4096
#define PATH_BYTES 1024

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool one_sync(int fd, int64_t *ns)
{
    static const char block[BLOCK_BYTES];
    int64_t begin = clock_mono_ns();
    if (pwrite(fd, block, sizeof block, 0) != (ssize_t)sizeof block || fdatasync(fd) != 0)
        return false;
    *ns = clock_mono_ns() - begin;
    return true;
}

static int64_t median_sync_ns(int fd)
{
    int64_t times[SYNCS], begin = clock_mono_ns();
    size_t count = 0;
    while (count < SYNCS && clock_mono_ns() - begin < PROBE_MAX_MS * INT64_C(1000000) && one_sync(fd, &times[count]))
        count++;
    if (count == 0)
        return 0;
    qsort(times, count, sizeof times[0], by_time);
    return times[count / 2];
}

int64_t probe_sync_ns(const char *dir)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof path, "%s/.probe-XXXXXX", dir);
    int fd = len > 0 && len < PATH_BYTES ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    (void)unlink(path);
    int64_t ns = median_sync_ns(fd);
    (void)close(fd);
    return ns;
}
