/* schema_random.c: walks a table and fills a struct by it. */
#include "tests/lib/schema_random.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/isbn.h"
#include "proto/msgpack.h"

#define NAME_BYTES 256
#define TEXT_MORE 8 /* bytes beyond the least */

typedef struct {
    random_t *random;
    arena_t *arena;
    bool all;
} maker_t;

static void fill(maker_t *m, const schema_t *schema, char *base);

static void *take(maker_t *m, size_t count, size_t size)
{
    void *p = arena_array(m->arena, count ? count : 1, size);
    if (!p)
        abort();
    return p;
}

static bytes_t keep(maker_t *m, const char *text)
{
    size_t len = strlen(text);
    char *copy = take(m, len + 1, 1);
    memcpy(copy, text, len);
    return bytes_from(copy, len);
}

static bytes_t random_isbn(maker_t *m)
{
    char text[ISBN13_TEXT_BYTES];
    snprintf(text, sizeof text, "9784%08u0", (unsigned)random_below(m->random, 100000000));
    text[12] = isbn13_check_digit(text);
    return keep(m, text);
}

static bytes_t formatted(maker_t *m, schema_format_t format)
{
    static const char *const EXAMPLES[] = {
        [SCHEMA_FORMAT_RFC3339] = "2026-01-30T20:15:12Z",
        [SCHEMA_FORMAT_DATE] = "2028-02-29",
        [SCHEMA_FORMAT_UUID] = "01890a5d-ac96-774b-bcce-b302099a8057",
        [SCHEMA_FORMAT_URI] = "https://example.com/done?job=1",
        [SCHEMA_FORMAT_CURRENCY] = "JPY",
        [SCHEMA_FORMAT_SHA256] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    };
    return format == SCHEMA_FORMAT_ISBN13 ? random_isbn(m) : keep(m, EXAMPLES[format]);
}

static bytes_t chosen(maker_t *m, const char *const *values)
{
    size_t count = 0;
    while (values[count])
        count++;
    return keep(m, values[random_below(m->random, count)]);
}

static bytes_t random_text(maker_t *m, const schema_field_t *f)
{
    static const char HEAD[] = "巻"; /* three bytes */
    if (f->enum_values)
        return chosen(m, f->enum_values);
    if (f->format != SCHEMA_FORMAT_NONE)
        return formatted(m, f->format);
    size_t min = f->bounded ? (size_t)f->min : 0;
    size_t max = f->bounded ? (size_t)f->max : min + TEXT_MORE;
    size_t len = min + random_below(m->random, TEXT_MORE);
    len = len > max ? max : len;
    char *text = take(m, len + 1, 1);
    memset(text, 'a', len);
    if (len >= 3)
        memcpy(text, HEAD, 3);
    return bytes_from(text, len);
}

static bytes_t random_map(maker_t *m, const schema_field_t *f)
{
    buf_t buf = {0};
    uint32_t count = f->count_min + 1;
    if (f->kind == SCHEMA_ANY) {
        mp_put_array(&buf, 1);
        mp_put_double(&buf, 0.5);
    } else {
        mp_put_map(&buf, count);
        for (uint32_t i = 0; i < count; i++) {
            char key[16];
            snprintf(key, sizeof key, "key%u", i);
            mp_put_cstr(&buf, key);
            mp_put_u64(&buf, random_below(m->random, 1000));
        }
    }
    char *copy = take(m, buf.len, 1);
    memcpy(copy, buf.data, buf.len);
    bytes_t value = bytes_from(copy, buf.len);
    buf_free(&buf);
    return value;
}

static bytes_t random_slice(maker_t *m, const schema_field_t *f)
{
    return f->kind == SCHEMA_ANY || f->kind == SCHEMA_MAP ? random_map(m, f) : random_text(m, f);
}

static int64_t random_i64(maker_t *m, const schema_field_t *f)
{
    if (!f->bounded)
        return (int64_t)random_u64(m->random);
    uint64_t span = (uint64_t)f->max - (uint64_t)f->min;
    return f->min + (int64_t)(span == UINT64_MAX ? random_u64(m->random) : random_below(m->random, span + 1));
}

