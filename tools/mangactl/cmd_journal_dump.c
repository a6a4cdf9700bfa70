/* cmd_journal_dump.c: shows the records of a journal, each a line of JSON from which its bytes can be had again. */
#include <inttypes.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/base64.h"
#include "proto/json.h"
#include "proto/timefmt.h"
#include "tools/mangactl/journal_folder.h"
#include "tools/mangactl/verbs.h"

typedef struct {
    uint64_t *numbers; /* incarnations of the queue that was asked for */
    size_t count, cap;
    const char *name; /* NULL: any queue */
} wanted_queue_t;

typedef struct {
    ctl_t *ctl;
    uint64_t from, to, count; /* sequences; count 0: all */
    int64_t from_us, to_us;
    const char *bus;
    uint64_t kind; /* 0: any */
    wanted_queue_t queue;
    uint64_t seen;
    buf_t damages;
} dump_t;

/* -- values ------------------------------------------------------------------------------------------ */
/* True when the JSON gives these very bytes again. */
static bool is_lossless(bytes_t json, bytes_t value)
{
    buf_t again = {0};
    bool same = json_to_msgpack(json, NULL, &again, NULL) && !again.failed && bytes_eq(buf_bytes(&again), value);
    buf_free(&again);
    return same;
}

static void put_base64(buf_t *out, const char *key, bytes_t bytes)
{
    buf_printf(out, "{\"%s\":\"", key);
    base64_encode(out, bytes);
    buf_append_cstr(out, "\"}");
}

/* A body may be anything: a msgpack value is shown as JSON, other text as {"$text"}, the rest as {"$bytes"}. */
static void put_body(buf_t *out, bytes_t bytes)
{
    buf_t text = {0};
    if (bytes.len == 0)
        buf_append_cstr(out, "null");
    else if (json_from_msgpack(bytes, JSON_COMPACT, &text, NULL) && is_lossless(buf_bytes(&text), bytes))
        buf_append_bytes(out, buf_bytes(&text));
    else if (bytes_is_utf8(bytes, NULL)) {
        buf_append_cstr(out, "{\"$text\":");
        json_string_append(out, bytes);
        buf_append_byte(out, '}');
    } else
        put_base64(out, "$bytes", bytes);
    buf_free(&text);
}

static void put_value(buf_t *out, const field_t *field, const uint8_t *at)
{
    bytes_t bytes = BYTES_NONE;
    if (field->type == FIELD_STR || field->type == FIELD_BIN || field->type == FIELD_MAP || field->type == FIELD_BODY)
        memcpy(&bytes, at, sizeof bytes);
    if (field->type == FIELD_U64)
        buf_printf(out, "%" PRIu64, *(const uint64_t *)(const void *)at);
    else if (field->type == FIELD_I64)
        buf_printf(out, "%" PRId64, *(const int64_t *)(const void *)at);
    else if (field->type == FIELD_BOOL)
        buf_append_cstr(out, *(const bool *)at ? "true" : "false");
    else if (field->type == FIELD_STR)
        json_string_append(out, bytes);
    else if (field->type == FIELD_BIN)
        put_base64(out, "$binary", bytes);
    else
        put_body(out, bytes);
}

/* Lists hold entries, and entries hold no lists: one level is enough. */
static void put_fields(buf_t *out, const fields_layout_t *layout, const uint8_t *values);

static void put_list(buf_t *out, const field_t *field, const uint8_t *values)
{
    const fields_layout_t *entry = field->entry();
    uint32_t count = *(const uint32_t *)(const void *)(values + field->offset);
    buf_append_byte(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buf_append_cstr(out, i ? ",{" : "{");
        put_fields(out, entry, values + field->items_offset + i * entry->struct_bytes);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ']');
}

static void put_fields(buf_t *out, const fields_layout_t *layout, const uint8_t *values)
{
    for (size_t i = 0; i < layout->field_count; i++) {
        const field_t *field = &layout->fields[i];
        buf_printf(out, "%s\"%s\":", i ? "," : "", field->name);
        if (field->type == FIELD_LIST)
            put_list(out, field, values);
        else
            put_value(out, field, values + field->offset);
    }
}

/* -- which ------------------------------------------------------------------------------------------- */
static bool is_wanted_queue(const wanted_queue_t *queue, uint64_t number)
{
    for (size_t i = 0; i < queue->count; i++)
        if (queue->numbers[i] == number)
            return true;
    return false;
}

static bool want_queue(wanted_queue_t *queue, uint64_t number, error_t *err)
{
    if (is_wanted_queue(queue, number))
        return true;
    if (queue->count == queue->cap) {
        size_t cap = queue->cap ? queue->cap * 2 : 8;
        uint64_t *numbers = realloc(queue->numbers, cap * sizeof *numbers);
        if (!numbers)
            return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        queue->numbers = numbers;
        queue->cap = cap;
    }
    queue->numbers[queue->count++] = number;
    return true;
}

