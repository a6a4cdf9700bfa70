/* failing_disk.c: a shim for LD_PRELOAD: one call to the disk fails with EIO, the FAIL_AT-th (from 0) of FAIL_CALL
 * (fdatasync, fsync or pwrite) on a regular file or folder, counted from when the file FAIL_WHEN exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;

static int is_disk(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

static int fails(const char *call, int fd)
{
    const char *wanted = getenv("FAIL_CALL"), *when = getenv("FAIL_WHEN"), *at = getenv("FAIL_AT");
    if (!wanted || !at || strcmp(call, wanted) != 0 || !is_disk(fd) || (when && access(when, F_OK) != 0))
        return 0;
    if (atomic_fetch_add(&calls, 1) != atol(at))
        return 0;
    errno = EIO;
    return 1;
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails("fdatasync", fd) ? -1 : real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", fd) ? -1 : real(fd);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) =
        (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return fails("pwrite", fd) ? -1 : real(fd, data, bytes, at);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("pwrite", fd) ? -1 : real(fd, data, bytes, at);
}
