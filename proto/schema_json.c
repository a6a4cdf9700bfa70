/* schema_json.c: a table as JSON Schema (draft-07), for readers and tools that are not ours. */
#include <inttypes.h>

#include "proto/schema_check.h"

#define INDENT_SPACES 2

typedef struct {
    buf_t *out;
    int depth;
    bool first; /* the next member is the first of its object */
} doc_t;

static void put_schema(doc_t *d, const schema_t *schema);

static void put_quoted(buf_t *out, const char *s)
{
    buf_append_byte(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*s);
    }
    buf_append_byte(out, '"');
}

static void put_line(doc_t *d)
{
    buf_append_byte(d->out, '\n');
    for (int i = 0; i < d->depth * INDENT_SPACES; i++)
        buf_append_byte(d->out, ' ');
}

static void put_key(doc_t *d, const char *key)
{
    if (!d->first)
        buf_append_byte(d->out, ',');
    d->first = false;
    put_line(d);
    put_quoted(d->out, key);
    buf_append_cstr(d->out, ": ");
}

static void put_text(doc_t *d, const char *key, const char *value)
{
    put_key(d, key);
    put_quoted(d->out, value);
}

static void put_number(doc_t *d, const char *key, int64_t value)
{
    put_key(d, key);
    buf_printf(d->out, "%" PRId64, value);
}

static void begin_object(doc_t *d)
{
    buf_append_byte(d->out, '{');
    d->depth++;
    d->first = true;
}

static void end_object(doc_t *d)
{
    bool empty = d->first;
    d->depth--;
    d->first = false;
    if (!empty)
        put_line(d);
    buf_append_byte(d->out, '}');
}

/* -- one member ----------------------------------------------------------------------------------- */

static void put_format(doc_t *d, schema_format_t format)
{
    switch (format) {
    case SCHEMA_FORMAT_ISBN13:
        put_text(d, "pattern", "^97[89][0-9]{10}$");
        break;
    case SCHEMA_FORMAT_RFC3339:
        put_text(d, "format", "date-time");
        break;
    case SCHEMA_FORMAT_DATE:
        put_text(d, "format", "date");
        break;
    case SCHEMA_FORMAT_UUID:
        put_text(d, "pattern", "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$");
        break;
    case SCHEMA_FORMAT_URI:
        put_text(d, "format", "uri");
        put_text(d, "pattern", "^https?://");
        break;
    case SCHEMA_FORMAT_CURRENCY:
        put_text(d, "pattern", "^[A-Z]{3}$");
        break;
    case SCHEMA_FORMAT_SHA256:
        put_text(d, "pattern", "^[0-9a-f]{64}$");
        break;
    case SCHEMA_FORMAT_NONE:
        break;
    }
}

static void put_enum(doc_t *d, const char *const *values)
{
    put_key(d, "enum");
    buf_append_byte(d->out, '[');
    for (const char *const *v = values; *v; v++) {
        if (v != values)
            buf_append_cstr(d->out, ", ");
        put_quoted(d->out, *v);
    }
    buf_append_byte(d->out, ']');
}

/* A character has one to four bytes: whoever passes our limit passes these. */
static void put_text_limits(doc_t *d, const schema_field_t *f)
{
    put_text(d, "type", "string");
    if (f->enum_values) {
        put_enum(d, f->enum_values);
        return;
    }
    put_format(d, f->format);
    if (f->format != SCHEMA_FORMAT_NONE && f->format != SCHEMA_FORMAT_URI)
        return; /* the format says how long it is */
    if (f->bounded && f->min > 0)
        put_number(d, "minLength", (f->min + 3) / 4);
    put_number(d, "maxLength", schema_len_max(f));
    put_number(d, "x-maxBytes", schema_len_max(f));
}

/* Binary stands in JSON as {"$binary": base64}; see json.h. */
static void put_binary_limits(doc_t *d, const schema_field_t *f)
{
    put_text(d, "type", "object");
    put_key(d, "required");
    buf_append_cstr(d->out, "[\"$binary\"]");
    put_key(d, "properties");
    begin_object(d);
    put_key(d, "$binary");
    begin_object(d);
    put_text(d, "type", "string");
    put_text(d, "contentEncoding", "base64");
    put_number(d, "maxLength", (schema_len_max(f) + 2) / 3 * 4);
    end_object(d);
    end_object(d);
    put_number(d, "x-maxBytes", schema_len_max(f));
}

