/* capture_set.c: captures in one file or in many. */
#include "tools/mangactl/capture_set.h"

#include <dirent.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/msgpack.h"

#define US_PER_MS 1000
#define NUMBER_DIGITS_MAX 18 /* what a uint64_t surely holds */

/* -- when ------------------------------------------------------------------------------------------------ */
static bool read_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < ARRAY_LEN(units) && errno == 0; i++)
        if (strcmp(end, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].bytes, bytes);
    return false;
}

bool capture_rotate_read(const char *text, capture_rotate_t *out, error_t *err)
{
    int64_t ms = 0;
    *out = (capture_rotate_t){0};
    if (read_size(text, &out->bytes)) {
        if (out->bytes >= CAPTURE_ROTATE_MIN_BYTES)
            return true;
    } else if (args_duration(text, &ms) && ms >= CAPTURE_ROTATE_MIN_MS) {
        out->us = ms * US_PER_MS;
        return true;
    }
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                     "--rotate is a size such as 64MiB (4KiB or more) or a time such as 1h (1s or more), not \"%s\"",
                     text);
}

/* -- names ----------------------------------------------------------------------------------------------- */
bool capture_set_is_numbered(const capture_set_t *self)
{
    return self->rotate.bytes || self->rotate.us;
}

bool capture_set_name(const capture_set_t *self, uint64_t number, char out[CTL_PATH_BYTES])
{
    int len = capture_set_is_numbered(self)
                  ? snprintf(out, CTL_PATH_BYTES, "%s.%06llu", self->path, (unsigned long long)number)
                  : snprintf(out, CTL_PATH_BYTES, "%s", self->path);
    return len < CTL_PATH_BYTES;
}

/* The number in "BASE.000042"; 0 for another name. */
static uint64_t number_of(const char *name, const char *base)
{
    size_t len = strlen(base);
    if (strncmp(name, base, len) != 0 || name[len] != '.')
        return 0;
    const char *digits = name + len + 1;
    size_t count = strspn(digits, "0123456789");
    return count <= NUMBER_DIGITS_MAX && digits[count] == '\0' ? strtoull(digits, NULL, 10) : 0;
}

/* The highest number that is there; 0 for none. */
static bool highest_number(const char *path, uint64_t *highest, error_t *err)
{
    char folder[CTL_PATH_BYTES] = ".";
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    *highest = 0;
    if (slash && !bytes_to_cstr(bytes_from(path, (size_t)(base - path)), folder, sizeof folder))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path of the capture is too long");
    DIR *dir = opendir(folder);
    if (!dir)
        return error_set(err, STATUS_DATA_LOSS, NULL, "cannot list %s: %s", folder, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(dir));) {
        uint64_t number = number_of(entry->d_name, base);
        *highest = number > *highest ? number : *highest;
    }
    (void)closedir(dir);
    return true;
}

/* -- files ----------------------------------------------------------------------------------------------- */
static bool open_file(capture_set_t *self, error_t *err)
{
    if (!capture_set_name(self, self->number, self->name))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path of the capture is too long");
    return capture_create(&self->file, self->name, self->force, err) &&
           capture_note(&self->file, "capture-begin", "captured by mangactl", self->fields, clock_wall_us(), err);
}

bool capture_set_begin(capture_set_t *self, error_t *err)
{
    uint64_t highest = 0;
    if (capture_set_is_numbered(self) && !highest_number(self->path, &highest, err))
        return false;
    self->first = self->number = highest + 1;
    return open_file(self, err);
}

bool capture_set_end(capture_set_t *self, error_t *err)
{
    buf_t fields = {0};
    mp_put_map(&fields, 1);
    mp_put_cstr(&fields, "events");
    mp_put_u64(&fields, self->file.events);
    bool ok = capture_note(&self->file, "capture-end", "", buf_bytes(&fields), clock_wall_us(), err) &&
              capture_finish(&self->file, err);
    buf_free(&fields);
    self->events += self->file.events;
    self->bytes += self->file.bytes;
    capture_close(&self->file);
    return ok;
}

static bool is_full(const capture_set_t *self, int64_t ingest_us)
{
    int64_t age_us;
    if (self->file.events == 0)
        return false;
    if (self->rotate.us && !__builtin_sub_overflow(ingest_us, self->first_us, &age_us) && age_us >= self->rotate.us)
        return true;
    return self->rotate.bytes && self->file.bytes >= self->rotate.bytes;
}

bool capture_set_event(capture_set_t *self, uint64_t seq, int64_t ingest_us, const record_publish_t *event,
                       error_t *err)
{
    if (is_full(self, ingest_us)) {
        if (!capture_set_end(self, err))
            return false;
        self->number++;
        if (!open_file(self, err))
            return false;
    }
    if (self->file.events == 0)
        self->first_us = ingest_us;
    return capture_event(&self->file, seq, ingest_us, event, err);
}

void capture_set_close(capture_set_t *self)
{
    capture_close(&self->file);
}

uint64_t capture_set_events(const capture_set_t *self)
{
    return self->events + self->file.events;
}

uint64_t capture_set_bytes(const capture_set_t *self)
{
    return self->bytes + self->file.bytes;
}