static bool learn_topology(wanted_queue_t *queue, const record_topology_t *topology, error_t *err)
{
    mp_reader_t r;
    record_queue_op_t op;
    bool ok = true;
    for (uint32_t left = record_queue_ops(topology, &r); ok && left > 0 && record_queue_op(&r, &op); left--)
        ok = !bytes_eq_cstr(op.name, queue->name) || want_queue(queue, op.queue, err);
    return ok;
}

/* A name may have had several queues, one after the other. */
static bool learn_queue(wanted_queue_t *queue, const record_t *record, error_t *err)
{
    if (queue->name && record->kind == RECORD_TOPOLOGY)
        return learn_topology(queue, &record->topology, err);
    if (!queue->name || record->kind != RECORD_QUEUE || !bytes_eq_cstr(record->queue.name, queue->name))
        return true;
    return want_queue(queue, record->queue.queue, err);
}

static bool topology_speaks_of(const wanted_queue_t *queue, const record_topology_t *topology)
{
    mp_reader_t r;
    record_queue_op_t op;
    bool found = false;
    for (uint32_t left = record_queue_ops(topology, &r); !found && left > 0 && record_queue_op(&r, &op); left--)
        found = is_wanted_queue(queue, op.queue);
    return found;
}

static bool speaks_of_queue(const wanted_queue_t *queue, const record_t *r)
{
    bool found = false;
    switch (r->kind) {
    case RECORD_PUBLISH:
        for (uint32_t i = 0; i < r->publish.routes.count; i++)
            found |= is_wanted_queue(queue, r->publish.routes.items[i].queue);
        return found;
    case RECORD_DELIVERED:
        for (uint32_t i = 0; i < r->delivered.entries.count; i++)
            found |= is_wanted_queue(queue, r->delivered.entries.items[i].queue);
        return found;
    case RECORD_SETTLED:
        for (uint32_t i = 0; i < r->settled.entries.count; i++)
            found |= is_wanted_queue(queue, r->settled.entries.items[i].queue);
        return found;
    case RECORD_SEND:
        return is_wanted_queue(queue, r->send.queue);
    case RECORD_MOVE:
        return is_wanted_queue(queue, r->move.from) || is_wanted_queue(queue, r->move.to);
    case RECORD_MOVE_TASK:
        return is_wanted_queue(queue, r->move_task.source) || is_wanted_queue(queue, r->move_task.to);
    case RECORD_QUEUE:
        return is_wanted_queue(queue, r->queue.queue);
    case RECORD_TOPOLOGY:
        return topology_speaks_of(queue, &r->topology);
    case RECORD_PURGE:
        return is_wanted_queue(queue, r->purge.queue);
    default:
        return false;
    }
}

static bool is_wanted(const dump_t *dump, const record_t *record)
{
    return record->seq >= dump->from && record->seq <= dump->to && record->ingest_us >= dump->from_us &&
           record->ingest_us <= dump->to_us && (dump->kind == 0 || record->kind == dump->kind) &&
           (!dump->bus || (record->kind == RECORD_PUBLISH && bytes_eq_cstr(record->publish.bus, dump->bus))) &&
           (!dump->queue.name || speaks_of_queue(&dump->queue, record));
}

/* -- dump -------------------------------------------------------------------------------------------- */
static bool enough(error_t *err)
{
    return error_set(err, STATUS_CANCELLED, "ENOUGH", "enough");
}

static bool show(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    dump_t *dump = ctx;
    if (!learn_queue(&dump->queue, record, err))
        return false;
    if (record->seq > dump->to || record->ingest_us > dump->to_us || (dump->count && dump->seen == dump->count))
        return enough(err);
    if (!is_wanted(dump, record))
        return true;
    char time[TIMEFMT_US_BYTES];
    buf_t line = {0};
    dump->seen++;
    timefmt_us(record->ingest_us, time);
    buf_printf(&line, "{\"record\":%" PRIu64 ",\"ingest_time\":\"%s\",\"kind\":\"%s\",\"fields\":{", record->seq, time,
               record_kind_name(record->kind));
    put_fields(&line, record_layout(record->kind), (const uint8_t *)&record->publish);
    buf_append_cstr(&line, "}}\n");
    bool ok = !line.failed && fwrite(line.data, 1, line.len, dump->ctl->out) == line.len;
    buf_free(&line);
    return ok || enough(err); /* the output was closed */
}

