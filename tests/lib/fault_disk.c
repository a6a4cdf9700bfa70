/* fault_disk.c: the disk in memory. */
#include "tests/lib/fault_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 256
#define FDS_MAX 64
#define NAMES_MAX 256
#define PATH_BYTES 128
#define DIRS_MAX 64
#define SECTOR_BYTES 512
#define PAGE_BYTES 4096

typedef struct {
    uint64_t at, bytes;
    uint8_t *data;
} pending_write_t;

typedef struct {
    uint8_t *seen, *safe; /* content as read, and as it survives */
    uint64_t seen_bytes, safe_bytes, cap;
    pending_write_t *writes;
    size_t write_count, write_cap;
    bool used;
} file_t;

typedef struct {
    char path[PATH_BYTES];
    int file;
} name_t;

typedef struct {
    name_t items[NAMES_MAX];
    size_t count;
} names_t;

typedef struct {
    char from[PATH_BYTES], to[PATH_BYTES]; /* from empty: created; to empty: removed */
    int file;
} change_t;

typedef struct {
    int file; /* -1: free */
    bool locked;
} handle_t;

struct fault_disk {
    journal_io_t io;
    random_t random;
    file_t files[FILES_MAX];
    names_t seen, safe;
    change_t changes[NAMES_MAX];
    size_t change_count;
    handle_t handles[FDS_MAX];
    char dirs[DIRS_MAX][PATH_BYTES]; /* always safe */
    size_t dir_count;
    uint64_t operations, limit;
    fault_kind_t fault;
    uint64_t fault_at;
    int fault_error;
    bool struck;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* -- faults -------------------------------------------------------------------------------------- */

/* 0, or the negative errno with which the operation fails. */
static int operate(fault_disk_t *disk)
{
    uint64_t now = disk->operations++;
    if (disk->fault == FAULT_NONE || now < disk->fault_at || (disk->fault == FAULT_ONCE && now > disk->fault_at))
        return 0;
    disk->struck = true;
    return -disk->fault_error;
}

static bool is_dead(const fault_disk_t *disk)
{
    return disk->fault == FAULT_DEAD && disk->struck;
}

/* -- names --------------------------------------------------------------------------------------- */

static name_t *names_find(names_t *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].path, path) == 0)
            return &names->items[i];
    return NULL;
}

static void names_remove(names_t *names, const char *path)
{
    name_t *name = names_find(names, path);
    if (name)
        *name = names->items[--names->count];
}

static void names_put(names_t *names, const char *path, int file)
{
    name_t *name = names_find(names, path);
    if (!name) {
        must(names->count < NAMES_MAX);
        name = &names->items[names->count++];
        (void)snprintf(name->path, sizeof name->path, "%s", path);
    }
    name->file = file;
}

static void names_change(names_t *names, const change_t *change)
{
    if (change->from[0] && !names_find(names, change->from))
        return; /* what it was made of did not survive */
    if (change->from[0])
        names_remove(names, change->from);
    if (change->to[0])
        names_put(names, change->to, change->file);
}

static void change(fault_disk_t *disk, const char *from, const char *to, int file)
{
    must(disk->change_count < NAMES_MAX);
    change_t *c = &disk->changes[disk->change_count++];
    *c = (change_t){.file = file};
    (void)snprintf(c->from, sizeof c->from, "%s", from);
    (void)snprintf(c->to, sizeof c->to, "%s", to);
    names_change(&disk->seen, c);
}

/* -- content ------------------------------------------------------------------------------------- */

static void file_hold(file_t *file, uint64_t bytes)
{
    if (bytes <= file->cap)
        return;
    uint64_t cap = file->cap ? file->cap : 4096;
    while (cap < bytes)
        cap *= 2;
    file->seen = realloc(file->seen, cap);
    file->safe = realloc(file->safe, cap);
    must(file->seen && file->safe);
    memset(file->seen + file->cap, 0, cap - file->cap);
    memset(file->safe + file->cap, 0, cap - file->cap);
    file->cap = cap;
}

static void put_safe(file_t *file, const pending_write_t *w, uint64_t from, uint64_t bytes)
{
    memcpy(file->safe + w->at + from, w->data + from, bytes);
    uint64_t end = w->at + from + bytes;
    file->safe_bytes = end > file->safe_bytes ? end : file->safe_bytes;
}

static void forget_writes(file_t *file)
{
    for (size_t i = 0; i < file->write_count; i++)
        free(file->writes[i].data);
    file->write_count = 0;
}

