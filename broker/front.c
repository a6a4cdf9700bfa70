/* front.c: the broker's beginning and end: recovery, topology, listening, stopping. */
#include "broker/front.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zmq.h>

#include "broker/front_internal.h"
#include "broker/probe.h"
#include "gen/version.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "kit/tzdata.h"

#define PROGRAM "mangabus-broker"
#define TOPOLOGY_MAX_BYTES ((size_t)4 << 20)
#define HOUSEKEEPING_MS 1000
#define STOP_LOOK_MS 10
#define ZMQ_SOCKETS_MAX 16
#define SHA256_HEX_BYTES 65
#define SEGMENT_STEP 4096 /* a journal file is of whole blocks */

/* -- documents ----------------------------------------------------------------------------------- */
static bool document_path(const char *given, const char *name, const char *variable, char out[OPTIONS_PATH_BYTES],
                          error_t *err)
{
    if (!*given)
        return options_find_document(name, out, err) || error_prefix(err, "%s", variable);
    int len = snprintf(out, OPTIONS_PATH_BYTES, "%s", given);
    return len < OPTIONS_PATH_BYTES || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is too long.", variable);
}

static void sha256_hex(bytes_t data, char out[SHA256_HEX_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(data.data, data.len, digest, &len, EVP_sha256(), NULL) != 1)
        abort();
    for (unsigned i = 0; i < len; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
}

static bool apply_topology(front_t *f, bytes_t json, const char *path, error_t *err)
{
    char sha256[SHA256_HEX_BYTES];
    core_stats_t stats;
    core_input_t input = {.kind = CORE_IN_TOPOLOGY};
    sha256_hex(json, sha256);
    input.topology.json = json;
    input.topology.sha256 = sha256;
    f->counts_errors = true;
    front_step(f, &input);
    front_settle(f);
    f->counts_errors = false;
    core_stats(f->core, &stats);
    if (f->config_errors == 0 || stats.topology_version > 0)
        return true; /* refused beside one that is in effect: the log says why, and work goes on under that one */
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_TOPOLOGY: %s was refused, see above.", path);
}

static bool read_topology(front_t *f, error_t *err)
{
    char path[OPTIONS_PATH_BYTES];
    buf_t json = {0};
    bool ok = document_path(f->options->topology, "topology.json", "MANGABUS_TOPOLOGY", path, err) &&
              (access_read_file(path, TOPOLOGY_MAX_BYTES, &json, err) || error_prefix(err, "MANGABUS_TOPOLOGY")) &&
              apply_topology(f, buf_bytes(&json), path, err);
    buf_free(&json);
    return ok;
}

/* -- recovery ------------------------------------------------------------------------------------ */
static bool apply_record(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    return core_apply(((checkpoint_loader_t *)ctx)->core, record, err);
}

static bool load_snapshot(void *ctx, bytes_t items, error_t *err)
{
    return checkpoint_load(ctx, items, err);
}

static void start_clock(front_t *f)
{
    int64_t newest_us = journal_last_ingest_us(f->journal);
    f->mono_base_us = clock_mono_us();
    f->wall_base_us = clock_wall_us();
    if (f->wall_base_us > newest_us)
        return;
    log_warn("the wall clock is behind the journal; time goes on from the newest record",
             LOG_I("behind_ms", (newest_us - f->wall_base_us) / 1000));
    f->wall_base_us = newest_us;
}

static void take_lost(void *ctx, uint64_t first, uint64_t through)
{
    const core_lost_t range = {first, through};
    buf_append(ctx, &range, sizeof range);
}

/* What a repair could not save. */
static bool tell_lost(front_t *f, error_t *err)
{
    buf_t ranges = {0};
    bool good = journal_each_lost(f->journal, take_lost, &ranges, err);
    if (good && ranges.len)
        (void)core_mark_lost(f->core, (const core_lost_t *)(const void *)ranges.data, ranges.len / sizeof(core_lost_t));
    buf_free(&ranges);
    return good;
}

static bool open_journal(front_t *f, error_t *err)
{
    journal_recovery_t recovery = {0};
    journal_options_t options = {.dir = f->journal_dir,
                                 .segment_bytes = (uint64_t)f->options->segment_bytes / SEGMENT_STEP * SEGMENT_STEP,
                                 .tail_cache_bytes = (size_t)f->options->tail_cache_bytes,
                                 .load = load_snapshot};
    checkpoint_loader_t loader = {.core = f->core};
    clock_random(&options.salt, sizeof options.salt);
    int64_t begin_us = clock_mono_us();
    f->journal = journal_open(&options, apply_record, &loader, &recovery, err);
    checkpoint_loader_end(&loader);
    if (!f->journal || !tell_lost(f, err))
        return false;
    f->checkpoints.recovery_us = clock_mono_us() - begin_us;
    log_info("journal recovered", LOG_I("records", recovery.records), LOG_I("snapshot", recovery.snapshot),
             LOG_I("segments", recovery.segments), LOG_I("bytes", recovery.bytes),
             LOG_I("cut_bytes", recovery.cut_bytes), LOG_I("duration_ms", f->checkpoints.recovery_us / 1000));
    int64_t sync_ns = probe_sync_ns(f->journal_dir);
    if (sync_ns > 0)
        log_info("disk measured", LOG_I("syncs_per_s", INT64_C(1000000000) / sync_ns),
                 LOG_I("sync_us", sync_ns / 1000));
    return true;
}

static void zone_found(void *ctx, bytes_t name, bytes_t tzif)
{
    error_t err = {0};
    if (!zones_add(ctx, name, tzif, &err))
        log_warn("a time zone is not known: its file cannot be used", LOG_B("name", name), LOG_S("error", err.message));
}

/* Read once: the core may open no file, and a schedule may name any of them at any time. */
static bool load_zones(front_t *f, error_t *err)
{
    f->zones = zones_new();
    if (!f->zones)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for the time zones");
    if (!tzdata_each(f->options->tzdir, zone_found, f->zones))
        log_warn("no time zones are installed: schedules can name UTC alone", LOG_S("folder", f->options->tzdir));
    return true;
}

static bool make_core(front_t *f, error_t *err)
{
    const options_t *o = f->options;
    if (!load_zones(f, err))
        return false;
    f->core_config = (core_config_t){.limits = {.grace_ms = (uint64_t)o->grace_ms,
                                                .heartbeat_ms = (uint64_t)o->heartbeat_ms,
                                                .max_frame_bytes = (uint64_t)o->max_frame_bytes,
                                                .lag_records = (uint64_t)o->lag_records},
                                     .broker_name = f->instance,
                                     .version = MANGABUS_VERSION,
                                     .zones = f->zones};
    f->core = core_new(&f->core_config, err);
    f->checkpointer = f->core ? checkpointer_new(err) : NULL;
    return f->checkpointer != NULL;
}

/* -- parts --------------------------------------------------------------------------------------- */
static const char *not_ready(void *ctx)
{
    const front_t *f = ctx;
    if (f->has_failed)
        return "the journal has failed";
    if (f->is_stopping)
        return "stopping";
    return f->is_listening ? NULL : "starting";
}

static int64_t now_us(void *ctx)
{
    return front_now_us(ctx);
}

static void send_frame(void *ctx, uint64_t peer, bytes_t frame)
{
    front_t *f = ctx;
    router_send(f->router, peer, frame);
}

static void send_delivery(void *ctx, const deliver_request_t *request)
{
    front_t *f = ctx;
    deliver_compose(f->deliver, request, send_frame, f);
}

static void on_deadline(void *ctx)
{
    core_input_t input = {.kind = CORE_IN_TIMER};
    front_step(ctx, &input);
    front_settle(ctx);
}

static void on_housekeeping(void *ctx)
{
    front_t *f = ctx;
    journal_stats_t stats;
    error_t err = {0};
    if (f->keyring)
        keyring_refresh(f->keyring);
    front_settle(f);
    journal_stats(f->journal, &stats);
    bool is_idle = stats.appended == f->appended_before;
    if (is_idle && !f->has_failed && !journal_idle(f->journal, &err))
        front_fail(f, "the journal cannot write", &err);
    f->appended_before = stats.appended;
    front_checkpoint_look(f, &stats, is_idle);
}

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory at start.");
}

