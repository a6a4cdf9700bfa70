/* observe.c: metrics are set from the state of others when somebody asks; only syncs, batches and frames are counted
 * as they happen. */
#include "broker/observe.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/observe_queues.h"
#include "gen/version.h"
#include "kit/health.h"
#include "kit/http_server.h"
#include "kit/log.h"
#include "kit/metrics.h"

#define US_PER_S 1e6
#define NS_PER_S 1e9

struct observe {
    observe_subject_t subject;
    metrics_t *metrics;
    http_server_t *http;
    metric_t *sync_seconds, *batch_records, *frames, *bad_frames;
    uint64_t seen_syncs, seen_batches, seen_records;
};

/* -- collecting ---------------------------------------------------------------------------------- */
static void set(observe_t *o, const char *name, const char *help, uint64_t value)
{
    metric_set(metrics_gauge(o->metrics, name, "", help), (double)value);
}

static void count(observe_t *o, const char *name, const char *help, uint64_t value)
{
    metric_set(metrics_counter(o->metrics, name, "", help), (double)value);
}

static void collect_core(observe_t *o)
{
    core_stats_t s;
    core_stats(o->subject.core, &s);
    set(o, "mangabus_broker_sessions", "Sessions, waiting ones included.", s.sessions);
    set(o, "mangabus_broker_subscriptions", "Subscriptions.", s.subscriptions);
    set(o, "mangabus_broker_services", "Methods served, by instance.", s.services);
    set(o, "mangabus_broker_queues", "Queues.", s.queues);
    set(o, "mangabus_broker_topology_version", "Version of the topology in effect.", s.topology_version);
    set(o, "mangabus_broker_calls_running", "Calls at a worker.", s.calls_running);
    set(o, "mangabus_broker_calls_waiting", "Calls waiting for a worker.", s.calls_waiting);
    count(o, "mangabus_broker_published_total", "Events accepted.", s.published);
    count(o, "mangabus_broker_sent_total", "Messages accepted into queues directly.", s.sent);
    count(o, "mangabus_broker_delivered_total", "Messages handed out.", s.delivered);
    count(o, "mangabus_broker_acked_total", "Deliveries acknowledged.", s.acked);
    count(o, "mangabus_broker_released_total", "Deliveries that went back, by release or by time.", s.released);
    count(o, "mangabus_broker_rejected_total", "Deliveries rejected.", s.rejected);
    count(o, "mangabus_broker_dead_lettered_total", "Messages moved to a dead-letter queue.", s.dead_lettered);
    count(o, "mangabus_broker_expired_total", "Messages too old.", s.expired);
    count(o, "mangabus_broker_scheduled_total", "Messages that schedules sent.", s.scheduled);
    count(o, "mangabus_broker_dropped_total", "Messages dropped for want of a dead-letter queue.", s.dropped);
    count(o, "mangabus_broker_duplicates_total", "Events and messages accepted before.", s.duplicates);
    count(o, "mangabus_broker_calls_total", "Calls.", s.calls);
    count(o, "mangabus_broker_calls_failed_total", "Calls that ended with a status.", s.calls_failed);
    count(o, "mangabus_broker_permits_empty_total", "Requests for permits that got none.", s.permits_empty);
    set(o, "mangabus_broker_producers", "Producers whose answers are remembered.", s.producers);
    count(o, "mangabus_broker_producers_forgotten_total", "Producers forgotten for new ones.", s.producers_forgotten);
    set(o, "mangabus_broker_dedup_keys", "Deduplication keys of buses that are remembered.", s.dedup_keys);
    count(o, "mangabus_broker_refused_total", "Frames answered with ERROR.", s.refused);
}

static void collect_bucket(void *ctx, const core_bucket_stats_t *b)
{
    observe_t *o = ctx;
    buf_t labels = {0};
    metrics_label(&labels, "bucket", bytes_cstr(b->name));
    const char *bucket = buf_cstr(&labels);
    metric_set(metrics_gauge(o->metrics, "mangabus_broker_permits_available", bucket, "Tokens that can be had now."),
               (double)b->available);
    metric_set(metrics_gauge(o->metrics, "mangabus_broker_permits_waiting", bucket, "Requests that wait for tokens."),
               (double)b->waiting);
    metric_set(metrics_counter(o->metrics, "mangabus_broker_permits_granted_total", bucket, "Tokens granted."),
               (double)b->granted);
    metric_set(metrics_counter(o->metrics, "mangabus_broker_permits_returned_total", bucket, "Tokens given back."),
               (double)b->returned);
    buf_free(&labels);
}

