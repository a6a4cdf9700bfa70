/* observe_queues.c: gauges and totals by queue, made anew from the core's state. */
#include "broker/observe_queues.h"

#define US_PER_S 1e6
#define MESSAGES "mangabus_broker_queue_messages"
#define OLDEST "mangabus_broker_queue_oldest_age_seconds"
#define MESSAGE_STATES 3

_Static_assert(MESSAGE_STATES *(OBSERVE_QUEUES_MAX + 1) <= METRICS_SERIES_MAX, "each queue has its own series");

/* All but the age: numbers that add up over queues. */
typedef struct {
    const char *name, *help;
    size_t offset; /* in core_queue_stats_t, a uint64_t */
    bool is_total;
} row_t;

#define MEMBER(name) offsetof(core_queue_stats_t, name)

static const row_t rows[] = {
    {"mangabus_broker_queue_lost_messages", "Messages whose bytes a repair of the journal had to give up.",
     MEMBER(lost), false},
    {"mangabus_broker_queue_groups_blocked", "FIFO: groups that wait for what is in flight.", MEMBER(groups_blocked),
     false},
    {"mangabus_broker_queue_tenants_noisy", "Tenants that have more than their share in flight, and wait.",
     MEMBER(tenants_noisy), false},
    {"mangabus_broker_queue_expired_total", "Messages that were too old.", MEMBER(expired), true},
    {"mangabus_broker_queue_redriven_total", "Messages that move tasks took from it.", MEMBER(redriven), true},
    {"mangabus_broker_queue_deduplicated_total", "Messages it had accepted before.", MEMBER(deduplicated), true},
    {"mangabus_broker_queue_empty_receives_total", "RECEIVEs that were answered with nothing.", MEMBER(empty_receives),
     true},
};

typedef struct {
    metrics_t *metrics;
    int64_t now_us;
    size_t count;
    core_queue_stats_t other;
} collect_t;

static uint64_t *member(core_queue_stats_t *stats, const row_t *row)
{
    return (uint64_t *)(void *)((char *)stats + row->offset);
}

/* -- one queue ------------------------------------------------------------------------------------- */
static void set_messages(metrics_t *metrics, const char *queue, const char *state, uint64_t value)
{
    buf_t labels = {0};
    buf_append_cstr(&labels, queue);
    metrics_label(&labels, "state", bytes_cstr(state));
    metric_set(metrics_gauge(metrics, MESSAGES, buf_cstr(&labels), "Messages in a queue."), (double)value);
    buf_free(&labels);
}

static void set_row(metrics_t *metrics, const char *queue, const row_t *row, uint64_t value)
{
    metric_t *metric = row->is_total ? metrics_counter(metrics, row->name, queue, row->help)
                                     : metrics_gauge(metrics, row->name, queue, row->help);
    metric_set(metric, (double)value);
}

static void show(const collect_t *c, core_queue_stats_t *stats)
{
    buf_t labels = {0};
    metrics_label(&labels, "queue", bytes_cstr(stats->name));
    const char *queue = buf_cstr(&labels);
    int64_t age_us = stats->oldest_us ? c->now_us - stats->oldest_us : 0;
    set_messages(c->metrics, queue, "visible", stats->visible);
    set_messages(c->metrics, queue, "in_flight", stats->in_flight);
    set_messages(c->metrics, queue, "delayed", stats->delayed);
    metric_set(metrics_gauge(c->metrics, OLDEST, queue, "Age of the oldest visible message."),
               (double)age_us / US_PER_S);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        set_row(c->metrics, queue, &rows[i], *member(stats, &rows[i]));
    buf_free(&labels);
}

/* -- all of them ----------------------------------------------------------------------------------- */
static void add_other(core_queue_stats_t *other, core_queue_stats_t *stats)
{
    other->visible += stats->visible;
    other->in_flight += stats->in_flight;
    other->delayed += stats->delayed;
    if (stats->oldest_us && (!other->oldest_us || stats->oldest_us < other->oldest_us))
        other->oldest_us = stats->oldest_us;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        *member(other, &rows[i]) += *member(stats, &rows[i]);
}

static void collect(void *ctx, const core_queue_stats_t *queue)
{
    collect_t *c = ctx;
    core_queue_stats_t stats = *queue;
    if (c->count++ < OBSERVE_QUEUES_MAX)
        show(c, &stats);
    else
        add_other(&c->other, &stats);
}

void observe_queues(metrics_t *metrics, const core_t *core, int64_t now_us)
{
    collect_t c = {.metrics = metrics, .now_us = now_us, .other = {.name = "other"}};
    core_each_queue(core, collect, &c);
    if (c.count > OBSERVE_QUEUES_MAX)
        show(&c, &c.other);
    metrics_prune(metrics, MESSAGES);
    metrics_prune(metrics, OLDEST);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        metrics_prune(metrics, rows[i].name);
}
