/* schema_check.h: the limits of a field and the path of an error, shared by pack and unpack; of no use elsewhere. */
#ifndef PROTO_SCHEMA_CHECK_H
#define PROTO_SCHEMA_CHECK_H

#include "proto/schema.h"

/* One step of a path, on the stack of whoever walks: a member, or an entry of a list. */
typedef struct schema_path {
    const struct schema_path *parent; /* NULL for the root */
    const char *name;                 /* NULL for an entry */
    uint32_t index;
} schema_path_t;

/* INVALID_ARGUMENT, "path: what". Returns false. */
bool schema_refuse(error_t *err, const schema_path_t *path, const char *fmt, ...) PRINTF_LIKE(3, 4);

MUST_USE bool schema_check_text(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err);
MUST_USE bool schema_check_bin(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err);
MUST_USE bool schema_check_i64(const schema_field_t *f, const schema_path_t *path, int64_t value, error_t *err);
MUST_USE bool schema_check_u64(const schema_field_t *f, const schema_path_t *path, uint64_t value, error_t *err);
MUST_USE bool schema_check_f64(const schema_field_t *f, const schema_path_t *path, double value, error_t *err);
MUST_USE bool schema_check_count(const schema_field_t *f, const schema_path_t *path, uint64_t count, error_t *err);
/* For ANY and MAP: one well-formed value; for MAP a map with text keys, its count within limits. */
MUST_USE bool schema_check_raw(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err);

/* Entries of a list or MAP, bytes of a text or binary: the limit that holds when the table names none. */
uint32_t schema_count_max(const schema_field_t *f);
int64_t schema_len_max(const schema_field_t *f);

#endif
