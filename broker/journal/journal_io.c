/* journal_io.c: the real disk. */
#include "broker/journal/journal_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTOR_WAIT_MS 60000
#define DESCRIPTOR_LOOK_MS 10

static int or_errno(int result)
{
    return result < 0 ? -errno : result;
}

/* Connections can have all descriptors of the process for a while. That is no failure of the disk, and whoever does not
 * say who it is loses its connection after some seconds. */
static int open_patiently(const char *path, int flags, uint32_t mode)
{
    const struct timespec pause = {.tv_nsec = DESCRIPTOR_LOOK_MS * 1000000L};
    int fd = -1;
    for (int waited_ms = 0; waited_ms <= DESCRIPTOR_WAIT_MS; waited_ms += DESCRIPTOR_LOOK_MS) {
        fd = or_errno(open(path, flags | O_CLOEXEC, mode));
        if (fd != -EMFILE && fd != -ENFILE)
            break;
        (void)nanosleep(&pause, NULL);
    }
    return fd;
}

static int io_open(void *ctx, const char *path, int flags, uint32_t mode)
{
    (void)ctx;
    return open_patiently(path, flags, mode);
}

static int io_close(void *ctx, int fd)
{
    (void)ctx;
    return or_errno(close(fd));
}

static int64_t io_pread(void *ctx, int fd, void *out, uint64_t bytes, uint64_t offset)
{
    (void)ctx;
    ssize_t n;
    do
        n = pread(fd, out, bytes, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int64_t io_pwrite(void *ctx, int fd, const void *data, uint64_t bytes, uint64_t offset)
{
    (void)ctx;
    ssize_t n;
    do
        n = pwrite(fd, data, bytes, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* No second try, not even after EINTR: whether anything was lost cannot be known. */
static int io_datasync(void *ctx, int fd)
{
    (void)ctx;
    return or_errno(fdatasync(fd));
}

static int io_truncate(void *ctx, int fd, uint64_t bytes)
{
    (void)ctx;
    return or_errno(ftruncate(fd, (off_t)bytes));
}

static int64_t io_size(void *ctx, int fd)
{
    (void)ctx;
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

static int io_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return or_errno(rename(from, to));
}

static int io_link(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return or_errno(link(from, to));
}

static int io_remove(void *ctx, const char *path)
{
    (void)ctx;
    return or_errno(unlink(path));
}

static int io_sync_dir(void *ctx, const char *path)
{
    (void)ctx;
    int fd = open_patiently(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int result = or_errno(fsync(fd));
    (void)close(fd);
    return result;
}

static int io_make_dir(void *ctx, const char *path, uint32_t mode)
{
    (void)ctx;
    return or_errno(mkdir(path, mode));
}

static int io_lock(void *ctx, int fd)
{
    (void)ctx;
    return or_errno(flock(fd, LOCK_EX | LOCK_NB));
}

static int io_list_dir(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name), void *each_ctx)
{
    (void)ctx;
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = each(each_ctx, entry->d_name);
    }
    (void)closedir(dir);
    return result;
}

static int64_t io_free_bytes(void *ctx, const char *path)
{
    (void)ctx;
    struct statvfs fs;
    return statvfs(path, &fs) < 0 ? -errno : (int64_t)(fs.f_bavail * fs.f_frsize);
}

const journal_io_t *journal_io_posix(void)
{
    static const journal_io_t posix = {
        .open = io_open,
        .close = io_close,
        .pread = io_pread,
        .pwrite = io_pwrite,
        .datasync = io_datasync,
        .truncate = io_truncate,
        .size = io_size,
        .rename = io_rename,
        .link = io_link,
        .remove = io_remove,
        .sync_dir = io_sync_dir,
        .make_dir = io_make_dir,
        .lock = io_lock,
        .list_dir = io_list_dir,
        .free_bytes = io_free_bytes,
    };
    return &posix;
}
