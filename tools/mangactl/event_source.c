/* event_source.c: capture files and JSON Lines as sources of events. */
#include "tools/mangactl/event_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/envelope.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/capture_file.h"

typedef struct {
    const char *path, *bus; /* borrowed */
    FILE *file;             /* JSON Lines */
    capture_file_t capture;
    bool is_capture;
    char *line;
    size_t cap;
    buf_t value;
    uint64_t number, lines;
} file_source_t;

/* -- captures -------------------------------------------------------------------------------------------- */
static bool capture_event_next(file_source_t *s, source_event_t *out, error_t *err)
{
    const record_t *record;
    while (capture_next(&s->capture, &record, err)) {
        if (record->kind != RECORD_PUBLISH)
            continue;
        *out = (source_event_t){.number = ++s->number,
                                .record = record->seq,
                                .ingest_us = record->ingest_us,
                                .bus = record->publish.bus,
                                .replay_name = record->publish.replay_name,
                                .body = record->publish.body};
        return true;
    }
    return false;
}

/* -- lines ----------------------------------------------------------------------------------------------- */
static bool line_bad(const file_source_t *s, error_t *err)
{
    return error_prefix(err, "%s, line %llu", s->path, (unsigned long long)s->lines);
}

static bool line_read(file_source_t *s, bytes_t value, source_event_t *out, error_t *err)
{
    envelope_t envelope;
    bytes_t time;
    *out = (source_event_t){.number = ++s->number, .bus = bytes_cstr(s->bus), .body = value};
    if (mp_map_find(value, "event", &out->body)) {
        (void)!mp_map_str(value, "bus", &out->bus);
        (void)!mp_map_u64(value, "record", &out->record);
        (void)!mp_map_str(value, "replay_name", &out->replay_name);
    }
    if (!envelope_read(out->body, &envelope, err))
        return line_bad(s, err);
    bool has_time = mp_map_str(value, "ingest_time", &time) && timefmt_parse(time, &out->ingest_us);
    if (!has_time)
        out->ingest_us = envelope.time_us;
    if (out->bus.len)
        return true;
    (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the event names no bus: say which by --bus");
    return line_bad(s, err);
}

static bool line_next(file_source_t *s, source_event_t *out, error_t *err)
{
    ssize_t len;
    while ((len = getline(&s->line, &s->cap, s->file)) >= 0) {
        s->lines++;
        if (strspn(s->line, " \t\r\n") == (size_t)len)
            continue;
        buf_clear(&s->value);
        if (!json_to_msgpack(bytes_from(s->line, (size_t)len), NULL, &s->value, err))
            return line_bad(s, err);
        return line_read(s, buf_bytes(&s->value), out, err);
    }
    return ferror(s->file) ? error_set(err, STATUS_DATA_LOSS, NULL, "%s cannot be read", s->path) : false;
}

/* -- either ---------------------------------------------------------------------------------------------- */
static bool file_next(void *self, source_event_t *out, error_t *err)
{
    file_source_t *s = self;
    return s->is_capture ? capture_event_next(s, out, err) : line_next(s, out, err);
}

static void file_close(void *self)
{
    file_source_t *s = self;
    if (s->file && s->file != stdin)
        (void)fclose(s->file);
    capture_close(&s->capture);
    free(s->line);
    buf_free(&s->value);
    free(s);
}

static bool file_open(file_source_t *s, error_t *err)
{
    if (strcmp(s->path, "-") == 0) {
        s->file = stdin;
        return true;
    }
    s->is_capture = capture_open(&s->capture, s->path, err);
    if (s->is_capture || err->code != STATUS_INVALID_ARGUMENT)
        return s->is_capture;
    s->file = fopen(s->path, "re"); /* it is there, and no capture */
    *err = (error_t){0};
    return s->file || error_set(err, STATUS_NOT_FOUND, NULL, "cannot open %s", s->path);
}

bool event_source_file(const char *path, const char *bus, event_source_t *out, error_t *err)
{
    file_source_t *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    s->path = path;
    s->bus = bus;
    *out = (event_source_t){file_next, file_close, s};
    if (file_open(s, err))
        return true;
    event_source_close(out);
    return false;
}

void event_source_close(event_source_t *source)
{
    if (source->self)
        source->close(source->self);
    *source = (event_source_t){0};
}
