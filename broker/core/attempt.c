/* attempt.c: the table of remembered answers, oldest first. */
#include "broker/core/attempt.h"

#include <stdlib.h>

#include "broker/core/consume.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/settle.h"

/* -- the table --------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t queue; /* incarnation */
    bytes_t id;
} attempt_key_t;

static attempt_t *attempt_at(const core_t *core, uint32_t number)
{
    return pool_get(&core->attempts.all, number);
}

static uint32_t key_hash(const attempt_key_t *key)
{
    return map_hash_pair(key->queue, map_hash_bytes(key->id));
}

static bool attempt_is(const void *ctx, uint32_t number, const void *key)
{
    const attempt_t *attempt = attempt_at(ctx, number);
    const attempt_key_t *wanted = key;
    return attempt->queue == wanted->queue && bytes_eq_cstr(wanted->id, attempt->id);
}

static attempt_t *attempt_find(const core_t *core, const queue_t *queue, bytes_t id)
{
    attempt_key_t key = {queue->incarnation, id};
    return attempt_at(core, map_find(&core->attempts.by_key, key_hash(&key), attempt_is, core, &key));
}

static void attempt_forget(core_t *core, attempt_t *attempt)
{
    attempts_t *all = &core->attempts;
    attempt_key_t key = {attempt->queue, bytes_cstr(attempt->id)};
    map_drop(&all->by_key, key_hash(&key), attempt->number);
    if (attempt->older)
        attempt_at(core, attempt->older)->newer = attempt->newer;
    else
        all->oldest = attempt->newer;
    if (attempt->newer)
        attempt_at(core, attempt->newer)->older = attempt->older;
    else
        all->newest = attempt->older;
    pool_drop(&all->all, attempt->number);
    free(attempt->id);
    free(attempt);
}

static void attempts_trim(core_t *core)
{
    attempt_t *oldest;
    while ((oldest = attempt_at(core, core->attempts.oldest)) != NULL &&
           (oldest->at_us + ATTEMPT_WINDOW_US < core->now_us || core->attempts.all.used >= ATTEMPTS_MAX))
        attempt_forget(core, oldest);
}

void attempts_free(core_t *core)
{
    while (core->attempts.oldest)
        attempt_forget(core, attempt_at(core, core->attempts.oldest));
    pool_free(&core->attempts.all);
    map_free(&core->attempts.by_key);
}

/* -- remembering ------------------------------------------------------------------------------------- */
void attempt_remember(core_t *core, const queue_t *queue, bytes_t id)
{
    attempts_t *all = &core->attempts;
    const record_delivered_t *r = &core->record->delivered;
    attempt_t *attempt = attempt_find(core, queue, id);
    if (attempt)
        attempt_forget(core, attempt);
    attempts_trim(core);
    attempt = memory_new(1, sizeof *attempt);
    attempt->queue = queue->incarnation;
    attempt->id = memory_text(id);
    attempt->at_us = core->now_us;
    for (uint32_t i = 0; i < r->entries.count && attempt->count < ATTEMPT_MESSAGES_MAX; i++)
        attempt->messages[attempt->count++] = (attempt_message_t){
            r->entries.items[i].record, r->entries.items[i].receives, r->entries.items[i].invisible_until_us};
    attempt->number = pool_add(&all->all, attempt);
    attempt->older = all->newest;
    if (all->newest)
        attempt_at(core, all->newest)->newer = attempt->number;
    else
        all->oldest = attempt->number;
    all->newest = attempt->number;
    attempt_key_t key = {attempt->queue, id};
    map_add(&all->by_key, key_hash(&key), attempt->number);
}

/* -- repeating --------------------------------------------------------------------------------------- */
static const message_t *still_held(const core_t *core, const queue_t *queue, const attempt_message_t *remembered)
{
    uint32_t id = message_find(core, queue->id, remembered->record);
    const message_t *m = id ? message_at(core, id) : NULL;
    bool is_same = m && m->state == MESSAGE_IN_FLIGHT && m->receives == remembered->receives &&
                   message_timer_us(core, m) == remembered->until_us;
    return is_same ? m : NULL;
}

static bool is_valid(const core_t *core, const queue_t *queue, const attempt_t *attempt)
{
    if (attempt->at_us + ATTEMPT_WINDOW_US < core->now_us)
        return false;
    for (uint32_t i = 0; i < attempt->count; i++)
        if (!still_held(core, queue, &attempt->messages[i]))
            return false;
    return true;
}

size_t attempt_repeat(core_t *core, const queue_t *queue, bytes_t id, int64_t visibility_us, size_t *first)
{
    attempt_t *attempt = attempt_find(core, queue, id);
    if (!attempt)
        return 0;
    if (!is_valid(core, queue, attempt)) {
        attempt_forget(core, attempt);
        return 0;
    }
    *first = core->out->item_count;
    core->record->settled.entries.count = 0;
    for (uint32_t i = 0; i < attempt->count; i++) {
        attempt_message_t *remembered = &attempt->messages[i];
        const message_t *m = still_held(core, queue, remembered);
        remembered->until_us = settle_latest_us(core, m, visibility_us);
        settle_note(core, queue, m, WIRE_EXTEND, remembered->until_us);
        item_deliver(core, queue, m);
    }
    settle_flush(core);
    return attempt->count;
}
