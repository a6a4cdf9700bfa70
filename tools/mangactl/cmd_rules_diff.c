/* cmd_rules_diff.c: which deliveries a changed topology would add, drop or change, over events that have been. */
#include <stdlib.h>

#include "kit/clock.h"
#include "tools/mangactl/cmd_rule.h"
#include "tools/mangactl/journal_folder.h"
#include "tools/mangactl/routing.h"
#include "tools/mangactl/table.h"

/* What became of deliveries to one queue, under one rule of either document. */
typedef struct {
    const char *change;           /* added, dropped, changed */
    char *queue, *before, *after; /* the last two: bus/rule/target; "" for none */
    uint64_t events, first;       /* first: record, or number in the source */
} tally_t;

typedef struct {
    ctl_t *ctl;
    routing_t before, after;
    routed_t was, is;
    tally_t *tallies;
    size_t count, cap;
    uint64_t events, differing, refused;
    bool failed; /* out of memory */
} diff_t;

static void way_text(const routed_delivery_t *d, buf_t *out)
{
    if (!d)
        return;
    buf_printf(out, "%.*s/%.*s/%.*s%s", BYTES_FMT(d->rule->bus), BYTES_FMT(d->rule->name), BYTES_FMT(d->target->id),
               d->is_unfit ? " (does not fit)" : "");
}

/* -- counting ------------------------------------------------------------------------------------------------ */
static tally_t *tally_find(diff_t *d, const char *change, bytes_t queue, const char *before, const char *after)
{
    for (size_t i = 0; i < d->count; i++) {
        tally_t *t = &d->tallies[i];
        if (t->change == change && bytes_eq_cstr(queue, t->queue) && strcmp(t->before, before) == 0 &&
            strcmp(t->after, after) == 0)
            return t;
    }
    return NULL;
}

static tally_t *tally_make(diff_t *d, const char *change, bytes_t queue, const char *before, const char *after)
{
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 32;
        tally_t *grown = reallocarray(d->tallies, cap, sizeof *grown);
        if (!grown)
            return NULL;
        d->tallies = grown;
        d->cap = cap;
    }
    tally_t made = {.change = change, .queue = bytes_dup(queue), .before = strdup(before), .after = strdup(after)};
    d->tallies[d->count] = made;
    return made.queue && made.before && made.after ? &d->tallies[d->count++] : NULL;
}

static void line_json(const diff_t *d, const source_event_t *event, const tally_t *t)
{
    buf_t line = {0};
    buf_printf(&line, "{\"event\":%llu,\"record\":%llu,\"bus\":", (unsigned long long)event->number,
               (unsigned long long)event->record);
    json_string_append(&line, event->bus);
    buf_printf(&line, ",\"change\":\"%s\",\"queue\":", t->change);
    json_string_append(&line, bytes_cstr(t->queue));
    buf_append_cstr(&line, ",\"before\":");
    json_string_append(&line, bytes_cstr(t->before));
    buf_append_cstr(&line, ",\"after\":");
    json_string_append(&line, bytes_cstr(t->after));
    fprintf(d->ctl->out, "%s}\n", buf_cstr(&line));
    buf_free(&line);
}

/* `was` or `is` may be NULL, not both. */
static void note(diff_t *d, const source_event_t *event, const char *change, const routed_delivery_t *was,
                 const routed_delivery_t *is)
{
    buf_t before = {0}, after = {0};
    bytes_t queue = (was ? was : is)->target->queue;
    way_text(was, &before);
    way_text(is, &after);
    tally_t *t = tally_find(d, change, queue, buf_cstr(&before), buf_cstr(&after));
    if (!t)
        t = tally_make(d, change, queue, buf_cstr(&before), buf_cstr(&after));
    if (!t) {
        d->failed = true;
    } else {
        t->first = t->events++ ? t->first : event->record ? event->record : event->number;
        if (d->ctl->json)
            line_json(d, event, t);
    }
    buf_free(&before);
    buf_free(&after);
}

static const routed_delivery_t *to_queue(const routed_t *routed, bytes_t queue)
{
    for (size_t i = 0; i < routed->count; i++)
        if (bytes_eq(routed->items[i].target->queue, queue))
            return &routed->items[i];
    return NULL;
}

static bool same_body(const routed_t *a, const routed_delivery_t *x, const routed_t *b, const routed_delivery_t *y)
{
    return x->is_unfit == y->is_unfit &&
           bytes_eq(bytes_from(a->bodies.data + x->at, x->len), bytes_from(b->bodies.data + y->at, y->len));
}

static bool compare(diff_t *d, const source_event_t *event)
{
    bool differs = false;
    for (size_t i = 0; i < d->was.count; i++) {
        const routed_delivery_t *was = &d->was.items[i], *is = to_queue(&d->is, was->target->queue);
        if (is && same_body(&d->was, was, &d->is, is))
            continue;
        note(d, event, is ? "changed" : "dropped", was, is);
        differs = true;
    }
    for (size_t i = 0; i < d->is.count; i++) {
        if (to_queue(&d->was, d->is.items[i].target->queue))
            continue;
        note(d, event, "added", NULL, &d->is.items[i]);
        differs = true;
    }
    return differs;
}

