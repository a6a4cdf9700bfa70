/* fields.c: encodes and decodes by table what wire.h and record.h describe. */
#include "proto/fields.h"

#include <assert.h>

#include "proto/msgpack.h"

#define BODIES_BESIDE_LIST 8 /* a layout has one list with bodies at most, and few bodies of its own */

static const char *const expected[] = {
    [FIELD_U64] = "expected an unsigned integer",
    [FIELD_I64] = "expected an integer",
    [FIELD_BOOL] = "expected a boolean",
    [FIELD_STR] = "expected a string",
    [FIELD_BIN] = "expected binary",
    [FIELD_MAP] = "expected map",
    [FIELD_BODY] = "expected a length",
    [FIELD_LIST] = "expected an array",
};

/* -- encoding ----------------------------------------------------------------------------------- */

static uint32_t list_count(const field_t *field, const uint8_t *values)
{
    uint32_t count;
    memcpy(&count, values + field->offset, sizeof count);
    return count;
}

static void encode_map(buf_t *out, bytes_t map)
{
    if (map.len)
        mp_put_raw(out, map);
    else
        mp_put_nil(out);
}

/* Bodies that the header has named so far; they follow it in this order. */
typedef struct {
    bytes_t items[FIELDS_LIST_MAX + BODIES_BESIDE_LIST];
    uint32_t count;
} bodies_t;

static void encode_body(buf_t *out, bytes_t body, bodies_t *bodies)
{
    mp_put_u64(out, body.len);
    if (body.len == 0)
        return;
    assert(bodies->count < ARRAY_LEN(bodies->items));
    bodies->items[bodies->count++] = body;
}

static inline void encode_scalar(buf_t *out, field_type_t type, const void *member, bodies_t *bodies)
{
    switch (type) {
    case FIELD_U64:
        mp_put_u64(out, *(const uint64_t *)member);
        break;
    case FIELD_I64:
        mp_put_i64(out, *(const int64_t *)member);
        break;
    case FIELD_BOOL:
        mp_put_bool(out, *(const bool *)member);
        break;
    case FIELD_STR:
        mp_put_str(out, *(const bytes_t *)member);
        break;
    case FIELD_BIN:
        mp_put_bin(out, *(const bytes_t *)member);
        break;
    case FIELD_MAP:
        encode_map(out, *(const bytes_t *)member);
        break;
    case FIELD_BODY:
        encode_body(out, *(const bytes_t *)member, bodies);
        break;
    case FIELD_LIST:
        assert(false && "an entry holds no list");
    }
}

static void encode_list(buf_t *out, const field_t *list, const uint8_t *values, bodies_t *bodies)
{
    const fields_layout_t *entry = list->entry();
    const field_t *first = entry->fields, *end = first + entry->field_count;
    const uint8_t *item = values + list->items_offset;
    uint32_t count = list_count(list, values);
    assert(count <= FIELDS_LIST_MAX);
    mp_put_array(out, count);
    for (uint32_t i = 0; i < count; i++, item += entry->struct_bytes) {
        mp_put_array(out, (uint32_t)entry->field_count);
        for (const field_t *field = first; field < end; field++)
            encode_scalar(out, field->type, item + field->offset, bodies);
    }
}

void fields_encode(buf_t *out, const fields_layout_t *layout, bool has_second, uint64_t second, const void *values)
{
    bodies_t bodies;
    bodies.count = 0; /* its items are not cleared: they are many */
    mp_put_array(out, (uint32_t)(layout->field_count + 1 + has_second));
    mp_put_u64(out, layout->number);
    if (has_second)
        mp_put_u64(out, second);
    for (const field_t *field = layout->fields, *end = field + layout->field_count; field < end; field++) {
        if (field->type == FIELD_LIST)
            encode_list(out, field, values, &bodies);
        else
            encode_scalar(out, field->type, (const uint8_t *)values + field->offset, &bodies);
    }
    for (uint32_t i = 0; i < bodies.count; i++)
        buf_append_bytes(out, bodies.items[i]);
}

/* -- decoding ----------------------------------------------------------------------------------- */

