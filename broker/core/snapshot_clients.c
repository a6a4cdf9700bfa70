/* snapshot_clients.c: producers with what they were answered, and sessions. */
#include "broker/core/producer.h"
#include "broker/core/session.h"
#include "broker/core/snapshot_parts.h"

/* -- producers ----------------------------------------------------------------------------------------- */
static void save_producer(snapshot_save_t *save, const producer_t *p)
{
    snapshot_put(save, SNAPSHOT_PRODUCER,
                 &(snapshot_producer_t){
                     .producer = p->number, .name = bytes_cstr(p->name), .epoch = p->epoch, .newest = p->newest});
}

static uint32_t next_answer(const core_t *core, const producer_t *p, uint32_t from)
{
    uint32_t slots = p->answers ? (uint32_t)core->limits.producer_window : 0;
    while (from < slots && !p->answers[from].seq)
        from++;
    return from < slots ? from : UINT32_MAX;
}

/* In the order of their use, which decides who is forgotten first. */
uint64_t snapshot_save_producers(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    uint32_t id = (uint32_t)(at >> 32);
    const producer_t *p = pool_get(&core->producers.all, id);
    uint32_t slot = p ? next_answer(core, p, (uint32_t)at) : UINT32_MAX;
    if (slot != UINT32_MAX) {
        snapshot_put(save, SNAPSHOT_ANSWER,
                     &(snapshot_answer_t){.seq = p->answers[slot].seq, .record = p->answers[slot].record});
        return snapshot_pair(id, slot + 1);
    }
    id = p ? p->newer : core->producers.oldest_used;
    if (!id)
        return SNAPSHOT_NO_MORE;
    save_producer(save, pool_get(&core->producers.all, id));
    return snapshot_pair(id, 0);
}

bool snapshot_load_producer(snapshot_load_t *load, const snapshot_producer_t *item, error_t *err)
{
    core_t *core = load->core;
    if (item->producer < 1 || item->producer > core->producers.newest || producer_find(core, item->producer))
        return snapshot_misfit(err, SNAPSHOT_PRODUCER, "its number is taken, or not known:", item->producer);
    core->record->seq = core->next_seq - 1;
    core->record->kind = RECORD_PRODUCER;
    core->record->producer = (record_producer_t){.producer = item->producer, .name = item->name, .epoch = item->epoch};
    if (!producer_apply(core, core->record, err))
        return false;
    load->producer = producer_find(core, item->producer);
    load->producer->newest = item->newest;
    return true;
}

bool snapshot_load_answer(snapshot_load_t *load, const snapshot_answer_t *item, error_t *err)
{
    const producer_t *p = load->producer;
    if (!p || item->seq < 1 || item->seq > p->newest)
        return snapshot_misfit(err, SNAPSHOT_ANSWER, "of sequence", item->seq);
    if (item->seq + load->core->limits.producer_window > p->newest) /* the window may be smaller today */
        producer_remember(load->core, p->number, item->seq, item->record);
    return true;
}

/* -- sessions ------------------------------------------------------------------------------------------ */
uint64_t snapshot_save_sessions(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = pool_next(&save->core->sessions.all, (uint32_t)at);
    if (!id)
        return SNAPSHOT_NO_MORE;
    const session_t *s = session_at(save->core, id);
    snapshot_put(save, SNAPSHOT_SESSION,
                 &(snapshot_session_t){.session = s->number,
                                       .name = bytes_cstr(s->name),
                                       .resume = bytes_from(s->resume, sizeof s->resume)});
    return id;
}

bool snapshot_load_session(snapshot_load_t *load, const snapshot_session_t *item, error_t *err)
{
    core_t *core = load->core;
    if (item->session < 1 || item->session > core->sessions.newest || core->sessions.all.used >= MESSAGE_IDS_MAX)
        return snapshot_misfit(err, SNAPSHOT_SESSION, "its number is not known, or it is one too many:", item->session);
    core->record->seq = core->next_seq - 1;
    core->record->kind = RECORD_SESSION;
    core->record->session =
        (record_session_t){.session = item->session, .name = item->name, .resume = item->resume, .ended = false};
    return session_apply(core, core->record, err);
}
