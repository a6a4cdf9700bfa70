/* Any bytes as a journal's folder (a segment; or two, and the copy of a tail): as they are, and with the checksums made
 * right so that what they guard is reached. It is refused or opened; when it is opened, it can be appended to, and
 * opens again with no less; and the survey, which reads on behind damage, says the same of it. */
#include <fcntl.h>
#include <stdlib.h>

#include "broker/journal/journal_copy.h"
#include "broker/journal/journal_survey.h"
#include "tests/lib/fault_disk.h"

#define DIR "/journal"
#define FILES 3
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

static void seal(uint8_t *file, uint64_t number)
{
    segment_header_t segment = {.number = number,
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

static void put_file(const journal_io_t *io, const char *path, const uint8_t *data, uint64_t bytes)
{
    int fd = io->open(io->ctx, path, O_CREAT | O_RDWR, 0600);
    for (uint64_t at = 0; at < bytes;)
        at += (uint64_t)io->pwrite(io->ctx, fd, data + at, bytes - at, at);
    check(io->datasync(io->ctx, fd) == 0 && io->close(io->ctx, fd) == 0);
}

/* Two segments at most, and a copy. */
static fault_disk_t *lay_out(uint8_t files[FILES][SEGMENT_TINY_BYTES], int count)
{
    static const char *const paths[FILES] = {DIR "/0000000000000001.journal", DIR "/" COPY_NAME,
                                             DIR "/0000000000000002.journal"};
    fault_disk_t *disk = fault_disk_new(1);
    for (int i = 0; i < count; i++)
        put_file(fault_disk_io(disk), paths[i], files[i], SEGMENT_BYTES);
    return disk;
}

/* Records that cannot be decoded are refused by the one, and end the other: neither goes on. */
static void survey(fault_disk_t *disk, bool opened)
{
    folder_t folder;
    survey_report_t report;
    error_t err = {0};
    const survey_sink_t sink = {0};
    check(folder_init(&folder, DIR, fault_disk_io(disk), &err));
    bool good = journal_survey(&folder, &sink, &report, &err);
    check(good || err.message[0]);
    check(!opened || (good && report.damages == 0));
}

static void use(uint8_t files[FILES][SEGMENT_TINY_BYTES], int count)
{
    fault_disk_t *looked_at = lay_out(files, count), *disk = lay_out(files, count);
    journal_recovery_t first, second;
    journal_t *journal = open_journal(disk, &first);
    survey(looked_at, journal != NULL);
    if (journal) {
        append_one(journal);
        check(journal_close(&journal, NULL));
        journal = open_journal(disk, &second);
        check(journal && second.records == first.records + 1 && second.cut_bytes == 0);
    }
    if (journal)
        (void)journal_close(&journal, NULL);
    fault_disk_free(disk);
    fault_disk_free(looked_at);
}

static void seal_copy(uint8_t *file)
{
    copy_header_t header = {.segment = 1 + (file[16] & 1), .generation = get(file + 24, 8)};
    header.at = SEGMENT_BLOCK_BYTES + get(file + 32, 2) % (SEGMENT_BYTES - SEGMENT_BLOCK_BYTES);
    header.bytes = 1 + get(file + 40, 2) % (SEGMENT_BYTES - COPY_CONTENT_AT);
    header.content_crc = crc32c(0, file + COPY_CONTENT_AT, header.bytes);
    copy_header_encode(&header, file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t files[FILES][SEGMENT_TINY_BYTES];
    memset(files, 0, sizeof files);
    memcpy(files, data, size < sizeof files ? size : sizeof files);
    int count = size <= SEGMENT_BYTES ? 1 : size <= 2 * SEGMENT_BYTES ? 2 : 3;
    use(files, count);
    seal(files[0], 1);
    seal_copy(files[1]);
    seal(files[2], 2);
    use(files, count);
    return 0;
}