typedef struct {
    mp_reader_t r;
    const fields_layout_t *layout; /* for the path in a refusal */
    const char *list;              /* inside an entry of it: its name; else NULL */
    uint32_t index;                /* of that entry */
    uint64_t body_bytes;           /* that the BODY fields so far have claimed */
    error_t *err;
} decoder_t;

static bool refuse(decoder_t *d, const char *field, const char *why)
{
    const char *layout = d->layout->name;
    if (d->list)
        return error_set(d->err, STATUS_INVALID_ARGUMENT, NULL, "%s.%s[%u]%s%s: %s", layout, d->list, d->index,
                         field ? "." : "", field ? field : "", why);
    return error_set(d->err, STATUS_INVALID_ARGUMENT, NULL, "%s%s%s: %s", layout, field ? "." : "", field ? field : "",
                     why);
}

/* Zeroes the fields from the `first` on: those that a shorter header lacks, or all. */
static void zero_fields(const fields_layout_t *layout, size_t first, uint8_t *values)
{
    static const size_t sizes[] = {
        [FIELD_U64] = sizeof(uint64_t), [FIELD_I64] = sizeof(int64_t),   [FIELD_BOOL] = sizeof(bool),
        [FIELD_STR] = sizeof(bytes_t),  [FIELD_BIN] = sizeof(bytes_t),   [FIELD_MAP] = sizeof(bytes_t),
        [FIELD_BODY] = sizeof(bytes_t), [FIELD_LIST] = sizeof(uint32_t),
    };
    for (size_t i = first; i < layout->field_count; i++)
        memset(values + layout->fields[i].offset, 0, sizes[layout->fields[i].type]);
}

static bool decode_str(decoder_t *d, const field_t *field, bytes_t *out)
{
    if (!mp_get_str(&d->r, out))
        return refuse(d, field->name, expected[FIELD_STR]);
    if (out->len == 0)
        return true;
    if (memchr(out->data, 0, out->len))
        return refuse(d, field->name, "the string holds a NUL");
    return bytes_is_utf8(*out, NULL) ? true : refuse(d, field->name, "the string is not UTF-8");
}

static bool decode_map(decoder_t *d, const field_t *field, bytes_t *out)
{
    mp_type_t type;
    if (!mp_peek(&d->r, &type) || (type != MP_MAP && type != MP_NIL))
        return refuse(d, field->name, expected[FIELD_MAP]);
    *out = BYTES_NONE;
    if (type == MP_NIL)
        return mp_get_nil(&d->r);
    error_t why;
    return mp_get_valid(&d->r, out, &why) ? true : refuse(d, field->name, why.message);
}

/* Only the length: where the bodies begin is known when the header has been read. */
static bool decode_body(decoder_t *d, const field_t *field, bytes_t *out)
{
    uint64_t len;
    if (!mp_get_u64(&d->r, &len))
        return refuse(d, field->name, expected[FIELD_BODY]);
    if (len > mp_left(&d->r) || d->body_bytes + len > mp_left(&d->r))
        return refuse(d, field->name, "the body is longer than what is left of the input");
    d->body_bytes += len;
    *out = bytes_from(NULL, len);
    return true;
}

static bool decode_scalar(decoder_t *d, const field_t *field, uint8_t *values)
{
    void *member = values + field->offset;
    bool good = false;
    switch (field->type) {
    case FIELD_U64:
        good = mp_get_u64(&d->r, member);
        break;
    case FIELD_I64:
        good = mp_get_i64(&d->r, member);
        break;
    case FIELD_BOOL:
        good = mp_get_bool(&d->r, member);
        break;
    case FIELD_BIN:
        good = mp_get_bin(&d->r, member);
        break;
    case FIELD_STR:
        return decode_str(d, field, member);
    case FIELD_MAP:
        return decode_map(d, field, member);
    case FIELD_BODY:
        return decode_body(d, field, member);
    case FIELD_LIST:
        assert(false && "an entry holds no list");
    }
    return good ? true : refuse(d, field->name, expected[field->type]);
}

/* What a newer writer added behind the fields known here. */
static bool skip_unknown(decoder_t *d, uint32_t count)
{
    for (; count > 0; count--)
        if (!mp_skip(&d->r))
            return refuse(d, NULL, d->r.error);
    return true;
}

