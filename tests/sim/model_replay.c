/* model_replay.c: replays: which event must come again next, and when a replay may end. */
#include "tests/sim/model_internal.h"

static model_replay_t *replay_of(model_t *model, bytes_t name)
{
    for (size_t i = 0; i < model->replays.count; i++)
        if (bytes_eq_cstr(name, model->replays.items[i].name))
            return &model->replays.items[i];
    return NULL;
}

const model_replay_t *model_replay_any(const model_t *model, uint64_t dice)
{
    return model->replays.count ? &model->replays.items[dice % model->replays.count] : NULL;
}

bool model_replay_runs(const model_t *model)
{
    for (size_t i = 0; i < model->replays.count; i++)
        if (model->replays.items[i].state == MODEL_REPLAY_RUNNING)
            return true;
    return false;
}

/* The first live event of the bus behind `seq` and before `end`; 0 for none. */
static uint64_t live_between(const model_t *model, uint64_t seq, uint64_t end)
{
    for (uint64_t i = seq + 1; i < end && i <= model->log.count; i++)
        if (model->log.items[i - 1].is_shop && !model->log.items[i - 1].is_replay)
            return i;
    return 0;
}

static bool skipped(model_t *model, const model_replay_t *r, uint64_t event)
{
    return trace_violated(model->trace, "replay %s passed over event %llu", r->name, (unsigned long long)event);
}

bool model_fold_replayed(model_t *model, const record_t *record)
{
    const record_publish_t *p = &record->publish;
    model_replay_t *r = replay_of(model, p->replay_name);
    const model_record_t *event = model_record(model, p->replay_of);
    if (!r || r->state != MODEL_REPLAY_RUNNING)
        return trace_violated(model->trace, "record %llu is of a replay that does not run",
                              (unsigned long long)record->seq);
    if (!event || !event->is_shop || event->is_replay || p->replay_of >= r->number ||
        event->token != model_token(p->body))
        return trace_violated(model->trace, "replay %s brought record %llu, which it should not", r->name,
                              (unsigned long long)p->replay_of);
    if (p->replay_of <= r->newest)
        return trace_violated(model->trace, "replay %s brought event %llu again", r->name,
                              (unsigned long long)p->replay_of);
    uint64_t missed = live_between(model, r->newest, p->replay_of);
    r->newest = p->replay_of;
    model->replayed++;
    return missed ? skipped(model, r, missed) : true;
}

static bool fold_begin(model_t *model, const record_t *record)
{
    model_replay_t replay = {.number = record->seq, .state = MODEL_REPLAY_RUNNING};
    (void)bytes_to_cstr(record->replay.name, replay.name, sizeof replay.name);
    if (replay_of(model, record->replay.name))
        return trace_violated(model->trace, "replay %s begins twice", replay.name);
    PUSH(model->replays, replay);
    return true;
}

bool model_fold_replay(model_t *model, const record_t *record)
{
    const record_replay_t *f = &record->replay;
    model_replay_t *r = replay_of(model, f->name);
    if (f->body.len)
        return fold_begin(model, record);
    if (!r || r->state > MODEL_REPLAY_PAUSED)
        return trace_violated(model->trace, "record %llu is of a replay that is over", (unsigned long long)record->seq);
    bool is_end = f->state == MODEL_REPLAY_COMPLETED;
    uint64_t missed = live_between(model, r->newest, is_end || f->position > r->number ? r->number : f->position);
    if (missed)
        return skipped(model, r, missed);
    if (f->refused || f->why.len)
        return trace_violated(model->trace, "replay %s refused %llu events: %.*s", r->name,
                              (unsigned long long)f->refused, BYTES_FMT(f->why));
    r->state = f->state;
    model->replays_completed += is_end;
    return true;
}
