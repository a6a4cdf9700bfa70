/* single_flight.c: a table of flights, each a key and those who wait for it. */
#include "kit/single_flight.h"

#include <assert.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/hash.h"

#define LOAD 2 /* flights a bucket, at the most */

typedef struct {
    single_flight_fn fn;
    void *ctx;
} waiter_t;

typedef struct flight {
    struct flight *next;
    uint64_t hash;
    waiter_t *waiters;
    size_t count, capacity;
    size_t key_len;
    uint8_t key[];
} flight_t;

struct single_flight {
    flight_t **buckets;
    size_t bucket_count; /* power of two */
    size_t flights, flights_max;
    flight_t *finishing; /* out of the table, its waiters being told */
    uint64_t seed;
};

single_flight_t *single_flight_new(size_t flights_max)
{
    single_flight_t *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->flights_max = flights_max;
    self->bucket_count = 8;
    while (self->bucket_count * LOAD < flights_max)
        self->bucket_count *= 2;
    self->buckets = calloc(self->bucket_count, sizeof(flight_t *));
    clock_random(&self->seed, sizeof self->seed);
    if (!self->buckets)
        single_flight_free(&self);
    return self;
}

void single_flight_free(single_flight_t **self)
{
    if (!*self)
        return;
    assert((*self)->flights == 0);
    free((*self)->buckets);
    free(*self);
    *self = NULL;
}

static bytes_t key_of(const flight_t *flight)
{
    return bytes_from(flight->key, flight->key_len);
}

/* Where the pointer to the flight is, or would be. */
static flight_t **find(single_flight_t *self, bytes_t key, uint64_t hash)
{
    flight_t **at = &self->buckets[hash & (self->bucket_count - 1)];
    while (*at && ((*at)->hash != hash || !bytes_eq(key_of(*at), key)))
        at = &(*at)->next;
    return at;
}

static bool waiter_add(flight_t *flight, single_flight_fn fn, void *ctx)
{
    if (flight->count >= SINGLE_FLIGHT_WAITERS_MAX)
        return false;
    if (flight->count == flight->capacity) {
        size_t capacity = flight->capacity ? 2 * flight->capacity : 4;
        waiter_t *grown = realloc(flight->waiters, capacity * sizeof *grown);
        if (!grown)
            return false;
        flight->waiters = grown;
        flight->capacity = capacity;
    }
    flight->waiters[flight->count++] = (waiter_t){fn, ctx};
    return true;
}

static void flight_free(flight_t *flight)
{
    free(flight->waiters);
    free(flight);
}

static single_flight_role_t lead(single_flight_t *self, flight_t **at, bytes_t key, uint64_t hash, waiter_t first)
{
    flight_t *flight = self->flights < self->flights_max ? calloc(1, sizeof *flight + key.len) : NULL;
    if (!flight)
        return SINGLE_FLIGHT_FULL;
    flight->hash = hash;
    flight->key_len = key.len;
    if (key.len)
        memcpy(flight->key, key.data, key.len);
    if (!waiter_add(flight, first.fn, first.ctx)) {
        flight_free(flight);
        return SINGLE_FLIGHT_FULL;
    }
    *at = flight;
    self->flights++;
    return SINGLE_FLIGHT_LEADS;
}

single_flight_role_t single_flight_join(single_flight_t *self, bytes_t key, single_flight_fn fn, void *ctx)
{
    uint64_t hash = hash_bytes(key, self->seed);
    flight_t **at = find(self, key, hash);
    if (!*at)
        return lead(self, at, key, hash, (waiter_t){fn, ctx});
    return waiter_add(*at, fn, ctx) ? SINGLE_FLIGHT_FOLLOWS : SINGLE_FLIGHT_FULL;
}

/* One who leaves while the others are told must not be called any more. */
static bool leave_finishing(single_flight_t *self, bytes_t key, const void *ctx)
{
    for (flight_t *flight = self->finishing; flight; flight = flight->next)
        for (size_t i = 0; i < flight->count; i++)
            if (flight->waiters[i].fn && flight->waiters[i].ctx == ctx && bytes_eq(key_of(flight), key)) {
                flight->waiters[i].fn = NULL;
                return true;
            }
    return false;
}

bool single_flight_leave(single_flight_t *self, bytes_t key, const void *ctx)
{
    flight_t *flight = *find(self, key, hash_bytes(key, self->seed));
    for (size_t i = 0; flight && i < flight->count; i++)
        if (flight->waiters[i].ctx == ctx) {
            memmove(&flight->waiters[i], &flight->waiters[i + 1], (--flight->count - i) * sizeof(waiter_t));
            return true;
        }
    return leave_finishing(self, key, ctx);
}

static void tell(waiter_t *waiter, const void *result)
{
    single_flight_fn fn = waiter->fn;
    waiter->fn = NULL;
    if (fn)
        fn(waiter->ctx, result);
}

void single_flight_finish(single_flight_t *self, bytes_t key, const void *result)
{
    flight_t **at = find(self, key, hash_bytes(key, self->seed)), *flight = *at;
    if (!flight)
        return;
    *at = flight->next;
    self->flights--;
    flight->next = self->finishing;
    self->finishing = flight;
    for (size_t i = 0; i < flight->count; i++)
        tell(&flight->waiters[i], result);
    self->finishing = flight->next; /* those begun meanwhile have ended before it */
    flight_free(flight);
}

size_t single_flight_count(const single_flight_t *self)
{
    return self->flights;
}
