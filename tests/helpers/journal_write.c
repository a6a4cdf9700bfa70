/* journal_write.c: writes a journal of random records of every kind, and says what it wrote: journal_write FOLDER SEED.
 *
 * One line of JSON a record: {"seq", "ingest_us", "kind", "fields": {…}}; text and bytes in hex. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/journal.h"
#include "tests/lib/fields_random.h"

#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define RECORDS 400
#define LIST_MAX 8

static void must(bool good, const error_t *err)
{
    if (good)
        return;
    (void)fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void put_hex(bytes_t bytes)
{
    putchar('"');
    for (size_t i = 0; i < bytes.len; i++)
        printf("%02x", bytes.data[i]);
    putchar('"');
}

static void put_fields(const fields_layout_t *layout, const uint8_t *values);

static void put_list(const field_t *field, const uint8_t *values)
{
    uint32_t count;
    memcpy(&count, values + field->offset, sizeof count);
    putchar('[');
    for (uint32_t i = 0; i < count; i++) {
        printf("%s", i ? "," : "");
        put_fields(field->entry(), values + field->items_offset + i * field->entry()->struct_bytes);
    }
    putchar(']');
}

static void put_field(const field_t *field, const uint8_t *values)
{
    const void *at = values + field->offset;
    switch (field->type) {
    case FIELD_U64:
        printf("%" PRIu64, *(const uint64_t *)at);
        break;
    case FIELD_I64:
        printf("%" PRId64, *(const int64_t *)at);
        break;
    case FIELD_BOOL:
        printf("%s", *(const bool *)at ? "true" : "false");
        break;
    case FIELD_LIST:
        put_list(field, values);
        break;
    default:
        put_hex(*(const bytes_t *)at);
    }
}

static void put_fields(const fields_layout_t *layout, const uint8_t *values)
{
    putchar('{');
    for (size_t i = 0; i < layout->field_count; i++) {
        printf("%s\"%s\":", i ? "," : "", layout->fields[i].name);
        put_field(&layout->fields[i], values);
    }
    putchar('}');
}

static void append(journal_t *journal, random_t *random, record_t *record, int64_t ingest_us)
{
    error_t err;
    buf_t raw = {0};
    uint64_t seq = journal_next_seq(journal), kind = 1 + random_below(random, RECORD_KIND_MAX);
    fields_randomize(random, record_layout(kind), LIST_MAX, &record->publish);
    record_encode(&raw, seq, ingest_us, (record_kind_t)kind, &record->publish);
    must(journal_append(journal, buf_bytes(&raw), &err), &err);
    printf("{\"seq\":%" PRIu64 ",\"ingest_us\":%" PRId64 ",\"kind\":\"%s\",\"fields\":", seq, ingest_us,
           record_kind_name(kind));
    put_fields(record_layout(kind), (const uint8_t *)&record->publish);
    printf("}\n");
    buf_free(&raw);
}

int main(int argc, char **argv)
{
    error_t err;
    if (argc != 3)
        return 64;
    random_t random = {strtoull(argv[2], NULL, 10)};
    journal_options_t options = {
        .dir = argv[1], .segment_bytes = SEGMENT_BYTES, .no_thread = true, .salt = random_u64(&random)};
    record_t *record = calloc(1, sizeof *record);
    journal_t *journal = journal_open(&options, NULL, NULL, NULL, &err);
    must(record && journal, &err);
    for (int64_t i = 0; i < RECORDS; i++) {
        append(journal, &random, record, INT64_C(1700000000000000) + i * 250);
        if (random_below(&random, 4) == 0)
            must(journal_commit(journal, &err), &err);
        if (random_below(&random, 40) == 0)
            must(journal_idle(journal, &err), &err);
    }
    must(journal_close(&journal, &err), &err);
    free(record);
    return 0;
}
