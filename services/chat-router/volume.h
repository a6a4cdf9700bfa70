/* volume.h: finds the number of a volume in running text: 42巻, 第四十二巻, vol. 42, "the 42nd volume".
 *
 * Input is NFKC text (wording_plain), so that digits are ASCII. Pure. */
#ifndef CHAT_ROUTER_VOLUME_H
#define CHAT_ROUTER_VOLUME_H

#include "proto/bytes.h"

#define VOLUME_MAX 9999 /* as the contract bounds it */

typedef struct {
    int64_t value;
    size_t start, end; /* the words that say it, in bytes: "第42巻", "vol. 42" */
} volume_t;

/* The first number that is said to be a volume's. A count of volumes (全42巻) and chapters (第42話) are none. */
MUST_USE bool volume_find(bytes_t plain, volume_t *out);

/* A number that ends the text and follows a title: "ONE PIECE 42", "キングダム70". It may belong to the title. */
MUST_USE bool volume_find_bare(bytes_t plain, volume_t *out);

/* Reads kanji numerals at the start of the text: 四十二, 四二, 百八. Returns the bytes read, 0 when there are none. */
size_t volume_read_kanji(bytes_t text, int64_t *value);

#endif
