/* attrs.c: maps this small are searched by walking; an index would cost more than it saves. */
#include "proto/attrs.h"

#include "proto/msgpack.h"

#define SHOWN_BYTES 64 /* of a bad name, in the message */

static bool refuse(error_t *err, bytes_t name, const char *what)
{
    char shown[SHOWN_BYTES];
    if (!bytes_is_utf8(name, NULL) || (!bytes_to_cstr(name, shown, sizeof shown) && shown[0] == 0))
        memcpy(shown, "?", 2);
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName", "attribute \"%s\": %s", shown, what);
}

/* -- reading ------------------------------------------------------------------------------------ */

static bool value_of(const mp_token_t *token, attr_value_t *out)
{
    switch (token->type) {
    case MP_STR:
        *out = (attr_value_t){.type = ATTR_STR, .bytes = token->bytes};
        return true;
    case MP_BIN:
        *out = (attr_value_t){.type = ATTR_BIN, .bytes = token->bytes};
        return true;
    case MP_BOOL:
        *out = (attr_value_t){.type = ATTR_BOOL, .boolean = token->boolean};
        return true;
    case MP_INT:
        *out = (attr_value_t){.type = ATTR_INT, .i64 = token->i64};
        return true;
    case MP_UINT:
        *out = (attr_value_t){.type = ATTR_INT, .i64 = (int64_t)token->u64};
        return token->u64 <= INT64_MAX;
    default:
        return false;
    }
}

bool attrs_next(bytes_t attrs, size_t *at, bytes_t *name, attr_value_t *value)
{
    if (attrs.len == 0)
        return false;
    mp_reader_t whole = mp_reader(attrs);
    uint32_t count;
    if (*at == 0) {
        if (!mp_get_map(&whole, &count))
            return false;
        *at = mp_offset(&whole);
    }
    if (*at >= attrs.len)
        return false;
    mp_reader_t r = mp_reader(bytes_from(attrs.data + *at, attrs.len - *at));
    mp_token_t token;
    if (!mp_get_str(&r, name) || !mp_next(&r, &token) || !value_of(&token, value))
        return false;
    *at += mp_offset(&r);
    return true;
}

uint32_t attrs_count(bytes_t attrs)
{
    mp_reader_t r = mp_reader(attrs);
    uint32_t count;
    return attrs.len > 0 && mp_get_map(&r, &count) ? count : 0;
}

static bool stands_before(bytes_t attrs, size_t end, bytes_t wanted)
{
    bytes_t name;
    attr_value_t value;
    for (size_t at = 0; at < end && attrs_next(attrs, &at, &name, &value);)
        if (at <= end && bytes_eq(name, wanted))
            return true;
    return false;
}

/* What is wrong with a name, or NULL. */
static const char *name_problem(bytes_t name)
{
    if (name.len == 0 || name.len > ATTRS_NAME_MAX_BYTES)
        return "a name has 1 to 256 bytes";
    return bytes_is_utf8(name, NULL) ? NULL : "its name is not UTF-8";
}

static const char *value_problem(const attr_value_t *value)
{
    if (value->type != ATTR_STR && value->type != ATTR_BIN)
        return NULL;
    if (value->bytes.len > ATTRS_VALUE_MAX_BYTES)
        return "its value is over 262144 bytes";
    return value->type == ATTR_BIN || bytes_is_utf8(value->bytes, NULL) ? NULL : "its value is not UTF-8";
}

static bool check_pair(bytes_t attrs, size_t *at, error_t *err)
{
    size_t start = *at;
    bytes_t name = BYTES_NONE;
    attr_value_t value;
    if (!attrs_next(attrs, at, &name, &value))
        return refuse(err, name, "expected a text name and a text, integer, boolean or binary value");
    const char *problem = name_problem(name);
    if (!problem)
        problem = value_problem(&value);
    if (!problem && stands_before(attrs, start, name))
        problem = "stands twice";
    return problem ? refuse(err, name, problem) : true;
}

static bool check_size(bytes_t attrs, uint32_t *count, size_t *at, error_t *err)
{
    mp_reader_t r = mp_reader(attrs);
    if (attrs.len > ATTRS_TOTAL_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName",
                         "attributes: %zu bytes, at most %zu are allowed", attrs.len, ATTRS_TOTAL_MAX_BYTES);
    if (!mp_get_map(&r, count))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName", "attributes: expected a map");
    if (*count > ATTRS_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName",
                         "attributes: %u of them, at most %d are allowed", *count, ATTRS_MAX);
    *at = mp_offset(&r);
    return true;
}

bool attrs_check(bytes_t attrs, error_t *err)
{
    if (attrs.len == 0)
        return true;
    uint32_t count = 0;
    size_t at = 0;
    if (!check_size(attrs, &count, &at, err))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!check_pair(attrs, &at, err))
            return false;
    if (at != attrs.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName", "attributes: %zu bytes behind their end",
                         attrs.len - at);
    return true;
}