static bool note_damage(void *ctx, const damage_t *damage, error_t *err)
{
    (void)err;
    dump_t *dump = ctx;
    buf_clear(&dump->damages);
    journal_damage_text(damage, &dump->damages);
    fflush(dump->ctl->out);
    fprintf(dump->ctl->err, "mangactl: %s\n", buf_cstr(&dump->damages));
    return true;
}

static int dump_folder(ctl_t *ctl, dump_t *dump, journal_folder_t *journal)
{
    survey_report_t report;
    error_t err = {0};
    const survey_sink_t sink = {.ctx = dump, .record = show, .damage = note_damage};
    if (!journal_survey(&journal->folder, &sink, &report, &err) && strcmp(err.aws, "ENOUGH") != 0)
        return journal_folder_fail(ctl, &err);
    if (report.released && dump->from <= report.released)
        ctl_note(ctl, "of records 1 to %llu those are there that messages need; the log begins with record %llu",
                 (unsigned long long)report.released, (unsigned long long)report.released + 1);
    return report.damages ? CTL_DATA : CTL_OK;
}

/* "17" is a record, anything else a moment. */
static bool read_bound(const args_t *args, const char *name, uint64_t *seq, int64_t *us, error_t *err)
{
    const char *text = args_text(args, name, NULL);
    char *end = NULL;
    if (!text)
        return true;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0) {
        *seq = number;
        return true;
    }
    return args_moment(text, clock_wall_us(), us) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                     "--%s is a record's number, an RFC 3339 time or a time ago, not \"%s\"", name, text);
}

static bool read_kind(const args_t *args, uint64_t *kind, error_t *err)
{
    const char *text = args_text(args, "kind", NULL);
    for (uint64_t k = 1; text && k <= RECORD_KIND_MAX; k++)
        if (strcasecmp(record_kind_name(k), text) == 0)
            *kind = k;
    return !text || *kind ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--kind: there is no kind \"%s\"; see docs/journal-format.md",
                     text);
}

static bool read_options(const args_t *args, dump_t *dump, error_t *err)
{
    dump->count = (uint64_t)args_number(args, "count", 0);
    dump->bus = args_text(args, "bus", NULL);
    dump->queue.name = args_text(args, "queue", NULL);
    char *end = NULL;
    unsigned long long number = dump->queue.name ? strtoull(dump->queue.name, &end, 10) : 0;
    if (number && *end == '\0' && !want_queue(&dump->queue, number, err))
        return false;
    return read_bound(args, "from", &dump->from, &dump->from_us, err) &&
           read_bound(args, "to", &dump->to, &dump->to_us, err) && read_kind(args, &dump->kind, err);
}

static int run(ctl_t *ctl, const args_t *args)
{
    dump_t dump = {.ctl = ctl, .to = UINT64_MAX, .from_us = INT64_MIN, .to_us = INT64_MAX};
    journal_folder_t journal = {.lock_fd = -1};
    error_t err = {0};
    int code = CTL_USAGE;
    if (!read_options(args, &dump, &err))
        (void)ctl_fail(ctl, &err);
    else if (journal_folder_open(&journal, args, args_given(args, "running"), &err))
        code = dump_folder(ctl, &dump, &journal);
    else
        code = journal_folder_fail(ctl, &err);
    journal_folder_close(&journal);
    buf_free(&dump.damages);
    free(dump.queue.numbers);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"from", ARG_TEXT, "WHERE", "begin at this record, RFC 3339 time, or time ago"},
    {"to", ARG_TEXT, "WHERE", "end with it"},
    {"kind", ARG_TEXT, "KIND", "only these: PUBLISH, SEND, DELIVERED, SETTLED, MOVE, …"},
    {"bus", ARG_TEXT, "BUS", "only what was published on it"},
    {"queue", ARG_TEXT, "QUEUE", "only what speaks of this queue, by name or number"},
    {"count", ARG_COUNT, "N", "at most so many"},
    {"running", ARG_FLAG, NULL, "also while a broker works in it: what was on disk when it began"},
};

static const char *const EXAMPLES[] = {"mangactl journal dump /var/tmp/mangabus-root/journal --count 10",
                                       "mangactl journal dump --queue MangaAssist-EventBridge-DLQ --from 1h",
                                       "mangactl journal dump --kind settled --running", NULL};

const command_t command_journal_dump = {
    .name = "journal dump",
    .arguments = "[DIR]",
    .summary = "show the records of a broker's journal, each a line of JSON",
    .about =
        "Fields are those of docs/journal-format.md. A body that is msgpack is shown as JSON "
        "(docs/json-msgpack.md), other\n"
        "text as {\"$text\"}, anything else as {\"$bytes\"} in base64: nothing is lost. Of records that were given "
        "back to the\n"
        "disk those are shown that messages still need. Damage is told on "
        "standard error,\n"
        "and what is behind it is shown; the exit code is 65 then.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 0,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
