/* stream.c: listening to a bus from the command line. */
#include "tools/mangactl/stream.h"

#include "kit/clock.h"
#include "proto/attrs.h"

#define QUIET_MS 500 /* past --until, this long without an event means that all were seen */
#define QUIET_CHECK_MS 100
#define US_PER_MS 1000

/* -- options --------------------------------------------------------------------------------------- */
bool stream_options(stream_t *stream, const args_t *args, buf_t *pattern, error_t *err)
{
    const char *text = args_text(args, "pattern", NULL), *since = args_text(args, "since", NULL);
    stream->bus = args->count > 0 ? args->positional[0] : "*";
    stream->from = (uint64_t)args_number(args, "from", 0);
    stream->count = args_number(args, "count", 0);
    stream->timeout_ms = args_number(args, "timeout", 0);
    if (since && !args_moment(since, clock_wall_us(), &stream->since_us))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--since is an RFC 3339 time or a time ago, not \"%s\"",
                         since);
    if (text) {
        if (!ctl_read_document(text, pattern, err))
            return false;
        stream->pattern = buf_cstr(pattern);
    }
    return true;
}

/* -- events ---------------------------------------------------------------------------------------- */
static void end(stream_t *stream)
{
    stream->ended = true;
    ctl_done(stream->ctl);
}

static bool is_wanted(const stream_t *stream, const bus_delivery_t *delivery)
{
    bytes_t name;
    return !stream->replays_only || attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &name);
}

static void on_event(void *ctx, bus_delivery_t *delivery)
{
    stream_t *stream = ctx;
    stream->heard_us = clock_mono_us();
    if (stream->ended)
        return;
    if (stream->until_us && delivery->ingest_us > stream->until_us) {
        end(stream);
        return;
    }
    stream->next = delivery->record + 1;
    if (!is_wanted(stream, delivery))
        return;
    stream->seen++;
    if (!stream->each(stream->ctx, delivery) || stream->seen == stream->count)
        end(stream);
}

static void on_gap(void *ctx, uint64_t from, uint64_t next)
{
    stream_t *stream = ctx;
    stream->gaps++;
    if (stream->ctl->json)
        fprintf(stream->ctl->err, "{\"gap\":{\"from\":%llu,\"next\":%llu}}\n", (unsigned long long)from,
                (unsigned long long)next);
    ctl_note(stream->ctl, "records %llu to %llu are no longer there or came too fast", (unsigned long long)from,
             (unsigned long long)next - 1);
}

static void on_refused(void *ctx, const error_t *err)
{
    stream_t *stream = ctx;
    stream->code = ctl_fail(stream->ctl, err);
    end(stream);
}

/* An end in the past is reached when nothing comes any more. */
static void on_quiet(void *ctx)
{
    stream_t *stream = ctx;
    if (ctl_broker_now_us(stream->ctl) >= stream->until_us &&
        clock_mono_us() - stream->heard_us >= (int64_t)QUIET_MS * US_PER_MS)
        end(stream);
}

/* A moment by the broker's clock; 0 stays none. */
static int64_t broker_moment_us(const ctl_t *ctl, int64_t us)
{
    int64_t there_us;
    return us && !__builtin_add_overflow(us, ctl->skew_us, &there_us) ? there_us : us;
}

/* -- the whole ------------------------------------------------------------------------------------- */
static bool listen_to(stream_t *stream, error_t *err)
{
    bus_listen_t options = {.bus = stream->bus,
                            .name = stream->name,
                            .pattern = stream->pattern,
                            .from = stream->from,
                            .since_us = stream->since_us,
                            .live_only = stream->live_only,
                            .fn = on_event,
                            .on_gap = on_gap,
                            .on_refused = on_refused,
                            .ctx = stream};
    return bus_listen(stream->ctl->bus, &options, err) != 0;
}

int stream_run(stream_t *stream)
{
    ctl_t *ctl = stream->ctl;
    error_t err = {0};
    if (!ctl_connect(ctl, &stream->code))
        return stream->code;
    stream->since_us = broker_moment_us(ctl, stream->since_us);
    stream->until_us = broker_moment_us(ctl, stream->until_us);
    stream->heard_us = clock_mono_us();
    stream->quiet = loop_timer_new(ctl->loop, on_quiet, stream);
    if (!stream->quiet || !listen_to(stream, &err)) {
        stream->code = ctl_fail(ctl, &err);
    } else {
        if (stream->timeout_ms)
            ctl_limit(ctl, stream->timeout_ms);
        if (stream->until_us)
            loop_timer_every(stream->quiet, QUIET_CHECK_MS);
        ctl_wait(ctl);
    }
    if (stream->quiet)
        loop_timer_end(&stream->quiet);
    return stream->code;
}