static bool decode_entry(decoder_t *d, const fields_layout_t *entry, uint8_t *values)
{
    uint32_t count;
    if (!mp_get_array(&d->r, &count))
        return refuse(d, NULL, expected[FIELD_LIST]);
    size_t known = count < entry->field_count ? count : entry->field_count;
    zero_fields(entry, known, values);
    for (size_t i = 0; i < known; i++)
        if (!decode_scalar(d, &entry->fields[i], values))
            return false;
    return skip_unknown(d, count - (uint32_t)known);
}

static bool decode_list(decoder_t *d, const field_t *field, uint8_t *values)
{
    const fields_layout_t *entry = field->entry();
    uint32_t count;
    if (!mp_get_array(&d->r, &count))
        return refuse(d, field->name, expected[FIELD_LIST]);
    if (count > FIELDS_LIST_MAX)
        return refuse(d, field->name, "more than 256 entries");
    memcpy(values + field->offset, &count, sizeof count);
    d->list = field->name;
    for (d->index = 0; d->index < count; d->index++)
        if (!decode_entry(d, entry, values + field->items_offset + d->index * entry->struct_bytes))
            return false;
    d->list = NULL;
    return true;
}

static bool decode_fields(decoder_t *d, uint32_t count, uint8_t *values)
{
    const fields_layout_t *layout = d->layout;
    size_t known = count < layout->field_count ? count : layout->field_count;
    zero_fields(layout, known, values);
    for (size_t i = 0; i < known; i++) {
        const field_t *field = &layout->fields[i];
        if (!(field->type == FIELD_LIST ? decode_list(d, field, values) : decode_scalar(d, field, values)))
            return false;
    }
    return skip_unknown(d, count - (uint32_t)known);
}

/* Points every body at its bytes; returns what follows the last. */
static const uint8_t *place_bodies(const fields_layout_t *layout, uint8_t *values, const uint8_t *at)
{
    for (size_t i = 0; i < layout->field_count; i++) {
        const field_t *field = &layout->fields[i];
        if (field->type == FIELD_BODY) {
            bytes_t *body = (bytes_t *)(void *)(values + field->offset);
            body->data = at;
            at += body->len;
        }
        if (field->type != FIELD_LIST)
            continue;
        const fields_layout_t *entry = field->entry();
        for (uint32_t k = 0, count = list_count(field, values); k < count; k++)
            at = place_bodies(entry, values + field->items_offset + k * entry->struct_bytes, at);
    }
    return at;
}

/* The array's header and its first elements; *count is how many fields follow. */
static bool read_head(mp_reader_t *r, bool has_second, uint64_t *number, uint64_t *second, uint32_t *count)
{
    uint32_t elements;
    if (!mp_get_array(r, &elements) || elements < 1u + has_second)
        return false;
    *count = elements - 1u - has_second;
    return mp_get_u64(r, number) && (!has_second || mp_get_u64(r, second));
}

bool fields_peek(bytes_t input, bool has_second, uint64_t *number, uint64_t *second, error_t *err)
{
    mp_reader_t r = mp_reader(input);
    uint32_t count;
    *number = 0;
    if (second)
        *second = 0;
    if (read_head(&r, has_second, number, second, &count))
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "expected an array that begins with %s",
                     has_second ? "two unsigned integers" : "an unsigned integer");
}

static bool bodies_fit(decoder_t *d)
{
    if (d->body_bytes == mp_left(&d->r))
        return true;
    return refuse(d, NULL,
                  d->body_bytes < mp_left(&d->r) ? "more bytes follow than the bodies have"
                                                 : "the bodies are longer than what is left of the input");
}

bool fields_decode(bytes_t input, const fields_layout_t *layout, bool has_second, void *values, error_t *err)
{
    decoder_t d = {.r = mp_reader(input), .layout = layout, .err = err};
    uint64_t number, second;
    uint32_t count;
    if (!read_head(&d.r, has_second, &number, &second, &count) || number != layout->number) {
        zero_fields(layout, 0, values);
        return refuse(&d, NULL, "the header does not begin with its number");
    }
    if (!decode_fields(&d, count, values) || !bodies_fit(&d)) {
        zero_fields(layout, 0, values); /* nobody is to meet half of a frame, or what was there before */
        return false;
    }
    place_bodies(layout, values, d.r.pos);
    return true;
}