static void note_write(file_t *file, const void *data, uint64_t bytes, uint64_t at)
{
    if (file->write_count == file->write_cap) {
        file->write_cap = file->write_cap ? file->write_cap * 2 : 16;
        file->writes = realloc(file->writes, file->write_cap * sizeof *file->writes);
        must(file->writes != NULL);
    }
    pending_write_t *w = &file->writes[file->write_count++];
    *w = (pending_write_t){.at = at, .bytes = bytes, .data = malloc(bytes)};
    must(w->data != NULL);
    memcpy(w->data, data, bytes);
}

/* Also where the disk held the same already, and safely: what is being written may be lost. */
static void trash(fault_disk_t *disk, file_t *file, const pending_write_t *w, uint64_t from, uint64_t bytes)
{
    put_safe(file, w, from, bytes);
    for (uint64_t i = 0; i < bytes; i++)
        file->safe[w->at + from + i] = (uint8_t)random_u64(&disk->random);
}

/* Sector by sector old or new, or rubbish. */
static void tear(fault_disk_t *disk, file_t *file, const pending_write_t *w, bool rubbish)
{
    uint64_t sector = random_below(&disk->random, 2) ? SECTOR_BYTES : PAGE_BYTES;
    for (uint64_t done = 0; done < w->bytes;) {
        uint64_t bytes = sector - (w->at + done) % sector;
        bytes = bytes < w->bytes - done ? bytes : w->bytes - done;
        uint64_t fate = random_below(&disk->random, rubbish ? 3 : 2);
        if (fate == 1)
            put_safe(file, w, done, bytes);
        else if (fate == 2)
            trash(disk, file, w, done, bytes);
        done += bytes;
    }
}

static void survive(fault_disk_t *disk, file_t *file, bool harsh)
{
    for (size_t i = 0; i < file->write_count && !harsh; i++) {
        uint64_t fate = random_below(&disk->random, 4);
        if (fate == 0)
            put_safe(file, &file->writes[i], 0, file->writes[i].bytes);
        else if (fate < 3)
            tear(disk, file, &file->writes[i], fate == 2);
    }
    forget_writes(file);
    memcpy(file->seen, file->safe, file->cap);
    file->seen_bytes = file->safe_bytes;
}

/* -- the table ----------------------------------------------------------------------------------- */

static file_t *file_of(fault_disk_t *disk, int fd)
{
    must(fd >= 0 && fd < FDS_MAX && disk->handles[fd].file >= 0);
    return &disk->files[disk->handles[fd].file];
}

static int new_file(fault_disk_t *disk)
{
    for (int i = 0; i < FILES_MAX; i++) {
        bool named = disk->files[i].used;
        if (named)
            continue;
        disk->files[i].used = true;
        return i;
    }
    abort();
}

static int new_handle(fault_disk_t *disk, int file)
{
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (disk->handles[fd].file >= 0)
            continue;
        disk->handles[fd] = (handle_t){.file = file};
        return fd;
    }
    return -EMFILE;
}

static int disk_open(void *ctx, const char *path, int flags, uint32_t mode)
{
    fault_disk_t *disk = ctx;
    (void)mode;
    int failure = operate(disk);
    if (failure)
        return failure;
    const name_t *name = names_find(&disk->seen, path);
    if (!name && !(flags & O_CREAT))
        return -ENOENT;
    if (!name)
        change(disk, "", path, new_file(disk));
    int file = names_find(&disk->seen, path)->file;
    if (flags & O_TRUNC) {
        /* Only files that nobody needs are opened so: no use in keeping what was pending. */
        forget_writes(&disk->files[file]);
        disk->files[file].seen_bytes = disk->files[file].safe_bytes = 0;
    }
    return new_handle(disk, file);
}

static int disk_close(void *ctx, int fd)
{
    fault_disk_t *disk = ctx;
    disk->handles[fd] = (handle_t){.file = -1};
    return 0;
}

static int64_t disk_pread(void *ctx, int fd, void *out, uint64_t bytes, uint64_t offset)
{
    fault_disk_t *disk = ctx;
    const file_t *file = file_of(disk, fd);
    if (is_dead(disk))
        return -disk->fault_error;
    if (offset >= file->seen_bytes)
        return 0;
    bytes = bytes < file->seen_bytes - offset ? bytes : file->seen_bytes - offset;
    memcpy(out, file->seen + offset, bytes);
    return (int64_t)bytes;
}

static uint64_t used_bytes(const fault_disk_t *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->seen.count; i++)
        used += disk->files[disk->seen.items[i].file].seen_bytes;
    return used;
}

