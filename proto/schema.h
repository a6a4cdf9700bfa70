/* schema.h: every event, call and queue message described once, as a table of rows.
 *
 * From a table (proto/contract/) come the C struct, pack, unpack, validation with the path of what is wrong
 * ("detail.items[3].isbn: expected 13 digits with a valid check digit") and the JSON Schema in
 * proto/schema/. A table is a macro of rows
 *
 *     #define ORDER_LINE_ROWS(X, T)                                                  \
 *         X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                 \
 *         X(T, quantity, "quantity", I64, REQ, RANGE(1, 9999), "how many")           \
 *         X(T, title, "title", STR, OPT, LEN(1, 2000), "as the shop shows it")
 *
 * where X(T, member, wire name, type, presence, limits, doc). Types and what they become in the struct:
 *
 *     STR         bytes_t, UTF-8        BIN       bytes_t            BOOL      bool
 *     I64         int64_t               U64       uint64_t           F64       double
 *     OBJ(x)      x_t                   ANY, MAP  bytes_t, one raw msgpack value (any, a map with text keys)
 *     STRS, BINS  bytes_list_t          I64S      i64_list_t         OBJS(x)   x_list_t
 *
 * Presence REQ or OPT; an OPT member `m` has a `bool has_m` beside it, false when absent or nil. Set it with
 * SCHEMA_SET. Limits: NONE, LEN(min, max) bytes, FORMAT(f), ENUM("a", …), RANGE(min, max) integers,
 * FRANGE(min, max) doubles, COUNT(min, max) entries of OBJS, I64S and MAP, EACH(min, max, minlen, maxlen) and
 * EACH_FORMAT(min, max, f) for STRS and BINS, EACH_ENUM(min, max, "a", …) for STRS. A text or binary without
 * LEN may have SCHEMA_LEN_DEFAULT_BYTES, a list or map without COUNT or EACH SCHEMA_COUNT_DEFAULT entries.
 *
 * Evolution: only OPT members are added. Unpack ignores keys it does not know; forwarders pass on the bytes.
 *
 * Unpacked slices point into the input; lists lie in the caller's arena. Nothing here blocks. */
#ifndef PROTO_SCHEMA_H
#define PROTO_SCHEMA_H

#include "proto/arena.h"
#include "proto/bytes.h"
#include "proto/status.h"

#define SCHEMA_LEN_DEFAULT_BYTES 1024
#define SCHEMA_COUNT_DEFAULT 1000
#define SCHEMA_NO_OFFSET UINT32_MAX

typedef enum {
    SCHEMA_STR,
    SCHEMA_BIN,
    SCHEMA_BOOL,
    SCHEMA_I64,
    SCHEMA_U64,
    SCHEMA_F64,
    SCHEMA_OBJ,
    SCHEMA_ANY,
    SCHEMA_MAP,
    SCHEMA_STRS,
    SCHEMA_BINS,
    SCHEMA_I64S,
    SCHEMA_OBJS,
} schema_kind_t;

typedef enum {
    SCHEMA_FORMAT_NONE,
    SCHEMA_FORMAT_ISBN13,   /* 13 digits, valid check digit */
    SCHEMA_FORMAT_RFC3339,  /* date-time */
    SCHEMA_FORMAT_DATE,     /* "2026-01-30" */
    SCHEMA_FORMAT_UUID,     /* any version */
    SCHEMA_FORMAT_URI,      /* absolute, http or https */
    SCHEMA_FORMAT_CURRENCY, /* three capital letters, ISO 4217 */
    SCHEMA_FORMAT_SHA256,   /* 64 lower-case hex digits */
} schema_format_t;

typedef struct schema schema_t;

typedef struct {
    const char *name; /* on the wire */
    const char *doc;
    const schema_t *object;         /* OBJ, OBJS */
    const char *const *enum_values; /* NULL-terminated; NULL for any text */
    schema_kind_t kind;
    schema_format_t format;
    bool required;
    bool bounded;        /* min and max hold */
    uint32_t offset;     /* in the struct */
    uint32_t has_offset; /* of has_x; SCHEMA_NO_OFFSET when required */
    int64_t min, max;    /* bytes of each STR or BIN; value of I64, U64 */
    double fmin, fmax;   /* value of F64 */
    uint32_t count_min;  /* entries of lists and MAP; count_max 0: SCHEMA_COUNT_DEFAULT */
    uint32_t count_max;
} schema_field_t;

