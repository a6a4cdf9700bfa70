/* gate.h: the quality gates a catalogue entry passes before it is kept. Pure.
 *
 * The contract's own limits (ISBN with check digit, lengths, ranges) held when the entry was unpacked; gates
 * ask what only the catalogue knows to be odd. What does not pass goes to the quarantine with the reason. */
#ifndef SYNC_RECONCILER_GATE_H
#define SYNC_RECONCILER_GATE_H

#include "proto/contract.h"

#define GATE_PRICE_MAX_JPY 1000000 /* dearer is a typing error, not a book */
#define GATE_YEAR_MIN 1860         /* Japan's first comic magazines */

/* NULL when it passes; else why not, one static sentence naming the field. */
const char *gate_check(const book_t *book, int64_t now_us);

#endif