static void put_integer_limits(doc_t *d, const schema_field_t *f, bool is_signed)
{
    put_text(d, "type", "integer");
    if (f->bounded || !is_signed)
        put_number(d, "minimum", f->bounded ? f->min : 0);
    if (f->bounded && f->max < INT64_MAX)
        put_number(d, "maximum", f->max);
}

static void put_double_limits(doc_t *d, const schema_field_t *f)
{
    put_text(d, "type", "number");
    if (!f->bounded)
        return;
    put_key(d, "minimum");
    buf_printf(d->out, "%.17g", f->fmin);
    put_key(d, "maximum");
    buf_printf(d->out, "%.17g", f->fmax);
}

static void put_map_limits(doc_t *d, const schema_field_t *f)
{
    put_text(d, "type", "object");
    if (f->count_min > 0)
        put_number(d, "minProperties", f->count_min);
    put_number(d, "maxProperties", schema_count_max(f));
}

static void put_entry(doc_t *d, const schema_field_t *f)
{
    switch (f->kind) {
    case SCHEMA_OBJS:
        put_schema(d, f->object);
        break;
    case SCHEMA_I64S:
        put_integer_limits(d, f, true);
        break;
    case SCHEMA_BINS:
        put_binary_limits(d, f);
        break;
    default:
        put_text_limits(d, f);
    }
}

static void put_list_limits(doc_t *d, const schema_field_t *f)
{
    put_text(d, "type", "array");
    if (f->count_min > 0)
        put_number(d, "minItems", f->count_min);
    put_number(d, "maxItems", schema_count_max(f));
    put_key(d, "items");
    begin_object(d);
    put_entry(d, f);
    end_object(d);
}

static void put_limits(doc_t *d, const schema_field_t *f)
{
    switch (f->kind) {
    case SCHEMA_STR:
        put_text_limits(d, f);
        break;
    case SCHEMA_BIN:
        put_binary_limits(d, f);
        break;
    case SCHEMA_BOOL:
        put_text(d, "type", "boolean");
        break;
    case SCHEMA_I64:
    case SCHEMA_U64:
        put_integer_limits(d, f, f->kind == SCHEMA_I64);
        break;
    case SCHEMA_F64:
        put_double_limits(d, f);
        break;
    case SCHEMA_MAP:
        put_map_limits(d, f);
        break;
    case SCHEMA_OBJ:
        put_schema(d, f->object);
        break;
    case SCHEMA_ANY:
        break;
    default:
        put_list_limits(d, f);
    }
}

/* -- a table -------------------------------------------------------------------------------------- */

static bool has_required(const schema_t *schema)
{
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (schema->fields[i].required)
            return true;
    return false;
}

static void put_required(doc_t *d, const schema_t *schema)
{
    if (!has_required(schema))
        return;
    put_key(d, "required");
    buf_append_byte(d->out, '[');
    const char *separator = "";
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!schema->fields[i].required)
            continue;
        buf_append_cstr(d->out, separator);
        put_quoted(d->out, schema->fields[i].name);
        separator = ", ";
    }
    buf_append_byte(d->out, ']');
}

static void put_member(doc_t *d, const schema_field_t *f)
{
    put_key(d, f->name);
    begin_object(d);
    put_text(d, "description", f->doc);
    put_limits(d, f);
    end_object(d);
}

/* The members of the schema's object; unknown properties are allowed, for readers ignore what is new. */
static void put_schema(doc_t *d, const schema_t *schema)
{
    put_text(d, "type", "object");
    put_required(d, schema);
    put_key(d, "properties");
    begin_object(d);
    for (uint32_t i = 0; i < schema->field_count; i++)
        put_member(d, &schema->fields[i]);
    end_object(d);
}

void schema_write_json(const schema_t *schema, const char *title, buf_t *out)
{
    doc_t d = {.out = out};
    begin_object(&d);
    put_text(&d, "$schema", "http://json-schema.org/draft-07/schema#");
    put_text(&d, "title", title);
    put_text(&d, "description", schema->doc);
    put_schema(&d, schema);
    end_object(&d);
    buf_append_byte(out, '\n');
}