static bool open_keys(front_t *f, error_t *err)
{
    char path[OPTIONS_PATH_BYTES];
    if (*f->options->curve_dir) {
        f->keyring = keyring_open(f->options->curve_dir, err);
        if (!f->keyring)
            return false;
        f->zap = zap_open(f->loop, f->zmq, f->keyring, err);
        if (!f->zap)
            return false;
    }
    if (!document_path(f->options->roles, "roles.json", "MANGABUS_ROLES", path, err))
        return false;
    f->access = access_open(path, f->keyring, err);
    return f->access || error_prefix(err, "MANGABUS_ROLES");
}

static bool open_output(front_t *f, error_t *err)
{
    gate_sink_t sink = {.frame = send_frame, .deliver = send_delivery, .ctx = f};
    f->router = router_new(f->loop, f->zmq, (size_t)f->options->max_frame_bytes, front_on_frames, f, err);
    if (!f->router)
        return false;
    f->gate = gate_new(&sink);
    f->deliver = deliver_new(f->core, f->journal, (size_t)f->options->max_frame_bytes);
    f->history = history_new(f->journal);
    f->msg = malloc(sizeof *f->msg);
    return (f->gate && f->deliver && f->history && f->msg) || no_memory(err);
}

static bool open_loop(front_t *f, error_t *err)
{
    f->loop = loop_new(err);
    f->zmq = f->loop ? zmq_ctx_new() : NULL;
    if (!f->zmq)
        return f->loop ? no_memory(err) : false;
    (void)zmq_ctx_set(f->zmq, ZMQ_MAX_SOCKETS, 65535); /* each connection counts as one */
    f->deadline = loop_timer_new(f->loop, on_deadline, f);
    f->housekeeping = loop_timer_new(f->loop, on_housekeeping, f);
    return (f->deadline && f->housekeeping) || no_memory(err);
}

