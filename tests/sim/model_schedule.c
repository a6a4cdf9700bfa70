/* model_schedule.c: the rules of schedules: each due moment once, in its order, with nothing between left out that the
 * schedule's policy does not leave out. */
#include "tests/sim/model_internal.h"

#define PERIOD_US INT64_C(60000000) /* of all of them */

/* `tick` is due at every whole minute and makes up for what it missed; `beat` counts from its beginning, and of what it
 * missed sends the newest; `odd` is one more, that the second topology alone has. */
static const struct {
    const char *name;
    int queue;
    bool is_rate, sends_all, comes_and_goes;
} rules[MODEL_SCHEDULES] = {
    {"tick", 0, false, true, false}, {"beat", 2, true, false, false}, {"odd", 0, true, true, true}};

void model_schedules_topology(model_t *model, int topology, int64_t now_us)
{
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        model_schedule_t *s = &model->schedules[i];
        bool is_there = !rules[i].comes_and_goes || topology == 1;
        if (is_there && !s->is_there)
            s->began_us = s->done_us = now_us;
        s->is_there = is_there;
    }
}

static int64_t due_after(int i, const model_schedule_t *s)
{
    int64_t from_us = rules[i].is_rate ? s->began_us : 0;
    return from_us + ((s->done_us - from_us) / PERIOD_US + 1) * PERIOD_US;
}

static const char *fault_of(const model_t *model, int i, const record_t *record)
{
    const model_schedule_t *s = &model->schedules[i];
    const record_schedule_t *r = &record->schedule;
    if (!s->is_there)
        return "is not in the topology";
    if (r->queue != model->queues[rules[i].queue])
        return "sent to another queue";
    if (r->due_us > record->ingest_us)
        return "was too early";
    if (r->due_us <= s->done_us)
        return "had been seen to before";
    if ((r->due_us - due_after(i, s)) % PERIOD_US)
        return "was not due then";
    if (rules[i].sends_all && r->due_us != due_after(i, s))
        return "skipped one";
    if (!rules[i].sends_all && r->due_us + PERIOD_US <= record->ingest_us)
        return "is not for the newest";
    return NULL;
}

bool model_fold_schedule(model_t *model, const record_t *record)
{
    const record_schedule_t *r = &record->schedule;
    int i = 0;
    while (i < MODEL_SCHEDULES && !bytes_eq_cstr(r->name, rules[i].name))
        i++;
    const char *fault = i < MODEL_SCHEDULES ? fault_of(model, i, record) : "is unknown";
    if (fault)
        return trace_violated(model->trace, "schedule %.*s fired for %lld (record %llu), but it %s", BYTES_FMT(r->name),
                              (long long)r->due_us, (unsigned long long)record->seq, fault);
    int64_t delay_us = model_rules[rules[i].queue].delay_us;
    if (r->visible_us != (delay_us ? record->ingest_us + delay_us : 0))
        return trace_violated(model->trace, "schedule %s: its message has another delay", rules[i].name);
    model->schedules[i].done_us = r->due_us;
    model->scheduled++;
    PUSH(model->messages, (model_message_t){.record = record->seq,
                                            .queue = rules[i].queue,
                                            .sent_us = record->ingest_us,
                                            .visible_us = record->ingest_us + delay_us,
                                            .from = -1});
    return true;
}

bool model_schedules_are_done(model_t *model, int64_t now_us)
{
    for (int i = 0; i < MODEL_SCHEDULES; i++)
        if (model->schedules[i].is_there && due_after(i, &model->schedules[i]) <= now_us)
            return trace_violated(model->trace, "schedule %s was due at %lld and has not fired", rules[i].name,
                                  (long long)due_after(i, &model->schedules[i]));
    return true;
}