struct schema {
    const char *name; /* "inventory_change" */
    const char *root; /* where an error's path begins: "detail", "request", "response", "chunk", "body" */
    const char *doc;
    const schema_field_t *fields;
    uint32_t field_count;
    uint32_t struct_bytes;
};

typedef struct {
    const bytes_t *items;
    uint32_t count;
} bytes_list_t;

typedef struct {
    const int64_t *items;
    uint32_t count;
} i64_list_t;

/* Sets an optional member. */
#define SCHEMA_SET(v, member, value) ((void)((v)->has_##member = true), (void)((v)->member = (value)))

/* -- acting on a schema --------------------------------------------------------------------------- */
/* Appends the struct at `in` as one msgpack map, validated; false (INVALID_ARGUMENT, the path in the
 * message) and nothing appended when it breaks a limit. */
MUST_USE bool schema_pack(const schema_t *schema, buf_t *out, const void *in, error_t *err);

/* Fills the struct at `out` (zeroed first) from one msgpack map and validates it. False: INVALID_ARGUMENT
 * with the path, RESOURCE_EXHAUSTED when the arena is full. */
MUST_USE bool schema_unpack(const schema_t *schema, bytes_t input, arena_t *arena, void *out, error_t *err);

/* Validation alone: the same walk, no arena, nothing stored. */
MUST_USE bool schema_validate(const schema_t *schema, bytes_t input, error_t *err);

/* Appends the schema as a JSON Schema document (draft-07), indented, `title` as its title; a byte limit
 * stands as x-maxBytes beside the looser maxLength, which counts characters. */
void schema_write_json(const schema_t *schema, const char *title, buf_t *out);

/* -- the registry (proto/contract/) --------------------------------------------------------------- */
typedef struct {
    const char *bus;
    const char *source;
    const char *detail_type;
    const schema_t *detail;
    const char *doc;
} schema_event_t;

typedef struct {
    const char *method;
    const schema_t *request;
    const schema_t *response;
    const schema_t *chunk; /* of a call that streams; else NULL */
    bool idempotent;       /* may be dispatched again when its worker died */
    const char *doc;
} schema_call_t;

/* What is sent straight into a queue, as one msgpack map, without an envelope. */
typedef struct {
    const char *queue;
    const schema_t *body;
    const char *doc;
} schema_message_t;

/* NULL when there is none such. */
const schema_event_t *schema_find_event(bytes_t source, bytes_t detail_type);
const schema_call_t *schema_find_call(bytes_t method);
const schema_message_t *schema_find_message(bytes_t queue);

const schema_event_t *schema_events(size_t *count);
const schema_call_t *schema_calls(size_t *count);
const schema_message_t *schema_messages(size_t *count);

/* -- for use by proto/contract ---------------------------------------------------------------------- */
#define SCHEMA_CTYPE_STR bytes_t
#define SCHEMA_CTYPE_BIN bytes_t
#define SCHEMA_CTYPE_BOOL bool
#define SCHEMA_CTYPE_I64 int64_t
#define SCHEMA_CTYPE_U64 uint64_t
#define SCHEMA_CTYPE_F64 double
#define SCHEMA_CTYPE_ANY bytes_t
#define SCHEMA_CTYPE_MAP bytes_t
#define SCHEMA_CTYPE_STRS bytes_list_t
#define SCHEMA_CTYPE_BINS bytes_list_t
#define SCHEMA_CTYPE_I64S i64_list_t
#define SCHEMA_CTYPE_OBJ(x) x##_t
#define SCHEMA_CTYPE_OBJS(x) x##_list_t

#define SCHEMA_HAS_REQ(member)
#define SCHEMA_HAS_OPT(member) bool has_##member;

#define SCHEMA_MEMBER(T, member, wire, type, presence, limits, text)                                                   \
    SCHEMA_HAS_##presence(member) SCHEMA_CTYPE_##type member;

