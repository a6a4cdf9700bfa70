/* model.c: folding records one by one, each against the rules. */
#include "tests/sim/model_internal.h"

#include <stdlib.h>

#include "proto/msgpack.h"

#define SLICE_US 1000 /* from one slice of long work to the next */
#define S INT64_C(1000000)

const model_rule_t model_rules[MODEL_QUEUES] = {
    {"work", 5 * S, 0, 345600 * S, 3, 4},      {"aged", 3 * S, 0, 60 * S, 9, 4},
    {"late", 4 * S, 2 * S, 345600 * S, 0, -1}, {"brief", 4 * S, 0, 60 * S, 0, -1},
    {"dead", 5 * S, 0, 345600 * S, 0, -1},
};

#define BUSES "{\"Buses\":[{\"Name\":\"shop\",\"DeduplicationWindowSeconds\":20},{\"Name\":\"other\"}],"
#define ARCHIVES                                                                                                       \
    "\"Archives\":[{\"ArchiveName\":\"shop-all\",\"EventSourceArn\":\"shop\"},"                                        \
    "{\"ArchiveName\":\"shop-b\",\"EventSourceArn\":\"shop\",\"EventPattern\":{\"detail-type\":[{\"prefix\":\"b\"}]}}" \
    "],"
#define RULES(second)                                                                                                  \
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"                 \
    "\"Targets\":[{\"Id\":\"w\",\"Arn\":\"work\"},{\"Id\":\"s\",\"Arn\":\"" second "\"}]},"                            \
    "{\"Name\":\"b\",\"EventBusName\":\"shop\",\"EventPattern\":{\"detail-type\":[{\"prefix\":\"b\"}]},"               \
    "\"Targets\":[{\"Id\":\"o\",\"Arn\":\"event-bus/other\"}]},"                                                       \
    "{\"Name\":\"round\",\"EventBusName\":\"other\",\"EventPattern\":{\"source\":[\"test\"]},"                         \
    "\"Targets\":[{\"Id\":\"l\",\"Arn\":\"late\"},{\"Id\":\"s\",\"Arn\":\"event-bus/shop\"}]}],"
