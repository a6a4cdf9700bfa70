/* json.h: JSON to msgpack and back, streaming, with nothing lost on the way.
 *
 * Grammar: RFC 8259, nothing more. The mapping is written down in docs/json-msgpack.md; in short:
 *  - an integer is an integer while int64 or uint64 holds it; "-0" is the double -0.0;
 *  - a number with a fraction or an exponent is a double when the shortest text of that double has the very same
 *    value (1.50 and 15e-1 are the double 1.5); doubles are written as that shortest text, always with ".0" or an
 *    exponent;
 *  - every other number is extension JSON_EXT_DECIMAL, whose payload is its text as it stood;
 *  - key order and duplicate keys stay as they are;
 *  - bin is {"$binary":"<base64>"}, another extension {"$ext":<type>,"data":"<base64>"}, in both directions.
 * Time is linear in the input, memory is a fixed stack plus `out`. Free of locale. Nothing here blocks. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/bytes.h"
#include "proto/msgpack.h"
#include "proto/status.h"

#define JSON_EXT_DECIMAL 1                /* msgpack extension: the ASCII text of a JSON number */
#define JSON_BYTES_MAX ((size_t)64 << 20) /* when the caller sets no bound; messages have their own 1 MiB */

typedef struct {
    size_t max_bytes;   /* of the JSON text; 0 for JSON_BYTES_MAX */
    unsigned max_depth; /* of nesting; 0, or anything above it, for MP_DEPTH_MAX */
} json_limits_t;

typedef enum {
    JSON_COMPACT, /* no white space at all */
    JSON_PRETTY,  /* two spaces a level (the first JSON_INDENT_LEVELS_MAX levels), one value a line */
} json_style_t;

#define JSON_INDENT_LEVELS_MAX 64 /* deeper lines stay there, or indentation would cost depth times size */

/* Appends the one value that `json` holds, in the shortest msgpack forms; mp_validate accepts it. `limits` may be
 * NULL. On false `out` is as it was, and `err` names line, column (in characters), byte offset and path. */
MUST_USE bool json_to_msgpack(bytes_t json, const json_limits_t *limits, buf_t *out, error_t *err);

/* Appends the JSON text of the one msgpack value that `value` is. Refused, with offset and path: broken msgpack,
 * strings that are not UTF-8, map keys that are no strings, NaN and infinities, an extension JSON_EXT_DECIMAL that
 * is no JSON number, nesting beyond MP_DEPTH_MAX. On false `out` is as it was. */
MUST_USE bool json_from_msgpack(bytes_t value, json_style_t style, buf_t *out, error_t *err);

/* Appends s as a JSON string. Never fails: each byte that belongs to no well-formed UTF-8 becomes U+FFFD, so that
 * a log line is always JSON. */
void json_string_append(buf_t *out, bytes_t s);

/* Appends v as json_from_msgpack would; "null" for NaN and infinities. */
void json_double_append(buf_t *out, double v);

/* The double nearest to a JSON number, infinity when it is out of range: for those who must calculate with an
 * extension JSON_EXT_DECIMAL. False when `text` is no JSON number. */
MUST_USE bool json_number_nearest(bytes_t text, double *out);

#endif
