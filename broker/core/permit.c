/* permit.c: buckets, the lines before them, and what was granted. */
#include "broker/core/permit.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/ledger.h"
#include "broker/core/session.h"

#define NS_PER_US INT64_C(1000)
#define GRANTS_FIRST 64u

static permit_request_t *request_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->permits.requests, id);
}

static permit_line_t *line_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->permits.lines, id);
}

/* -- timers ------------------------------------------------------------------------------------------ */
static bool bucket_before(const void *ctx, uint32_t a, uint32_t b)
{
    const bucket_t *x = bucket_at(ctx, a), *y = bucket_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : a < b;
}

static uint32_t *bucket_place(void *ctx, uint32_t id)
{
    return &bucket_at(ctx, id)->heap_at;
}

static bool request_before(const void *ctx, uint32_t a, uint32_t b)
{
    const permit_request_t *x = request_at(ctx, a), *y = request_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : a < b;
}

static uint32_t *request_place(void *ctx, uint32_t id)
{
    return &request_at(ctx, id)->heap_at;
}

void permits_init(core_t *core)
{
    static const heap_kind_t buckets = {bucket_before, bucket_place}, requests = {request_before, request_place};
    heap_init(&core->permits.due, &buckets, core);
    heap_init(&core->permits.timeouts, &requests, core);
}

int64_t permits_next_us(const core_t *core)
{
    uint32_t bucket = heap_top(&core->permits.due), request = heap_top(&core->permits.timeouts);
    int64_t due_us = bucket ? bucket_at(core, bucket)->timer_us : INT64_MAX;
    int64_t over_us = request ? request_at(core, request)->timer_us : INT64_MAX;
    return due_us < over_us ? due_us : over_us;
}

/* -- lines --------------------------------------------------------------------------------------------- */
typedef struct {
    uint32_t session, bucket, class;
} line_key_t;

static bool line_is(const void *ctx, uint32_t id, const void *key)
{
    const permit_line_t *line = line_at(ctx, id);
    const line_key_t *k = key;
    return line->session == k->session && line->bucket == k->bucket && line->class == k->class;
}

static uint32_t line_hash(const line_key_t *key)
{
    return map_hash_pair(key->session, (uint64_t)key->bucket * PERMIT_CLASSES + key->class);
}

/* A line joins the end of its class's lines. */
static void turn_join(core_t *core, permit_line_t *line)
{
    chain_t *lines = &bucket_at(core, line->bucket)->lines[line->class];
    line->prev = lines->tail;
    line->next = 0;
    *(lines->tail ? &line_at(core, lines->tail)->next : &lines->head) = line->id;
    lines->tail = line->id;
    lines->count++;
}

static void turn_leave(core_t *core, const permit_line_t *line)
{
    chain_t *lines = &bucket_at(core, line->bucket)->lines[line->class];
    *(line->prev ? &line_at(core, line->prev)->next : &lines->head) = line->next;
    *(line->next ? &line_at(core, line->next)->prev : &lines->tail) = line->prev;
    lines->count--;
}

static permit_line_t *line_get(core_t *core, const line_key_t *key)
{
    permit_line_t *line = line_at(core, map_find(&core->permits.lines_by_key, line_hash(key), line_is, core, key));
    if (line)
        return line;
    line = memory_new(1, sizeof *line);
    line->session = key->session;
    line->bucket = key->bucket;
    line->class = key->class;
    line->id = pool_add(&core->permits.lines, line);
    map_add(&core->permits.lines_by_key, line_hash(key), line->id);
    turn_join(core, line);
    return line;
}

static void line_end(core_t *core, permit_line_t *line)
{
    const line_key_t key = {line->session, line->bucket, line->class};
    turn_leave(core, line);
    map_drop(&core->permits.lines_by_key, line_hash(&key), line->id);
    pool_drop(&core->permits.lines, line->id);
    free(line);
}

/* -- requests ---------------------------------------------------------------------------------------------- */
static permit_request_t *request_make(core_t *core, session_t *session, const bucket_t *bucket, const wire_msg_t *msg)
{
    const wire_permit_t *p = &msg->permit;
    const line_key_t key = {session->id, bucket->id, (uint32_t)p->priority};
    permit_line_t *line = line_get(core, &key);
    permit_request_t *request = memory_new(1, sizeof *request);
    request->session = session->id;
    request->bucket = bucket->id;
    request->line = line->id;
    request->seq = msg->seq;
    request->tokens = p->tokens < bucket->burst ? (uint32_t)p->tokens : bucket->burst; /* there are never more */
    request->asked_us = core->now_us;
    request->timer_us = core->now_us + (int64_t)p->wait_ms * US_PER_MS;
    request->id = pool_add(&core->permits.requests, request);
    request->prev = line->requests.tail;
    *(request->prev ? &request_at(core, request->prev)->next : &line->requests.head) = request->id;
    line->requests.tail = request->id;
    line->requests.count++;
    bucket_at(core, bucket->id)->waiting[line->class]++;
    ids_add(&session->permits, request->id);
    heap_set(&core->permits.timeouts, request->id);
    core->stats.permits_waiting++;
    return request;
}