#define QUEUES                                                                                                         \
    "\"Queues\":["                                                                                                     \
    "{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":5,"                                                 \
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":3}}},"                                    \
    "{\"QueueName\":\"aged\",\"Attributes\":{\"VisibilityTimeout\":3,\"MaximumEventAgeInSeconds\":60,"                 \
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":9}}},"                                    \
    "{\"QueueName\":\"late\",\"Attributes\":{\"DelaySeconds\":2,\"VisibilityTimeout\":4}},"                            \
    "{\"QueueName\":\"brief\",\"Attributes\":{\"VisibilityTimeout\":4,\"MessageRetentionPeriod\":60}},"                \
    "{\"QueueName\":\"dead\",\"Attributes\":{\"VisibilityTimeout\":5}}]}"

#define SCHEDULE(name, expression, queue, missed)                                                                      \
    "{\"Name\":\"" name "\",\"ScheduleExpression\":\"" expression "\",\"MissedFirings\":\"" missed                     \
    "\",\"Target\":{\"Arn\":\"" queue "\",\"Input\":\"" name "\"}}"
#define SCHEDULES(more)                                                                                                \
    "\"Schedules\":[" SCHEDULE("tick", "cron(* * * * ? *)", "work", "ALL") "," SCHEDULE("beat", "rate(1 minute)",      \
                                                                                        "late", "ONCE") more "],"

/* tests/sim/model_schedule.c has the rules of these. */
static const char *const topologies[MODEL_TOPOLOGIES] = {
    BUSES ARCHIVES RULES("aged") SCHEDULES("") QUEUES,
    BUSES ARCHIVES RULES("brief") SCHEDULES("," SCHEDULE("odd", "rate(1 minute)", "work", "ALL")) QUEUES};

const char *model_topology(int which)
{
    return topologies[which];
}

/* -- arrays ---------------------------------------------------------------------------------------- */
void model_init(model_t *model, trace_t *trace)
{
    *model = (model_t){.trace = trace, .topology = -1};
}

void model_free(model_t *model)
{
    free(model->log.items);
    free(model->before.items);
    free(model->messages.items);
    free(model->asked.items);
    free(model->deliveries.items);
    free(model->claims.items);
    free(model->sessions.items);
    free(model->tasks.items);
    free(model->replays.items);
}

uint64_t model_newest(const model_t *model)
{
    return model->log.count;
}

uint64_t model_must_sync(const model_t *model)
{
    return model->log.count ? model->log.items[model->log.count - 1].must_sync : 0;
}

const model_record_t *model_record(const model_t *model, uint64_t seq)
{
    return seq && seq <= model->log.count ? &model->log.items[seq - 1] : NULL;
}

uint64_t model_event_between(const model_t *model, uint64_t seq, uint64_t end)
{
    for (uint64_t i = seq + 1; i < end && i <= model->log.count; i++)
        if (model->log.items[i - 1].kind == RECORD_PUBLISH && model->log.items[i - 1].is_shop)
            return i;
    return 0;
}

int model_queue_index(const model_t *model, uint64_t incarnation)
{
    for (int i = 0; i < MODEL_QUEUES; i++)
        if (model->queues[i] == incarnation)
            return i;
    return -1;
}

model_message_t *model_message_find(const model_t *model, uint64_t incarnation, uint64_t record)
{
    int queue = model_queue_index(model, incarnation);
    for (size_t i = 0; i < model->messages.count; i++)
        if (model->messages.items[i].record == record && model->messages.items[i].queue == queue)
            return &model->messages.items[i];
    return NULL;
}

void model_message_remove(model_t *model, model_message_t *m)
{
    *m = model->messages.items[--model->messages.count];
}

uint64_t model_token(bytes_t body)
{
    mp_reader_t r = mp_reader(body);
    uint64_t token = 0;
    bytes_t id;
    char text[24];
    if (mp_get_u64(&r, &token))
        return token;
    if (!mp_map_str(body, "id", &id) || !bytes_to_cstr(id, text, sizeof text))
        return 0;
    return strtoull(text, NULL, 10);
}

/* -- publishing ------------------------------------------------------------------------------------ */
/* Nothing is accepted twice under a producer's sequence, or under a key within the window. */
static bool fold_once(model_t *model, const model_record_t *r)
{
    for (size_t i = model->log.count - 1; i-- > 0;) {
        const model_record_t *old = &model->log.items[i];
        if (r->producer_seq && old->producer == r->producer && old->producer_seq == r->producer_seq)
            return trace_violated(model->trace,
                                  "producer %llu's sequence %llu was accepted as record %llu and again as %llu",
                                  (unsigned long long)r->producer, (unsigned long long)r->producer_seq,
                                  (unsigned long long)old->seq, (unsigned long long)r->seq);
        if (r->key[0] && strcmp(old->key, r->key) == 0 && old->ingest_us >= r->ingest_us - MODEL_DEDUP_WINDOW_US)
            return trace_violated(model->trace,
                                  "key %s was accepted as record %llu and again within its window as %llu", r->key,
                                  (unsigned long long)old->seq, (unsigned long long)r->seq);
    }
    return true;
}

static void fold_message(model_t *model, const record_t *r, int queue, int64_t delay_us)
{
    PUSH(model->messages, (model_message_t){.record = r->seq,
                                            .queue = queue,
                                            .sent_us = r->ingest_us,
                                            .visible_us = r->ingest_us + delay_us,
                                            .from = -1});
}

static bool has_route(const model_t *model, const record_publish_t *p, int queue)
{
    for (uint32_t i = 0; i < p->routes.count; i++)
        if (p->routes.items[i].queue == model->queues[queue])
            return true;
    return false;
}

static bool fold_publish(model_t *model, const record_t *record)
{
    const record_publish_t *p = &record->publish;
    bytes_t type = BYTES_NONE;
    if (!mp_map_str(p->body, "detail-type", &type))
        return trace_violated(model->trace, "record %llu holds no event", (unsigned long long)record->seq);
    bool wanted[MODEL_QUEUES] = {false};
    uint32_t count = 0;
    if (p->replay_of && !model_fold_replayed(model, record))
        return false;
    wanted[0] = bytes_eq_cstr(p->bus, "shop") && !p->to.len;
    wanted[model->topology == 1 ? 3 : 1] = wanted[0];
    bool passes = wanted[0] && bytes_has_prefix(type, BYTES_LIT("b")); /* to the other bus, which passes it back */
    wanted[2] = passes || p->to.len;
    bytes_t by;
    if (mp_map_str(p->passed, "other", &by) != passes || mp_map_str(p->passed, "shop", &by))
        return trace_violated(model->trace, "event %llu was passed on to another bus than it should be",
                              (unsigned long long)record->seq);
    for (int i = 0; i < MODEL_QUEUES; i++) {
        if (wanted[i] && !has_route(model, p, i))
            return trace_violated(model->trace, "event %llu did not reach queue %s", (unsigned long long)record->seq,
                                  model_rules[i].name);
        if (wanted[i])
            fold_message(model, record, i, model_rules[i].delay_us);
        count += wanted[i];
    }
    return p->routes.count == count || trace_violated(model->trace, "event %llu reached %u queues and should reach %u",
                                                      (unsigned long long)record->seq, p->routes.count, count);
}

static bool fold_send(model_t *model, const record_t *record)
{
    int queue = model_queue_index(model, record->send.queue);
    if (queue < 0)
        return trace_violated(model->trace, "message %llu is for no queue", (unsigned long long)record->seq);
    int64_t delay_us = record->send.visible_us ? record->send.visible_us - record->ingest_us : 0;
    if (delay_us != model_rules[queue].delay_us)
        return trace_violated(model->trace, "message %llu is delayed by %lld us", (unsigned long long)record->seq,
                              (long long)delay_us);
    fold_message(model, record, queue, delay_us);
    return true;
}

/* -- delivering and settling ----------------------------------------------------------------------- */
static bool is_alive(const model_t *model, uint64_t session)
{
    for (size_t i = 0; i < model->sessions.count; i++)
        if (model->sessions.items[i] == session)
            return true;
    return false;
}

static const char *delivery_fault(const model_t *model, const model_message_t *m, const record_delivered_entry_t *e,
                                  int64_t now_us)
{
    if (!m)
        return "is not in that queue";
    const model_rule_t *rule = &model_rules[m->queue];
    if (m->in_flight || m->visible_us > now_us)
        return "was invisible";
    if (e->receives != m->receives + UINT64_C(1))
        return "has another receive count";
    if (rule->max_receives && m->receives >= rule->max_receives)
        return "was received too often";
    int64_t visibility_us = e->invisible_until_us - now_us;
    if (visibility_us != rule->visibility_us && visibility_us != MODEL_ASKED_VISIBILITY_MS * INT64_C(1000))
        return "got another visibility";
    return is_alive(model, e->session) ? NULL : "went to a session that is over";
}

static bool fold_delivered(model_t *model, const record_t *record)
{
    for (uint32_t i = 0; i < record->delivered.entries.count; i++) {
        const record_delivered_entry_t *e = &record->delivered.entries.items[i];
        model_message_t *m = model_message_find(model, e->queue, e->record);
        const char *fault = delivery_fault(model, m, e, record->ingest_us);
        if (fault)
            return trace_violated(model->trace, "message %llu was delivered (record %llu), but it %s",
                                  (unsigned long long)e->record, (unsigned long long)record->seq, fault);
        m->in_flight = true;
        m->visible_us = e->invisible_until_us;
        m->receives++;
        m->session = e->session;
        model->redelivered += m->receives > 1;
        PUSH(model->deliveries, (model_delivery_t){e->queue, e->record, e->receives, record->seq});
    }
    return true;
}

const model_asked_t *model_asked_find(const model_t *model, uint64_t queue, const model_message_t *m, uint64_t action)
{
    for (size_t i = model->asked.count; i-- > 0;) {
        const model_asked_t *a = &model->asked.items[i];
        if (a->record == m->record && a->queue == queue && a->action == action && a->receives >= m->receives)
            return a;
    }
    return NULL;
}

static const char *settled_fault(const model_t *model, const model_message_t *m, const record_settled_entry_t *e,
                                 int64_t now_us)
{
    if (!m)
        return "it is not there";
    const model_asked_t *asked = model_asked_find(model, e->queue, m, e->action);
    if (e->action == WIRE_ACK)
        return asked ? NULL : "nobody acknowledged it";
    if (!m->in_flight)
        return "it was not in flight";
    if (e->action == WIRE_RELEASE && m->visible_us <= now_us && !e->visible_us)
        return NULL; /* its time was over */
    if (e->action == WIRE_RELEASE && !e->visible_us && model_asked_find(model, e->queue, m, WIRE_EXTEND))
        return NULL; /* extended by nothing */
    if (!asked)
        return e->action == WIRE_RELEASE && model_asked_find(model, e->queue, m, WIRE_REJECT) ? NULL
                                                                                              : "nobody asked for that";
    return NULL;
}

static bool fold_settled(model_t *model, const record_t *record)
{
    for (uint32_t i = 0; i < record->settled.entries.count; i++) {
        const record_settled_entry_t *e = &record->settled.entries.items[i];
        model_message_t *m = model_message_find(model, e->queue, e->record);
        const char *fault = settled_fault(model, m, e, record->ingest_us);
        if (fault)
            return trace_violated(model->trace, "message %llu was settled by action %llu (record %llu), but %s",
                                  (unsigned long long)e->record, (unsigned long long)e->action,
                                  (unsigned long long)record->seq, fault);
        if (e->action == WIRE_ACK) {
            model_message_remove(model, m);
            continue;
        }
        m->in_flight = e->action == WIRE_EXTEND;
        m->visible_us = e->visible_us ? e->visible_us : record->ingest_us;
    }
    return true;
}

/* -- the rest -------------------------------------------------------------------------------------- */
static bool fold_queue(model_t *model, bytes_t name, uint64_t op, uint64_t incarnation)
{
    for (int i = 0; i < MODEL_QUEUES; i++)
        if (bytes_eq_cstr(name, model_rules[i].name) && op == 1)
            model->queues[i] = incarnation;
    return op != 3 || trace_violated(model->trace, "a queue was deleted");
}

static bool fold_topology_queues(model_t *model, const record_topology_t *topology)
{
    mp_reader_t r;
    record_queue_op_t op;
    bool ok = true;
    for (uint32_t left = record_queue_ops(topology, &r); ok && left > 0; left--)
        ok = record_queue_op(&r, &op) && fold_queue(model, op.name, op.op, op.queue);
    return ok || trace_violated(model->trace, "a topology's queues cannot be read");
}

static bool fold_topology(model_t *model, const record_t *record)
{
    for (int i = 0; i < MODEL_TOPOLOGIES; i++)
        if (bytes_eq_cstr(record->topology.body, topologies[i]))
            model->topology = i;
    model->topologies_applied += bytes_has_prefix(record->topology.by, BYTES_LIT("session "));
    model_schedules_topology(model, model->topology, record->ingest_us);
    return model->topology >= 0 && fold_topology_queues(model, &record->topology);
}

static bool fold_session(model_t *model, const record_t *record)
{
    if (!record->session.ended) {
        PUSH(model->sessions, record->session.session);
        return true;
    }
    for (size_t i = 0; i < model->sessions.count; i++)
        if (model->sessions.items[i] == record->session.session)
            model->sessions.items[i] = model->sessions.items[--model->sessions.count];
    for (size_t i = 0; i < model->messages.count; i++) {
        model_message_t *m = &model->messages.items[i];
        if (!m->in_flight || m->session != record->session.session)
            continue;
        m->in_flight = false;
        m->visible_us = record->ingest_us;
        model->returned++;
    }
    return true;
}

static void note_publisher(model_record_t *r, const record_t *record)
{
    bool event = record->kind == RECORD_PUBLISH;
    r->token = model_token(event ? record->publish.body : record->send.body);
    r->producer = event ? record->publish.producer : record->send.producer;
    r->producer_seq = event ? record->publish.producer_seq : record->send.producer_seq;
    r->is_shop = event && bytes_eq_cstr(record->publish.bus, "shop") && !record->publish.to.len;
    r->is_replay = event && record->publish.replay_name.len;
    if (event)
        (void)bytes_to_cstr(record->publish.dedup, r->key, sizeof r->key);
}

static bool note_record(model_t *model, const record_t *record, uint32_t sum)
{
    bool waits = record->kind != RECORD_DELIVERED && record->kind != RECORD_SESSION && record->kind != RECORD_NOTE;
    model_record_t r = {.seq = record->seq, .ingest_us = record->ingest_us, .sum = sum, .kind = record->kind};
    const model_record_t *last = model_record(model, model->log.count);
    r.must_sync = waits ? record->seq : model_must_sync(model);
    if (record->seq != model->log.count + 1 || (last && record->ingest_us < last->ingest_us))
        return trace_violated(model->trace, "record %llu or its time is out of order", (unsigned long long)record->seq);
    if (record->kind == RECORD_PUBLISH || record->kind == RECORD_SEND)
        note_publisher(&r, record);
    PUSH(model->log, r);
    return (!r.producer_seq && !r.key[0]) || fold_once(model, &r);
}

static bool fold_kind(model_t *model, const record_t *record)
{
    switch (record->kind) {
    case RECORD_PUBLISH:
        return fold_publish(model, record);
    case RECORD_SEND:
        return fold_send(model, record);
    case RECORD_DELIVERED:
        return fold_delivered(model, record);
    case RECORD_SETTLED:
        return fold_settled(model, record);
    case RECORD_MOVE:
        return model_fold_move(model, record);
    case RECORD_PURGE:
        return model_fold_purge(model, record);
    case RECORD_MOVE_TASK:
        return model_fold_task(model, record);
    case RECORD_SCHEDULE:
        return model_fold_schedule(model, record);
    case RECORD_REPLAY:
        return model_fold_replay(model, record);
    case RECORD_TOPOLOGY:
        return fold_topology(model, record);
    case RECORD_NOTE:
        model_fold_note(model, record);
        return true;
    case RECORD_QUEUE:
        return fold_queue(model, record->queue.name, record->queue.op, record->queue.queue);
    case RECORD_SESSION:
        return fold_session(model, record);
    default:
        return true;
    }
}

bool model_fold(model_t *model, const record_t *record, uint32_t sum)
{
    return note_record(model, record, sum) && fold_kind(model, record);
}

/* -- a crash --------------------------------------------------------------------------------------- */
void model_forget(model_t *model)
{
    model->before.count = 0;
    for (size_t i = 0; i < model->log.count; i++)
        PUSH(model->before, model->log.items[i]);
    model->log.count = model->messages.count = model->deliveries.count = model->sessions.count = 0;
    model->tasks.count = model->replays.count = 0;
    model->topology = -1;
    memset(model->queues, 0, sizeof model->queues);
    memset(model->schedules, 0, sizeof model->schedules);
    memset(model->purged_us, 0, sizeof model->purged_us);
}

static bool claim_holds(model_t *model, const model_claim_t *c)
{
    if (c->acked_queue)
        return !model_message_find(model, c->acked_queue, c->record) ||
               trace_violated(model->trace, "message %llu was acknowledged, that was answered, and it is back",
                              (unsigned long long)c->record);
    const model_record_t *r = model_record(model, c->record);
    if (r && (r->token == c->token || (c->key[0] && strcmp(r->key, c->key) == 0)))
        return true;
    return trace_violated(model->trace, "record %llu (token %llu) was acknowledged and is lost",
                          (unsigned long long)c->record, (unsigned long long)c->token);
}

bool model_recovered(model_t *model)
{
    size_t count = model->log.count;
    if (count > model->before.count)
        return trace_violated(model->trace, "%zu records were recovered of %zu written", count, model->before.count);
    for (size_t i = 0; i < count; i++)
        if (model->log.items[i].sum != model->before.items[i].sum)
            return trace_violated(model->trace, "record %zu is not what was written", i + 1);
    for (size_t i = 0; i < model->claims.count; i++)
        if (!claim_holds(model, &model->claims.items[i]))
            return false;
    if (count >= model->witnessed)
        return true;
    return trace_violated(model->trace, "a frame had left that relied on record %llu (%s), and only %zu are on disk",
                          (unsigned long long)model->witnessed,
                          record_kind_name(model->before.items[model->witnessed - 1].kind), count);
}

/* -- what the outside says and hears ----------------------------------------------------------------- */
static uint64_t receipt_part(bytes_t receipt, size_t at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && at + i < receipt.len; i++)
        value |= (uint64_t)receipt.data[at + i] << (8 * i);
    return value;
}

