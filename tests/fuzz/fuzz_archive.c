/* Any bytes as an archive's file, as they are and with the checksums made right so that what they guard is reached: it
 * is refused with words, or read to its end, by record, moment and event id. */
#include <fcntl.h>
#include <stdlib.h>

#include "broker/journal/archive_folder.h"
#include "broker/journal/archive_reader.h"
#include "broker/journal/journal_bytes.h"
#include "tests/lib/fault_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX_BYTES 16384

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void put_file(const folder_t *folder, const char *name, const uint8_t *bytes, size_t len)
{
    int fd = -1;
    error_t err;
    check(file_open(folder, name, O_CREAT | O_RDWR, &fd, &err) && file_write(folder, fd, bytes, len, 0, &err));
    file_close(folder, &fd);
}

/* -- making checksums right ---------------------------------------------------------------------- */
static void seal_records(uint8_t *bytes, uint64_t end)
{
    for (uint64_t at = ARCHIVE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= end;) {
        uint32_t length = get32(bytes + at);
        if (length < RECORD_HEADER_BYTES || length > end - at)
            return;
        put32(bytes + at + 4, crc32c(0, bytes + at + 8, length - 8));
        at += length;
    }
}

static void seal(uint8_t *bytes, size_t len)
{
    archive_header_t h = {.from = get64(bytes + 16) % 1000,
                          .through = get64(bytes + 24) % 100000,
                          .first = get64(bytes + 32),
                          .last = get64(bytes + 40),
                          .first_us = (int64_t)get64(bytes + 48),
                          .last_us = (int64_t)get64(bytes + 56),
                          .index_at = get64(bytes + 72) % len,
                          .ids_at = get64(bytes + 80) % len,
                          .bytes = len};
    h.records = (len - h.ids_at) / ARCHIVE_ID_ENTRY_BYTES;
    if (h.index_at >= ARCHIVE_HEADER_BYTES && h.index_at <= h.ids_at) {
        seal_records(bytes, h.index_at);
        h.index_crc = crc32c(0, bytes + h.index_at, h.ids_at - h.index_at);
        h.ids_crc = crc32c(0, bytes + h.ids_at, len - h.ids_at);
    }
    archive_header_encode(&h, bytes);
}

/* -- using it -------------------------------------------------------------------------------------- */
static void read_all(archive_t *archive)
{
    bytes_t raw;
    error_t err = {0};
    uint64_t seq = 0, reads = 0;
    while (archive_seek(archive, seq, &raw, &err) && raw.len) {
        check(archive->found >= seq && ++reads <= FILE_MAX_BYTES / RECORD_HEADER_BYTES);
        if (archive->found == UINT64_MAX)
            break;
        seq = archive->found + 1;
    }
    check(archive_seq_at(archive, archive->header.last_us) >= archive->header.first);
    (void)!archive_seek(archive, archive->header.first, &raw, &err); /* and back */
    for (size_t nth = 0; archive_find(archive, BYTES_LIT("event-1"), nth, &raw, &err) && raw.len; nth++)
        check(nth <= archive->header.records);
    (void)!archive_verify(archive, &err);
}

static void use(const folder_t *folder, const uint8_t *bytes, size_t len)
{
    char name[FILE_NAME_BYTES];
    archive_list_t list;
    error_t err = {0};
    uint64_t from = len < ARCHIVE_HEADER_BYTES ? 1 : get64(bytes + 16), through = from;
    if (len >= ARCHIVE_HEADER_BYTES)
        through = get64(bytes + 24);
    archive_file_name(from % 10000000000000000u, through % 10000000000000000u, name);
    put_file(folder, name, bytes, len);
    archive_t *archive = archive_open(folder, name, NULL, &err);
    check(archive || err.message[0]);
    if (archive)
        read_all(archive);
    archive_close(&archive);
    check(archive_list(&list, folder, &err));
    archive_list_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[FILE_MAX_BYTES];
    folder_t folder;
    error_t err;
    if (size > FILE_MAX_BYTES)
        return -1;
    for (int sealed = 0; sealed <= (size >= ARCHIVE_HEADER_BYTES ? 1 : 0); sealed++) {
        fault_disk_t *disk = fault_disk_new(1);
        check(folder_init(&folder, "/archive", fault_disk_io(disk), &err));
        memcpy(bytes, data, size);
        if (sealed)
            seal(bytes, size);
        use(&folder, bytes, size);
        fault_disk_free(disk);
    }
    return 0;
}
