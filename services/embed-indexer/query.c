/* query.c: one request on its way: vector, search, bodies, answer. */
#include "services/embed-indexer/query.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/hash.h"
#include "kit/pg_array.h"
#include "services/embed-indexer/embedder.h"
#include "services/embed-indexer/follow.h"

#define HOPS_MAX 8
#define DETAIL_BYTES 160

/* -- vectors of recent queries ---------------------------------------------------------------------- */
typedef struct {
    uint64_t hash; /* of text and kind of vector */
    buf_t text, vector;
} place_t;

struct query_cache {
    place_t places[QUERY_CACHE_PLACES];
};

query_cache_t *query_cache_new(void)
{
    return calloc(1, sizeof(query_cache_t));
}

void query_cache_free(query_cache_t **cache)
{
    for (size_t i = 0; *cache && i < QUERY_CACHE_PLACES; i++) {
        buf_free(&(*cache)->places[i].text);
        buf_free(&(*cache)->places[i].vector);
    }
    free(*cache);
    *cache = NULL;
}

static uint64_t cache_hash(const app_t *app, bytes_t text)
{
    return hash_bytes(text, hash_bytes(bytes_cstr(app->space.model_id), (uint64_t)app->space.dimension));
}

static bytes_t cache_get(const app_t *app, bytes_t text)
{
    uint64_t hash = cache_hash(app, text);
    const place_t *place = &app->cache->places[hash % QUERY_CACHE_PLACES];
    bool is_it = place->vector.len && place->hash == hash && bytes_eq(buf_bytes(&place->text), text);
    return is_it ? buf_bytes(&place->vector) : BYTES_NONE;
}

static void cache_put(app_t *app, bytes_t text, bytes_t vector)
{
    uint64_t hash = cache_hash(app, text);
    place_t *place = &app->cache->places[hash % QUERY_CACHE_PLACES];
    if (text.len > QUERY_CACHE_TEXT_BYTES)
        return;
    buf_clear(&place->text);
    buf_clear(&place->vector);
    buf_append_bytes(&place->text, text);
    buf_append_bytes(&place->vector, vector);
    place->hash = hash;
    if (place->text.failed || place->vector.failed)
        buf_free(&place->vector);
}

/* -- a request -------------------------------------------------------------------------------------- */
typedef struct {
    app_t *app;
    bus_request_t *request;
    arena_t arena;
    search_query_request_t asked;
    int64_t began_us, asked_us; /* asked_us: when the model was asked */
    buf_t vector;               /* empty: none */
    bool wants_vector, wants_text;
    shelf_hit_t hits[SHELF_HITS_MAX];
    size_t count;
    hop_t hops[HOPS_MAX]; /* the first is this very call */
    uint32_t hop_count;
    char detail[DETAIL_BYTES];
} query_t;

static void query_end(query_t *q)
{
    arena_free(&q->arena);
    buf_free(&q->vector);
    free(q);
}

static void query_fail(query_t *q, const error_t *err)
{
    bus_fail(service_bus(q->app->service), q->request, err);
    query_end(q);
}

/* -- answer ----------------------------------------------------------------------------------------- */
static bool hit_fill(query_t *q, const PGresult *rows, int row, const shelf_hit_t *found, search_hit_t *hit)
{
    buf_t body = {0};
    book_t book;
    bool ok = pg_bytea(rows, row, 1, &body);
    uint8_t *copy = ok ? arena_alloc(&q->arena, body.len + 1) : NULL;
    if (copy)
        memcpy(copy, body.data, body.len);
    ok = copy && book_unpack(bytes_from(copy, body.len), &q->arena, &book, NULL);
    buf_free(&body);
    if (!ok)
        return false;
    *hit = (search_hit_t){.isbn = book.isbn, .title = book.title, .score = found->score};
    if (book.has_volume)
        SCHEMA_SET(hit, volume, book.volume);
    if (book.has_creators)
        SCHEMA_SET(hit, creators, book.creators);
    if (book.has_price_jpy)
        SCHEMA_SET(hit, price_jpy, book.price_jpy);
    if (book.has_synopsis)
        SCHEMA_SET(hit, synopsis, book.synopsis);
    return true;
}