static bool open_observer(front_t *f, error_t *err)
{
    observe_subject_t subject = {.core = f->core,
                                 .journal = f->journal,
                                 .router = f->router,
                                 .gate = f->gate,
                                 .deliver = f->deliver,
                                 .zap = f->zap,
                                 .checkpoints = &f->checkpoints,
                                 .now_us = now_us,
                                 .not_ready = not_ready,
                                 .ctx = f};
    f->observe = observe_new(f->loop, f->options->http, &subject, err);
    return f->observe != NULL;
}

static bool bind_one(front_t *f, const char *endpoint, const char *server_key, error_t *err)
{
    char bound[ROUTER_ENDPOINT_BYTES];
    if (!server_key && !router_is_local(endpoint) && !f->options->insecure)
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL,
                         "%s is not loopback: set MANGABUS_CURVE_DIR (keys), or MANGABUS_INSECURE=1 to let anybody in.",
                         endpoint);
    if (!router_bind(f->router, endpoint, server_key, bound, err))
        return false;
    log_info("listening", LOG_S("endpoint", bound), LOG_S("keys", server_key ? "required" : "none"));
    return true;
}

static bool start_listening(front_t *f, error_t *err)
{
    const char *server_key = f->keyring ? keyring_server_key(f->keyring) : NULL;
    const char *local = f->options->endpoint_local;
    if (*local && !router_is_local(local))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_ENDPOINT_LOCAL: %s is not loopback.", local);
    /* The one without keys first: a socket whose options of security were once set asks the key handler always. */
    if ((*local && !bind_one(f, local, NULL, err)) || !bind_one(f, f->options->endpoint, server_key, err))
        return false;
    f->journal_watch = loop_watch_fd(f->loop, journal_fd(f->journal), LOOP_READ, front_on_journal, f);
    f->checkpoint_watch = loop_watch_fd(f->loop, checkpointer_fd(f->checkpointer), LOOP_READ, front_on_checkpoint, f);
    if (!f->journal_watch || !f->checkpoint_watch)
        return no_memory(err);
    loop_timer_every(f->housekeeping, HOUSEKEEPING_MS);
    f->is_listening = true;
    return true;
}

/* -- end ----------------------------------------------------------------------------------------- */
static void on_stop_look(void *ctx)
{
    front_t *f = ctx;
    journal_stats_t stats;
    front_settle(f);
    journal_stats(f->journal, &stats);
    bool is_done = gate_count(f->gate) == 0 && stats.pending_records == 0 && router_stalled_bytes(f->router) == 0;
    if (!is_done && clock_mono_us() < f->stop_by_mono_us)
        return;
    if (!is_done)
        log_warn("stopping with frames left", LOG_I("count", gate_count(f->gate)));
    loop_stop(f->loop);
}

static void on_signal(void *ctx, int number)
{
    front_t *f = ctx;
    core_input_t input = {.kind = CORE_IN_STOP};
    if (number == SIGHUP)
        return;
    if (f->is_stopping) {
        loop_stop(f->loop);
        return;
    }
    log_info("stopping", LOG_I("signal", number));
    f->is_stopping = true;
    f->stop_by_mono_us = clock_mono_us() + f->options->drain_ms * 1000;
    front_step(f, &input);
    front_settle(f);
    f->stopping = loop_timer_new(f->loop, on_stop_look, f);
    if (f->stopping)
        loop_timer_every(f->stopping, STOP_LOOK_MS);
    else
        loop_stop(f->loop);
}