/* With its last request the line ends. */
static void request_end(core_t *core, permit_request_t *request)
{
    permit_line_t *line = line_at(core, request->line);
    *(request->prev ? &request_at(core, request->prev)->next : &line->requests.head) = request->next;
    *(request->next ? &request_at(core, request->next)->prev : &line->requests.tail) = request->prev;
    line->requests.count--;
    bucket_at(core, request->bucket)->waiting[line->class]--;
    if (!line->requests.count)
        line_end(core, line);
    (void)ids_drop(&session_at(core, request->session)->permits, request->id);
    heap_drop(&core->permits.timeouts, request->id);
    pool_drop(&core->permits.requests, request->id);
    core->stats.permits_waiting--;
    free(request);
}

uint32_t bucket_waiting(const bucket_t *bucket)
{
    uint32_t waiting = 0;
    for (int class = 0; class < PERMIT_CLASSES; class ++)
        waiting += bucket->waiting[class];
    return waiting;
}

/* -- grants ------------------------------------------------------------------------------------------------ */
static permit_grant_t *grant_at(const bucket_t *bucket, uint64_t number)
{
    uint64_t nth = number - bucket->oldest_grant;
    return number >= bucket->oldest_grant && nth < bucket->grant_count
               ? &bucket->grants[(bucket->first_grant + nth) & (bucket->grant_cap - 1)]
               : NULL;
}

static void grant_forget(bucket_t *bucket)
{
    bucket->first_grant = (bucket->first_grant + 1) & (bucket->grant_cap - 1);
    bucket->grant_count--;
    bucket->oldest_grant++;
}

static void grants_grow(bucket_t *bucket)
{
    uint32_t cap = bucket->grant_cap ? bucket->grant_cap * 2 : GRANTS_FIRST;
    permit_grant_t *grown = memory_new(cap, sizeof *grown);
    for (uint32_t i = 0; i < bucket->grant_count; i++)
        grown[i] = *grant_at(bucket, bucket->oldest_grant + i);
    free(bucket->grants);
    bucket->grants = grown;
    bucket->first_grant = 0;
    bucket->grant_cap = cap;
}

/* Returns the permit's number. */
static uint64_t grant_add(bucket_t *bucket, const permit_grant_t *grant, int64_t now_us)
{
    while (bucket->grant_count &&
           (grant_at(bucket, bucket->oldest_grant)->until_us <= now_us || bucket->grant_count == PERMIT_GRANTS_MAX))
        grant_forget(bucket);
    if (bucket->grant_count == bucket->grant_cap)
        grants_grow(bucket);
    uint64_t number = bucket->oldest_grant + bucket->grant_count++;
    *grant_at(bucket, number) = *grant;
    return number;
}

/* Given back is only what the holder had and what has not expired; it becomes a spare. */
static void grant_return(core_t *core, bucket_t *bucket, const session_t *session, uint64_t number, uint64_t unused)
{
    permit_grant_t *grant = grant_at(bucket, number);
    if (!grant || grant->session != session->number || grant->until_us <= core->now_us)
        return;
    uint32_t tokens = unused < grant->tokens ? (uint32_t)unused : grant->tokens;
    grant->tokens -= tokens;
    bucket->returned += tokens;
    core->stats.permits_returned += tokens;
    if (tokens && bucket->spare_count < PERMIT_SPARES_MAX)
        bucket->spares[bucket->spare_count++] = (permit_grant_t){.until_us = grant->until_us, .tokens = tokens};
}

/* The spare to be given next; NULL when there is none that is worth something. */
static permit_grant_t *spare_top(const core_t *core, bucket_t *bucket)
{
    while (bucket->spare_count) {
        permit_grant_t *top = &bucket->spares[bucket->spare_count - 1];
        if (top->tokens && top->until_us >= core->now_us + US_PER_MS)
            return top;
        bucket->spare_count--;
    }
    return NULL;
}

/* -- granting ------------------------------------------------------------------------------------------------ */
static void answer(core_t *core, const permit_request_t *request, const wire_permitted_t *permitted)
{
    effects_frame(core->out, session_at(core, request->session)->peer, ledger_after(core), WIRE_PERMITTED, request->seq,
                  permitted);
}

