/* bus.c: life and state of the bus client, draining, and the flush that ends each turn of the loop. */
#include "kit/bus.h"

#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define DEFAULT_ACCOUNT "000000000000"
#define DEFAULT_REGION "ap-northeast-1"

/* -- shared by the parts ----------------------------------------------------------------------------------- */
bool bus_no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

bool bus_admit(bus_t *bus, size_t bytes, error_t *err)
{
    if (bus->ending)
        return error_set(err, STATUS_CANCELLED, NULL, "the bus client is ending");
    if (bus->waiting_bytes + bytes > BUS_WAITING_MAX_BYTES)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "ThrottlingException",
                         "%zu bytes wait for the broker already; try again when it has caught up", bus->waiting_bytes);
    bus->waiting_bytes += bytes;
    return true;
}

size_t bus_max_frame(const bus_t *bus)
{
    size_t most = bus->welcome.max_frame_bytes ? bus->welcome.max_frame_bytes : WIRE_FRAME_MAX_BYTES;
    return most > BUS_FRAME_MIN_BYTES ? most : BUS_FRAME_MIN_BYTES;
}

bool bus_name_check(const char *what, bytes_t name, error_t *err)
{
    if (name.len > 0 && name.len <= WIRE_NAME_MAX_BYTES)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s: a name has 1 to %d bytes, not %zu", what,
                     WIRE_NAME_MAX_BYTES, name.len);
}

void bus_error_fill(error_t *err, uint64_t status, bytes_t aws, bytes_t message, uint64_t retry_after_ms)
{
    *err = (error_t){.code = status > 0 && status <= STATUS_MAX ? (status_t)status : STATUS_UNKNOWN};
    (void)bytes_to_cstr(aws, err->aws, sizeof err->aws);
    (void)bytes_to_cstr(message, err->message, sizeof err->message);
    err->retry_after_ms = retry_after_ms < INT32_MAX ? (int64_t)retry_after_ms : INT32_MAX;
}

/* -- flush ------------------------------------------------------------------------------------------------- */
/* Work of one turn goes out together at its end: one frame for many entries. */
void bus_flush_soon(bus_t *bus)
{
    if (bus->flush_due || bus->ending)
        return;
    bus->flush_due = true;
    loop_timer_in(bus->flush, 0);
}

static void check_drained(bus_t *bus);

static void on_flush(void *ctx)
{
    bus_t *bus = ctx;
    bus->flush_due = false;
    if (bus->broken) {
        bus->broken = false;
        bus_link_lost(bus, "out of memory for a frame");
    }
    if (bus->state == BUS_UP) {
        bus_serve_flush(bus);
        bus_listen_flush(bus);
        bus_publish_flush(bus);
        bus_settle_flush(bus);
        bus_call_flush(bus);
        bus_permit_flush(bus);
        bus_admin_flush(bus);
    }
    bus_listen_credit(bus);
    bus_link_flush(bus);
    check_drained(bus);
}

/* -- drain ------------------------------------------------------------------------------------------------- */
static bool is_asked(const bus_t *bus)
{
    const bus_ask_t *ask;
    for (ask = TAILQ_FIRST(&bus->asks); ask; ask = TAILQ_NEXT(ask, link))
        if (ask->verb == WIRE_PUBLISH || ask->verb == WIRE_SEND || ask->verb == WIRE_SETTLE)
            return true;
    return false;
}

static void end_drain(bus_t *bus)
{
    void (*fn)(void *) = bus->drain_fn;
    bus->drain_fn = NULL;
    loop_timer_off(bus->drain_timer);
    fn(bus->drain_ctx);
}

static void check_drained(bus_t *bus)
{
    if (bus->drain_fn && bus_listen_held(bus) == 0 && TAILQ_EMPTY(&bus->works) && TAILQ_EMPTY(&bus->items) &&
        TAILQ_EMPTY(&bus->settles) && !is_asked(bus))
        end_drain(bus);
}

static void on_drain_over(void *ctx)
{
    bus_t *bus = ctx;
    bus_listen_release(bus);
    bus_settle_flush(bus);
    log_warn("draining took too long; what was left is released");
    if (bus->drain_fn)
        end_drain(bus);
}

void bus_drain(bus_t *bus, int64_t within_ms, void (*fn)(void *ctx), void *ctx)
{
    bus->draining = true;
    bus->drain_fn = fn;
    bus->drain_ctx = ctx;
    loop_timer_in(bus->drain_timer, within_ms);
    bus_listen_drain(bus);
    bus_serve_drain(bus);
    bus_flush_soon(bus);
}

/* -- life -------------------------------------------------------------------------------------------------- */
static char *role_of(const bus_options_t *options)
{
    if (options->role)
        return strdup(options->role);
    const char *dash = strrchr(options->instance, '-');
    return strndup(options->instance, dash ? (size_t)(dash - options->instance) : strlen(options->instance));
}

static void take_environment(const char *name, const char *fallback, char *out, size_t cap)
{
    const char *value = getenv(name);
    if (!value || !value[0] || !bytes_to_cstr(bytes_cstr(value), out, cap))
        (void)bytes_to_cstr(bytes_cstr(fallback), out, cap);
}

