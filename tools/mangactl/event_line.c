/* event_line.c: one event as a line. */
#include "tools/mangactl/event_line.h"

#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define CLOCK_AT 11    /* in "2026-01-30T20:15:12.345Z" */
#define CLOCK_BYTES 12 /* 20:15:12.345 */

event_line_t event_line_of(const bus_delivery_t *delivery)
{
    event_line_t event = {.record = delivery->record,
                          .ingest_us = delivery->ingest_us,
                          .bus = delivery->source,
                          .attrs = delivery->attrs,
                          .body = delivery->body};
    (void)(attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &event.replay_name) || (event.replay_name = BYTES_NONE, true));
    return event;
}

static void put_text(buf_t *out, const char *key, bytes_t value)
{
    mp_put_cstr(out, key);
    mp_put_str(out, value);
}

static bool print_json(ctl_t *ctl, const event_line_t *event)
{
    char time[TIMEFMT_US_BYTES];
    timefmt_us(event->ingest_us, time);
    buf_t map = {0};
    mp_put_map(&map, event->replay_name.len ? 6 : 5);
    mp_put_cstr(&map, "record");
    mp_put_u64(&map, event->record);
    put_text(&map, "ingest_time", bytes_cstr(time));
    put_text(&map, "bus", event->bus);
    if (event->replay_name.len)
        put_text(&map, "replay_name", event->replay_name);
    mp_put_cstr(&map, "attributes");
    if (event->attrs.len)
        mp_put_raw(&map, event->attrs);
    else
        mp_put_map(&map, 0);
    mp_put_cstr(&map, "event");
    mp_put_raw(&map, event->body);
    bool ok = ctl_print_json(ctl, buf_bytes(&map), JSON_COMPACT) == CTL_OK;
    buf_free(&map);
    return ok;
}

/* Cut between characters. */
static void print_detail(ctl_t *ctl, bytes_t detail)
{
    buf_t text = {0};
    if (json_from_msgpack(detail, JSON_COMPACT, &text, NULL)) {
        bytes_t shown = buf_bytes(&text);
        bool cut = shown.len > EVENT_DETAIL_BYTES;
        if (cut)
            shown.len = EVENT_DETAIL_BYTES;
        while (cut && shown.len > 0 && !bytes_is_utf8(shown, NULL))
            shown.len--;
        ctl_print_text(ctl->out, shown);
        fputs(cut ? "…" : "", ctl->out);
    }
    buf_free(&text);
}

static bool print_human(ctl_t *ctl, const event_line_t *event)
{
    char time[TIMEFMT_MS_BYTES];
    envelope_t envelope;
    error_t err = {0};
    timefmt_ms(event->ingest_us, time);
    fprintf(ctl->out, "%s%.*s%s  %6llu  ", ctl_dim(ctl), CLOCK_BYTES, time + CLOCK_AT, ctl_plain(ctl),
            (unsigned long long)event->record);
    ctl_print_text(ctl->out, event->bus);
    if (!envelope_read(event->body, &envelope, &err)) {
        fprintf(ctl->out, "  (no envelope: %s)\n", err.message);
        return true;
    }
    fputs("  ", ctl->out);
    ctl_print_text(ctl->out, envelope.source);
    fprintf(ctl->out, "  %s", ctl_bold(ctl));
    ctl_print_text(ctl->out, envelope.detail_type);
    fprintf(ctl->out, "%s  ", ctl_plain(ctl));
    if (event->replay_name.len) {
        fputs("[replay ", ctl->out);
        ctl_print_text(ctl->out, event->replay_name);
        fputs("]  ", ctl->out);
    }
    print_detail(ctl, envelope.detail);
    fputc('\n', ctl->out);
    return true;
}

bool event_line_print(ctl_t *ctl, const event_line_t *event)
{
    return ctl->json ? print_json(ctl, event) : print_human(ctl, event);
}