static int64_t disk_pwrite(void *ctx, int fd, const void *data, uint64_t bytes, uint64_t offset)
{
    fault_disk_t *disk = ctx;
    file_t *file = file_of(disk, fd);
    int failure = operate(disk);
    if (failure)
        return failure;
    /* At times not all at once. */
    if (bytes > 1 && random_below(&disk->random, 8) == 0)
        bytes = 1 + random_below(&disk->random, bytes - 1);
    uint64_t grows = offset + bytes > file->seen_bytes ? offset + bytes - file->seen_bytes : 0;
    if (grows && grows > disk->limit - (used_bytes(disk) < disk->limit ? used_bytes(disk) : disk->limit))
        return -ENOSPC;
    file_hold(file, offset + bytes);
    memcpy(file->seen + offset, data, bytes);
    file->seen_bytes += grows;
    note_write(file, data, bytes, offset);
    return (int64_t)bytes;
}

static int disk_datasync(void *ctx, int fd)
{
    fault_disk_t *disk = ctx;
    file_t *file = file_of(disk, fd);
    int failure = operate(disk);
    if (failure && disk->fault == FAULT_ONCE)
        forget_writes(file); /* clean in the cache, not on the disk, and never to be written again */
    if (failure)
        return failure;
    for (size_t i = 0; i < file->write_count; i++)
        put_safe(file, &file->writes[i], 0, file->writes[i].bytes);
    forget_writes(file);
    return 0;
}

static int disk_truncate(void *ctx, int fd, uint64_t bytes)
{
    fault_disk_t *disk = ctx;
    file_t *file = file_of(disk, fd);
    int failure = operate(disk);
    if (!failure)
        file->seen_bytes = file->safe_bytes = bytes;
    return failure;
}

static int64_t disk_size(void *ctx, int fd)
{
    return (int64_t)file_of(ctx, fd)->seen_bytes;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    fault_disk_t *disk = ctx;
    int failure = operate(disk);
    if (failure)
        return failure;
    const name_t *name = names_find(&disk->seen, from);
    if (!name)
        return -ENOENT;
    change(disk, from, to, name->file);
    return 0;
}

static int disk_link(void *ctx, const char *from, const char *to)
{
    fault_disk_t *disk = ctx;
    int failure = operate(disk);
    if (failure)
        return failure;
    const name_t *name = names_find(&disk->seen, from);
    if (!name || names_find(&disk->seen, to))
        return name ? -EEXIST : -ENOENT;
    change(disk, "", to, name->file);
    return 0;
}

static int disk_remove(void *ctx, const char *path)
{
    fault_disk_t *disk = ctx;
    int failure = operate(disk);
    if (failure)
        return failure;
    if (!names_find(&disk->seen, path))
        return -ENOENT;
    change(disk, path, "", -1);
    return 0;
}

static bool is_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

/* The names of this folder alone, in the order in which they changed. */
static int disk_sync_dir(void *ctx, const char *path)
{
    fault_disk_t *disk = ctx;
    size_t left = 0;
    int failure = operate(disk);
    if (failure)
        return failure;
    for (size_t i = 0; i < disk->change_count; i++) {
        const change_t *c = &disk->changes[i];
        if (is_in(c->from, path) || is_in(c->to, path))
            names_change(&disk->safe, c);
        else
            disk->changes[left++] = *c;
    }
    disk->change_count = left;
    return 0;
}

static int disk_make_dir(void *ctx, const char *path, uint32_t mode)
{
    fault_disk_t *disk = ctx;
    (void)mode;
    int failure = operate(disk);
    if (failure)
        return failure;
    for (size_t i = 0; i < disk->dir_count; i++)
        if (strcmp(disk->dirs[i], path) == 0)
            return -EEXIST;
    must(disk->dir_count < DIRS_MAX);
    (void)snprintf(disk->dirs[disk->dir_count++], PATH_BYTES, "%s", path);
    return 0;
}

static int disk_lock(void *ctx, int fd)
{
    fault_disk_t *disk = ctx;
    for (int i = 0; i < FDS_MAX; i++)
        if (i != fd && disk->handles[i].locked && disk->handles[i].file == disk->handles[fd].file)
            return -EWOULDBLOCK;
    disk->handles[fd].locked = true;
    return 0;
}

static int disk_list_dir(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name), void *each_ctx)
{
    fault_disk_t *disk = ctx;
    size_t len = strlen(path);
    for (size_t i = 0; i < disk->seen.count; i++) {
        const char *full = disk->seen.items[i].path;
        if (strncmp(full, path, len) == 0 && full[len] == '/' && each(each_ctx, full + len + 1) != 0)
            return -ECANCELED;
    }
    return 0;
}

