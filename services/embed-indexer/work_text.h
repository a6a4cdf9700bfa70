/* work_text.h: what of a book is embedded and searched, and which volumes are one work. Pure.
 *
 * Volumes of one work differ in number and price, hardly in text: the work is embedded once, not each volume.
 * A work is what has the same title and creators, in any spelling that kit/text.h folds together. */
#ifndef EMBED_INDEXER_WORK_TEXT_H
#define EMBED_INDEXER_WORK_TEXT_H

#include "kit/sigv4.h"
#include "proto/contract.h"

/* Changes with the template below: texts of another template are embedded anew. */
#define WORK_TEXT_TEMPLATE 1
#define WORK_TEXT_MAX_BYTES 6000 /* longer ones are cut: 96 of them stay well inside one frame */
#define WORK_TEXT_SPEAKER_BYTES 24

/* Appends the text: title, reading, English title, creators, genres, synopsis, a line each; no volume, price or
 * date, so that those change without a new vector. */
void work_text_write(buf_t *out, const book_t *book);

/* SHA-256 of template and text, in hex. */
void work_text_hash(const book_t *book, char out[SIGV4_HEX_CHARS + 1]);

/* Names the work; the same for all its volumes. Of 64 bits of SHA-256: in a million works two meet with a chance of
 * one in 40 million. */
int64_t work_text_id(const book_t *book);

/* The order in which volumes speak for their work: the one that sorts first gives the work its text. */
void work_text_speaker(const book_t *book, char out[WORK_TEXT_SPEAKER_BYTES]);

#endif