static double random_f64(maker_t *m, const schema_field_t *f)
{
    double part = (double)random_below(m->random, 1000) / 1000;
    return f->bounded ? f->fmin + part * (f->fmax - f->fmin) : part * 1e6 - 5e5;
}

static size_t entry_bytes(const schema_field_t *f)
{
    if (f->kind == SCHEMA_OBJS)
        return f->object->struct_bytes;
    return f->kind == SCHEMA_I64S ? sizeof(int64_t) : sizeof(bytes_t);
}

static void put_i64(char *at, int64_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_bool(char *at, bool value)
{
    memcpy(at, &value, sizeof value);
}

static void put_f64(char *at, double value)
{
    memcpy(at, &value, sizeof value);
}

static void fill_entry(maker_t *m, const schema_field_t *f, char *entry)
{
    if (f->kind == SCHEMA_OBJS) {
        fill(m, f->object, entry);
    } else if (f->kind == SCHEMA_I64S) {
        put_i64(entry, random_i64(m, f));
    } else {
        bytes_t value = random_slice(m, f);
        memcpy(entry, &value, sizeof value);
    }
}

static void fill_list(maker_t *m, const schema_field_t *f, char *at)
{
    uint32_t count = f->count_min + (uint32_t)random_below(m->random, 3);
    if (m->all && count == 0)
        count = 1;
    if (f->count_max && count > f->count_max)
        count = f->count_max;
    struct {
        void *items;
        uint32_t count;
    } list = {take(m, count, entry_bytes(f)), count};
    for (uint32_t i = 0; i < count; i++)
        fill_entry(m, f, (char *)list.items + i * entry_bytes(f));
    memcpy(at, &list, sizeof list);
}

static void fill_field(maker_t *m, const schema_field_t *f, char *at)
{
    bytes_t slice;
    switch (f->kind) {
    case SCHEMA_BOOL:
        put_bool(at, random_below(m->random, 2) == 1);
        break;
    case SCHEMA_I64:
    case SCHEMA_U64:
        put_i64(at, random_i64(m, f));
        break;
    case SCHEMA_F64:
        put_f64(at, random_f64(m, f));
        break;
    case SCHEMA_OBJ:
        fill(m, f->object, at);
        break;
    case SCHEMA_STRS:
    case SCHEMA_BINS:
    case SCHEMA_I64S:
    case SCHEMA_OBJS:
        fill_list(m, f, at);
        break;
    default:
        slice = random_slice(m, f);
        memcpy(at, &slice, sizeof slice);
    }
}

static void fill(maker_t *m, const schema_t *schema, char *base)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const schema_field_t *f = &schema->fields[i];
        if (!f->required && !m->all && random_below(m->random, 2) == 0)
            continue;
        if (!f->required)
            put_bool(base + f->has_offset, true);
        fill_field(m, f, base + f->offset);
    }
}

void *schema_random(random_t *random, const schema_t *schema, bool all, arena_t *arena)
{
    maker_t m = {.random = random, .arena = arena, .all = all};
    char *base = take(&m, 1, schema->struct_bytes);
    fill(&m, schema, base);
    return base;
}

typedef void each_t(void *ctx, const char *name, const schema_t *schema);

static void each_call(const schema_call_t *call, each_t *each, void *ctx)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "call.%s.request", call->method);
    each(ctx, name, call->request);
    snprintf(name, sizeof name, "call.%s.response", call->method);
    each(ctx, name, call->response);
    if (!call->chunk)
        return;
    snprintf(name, sizeof name, "call.%s.chunk", call->method);
    each(ctx, name, call->chunk);
}

void schema_each(each_t *each, void *ctx)
{
    char name[NAME_BYTES];
    size_t count;
    const schema_event_t *events = schema_events(&count);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "event.%s.%s", events[i].source, events[i].detail_type);
        each(ctx, name, events[i].detail);
    }
    const schema_call_t *calls = schema_calls(&count);
    for (size_t i = 0; i < count; i++)
        each_call(&calls[i], each, ctx);
    const schema_message_t *messages = schema_messages(&count);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "message.%s", messages[i].queue);
        each(ctx, name, messages[i].body);
    }
}
