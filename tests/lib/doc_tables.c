/* doc_tables.c: one table of all layouts, one for each, one for each kind of list entry. */
#include "tests/lib/doc_tables.h"

#include "broker/core/snapshot_items.h"
#include "proto/record.h"
#include "proto/wire.h"

#define ENTRIES_MAX 32

typedef struct {
    const fields_layout_t *entries[ENTRIES_MAX]; /* in order of their first appearance */
    size_t count;
} seen_t;

static void note_entry(seen_t *seen, const fields_layout_t *entry)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->entries[i] == entry)
            return;
    if (seen->count < ENTRIES_MAX)
        seen->entries[seen->count++] = entry;
}

static const char *type_name(const field_t *field)
{
    static const char *const names[] = {
        [FIELD_U64] = "unsigned", [FIELD_I64] = "integer",    [FIELD_BOOL] = "boolean", [FIELD_STR] = "string",
        [FIELD_BIN] = "binary",   [FIELD_MAP] = "map or nil", [FIELD_BODY] = "body",
    };
    return names[field->type];
}

/* A bar would end the cell. */
static void put_cell(buf_t *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*text);
    }
}

static void put_fields(buf_t *out, const fields_layout_t *layout, seen_t *seen)
{
    if (layout->field_count == 0) {
        buf_append_cstr(out, "No fields.\n");
        return;
    }
    buf_append_cstr(out, "| field | type | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < layout->field_count; i++) {
        const field_t *field = &layout->fields[i];
        if (field->type == FIELD_LIST) {
            note_entry(seen, field->entry());
            buf_printf(out, "| `%s` | list of `%s` | ", field->name, field->entry()->name);
        } else {
            buf_printf(out, "| `%s` | %s | ", field->name, type_name(field));
        }
        put_cell(out, field->doc);
        buf_append_cstr(out, " |\n");
    }
}

static void put_entries(buf_t *out, seen_t *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        buf_printf(out, "\n### Entry `%s`\n\n", seen->entries[i]->name);
        put_fields(out, seen->entries[i], seen);
    }
}

void doc_verbs(buf_t *out)
{
    seen_t seen = {0};
    buf_append_cstr(out, "| number | verb | direction | meaning |\n|---|---|---|---|\n");
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++)
        buf_printf(out, "| %u | %s | %s | %s |\n", (unsigned)verb, wire_verb_name(verb), wire_verb_direction(verb),
                   wire_layout(verb)->doc);
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        buf_printf(out, "\n### %s\n\n`[%u, seq, …]`: %s.\n\n", wire_verb_name(verb), (unsigned)verb,
                   wire_layout(verb)->doc);
        put_fields(out, wire_layout(verb), &seen);
    }
    put_entries(out, &seen);
}

void doc_snapshot_items(buf_t *out)
{
    seen_t seen = {0};
    buf_append_cstr(out, "| number | item | meaning |\n|---|---|---|\n");
    for (uint64_t kind = 1; kind <= SNAPSHOT_KIND_MAX; kind++)
        if (snapshot_layout(kind))
            buf_printf(out, "| %u | %s | %s |\n", (unsigned)kind, snapshot_layout(kind)->name,
                       snapshot_layout(kind)->doc);
    for (uint64_t kind = 1; kind <= SNAPSHOT_KIND_MAX; kind++) {
        if (!snapshot_layout(kind))
            continue;
        buf_printf(out, "\n### Item %s\n\n`[%u, …]`: %s.\n\n", snapshot_layout(kind)->name, (unsigned)kind,
                   snapshot_layout(kind)->doc);
        put_fields(out, snapshot_layout(kind), &seen);
    }
}

void doc_records(buf_t *out)
{
    seen_t seen = {0};
    buf_append_cstr(out, "| number | kind | meaning |\n|---|---|---|\n");
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++)
        buf_printf(out, "| %u | %s | %s |\n", (unsigned)kind, record_kind_name(kind), record_layout(kind)->doc);
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++) {
        buf_printf(out, "\n### %s\n\n`[%u, …]`: %s.\n\n", record_kind_name(kind), (unsigned)kind,
                   record_layout(kind)->doc);
        put_fields(out, record_layout(kind), &seen);
    }
    put_entries(out, &seen);
}
