/* permit_bucket.c: the life of buckets: made, changed and ended by the topology, started after a restart, looked at. */
#include <stdlib.h>

#include "broker/core/ledger.h"
#include "broker/core/permit.h"

#define NS_PER_US INT64_C(1000)
#define OWED_MAX_NS 1e18 /* 30 years: no document can owe more */

/* Nothing is due behind that; what is read from a disk may say anything. */
int64_t bucket_ns(int64_t us)
{
    const int64_t most_us = INT64_MAX / 2 / NS_PER_US; /* the year 2116 */
    return (us < most_us ? us : most_us) * NS_PER_US;
}

bucket_t *bucket_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->permits.buckets, id);
}

static bool bucket_is(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, bucket_at(ctx, id)->name);
}

bucket_t *bucket_find(const core_t *core, bytes_t name)
{
    return bucket_at(core, map_find(&core->permits.by_name, map_hash_bytes(name), bucket_is, core, &name));
}

/* -- life ------------------------------------------------------------------------------------------- */
static bucket_t *bucket_make(core_t *core, bytes_t name)
{
    bucket_t *bucket = memory_new(1, sizeof *bucket);
    bucket->name = memory_text(name);
    bucket->oldest_grant = 1;
    bucket->id = pool_add(&core->permits.buckets, bucket);
    map_add(&core->permits.by_name, map_hash_bytes(name), bucket->id);
    return bucket;
}

static void bucket_free(bucket_t *bucket)
{
    free(bucket->name);
    free(bucket->grants);
    free(bucket);
}

static void bucket_end(core_t *core, bucket_t *bucket)
{
    permits_turn_away(core, bucket);
    map_drop(&core->permits.by_name, map_hash_bytes(bytes_cstr(bucket->name)), bucket->id);
    pool_drop(&core->permits.buckets, bucket->id);
    bucket_free(bucket);
}

/* Tokens that were drawn and not made up for by the pace yet. */
static double bucket_debt(const bucket_t *bucket, int64_t now_us)
{
    int64_t debt_ns = bucket->pace.due_ns - bucket_ns(now_us);
    return bucket->pace.interval_ns && debt_ns > 0 ? (double)debt_ns / (double)bucket->pace.interval_ns : 0;
}

/* A new one owes all it could hold; a changed one owes as many tokens as before. */
static void bucket_set(core_t *core, const doc_bucket_t *wanted, int64_t now_us)
{
    bucket_t *bucket = bucket_find(core, wanted->name);
    double debt = bucket ? bucket_debt(bucket, now_us) : wanted->burst;
    if (!bucket)
        bucket = bucket_make(core, wanted->name);
    double owed_ns = debt * (double)wanted->interval_ns;
    int64_t due_ns = bucket_ns(now_us) + (int64_t)(owed_ns < OWED_MAX_NS ? owed_ns : OWED_MAX_NS);
    if (!token_bucket_init_slow(&bucket->pace, wanted->interval_ns, wanted->burst, due_ns))
        abort(); /* the document was checked */
    bucket->burst = wanted->burst;
    bucket->expiry_us = wanted->expiry_us;
    bucket_arm(core, bucket);
}

void permits_take(core_t *core, const topology_doc_t *doc, int64_t now_us)
{
    const pool_t *buckets = &core->permits.buckets;
    for (uint32_t id = pool_next(buckets, 0); id; id = pool_next(buckets, id))
        if (!topology_doc_bucket(doc, bytes_cstr(bucket_at(core, id)->name)))
            bucket_end(core, bucket_at(core, id));
    for (uint32_t i = 0; i < doc->bucket_count; i++)
        bucket_set(core, &doc->buckets[i], now_us);
}

bool permit_apply(core_t *core, const record_t *record, error_t *err)
{
    bucket_t *bucket = bucket_find(core, record->permits.bucket);
    if (!bucket)
        return ledger_misfit(err, record, "permit bucket", 0);
    bucket->horizon_us = record->permits.next_free_us;
    return true;
}

/* The first token comes when the rest is over, or when the pace allows for all that may have been granted; then one
 * after the other. */
void permits_start(core_t *core)
{
    const pool_t *buckets = &core->permits.buckets;
    for (uint32_t id = pool_next(buckets, 0); id; id = pool_next(buckets, id)) {
        bucket_t *bucket = bucket_at(core, id);
        int64_t rested_ns = bucket_ns(core->now_us + PERMIT_REST_US) + bucket->pace.ahead_ns;
        int64_t allowed_ns = bucket_ns(bucket->horizon_us);
        bucket->pace.due_ns = rested_ns > allowed_ns ? rested_ns : allowed_ns;
    }
}

void buckets_free(core_t *core)
{
    permits_t *all = &core->permits;
    for (uint32_t id = pool_next(&all->buckets, 0); id; id = pool_next(&all->buckets, id))
        bucket_free(bucket_at(core, id));
    pool_free(&all->buckets);
    map_free(&all->by_name);
}

/* -- looking in -------------------------------------------------------------------------------------------------- */
uint64_t permits_digest(const core_t *core)
{
    uint64_t unordered = 0;
    for (uint32_t id = pool_next(&core->permits.buckets, 0); id; id = pool_next(&core->permits.buckets, id)) {
        const bucket_t *b = bucket_at(core, id);
        unordered += map_mix(map_mix(map_hash_bytes(bytes_cstr(b->name)), (uint64_t)b->horizon_us),
                             map_mix((uint64_t)b->pace.interval_ns, map_mix(b->burst, (uint64_t)b->expiry_us)));
    }
    return unordered;
}

void core_each_bucket(const core_t *core, void (*each)(void *ctx, const core_bucket_stats_t *bucket), void *ctx)
{
    for (uint32_t id = pool_next(&core->permits.buckets, 0); id; id = pool_next(&core->permits.buckets, id)) {
        const bucket_t *b = bucket_at(core, id);
        const core_bucket_stats_t stats = {
            .name = b->name,
            .available = token_bucket_available(&b->pace, bucket_ns(core->now_us)),
            .waiting = bucket_waiting(b),
            .granted = b->granted,
            .returned = b->returned,
        };
        each(ctx, &stats);
    }
}
