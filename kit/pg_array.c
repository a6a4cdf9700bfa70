/* pg_array.c: braces, commas, quotes. */
#include "kit/pg_array.h"

#include <inttypes.h>

static void separate(buf_t *array)
{
    buf_append_byte(array, array->len ? ',' : '{');
}

void pg_array_text(buf_t *array, bytes_t text)
{
    separate(array);
    buf_append_byte(array, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buf_append_byte(array, '\\');
        buf_append_byte(array, text.data[i]);
    }
    buf_append_byte(array, '"');
}

void pg_array_text_or_null(buf_t *array, bytes_t text)
{
    if (text.len)
        pg_array_text(array, text);
    else
        pg_array_null(array);
}

void pg_array_i64(buf_t *array, int64_t value)
{
    separate(array);
    buf_printf(array, "%" PRId64, value);
}

void pg_array_bool(buf_t *array, bool value)
{
    separate(array);
    buf_append_byte(array, value ? 't' : 'f');
}

void pg_array_bytea(buf_t *array, bytes_t value)
{
    static const char digits[] = "0123456789abcdef";
    separate(array);
    buf_append_cstr(array, "\"\\\\x");
    for (size_t i = 0; i < value.len && buf_reserve(array, 2); i++) {
        array->data[array->len++] = (uint8_t)digits[value.data[i] >> 4];
        array->data[array->len++] = (uint8_t)digits[value.data[i] & 15];
    }
    buf_append_byte(array, '"');
}

void pg_array_null(buf_t *array)
{
    separate(array);
    buf_append_cstr(array, "NULL");
}

void pg_array_i64_or_null(buf_t *array, bool has, int64_t value)
{
    if (has)
        pg_array_i64(array, value);
    else
        pg_array_null(array);
}

bytes_t pg_array_end(buf_t *array)
{
    if (array->len == 0)
        buf_append_byte(array, '{');
    buf_append_byte(array, '}');
    return buf_bytes(array);
}
