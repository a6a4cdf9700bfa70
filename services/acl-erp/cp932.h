/* cp932.h: the ERP's character set: UTF-8 to and from Windows code page 932, without loss.
 *
 * The ERP's documents are labelled Shift_JIS, but are CP932: they hold ①, ㈱, 髙 and 﨑, and 0x5C is a backslash.
 * Both tables are glibc's. Reading is strict: a byte that is none of CP932 is an error, never a replacement. Writing
 * uses a CP932 character only where reading gives the same one back; everything else (❤, but also ¥, 〜, −, which
 * CP932 would turn into \, ～, －) becomes a numeric reference, so that reading what was written always gives the text
 * that was meant.
 *
 * Not thread-safe: one object, one thread. Nothing here blocks. */
#ifndef ACL_ERP_CP932_H
#define ACL_ERP_CP932_H

#include "proto/bytes.h"
#include "proto/status.h"

typedef struct cp932 cp932_t;

MUST_USE cp932_t *cp932_new(error_t *err);
void cp932_free(cp932_t **codec);

/* Appends the text as CP932 character data of XML. Markup is escaped before conversion, because a trail byte may look
 * like ASCII (ソ is 83 5C). False: no UTF-8, or a character that XML 1.0 forbids, at a named offset; `out` is then as
 * it was. */
MUST_USE bool cp932_write_xml(cp932_t *codec, bytes_t utf8, buf_t *out, error_t *err);

/* Appends CP932 as UTF-8. False (DATA_LOSS, with the offset) when a byte is none of CP932; `out` is then as it was. */
MUST_USE bool cp932_read(cp932_t *codec, bytes_t cp932, buf_t *out, error_t *err);

#endif
