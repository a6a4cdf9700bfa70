/* record.c: the record kinds' tables, and records to and from bytes. */
#include "proto/record.h"

#include <endian.h>
#include <stdio.h>

#define CRC_AT 4
#define SEQ_AT 8 /* the checksum covers from here to the end */
#define INGEST_AT 16

#define RECORD_ROW_LIST(entry, member, text) FIELDS_ROW_LIST(layout_##entry, member, text)
#define RECORD_ENTRY_LAYOUT(name, ROWS)                                                                                \
    FIELDS_LAYOUT(layout_##name, record_##name##_t, 0, #name, "", ROWS, RECORD_ROW_LIST)
#define RECORD_KIND_LAYOUT(number, NAME, name, ROWS, text)                                                             \
    FIELDS_LAYOUT(layout_##name, record_##name##_t, number, #NAME, text, ROWS, RECORD_ROW_LIST)

RECORD_ENTRIES(RECORD_ENTRY_LAYOUT)
RECORD_KINDS(RECORD_KIND_LAYOUT)

const fields_layout_t *record_layout(uint64_t kind)
{
    switch (kind) {
#define RECORD_CASE(number, NAME, name, ROWS, text)                                                                    \
    case number:                                                                                                       \
        return layout_##name();
        RECORD_KINDS(RECORD_CASE)
    default:
        return NULL;
    }
}

const char *record_kind_name(uint64_t kind)
{
    const fields_layout_t *layout = record_layout(kind);
    return layout ? layout->name : "?";
}

static void store32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof v);
}

static void store64(uint8_t *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof v);
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return le32toh(v);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return le64toh(v);
}

void record_encode(buf_t *out, uint64_t seq, int64_t ingest_us, record_kind_t kind, const void *values)
{
    uint8_t header[RECORD_HEADER_BYTES] = {0};
    size_t start = out->len;
    store64(header + SEQ_AT, seq);
    store64(header + INGEST_AT, (uint64_t)ingest_us);
    buf_append(out, header, sizeof header);
    fields_encode(out, record_layout((uint64_t)kind), false, 0, values);
    size_t length = out->len - start;
    if (length > RECORD_MAX_BYTES)
        out->failed = true;
    if (out->failed)
        return;
    uint8_t *record = out->data + start;
    store32(record, (uint32_t)length);
    store32(record + CRC_AT, crc32c(0, record + SEQ_AT, length - SEQ_AT));
}

bool record_peek(bytes_t input, uint32_t *length, uint64_t *seq, int64_t *ingest_us)
{
    if (input.len < RECORD_HEADER_BYTES)
        return false;
    *length = load32(input.data);
    *seq = load64(input.data + SEQ_AT);
    *ingest_us = (int64_t)load64(input.data + INGEST_AT);
    return *length >= RECORD_HEADER_BYTES && *length <= RECORD_MAX_BYTES;
}

bool record_verify(bytes_t input, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    if (input.len < RECORD_HEADER_BYTES)
        return error_set(err, STATUS_DATA_LOSS, NULL, "record: %zu bytes are too few for its header", input.len);
    if (!record_peek(input, &length, &seq, &ingest_us))
        return error_set(err, STATUS_DATA_LOSS, NULL, "record %llu: its length cannot be %u", (unsigned long long)seq,
                         length);
    if (length > input.len)
        return error_set(err, STATUS_DATA_LOSS, NULL, "record %llu: it ends after %zu of %u bytes",
                         (unsigned long long)seq, input.len, length);
    if (load32(input.data + CRC_AT) != crc32c(0, input.data + SEQ_AT, length - SEQ_AT))
        return error_set(err, STATUS_DATA_LOSS, NULL, "record %llu: its checksum does not hold",
                         (unsigned long long)seq);
    return true;
}

/* The checksum held and yet the content is wrong: whoever wrote it was no program of ours, or a broken one. */
static bool unreadable(uint64_t seq, error_t *err)
{
    if (err)
        err->code = STATUS_DATA_LOSS;
    return error_prefix(err, "record %llu", (unsigned long long)seq);
}

bool record_decode(bytes_t input, record_t *out, error_t *err)
{
    uint32_t length;
    uint64_t kind;
    if (!record_verify(input, err) || !record_peek(input, &length, &out->seq, &out->ingest_us))
        return false;
    bytes_t payload = bytes_from(input.data + RECORD_HEADER_BYTES, length - RECORD_HEADER_BYTES);
    if (!fields_peek(payload, false, &kind, NULL, err))
        return unreadable(out->seq, err);
    const fields_layout_t *layout = record_layout(kind);
    if (!layout)
        return error_set(err, STATUS_UNIMPLEMENTED, "UNKNOWN_RECORD",
                         "record %llu: kind %llu is not known here; a newer program wrote it",
                         (unsigned long long)out->seq, (unsigned long long)kind);
    out->kind = (record_kind_t)kind;
    return fields_decode(payload, layout, false, &out->publish, err) ? true : unreadable(out->seq, err);
}

/* -- the queues of a TOPOLOGY record ------------------------------------------------------------- */
uint32_t record_queue_ops(const record_topology_t *topology, mp_reader_t *r)
{
    uint32_t count;
    *r = mp_reader(topology->queues);
    return topology->queues.len && mp_get_map(r, &count) ? count : 0;
}

bool record_queue_op(mp_reader_t *r, record_queue_op_t *out)
{
    uint32_t two;
    return mp_get_str(r, &out->name) && mp_get_array(r, &two) && two == 2 && mp_get_u64(r, &out->op) &&
           mp_get_u64(r, &out->queue);
}
