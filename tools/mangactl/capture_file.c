/* capture_file.c: capture files. */
#include "tools/mangactl/capture_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool file_error(const capture_file_t *self, const char *what, error_t *err)
{
    return error_set(err, STATUS_DATA_LOSS, NULL, "cannot %s %s: %s", what, self->path, strerror(errno));
}

/* -- writing --------------------------------------------------------------------------------------- */
static bool write_all(capture_file_t *self, const void *data, size_t len, error_t *err)
{
    if (fwrite(data, 1, len, self->file) != len)
        return file_error(self, "write", err);
    self->bytes += len;
    return true;
}

bool capture_create(capture_file_t *self, const char *path, bool force, error_t *err)
{
    *self = (capture_file_t){.path = path};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0600);
    if (fd < 0 && errno == EEXIST)
        return error_set(err, STATUS_ALREADY_EXISTS, NULL, "%s is there already; --force overwrites it", path);
    if (fd < 0)
        return file_error(self, "create", err);
    self->file = fdopen(fd, "w");
    if (!self->file) {
        (void)close(fd);
        return file_error(self, "create", err);
    }
    return write_all(self, CAPTURE_MAGIC, sizeof CAPTURE_MAGIC - 1, err);
}

static bool write_record(capture_file_t *self, error_t *err)
{
    if (self->buf.failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    return write_all(self, self->buf.data, self->buf.len, err);
}

bool capture_note(capture_file_t *self, const char *event, const char *text, bytes_t fields, int64_t now_us,
                  error_t *err)
{
    record_note_t note = {.event = bytes_cstr(event), .text = bytes_cstr(text), .fields = fields};
    buf_clear(&self->buf);
    record_encode(&self->buf, 0, now_us, RECORD_NOTE, &note);
    return write_record(self, err);
}

bool capture_event(capture_file_t *self, uint64_t seq, int64_t ingest_us, const record_publish_t *event, error_t *err)
{
    buf_clear(&self->buf);
    record_encode(&self->buf, seq, ingest_us, RECORD_PUBLISH, event);
    self->events++;
    return write_record(self, err);
}

bool capture_finish(capture_file_t *self, error_t *err)
{
    bool ok = fflush(self->file) == 0 && fdatasync(fileno(self->file)) == 0;
    ok = fclose(self->file) == 0 && ok;
    self->file = NULL;
    return ok || file_error(self, "write", err);
}

/* -- reading --------------------------------------------------------------------------------------- */
bool capture_open(capture_file_t *self, const char *path, error_t *err)
{
    char magic[sizeof CAPTURE_MAGIC] = "";
    *self = (capture_file_t){.path = path, .file = fopen(path, "re"), .record = malloc(sizeof(record_t))};
    if (!self->file)
        return error_set(err, STATUS_NOT_FOUND, NULL, "cannot open %s: %s", path, strerror(errno));
    if (!self->record)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    if (fread(magic, 1, sizeof magic - 1, self->file) != sizeof magic - 1 || strcmp(magic, CAPTURE_MAGIC) != 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is no capture file: it does not begin with \"%.*s\"",
                         path, (int)sizeof CAPTURE_MAGIC - 2, CAPTURE_MAGIC);
    self->bytes = sizeof CAPTURE_MAGIC - 1;
    return true;
}

static bool damaged(const capture_file_t *self, const char *what, error_t *err)
{
    return error_set(err, STATUS_DATA_LOSS, NULL, "%s: %s at offset %llu", self->path, what,
                     (unsigned long long)self->bytes);
}

/* Reads until buf holds `len` bytes. */
static bool fill(capture_file_t *self, size_t len)
{
    size_t missing = len - self->buf.len;
    if (!buf_reserve(&self->buf, missing))
        return false;
    size_t got = fread(self->buf.data + self->buf.len, 1, missing, self->file);
    self->buf.len += got;
    return got == missing;
}

bool capture_next(capture_file_t *self, const record_t **record, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    buf_clear(&self->buf);
    if (!fill(self, RECORD_HEADER_BYTES))
        return self->buf.len == 0 && !ferror(self->file) ? false : damaged(self, "the file ends inside a record", err);
    if (!record_peek(buf_bytes(&self->buf), &length, &seq, &ingest_us))
        return damaged(self, "a record of impossible length", err);
    if (!fill(self, length))
        return damaged(self, "the file ends inside a record", err);
    if (!record_decode(buf_bytes(&self->buf), self->record, err))
        return error_prefix(err, "%s, record at offset %llu", self->path, (unsigned long long)self->bytes);
    self->bytes += length;
    self->events += self->record->kind == RECORD_PUBLISH;
    *record = self->record;
    return true;
}

void capture_close(capture_file_t *self)
{
    if (self->file)
        (void)fclose(self->file);
    buf_free(&self->buf);
    free(self->record);
    *self = (capture_file_t){0};
}
