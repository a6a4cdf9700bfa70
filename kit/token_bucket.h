/* token_bucket.h: a steady pace with a small allowance, for what must not be asked too often.
 *
 * In any second, wherever it begins, at most `rate_per_s` + `burst` tokens are given; for a ceiling of 50 a second
 * take rate 46 and burst 4. Unused time is saved up to `burst` tokens and no further. A moment counts nanoseconds
 * of a monotonic clock that the caller reads. Not thread-safe, never blocks, never allocates.
 *
 * Source: ITU-T I.371, generic cell rate algorithm (virtual scheduling). */
#ifndef KIT_TOKEN_BUCKET_H
#define KIT_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define TOKEN_BUCKET_RATE_MAX 1000000u /* a second; at more, whole nanoseconds are too coarse a grain */
#define TOKEN_BUCKET_BURST_MAX 1000000u
#define TOKEN_BUCKET_INTERVAL_MAX_NS (INT64_C(86400) * 1000000000) /* a token a day */

typedef struct {
    int64_t interval_ns; /* between two tokens of the steady pace, rounded up */
    int64_t ahead_ns;    /* how much earlier than the steady pace a token may be taken */
    int64_t due_ns;      /* when the next token is due at the steady pace */
} token_bucket_t;

/* A full bucket. False, leaving `self` alone, when rate or burst is 0 or above its bound. */
MUST_USE bool token_bucket_init(token_bucket_t *self, uint32_t rate_per_s, uint32_t burst, int64_t now_ns);

/* The same for any pace, also one slower than a token a second. False when a bound is passed. */
MUST_USE bool token_bucket_init_slow(token_bucket_t *self, int64_t interval_ns, uint32_t burst, int64_t now_ns);

/* All of `count` tokens or none; 1 <= count <= burst. */
MUST_USE bool token_bucket_take(token_bucket_t *self, uint32_t count, int64_t now_ns);

/* How long until `count` can be taken; 0 when now. */
int64_t token_bucket_wait_ns(const token_bucket_t *self, uint32_t count, int64_t now_ns);

/* Whole tokens that can be taken now. */
uint32_t token_bucket_available(const token_bucket_t *self, int64_t now_ns);

/* The backend has said "too fast": nothing for that long, and no burst afterwards. */
void token_bucket_pause(token_bucket_t *self, int64_t for_ns, int64_t now_ns);

#endif
