/* bigrams.c: a list of works for each pair, a list of pairs for each work, and an array of sums for the search. */
#include "services/embed-indexer/bigrams.h"

#include <math.h>
#include <stdlib.h>

#include "proto/utf8.h"

#define SATURATION 1.2F /* BM25's k1 and b, as Robertson and Zaragoza recommend */
#define LENGTH_WEIGHT 0.75F
#define CODE_POINT_BITS 21

typedef struct {
    uint32_t *works;
    uint32_t count, capacity;
} list_t;

typedef struct {
    uint32_t *pairs; /* numbers of lists */
    uint32_t count;
} owned_t;

struct bigrams {
    numbers_t numbers; /* pair -> number of its list */
    list_t *lists;
    uint32_t list_count, list_capacity;
    owned_t *works;
    float *sums; /* for the search; zero between searches */
    uint32_t *touched;
    uint32_t work_capacity, indexed;
    uint64_t pair_total;
};

bigrams_t *bigrams_new(void)
{
    return calloc(1, sizeof(bigrams_t));
}

void bigrams_free(bigrams_t **bigrams)
{
    bigrams_t *self = *bigrams;
    if (!self)
        return;
    for (uint32_t i = 0; i < self->list_count; i++)
        free(self->lists[i].works);
    for (uint32_t i = 0; i < self->work_capacity; i++)
        free(self->works[i].pairs);
    numbers_free(&self->numbers);
    free(self->lists);
    free(self->works);
    free(self->sums);
    free(self->touched);
    free(self);
    *bigrams = NULL;
}

/* -- pairs ------------------------------------------------------------------------------------------ */
/* Keys are well-formed UTF-8; what is not ends the field. */
static uint32_t char_next(bytes_t key, size_t *at)
{
    static const uint8_t masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t len = *at < key.len ? utf8_sequence(key.data + *at, key.len - *at) : 0;
    if (len == 0)
        return 0;
    uint32_t c = key.data[*at] & masks[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (key.data[*at + i] & 0x3F);
    *at += len;
    return c;
}

typedef struct {
    uint64_t *items;
    size_t count, most;
} pairs_t;

static void pairs_add(pairs_t *pairs, bytes_t key)
{
    size_t at = 0;
    uint64_t before = char_next(key, &at), c;
    bool is_single = true;
    while (before && pairs->count < pairs->most && (c = char_next(key, &at)) != 0) {
        pairs->items[pairs->count++] = before << CODE_POINT_BITS | c;
        before = c;
        is_single = false;
    }
    if (before && is_single && pairs->count < pairs->most)
        pairs->items[pairs->count++] = before;
}

static int pair_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void pairs_unique(pairs_t *pairs)
{
    size_t kept = 0;
    qsort(pairs->items, pairs->count, sizeof *pairs->items, pair_order);
    for (size_t i = 0; i < pairs->count; i++)
        if (i == 0 || pairs->items[i] != pairs->items[i - 1])
            pairs->items[kept++] = pairs->items[i];
    pairs->count = kept;
}

/* -- writing ---------------------------------------------------------------------------------------- */
static uint32_t grown(uint32_t capacity, uint32_t least)
{
    uint32_t next = capacity ? capacity : 64;
    while (next < least)
        next *= 2;
    return next;
}

/* Makes *array hold `count` entries; false, and *array as it was, when out of memory. */
static bool array_grow(void **array, size_t count, size_t entry_bytes)
{
    void *bigger = realloc(*array, count * entry_bytes);
    if (bigger)
        *array = bigger;
    return bigger != NULL;
}

static bool works_reach(bigrams_t *self, uint32_t work)
{
    uint32_t old = self->work_capacity, capacity = grown(old, work + 1);
    if (work < old)
        return true;
    if (!array_grow((void **)&self->works, capacity, sizeof *self->works) ||
        !array_grow((void **)&self->sums, capacity, sizeof *self->sums) ||
        !array_grow((void **)&self->touched, capacity, sizeof *self->touched))
        return false;
    memset(self->works + old, 0, (capacity - old) * sizeof *self->works);
    memset(self->sums + old, 0, (capacity - old) * sizeof *self->sums);
    self->work_capacity = capacity;
    return true;
}

static uint32_t list_of(bigrams_t *self, uint64_t pair)
{
    uint32_t number = numbers_get(&self->numbers, pair);
    if (number != NUMBERS_NONE)
        return number;
    if (self->list_count == self->list_capacity) {
        uint32_t capacity = grown(self->list_capacity, self->list_count + 1);
        list_t *lists = realloc(self->lists, capacity * sizeof *lists);
        if (!lists)
            return NUMBERS_NONE;
        self->lists = lists;
        self->list_capacity = capacity;
    }
    if (!numbers_add(&self->numbers, pair, self->list_count))
        return NUMBERS_NONE;
    self->lists[self->list_count] = (list_t){0};
    return self->list_count++;
}

static bool list_add(list_t *list, uint32_t work)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 2;
        uint32_t *works = realloc(list->works, capacity * sizeof *works);
        if (!works)
            return false;
        list->works = works;
        list->capacity = capacity;
    }
    list->works[list->count++] = work;
    return true;
}

