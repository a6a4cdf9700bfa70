/* fold.h: UTF-8 text with the case of its letters taken off, one character at a time and without a buffer.
 *
 * Two characters are the same when one is the simple upper case of the other, as event-ruler decides it: é is É, but
 * no folding changes how many characters there are (ß is not SS), and what has no way back stands for itself (the
 * Kelvin sign is no k, ς is no σ, dotless ı is no I). A byte that belongs to no character stands for itself. */
#ifndef BROKER_RULES_FOLD_H
#define BROKER_RULES_FOLD_H

#include "proto/bytes.h"

#define FOLD_CHARACTER_BYTES 4
/* No character grows by more when it is folded (two bytes to three). */
#define FOLD_GROWTH(len) ((len) + (len) / 2 + 1)

typedef struct {
    uint8_t bytes[FOLD_CHARACTER_BYTES];
    uint8_t len; /* 0: the text is at its end */
} folded_t;

/* Takes the first or the last character off *rest. */
folded_t fold_first(bytes_t *rest);
folded_t fold_last(bytes_t *rest);

void fold_append(buf_t *out, bytes_t text);

/* `folded` was written by fold_append. */
bool fold_begins(bytes_t text, bytes_t folded);
bool fold_ends(bytes_t text, bytes_t folded);
bool fold_equals(bytes_t text, bytes_t folded);

#endif