void model_ask(model_t *model, const wire_settle_t *settle)
{
    for (uint32_t i = 0; i < settle->entries.count; i++) {
        const wire_settle_entry_t *e = &settle->entries.items[i];
        PUSH(model->asked, (model_asked_t){receipt_part(e->receipt, 0, 8), receipt_part(e->receipt, 8, 8),
                                           receipt_part(e->receipt, 16, 4), e->action, e->delay_ms});
    }
}

void model_ask_purge(model_t *model, int queue)
{
    model->may_be_purged[queue] = true;
}

bool model_claim(model_t *model, uint64_t record, uint64_t token, const char *key)
{
    model_claim_t claim = {.record = record, .token = token};
    (void)snprintf(claim.key, sizeof claim.key, "%s", key);
    PUSH(model->claims, claim);
    return claim_holds(model, &claim);
}

bool model_claim_acked(model_t *model, bytes_t receipt)
{
    const model_claim_t claim = {.record = receipt_part(receipt, 8, 8), .acked_queue = receipt_part(receipt, 0, 8)};
    PUSH(model->claims, claim);
    return claim_holds(model, &claim);
}

void model_witness(model_t *model, uint64_t seq)
{
    if (seq > model->witnessed)
        model->witnessed = seq;
}

static const model_delivery_t *delivery_find(const model_t *model, const wire_delivery_t *d)
{
    for (size_t i = model->deliveries.count; i-- > 0;) {
        const model_delivery_t *known = &model->deliveries.items[i];
        if (known->record == receipt_part(d->receipt, 8, 8) && known->queue == receipt_part(d->receipt, 0, 8) &&
            known->receives == d->receives)
            return known;
    }
    return NULL;
}