/* When the token comes that is due after those of `ahead` others. */
static uint64_t retry_after_ms(const core_t *core, const bucket_t *bucket, uint32_t ahead)
{
    int64_t wait_ns =
        token_bucket_wait_ns(&bucket->pace, 1, bucket_ns(core->now_us)) + bucket->pace.interval_ns * ahead;
    return (uint64_t)(wait_ns / (NS_PER_US * US_PER_MS)) + 1;
}

static uint64_t waited_ms(const core_t *core, const permit_request_t *request)
{
    return (uint64_t)((core->now_us - request->asked_us) / US_PER_MS);
}

static void answer_nothing(core_t *core, permit_request_t *request)
{
    const bucket_t *bucket = bucket_at(core, request->bucket);
    const wire_permitted_t nothing = {.retry_after_ms = retry_after_ms(core, bucket, bucket_waiting(bucket) - 1),
                                      .waited_ms = waited_ms(core, request)};
    answer(core, request, &nothing);
    core->stats.permits_empty++;
    request_end(core, request);
}

/* Before a token is granted that the journal has not allowed for, it is told of the next second. */
static void horizon_move(core_t *core, const bucket_t *bucket)
{
    int64_t due_us = bucket->pace.due_ns / NS_PER_US + 1;
    if (due_us <= bucket->horizon_us)
        return;
    core->record->permits =
        (record_permits_t){.bucket = bytes_cstr(bucket->name), .next_free_us = due_us + PERMIT_AHEAD_US};
    (void)ledger_write(core, RECORD_PERMITS);
}

static void grant(core_t *core, bucket_t *bucket, permit_request_t *request, uint32_t tokens, int64_t until_us)
{
    const permit_grant_t given = {session_at(core, request->session)->number, until_us, tokens};
    const wire_permitted_t permitted = {
        .tokens = tokens,
        .expires_ms = (uint64_t)((until_us - core->now_us) / US_PER_MS),
        .permit = grant_add(bucket, &given, core->now_us),
        .waited_ms = waited_ms(core, request),
    };
    bucket->granted += tokens;
    core->stats.permits_granted += tokens;
    answer(core, request, &permitted);
    request_end(core, request);
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void grant_spare(core_t *core, bucket_t *bucket, permit_request_t *request, permit_grant_t *spare)
{
    uint32_t tokens = fewer(request->tokens, spare->tokens);
    spare->tokens -= tokens;
    grant(core, bucket, request, tokens, spare->until_us);
}

static void grant_new(core_t *core, bucket_t *bucket, permit_request_t *request, uint32_t there)
{
    uint32_t tokens = fewer(request->tokens, there);
    if (!token_bucket_take(&bucket->pace, tokens, bucket_ns(core->now_us)))
        abort(); /* the caller has looked */
    horizon_move(core, bucket);
    grant(core, bucket, request, tokens, core->now_us + bucket->expiry_us);
}

/* The highest class in which somebody waits, of it the line whose turn it is; the line goes to the end. */
static permit_request_t *next_in_turn(core_t *core, const bucket_t *bucket)
{
    for (int class = 0; class < PERMIT_CLASSES; class ++) {
        permit_line_t *line = line_at(core, bucket->lines[class].head);
        if (!line)
            continue;
        turn_leave(core, line);
        turn_join(core, line);
        return request_at(core, line->requests.head);
    }
    return NULL;
}

void bucket_arm(core_t *core, bucket_t *bucket)
{
    if (!bucket_waiting(bucket)) {
        heap_drop(&core->permits.due, bucket->id);
        return;
    }
    int64_t wait_ns = token_bucket_wait_ns(&bucket->pace, 1, bucket_ns(core->now_us));
    bucket->timer_us = core->now_us + (wait_ns + NS_PER_US - 1) / NS_PER_US;
    heap_set(&core->permits.due, bucket->id);
}

/* Gives what is there to those who wait. */
static void bucket_serve(core_t *core, bucket_t *bucket)
{
    while (bucket_waiting(bucket)) {
        permit_grant_t *spare = spare_top(core, bucket);
        uint32_t there = token_bucket_available(&bucket->pace, bucket_ns(core->now_us));
        if (!spare && !there)
            break;
        permit_request_t *request = next_in_turn(core, bucket);
        if (spare)
            grant_spare(core, bucket, request, spare);
        else
            grant_new(core, bucket, request, there);
    }
    bucket_arm(core, bucket);
}

/* -- PERMIT -------------------------------------------------------------------------------------------------- */
static bool numbers_check(const wire_permit_t *p, error_t *err)
{
    if (p->tokens == 0 && p->unused == 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "PERMIT.tokens must be at least 1; 0 only where `unused` gives some back.");
    if (p->priority >= PERMIT_CLASSES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "PERMIT.priority must be 0 (live), 1 (normal) or 2 (batch).");
    if (p->wait_ms > PERMIT_WAIT_MAX_MS)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "PERMIT.wait_ms must be from 0 to %llu.", (unsigned long long)PERMIT_WAIT_MAX_MS);
    return true;
}