/* S(name, ROWS, root, doc): name_t, name_list_t, name_schema, name_pack, name_unpack. */
#define SCHEMA_DECLARE(name, ROWS, path_root, text)                                                                    \
    typedef struct name {                                                                                              \
        ROWS(SCHEMA_MEMBER, name##_t)                                                                                  \
    } name##_t;                                                                                                        \
    typedef struct {                                                                                                   \
        const name##_t *items;                                                                                         \
        uint32_t count;                                                                                                \
    } name##_list_t;                                                                                                   \
    extern const schema_t name##_schema;                                                                               \
    MUST_USE static inline bool name##_pack(buf_t *out, const name##_t *in, error_t *err)                              \
    {                                                                                                                  \
        return schema_pack(&name##_schema, out, in, err);                                                              \
    }                                                                                                                  \
    MUST_USE static inline bool name##_unpack(bytes_t input, arena_t *arena, name##_t *out, error_t *err)              \
    {                                                                                                                  \
        return schema_unpack(&name##_schema, input, arena, out, err);                                                  \
    }

#define SCHEMA_KIND_STR .kind = SCHEMA_STR
#define SCHEMA_KIND_BIN .kind = SCHEMA_BIN
#define SCHEMA_KIND_BOOL .kind = SCHEMA_BOOL
#define SCHEMA_KIND_I64 .kind = SCHEMA_I64
#define SCHEMA_KIND_U64 .kind = SCHEMA_U64
#define SCHEMA_KIND_F64 .kind = SCHEMA_F64
#define SCHEMA_KIND_ANY .kind = SCHEMA_ANY
#define SCHEMA_KIND_MAP .kind = SCHEMA_MAP
#define SCHEMA_KIND_STRS .kind = SCHEMA_STRS
#define SCHEMA_KIND_BINS .kind = SCHEMA_BINS
#define SCHEMA_KIND_I64S .kind = SCHEMA_I64S
#define SCHEMA_KIND_OBJ(x) .kind = SCHEMA_OBJ, .object = &x##_schema
#define SCHEMA_KIND_OBJS(x) .kind = SCHEMA_OBJS, .object = &x##_schema

#define SCHEMA_PRESENCE_REQ(T, member) .required = true, .has_offset = SCHEMA_NO_OFFSET
#define SCHEMA_PRESENCE_OPT(T, member) .required = false, .has_offset = (uint32_t)offsetof(T, has_##member)

#define SCHEMA_LIMIT_NONE .bounded = false
#define SCHEMA_LIMIT_LEN(lo, hi) .bounded = true, .min = (lo), .max = (hi)
#define SCHEMA_LIMIT_RANGE(lo, hi) .bounded = true, .min = (lo), .max = (hi)
#define SCHEMA_LIMIT_FRANGE(lo, hi) .bounded = true, .fmin = (lo), .fmax = (hi)
#define SCHEMA_LIMIT_FORMAT(f) .format = SCHEMA_FORMAT_##f
#define SCHEMA_LIMIT_ENUM(...)                                                                                         \
    .enum_values = (const char *const[])                                                                               \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define SCHEMA_LIMIT_COUNT(lo, hi) .count_min = (lo), .count_max = (hi)
#define SCHEMA_LIMIT_EACH(clo, chi, lo, hi)                                                                            \
    .count_min = (clo), .count_max = (chi), .bounded = true, .min = (lo), .max = (hi)
#define SCHEMA_LIMIT_EACH_FORMAT(clo, chi, f) .count_min = (clo), .count_max = (chi), .format = SCHEMA_FORMAT_##f
#define SCHEMA_LIMIT_EACH_ENUM(clo, chi, ...)                                                                          \
    .count_min = (clo), .count_max = (chi), .enum_values = (const char *const[])                                       \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

#define SCHEMA_ROW(T, member, wire, type, presence, limits, text)                                                      \
    {.name = wire,                                                                                                     \
     .doc = text,                                                                                                      \
     .offset = (uint32_t)offsetof(T, member),                                                                          \
     SCHEMA_PRESENCE_##presence(T, member),                                                                            \
     SCHEMA_KIND_##type,                                                                                               \
     SCHEMA_LIMIT_##limits},

/* The table itself, in one source file. */
#define SCHEMA_DEFINE(schema_name, ROWS, path_root, text)                                                              \
    static const schema_field_t schema_name##_fields[] = {ROWS(SCHEMA_ROW, schema_name##_t)};                          \
    const schema_t schema_name##_schema = {                                                                            \
        .name = #schema_name,                                                                                          \
        .root = path_root,                                                                                             \
        .doc = text,                                                                                                   \
        .fields = schema_name##_fields,                                                                                \
        .field_count = (uint32_t)(sizeof(schema_name##_fields) / sizeof(schema_field_t)),                              \
        .struct_bytes = (uint32_t)sizeof(schema_name##_t),                                                             \
    };

#endif
