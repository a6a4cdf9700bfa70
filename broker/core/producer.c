/* producer.c: producers by name and number, their windows of answers, and who was idle longest. */
#include "broker/core/producer.h"

#include <stdlib.h>

#include "broker/core/ledger.h"

static producer_t *producer_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->producers.all, id);
}

static bool producer_is_named(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, producer_at(ctx, id)->name);
}

static bool producer_is_number(const void *ctx, uint32_t id, const void *key)
{
    return producer_at(ctx, id)->number == *(const uint64_t *)key;
}

static producer_t *producer_named(const core_t *core, bytes_t name)
{
    return producer_at(core, map_find(&core->producers.by_name, map_hash_bytes(name), producer_is_named, core, &name));
}

producer_t *producer_find(const core_t *core, uint64_t number)
{
    producer_t *latest = producer_at(core, core->producers.newest_used);
    if (latest && latest->number == number)
        return latest;
    return producer_at(
        core, map_find(&core->producers.by_number, map_hash_pair(number, 0), producer_is_number, core, &number));
}

/* -- order of use ------------------------------------------------------------------------------------ */
static void use_unlink(core_t *core, producer_t *p)
{
    producers_t *all = &core->producers;
    if (p->older)
        producer_at(core, p->older)->newer = p->newer;
    else
        all->oldest_used = p->newer;
    if (p->newer)
        producer_at(core, p->newer)->older = p->older;
    else
        all->newest_used = p->older;
    p->older = p->newer = 0;
}

static void use_append(core_t *core, producer_t *p)
{
    producers_t *all = &core->producers;
    p->older = all->newest_used;
    if (p->older)
        producer_at(core, p->older)->newer = p->id;
    else
        all->oldest_used = p->id;
    all->newest_used = p->id;
}

static void producer_used(core_t *core, producer_t *p)
{
    if (core->producers.newest_used == p->id)
        return;
    use_unlink(core, p);
    use_append(core, p);
}

/* -- opening ----------------------------------------------------------------------------------------- */
static void producer_write(core_t *core, uint64_t number, bytes_t name, uint64_t epoch)
{
    core->record->producer = (record_producer_t){.producer = number, .name = name, .epoch = epoch};
    (void)ledger_write(core, RECORD_PRODUCER);
}

void producer_hold(core_t *core, uint64_t number)
{
    producer_t *p = producer_find(core, number);
    if (p)
        p->sessions++;
}

void producer_let_go(core_t *core, uint64_t number)
{
    producer_t *p = producer_find(core, number);
    if (p)
        p->sessions--;
}

/* Who has a session is not idle, though it may publish seldom. Which sessions there are is no durable state: so a
 * record says that it was used. */
static void producers_spare_live(core_t *core)
{
    const producers_t *all = &core->producers;
    uint32_t left = all->all.used >= core->limits.producers ? all->all.used : 0;
    for (; left > 0 && producer_at(core, all->oldest_used)->sessions; left--) {
        const producer_t *p = producer_at(core, all->oldest_used);
        producer_write(core, p->number, bytes_cstr(p->name), p->epoch);
    }
}

/* One more than can be kept pushes out the one that was idle longest: what that one sends again will not be known. */
static void producer_warn(core_t *core)
{
    const producers_t *all = &core->producers;
    if (all->all.used < core->limits.producers)
        return;
    core->stats.producers_forgotten++;
    effects_log(core->out, LOG_WARNING, "producer %s, idle for longest of %u, is forgotten for a new one",
                producer_at(core, all->oldest_used)->name, all->all.used);
}

producer_t *producer_open(core_t *core, bytes_t name, uint64_t epoch, error_t *err)
{
    producer_t *p = producer_named(core, name);
    if (p && epoch < p->epoch) {
        error_set(err, STATUS_FAILED_PRECONDITION, "PRODUCER_FENCED",
                  "Producer \"%.*s\" is at epoch %llu: another process has taken over from epoch %llu.",
                  BYTES_FMT(name), (unsigned long long)p->epoch, (unsigned long long)epoch);
        return NULL;
    }
    if (!p) {
        producers_spare_live(core);
        producer_warn(core);
        producer_write(core, core->producers.newest + 1, name, epoch);
    } else if (epoch > p->epoch)
        producer_write(core, p->number, name, epoch);
    return producer_named(core, name);
}

static bool producer_fenced(const session_t *session, const producer_t *p, error_t *err)
{
    if (p->epoch <= session->epoch)
        return false;
    error_set(err, STATUS_FAILED_PRECONDITION, "PRODUCER_FENCED",
              "Epoch %llu of producer \"%s\" has taken over from epoch %llu.", (unsigned long long)p->epoch, p->name,
              (unsigned long long)session->epoch);
    return true;
}