static bool room_check(const core_t *core, const session_t *session, const bucket_t *bucket, const wire_permit_t *p,
                       error_t *err)
{
    if (session->permits.count >= PERMIT_SESSION_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_PERMITS", "A session may have %u PERMITs waiting.",
                         PERMIT_SESSION_MAX);
    if (bucket->waiting[p->priority] < PERMIT_WAITING_MAX)
        return true;
    error_set(err, STATUS_RESOURCE_EXHAUSTED, "ThrottlingException",
              "%u requests of this priority wait for bucket \"%s\" already.", PERMIT_WAITING_MAX, bucket->name);
    err->retry_after_ms = (int64_t)retry_after_ms(core, bucket, bucket_waiting(bucket));
    return false;
}

static bool permit_check(const core_t *core, const session_t *session, const wire_permit_t *p, bucket_t **bucket,
                         error_t *err)
{
    if (!answer_takes_work(core, err) || !answer_allowed(core, ROLE_PERMITS, p->bucket, err))
        return false;
    *bucket = bucket_find(core, p->bucket);
    if (!*bucket)
        return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no permit bucket \"%.*s\".",
                         BYTES_FMT(p->bucket));
    return numbers_check(p, err) && room_check(core, session, *bucket, p, err);
}

/* Every request joins its line and is served from there: nobody overtakes. */
static void permit_ask(core_t *core, session_t *session, bucket_t *bucket, const wire_msg_t *msg)
{
    uint32_t id = request_make(core, session, bucket, msg)->id;
    bucket_serve(core, bucket);
    permit_request_t *request = request_at(core, id);
    if (!request || msg->permit.wait_ms)
        return;
    answer_nothing(core, request);
    bucket_arm(core, bucket);
}

void permit_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_permit_t *p = &msg->permit;
    static const wire_permitted_t thanks;
    bucket_t *bucket;
    error_t err;
    if (!permit_check(core, session, p, &bucket, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    if (p->unused)
        grant_return(core, bucket, session, p->permit, p->unused);
    if (p->tokens) {
        permit_ask(core, session, bucket, msg);
        return;
    }
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_PERMITTED, msg->seq, &thanks);
    bucket_serve(core, bucket);
}

/* -- time ---------------------------------------------------------------------------------------------------- */
/* A token that comes with the end of a wait is still granted. */
void permits_due(core_t *core)
{
    uint32_t id;
    while ((id = heap_top(&core->permits.due)) != 0 && bucket_at(core, id)->timer_us <= core->now_us)
        bucket_serve(core, bucket_at(core, id));
    while ((id = heap_top(&core->permits.timeouts)) != 0 && request_at(core, id)->timer_us <= core->now_us) {
        bucket_t *bucket = bucket_at(core, request_at(core, id)->bucket);
        answer_nothing(core, request_at(core, id));
        bucket_arm(core, bucket);
    }
}

void permits_stop(core_t *core)
{
    uint32_t id;
    while ((id = heap_top(&core->permits.timeouts)) != 0)
        answer_nothing(core, request_at(core, id));
    while ((id = heap_top(&core->permits.due)) != 0)
        heap_drop(&core->permits.due, id);
}

void permits_end_of_session(core_t *core, session_t *session)
{
    while (session->permits.count) {
        permit_request_t *request = request_at(core, session->permits.items[session->permits.count - 1]);
        bucket_t *bucket = bucket_at(core, request->bucket);
        request_end(core, request);
        bucket_arm(core, bucket);
    }
}

void permits_turn_away(core_t *core, bucket_t *bucket)
{
    error_t err;
    permit_request_t *request;
    error_set(&err, STATUS_NOT_FOUND, "ResourceNotFoundException", "Permit bucket \"%s\" was removed.", bucket->name);
    while ((request = next_in_turn(core, bucket)) != NULL) {
        answer_refuse(core, session_at(core, request->session)->peer, request->seq, &err);
        request_end(core, request);
    }
    heap_drop(&core->permits.due, bucket->id);
}

void permits_free(core_t *core)
{
    permits_t *all = &core->permits;
    buckets_free(core);
    for (uint32_t id = pool_next(&all->requests, 0); id; id = pool_next(&all->requests, id))
        free(request_at(core, id));
    for (uint32_t id = pool_next(&all->lines, 0); id; id = pool_next(&all->lines, id))
        free(line_at(core, id));
    pool_free(&all->requests);
    pool_free(&all->lines);
    map_free(&all->lines_by_key);
    heap_free(&all->due);
    heap_free(&all->timeouts);
}
