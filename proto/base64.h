/* base64.h: binary as text, in the standard alphabet of RFC 4648 §4, with padding.
 *
 * Decoding is strict, so that one value has one text: no white space, padding required, unused bits zero. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include "proto/bytes.h"
#include "proto/status.h"

/* Appends the text of `data`: 4 characters for every 3 bytes begun. */
void base64_encode(buf_t *out, bytes_t data);

/* True when `text` is strict base64; *decoded_bytes (may be NULL) is then the size of what it holds. On false,
 * *bad_at (may be NULL) is the offset of the first offending character, or text.len when characters are missing. */
MUST_USE bool base64_check(bytes_t text, size_t *decoded_bytes, size_t *bad_at);

/* Decodes what base64_check accepted. `out` has room for the decoded bytes and may be text.data itself. */
void base64_decode_checked(bytes_t text, uint8_t *out);

/* Appends the bytes that `text` holds. On false nothing was appended and `err` names the offset. */
MUST_USE bool base64_decode(buf_t *out, bytes_t text, error_t *err);

#endif