bool model_delivers(model_t *model, const wire_delivery_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const wire_delivery_t *d = &items[i];
        const model_record_t *r = model_record(model, d->record);
        if (!r || r->token != model_token(d->body))
            return trace_violated(model->trace, "what was delivered as record %llu is not what was published",
                                  (unsigned long long)d->record);
        const model_delivery_t *known = d->receipt.len ? delivery_find(model, d) : NULL;
        if (d->receipt.len && !known)
            return trace_violated(model->trace, "message %llu was handed out, and no record says so",
                                  (unsigned long long)d->record);
        model_witness(model, known ? model_record(model, known->log)->must_sync : d->record);
    }
    return true;
}

/* -- counting again -------------------------------------------------------------------------------- */
typedef struct {
    model_t *model;
    uint64_t counts[MODEL_QUEUES][3]; /* visible, in flight, delayed */
    bool is_behind;
} recount_t;

static void compare_queue(void *ctx, const core_queue_stats_t *stats)
{
    recount_t *recount = ctx;
    for (int i = 0; i < MODEL_QUEUES; i++) {
        const uint64_t *c = recount->counts[i];
        if (strcmp(stats->name, model_rules[i].name) != 0)
            continue;
        bool same = c[0] == stats->visible && c[1] == stats->in_flight && c[2] == stats->delayed;
        if (recount->is_behind)
            same = c[0] + c[1] + c[2] == stats->visible + stats->in_flight + stats->delayed;
        if (!same)
            (void)trace_violated(
                recount->model->trace,
                "queue %s says %llu visible, %llu in flight, %llu delayed; a recount says %llu, %llu, %llu",
                stats->name, (unsigned long long)stats->visible, (unsigned long long)stats->in_flight,
                (unsigned long long)stats->delayed, (unsigned long long)c[0], (unsigned long long)c[1],
                (unsigned long long)c[2]);
    }
}

/* A broker that has more to do than one step may is behind the clock for a moment. */
bool model_compare(model_t *model, const core_t *core, int64_t now_us)
{
    recount_t recount = {.model = model, .is_behind = core_next_deadline_us(core) <= now_us + SLICE_US};
    for (size_t i = 0; i < model->messages.count; i++) {
        const model_message_t *m = &model->messages.items[i];
        bool waits = m->visible_us > now_us;
        if (m->in_flight && !waits && !recount.is_behind)
            return trace_violated(model->trace, "message %llu should be visible again", (unsigned long long)m->record);
        if (!m->in_flight && !waits && !recount.is_behind && m->sent_us + model_rules[m->queue].oldest_us <= now_us)
            return trace_violated(model->trace, "message %llu is too old and still there",
                                  (unsigned long long)m->record);
        recount.counts[m->queue][m->in_flight ? 1 : waits ? 2 : 0]++;
    }
    core_each_queue(core, compare_queue, &recount);
    return trace_is_good(model->trace);
}
