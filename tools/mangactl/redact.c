/* redact.c: paths, and copies of events without what stands there. */
#include "tools/mangactl/redact.h"

#include "proto/msgpack.h"

#define NOT_IN_NAMES "$[]*\"'\\ \t\r\n" /* of other notations for paths, which would silently find nothing */

/* -- paths --------------------------------------------------------------------------------------------- */
static bool no_path(bytes_t text, const char *why, error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"%.*s\" is no path to redact: %s", BYTES_FMT(text), why);
}

static bytes_t cut(bytes_t *rest, char at)
{
    const uint8_t *found = memchr(rest->data, at, rest->len);
    bytes_t head = bytes_from(rest->data, found ? (size_t)(found - rest->data) : rest->len);
    size_t used = head.len + (found != NULL);
    *rest = bytes_from(rest->data + used, rest->len - used);
    return head;
}

static bool is_name(bytes_t name)
{
    for (size_t i = 0; i < name.len; i++)
        if (strchr(NOT_IN_NAMES, name.data[i]))
            return false;
    return bytes_is_utf8(name, NULL);
}

static bool read_path(bytes_t text, redact_path_t *path, error_t *err)
{
    bytes_t rest = text;
    *path = (redact_path_t){.text = text};
    for (bool goes_on = true; goes_on;) {
        bytes_t name = cut(&rest, '.');
        goes_on = name.data + name.len < text.data + text.len;
        if (name.len == 0)
            return no_path(text, "a name is empty", err);
        if (!is_name(name))
            return no_path(text, "it is names with dots between them, without $, brackets, * and quotes", err);
        if (path->count == REDACT_NAMES_MAX)
            return no_path(text, "it has too many names", err);
        path->names[path->count++] = name;
    }
    if (!bytes_eq_cstr(path->names[0], "detail") || path->count < 2)
        return no_path(text, "it begins with \"detail.\", for the rest says which event it is", err);
    return true;
}

bool redact_init(redact_t *self, const char *paths, error_t *err)
{
    *self = (redact_t){0};
    bytes_t rest = bytes_cstr(paths);
    const uint8_t *end = rest.data + rest.len;
    for (bool goes_on = paths != NULL; goes_on;) {
        bytes_t text = cut(&rest, ',');
        goes_on = text.data + text.len < end;
        if (self->count == REDACT_PATHS_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--redact takes %d paths at most", REDACT_PATHS_MAX);
        if (!read_path(text, &self->paths[self->count], err))
            return false;
        self->count++;
    }
    return true;
}

void redact_free(redact_t *self)
{
    buf_free(&self->even);
    buf_free(&self->odd);
}

/* -- events -------------------------------------------------------------------------------------------- */
static bool copy_value(mp_reader_t *in, buf_t *out)
{
    bytes_t value;
    if (!mp_get_raw(in, &value))
        return false;
    buf_append_bytes(out, value);
    return true;
}

static bool walk(redact_path_t *path, size_t depth, mp_reader_t *in, buf_t *out);

static bool walk_map(redact_path_t *path, size_t depth, uint32_t count, mp_reader_t *in, buf_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        mp_reader_t key = *in;
        mp_token_t token;
        bool is_next = mp_next(&key, &token) && token.type == MP_STR && bytes_eq(token.bytes, path->names[depth]);
        if (!copy_value(in, out) || !(is_next ? walk(path, depth + 1, in, out) : copy_value(in, out)))
            return false;
    }
    return true;
}

/* Copies the value that comes; `depth` names led to it. Arrays nest no deeper than the broker lets them. */
static bool walk(redact_path_t *path, size_t depth, mp_reader_t *in, buf_t *out)
{
    const uint8_t *head = in->pos;
    mp_token_t token;
    mp_type_t type;
    if (depth == path->count) {
        mp_put_cstr(out, REDACT_TEXT);
        path->replaced++;
        return mp_skip(in);
    }
    if (!mp_peek(in, &type))
        return false;
    if (type != MP_MAP && type != MP_ARRAY)
        return copy_value(in, out);
    if (!mp_next(in, &token))
        return false;
    buf_append(out, head, (size_t)(in->pos - head));
    if (type == MP_MAP)
        return walk_map(path, depth, token.count, in, out);
    for (uint32_t i = 0; i < token.count; i++)
        if (!walk(path, depth, in, out))
            return false;
    return true;
}

bool redact_event(redact_t *self, bytes_t event, bytes_t *out, error_t *err)
{
    *out = event;
    if (self->count && !mp_validate(event, err))
        return error_prefix(err, "the event cannot be redacted");
    for (size_t i = 0; i < self->count; i++) {
        buf_t *next = i % 2 ? &self->odd : &self->even;
        mp_reader_t in = mp_reader(*out);
        buf_clear(next);
        if (!walk(&self->paths[i], 0, &in, next) || next->failed)
            return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        *out = buf_bytes(next);
    }
    return true;
}
