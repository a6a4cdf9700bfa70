/* outbox_probe.c: a service that does nothing but tell what stands in its outbox, for tests/integration/test_outbox.py.
 */
#include <stdlib.h>

#include "kit/outbox.h"
#include "proto/msgpack.h"

typedef struct {
    outbox_t *outbox;
} probe_t;

/* "bad" is a row that cannot be told. */
static bool row_event(void *ctx, const PGresult *rows, int row, buf_t scratch[2], bus_event_t *event, error_t *err)
{
    (void)ctx;
    bytes_t note = pg_text(rows, row, 1);
    if (bytes_eq_cstr(note, "bad"))
        return error_set(err, STATUS_INTERNAL, NULL, "the row is bad");
    mp_put_map(&scratch[0], 1);
    mp_put_cstr(&scratch[0], "note");
    mp_put_str(&scratch[0], note);
    buf_printf(&scratch[1], "row-%.*s", BYTES_FMT(pg_text(rows, row, 0)));
    *event = (bus_event_t){.bus = "demo",
                           .source = "test",
                           .detail_type = "told",
                           .detail = buf_bytes(&scratch[0]),
                           .dedup = buf_bytes(&scratch[1])};
    return true;
}

static void *start(service_t *service, void *settings, error_t *err)
{
    (void)settings;
    probe_t *probe = calloc(1, sizeof *probe);
    if (!probe) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    const outbox_options_t options = {.select_sql = OUTBOX_SELECT("id, note", "outbox", "77"),
                                      .delete_sql = OUTBOX_DELETE("outbox"),
                                      .event = row_event};
    probe->outbox = outbox_new(service, &options, err);
    if (probe->outbox)
        return probe;
    free(probe);
    return NULL;
}

static void stop(void *app)
{
    probe_t *probe = app;
    outbox_free(&probe->outbox);
    free(probe);
}

static const pg_migration_t migrations[] = {
    {1, "begin", "CREATE TABLE outbox (id bigserial PRIMARY KEY, note text NOT NULL)"}};

int main(int argc, char **argv)
{
    const service_def_t def = {.name = "outbox-probe",
                               .doc = "Tells what stands in its outbox.",
                               .http_port = 7498,
                               .settings_bytes = 1,
                               .migrations = migrations,
                               .migration_count = ARRAY_LEN(migrations),
                               .start = start,
                               .stop = stop};
    return service_main(&def, argc, argv);
}