static int64_t disk_free_bytes(void *ctx, const char *path)
{
    const fault_disk_t *disk = ctx;
    (void)path;
    uint64_t used = used_bytes(disk);
    return used >= disk->limit ? 0 : (int64_t)((disk->limit - used) & INT64_MAX);
}

/* -- for tests ----------------------------------------------------------------------------------- */

fault_disk_t *fault_disk_new(uint64_t seed)
{
    fault_disk_t *disk = calloc(1, sizeof *disk);
    must(disk != NULL);
    disk->random.state = seed;
    disk->limit = INT64_MAX;
    for (int fd = 0; fd < FDS_MAX; fd++)
        disk->handles[fd].file = -1;
    disk->io = (journal_io_t){.ctx = disk,
                              .open = disk_open,
                              .close = disk_close,
                              .pread = disk_pread,
                              .pwrite = disk_pwrite,
                              .datasync = disk_datasync,
                              .truncate = disk_truncate,
                              .size = disk_size,
                              .rename = disk_rename,
                              .link = disk_link,
                              .remove = disk_remove,
                              .sync_dir = disk_sync_dir,
                              .make_dir = disk_make_dir,
                              .lock = disk_lock,
                              .list_dir = disk_list_dir,
                              .free_bytes = disk_free_bytes};
    return disk;
}

void fault_disk_free(fault_disk_t *disk)
{
    for (int i = 0; i < FILES_MAX; i++) {
        forget_writes(&disk->files[i]);
        free(disk->files[i].writes);
        free(disk->files[i].seen);
        free(disk->files[i].safe);
    }
    free(disk);
}

const journal_io_t *fault_disk_io(fault_disk_t *disk)
{
    return &disk->io;
}

void fault_disk_arm(fault_disk_t *disk, fault_kind_t kind, uint64_t at, int error)
{
    disk->fault = kind;
    disk->fault_at = disk->operations + at;
    disk->fault_error = error;
    disk->struck = false;
}

void fault_disk_disarm(fault_disk_t *disk)
{
    disk->fault = FAULT_NONE;
    disk->struck = false;
}

bool fault_disk_struck(const fault_disk_t *disk)
{
    return disk->struck;
}

uint64_t fault_disk_operations(const fault_disk_t *disk)
{
    return disk->operations;
}

/* Files without a name are nobody's any more. */
static void collect_files(fault_disk_t *disk)
{
    for (int i = 0; i < FILES_MAX; i++) {
        bool named = false;
        for (size_t k = 0; k < disk->seen.count; k++)
            named = named || disk->seen.items[k].file == i;
        if (named || !disk->files[i].used)
            continue;
        forget_writes(&disk->files[i]);
        free(disk->files[i].writes);
        free(disk->files[i].seen);
        free(disk->files[i].safe);
        disk->files[i] = (file_t){0};
    }
}

void fault_disk_kill(fault_disk_t *disk)
{
    for (int fd = 0; fd < FDS_MAX; fd++)
        disk->handles[fd] = (handle_t){.file = -1};
    fault_disk_disarm(disk);
}

void fault_disk_cut_power(fault_disk_t *disk, bool harsh)
{
    uint64_t mode = random_below(&disk->random, 2);
    bool going = true;
    for (size_t i = 0; i < disk->change_count && !harsh && going; i++) {
        bool kept = random_below(&disk->random, 2);
        if (kept)
            names_change(&disk->safe, &disk->changes[i]);
        going = kept || mode == 0; /* in the other mode what follows a lost change is lost as well */
    }
    disk->change_count = 0;
    disk->seen = disk->safe;
    for (int i = 0; i < FILES_MAX; i++)
        if (disk->files[i].cap)
            survive(disk, &disk->files[i], harsh);
    fault_disk_kill(disk);
    collect_files(disk);
}

void fault_disk_limit(fault_disk_t *disk, uint64_t bytes)
{
    disk->limit = bytes;
}

uint8_t *fault_disk_file(fault_disk_t *disk, const char *path, uint64_t **bytes)
{
    const name_t *name = names_find(&disk->seen, path);
    if (!name)
        return NULL;
    *bytes = &disk->files[name->file].seen_bytes;
    return disk->files[name->file].seen;
}

void fault_disk_each(fault_disk_t *disk, void (*each)(void *ctx, const char *path), void *ctx)
{
    for (size_t i = 0; i < disk->seen.count; i++)
        each(ctx, disk->seen.items[i].path);
}