static uint32_t hits_fill(query_t *q, const PGresult *rows, search_hit_t *hits)
{
    uint32_t count = 0;
    for (size_t i = 0; i < q->count; i++)
        for (int row = 0; row < PQntuples(rows); row++)
            if (strcmp(PQgetvalue(rows, row, 0), q->hits[i].isbn) == 0)
                count += hit_fill(q, rows, row, &q->hits[i], &hits[count]);
    return count;
}

static void own_hop(query_t *q)
{
    q->hops[0] = (hop_t){.service = BYTES_LIT("embed-indexer"),
                         .operation = BYTES_LIT(CALL_SEARCH_QUERY),
                         .duration_us = clock_mono_us() - q->began_us};
    SCHEMA_SET(&q->hops[0], depth, 0);
    SCHEMA_SET(&q->hops[0], start_us, 0);
    if (*q->detail)
        SCHEMA_SET(&q->hops[0], detail, bytes_cstr(q->detail));
}

static void answer(query_t *q, const search_hit_t *hits, uint32_t count)
{
    bytes_t degraded[2];
    uint32_t degraded_count = 0;
    bool by_vector = q->vector.len > 0;
    if (q->wants_vector && !by_vector)
        degraded[degraded_count++] = BYTES_LIT("embedding");
    if (!follow_is_loaded(q->app->follow))
        degraded[degraded_count++] = BYTES_LIT("index");
    own_hop(q);
    search_query_response_t response = {.hits = {hits, count},
                                        .mode = !by_vector      ? BYTES_LIT("text")
                                                : q->wants_text ? BYTES_LIT("hybrid")
                                                                : BYTES_LIT("vector")};
    SCHEMA_SET(&response, index_size, (int64_t)shelf_books(q->app->shelf));
    if (degraded_count)
        SCHEMA_SET(&response, degraded, ((bytes_list_t){degraded, degraded_count}));
    SCHEMA_SET(&response, hops, ((hop_list_t){q->hops, q->hop_count}));
    buf_t body = {0};
    error_t err = {0};
    if (search_query_response_pack(&body, &response, &err)) {
        bus_reply(service_bus(q->app->service), q->request, buf_bytes(&body));
        query_end(q);
    } else {
        query_fail(q, &err);
    }
    buf_free(&body);
}

static void on_bodies(void *ctx, const PGresult *rows, const error_t *err)
{
    query_t *q = ctx;
    search_hit_t hits[SHELF_HITS_MAX];
    if (err)
        query_fail(q, err);
    else
        answer(q, hits, hits_fill(q, rows, hits));
}

/* -- search ----------------------------------------------------------------------------------------- */
static void search(query_t *q)
{
    shelf_query_t query = {.text = q->asked.text,
                           .vector = buf_bytes(&q->vector),
                           .by_text = q->wants_text || q->vector.len == 0,
                           .filters = q->asked.has_filters ? &q->asked.filters : NULL,
                           .limit = q->asked.has_limit ? (size_t)q->asked.limit : QUERY_LIMIT};
    buf_t isbns = {0};
    q->count = shelf_search(q->app->shelf, &query, q->hits);
    for (size_t i = 0; i < q->count; i++)
        pg_array_text(&isbns, bytes_cstr(q->hits[i].isbn));
    if (q->count)
        store_bodies(service_pg(q->app->service), pg_array_end(&isbns), on_bodies, q);
    else
        answer(q, NULL, 0);
    buf_free(&isbns);
}

/* -- the query's vector ----------------------------------------------------------------------------- */
/* What the model's side did, one level below the hop that asked it. */
static void hops_add(query_t *q, const hop_list_t *hops)
{
    int64_t offset_us = q->asked_us - q->began_us;
    for (uint32_t i = 0; i < hops->count && q->hop_count < HOPS_MAX; i++) {
        hop_t *hop = &q->hops[q->hop_count++];
        *hop = hops->items[i];
        SCHEMA_SET(hop, depth, (hop->has_depth ? hop->depth : 0) + 1);
        SCHEMA_SET(hop, start_us, (hop->has_start_us ? hop->start_us : 0) + offset_us);
        if (hop->depth > 16)
            q->hop_count--;
    }
}

