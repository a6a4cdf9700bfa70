/* Any bytes as a segment's file: as they are, and with the checksums made right so that what they guard is reached.
 * It is refused or opened; and when it is opened, it can be appended to, and opens again with no less. */
#include <fcntl.h>
#include <stdlib.h>

#include "broker/journal/journal_format.h"
#include "tests/lib/fault_disk.h"

#define DIR "/journal"
#define SEGMENT DIR "/0000000000000001.journal"
#define SEGMENT_BYTES SEGMENT_TINY_BYTES

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* -- making checksums right ---------------------------------------------------------------------- */

static uint64_t get(const uint8_t *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | at[i];
    return v;
}

static void seal_records(uint8_t *at, size_t bytes)
{
    while (bytes >= RECORD_HEADER_BYTES) {
        uint64_t length = get(at, 4);
        if (length < RECORD_HEADER_BYTES || length > bytes)
            return;
        uint32_t crc = crc32c(0, at + 8, length - 8);
        for (int i = 0; i < 4; i++)
            at[4 + i] = (uint8_t)(crc >> (8 * i));
        at += length;
        bytes -= length;
    }
}

static void seal(uint8_t *file)
{
    segment_header_t segment = {.number = 1,
                                .generation = get(file + 24, 8),
                                .first_seq = get(file + 32, 8),
                                .first_batch = get(file + 40, 8),
                                .salt = get(file + 48, 8),
                                .bytes = SEGMENT_BYTES};
    segment_header_encode(&segment, file);
    for (uint64_t at = SEGMENT_BLOCK_BYTES; at + BATCH_HEADER_BYTES <= SEGMENT_BYTES;) {
        batch_header_t batch = {.generation = segment.generation,
                                .number = get(file + at + 16, 8),
                                .synced = get(file + at + 24, 8),
                                .first_seq = get(file + at + 32, 8),
                                .count = (uint32_t)get(file + at + 40, 4),
                                .length = (uint32_t)get(file + at + 44, 4)};
        if (batch.length < BATCH_HEADER_BYTES || batch.length > SEGMENT_BYTES - at)
            return;
        seal_records(file + at + BATCH_HEADER_BYTES, batch.length - BATCH_HEADER_BYTES);
        batch_seal(file + at, &batch, segment.salt);
        at += batch_padded(batch.length);
    }
}

/* -- using it ------------------------------------------------------------------------------------ */

static journal_t *open_journal(fault_disk_t *disk, journal_recovery_t *recovery)
{
    journal_options_t options = {
        .dir = DIR, .io = fault_disk_io(disk), .segment_bytes = SEGMENT_BYTES, .no_thread = true};
    error_t err = {0};
    journal_t *journal = journal_open(&options, NULL, NULL, recovery, &err);
    check(journal || (err.code != STATUS_OK && err.message[0]));
    return journal;
}

static void append_one(journal_t *journal)
{
    buf_t raw = {0};
    record_purge_t purge = {.queue = 1, .count = 2};
    record_encode(&raw, journal_next_seq(journal), journal_last_ingest_us(journal), RECORD_PURGE, &purge);
    check(journal_append(journal, buf_bytes(&raw), NULL));
    buf_free(&raw);
}

static void use(const uint8_t *file)
{
    fault_disk_t *disk = fault_disk_new(1);
    const journal_io_t *io = fault_disk_io(disk);
    int fd = io->open(io->ctx, SEGMENT, O_CREAT | O_RDWR, 0600);
    for (uint64_t at = 0; at < SEGMENT_BYTES;)
        at += (uint64_t)io->pwrite(io->ctx, fd, file + at, SEGMENT_BYTES - at, at);
    check(io->datasync(io->ctx, fd) == 0 && io->close(io->ctx, fd) == 0);
    journal_recovery_t first, second;
    journal_t *journal = open_journal(disk, &first);
    if (journal) {
        append_one(journal);
        check(journal_close(&journal, NULL));
        journal = open_journal(disk, &second);
        check(journal && second.records == first.records + 1 && second.cut_bytes == 0);
    }
    if (journal)
        (void)journal_close(&journal, NULL);
    fault_disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[SEGMENT_TINY_BYTES];
    memset(file, 0, sizeof file);
    memcpy(file, data, size < sizeof file ? size : sizeof file);
    use(file);
    seal(file);
    use(file);
    return 0;
}