static void close_timers(front_t *f)
{
    loop_timer_t **const timers[] = {&f->deadline, &f->housekeeping, &f->stopping};
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        if (*timers[i])
            loop_timer_end(timers[i]);
}

/* In this order: what others look at goes last. */
static void close_all(front_t *f)
{
    error_t err = {0};
    observe_free(&f->observe);
    if (f->journal_watch)
        loop_watch_end(&f->journal_watch);
    if (f->checkpoint_watch)
        loop_watch_end(&f->checkpoint_watch);
    checkpointer_free(&f->checkpointer); /* before the journal, whose spares it fills */
    history_free(&f->history);
    if (f->journal && !journal_close(&f->journal, &err) && !f->has_failed)
        front_fail(f, "the journal could not be closed", &err);
    close_timers(f);
    router_free(&f->router);
    zap_close(&f->zap);
    if (f->zmq)
        zmq_ctx_term(f->zmq);
    gate_free(&f->gate);
    deliver_free(&f->deliver);
    access_close(&f->access);
    keyring_free(&f->keyring);
    if (f->core)
        core_free(&f->core);
    zones_free(&f->zones);
    core_effects_free(&f->effects);
    free(f->scans);
    free(f->msg);
    loop_free(&f->loop);
}

/* -- life ---------------------------------------------------------------------------------------- */
static bool start_log(front_t *f, error_t *err)
{
    uint8_t random[3];
    log_level_t level = LOG_INFO;
    clock_random(random, sizeof random);
    snprintf(f->instance, sizeof f->instance, PROGRAM "-%02x%02x%02x", random[0], random[1], random[2]);
    bool known = log_level_parse(f->options->log_level, &level);
    log_start(PROGRAM, f->instance, level);
    return known || error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                              "MANGABUS_LOG_LEVEL: \"%s\" is none of debug, info, warn, error.", f->options->log_level);
}

static bool make_state_dir(front_t *f, error_t *err)
{
    char state[OPTIONS_PATH_BYTES];
    if (!options_state_dir(f->options, state, err))
        return false;
    if (mkdir(state, 0700) != 0 && errno != EEXIST)
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL, "MANGABUS_STATE: %s cannot be made: %s.", state,
                         strerror(errno));
    int len = snprintf(f->journal_dir, sizeof f->journal_dir, "%s/journal", state);
    return len < (int)sizeof f->journal_dir ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_STATE: too long.");
}

static bool recover(front_t *f, error_t *err)
{
    if (!make_core(f, err))
        return false;
    f->exit_code = FRONT_DISK;
    if (!open_journal(f, err)) {
        if (strcmp(err->aws, "JOURNAL_LOCKED") == 0)
            f->exit_code = FRONT_LOCKED;
        if (err->code == STATUS_DATA_LOSS)
            log_error("the journal is damaged, and nothing of it was changed: `mangactl journal verify` tells where, "
                      "`mangactl journal repair` saves what can be saved, and then the broker starts",
                      LOG_S("journal", f->journal_dir));
        return false;
    }
    f->exit_code = FRONT_CONFIG;
    start_clock(f);
    return true;
}

static bool start(front_t *f, error_t *err)
{
    f->exit_code = FRONT_CONFIG;
    if (!start_log(f, err) || !make_state_dir(f, err))
        return false;
    log_info("starting", LOG_S("version", MANGABUS_VERSION), LOG_S("state", f->journal_dir));
    if (!recover(f, err) || !open_loop(f, err) || !open_keys(f, err) || !open_output(f, err) || !open_observer(f, err))
        return false;
    core_start(f->core, front_now_us(f), journal_next_seq(f->journal), &f->effects);
    if (!read_topology(f, err))
        return false;
    f->exit_code = FRONT_UNAVAILABLE;
    if (!start_listening(f, err)) {
        if (err->code != STATUS_UNAVAILABLE)
            f->exit_code = FRONT_CONFIG;
        return false;
    }
    loop_on_signal(f->loop, on_signal, f);
    f->exit_code = FRONT_OK;
    return !f->has_failed;
}

int front_run(const options_t *options)
{
    front_t f = {.options = options};
    error_t err = {0};
    if (start(&f, &err)) {
        log_info("ready");
        loop_run(f.loop);
    } else if (!f.has_failed) {
        log_error("cannot start", LOG_S("error", err.message));
    }
    if (f.has_failed)
        f.exit_code = FRONT_DISK; /* whatever the step would have ended with in which it happened */
    close_all(&f);
    if (f.exit_code == FRONT_OK)
        log_info("stopped");
    return f.exit_code;
}
