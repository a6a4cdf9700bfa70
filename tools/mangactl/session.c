/* session.c: a verb's session with the broker: connect or say clearly why not, wait, ask, leave. */
#include <stdlib.h>
#include <unistd.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "tools/mangactl/ctl.h"

#define PATH_BYTES 4096

/* -- callbacks ------------------------------------------------------------------------------------- */
static void on_state(void *ctx, bool is_up, const char *why)
{
    ctl_t *ctl = ctx;
    bool was_up = ctl->is_up;
    ctl->is_up = is_up;
    if (is_up && bus_welcome(ctl->bus)->time_us)
        ctl->skew_us = bus_welcome(ctl->bus)->time_us - clock_wall_us();
    (void)bytes_to_cstr(bytes_cstr(why), ctl->why, sizeof ctl->why);
    if (is_up && ctl->is_waiting)
        loop_stop(ctl->loop);
    if (!is_up && was_up)
        ctl_note(ctl, "lost the broker (%s); trying again", ctl->why);
}

static void on_patience(void *ctx)
{
    ctl_t *ctl = ctx;
    loop_stop(ctl->loop);
}

static void on_limit(void *ctx)
{
    ctl_t *ctl = ctx;
    ctl->timed_out = true;
    loop_stop(ctl->loop);
}

static void on_signal(void *ctx, int signal)
{
    (void)signal;
    ctl_t *ctl = ctx;
    ctl->interrupted = true;
    loop_stop(ctl->loop);
}

/* -- keys ------------------------------------------------------------------------------------------ */
typedef struct {
    char server[BUS_KEY_CHARS + 1], public[BUS_KEY_CHARS + 1], secret[BUS_KEY_CHARS + 1];
} keys_t;

static bool read_key(const char *dir, const char *name, char out[BUS_KEY_CHARS + 1], error_t *err)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_CURVE_DIR is too long");
    return bus_key_read(path, out, err);
}

static bool read_keys(const char *dir, keys_t *keys, error_t *err)
{
    return read_key(dir, "server.pub", keys->server, err) && read_key(dir, "mangactl.pub", keys->public, err) &&
           read_key(dir, "mangactl.key", keys->secret, err);
}

/* -- connecting ------------------------------------------------------------------------------------ */
static void name_instance(ctl_t *ctl)
{
    uint8_t random[3];
    clock_random(random, sizeof random);
    (void)snprintf(ctl->instance, sizeof ctl->instance, "mangactl-%02x%02x%02x", random[0], random[1], random[2]);
}

static bool open_bus(ctl_t *ctl, error_t *err)
{
    keys_t keys = {0};
    bool has_keys = ctl->curve_dir[0] != '\0';
    if (has_keys && !read_keys(ctl->curve_dir, &keys, err))
        return false;
    bus_options_t options = {.endpoint = ctl->endpoint,
                             .instance = ctl->instance,
                             .version = MANGABUS_VERSION,
                             .server_key = has_keys ? keys.server : NULL,
                             .public_key = has_keys ? keys.public : NULL,
                             .secret_key = has_keys ? keys.secret : NULL,
                             .on_state = on_state,
                             .ctx = ctl};
    ctl->bus = bus_new(ctl->loop, &options, err);
    explicit_bzero(&keys, sizeof keys);
    return ctl->bus != NULL;
}

static bool open_all(ctl_t *ctl, error_t *err)
{
    ctl->loop = loop_new(err);
    if (!ctl->loop)
        return false;
    loop_on_signal(ctl->loop, on_signal, ctl);
    ctl->patience = loop_timer_new(ctl->loop, on_patience, ctl);
    ctl->limit = loop_timer_new(ctl->loop, on_limit, ctl);
    if (!ctl->patience || !ctl->limit)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    name_instance(ctl);
    return open_bus(ctl, err);
}

static int unreachable(ctl_t *ctl)
{
    if (ctl->interrupted)
        return ctl_complain(ctl, CTL_TRY_AGAIN, "interrupted");
    if (ctl->why[0])
        return ctl_complain(ctl, CTL_UNREACHABLE, "no session with the broker at %s: %s", ctl->endpoint, ctl->why);
    return ctl_complain(ctl, CTL_UNREACHABLE,
                        "cannot reach the broker at %s: is it running%s? Start it with make demo, or name another by "
                        "MANGABUS_ENDPOINT",
                        ctl->endpoint, ctl->curve_dir[0] ? ", and does it know this key" : "");
}

static bool await_session(ctl_t *ctl)
{
    loop_timer_in(ctl->patience, CTL_CONNECT_MS);
    if (!ctl->is_up)
        loop_run(ctl->loop);
    loop_timer_off(ctl->patience);
    ctl->is_waiting = false;
    return ctl->is_up;
}

bool ctl_connect(ctl_t *ctl, int *code)
{
    error_t err = {0};
    ctl->is_waiting = true;
    if (!open_all(ctl, &err)) {
        *code = ctl_complain(ctl, CTL_CONFIG, "%s", err.message);
        return false;
    }
    if (await_session(ctl))
        return true;
    *code = unreachable(ctl);
    return false;
}

void ctl_disconnect(ctl_t *ctl)
{
    bus_free(&ctl->bus);
    if (ctl->patience)
        loop_timer_end(&ctl->patience);
    if (ctl->limit)
        loop_timer_end(&ctl->limit);
    if (ctl->loop)
        loop_free(&ctl->loop);
}

/* -- waiting --------------------------------------------------------------------------------------- */
void ctl_wait(ctl_t *ctl)
{
    ctl->done = false;
    while (!ctl->done && !ctl->interrupted && !ctl->timed_out)
        loop_run(ctl->loop);
}

void ctl_done(ctl_t *ctl)
{
    ctl->done = true;
    loop_stop(ctl->loop);
}

void ctl_limit(ctl_t *ctl, int64_t ms)
{
    loop_timer_in(ctl->limit, ms);
}

int64_t ctl_broker_now_us(const ctl_t *ctl)
{
    return clock_wall_us() + ctl->skew_us;
}

/* -- asking ---------------------------------------------------------------------------------------- */
typedef struct {
    ctl_t *ctl;
    buf_t *out;
    int code;
} question_t;

static void on_answer(void *ctx, const error_t *err, bytes_t result)
{
    question_t *question = ctx;
    if (err)
        question->code = ctl_fail(question->ctl, err);
    else
        buf_append_bytes(question->out, result);
    ctl_done(question->ctl);
}

bool ctl_ask(ctl_t *ctl, wire_verb_t verb, const char *op, const char *name, bytes_t args, bytes_t body, buf_t *out,
             int *code)
{
    question_t question = {.ctl = ctl, .out = out};
    error_t err = {0};
    if (!ctl->bus && !ctl_connect(ctl, code))
        return false;
    if (!bus_admin(ctl->bus, verb, op, name, args, body, CTL_ASK_MS, on_answer, &question, &err)) {
        *code = ctl_fail(ctl, &err);
        return false;
    }
    ctl_wait(ctl);
    *code = ctl->interrupted ? CTL_TRY_AGAIN : question.code;
    return *code == CTL_OK;
}