static void collect_journal(observe_t *o)
{
    journal_stats_t s;
    journal_stats(o->subject.journal, &s);
    set(o, "mangabus_broker_journal_bytes", "Disk used by the journal.", s.disk_bytes);
    set(o, "mangabus_broker_disk_full", "1: the disk has no room, messages are refused.", s.is_full);
    int64_t free_bytes = journal_free_bytes(o->subject.journal);
    if (free_bytes >= 0)
        set(o, "mangabus_broker_disk_free_bytes", "Room on the journal's disk.", (uint64_t)free_bytes);
    set(o, "mangabus_broker_journal_segments", "Files of the journal.", s.segments);
    set(o, "mangabus_broker_journal_pending_records", "Records not synced yet.", s.pending_records);
    count(o, "mangabus_broker_journal_records_total", "Records since the start.", s.appended);
    count(o, "mangabus_broker_journal_written_bytes_total", "Bytes written since the start.", s.bytes);
}

static void set_real(observe_t *o, const char *name, const char *help, double value)
{
    metric_set(metrics_gauge(o->metrics, name, "", help), value);
}

static void collect_checkpoints(observe_t *o)
{
    const observe_checkpoint_t *c = o->subject.checkpoints;
    journal_stats_t s;
    journal_stats(o->subject.journal, &s);
    double needed = c->last.kept_bytes ? (double)c->last.needed_bytes / (double)c->last.kept_bytes : 1;
    set(o, "mangabus_broker_journal_kept_bytes", "Disk used by records that outlived their segment.", s.kept_bytes);
    set(o, "mangabus_broker_journal_kept_files", "Files of such records.", s.kept_files);
    set(o, "mangabus_broker_journal_unsnapshotted_bytes", "Whole segments behind the newest snapshot.", s.sealed_bytes);
    set_real(o, "mangabus_broker_journal_kept_live_ratio",
             "How much of the kept bytes was needed at the last snapshot.", needed < 1 ? needed : 1);
    set_real(o, "mangabus_broker_journal_recovery_seconds", "How long reading the journal took at the start.",
             (double)c->recovery_us / US_PER_S);
    count(o, "mangabus_broker_snapshots_total", "Snapshots taken.", c->count);
    count(o, "mangabus_broker_archived_total", "Events put into archives.", c->archived);
    count(o, "mangabus_broker_snapshots_given_up_total", "Snapshots that had no room or no memory.", c->given_up);
    set_real(o, "mangabus_broker_snapshot_last_seconds", "How long the last snapshot took.",
             (double)c->last_us / US_PER_S);
    set(o, "mangabus_broker_snapshot_last_bytes", "Size of the last snapshot.", c->last.snapshot_bytes);
}

static void collect_output(observe_t *o)
{
    set(o, "mangabus_broker_waiting_frames", "Frames waiting for a sync.", gate_count(o->subject.gate));
    set(o, "mangabus_broker_stalled_bytes", "Bytes waiting for peers that do not read.",
        router_stalled_bytes(o->subject.router));
    count(o, "mangabus_broker_cut_off_total", "Connections given up because they did not read.",
          router_cut_off(o->subject.router));
    count(o, "mangabus_broker_unreadable_total", "Records that could not be read for a delivery.",
          deliver_unreadable(o->subject.deliver));
    if (o->subject.zap)
        count(o, "mangabus_broker_keys_refused_total", "Connections refused because of their key.",
              zap_refused(o->subject.zap));
}

static void collect(void *ctx)
{
    observe_t *o = ctx;
    collect_core(o);
    observe_queues(o->metrics, o->subject.core, o->subject.now_us(o->subject.ctx));
    core_each_bucket(o->subject.core, collect_bucket, o);
    collect_journal(o);
    collect_checkpoints(o);
    collect_output(o);
}

