/* fields.h: one table-driven codec for everything positional: wire frames and journal records.
 *
 * A layout is described once by X-macro rows; from them come the C struct and a table, and one encoder and
 * one decoder walk the table. What travels is a msgpack array [number, field, field, …] (the header)
 * followed by the bodies, concatenated in the order in which their BODY fields stand in the header; a BODY
 * field in the header is the body's length in bytes. One contiguous piece, because frames cost as much as
 * messages and because a checksum then covers all.
 *
 * Evolution: fields are only added at the end, and are optional by nature: a decoder zero-fills what a
 * shorter header lacks and skips what a longer one has more. A number is never used again. A BODY is never
 * added to a layout that is in use: an older decoder could not tell whose bytes it has before it.
 *
 * Decoding is in place: slices point into the input, nothing is allocated, counts and lengths are held
 * against the bytes left before they are believed. Bytes beyond the last body are an error. */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include "proto/bytes.h"
#include "proto/status.h"

#define FIELDS_LIST_MAX 256 /* entries in one LIST: bounds a frame's struct, and the work one frame can ask for */

typedef enum {
    FIELD_U64,
    FIELD_I64,
    FIELD_BOOL,
    FIELD_STR,  /* bytes_t, UTF-8 without NUL (checked when decoding): names become C strings */
    FIELD_BIN,  /* bytes_t */
    FIELD_MAP,  /* bytes_t: one whole msgpack map, or empty (encoded as nil) for none; checked to be well formed */
    FIELD_BODY, /* bytes_t: length in the header, content behind it */
    FIELD_LIST, /* struct { uint32_t count; ENTRY_t items[FIELDS_LIST_MAX]; } */
} field_type_t;

typedef struct fields_layout fields_layout_t;

typedef struct {
    field_type_t type;
    const char *name;
    size_t offset;                         /* of the member; of `count` for a LIST */
    size_t items_offset;                   /* LIST: offset of `items` */
    const fields_layout_t *(*entry)(void); /* LIST: layout of its entries, which hold no lists themselves */
    const char *doc;                       /* one line, for docs/protocol.md and docs/journal-format.md */
} field_t;

struct fields_layout {
    uint64_t number; /* verb or record kind; 0 for a LIST entry */
    const char *name;
    const char *doc;
    size_t struct_bytes;
    const field_t *fields;
    size_t field_count;
};

/* Appends header and bodies of `values` (the struct that `layout` describes). `number` and `second` are the
 * first two header elements (verb and seq; a record passes has_second = false). Fails only through
 * out->failed; a slice over 4 GiB or a count over FIELDS_LIST_MAX is a bug of ours. */
void fields_encode(buf_t *out, const fields_layout_t *layout, bool has_second, uint64_t second, const void *values);

/* Reads the first elements only, for dispatch. What could be read is set even when the rest fails; else 0.
 * `second` may be NULL when has_second is false. */
MUST_USE bool fields_peek(bytes_t input, bool has_second, uint64_t *number, uint64_t *second, error_t *err);

/* Decodes into `values`: scalars and counts that the input lacks are zeroed, list items beyond `count` are left as they
 * were. False with INVALID_ARGUMENT and the field's name in `err`; then all scalars and counts are zero. */
MUST_USE bool fields_decode(bytes_t input, const fields_layout_t *layout, bool has_second, void *values, error_t *err);

/* -- for use by wire.h and record.h -------------------------------------------------------------- */
/* A row list is a macro taking (F, L): F(TYPE, member, "doc") and L(entry, member, "doc"). */
#define FIELDS_CTYPE_U64 uint64_t
#define FIELDS_CTYPE_I64 int64_t
#define FIELDS_CTYPE_BOOL bool
#define FIELDS_CTYPE_STR bytes_t
#define FIELDS_CTYPE_BIN bytes_t
#define FIELDS_CTYPE_MAP bytes_t
#define FIELDS_CTYPE_BODY bytes_t

#define FIELDS_MEMBER(TYPE, member, text) FIELDS_CTYPE_##TYPE member;
#define FIELDS_MEMBER_LIST(entry_t, layout, member, text)                                                              \
    struct {                                                                                                           \
        uint32_t count;                                                                                                \
        entry_t items[FIELDS_LIST_MAX];                                                                                \
    } member;

/* FIELDS_LAYOUT(function, struct, number, "NAME", "doc", ROWS, ROW_LIST) makes `function`, which returns the
 * layout of `struct`; ROW_LIST hands (layout function, member, doc) to FIELDS_ROW_LIST. */
#define FIELDS_ROW(TYPE, member, text) {FIELD_##TYPE, #member, offsetof(self_t, member), 0, NULL, text},
#define FIELDS_ROW_LIST(entry_layout, member, text)                                                                    \
    {FIELD_LIST, #member, offsetof(self_t, member.count), offsetof(self_t, member.items), entry_layout, text},
#define FIELDS_LAYOUT(function, struct_t, no, NAME, text, ROWS, ROW_LIST)                                              \
    static const fields_layout_t *function(void)                                                                       \
    {                                                                                                                  \
        typedef struct_t self_t;                                                                                       \
        static const field_t rows[] = {ROWS(FIELDS_ROW, ROW_LIST)};                                                    \
        static const fields_layout_t layout = {no, NAME, text, sizeof(self_t), rows, ARRAY_LEN(rows)};                 \
        return &layout;                                                                                                \
    }

#endif
