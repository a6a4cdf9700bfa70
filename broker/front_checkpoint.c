/* front_checkpoint.c: when a checkpoint is taken, and what is said of it. */
#include "broker/checkpointer.h"
#include "broker/front_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define IDLE_SECONDS 10               /* without a record: then one sealed segment is enough for a checkpoint */
#define RETRY_US 60000000             /* after one that had no room */
#define BEHIND 4                      /* so many times the bytes that begin one are waiting: no more pauses */
#define EXPIRE_US INT64_C(3600000000) /* archives of an idle broker lose what has had its time, too */

static void begin(front_t *f, bool is_pressed)
{
    error_t err = {0};
    int64_t retain_ms = f->options->retain_ms;
    checkpoint_options_t options = {
        .core = f->core_config, .retain = {.since_us = INT64_MAX, .from_seq = UINT64_MAX}, .now_us = front_now_us(f)};
    if (!is_pressed) {
        options.retain.bytes = (uint64_t)f->options->retain_bytes;
        options.retain.since_us = retain_ms ? front_now_us(f) - retain_ms * 1000 : INT64_MAX;
        uint64_t followed = core_oldest_followed(f->core), replayed = core_oldest_replayed(f->core);
        options.retain.from_seq = followed < replayed ? followed : replayed;
    }
    checkpoint_t *checkpoint = checkpoint_begin(f->journal, &options, &err);
    if (!checkpoint) {
        if (err.code != STATUS_OK)
            log_warn("no snapshot can be taken now", LOG_S("error", err.message));
        return;
    }
    f->checkpoint_began_us = clock_mono_us();
    log_info("snapshot begins", LOG_S("because", is_pressed ? "the disk is full" : "of log behind the last one"));
    checkpointer_give(f->checkpointer, checkpoint);
}

static void expire_archives(front_t *f)
{
    error_t err = {0};
    uint64_t removed;
    if (clock_mono_us() < f->expire_at_us)
        return;
    f->expire_at_us = clock_mono_us() + EXPIRE_US;
    if (!distil_expire(journal_folder(f->journal), f->core, front_now_us(f), &removed, &err))
        log_warn("archives cannot be looked through for what is too old", LOG_S("error", err.message));
    else if (removed)
        log_info("archive files have had their time", LOG_I("count", removed));
}

void front_checkpoint_look(front_t *f, const journal_stats_t *stats, bool is_idle)
{
    uint64_t enough = (uint64_t)f->options->checkpoint_bytes;
    f->idle_seconds = is_idle ? f->idle_seconds + 1 : 0;
    if (f->has_failed)
        return;
    if (checkpointer_is_busy(f->checkpointer)) {
        if (stats->is_full || stats->sealed_bytes > BEHIND * enough)
            checkpointer_hurry(f->checkpointer);
        return;
    }
    expire_archives(f);
    bool is_idle_long = f->idle_seconds >= IDLE_SECONDS && stats->sealed_bytes > 0;
    bool is_time = stats->sealed_bytes >= enough || stats->is_full || is_idle_long;
    if (is_time && clock_mono_us() >= f->checkpoint_not_before_us)
        begin(f, stats->is_full);
}

static void tell_done(front_t *f, const checkpoint_t *checkpoint)
{
    observe_checkpoint_t *seen = &f->checkpoints;
    distil_stats_t distilled;
    checkpoint_stats(checkpoint, &seen->last);
    checkpoint_distilled(checkpoint, &distilled);
    seen->archived += distilled.events;
    seen->count++;
    seen->last_us = clock_mono_us() - f->checkpoint_began_us;
    log_info("snapshot taken", LOG_I("record", seen->last.newest), LOG_I("folded", seen->last.folded),
             LOG_I("copied", seen->last.copied), LOG_I("bytes", seen->last.snapshot_bytes),
             LOG_I("kept_bytes", seen->last.kept_bytes), LOG_I("segments_released", seen->last.released),
             LOG_I("archived", distilled.events), LOG_I("duration_ms", seen->last_us / 1000));
    if (distilled.unreadable)
        log_warn(
            "the newest file of an archive cannot be read and is left alone: `mangactl journal verify` tells where",
            LOG_I("count", distilled.unreadable));
}

void front_on_checkpoint(void *ctx, int events UNUSED)
{
    front_t *f = ctx;
    checkpoint_t *over;
    if (f->has_failed)
        return;
    checkpoint_state_t state = checkpointer_poll(f->checkpointer, f->journal, &over);
    history_changed(f->history);
    if (!over)
        return;
    if (state == CHECKPOINT_DONE)
        tell_done(f, over);
    else if (state == CHECKPOINT_GIVEN_UP)
        log_warn("the snapshot was given up", LOG_S("error", checkpoint_error(over)->message));
    else {
        journal_checkpoint_broke(f->journal, checkpoint_error(over));
        front_fail(f, "a snapshot could not be taken", checkpoint_error(over));
    }
    if (state == CHECKPOINT_GIVEN_UP) {
        f->checkpoints.given_up++;
        f->checkpoint_not_before_us = clock_mono_us() + RETRY_US;
    }
    checkpoint_free(&over);
}
