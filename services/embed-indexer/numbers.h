/* numbers.h: a table from 64-bit keys to 32-bit numbers, all in one piece of memory. Entries are never removed. */
#ifndef EMBED_INDEXER_NUMBERS_H
#define EMBED_INDEXER_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define NUMBERS_NONE UINT32_MAX

typedef struct {
    uint64_t *keys;
    uint32_t *values; /* NUMBERS_NONE: free */
    uint32_t count, mask;
} numbers_t;

/* A zeroed numbers_t is empty and usable. */
void numbers_free(numbers_t *numbers);
uint32_t numbers_get(const numbers_t *numbers, uint64_t key); /* NUMBERS_NONE when absent */
/* `key` must be absent, `value` not NUMBERS_NONE. False when out of memory, or full at 2^31 places. */
MUST_USE bool numbers_add(numbers_t *numbers, uint64_t key, uint32_t value);

#endif
