/* pg_array.h: PostgreSQL's array literals, grown element by element: a column of many rows as one parameter.
 *
 * A zeroed buf_t is an array without elements. Out of memory shows in the buffer's `failed`.
 *
 * Source: PostgreSQL documentation, "Array Input and Output Syntax". */
#ifndef KIT_PG_ARRAY_H
#define KIT_PG_ARRAY_H

#include "proto/bytes.h"

/* Quoted always: so the text NULL is none, and commas and braces are plain. */
void pg_array_text(buf_t *array, bytes_t text);
void pg_array_text_or_null(buf_t *array, bytes_t text); /* an empty slice is NULL */
void pg_array_i64(buf_t *array, int64_t value);
void pg_array_bool(buf_t *array, bool value);
void pg_array_bytea(buf_t *array, bytes_t value);
void pg_array_null(buf_t *array);
void pg_array_i64_or_null(buf_t *array, bool has, int64_t value);
/* Closes the literal, once, behind its last element; the slice lives as long as the buffer is left alone. */
bytes_t pg_array_end(buf_t *array);

#endif
