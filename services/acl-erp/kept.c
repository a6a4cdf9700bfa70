/* kept.c: a hash table with two lists through it: by age of use (what to forget) and unwritten (what to store). */
#include "services/acl-erp/kept.h"

#include <stdlib.h>

#include "kit/log.h"
#include "kit/pg_array.h"

#define SLOTS 16384
#define WRITE_EVERY_MS 500

const pg_migration_t kept_migrations[] = {
    {1, "kept answers",
     "CREATE TABLE kept ("
     " kind smallint NOT NULL,"
     " key text NOT NULL,"
     " as_of_us bigint NOT NULL,"
     " payload bytea NOT NULL,"
     " PRIMARY KEY (kind, key));"
     "COMMENT ON TABLE kept IS 'Last answers of the old systems: kind 1 stock of an ISBN, 2 order, 3 orders of a "
     "customer';"},
};
const size_t kept_migration_count = ARRAY_LEN(kept_migrations);

static const char write_sql[] =
    "INSERT INTO kept (kind, key, as_of_us, payload)"
    " SELECT * FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bytea[])"
    " ON CONFLICT (kind, key) DO UPDATE SET as_of_us = excluded.as_of_us, payload = excluded.payload"
    " WHERE kept.as_of_us < excluded.as_of_us";
static const char read_sql[] =
    "SELECT key, as_of_us, payload FROM kept WHERE kind = $1::smallint AND key = ANY($2::text[])";

typedef struct copy copy_t;

struct copy {
    copy_t *chain;
    copy_t *newer, *older; /* by use */
    copy_t *next_unwritten;
    uint64_t hash;
    int64_t as_of_us;
    uint8_t *data; /* key, then payload */
    uint32_t key_bytes, payload_bytes;
    kept_kind_t kind;
    bool is_unwritten, is_dead; /* dead: forgotten, but still in the list of the unwritten */
};

struct kept_query {
    kept_t *kept;
    kept_kind_t kind;
    size_t count;
    bytes_t keys[KEPT_ASK_MAX]; /* into `text` */
    buf_t text;
    kept_fn fn;
    void *ctx;
};

struct kept {
    pg_t *pg;
    loop_timer_t *timer;
    size_t max_copies, count, unwritten_count;
    copy_t *slots[SLOTS];
    copy_t *newest, *oldest;
    copy_t *first_unwritten, *last_unwritten;
    copy_t *writing[KEPT_WRITE_MAX];
    size_t writing_count; /* 0: no statement runs */
    metric_t *copies, *forgotten, *failed_writes;
};

/* -- the table ----------------------------------------------------------------------------------------------- */
static uint64_t hash_of(kept_kind_t kind, bytes_t key)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325) ^ (uint64_t)kind; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static bytes_t copy_key(const copy_t *copy)
{
    return bytes_from(copy->data, copy->key_bytes);
}

static bytes_t copy_payload(const copy_t *copy)
{
    return bytes_from(copy->data + copy->key_bytes, copy->payload_bytes);
}

static copy_t *copy_find(const kept_t *kept, kept_kind_t kind, bytes_t key)
{
    uint64_t hash = hash_of(kind, key);
    copy_t *copy = kept->slots[hash % SLOTS];
    while (copy && !(copy->hash == hash && copy->kind == kind && bytes_eq(copy_key(copy), key)))
        copy = copy->chain;
    return copy;
}

static void use_unlink(kept_t *kept, copy_t *copy)
{
    if (copy->newer)
        copy->newer->older = copy->older;
    else
        kept->newest = copy->older;
    if (copy->older)
        copy->older->newer = copy->newer;
    else
        kept->oldest = copy->newer;
}

static void use_link(kept_t *kept, copy_t *copy)
{
    copy->newer = NULL;
    copy->older = kept->newest;
    if (kept->newest)
        kept->newest->newer = copy;
    else
        kept->oldest = copy;
    kept->newest = copy;
}

static void copy_free(copy_t *copy)
{
    free(copy->data);
    free(copy);
}

/* Out of the table; freed now, or when the list of the unwritten reaches it. */
static void copy_forget(kept_t *kept, copy_t *copy)
{
    copy_t **link = &kept->slots[copy->hash % SLOTS];
    while (*link != copy)
        link = &(*link)->chain;
    *link = copy->chain;
    use_unlink(kept, copy);
    kept->count--;
    copy->is_dead = true;
    if (!copy->is_unwritten)
        copy_free(copy);
}

/* -- putting --------------------------------------------------------------------------------------------------- */
static void unwritten_push(kept_t *kept, copy_t *copy)
{
    copy->is_unwritten = true;
    copy->next_unwritten = NULL;
    if (kept->last_unwritten)
        kept->last_unwritten->next_unwritten = copy;
    else
        kept->first_unwritten = copy;
    kept->last_unwritten = copy;
    kept->unwritten_count++;
}

