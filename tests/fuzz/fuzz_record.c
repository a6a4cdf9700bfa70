/* Any bytes as a record: as they are, and with the length and checksum made right so that the payload is
 * reached. */
#include <stdlib.h>

#include "proto/record.h"
#include "tests/lib/fields_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    record_t first, second;
} work_t;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void decode(work_t *work, bytes_t raw)
{
    error_t err = {0};
    if (!record_decode(raw, &work->first, &err)) {
        check(err.code == STATUS_DATA_LOSS || err.code == STATUS_UNIMPLEMENTED);
        return;
    }
    buf_t again = {0};
    record_encode(&again, work->first.seq, work->first.ingest_us, work->first.kind, &work->first.publish);
    check(!again.failed && record_decode(buf_bytes(&again), &work->second, NULL));
    check(work->first.kind == work->second.kind && work->first.seq == work->second.seq);
    check(fields_equal(record_layout((uint64_t)work->first.kind), &work->first.publish, &work->second.publish));
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static work_t work;
    decode(&work, bytes_from(data, size));
    if (size < RECORD_HEADER_BYTES || size > RECORD_MAX_BYTES)
        return 0;
    uint8_t *sealed = malloc(size);
    check(sealed != NULL);
    memcpy(sealed, data, size);
    put32(sealed, (uint32_t)size);
    put32(sealed + 4, crc32c(0, sealed + 8, size - 8));
    decode(&work, bytes_from(sealed, size));
    free(sealed);
    return 0;
}
