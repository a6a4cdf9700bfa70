/* cmd_journal.c: reads the files of a stopped broker: checks every record, or shows them. */
#include <stdlib.h>

#include "broker/journal/journal.h"
#include "kit/clock.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/verbs.h"

typedef struct {
    ctl_t *ctl;
    uint64_t from, count;
    uint64_t seen;
    uint64_t kinds[RECORD_KIND_MAX + 1];
} walk_t;

/* The folder that was named, or the broker's own. */
static const char *dir_of(const args_t *args, char out[CTL_PATH_BYTES])
{
    if (args->count > 0)
        return args->positional[0];
    ctl_state_dir(out, CTL_PATH_BYTES);
    size_t len = strlen(out);
    (void)snprintf(out + len, CTL_PATH_BYTES - len, "/journal");
    return out;
}

/* A journal that cannot be read, or is in use, says nothing of its content. */
static int fail(ctl_t *ctl, const error_t *err)
{
    int code = ctl_fail(ctl, err);
    if (strcmp(err->aws, "JOURNAL_LOCKED") == 0)
        return CTL_TRY_AGAIN;
    return strcmp(err->aws, "JOURNAL_IO") == 0 ? CTL_DISK : code;
}

/* -- verify ---------------------------------------------------------------------------------------- */
static bool count_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    (void)err;
    walk_t *walk = ctx;
    if (record->kind <= RECORD_KIND_MAX)
        walk->kinds[record->kind]++;
    return true;
}

static void print_kinds(ctl_t *ctl, const walk_t *walk)
{
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++)
        if (walk->kinds[kind])
            fprintf(ctl->out, "  %-10s %llu\n", record_kind_name(kind), (unsigned long long)walk->kinds[kind]);
}

static int run_verify(ctl_t *ctl, const args_t *args)
{
    char path[CTL_PATH_BYTES];
    walk_t walk = {.ctl = ctl};
    journal_recovery_t found = {0};
    error_t err = {0};
    int64_t began_us = clock_mono_us();
    const char *dir = dir_of(args, path);
    if (!journal_walk(dir, NULL, count_record, &walk, &found, &err))
        return fail(ctl, &err);
    if (ctl->json) {
        fprintf(ctl->out, "{\"records\":%llu,\"segments\":%llu,\"bytes\":%llu,\"cut_bytes\":%llu}\n",
                (unsigned long long)found.records, (unsigned long long)found.segments, (unsigned long long)found.bytes,
                (unsigned long long)found.cut_bytes);
        return CTL_OK;
    }
    fprintf(ctl->out, "%s: %llu records in %llu segments, every checksum right (%.1f s)\n", dir,
            (unsigned long long)found.records, (unsigned long long)found.segments,
            (double)(clock_mono_us() - began_us) / 1e6);
    print_kinds(ctl, &walk);
    if (found.cut_bytes)
        ctl_note(ctl, "%llu bytes behind the last synced batch will be cut at the next start",
                 (unsigned long long)found.cut_bytes);
    return CTL_OK;
}

static const char *const VERIFY_EXAMPLES[] = {"mangactl journal verify /var/tmp/mangabus-root/journal", NULL};

const command_t command_journal_verify = {
    .name = "journal verify",
    .arguments = "[DIR]",
    .summary = "check every record of a stopped broker's journal",
    .about =
        "Without a folder that of MANGABUS_STATE. Nothing is changed. Exit code 65, file and offset, when a record\n"
        "that had been synced is damaged.",
    .least = 0,
    .most = 1,
    .examples = VERIFY_EXAMPLES,
    .run = run_verify,
};

/* -- dump ------------------------------------------------------------------------------------------ */
static void put_value(buf_t *out, const field_t *field, const uint8_t *at)
{
    buf_t text = {0};
    bytes_t bytes = BYTES_NONE;
    if (field->type != FIELD_U64 && field->type != FIELD_I64 && field->type != FIELD_BOOL && field->type != FIELD_LIST)
        memcpy(&bytes, at, sizeof bytes);
    if (field->type == FIELD_U64)
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)(const void *)at);
    else if (field->type == FIELD_I64)
        buf_printf(out, "%lld", (long long)*(const int64_t *)(const void *)at);
    else if (field->type == FIELD_BOOL)
        buf_append_cstr(out, *(const bool *)at ? "true" : "false");
    else if (field->type == FIELD_STR)
        json_string_append(out, bytes);
    else if (bytes.len && json_from_msgpack(bytes, JSON_COMPACT, &text, NULL))
        buf_append_bytes(out, buf_bytes(&text));
    else if (bytes.len == 0)
        buf_append_cstr(out, "null");
    else
        buf_printf(out, "{\"bytes\":%zu}", bytes.len);
    buf_free(&text);
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

static bool dump_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    walk_t *walk = ctx;
    if (record->seq < walk->from)
        return true;
    if (walk->count && walk->seen == walk->count)
        return error_set(err, STATUS_CANCELLED, "ENOUGH", "enough");
    char time[TIMEFMT_US_BYTES];
    buf_t line = {0};
    walk->seen++;
    timefmt_us(record->ingest_us, time);
    buf_printf(&line, "{\"record\":%llu,\"ingest_time\":\"%s\",\"kind\":\"%s\",", (unsigned long long)record->seq, time,
               record_kind_name(record->kind));
    put_fields(&line, record_layout(record->kind), (const uint8_t *)&record->publish);
    buf_append_cstr(&line, "}\n");
    bool ok = !line.failed && fwrite(line.data, 1, line.len, walk->ctl->out) == line.len;
    buf_free(&line);
    return ok || error_set(err, STATUS_CANCELLED, "ENOUGH", "the output was closed");
}

static int run_dump(ctl_t *ctl, const args_t *args)
{
    char path[CTL_PATH_BYTES];
    walk_t walk = {
        .ctl = ctl, .from = (uint64_t)args_number(args, "from", 0), .count = (uint64_t)args_number(args, "count", 0)};
    journal_recovery_t found = {0};
    error_t err = {0};
    if (journal_walk(dir_of(args, path), NULL, dump_record, &walk, &found, &err) || strcmp(err.aws, "ENOUGH") == 0)
        return CTL_OK;
    return fail(ctl, &err);
}

static const arg_option_t DUMP_OPTIONS[] = {
    {"from", ARG_COUNT, "RECORD", "begin at this record"},
    {"count", ARG_COUNT, "N", "at most so many"},
};

static const char *const DUMP_EXAMPLES[] = {"mangactl journal dump /var/tmp/mangabus-root/journal --count 10", NULL};

const command_t command_journal_dump = {
    .name = "journal dump",
    .arguments = "[DIR]",
    .summary = "show the records of a stopped broker's journal, each a line of JSON",
    .options = CTL_OPTIONS(DUMP_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = DUMP_EXAMPLES,
    .run = run_dump,
};
