/* schema_unpack.c: one walk over a map by its table; it stores what it read where a struct was given. */
#include <assert.h>

#include "proto/msgpack.h"
#include "proto/schema_check.h"

#define FIELDS_MAX 64 /* rows of one table: the bits of `seen` */

typedef struct {
    mp_reader_t *in;
    arena_t *arena; /* NULL when only validating */
    error_t *err;
} walk_t;

static bool read_map(walk_t *w, const schema_t *schema, const schema_path_t *path, char *base);

static const char *type_text(const walk_t *w)
{
    static const char *const NAMES[] = {
        [MP_NIL] = "nil",        [MP_BOOL] = "a boolean", [MP_UINT] = "an integer", [MP_INT] = "an integer",
        [MP_FLOAT] = "a float",  [MP_STR] = "text",       [MP_BIN] = "binary",      [MP_EXT] = "an extension",
        [MP_ARRAY] = "an array", [MP_MAP] = "a map",
    };
    mp_type_t type;
    return mp_peek(w->in, &type) ? NAMES[type] : "something broken";
}

/* The reader still stands before the value: a failed typed read goes back to it. */
static bool wrong_type(walk_t *w, const schema_path_t *path, const char *expected)
{
    mp_reader_t again = *w->in;
    again.error = NULL;
    walk_t look = {.in = &again};
    return schema_refuse(w->err, path, "expected %s, found %s", expected, type_text(&look));
}

static void store(char *base, uint32_t offset, const void *value, size_t size)
{
    if (base)
        memcpy(base + offset, value, size);
}

/* -- single values -------------------------------------------------------------------------------- */

static bool take_text(walk_t *w, const schema_field_t *f, const schema_path_t *path, bytes_t *out)
{
    if (!mp_get_str(w->in, out))
        return wrong_type(w, path, "text");
    return schema_check_text(f, path, *out, w->err);
}

static bool take_bin(walk_t *w, const schema_field_t *f, const schema_path_t *path, bytes_t *out)
{
    if (!mp_get_bin(w->in, out))
        return wrong_type(w, path, "binary");
    return schema_check_bin(f, path, *out, w->err);
}

static bool take_i64(walk_t *w, const schema_field_t *f, const schema_path_t *path, int64_t *out)
{
    if (!mp_get_i64(w->in, out))
        return wrong_type(w, path, "an integer of 64 bits");
    return schema_check_i64(f, path, *out, w->err);
}

static bool read_i64(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    int64_t value;
    if (!take_i64(w, f, path, &value))
        return false;
    store(base, f->offset, &value, sizeof value);
    return true;
}

static bool read_u64(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    uint64_t value;
    if (!mp_get_u64(w->in, &value))
        return wrong_type(w, path, "an unsigned integer of 64 bits");
    if (!schema_check_u64(f, path, value, w->err))
        return false;
    store(base, f->offset, &value, sizeof value);
    return true;
}

static bool read_f64(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    double value;
    if (!mp_get_double(w->in, &value))
        return wrong_type(w, path, "a number that a double holds");
    if (!schema_check_f64(f, path, value, w->err))
        return false;
    store(base, f->offset, &value, sizeof value);
    return true;
}

static bool read_bool(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    bool value;
    if (!mp_get_bool(w->in, &value))
        return wrong_type(w, path, "true or false");
    store(base, f->offset, &value, sizeof value);
    return true;
}

static bool read_slice(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    bytes_t value;
    bool ok;
    if (f->kind == SCHEMA_STR)
        ok = take_text(w, f, path, &value);
    else if (f->kind == SCHEMA_BIN)
        ok = take_bin(w, f, path, &value);
    else if (mp_get_raw(w->in, &value))
        ok = schema_check_raw(f, path, value, w->err);
    else
        ok = schema_refuse(w->err, path, "the value is broken");
    if (ok)
        store(base, f->offset, &value, sizeof value);
    return ok;
}

/* -- lists ---------------------------------------------------------------------------------------- */

/* Every list_t of the contract has this shape. */
typedef struct {
    void *items;
    uint32_t count;
} any_list_t;

static bool begin_list(walk_t *w, const schema_field_t *f, const schema_path_t *path, size_t item_bytes, bool stored,
                       any_list_t *out)
{
    *out = (any_list_t){0};
    if (!mp_get_array(w->in, &out->count))
        return wrong_type(w, path, "an array");
    if (!schema_check_count(f, path, out->count, w->err))
        return false;
    if (!stored || out->count == 0)
        return true;
    out->items = arena_array(w->arena, out->count, item_bytes);
    return out->items || error_set(w->err, STATUS_RESOURCE_EXHAUSTED, NULL,
                                   "the message needs more than %zu bytes of memory", w->arena->max_bytes);
}

static bool read_entry(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *item)
{
    bytes_t slice = BYTES_NONE;
    int64_t number = 0;
    bool ok;
    switch (f->kind) {
    case SCHEMA_OBJS:
        return read_map(w, f->object, path, item);
    case SCHEMA_I64S:
        ok = take_i64(w, f, path, &number);
        store(item, 0, &number, sizeof number);
        return ok;
    case SCHEMA_BINS:
        ok = take_bin(w, f, path, &slice);
        break;
    default:
        ok = take_text(w, f, path, &slice);
    }
    store(item, 0, &slice, sizeof slice);
    return ok;
}