static bool take_keys(bus_t *bus, const bus_options_t *options, error_t *err)
{
    int given = !!options->server_key + !!options->public_key + !!options->secret_key;
    if (given == 0)
        return true;
    if (given != 3 || strlen(options->server_key) != BUS_KEY_CHARS || strlen(options->public_key) != BUS_KEY_CHARS ||
        strlen(options->secret_key) != BUS_KEY_CHARS)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "CURVE needs three keys of %d characters: the server's, the public and the secret one",
                         BUS_KEY_CHARS);
    memcpy(bus->server_key, options->server_key, BUS_KEY_CHARS);
    memcpy(bus->public_key, options->public_key, BUS_KEY_CHARS);
    memcpy(bus->secret_key, options->secret_key, BUS_KEY_CHARS);
    bus->has_curve = true;
    return true;
}

static bool take_options(bus_t *bus, const bus_options_t *options, error_t *err)
{
    if (!bus_name_check("instance", bytes_cstr(options->instance), err) || !take_keys(bus, options, err))
        return false;
    bus->endpoint = strdup(options->endpoint);
    bus->instance = strdup(options->instance);
    bus->role = role_of(options);
    bus->version = strdup(options->version ? options->version : "");
    bus->producer = options->producer ? strdup(options->producer) : NULL;
    bus->epoch = options->epoch || !options->producer ? options->epoch : (uint64_t)(clock_wall_us() / 1000);
    bus->observer = options->observer;
    bus->on_state = options->on_state;
    bus->ctx = options->ctx;
    take_environment("AWS_ACCOUNT_ID", DEFAULT_ACCOUNT, bus->account, sizeof bus->account);
    take_environment("AWS_REGION", DEFAULT_REGION, bus->region, sizeof bus->region);
    bool has_all = bus->endpoint && bus->instance && bus->role && bus->version && (bus->producer || !options->producer);
    return has_all ? true : bus_no_memory(err);
}

static void init_lists(bus_t *bus)
{
    TAILQ_INIT(&bus->outbox);
    TAILQ_INIT(&bus->asks);
    TAILQ_INIT(&bus->items);
    TAILQ_INIT(&bus->subs);
    TAILQ_INIT(&bus->settles);
    TAILQ_INIT(&bus->calls_waiting);
    TAILQ_INIT(&bus->calls_sent);
    TAILQ_INIT(&bus->methods);
    TAILQ_INIT(&bus->works);
    TAILQ_INIT(&bus->recent);
    TAILQ_INIT(&bus->queries);
    TAILQ_INIT(&bus->drawings);
}

static bool init_memory(bus_t *bus, error_t *err)
{
    bus->in = malloc(sizeof *bus->in);
    bus->out = malloc(sizeof *bus->out);
    bus->flush = loop_timer_new(bus->loop, on_flush, bus);
    bus->drain_timer = loop_timer_new(bus->loop, on_drain_over, bus);
    bool has_maps = bus_map_init(&bus->asks_by_seq) && bus_map_init(&bus->subs_by_number) &&
                    bus_map_init(&bus->calls_by_number) && bus_map_init(&bus->works_by_identity);
    return bus->in && bus->out && bus->flush && bus->drain_timer && has_maps && bus_serve_init(bus)
               ? true
               : bus_no_memory(err);
}

/* A call's identity is (instance, number): beginning at the clock, an instance name that is used twice does not
 * meet the calls of its past. */
static void init_numbers(bus_t *bus)
{
    bus->call_number = (uint64_t)clock_wall_us();
}

bus_t *bus_new(loop_t *loop, const bus_options_t *options, error_t *err)
{
    bus_t *bus = calloc(1, sizeof *bus);
    if (!bus) {
        bus_no_memory(err);
        return NULL;
    }
    bus->loop = loop;
    init_lists(bus);
    init_numbers(bus);
    if (!init_memory(bus, err) || !take_options(bus, options, err) || !bus_link_start(bus, err))
        bus_free(&bus);
    return bus;
}

static void end_work(bus_t *bus)
{
    error_t err;
    error_set(&err, STATUS_CANCELLED, NULL, "the bus client ended");
    bus_publish_end(bus, &err);
    bus_call_end(bus, &err);
    bus_admin_end(bus, &err);
    bus_hand_end(bus, &err);
    bus_permit_end(bus, &err);
    bus_listen_end(bus);
    bus_settle_lost(bus);
    bus_settle_forget(bus);
    bus_serve_end(bus);
    while (!TAILQ_EMPTY(&bus->asks))
        bus_ask_free(bus, TAILQ_FIRST(&bus->asks));
}

static void free_memory(bus_t *bus)
{
    bus_map_free(&bus->asks_by_seq);
    bus_map_free(&bus->subs_by_number);
    bus_map_free(&bus->calls_by_number);
    bus_map_free(&bus->works_by_identity);
    if (bus->flush)
        loop_timer_end(&bus->flush);
    if (bus->drain_timer)
        loop_timer_end(&bus->drain_timer);
    buf_free(&bus->frame);
    free(bus->in);
    free(bus->out);
    free(bus->endpoint);
    free(bus->instance);
    free(bus->role);
    free(bus->version);
    free(bus->producer);
    explicit_bzero(bus->secret_key, sizeof bus->secret_key);
    free(bus);
}

void bus_free(bus_t **handle)
{
    bus_t *bus = *handle;
    if (!bus)
        return;
    if (bus->state == BUS_UP) {
        bus_settle_flush(bus); /* what was settled in this turn */
        bus_link_flush(bus);
    }
    bus->ending = true;
    bus_link_stop(bus);
    end_work(bus); /* whose callbacks may still ask for more, and are refused */
    *handle = NULL;
    free_memory(bus);
}

bool bus_is_up(const bus_t *bus)
{
    return bus->state == BUS_UP;
}

const wire_welcome_t *bus_welcome(const bus_t *bus)
{
    return &bus->welcome;
}
