/* legacy_text.h: UTF-8 to and from the ERP's CP932, and XML written in it.
 *
 * The documents say encoding="Shift_JIS", as the real system's do; their bytes are CP932. What CP932 does not
 * have is written as a numeric reference. */
#ifndef ERP_SIM_LEGACY_TEXT_H
#define ERP_SIM_LEGACY_TEXT_H

#include "proto/bytes.h"

typedef struct sim_text sim_text_t; /* the two converters */

MUST_USE sim_text_t *sim_text_new(void);
void sim_text_free(sim_text_t **text);

/* Appends `utf8` as CP932 character data: & < > " escaped before conversion, because a CP932 trail byte may look
 * like ASCII; characters that XML forbids or that are broken become "?". */
void sim_text_write(sim_text_t *text, buf_t *out, bytes_t utf8);

/* Appends CP932 as UTF-8. False when a byte is none of CP932; *bad_at (may be NULL) says where. */
MUST_USE bool sim_text_read(sim_text_t *text, bytes_t cp932, buf_t *out, size_t *bad_at);

/* <inv:name>text</inv:name>; the _i64 form for numbers. Nothing is written for an empty text. */
void sim_element(sim_text_t *text, buf_t *out, const char *name, bytes_t value);
void sim_element_i64(buf_t *out, const char *name, int64_t value);

#endif