static size_t entry_bytes(const schema_field_t *f)
{
    if (f->kind == SCHEMA_OBJS)
        return f->object->struct_bytes;
    return f->kind == SCHEMA_I64S ? sizeof(int64_t) : sizeof(bytes_t);
}

static bool read_list(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    any_list_t list;
    size_t size = entry_bytes(f);
    if (!begin_list(w, f, path, size, base != NULL, &list))
        return false;
    for (uint32_t i = 0; i < list.count; i++) {
        schema_path_t here = {.parent = path, .index = i};
        if (!read_entry(w, f, &here, list.items ? (char *)list.items + i * size : NULL))
            return false;
    }
    store(base, f->offset, &list, sizeof list);
    return true;
}

/* -- maps ----------------------------------------------------------------------------------------- */

static bool read_value(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    switch (f->kind) {
    case SCHEMA_STR:
    case SCHEMA_BIN:
    case SCHEMA_ANY:
    case SCHEMA_MAP:
        return read_slice(w, f, path, base);
    case SCHEMA_BOOL:
        return read_bool(w, f, path, base);
    case SCHEMA_I64:
        return read_i64(w, f, path, base);
    case SCHEMA_U64:
        return read_u64(w, f, path, base);
    case SCHEMA_F64:
        return read_f64(w, f, path, base);
    case SCHEMA_OBJ:
        return read_map(w, f->object, path, base ? base + f->offset : NULL);
    case SCHEMA_STRS:
    case SCHEMA_BINS:
    case SCHEMA_I64S:
    case SCHEMA_OBJS:
        return read_list(w, f, path, base);
    }
    return false;
}

static bool next_is_nil(const walk_t *w)
{
    mp_type_t type;
    return mp_peek(w->in, &type) && type == MP_NIL;
}

static bool read_field(walk_t *w, const schema_field_t *f, const schema_path_t *path, char *base)
{
    if (!f->required && f->kind != SCHEMA_ANY && next_is_nil(w))
        return mp_get_nil(w->in);
    if (!read_value(w, f, path, base))
        return false;
    if (!f->required)
        store(base, f->has_offset, &(bool){true}, sizeof(bool));
    return true;
}

static const schema_field_t *find_field(const schema_t *schema, bytes_t name, uint32_t *index)
{
    for (*index = 0; *index < schema->field_count; (*index)++)
        if (bytes_eq_cstr(name, schema->fields[*index].name))
            return &schema->fields[*index];
    return NULL;
}

static bool read_pair(walk_t *w, const schema_t *schema, const schema_path_t *path, char *base, uint64_t *seen)
{
    bytes_t name;
    if (!mp_get_str(w->in, &name))
        return schema_refuse(w->err, path, "expected text keys");
    uint32_t index;
    const schema_field_t *f = find_field(schema, name, &index);
    if (!f)
        return mp_skip(w->in) || schema_refuse(w->err, path, "an unknown member is broken");
    schema_path_t here = {.parent = path, .name = f->name};
    if (*seen & UINT64_C(1) << index)
        return schema_refuse(w->err, &here, "stands twice");
    *seen |= UINT64_C(1) << index;
    return read_field(w, f, &here, base);
}

static bool check_complete(walk_t *w, const schema_t *schema, const schema_path_t *path, uint64_t seen)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const schema_field_t *f = &schema->fields[i];
        schema_path_t here = {.parent = path, .name = f->name};
        if (f->required && !(seen & UINT64_C(1) << i))
            return schema_refuse(w->err, &here, "is missing");
    }
    return true;
}

/* Recursion is as deep as the tables are nested, whatever the input. */
static bool read_map(walk_t *w, const schema_t *schema, const schema_path_t *path, char *base)
{
    uint32_t count;
    if (!mp_get_map(w->in, &count))
        return wrong_type(w, path, "a map");
    assert(schema->field_count <= FIELDS_MAX);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!read_pair(w, schema, path, base, &seen))
            return false;
    return check_complete(w, schema, path, seen);
}

static bool read_whole(const schema_t *schema, bytes_t input, arena_t *arena, void *out, error_t *err)
{
    mp_reader_t r = mp_reader(input);
    walk_t w = {.in = &r, .arena = arena, .err = err};
    schema_path_t root = {.name = schema->root};
    if (!read_map(&w, schema, &root, out))
        return false;
    return mp_left(&r) == 0 || schema_refuse(err, &root, "%zu bytes behind its end", mp_left(&r));
}

bool schema_unpack(const schema_t *schema, bytes_t input, arena_t *arena, void *out, error_t *err)
{
    memset(out, 0, schema->struct_bytes);
    return read_whole(schema, input, arena, out, err);
}

bool schema_validate(const schema_t *schema, bytes_t input, error_t *err)
{
    return read_whole(schema, input, NULL, NULL, err);
}
