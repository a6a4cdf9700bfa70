/* How long one 512-byte publish takes to decode and to encode, as frame and as record, and the checksum, in CPU time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/crc32c.h"
#include "proto/record.h"
#include "proto/wire.h"
#include "tests/bench/lib_lines.h"
#include "tests/bench/lib_measure.h"

#define ROUNDS 1000000
#define BODY_BYTES 512

static void report(const char *what, uint64_t begun_ns)
{
    line_put(what, (double)(measure_own_cpu_ns() - begun_ns) / ROUNDS, "ns");
}

static void fill(wire_publish_t *publish, bytes_t body)
{
    publish->bus = BYTES_LIT("manga-assist-orders");
    publish->producer_seq = 123456;
    publish->entries.count = 1;
    publish->entries.items[0].attrs = BYTES_LIT("\x81\xABtraceparent\xD9\x37"
                                                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    publish->entries.items[0].body = body;
}

static void bench_frames(wire_msg_t *msg, bytes_t body)
{
    buf_t frame = {0};
    msg->verb = WIRE_PUBLISH;
    fill(&msg->publish, body);
    uint64_t begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++) {
        buf_clear(&frame);
        wire_encode(&frame, msg);
    }
    report("PUBLISH frame, encode", begun);
    begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++)
        if (!wire_decode(buf_bytes(&frame), msg, NULL))
            abort();
    report("PUBLISH frame, decode", begun);
    buf_free(&frame);
}

static void bench_records(record_t *record, bytes_t body)
{
    buf_t raw = {0};
    record->publish.bus = BYTES_LIT("manga-assist-orders");
    record->publish.routes.count = 2;
    record->publish.body = body;
    uint64_t begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++) {
        buf_clear(&raw);
        record_encode(&raw, (uint64_t)i, i, RECORD_PUBLISH, &record->publish);
    }
    report("PUBLISH record, encode", begun);
    begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++)
        if (!record_decode(buf_bytes(&raw), record, NULL))
            abort();
    report("PUBLISH record, decode", begun);
    buf_free(&raw);
}

static void bench_checksums(bytes_t body)
{
    uint32_t crc = 0;
    uint64_t begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++)
        crc = crc32c(crc, body.data, body.len);
    report("CRC-32C of 512 bytes", begun);
    begun = measure_own_cpu_ns();
    for (int i = 0; i < ROUNDS; i++)
        crc = crc32c_portable(crc, body.data, body.len);
    report("CRC-32C of 512 bytes, portable", begun);
    printf("(%08x)\n", crc); /* so that the loops are not dropped */
}

int main(void)
{
    static uint8_t body[BODY_BYTES];
    wire_msg_t *msg = calloc(1, sizeof *msg);
    record_t *record = calloc(1, sizeof *record);
    if (!msg || !record)
        return 1;
    bench_frames(msg, bytes_from(body, sizeof body));
    bench_records(record, bytes_from(body, sizeof body));
    bench_checksums(bytes_from(body, sizeof body));
    free(msg);
    free(record);
    return 0;
}