static void list_remove(list_t *list, uint32_t work)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->works[i] == work) {
            list->works[i] = list->works[--list->count];
            return;
        }
}

static void work_forget(bigrams_t *self, uint32_t work)
{
    owned_t *owned = &self->works[work];
    for (uint32_t i = 0; i < owned->count; i++)
        list_remove(&self->lists[owned->pairs[i]], work);
    self->pair_total -= owned->count;
    self->indexed -= owned->count > 0;
    free(owned->pairs);
    *owned = (owned_t){0};
}

static bool work_learn(bigrams_t *self, uint32_t work, const pairs_t *pairs)
{
    owned_t *owned = &self->works[work];
    owned->pairs = malloc((pairs->count ? pairs->count : 1) * sizeof *owned->pairs);
    if (!owned->pairs)
        return false;
    for (size_t i = 0; i < pairs->count; i++) {
        uint32_t number = list_of(self, pairs->items[i]);
        if (number == NUMBERS_NONE || !list_add(&self->lists[number], work))
            return false;
        owned->pairs[owned->count++] = number;
        self->indexed += owned->count == 1;
        self->pair_total++;
    }
    return true;
}

bool bigrams_set(bigrams_t *bigrams, uint32_t work, const bytes_t *fields, size_t count)
{
    uint64_t items[BIGRAMS_WORK_MAX];
    pairs_t pairs = {items, 0, BIGRAMS_WORK_MAX};
    if (!works_reach(bigrams, work))
        return false;
    for (size_t i = 0; i < count; i++)
        pairs_add(&pairs, fields[i]);
    pairs_unique(&pairs);
    work_forget(bigrams, work);
    if (work_learn(bigrams, work, &pairs))
        return true;
    work_forget(bigrams, work);
    return false;
}

/* -- searching -------------------------------------------------------------------------------------- */
static uint32_t list_score(bigrams_t *self, const list_t *list, float average, uint32_t touched)
{
    float in = (float)list->count, all = (float)self->indexed;
    float rarity = logf(1.0F + (all - in + 0.5F) / (in + 0.5F));
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t work = list->works[i];
        float length = (float)self->works[work].count / average;
        if (self->sums[work] == 0.0F)
            self->touched[touched++] = work;
        self->sums[work] +=
            rarity * (SATURATION + 1.0F) / (1.0F + SATURATION * (1.0F - LENGTH_WEIGHT + LENGTH_WEIGHT * length));
    }
    return touched;
}

void bigrams_search(bigrams_t *bigrams, bytes_t key, bigrams_found_fn found, void *ctx)
{
    uint64_t items[BIGRAMS_QUERY_MAX];
    pairs_t pairs = {items, 0, BIGRAMS_QUERY_MAX};
    uint32_t touched = 0;
    pairs_add(&pairs, key);
    pairs_unique(&pairs);
    float average = bigrams->indexed ? (float)bigrams->pair_total / (float)bigrams->indexed : 1.0F;
    for (size_t i = 0; i < pairs.count; i++) {
        uint32_t number = numbers_get(&bigrams->numbers, pairs.items[i]);
        if (number != NUMBERS_NONE)
            touched = list_score(bigrams, &bigrams->lists[number], average, touched);
    }
    for (uint32_t i = 0; i < touched; i++) {
        uint32_t work = bigrams->touched[i];
        float sum = bigrams->sums[work];
        bigrams->sums[work] = 0.0F;
        found(ctx, work, sum);
    }
}
