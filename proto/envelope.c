/* envelope.c: one pass over the map, one table of keys. */
#include "proto/envelope.h"

#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define EMPTY_ARRAY_BYTES 1

typedef enum { KEY_TEXT, KEY_RESOURCES, KEY_DETAIL } key_kind_t;

typedef struct {
    const char *name;
    size_t name_bytes;
    key_kind_t kind;
    size_t offset;
    size_t min_bytes; /* 0 for a key that may be absent */
    size_t max_bytes;
} key_row_t;

#define KEY(name, member, min, max)                                                                                    \
    {                                                                                                                  \
        name, sizeof name - 1, KEY_TEXT, offsetof(envelope_t, member), min, max                                        \
    }

/* In the order in which they are written. */
static const key_row_t KEYS[ENVELOPE_KEYS] = {
    KEY("version", version, 0, 8),
    KEY("id", id, 1, ENVELOPE_ID_MAX_BYTES),
    KEY("detail-type", detail_type, 1, ENVELOPE_DETAIL_TYPE_MAX_BYTES),
    KEY("source", source, 1, ENVELOPE_SOURCE_MAX_BYTES),
    KEY("account", account, 0, ENVELOPE_ACCOUNT_MAX_BYTES),
    KEY("time", time, 1, ENVELOPE_TIME_MAX_BYTES),
    KEY("region", region, 0, ENVELOPE_REGION_MAX_BYTES),
    {"resources", sizeof "resources" - 1, KEY_RESOURCES, offsetof(envelope_t, resources), 0, ENVELOPE_MAX_BYTES},
    {"detail", sizeof "detail" - 1, KEY_DETAIL, offsetof(envelope_t, detail), 1, ENVELOPE_MAX_BYTES},
};

static bytes_t *member(envelope_t *e, const key_row_t *key)
{
    return (bytes_t *)(void *)((char *)e + key->offset);
}

const char *envelope_key_name(envelope_key_t key)
{
    return KEYS[key].name;
}

bytes_t envelope_member(const envelope_t *e, envelope_key_t key)
{
    return *(const bytes_t *)(const void *)((const char *)e + KEYS[key].offset);
}

static bool refuse(error_t *err, const char *key, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument", "%s: %s", key, what);
}

static bool check_text(const key_row_t *key, bytes_t text, error_t *err)
{
    if (text.len < key->min_bytes)
        return refuse(err, key->name, "must not be empty");
    if (text.len > key->max_bytes)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument", "%s: %zu bytes, at most %zu are allowed",
                         key->name, text.len, key->max_bytes);
    if (!bytes_is_ascii(text) && !bytes_is_utf8(text, NULL))
        return refuse(err, key->name, "is not UTF-8");
    return true;
}

static bool check_resources(bytes_t resources, error_t *err)
{
    if (resources.len == 0)
        return true;
    mp_reader_t r = mp_reader(resources);
    uint32_t count;
    if (!mp_get_array(&r, &count) || count > ENVELOPE_RESOURCES_MAX)
        return refuse(err, "resources", "expected an array of at most 100 strings");
    for (uint32_t i = 0; i < count; i++) {
        bytes_t text;
        if (!mp_get_str(&r, &text) || text.len > ENVELOPE_RESOURCE_MAX_BYTES || !bytes_is_utf8(text, NULL))
            return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument",
                             "resources[%u]: expected UTF-8 text of at most %d bytes", i, ENVELOPE_RESOURCE_MAX_BYTES);
    }
    return mp_left(&r) == 0 || refuse(err, "resources", "has bytes behind its end");
}

static bool read_detail(mp_reader_t *r, bytes_t *out, error_t *err)
{
    mp_type_t type;
    if (!mp_peek(r, &type) || type != MP_MAP)
        return error_set(err, STATUS_INVALID_ARGUMENT, "MalformedDetail", "detail: expected a map");
    if (!mp_get_valid(r, out, err)) {
        error_prefix(err, "detail");
        return false;
    }
    return true;
}

static bool check_detail(bytes_t detail, error_t *err)
{
    mp_reader_t r = mp_reader(detail);
    bytes_t whole;
    return read_detail(&r, &whole, err) && (mp_left(&r) == 0 || refuse(err, "detail", "has bytes behind its end"));
}

/* All that one key alone can be wrong with. */
static bool check_key(const key_row_t *key, bytes_t value, error_t *err)
{
    switch (key->kind) {
    case KEY_RESOURCES:
        return check_resources(value, err);
    case KEY_DETAIL:
        return check_detail(value, err);
    default:
        return check_text(key, value, err);
    }
}

static bool check_whole(envelope_t *e, error_t *err)
{
    if (!timefmt_parse(e->time, &e->time_us))
        return refuse(err, "time", "expected RFC 3339, such as 2026-01-30T20:15:12Z");
    if (envelope_size_bytes(e, e->detail.len) > ENVELOPE_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "the event has %zu bytes by EventBridge's count, at most %zu are allowed",
                         envelope_size_bytes(e, e->detail.len), ENVELOPE_MAX_BYTES);
    return true;
}