bool attrs_find(bytes_t attrs, const char *wanted, attr_value_t *out)
{
    bytes_t name;
    attr_value_t value;
    for (size_t at = 0; attrs_next(attrs, &at, &name, &value);) {
        if (!bytes_eq_cstr(name, wanted))
            continue;
        *out = value;
        return true;
    }
    return false;
}

bool attrs_str(bytes_t attrs, const char *name, bytes_t *out)
{
    attr_value_t value;
    if (!attrs_find(attrs, name, &value) || value.type != ATTR_STR)
        return false;
    *out = value.bytes;
    return true;
}

bool attrs_bin(bytes_t attrs, const char *name, bytes_t *out)
{
    attr_value_t value;
    if (!attrs_find(attrs, name, &value) || value.type != ATTR_BIN)
        return false;
    *out = value.bytes;
    return true;
}

bool attrs_int(bytes_t attrs, const char *name, int64_t *out)
{
    attr_value_t value;
    if (!attrs_find(attrs, name, &value) || value.type != ATTR_INT)
        return false;
    *out = value.i64;
    return true;
}

bool attrs_bool(bytes_t attrs, const char *name, bool *out)
{
    attr_value_t value;
    if (!attrs_find(attrs, name, &value) || value.type != ATTR_BOOL)
        return false;
    *out = value.boolean;
    return true;
}

/* -- writing ------------------------------------------------------------------------------------ */

attrs_writer_t attrs_begin(buf_t *out)
{
    size_t at = mp_map_begin(out);
    return (attrs_writer_t){.out = out, .at = at};
}

/* What has been put so far, readable as a map: the pairs are walked behind the header. */
static bool is_put(const attrs_writer_t *w, bytes_t wanted)
{
    mp_reader_t r = mp_reader(bytes_from(w->out->data + w->at, w->out->len - w->at));
    uint32_t unknown;
    if (!mp_get_map(&r, &unknown))
        return false;
    for (bytes_t name; mp_left(&r) > 0 && mp_get_str(&r, &name) && mp_skip(&r);)
        if (bytes_eq(name, wanted))
            return true;
    return false;
}

static void put_plain(buf_t *out, const attr_value_t *value)
{
    switch (value->type) {
    case ATTR_STR:
        mp_put_str(out, value->bytes);
        break;
    case ATTR_BIN:
        mp_put_bin(out, value->bytes);
        break;
    case ATTR_INT:
        mp_put_i64(out, value->i64);
        break;
    case ATTR_BOOL:
        mp_put_bool(out, value->boolean);
        break;
    }
}

void attrs_put_value(attrs_writer_t *w, bytes_t name, const attr_value_t *value)
{
    if (w->problem || w->out->failed)
        return;
    w->problem = name_problem(name);
    if (!w->problem)
        w->problem = value_problem(value);
    if (!w->problem && is_put(w, name))
        w->problem = "a name stands twice";
    if (w->problem)
        return;
    mp_put_str(w->out, name);
    put_plain(w->out, value);
    w->count++;
}

void attrs_put_str(attrs_writer_t *w, const char *name, bytes_t value)
{
    attrs_put_value(w, bytes_cstr(name), &(attr_value_t){.type = ATTR_STR, .bytes = value});
}

void attrs_put_bin(attrs_writer_t *w, const char *name, bytes_t value)
{
    attrs_put_value(w, bytes_cstr(name), &(attr_value_t){.type = ATTR_BIN, .bytes = value});
}

void attrs_put_int(attrs_writer_t *w, const char *name, int64_t value)
{
    attrs_put_value(w, bytes_cstr(name), &(attr_value_t){.type = ATTR_INT, .i64 = value});
}

void attrs_put_bool(attrs_writer_t *w, const char *name, bool value)
{
    attrs_put_value(w, bytes_cstr(name), &(attr_value_t){.type = ATTR_BOOL, .boolean = value});
}

bool attrs_end(attrs_writer_t *w, error_t *err)
{
    if (w->out->failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "attributes: out of memory");
    mp_map_end(w->out, w->at, w->count);
    if (!w->problem && w->count > ATTRS_MAX)
        w->problem = "more than 64 of them";
    if (!w->problem && w->out->len - w->at > ATTRS_TOTAL_MAX_BYTES)
        w->problem = "over 262144 bytes in all";
    if (!w->problem)
        return true;
    w->out->len = w->at;
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName", "attributes: %s", w->problem);
}

static bool has_name(bytes_t attrs, bytes_t wanted)
{
    return stands_before(attrs, attrs.len, wanted);
}

bool attrs_merge(buf_t *out, bytes_t base, bytes_t overrides, error_t *err)
{
    if (!attrs_check(base, err) || !attrs_check(overrides, err))
        return false;
    attrs_writer_t w = attrs_begin(out);
    bytes_t name;
    attr_value_t value;
    for (size_t at = 0; attrs_next(base, &at, &name, &value);)
        if (!has_name(overrides, name))
            attrs_put_value(&w, name, &value);
    for (size_t at = 0; attrs_next(overrides, &at, &name, &value);)
        attrs_put_value(&w, name, &value);
    return attrs_end(&w, err);
}
