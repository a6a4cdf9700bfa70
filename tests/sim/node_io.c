/* node_io.c: the simulated disk as the broker sees it, with the mistakes that live there. */
#include <string.h>

#include "tests/sim/node_internal.h"

static int sync_no_dir(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return 0;
}

static int sync_and_say_good(void *ctx, int fd)
{
    node_t *node = ctx;
    (void)node->real_io->datasync(node->real_io->ctx, fd);
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_through(void *ctx, const char *path, int flags, uint32_t mode)
{
    node_t *node = ctx;
    int fd = node->real_io->open(node->real_io->ctx, path, flags, mode);
    if (ends_with(path, node->bug == BUG_RELEASE_EARLY ? "/snapshot.tmp" : "/archive.tmp"))
        node->unsynced_fd = fd;
    else if (fd == node->unsynced_fd)
        node->unsynced_fd = -1;
    return fd;
}

static int sync_but_that_one(void *ctx, int fd)
{
    const node_t *node = ctx;
    return fd == node->unsynced_fd ? 0 : node->real_io->datasync(node->real_io->ctx, fd);
}

/* The real table expects its own context: all go through. */
#define THROUGH(result, name, params, ...)                                                                             \
    static result name##_through params                                                                                \
    {                                                                                                                  \
        const journal_io_t *io = ((const node_t *)ctx)->real_io;                                                       \
        return io->name(io->ctx, __VA_ARGS__);                                                                         \
    }
THROUGH(int, close, (void *ctx, int fd), fd)
THROUGH(int64_t, pread, (void *ctx, int fd, void *out, uint64_t bytes, uint64_t at), fd, out, bytes, at)
THROUGH(int64_t, pwrite, (void *ctx, int fd, const void *data, uint64_t bytes, uint64_t at), fd, data, bytes, at)
THROUGH(int, truncate, (void *ctx, int fd, uint64_t bytes), fd, bytes)
THROUGH(int64_t, size, (void *ctx, int fd), fd)
THROUGH(int, rename, (void *ctx, const char *from, const char *to), from, to)
THROUGH(int, link, (void *ctx, const char *from, const char *to), from, to)
THROUGH(int, remove, (void *ctx, const char *path), path)
THROUGH(int, sync_dir, (void *ctx, const char *path), path)
THROUGH(int, make_dir, (void *ctx, const char *path, uint32_t mode), path, mode)
THROUGH(int, lock, (void *ctx, int fd), fd)
THROUGH(int, list_dir, (void *ctx, const char *path, int (*each)(void *each_ctx, const char *name), void *each_ctx),
        path, each, each_ctx)
THROUGH(int64_t, free_bytes, (void *ctx, const char *path), path)

static void io_with_other_sync(node_t *node, int (*datasync)(void *ctx, int fd))
{
    node->io = (journal_io_t){node,
                              open_through,
                              close_through,
                              pread_through,
                              pwrite_through,
                              datasync,
                              truncate_through,
                              size_through,
                              rename_through,
                              link_through,
                              remove_through,
                              sync_dir_through,
                              make_dir_through,
                              lock_through,
                              list_dir_through,
                              free_bytes_through};
}

void node_io_init(node_t *node)
{
    node->io = *node->real_io;
    node->unsynced_fd = -1;
    if (node->bug == BUG_SKIP_DIR_SYNC)
        node->io.sync_dir = sync_no_dir;
    if (node->bug == BUG_HIDE_SYNC_FAILURE)
        io_with_other_sync(node, sync_and_say_good);
    if (node->bug == BUG_RELEASE_EARLY || node->bug == BUG_ARCHIVE_LATE)
        io_with_other_sync(node, sync_but_that_one);
}