static copy_t *unwritten_pop(kept_t *kept)
{
    copy_t *copy = kept->first_unwritten;
    kept->first_unwritten = copy->next_unwritten;
    if (!kept->first_unwritten)
        kept->last_unwritten = NULL;
    kept->unwritten_count--;
    copy->is_unwritten = false;
    return copy;
}

static copy_t *copy_new(kept_kind_t kind, bytes_t key, bytes_t payload, int64_t as_of_us)
{
    copy_t *copy = calloc(1, sizeof(*copy));
    uint8_t *data = malloc(key.len + payload.len);
    if (!copy || !data) {
        free(copy);
        free(data);
        return NULL;
    }
    memcpy(data, key.data, key.len);
    memcpy(data + key.len, payload.data, payload.len);
    *copy = (copy_t){.hash = hash_of(kind, key), .as_of_us = as_of_us, .data = data, .kind = kind};
    copy->key_bytes = (uint32_t)key.len;
    copy->payload_bytes = (uint32_t)payload.len;
    return copy;
}

static void copy_link(kept_t *kept, copy_t *copy)
{
    copy->chain = kept->slots[copy->hash % SLOTS];
    kept->slots[copy->hash % SLOTS] = copy;
    use_link(kept, copy);
    kept->count++;
    while (kept->count > kept->max_copies)
        copy_forget(kept, kept->oldest);
}

static void unwritten_bound(kept_t *kept)
{
    if (kept->unwritten_count <= KEPT_UNWRITTEN_MAX)
        return;
    copy_t *copy = unwritten_pop(kept);
    metric_add(kept->forgotten, 1);
    if (copy->is_dead)
        copy_free(copy);
}

/* A newer copy is a new object: the older one may be part of a statement that runs. */
static void put(kept_t *kept, kept_kind_t kind, bytes_t key, bytes_t payload, int64_t as_of_us, bool is_stored)
{
    copy_t *old = copy_find(kept, kind, key);
    if (old && old->as_of_us >= as_of_us)
        return;
    copy_t *copy = copy_new(kind, key, payload, as_of_us);
    if (!copy)
        return;
    if (old)
        copy_forget(kept, old);
    if (!is_stored && kept->pg) {
        unwritten_push(kept, copy);
        unwritten_bound(kept);
    }
    copy_link(kept, copy);
}

void kept_put(kept_t *kept, kept_kind_t kind, bytes_t key, bytes_t payload, int64_t as_of_us)
{
    /* A NUL would make the database refuse the whole statement, and every other copy in it with it. */
    if (key.len && key.len <= KEPT_KEY_MAX_BYTES && !memchr(key.data, 0, key.len) && payload.len &&
        payload.len <= KEPT_PAYLOAD_MAX_BYTES)
        put(kept, kind, key, payload, as_of_us, false);
}

/* -- writing behind ------------------------------------------------------------------------------------------------ */
static void written(void *ctx, const PGresult *result, const error_t *err)
{
    kept_t *kept = ctx;
    (void)result;
    if (err) {
        log_warn("kept answers could not be stored; they are tried again", LOG_S("error", err->message),
                 LOG_I("count", kept->writing_count));
        metric_add(kept->failed_writes, 1);
    }
    for (size_t i = 0; i < kept->writing_count; i++) {
        copy_t *copy = kept->writing[i];
        bool is_dead = copy->is_dead;
        copy->is_unwritten = false;
        if (is_dead)
            copy_free(copy);
        else if (err)
            unwritten_push(kept, copy);
    }
    kept->writing_count = 0;
}

/* Those to write stay marked as unwritten, so that forgetting them in the meantime does not free them. */
static void writing_take(kept_t *kept)
{
    while (kept->first_unwritten && kept->writing_count < KEPT_WRITE_MAX) {
        copy_t *copy = unwritten_pop(kept);
        if (copy->is_dead) {
            copy_free(copy);
            continue;
        }
        copy->is_unwritten = true;
        kept->writing[kept->writing_count++] = copy;
    }
}

static void write_behind(void *ctx)
{
    kept_t *kept = ctx;
    if (kept->writing_count || !kept->first_unwritten || !pg_is_ready(kept->pg))
        return;
    buf_t columns[4] = {0};
    writing_take(kept);
    for (size_t i = 0; i < kept->writing_count; i++) {
        const copy_t *copy = kept->writing[i];
        pg_array_i64(&columns[0], copy->kind);
        pg_array_text(&columns[1], copy_key(copy));
        pg_array_i64(&columns[2], copy->as_of_us);
        pg_array_bytea(&columns[3], copy_payload(copy));
    }
    pg_param_t params[ARRAY_LEN(columns)];
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        params[c] = PG_STR(pg_array_end(&columns[c]));
    if (kept->writing_count)
        pg_query(kept->pg, write_sql, params, (int)ARRAY_LEN(params), written, kept);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        buf_free(&columns[c]);
}

