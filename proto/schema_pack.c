/* schema_pack.c: writes a struct by its table, and lets nothing out that unpack would refuse. */
#include "proto/msgpack.h"
#include "proto/schema_check.h"

typedef struct {
    const void *items;
    uint32_t count;
} any_list_t;

static bool put_map(buf_t *out, const schema_t *schema, const schema_path_t *path, const char *base, error_t *err);

static bytes_t slice_at(const char *base, size_t offset)
{
    bytes_t value;
    memcpy(&value, base + offset, sizeof value);
    return value;
}

static int64_t number_at(const char *base, size_t offset)
{
    int64_t value;
    memcpy(&value, base + offset, sizeof value);
    return value;
}

static bool flag_at(const char *base, size_t offset)
{
    bool value;
    memcpy(&value, base + offset, sizeof value);
    return value;
}

static bool put_slice(buf_t *out, const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    switch (f->kind) {
    case SCHEMA_BIN:
    case SCHEMA_BINS:
        mp_put_bin(out, value);
        return schema_check_bin(f, path, value, err);
    case SCHEMA_ANY:
    case SCHEMA_MAP:
        mp_put_raw(out, value);
        return schema_check_raw(f, path, value, err);
    default:
        mp_put_str(out, value);
        return schema_check_text(f, path, value, err);
    }
}

static bool put_i64(buf_t *out, const schema_field_t *f, const schema_path_t *path, int64_t value, error_t *err)
{
    mp_put_i64(out, value);
    return schema_check_i64(f, path, value, err);
}

static bool put_u64(buf_t *out, const schema_field_t *f, const schema_path_t *path, const char *base, error_t *err)
{
    uint64_t value;
    memcpy(&value, base + f->offset, sizeof value);
    mp_put_u64(out, value);
    return schema_check_u64(f, path, value, err);
}

static bool put_f64(buf_t *out, const schema_field_t *f, const schema_path_t *path, const char *base, error_t *err)
{
    double value;
    memcpy(&value, base + f->offset, sizeof value);
    mp_put_double(out, value);
    return schema_check_f64(f, path, value, err);
}

static bool put_entry(buf_t *out, const schema_field_t *f, const schema_path_t *path, const any_list_t *list,
                      uint32_t i, error_t *err)
{
    const char *items = list->items;
    switch (f->kind) {
    case SCHEMA_OBJS:
        return put_map(out, f->object, path, items + (size_t)i * f->object->struct_bytes, err);
    case SCHEMA_I64S:
        return put_i64(out, f, path, number_at(items, i * sizeof(int64_t)), err);
    default:
        return put_slice(out, f, path, slice_at(items, i * sizeof(bytes_t)), err);
    }
}

static bool put_list(buf_t *out, const schema_field_t *f, const schema_path_t *path, const char *base, error_t *err)
{
    any_list_t list;
    memcpy(&list, base + f->offset, sizeof list);
    if (!schema_check_count(f, path, list.count, err))
        return false;
    mp_put_array(out, list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        schema_path_t here = {.parent = path, .index = i};
        if (!put_entry(out, f, &here, &list, i, err))
            return false;
    }
    return true;
}

static bool put_value(buf_t *out, const schema_field_t *f, const schema_path_t *path, const char *base, error_t *err)
{
    switch (f->kind) {
    case SCHEMA_STR:
    case SCHEMA_BIN:
    case SCHEMA_ANY:
    case SCHEMA_MAP:
        return put_slice(out, f, path, slice_at(base, f->offset), err);
    case SCHEMA_BOOL:
        mp_put_bool(out, flag_at(base, f->offset));
        return true;
    case SCHEMA_I64:
        return put_i64(out, f, path, number_at(base, f->offset), err);
    case SCHEMA_U64:
        return put_u64(out, f, path, base, err);
    case SCHEMA_F64:
        return put_f64(out, f, path, base, err);
    case SCHEMA_OBJ:
        return put_map(out, f->object, path, base + f->offset, err);
    case SCHEMA_STRS:
    case SCHEMA_BINS:
    case SCHEMA_I64S:
    case SCHEMA_OBJS:
        return put_list(out, f, path, base, err);
    }
    return false;
}

static bool is_there(const schema_field_t *f, const char *base)
{
    return f->required || flag_at(base, f->has_offset);
}

static bool put_map(buf_t *out, const schema_t *schema, const schema_path_t *path, const char *base, error_t *err)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < schema->field_count; i++)
        count += is_there(&schema->fields[i], base);
    mp_put_map(out, count);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const schema_field_t *f = &schema->fields[i];
        if (!is_there(f, base))
            continue;
        schema_path_t here = {.parent = path, .name = f->name};
        mp_put_cstr(out, f->name);
        if (!put_value(out, f, &here, base, err))
            return false;
    }
    return true;
}

bool schema_pack(const schema_t *schema, buf_t *out, const void *in, error_t *err)
{
    size_t before = out->len;
    schema_path_t root = {.name = schema->root};
    bool ok = put_map(out, schema, &root, in, err);
    if (ok && out->failed)
        ok = error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "%s: out of memory", schema->root);
    if (!ok)
        out->len = before;
    return ok;
}
