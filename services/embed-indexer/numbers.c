/* numbers.c: open addressing with linear probing, at most half full. */
#include "services/embed-indexer/numbers.h"

#include <stdlib.h>
#include <string.h>

#include "kit/hash.h"

#define FIRST_PLACES 64
#define PLACES_MAX (UINT32_C(1) << 31)

void numbers_free(numbers_t *numbers)
{
    free(numbers->keys);
    free(numbers->values);
    *numbers = (numbers_t){0};
}

static uint32_t place_of(const numbers_t *numbers, uint64_t key)
{
    uint32_t at = (uint32_t)hash_mix(key, 0) & numbers->mask;
    while (numbers->values[at] != NUMBERS_NONE && numbers->keys[at] != key)
        at = (at + 1) & numbers->mask;
    return at;
}

uint32_t numbers_get(const numbers_t *numbers, uint64_t key)
{
    return numbers->count ? numbers->values[place_of(numbers, key)] : NUMBERS_NONE;
}

static bool grow(numbers_t *numbers)
{
    uint32_t places = numbers->keys ? (numbers->mask + 1) * 2 : FIRST_PLACES;
    if (numbers->keys && numbers->mask + 1 >= PLACES_MAX)
        return false;
    numbers_t bigger = {.keys = calloc(places, sizeof(uint64_t)),
                        .values = malloc(places * sizeof(uint32_t)),
                        .count = numbers->count,
                        .mask = places - 1};
    if (!bigger.keys || !bigger.values) {
        numbers_free(&bigger);
        return false;
    }
    memset(bigger.values, 0xFF, places * sizeof(uint32_t));
    for (uint32_t i = 0; numbers->keys && i <= numbers->mask; i++)
        if (numbers->values[i] != NUMBERS_NONE) {
            uint32_t at = place_of(&bigger, numbers->keys[i]);
            bigger.keys[at] = numbers->keys[i];
            bigger.values[at] = numbers->values[i];
        }
    numbers_free(numbers);
    *numbers = bigger;
    return true;
}

bool numbers_add(numbers_t *numbers, uint64_t key, uint32_t value)
{
    if ((!numbers->keys || numbers->count >= numbers->mask / 2) && !grow(numbers))
        return false;
    uint32_t at = place_of(numbers, key);
    numbers->keys[at] = key;
    numbers->values[at] = value;
    numbers->count++;
    return true;
}