/* -- all of it ----------------------------------------------------------------------------------------------- */
static bool walk(diff_t *d, const event_source_t *source, error_t *err)
{
    source_event_t event;
    while (!d->failed && source->next(source->self, &event, err)) {
        routing_event(&d->before, &event, &d->was);
        routing_event(&d->after, &event, &d->is);
        d->events++;
        d->refused += d->is.is_refused;
        d->differing += compare(d, &event);
    }
    if (d->failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    return err->code == STATUS_OK;
}

static void print_table(const diff_t *d)
{
    static const char *const titles[] = {"<change", "<queue", "<before", "<after", "events", "first", NULL};
    table_t table;
    table_begin(&table, titles);
    for (size_t i = 0; i < d->count; i++) {
        const tally_t *t = &d->tallies[i];
        table_add(&table, "%s", t->change);
        table_add_bytes(&table, bytes_cstr(t->queue));
        table_add_bytes(&table, bytes_cstr(*t->before ? t->before : "-"));
        table_add_bytes(&table, bytes_cstr(*t->after ? t->after : "-"));
        table_add(&table, "%llu", (unsigned long long)t->events);
        table_add(&table, "%llu", (unsigned long long)t->first);
    }
    table_end(&table, d->ctl->out, ctl_bold(d->ctl), ctl_plain(d->ctl));
}

static int report(const diff_t *d)
{
    if (!d->ctl->json && d->count)
        print_table(d);
    ctl_note(d->ctl, "%llu of %llu events would be delivered otherwise", (unsigned long long)d->differing,
             (unsigned long long)d->events);
    if (d->refused)
        ctl_note(d->ctl, "%llu events would reach too many targets and be refused", (unsigned long long)d->refused);
    return d->differing || d->refused ? CTL_NO : CTL_OK;
}

static void diff_free(diff_t *d)
{
    routing_close(&d->before);
    routing_close(&d->after);
    buf_free(&d->was.bodies);
    buf_free(&d->is.bodies);
    for (size_t i = 0; i < d->count; i++) {
        free(d->tallies[i].queue);
        free(d->tallies[i].before);
        free(d->tallies[i].after);
    }
    free(d->tallies);
    free(d);
}

static bool open_archive(const args_t *args, event_source_t *source, error_t *err)
{
    char folder[CTL_PATH_BYTES];
    journal_folder_default(folder, sizeof folder);
    event_archive_t from = {.journal = args_text(args, "journal", folder), .archive = args_text(args, "archive", NULL)};
    int64_t now_us = clock_wall_us();
    return args_moment_of(args, "from", now_us, &from.from_us, err) &&
           args_moment_of(args, "to", now_us, &from.to_us, err) && event_source_archive(&from, source, err);
}

static bool open_source(const args_t *args, event_source_t *source, error_t *err)
{
    const char *events = args_text(args, "events", NULL);
    bool is_archive = args_given(args, "archive");
    if (is_archive == (events != NULL))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "say which events to look at: --events FILE, or --archive NAME");
    return is_archive ? open_archive(args, source, err)
                      : event_source_file(events, args_text(args, "bus", NULL), source, err);
}

static int run_diff(ctl_t *ctl, const args_t *args)
{
    error_t err = {0};
    event_source_t source = {0};
    diff_t *d = calloc(1, sizeof *d);
    if (!d)
        return ctl_complain(ctl, CTL_TRY_AGAIN, "out of memory");
    d->ctl = ctl;
    bool ok = routing_open(args->positional[0], &d->before, &err) &&
              routing_open(args->positional[1], &d->after, &err) && open_source(args, &source, &err) &&
              walk(d, &source, &err);
    int code = ok ? report(d) : ctl_fail(ctl, &err);
    event_source_close(&source);
    diff_free(d);
    return code;
}

static const char *const EXAMPLES[] = {
    "mangactl rules diff topology.json changed.json --events /tmp/hour.capture",
    "mangactl rules diff topology.json changed.json --events event.json --bus MangaAssist-AI-Events --json",
    "mangactl rules diff topology.json changed.json --archive manga-assist-ai-archive --from 7d --to 1d",
    NULL,
};

static const arg_option_t OPTIONS[] = {
    {"events", ARG_TEXT, "FILE", "a capture, or JSON Lines as mangactl replay takes them (- for standard input)"},
    {"bus", ARG_TEXT, "BUS", "of the events that name none"},
    {"archive", ARG_TEXT, "NAME", "instead: the events of this archive, from its files"},
    {"from", ARG_TEXT, "WHEN", "of an archive: taken in at or after an RFC 3339 time, or a time ago such as 2h"},
    {"to", ARG_TEXT, "WHEN", "of an archive: taken in before it"},
    {"journal", ARG_TEXT, "DIR", "the broker's journal folder (that of MANGABUS_STATE)"},
};

const command_t command_rules_diff = {
    .name = "rules diff",
    .arguments = "BEFORE AFTER",
    .summary = "which deliveries a changed topology would add, drop or change; needs no broker",
    .about =
        "Holds each event against the rules of both documents, as the broker would. A delivery is changed when the\n"
        "queue would get something else. With --json a line for each delivery that differs. Exit code 1 when any\n"
        "does. Groups, delays and deduplication are not looked at. Events that are in the log alone, as the newest "
        "are,\n"
        "come by mangactl replay start --to-file - | mangactl rules diff BEFORE AFTER --events -.",
    .options = {OPTIONS, ARRAY_LEN(OPTIONS)},
    .least = 2,
    .most = 2,
    .examples = EXAMPLES,
    .run = run_diff,
};
