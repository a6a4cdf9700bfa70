/* journal_io.h: the few disk operations the journal needs, as a table, so that the simulator can be the disk.
 *
 * Every function returns 0 (or a count, or a descriptor) on success and a negative errno on failure. Reads
 * and writes may be short. The table's functions may block. Writing, syncing and preparing segments happen in
 * the journal's writer thread, beside calls of its owner: with journal_options_t.no_thread all calls come from
 * the owner, otherwise the functions must bear two threads at once. */
#ifndef BROKER_JOURNAL_JOURNAL_IO_H
#define BROKER_JOURNAL_JOURNAL_IO_H

#include <stdint.h>

typedef struct journal_io {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags, uint32_t mode); /* open(2) flags; a descriptor */
    int (*close)(void *ctx, int fd);
    int64_t (*pread)(void *ctx, int fd, void *out, uint64_t bytes, uint64_t offset);
    int64_t (*pwrite)(void *ctx, int fd, const void *data, uint64_t bytes, uint64_t offset);
    int (*datasync)(void *ctx, int fd);
    int (*truncate)(void *ctx, int fd, uint64_t bytes);
    int64_t (*size)(void *ctx, int fd);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*link)(void *ctx, const char *from, const char *to); /* a second name; -EEXIST when `to` is taken */
    int (*remove)(void *ctx, const char *path);
    int (*sync_dir)(void *ctx, const char *path);
    int (*make_dir)(void *ctx, const char *path, uint32_t mode);
    int (*lock)(void *ctx, int fd); /* exclusive, not waiting: -EWOULDBLOCK when another holds it */
    /* Calls `each` with the name of every entry but . and ..; stops when it returns non-zero. */
    int (*list_dir)(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name), void *each_ctx);
    int64_t (*free_bytes)(void *ctx, const char *path); /* for this user, on the file system of `path` */
} journal_io_t;

/* The real disk. */
const journal_io_t *journal_io_posix(void);

#endif