/* Looks at *index first, where the key stands when our own writer wrote the map; sets it to where it is. */
static const key_row_t *key_find(bytes_t name, size_t *index)
{
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        size_t at = (*index + i) % ARRAY_LEN(KEYS);
        const key_row_t *key = &KEYS[at];
        if (!bytes_eq(name, bytes_from(key->name, key->name_bytes)))
            continue;
        *index = at;
        return key;
    }
    return NULL;
}

static bool read_value(mp_reader_t *r, const key_row_t *key, envelope_t *out, error_t *err)
{
    bytes_t value;
    bool text = key->kind == KEY_TEXT;
    if (key->kind == KEY_DETAIL)
        return read_detail(r, &out->detail, err);
    if (!(text ? mp_get_str(r, &value) : mp_get_raw(r, &value)))
        return refuse(err, key->name, text ? "expected a string" : "is broken");
    if (!check_key(key, value, err))
        return false;
    *member(out, key) = value;
    return true;
}

static bool skip_value(mp_reader_t *r, error_t *err)
{
    return mp_skip(r) || error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument",
                                   "envelope: broken value at offset %zu", mp_offset(r));
}

static bool read_pair(mp_reader_t *r, envelope_t *out, size_t expected, error_t *err)
{
    bytes_t name;
    if (!mp_get_str(r, &name))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument",
                         "envelope: expected a string key at offset %zu", mp_offset(r));
    size_t index = expected;
    const key_row_t *key = key_find(name, &index);
    if (!key) {
        out->has_more_keys = true;
        return skip_value(r, err);
    }
    if (out->seen & 1u << index)
        return refuse(err, key->name, "stands twice");
    out->seen |= 1u << index;
    return read_value(r, key, out, err);
}

static bool check_complete(unsigned seen, error_t *err)
{
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (KEYS[i].min_bytes > 0 && !(seen & 1u << i))
            return refuse(err, KEYS[i].name, "is missing");
    return true;
}

bool envelope_read(bytes_t input, envelope_t *out, error_t *err)
{
    *out = (envelope_t){.version = BYTES_LIT(ENVELOPE_VERSION)};
    if (input.len > ENVELOPE_ENCODED_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "envelope: %zu bytes, at most %zu are allowed", input.len, ENVELOPE_ENCODED_MAX_BYTES);
    mp_reader_t r = mp_reader(input);
    uint32_t count;
    if (!mp_get_map(&r, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument", "envelope: expected a map");
    for (uint32_t i = 0; i < count; i++)
        if (!read_pair(&r, out, i, err))
            return false;
    if (mp_left(&r) != 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidArgument", "envelope: %zu bytes behind its end",
                         mp_left(&r));
    return check_complete(out->seen, err) && check_whole(out, err);
}

static void put_key(buf_t *out, const key_row_t *key, bytes_t value)
{
    mp_put_cstr(out, key->name);
    if (key->kind == KEY_TEXT)
        mp_put_str(out, value);
    else if (value.len == 0)
        mp_put_array(out, 0);
    else
        mp_put_raw(out, value);
}

static void fill_defaults(envelope_t *e)
{
    if (e->version.len == 0)
        e->version = BYTES_LIT(ENVELOPE_VERSION);
    if (e->account.len == 0)
        e->account = BYTES_LIT(ENVELOPE_LOCAL_ACCOUNT);
    if (e->region.len == 0)
        e->region = BYTES_LIT(ENVELOPE_LOCAL_REGION);
}

bool envelope_write(buf_t *out, const envelope_t *given, error_t *err)
{
    envelope_t e = *given;
    fill_defaults(&e);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (!check_key(&KEYS[i], *member(&e, &KEYS[i]), err))
            return false;
    if (!check_whole(&e, err))
        return false;
    size_t before = out->len;
    mp_put_map(out, ARRAY_LEN(KEYS));
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        put_key(out, &KEYS[i], *member(&e, &KEYS[i]));
    if (!out->failed)
        return true;
    out->len = before;
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "envelope: out of memory");
}

size_t envelope_size_bytes(const envelope_t *e, size_t detail_bytes)
{
    size_t size = ENVELOPE_TIME_SIZE_BYTES + e->source.len + e->detail_type.len + detail_bytes;
    size_t at = 0;
    if (e->resources.len <= EMPTY_ARRAY_BYTES)
        return size;
    for (bytes_t resource; envelope_next_resource(e, &at, &resource);)
        size += resource.len;
    return size;
}

bool envelope_next_resource(const envelope_t *e, size_t *at, bytes_t *out)
{
    mp_reader_t r = mp_reader(e->resources);
    uint32_t count;
    if (e->resources.len == 0 || !mp_get_array(&r, &count))
        return false;
    if (*at == 0)
        *at = mp_offset(&r);
    if (*at >= e->resources.len)
        return false;
    mp_reader_t rest = mp_reader(bytes_from(e->resources.data + *at, e->resources.len - *at));
    if (!mp_get_str(&rest, out))
        return false;
    *at += mp_offset(&rest);
    return true;
}
