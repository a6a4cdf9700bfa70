/* schema_diff.c: keyword by keyword, member by member. */
#include "tools/mangactl/schema_diff.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/json.h"
#include "proto/msgpack.h"

#define DEPTH_MAX 32

typedef struct {
    schema_change_fn fn;
    void *ctx;
    buf_t path;
    int depth;
} diff_t;

static void tell(diff_t *d, breaks_t breaks, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void tell(diff_t *d, breaks_t breaks, const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    d->fn(d->ctx, buf_cstr(&d->path), what, breaks);
}

/* -- single keywords ----------------------------------------------------------------------------------- */
static void value_text(bytes_t value, buf_t *out)
{
    if (!value.len || !json_from_msgpack(value, JSON_COMPACT, out, NULL))
        buf_append_cstr(out, "none");
}

static void tell_change(diff_t *d, const char *key, bytes_t a, bytes_t b, breaks_t breaks)
{
    buf_t before = {0}, after = {0};
    value_text(a, &before);
    value_text(b, &after);
    tell(d, breaks, "%s: %s is now %s", key, buf_cstr(&before), buf_cstr(&after));
    buf_free(&before);
    buf_free(&after);
}

static bytes_t find(bytes_t schema, const char *key)
{
    bytes_t value;
    return schema.len && mp_map_find(schema, key, &value) ? value : BYTES_NONE;
}

/* A bound that is gone lets more pass, a new one less. `upper`: a greater one lets more pass. */
static void bound(diff_t *d, bytes_t a, bytes_t b, const char *key, bool upper)
{
    double x = 0, y = 0;
    bytes_t from = find(a, key), to = find(b, key);
    bool had = from.len && mp_map_double(a, key, &x), has = to.len && mp_map_double(b, key, &y);
    if (bytes_eq(from, to) || (!had && !has))
        return;
    bool lets_more = !has || (had && (upper ? y > x : y < x));
    tell_change(d, key, from, to, lets_more ? BREAKS_CONSUMERS : BREAKS_PRODUCERS);
}

/* Whether a text that one pattern takes is taken by another is not decided here. */
static void text_rule(diff_t *d, bytes_t a, bytes_t b, const char *key)
{
    bytes_t from = find(a, key), to = find(b, key);
    if (bytes_eq(from, to))
        return;
    tell_change(d, key, from, to, !from.len ? BREAKS_PRODUCERS : !to.len ? BREAKS_CONSUMERS : BREAKS_BOTH);
}

static bool list_has(bytes_t list, bytes_t item)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count = 0;
    bytes_t one;
    if (!list.len || !mp_get_array(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &one); i++)
        if (bytes_eq(one, item))
            return true;
    return false;
}

/* Tells of what `list` has and `other` has not. */
static void list_extra(diff_t *d, bytes_t list, bytes_t other, const char *what, breaks_t breaks)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count = 0;
    bytes_t one;
    if (!list.len || !mp_get_array(&r, &count))
        return;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &one); i++) {
        buf_t text = {0};
        value_text(one, &text);
        if (!list_has(other, one))
            tell(d, breaks, "%s %s", what, buf_cstr(&text));
        buf_free(&text);
    }
}

static void enumeration(diff_t *d, bytes_t a, bytes_t b)
{
    bytes_t from = find(a, "enum"), to = find(b, "enum");
    if (!from.len && to.len)
        tell(d, BREAKS_PRODUCERS, "only certain values are allowed now");
    else if (from.len && !to.len)
        tell(d, BREAKS_CONSUMERS, "any value is allowed now");
    if (!from.len || !to.len)
        return;
    list_extra(d, to, from, "may also be", BREAKS_CONSUMERS);
    list_extra(d, from, to, "may no longer be", BREAKS_PRODUCERS);
}

/* Integers are numbers. A list of types is compared as it stands. */
static void type(diff_t *d, bytes_t a, bytes_t b)
{
    bytes_t from = find(a, "type"), to = find(b, "type"), x = BYTES_NONE, y = BYTES_NONE;
    if (bytes_eq(from, to))
        return;
    (void)!mp_map_str(a, "type", &x);
    (void)!mp_map_str(b, "type", &y);
    bool widens = !to.len || (bytes_eq_cstr(x, "integer") && bytes_eq_cstr(y, "number"));
    bool narrows = !from.len || (bytes_eq_cstr(x, "number") && bytes_eq_cstr(y, "integer"));
    tell_change(d, "type", from, to, widens ? BREAKS_CONSUMERS : narrows ? BREAKS_PRODUCERS : BREAKS_BOTH);
}

