/* objects.c: which store, and what a key may be; a directory's objects; those of a bucket. */
#include "kit/objects.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/aws.h"
#include "kit/http_client.h"

#define PATH_BYTES 4096
#define DIRECTORY_MODE 0700
#define FILE_MODE 0600

struct objects {
    char *directory; /* NULL: a bucket */
    char *bucket, *prefix;
    http_client_t *http;
    aws_t *aws;
};

/* -- keys ---------------------------------------------------------------------------------------------- */
static bool part_is_good(const char *part, size_t len)
{
    bool dots = true;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)part[i]) && !strchr("-._", part[i]))
            return false;
        dots = dots && part[i] == '.';
    }
    return len > 0 && !dots;
}

static bool key_is_good(const char *key)
{
    if (strlen(key) > OBJECTS_KEY_MAX_BYTES)
        return false;
    for (;;) {
        size_t len = strcspn(key, "/");
        if (!part_is_good(key, len))
            return false;
        if (!key[len])
            return true;
        key += len + 1;
    }
}

/* -- a directory --------------------------------------------------------------------------------------- */
static bool disk_error(error_t *err, const char *doing, const char *path)
{
    return error_set(err, STATUS_UNAVAILABLE, NULL, "cannot %s %s: %s", doing, path, strerror(errno));
}

static bool directory_sync(const char *path, error_t *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        (void)disk_error(err, "sync", path);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* Makes the directories above `path`, each entered on disk before the next; `path` is written to and restored. */
static bool parents_make(char *path, error_t *err)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, DIRECTORY_MODE) == 0;
        bool ok = made || errno == EEXIST || disk_error(err, "make", path);
        char *above = made ? strrchr(path, '/') : NULL;
        if (above && above != path) {
            *above = '\0';
            ok = directory_sync(path, err);
            *above = '/';
        }
        *slash = '/';
        if (!ok)
            return false;
    }
    return true;
}

static bool write_all(int fd, bytes_t body)
{
    while (body.len > 0) {
        ssize_t got = write(fd, body.data, body.len);
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0)
            body = bytes_from(body.data + got, body.len - (size_t)got);
    }
    return true;
}

static bool file_write(const char *path, bytes_t body, error_t *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return disk_error(err, "write", path);
    bool ok = (write_all(fd, body) && fsync(fd) == 0) || disk_error(err, "write", path);
    return close(fd) == 0 ? ok : disk_error(err, "write", path);
}

static bool directory_put(const objects_t *objects, const char *key, bytes_t body, error_t *err)
{
    char path[PATH_BYTES], begun[PATH_BYTES + 16];
    if (snprintf(path, sizeof path, "%s/%s", objects->directory, key) >= (int)sizeof path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path of object %s is too long", key);
    (void)snprintf(begun, sizeof begun, "%s.%ld~", path, (long)getpid());
    bool ok = parents_make(path, err) && file_write(begun, body, err) &&
              (rename(begun, path) == 0 || disk_error(err, "write", path));
    if (!ok) {
        (void)unlink(begun);
        return false;
    }
    *strrchr(path, '/') = '\0';
    return directory_sync(path, err);
}

/* -- a bucket ------------------------------------------------------------------------------------------ */
typedef struct {
    objects_put_fn fn;
    void *ctx;
} put_t;

static void on_put(void *ctx, const http_result_t *result)
{
    put_t put = *(put_t *)ctx;
    error_t err = {0};
    free(ctx);
    bool ok = result->status == STATUS_OK && result->http_status / 100 == 2;
    if (!ok)
        aws_error(result, result->body, &err);
    if (!ok && !err.message[0])
        (void)error_set(&err, err.code, err.aws, "the store answered with HTTP status %u", result->http_status);
    put.fn(put.ctx, ok ? NULL : &err);
}

static bool bucket_put(objects_t *objects, const char *key, bytes_t body, const char *type, put_t *put, error_t *err)
{
    buf_t endpoint = {0}, path = {0};
    const http_header_t headers[] = {{"Content-Type", type}};
    aws_endpoint("S3", "s3", aws_region(objects->aws), &endpoint);
    buf_printf(&path, "/%s/%s%s%s", objects->bucket, objects->prefix, objects->prefix[0] ? "/" : "", key);
    const aws_call_t call = {.method = "PUT",
                             .endpoint = buf_cstr(&endpoint),
                             .path = buf_cstr(&path),
                             .service = "s3",
                             .headers = headers,
                             .header_count = ARRAY_LEN(headers),
                             .body = body,
                             .timeout_ms = OBJECTS_TIMEOUT_MS,
                             .on_done = on_put,
                             .ctx = put};
    bool ok = aws_start(objects->aws, &call, err) != NULL;
    buf_free(&endpoint);
    buf_free(&path);
    return ok;
}

/* -- both ---------------------------------------------------------------------------------------------- */
bool objects_put(objects_t *objects, const char *key, bytes_t body, const char *type, objects_put_fn fn, void *ctx,
                 error_t *err)
{
    if (!key_is_good(key))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"%s\" is no key of an object", key);
    if (objects->directory) {
        if (!directory_put(objects, key, body, err))
            return false;
        fn(ctx, NULL);
        return true;
    }
    put_t *put = malloc(sizeof *put);
    if (!put)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    *put = (put_t){fn, ctx};
    if (bucket_put(objects, key, body, type, put, err))
        return true;
    free(put);
    return false;
}

static bool bucket_open(objects_t *objects, loop_t *loop, const char *rest, error_t *err)
{
    size_t len = strcspn(rest, "/");
    const char *prefix = rest[len] ? rest + len + 1 : "";
    if (!part_is_good(rest, len) || (prefix[0] && !key_is_good(prefix)))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"s3://%s\" names no bucket and prefix", rest);
    objects->bucket = strndup(rest, len);
    objects->prefix = strdup(prefix);
    if (!objects->bucket || !objects->prefix)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    objects->http = http_client_new(loop, err);
    objects->aws = objects->http ? aws_new(loop, objects->http, err) : NULL;
    return objects->aws != NULL;
}

static bool store_open(objects_t *objects, loop_t *loop, const char *url, error_t *err)
{
    if (strncmp(url, "s3://", 5) == 0)
        return bucket_open(objects, loop, url + 5, err);
    const char *path = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
    if (path[0] != '/')
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "\"%s\" is no store of objects: file:///path, /path or s3://bucket/prefix", url);
    objects->directory = strdup(path);
    return objects->directory || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

objects_t *objects_open(loop_t *loop, const char *url, error_t *err)
{
    objects_t *objects = calloc(1, sizeof *objects);
    if (!objects)
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    else if (!store_open(objects, loop, url, err))
        objects_close(&objects);
    return objects;
}

void objects_close(objects_t **objects)
{
    objects_t *o = *objects;
    *objects = NULL;
    if (!o)
        return;
    if (o->aws)
        aws_free(&o->aws);
    if (o->http)
        http_client_free(&o->http);
    free(o->directory);
    free(o->bucket);
    free(o->prefix);
    free(o);
}