/* -- getting ------------------------------------------------------------------------------------------------------- */
static bool from_memory(kept_t *kept, kept_kind_t kind, const bytes_t *keys, size_t count, kept_copy_t *out)
{
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        copy_t *copy = copy_find(kept, kind, keys[i]);
        out[i] = copy ? (kept_copy_t){copy_payload(copy), copy->as_of_us} : (kept_copy_t){0};
        is_whole = is_whole && copy;
        if (copy) {
            use_unlink(kept, copy);
            use_link(kept, copy);
        }
    }
    return is_whole;
}

static void rows_take(kept_query_t *query, const PGresult *result)
{
    buf_t payload = {0};
    for (int row = 0; row < PQntuples(result); row++) {
        buf_clear(&payload);
        if (pg_bytea(result, row, 2, &payload) && payload.len && payload.len <= KEPT_PAYLOAD_MAX_BYTES)
            put(query->kept, query->kind, pg_text(result, row, 0), buf_bytes(&payload), pg_i64(result, row, 1, 0),
                true);
    }
    buf_free(&payload);
}

static void query_free(kept_query_t *query)
{
    buf_free(&query->text);
    free(query);
}

static void found(void *ctx, const PGresult *result, const error_t *err)
{
    kept_query_t *query = ctx;
    kept_copy_t copies[KEPT_ASK_MAX];
    if (query->fn) {
        if (err)
            log_warn("kept answers could not be read", LOG_S("error", err->message));
        else
            rows_take(query, result);
        (void)from_memory(query->kept, query->kind, query->keys, query->count, copies);
        query->fn(query->ctx, copies, query->count);
    }
    query_free(query);
}

static kept_query_t *query_new(kept_t *kept, kept_kind_t kind, const bytes_t *keys, size_t count)
{
    kept_query_t *query = calloc(1, sizeof(*query));
    if (!query)
        return NULL;
    *query = (kept_query_t){.kept = kept, .kind = kind, .count = count};
    for (size_t i = 0; i < count; i++)
        buf_append_bytes(&query->text, keys[i]);
    if (query->text.failed) {
        query_free(query);
        return NULL;
    }
    for (size_t i = 0, at = 0; i < count; at += keys[i++].len)
        query->keys[i] = bytes_from(query->text.data + at, keys[i].len);
    return query;
}

static void query_send(kept_query_t *query)
{
    buf_t array = {0};
    for (size_t i = 0; i < query->count; i++)
        pg_array_text(&array, query->keys[i]);
    const pg_param_t params[] = {PG_I64(query->kind), PG_STR(pg_array_end(&array))};
    pg_query(query->kept->pg, read_sql, params, 2, found, query);
    buf_free(&array);
}

kept_query_t *kept_get(kept_t *kept, kept_kind_t kind, const bytes_t *keys, size_t count, kept_fn fn, void *ctx)
{
    kept_copy_t copies[KEPT_ASK_MAX];
    count = count <= KEPT_ASK_MAX ? count : KEPT_ASK_MAX;
    bool is_enough = from_memory(kept, kind, keys, count, copies) || !kept->pg || !pg_is_ready(kept->pg);
    kept_query_t *query = is_enough ? NULL : query_new(kept, kind, keys, count);
    if (!query) {
        fn(ctx, copies, count);
        return NULL;
    }
    query->fn = fn;
    query->ctx = ctx;
    query_send(query);
    return query;
}

void kept_cancel(kept_query_t *query)
{
    query->fn = NULL;
}

/* -- life ------------------------------------------------------------------------------------------------------------
 */
static void collect(void *ctx)
{
    const kept_t *kept = ctx;
    metric_set(kept->copies, (double)kept->count);
}

kept_t *kept_new(loop_t *loop, pg_t *pg, metrics_t *metrics, size_t max_copies, error_t *err)
{
    kept_t *kept = calloc(1, sizeof(*kept));
    if (kept)
        kept->timer = loop_timer_new(loop, write_behind, kept);
    if (!kept || !kept->timer) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        free(kept);
        return NULL;
    }
    kept->pg = pg;
    kept->max_copies = max_copies;
    kept->copies = metrics_gauge(metrics, "mangabus_erp_kept_copies", "", "Last answers in memory.");
    kept->forgotten = metrics_counter(metrics, "mangabus_erp_kept_unwritten_lost_total", "",
                                      "Last answers that were never stored, because too many waited for the database.");
    kept->failed_writes =
        metrics_counter(metrics, "mangabus_erp_kept_write_failures_total", "", "Statements that failed to store them.");
    metrics_on_collect(metrics, collect, kept);
    if (pg)
        loop_timer_every(kept->timer, WRITE_EVERY_MS);
    return kept;
}

void kept_free(kept_t **kept)
{
    kept_t *self = *kept;
    if (!self)
        return;
    loop_timer_end(&self->timer);
    while (self->newest)
        copy_forget(self, self->newest);
    while (self->first_unwritten)
        copy_free(unwritten_pop(self));
    free(self);
    *kept = NULL;
}