bool producer_check(const core_t *core, const session_t *session, uint64_t seq, uint64_t *record, error_t *err)
{
    *record = 0;
    if (!seq)
        return true;
    if (!session->producer)
        return error_set(err, STATUS_FAILED_PRECONDITION, "InvalidParameterValue",
                         "producer_seq was given, but HELLO named no producer.");
    const producer_t *p = producer_find(core, session->producer);
    if (!p)
        return error_set(err, STATUS_OUT_OF_RANGE, "SEQUENCE_EXPIRED",
                         "This producer was idle for so long that it was forgotten: open a new session.");
    if (producer_fenced(session, p, err))
        return false;
    if (seq + core->limits.producer_window <= p->newest)
        return error_set(err, STATUS_OUT_OF_RANGE, "SEQUENCE_EXPIRED",
                         "Sequence %llu is older than the %llu that are remembered: whether it was accepted is not "
                         "known any more.",
                         (unsigned long long)seq, (unsigned long long)core->limits.producer_window);
    const producer_answer_t *answer = p->answers ? &p->answers[seq % core->limits.producer_window] : NULL;
    if (answer && answer->seq == seq)
        *record = answer->record;
    return true;
}

/* -- applying ---------------------------------------------------------------------------------------- */
void producer_remember(core_t *core, uint64_t number, uint64_t seq, uint64_t record)
{
    producer_t *p = number && seq ? producer_find(core, number) : NULL;
    if (!p)
        return;
    if (!p->answers)
        p->answers = memory_new(core->limits.producer_window, sizeof *p->answers);
    p->answers[seq % core->limits.producer_window] = (producer_answer_t){seq, record};
    if (seq > p->newest)
        p->newest = seq;
    producer_used(core, p);
}

static void producer_free(producer_t *p)
{
    free(p->name);
    free(p->answers);
    free(p);
}

static void producer_forget(core_t *core, producer_t *p)
{
    use_unlink(core, p);
    map_drop(&core->producers.by_name, map_hash_bytes(bytes_cstr(p->name)), p->id);
    map_drop(&core->producers.by_number, map_hash_pair(p->number, 0), p->id);
    pool_drop(&core->producers.all, p->id);
    producer_free(p);
}

static producer_t *producer_make(core_t *core, const record_producer_t *r)
{
    if (core->producers.all.used >= core->limits.producers)
        producer_forget(core, producer_at(core, core->producers.oldest_used));
    producer_t *p = memory_new(1, sizeof *p);
    p->number = r->producer;
    p->name = memory_text(r->name);
    p->id = pool_add(&core->producers.all, p);
    map_add(&core->producers.by_name, map_hash_bytes(r->name), p->id);
    map_add(&core->producers.by_number, map_hash_pair(r->producer, 0), p->id);
    use_append(core, p);
    if (r->producer > core->producers.newest)
        core->producers.newest = r->producer;
    return p;
}

bool producer_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_producer_t *r = &record->producer;
    producer_t *p = producer_find(core, r->producer);
    if (p ? !bytes_eq_cstr(r->name, p->name) : producer_named(core, r->name) != NULL)
        return ledger_misfit(err, record, "producer", r->producer);
    if (!p)
        p = producer_make(core, r);
    p->epoch = r->epoch;
    producer_used(core, p);
    return true;
}

void producers_free(core_t *core)
{
    producers_t *all = &core->producers;
    for (uint32_t id = pool_next(&all->all, 0); id; id = pool_next(&all->all, id))
        producer_free(producer_at(core, id));
    pool_free(&all->all);
    map_free(&all->by_name);
    map_free(&all->by_number);
}

static uint64_t producer_digest(const core_t *core, const producer_t *p)
{
    uint64_t digest = map_mix(map_mix(p->number, p->epoch), map_mix(p->newest, map_hash_bytes(bytes_cstr(p->name))));
    for (uint64_t i = 0; p->answers && i < core->limits.producer_window; i++)
        digest = map_mix(digest, map_mix(p->answers[i].seq, p->answers[i].record));
    return digest;
}

uint64_t producers_digest(const core_t *core)
{
    uint64_t digest = core->producers.newest;
    for (uint32_t id = core->producers.oldest_used; id; id = producer_at(core, id)->newer)
        digest = map_mix(digest, producer_digest(core, producer_at(core, id)));
    return digest;
}
