/* tzdata.c: walks the database's folders: zones are files whose path begins with a capital letter. */
#include "kit/tzdata.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define DEPTH_MAX 3 /* America/Argentina/Ushuaia */
#define READ_BYTES 8192

static bool is_name_byte(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
           c == '-' || c == '/';
}

/* posix/, right/, localtime and tables begin otherwise, and no name has a dot. */
static bool is_name(bytes_t name)
{
    if (!name.len || name.len > TZDATA_NAME_MAX_BYTES || name.data[0] < 'A' || name.data[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.data[i]))
            return false;
    return true;
}

static bool path_of(const char *folder, bytes_t name, char out[PATH_BYTES])
{
    int len = snprintf(out, PATH_BYTES, "%s/%.*s", folder, BYTES_FMT(name));
    return len > 0 && len < PATH_BYTES;
}

static bool read_all(int fd, buf_t *out)
{
    size_t begin = out->len;
    ssize_t got = 1;
    while (got > 0 && out->len - begin <= TZDATA_FILE_MAX_BYTES && buf_reserve(out, READ_BYTES)) {
        got = read(fd, out->data + out->len, READ_BYTES);
        out->len += got > 0 ? (size_t)got : 0;
    }
    return got == 0 && !out->failed;
}

bool tzdata_read(const char *folder, bytes_t name, buf_t *out, error_t *err)
{
    char path[PATH_BYTES];
    int fd = is_name(name) && path_of(folder, name, path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool ok = fd >= 0 && read_all(fd, out);
    if (fd >= 0)
        (void)close(fd);
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "There is no time zone \"%.*s\" in %s.",
                           (int)(name.len < TZDATA_NAME_MAX_BYTES ? name.len : TZDATA_NAME_MAX_BYTES),
                           (const char *)name.data, folder);
}

typedef struct {
    const char *folder;
    void (*each)(void *ctx, bytes_t name, bytes_t tzif);
    void *ctx;
    buf_t file;
    size_t count;
} walk_t;

static void visit_file(walk_t *walk, bytes_t name)
{
    error_t err;
    buf_clear(&walk->file);
    if (!tzdata_read(walk->folder, name, &walk->file, &err) ||
        !bytes_has_prefix(buf_bytes(&walk->file), BYTES_LIT("TZif")))
        return;
    walk->each(walk->ctx, name, buf_bytes(&walk->file));
    walk->count++;
}

/* `prefix` is "" or ends with a slash. */
static void visit_folder(walk_t *walk, const char *prefix, int depth)
{
    char path[PATH_BYTES], name[PATH_BYTES];
    DIR *dir = path_of(walk->folder, bytes_cstr(prefix), path) ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        struct stat info;
        int len = snprintf(name, sizeof name, "%s%s", prefix, entry->d_name);
        if (len <= 0 || (size_t)len >= sizeof name - 1 || !is_name(bytes_cstr(name)) ||
            fstatat(dirfd(dir), entry->d_name, &info, 0) != 0)
            continue;
        if (S_ISREG(info.st_mode)) {
            visit_file(walk, bytes_cstr(name));
        } else if (S_ISDIR(info.st_mode) && depth < DEPTH_MAX) {
            name[len] = '/';
            name[len + 1] = '\0';
            visit_folder(walk, name, depth + 1);
        }
    }
    if (dir)
        (void)closedir(dir);
}

size_t tzdata_each(const char *folder, void (*each)(void *ctx, bytes_t name, bytes_t tzif), void *ctx)
{
    walk_t walk = {.folder = folder, .each = each, .ctx = ctx};
    visit_folder(&walk, "", 1);
    buf_free(&walk.file);
    return walk.count;
}
