/* decimal.h: exact conversion between decimal numbers and doubles, free of locale and allocation.
 *
 * A decimal is digits * 10^exponent. Sources: D. Lemire, "Number parsing at a gigabyte per second" (2021), with
 * N. Mushtak and D. Lemire, "Fast number parsing without fallback" (2022); R. Giulietti, "The Schubfach way to
 * render doubles" (2020). Pure functions; none of them fails on any input of its type. */
#ifndef PROTO_DECIMAL_H
#define PROTO_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define DECIMAL_DIGITS_MAX 17 /* the shortest text of no double needs more */

typedef struct {
    uint64_t digits;
    int exponent;
} decimal_t;

/* The double nearest to d, ties to even; infinity when it is out of range. d.digits must be below 10^19. */
double decimal_to_double(decimal_t d);

/* The shortest decimal that reads back as v (the nearest to v among the shortest), without trailing zeros;
 * {0, 0} for zero. v must be finite and not negative. */
decimal_t decimal_shortest(double v);

/* The double that holds d: nearest to it and with d's own value as its shortest text. False when there is none.
 * d.digits must be below 10^DECIMAL_DIGITS_MAX. */
MUST_USE bool decimal_exact(decimal_t d, double *out);

#define DECIMAL_TEXT_BYTES 32

/* Writes the finite v as JSON writes it and Python's repr() does: the shortest text that reads back as v, always
 * with ".0" or an exponent ("1.0", "-0.0", "1e-07", "1.5e+300"). Returns the length; no NUL. */
unsigned decimal_format(double v, char out[DECIMAL_TEXT_BYTES]);

#endif