void observe_journal(observe_t *observe)
{
    journal_stats_t s;
    journal_stats(observe->subject.journal, &s);
    if (s.syncs != observe->seen_syncs)
        metric_observe(observe->sync_seconds, (double)s.sync_ns_last / NS_PER_S);
    if (s.batches != observe->seen_batches) {
        uint64_t synced = s.appended - s.pending_records;
        uint64_t records = synced - observe->seen_records;
        metric_observe(observe->batch_records, (double)records / (double)(s.batches - observe->seen_batches));
        observe->seen_records = synced;
    }
    observe->seen_syncs = s.syncs;
    observe->seen_batches = s.batches;
}

void observe_frames(observe_t *observe, size_t in, size_t bad)
{
    metric_add(observe->frames, (double)in);
    metric_add(observe->bad_frames, (double)bad);
}

/* -- serving ------------------------------------------------------------------------------------- */
static void serve_metrics(observe_t *o, http_request_t *request)
{
    buf_t text = {0};
    metrics_expose(o->metrics, &text);
    http_respond_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", buf_cstr(&text));
    buf_free(&text);
}

static void serve_ready(observe_t *o, http_request_t *request)
{
    const char *why = o->subject.not_ready(o->subject.ctx);
    char text[512];
    snprintf(text, sizeof text, "%s\n", why ? why : "ready");
    http_respond_text(request, why ? 503 : 200, "text/plain", text);
}

static void on_request(void *ctx, http_request_t *request)
{
    observe_t *o = ctx;
    const char *path = http_request_path(request);
    if (strcmp(path, "/metrics") == 0)
        serve_metrics(o, request);
    else if (strcmp(path, "/healthz") == 0)
        http_respond_text(request, 200, "text/plain", "alive\n");
    else if (strcmp(path, "/readyz") == 0)
        serve_ready(o, request);
    else
        http_respond_text(request, 404, "text/plain", "try /metrics, /healthz or /readyz\n");
}

static bool serve(observe_t *o, loop_t *loop, const char *address, error_t *err)
{
    health_address_t at;
    if (!*address)
        return true;
    if (!health_address_parse(address, &at, err))
        return false;
    const http_server_options_t options = {.address = at.host, .port = at.port};
    o->http = http_server_new(loop, &options, on_request, o, err);
    if (!o->http)
        return error_prefix(err, "MANGABUS_HTTP");
    log_info("serving health and metrics", LOG_S("address", at.host), LOG_I("port", http_server_port(o->http)));
    return true;
}

static void make_metrics(observe_t *o)
{
    static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096};
    static const double sync_bounds[] = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005,
                                         0.01,    0.02,   0.05,   0.1,    0.5,   2};
    o->sync_seconds = metrics_histogram(o->metrics, "mangabus_broker_journal_sync_seconds", "",
                                        "Time of a sync of the journal.", sync_bounds, ARRAY_LEN(sync_bounds));
    o->batch_records = metrics_histogram(o->metrics, "mangabus_broker_journal_batch_records", "",
                                         "Records that one sync served.", batch_bounds, ARRAY_LEN(batch_bounds));
    o->frames = metrics_counter(o->metrics, "mangabus_broker_frames_total", "", "Frames received.");
    o->bad_frames = metrics_counter(o->metrics, "mangabus_broker_bad_frames_total", "", "Frames that did not decode.");
    metric_set(metrics_gauge(o->metrics, "mangabus_build_info", "version=\"" MANGABUS_VERSION "\"", "Always 1."), 1);
    metrics_on_collect(o->metrics, collect, o);
}

observe_t *observe_new(loop_t *loop, const char *address, const observe_subject_t *subject, error_t *err)
{
    observe_t *o = calloc(1, sizeof *o);
    if (o)
        o->metrics = metrics_new();
    if (!o || !o->metrics) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for metrics.");
        observe_free(&o);
        return NULL;
    }
    o->subject = *subject;
    make_metrics(o);
    if (!serve(o, loop, address, err))
        observe_free(&o);
    return o;
}

void observe_free(observe_t **observe)
{
    observe_t *o = *observe;
    *observe = NULL;
    if (!o)
        return;
    if (o->http)
        http_server_free(&o->http);
    if (o->metrics)
        metrics_free(&o->metrics);
    free(o);
}
