/* event_source.c: capture files and JSON Lines as sources of events. */
#include "tools/mangactl/event_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/attrs.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/capture_file.h"
#include "tools/mangactl/event_entry.h"

typedef struct {
    const char *path, *bus; /* borrowed */
    FILE *file;             /* JSON Lines */
    capture_file_t capture;
    bool is_capture;
    char *line;
    size_t cap;
    buf_t value, entry; /* the line; what an entry of PutEvents became */
    buf_t attrs;        /* its attributes */
    uint64_t number, lines;
    bool has_event; /* a line was one */
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
                                .attrs = record->publish.attrs,
                                .body = record->publish.body};
        return true;
    }
    return false;
}

/* -- lines ----------------------------------------------------------------------------------------------- */
static bool line_bad(const file_source_t *s, error_t *err)
{
    if (s->file == stdin)
        return error_prefix(err, "standard input, line %llu", (unsigned long long)s->lines);
    if (!s->has_event) /* it may have been meant to be a capture */
        return error_prefix(err, "%s is no capture file, and as JSON Lines: %s, line %llu", s->path, s->path,
                            (unsigned long long)s->lines);
    return error_prefix(err, "%s, line %llu", s->path, (unsigned long long)s->lines);
}

static bool bad_member(const char *name, const char *what, error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"%s\" is no %s", name, what);
}

static bool member_text(bytes_t line, const char *name, bytes_t *out, error_t *err)
{
    bytes_t value;
    return !mp_map_find(line, name, &value) || mp_map_str(line, name, out) || bad_member(name, "text", err);
}

/* What `tail --json` prints, but for the event itself. */
static bool told_line(bytes_t line, source_event_t *out, error_t *err)
{
    bytes_t value, time = BYTES_NONE;
    if (mp_map_find(line, "record", &value) && !mp_map_u64(line, "record", &out->record))
        return bad_member("record", "whole number", err);
    if (mp_map_find(line, "attributes", &out->attrs) && !attrs_check(out->attrs, err))
        return error_prefix(err, "\"attributes\"");
    if (!member_text(line, "bus", &out->bus, err) || !member_text(line, "replay_name", &out->replay_name, err) ||
        !member_text(line, "ingest_time", &time, err))
        return false;
    return time.len == 0 || timefmt_parse(time, &out->ingest_us) || bad_member("ingest_time", "RFC 3339 time", err);
}

static bool entry_line(file_source_t *s, bytes_t line, source_event_t *out, error_t *err)
{
    event_entry_t entry;
    buf_clear(&s->entry);
    buf_clear(&s->attrs);
    if (!event_entry_read(line, clock_wall_us(), &entry, &s->entry, err))
        return false;
    out->body = buf_bytes(&s->entry);
    out->ingest_us = entry.time_us;
    out->bus = entry.bus.len ? entry.bus : out->bus;
    if (entry.trace_header.len == 0)
        return true;
    attrs_writer_t writer = attrs_begin(&s->attrs);
    attrs_put_str(&writer, ATTR_AWS_TRACE_HEADER, entry.trace_header);
    bool ok = attrs_end(&writer, err);
    out->attrs = buf_bytes(&s->attrs);
    return ok || error_prefix(err, "TraceHeader of the PutEvents entry");
}

static bool line_read(file_source_t *s, bytes_t line, source_event_t *out, error_t *err)
{
    envelope_t envelope;
    *out = (source_event_t){.number = ++s->number, .bus = bytes_cstr(s->bus), .body = line};
    bool ok = mp_map_find(line, "event", &out->body) ? told_line(line, out, err)
              : event_entry_is(line)                 ? entry_line(s, line, out, err)
                                                     : true;
    if (!ok || !envelope_read(out->body, &envelope, err))
        return line_bad(s, err);
    if (!out->ingest_us)
        out->ingest_us = envelope.time_us;
    s->has_event = true;
    if (out->bus.len || s->bus)
        return true;
    (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the event names no bus: an option says it for all such");
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
    buf_free(&s->entry);
    buf_free(&s->attrs);
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