/* -- members ------------------------------------------------------------------------------------------- */
static void diff(diff_t *d, bytes_t a, bytes_t b);

static void diff_below(diff_t *d, const char *fmt, bytes_t name, bytes_t a, bytes_t b)
{
    size_t len = d->path.len;
    if (d->depth == DEPTH_MAX)
        return;
    if (fmt[0] != '[' && len)
        buf_append_byte(&d->path, '.');
    buf_append_bytes(&d->path, fmt[0] == '[' ? bytes_cstr(fmt) : name);
    d->depth++;
    diff(d, a, b);
    d->depth--;
    d->path.len = len;
}

static bool is_required(bytes_t schema, bytes_t name)
{
    buf_t item = {0};
    mp_put_str(&item, name);
    bool found = list_has(find(schema, "required"), buf_bytes(&item));
    buf_free(&item);
    return found;
}

static void requirement(diff_t *d, bytes_t a, bytes_t b, bytes_t name, bool is_new)
{
    bool had = is_required(a, name), has = is_required(b, name);
    if (is_new)
        tell(d, has ? BREAKS_PRODUCERS : BREAKS_NOBODY, "new member %.*s, %s", BYTES_FMT(name),
             has ? "which must be there" : "optional");
    else if (had && !has)
        tell(d, BREAKS_CONSUMERS, "%.*s may be absent now", BYTES_FMT(name));
    else if (!had && has)
        tell(d, BREAKS_PRODUCERS, "%.*s must be there now", BYTES_FMT(name));
}

static bool pair_find(bytes_t map, bytes_t name, bytes_t *value)
{
    mp_reader_t r = mp_reader(map);
    uint32_t count = 0;
    bytes_t key;
    if (!map.len || !mp_get_map(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_str(&r, &key) && mp_get_raw(&r, value); i++)
        if (bytes_eq(key, name))
            return true;
    return false;
}

static void members(diff_t *d, bytes_t a, bytes_t b)
{
    bytes_t from = find(a, "properties"), to = find(b, "properties"), name, value, other;
    uint32_t count = 0;
    mp_reader_t r = mp_reader(to);
    if (to.len && mp_get_map(&r, &count))
        for (uint32_t i = 0; i < count && mp_get_str(&r, &name) && mp_get_raw(&r, &value); i++) {
            bool known = pair_find(from, name, &other);
            requirement(d, a, b, name, !known);
            if (known)
                diff_below(d, "", name, other, value);
        }
    r = mp_reader(from);
    if (from.len && mp_get_map(&r, &count))
        for (uint32_t i = 0; i < count && mp_get_str(&r, &name) && mp_get_raw(&r, &value); i++)
            if (!pair_find(to, name, &other))
                tell(d, is_required(a, name) ? BREAKS_CONSUMERS : BREAKS_NOBODY, "member %.*s is gone%s",
                     BYTES_FMT(name), is_required(a, name) ? ", and was always there" : "");
}

static void diff(diff_t *d, bytes_t a, bytes_t b)
{
    static const struct {
        const char *key;
        bool upper;
    } bounds[] = {{"minimum", false},         {"maximum", true},    {"exclusiveMinimum", false},
                  {"exclusiveMaximum", true}, {"minLength", false}, {"maxLength", true},
                  {"minItems", false},        {"maxItems", true},   {"minProperties", false},
                  {"maxProperties", true},    {"x-maxBytes", true}};
    type(d, a, b);
    enumeration(d, a, b);
    text_rule(d, a, b, "pattern");
    text_rule(d, a, b, "format");
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        bound(d, a, b, bounds[i].key, bounds[i].upper);
    members(d, a, b);
    bytes_t x = find(a, "items"), y = find(b, "items");
    if (x.len || y.len)
        diff_below(d, "[]", BYTES_NONE, x, y);
}

void schema_diff(bytes_t before, bytes_t after, schema_change_fn fn, void *ctx)
{
    diff_t d = {.fn = fn, .ctx = ctx};
    diff(&d, before, after);
    buf_free(&d.path);
}