static void no_vector(query_t *q, const char *why)
{
    (void)snprintf(q->detail, sizeof q->detail, "no query vector: %s", why);
}

static void vector_take(query_t *q, bytes_t reply)
{
    /* The answer's slices must live until ours is packed. */
    uint8_t *copy = arena_alloc(&q->arena, reply.len + 1);
    fm_embed_response_t given;
    error_t err = {0};
    if (copy)
        memcpy(copy, reply.data, reply.len);
    if (!copy || !fm_embed_response_unpack(bytes_from(copy, reply.len), &q->arena, &given, &err)) {
        no_vector(q, "the model's answer cannot be read");
        return;
    }
    if (given.has_hops)
        hops_add(q, &given.hops);
    bytes_t vector = given.vectors.items[0];
    if (vector.len != (size_t)given.dimension * sizeof(float) ||
        !embedder_space_seen(q->app->embedder, given.model_id, given.dimension)) {
        no_vector(q, "it is of another model than the index");
        return;
    }
    buf_append_bytes(&q->vector, vector);
    cache_put(q->app, q->asked.text, vector);
}

static void on_vector(void *ctx, const bus_reply_t *reply)
{
    query_t *q = ctx;
    if (reply->err)
        no_vector(q, status_name(reply->err->code));
    else
        vector_take(q, reply->body);
    search(q);
}

static bool vector_ask(query_t *q)
{
    int64_t left_ms = bus_request_left_ms(q->request) - QUERY_RESERVE_MS;
    fm_embed_request_t request = {.texts = {&q->asked.text, 1}};
    buf_t body = {0};
    if (left_ms <= 0) {
        no_vector(q, "no time left");
        return false;
    }
    embedder_request(q->app, &request, "query");
    q->asked_us = clock_mono_us();
    bus_call_t call = {.method = CALL_FM_EMBED,
                       .timeout_ms = left_ms < QUERY_VECTOR_MAX_MS ? left_ms : QUERY_VECTOR_MAX_MS,
                       .idempotent = true,
                       .trace = &q->request->trace,
                       .on_done = on_vector,
                       .ctx = q};
    error_t err = {0};
    bool ok = fm_embed_request_pack(&body, &request, &err);
    call.body = buf_bytes(&body);
    ok = ok && bus_call(service_bus(q->app->service), &call, &err) != 0;
    if (!ok)
        no_vector(q, status_name(err.code));
    buf_free(&body);
    return ok;
}

/* True when the answer of a model is awaited. */
static bool vector_await(query_t *q)
{
    if (!q->wants_vector)
        return false;
    if (shelf_embedded_books(q->app->shelf) == 0) {
        no_vector(q, "no book has one yet");
        return false;
    }
    buf_append_bytes(&q->vector, cache_get(q->app, q->asked.text));
    if (q->vector.len) {
        (void)snprintf(q->detail, sizeof q->detail, "query vector from the cache");
        return false;
    }
    return vector_ask(q);
}

void query_on_request(void *ctx, bus_request_t *request)
{
    query_t *q = calloc(1, sizeof *q);
    error_t err = {0};
    if (!q)
        abort();
    *q = (query_t){.app = ctx, .request = request, .began_us = clock_mono_us(), .hop_count = 1};
    arena_init(&q->arena, 0);
    if (!search_query_request_unpack(request->body, &q->arena, &q->asked, &err)) {
        query_fail(q, &err);
        return;
    }
    bytes_t mode = q->asked.has_mode ? q->asked.mode : BYTES_LIT("hybrid");
    q->wants_vector = !bytes_eq_cstr(mode, "text");
    q->wants_text = !bytes_eq_cstr(mode, "vector");
    if (!vector_await(q))
        search(q);
}
