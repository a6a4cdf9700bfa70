/* cmd_rule_next.c: when a schedule's expression would be due, by the broker's own reading of it, without a broker. */
#include <stdlib.h>

#include "broker/rules/timetable.h"
#include "kit/clock.h"
#include "kit/tzdata.h"
#include "proto/civil.h"
#include "proto/timefmt.h"
#include "tools/mangactl/cmd_rule.h"

#define COUNT_DEFAULT 5
#define COUNT_MAX 10000
#define US_PER_S INT64_C(1000000)
#define WALL_BYTES 32 /* "2026-01-30T20:15:12+09:00" and NUL */

typedef struct {
    timetable_t timetable;
    zone_t *zone; /* NULL: UTC */
    int64_t from_us;
    int64_t count;
} preview_t;

static bool zone_find(const char *name, zone_t **out, error_t *err)
{
    buf_t tzif = {0};
    *out = NULL;
    if (strcmp(name, "UTC") == 0)
        return true;
    const char *folder = getenv("TZDIR");
    bool ok = tzdata_read(folder && *folder ? folder : TZDATA_FOLDER, bytes_cstr(name), &tzif, err) &&
              (*out = zone_read(buf_bytes(&tzif), err)) != NULL;
    buf_free(&tzif);
    return ok;
}

static bool preview_read(const args_t *args, preview_t *out, error_t *err)
{
    const char *from = args_text(args, "from", NULL);
    out->count = args_number(args, "count", COUNT_DEFAULT);
    out->from_us = clock_wall_us();
    if (from && !args_moment(from, out->from_us, &out->from_us))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--from: \"%s\" is no moment: RFC 3339, or an age.", from);
    if (out->count < 1 || out->count > COUNT_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--count: from 1 to %d.", COUNT_MAX);
    return timetable_read(bytes_cstr(args->positional[0]), &out->timetable, err) &&
           zone_find(args_text(args, "time-zone", "UTC"), &out->zone, err);
}

/* The time on the wall there, with its distance from UTC. */
static void wall_text(const zone_t *zone, int64_t at_us, char out[WALL_BYTES])
{
    int32_t offset_s = zone_span(zone, civil_floor_div(at_us, US_PER_S)).offset_s;
    int32_t minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    char utc[TIMEFMT_S_BYTES];
    timefmt_s(at_us + offset_s * US_PER_S, utc);
    utc[TIMEFMT_S_BYTES - 2] = '\0'; /* the Z */
    (void)snprintf(out, WALL_BYTES, "%s%c%02d:%02d", utc, offset_s < 0 ? '-' : '+', minutes / 60 % 100, minutes % 60);
}

static void line_json(ctl_t *ctl, const char *utc, const char *wall)
{
    fprintf(ctl->out, "{\"time\":\"%s\",\"local\":\"%s\"}\n", utc, wall);
}

static int preview_print(ctl_t *ctl, const preview_t *p)
{
    int64_t at_us = p->from_us, printed = 0;
    for (; printed < p->count; printed++) {
        char utc[TIMEFMT_S_BYTES], wall[WALL_BYTES];
        at_us = timetable_next_us(&p->timetable, p->zone, p->from_us, at_us);
        if (at_us == TIMETABLE_NEVER)
            break;
        timefmt_s(at_us, utc);
        wall_text(p->zone, at_us, wall);
        if (ctl->json)
            line_json(ctl, utc, wall);
        else
            fprintf(ctl->out, "%s  %s\n", utc, wall);
    }
    return printed ? CTL_OK : ctl_complain(ctl, CTL_NO, "It is never due again.");
}

static int run_next(ctl_t *ctl, const args_t *args)
{
    preview_t preview = {0};
    error_t err = {0};
    bool ok = preview_read(args, &preview, &err);
    int code = ok ? preview_print(ctl, &preview) : ctl_fail(ctl, &err);
    zone_free(&preview.zone);
    return code;
}

static const char *const EXAMPLES[] = {
    "mangactl rule next 'cron(0 3 * * ? *)' --time-zone Asia/Tokyo",
    "mangactl rule next 'cron(15 10 ? * 6L *)' --count 3 --from 2026-01-01T00:00:00Z --json",
    "mangactl rule next 'rate(5 minutes)'",
    NULL,
};

static const arg_option_t OPTIONS[] = {
    {"count", ARG_COUNT, "N", "so many (5)"},
    {"time-zone", ARG_TEXT, "ZONE", "by the clocks of this place, such as Asia/Tokyo (UTC)"},
    {"from", ARG_TEXT, "WHEN", "after this moment, from which a rate counts too: RFC 3339, or an age (now)"},
};

const command_t command_rule_next = {
    .name = "rule next",
    .arguments = "EXPRESSION",
    .summary = "when a rate(...) or cron(...) is due next; needs no broker",
    .about =
        "Prints each moment in UTC and by the clocks of the place. Exit code 1 when there is none any more, 65 when\n"
        "the expression or the zone is refused.",
    .options = {OPTIONS, ARRAY_LEN(OPTIONS)},
    .least = 1,
    .most = 1,
    .examples = EXAMPLES,
    .run = run_next,
};
