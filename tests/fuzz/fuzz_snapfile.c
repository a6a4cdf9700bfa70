/* Any bytes as a snapshot's file and the kept file that it names, as they are and with the checksums made right so that
 * what they guard is reached: they are refused with words, or read. */
#include <fcntl.h>
#include <stdlib.h>

#include "broker/journal/journal_bytes.h"
#include "broker/journal/journal_kept_scan.h"
#include "broker/journal/journal_snapfile.h"
#include "tests/lib/fault_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX_BYTES 8192
#define SNAPSHOT "/journal/0000000000000001.snapshot"
#define KEPT "/journal/0000000000000001-0000000000000001.kept"

typedef struct {
    uint8_t bytes[FILE_MAX_BYTES];
    size_t len;
} content_t;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void put_file(const journal_io_t *io, const char *path, const content_t *content)
{
    int fd = io->open(io->ctx, path, O_CREAT | O_RDWR, 0600);
    for (size_t at = 0; at < content->len;)
        at += (size_t)io->pwrite(io->ctx, fd, content->bytes + at, content->len - at, at);
    check(io->close(io->ctx, fd) == 0);
}

/* -- making checksums right ---------------------------------------------------------------------- */
static void seal_snapshot(content_t *c)
{
    uint32_t place = 0;
    if (c->len < SNAPFILE_HEADER_BYTES)
        return;
    memcpy(c->bytes, "MANGASNP", 8);
    put32(c->bytes + 8, SNAPFILE_FORMAT);
    put64(c->bytes + 48, c->len);
    put64(c->bytes + 56, 1);
    put32(c->bytes + 12, crc32c(0, c->bytes + 16, SNAPFILE_HEADER_BYTES - 16));
    for (size_t at = SNAPFILE_HEADER_BYTES; at + SNAPFILE_BLOCK_HEADER_BYTES <= c->len; place++) {
        uint32_t length = get32(c->bytes + at + 4);
        if (length > c->len - at - SNAPFILE_BLOCK_HEADER_BYTES)
            return;
        put32(c->bytes + at + 8, place);
        uint32_t crc = crc32c(0, c->bytes + at, 12);
        put32(c->bytes + at + 12, crc32c(crc, c->bytes + at + SNAPFILE_BLOCK_HEADER_BYTES, length));
        at += SNAPFILE_BLOCK_HEADER_BYTES + length;
    }
}

static void seal_kept(content_t *c)
{
    if (c->len < KEPT_HEADER_BYTES)
        return;
    uint64_t end = get64(c->bytes + 40) % (c->len + 1);
    end -= end > KEPT_HEADER_BYTES ? (c->len - end) % KEPT_INDEX_BYTES : 0;
    memcpy(c->bytes, "MANGAKPT", 8);
    put32(c->bytes + 8, KEPT_FORMAT);
    put64(c->bytes + 40, end);
    put64(c->bytes + 48, c->len);
    put32(c->bytes + 56, crc32c(0, c->bytes + end, c->len - end));
    put32(c->bytes + 12, crc32c(0, c->bytes + 16, KEPT_HEADER_BYTES - 16));
}

/* -- using them ------------------------------------------------------------------------------------ */
static void read_snapshot(const folder_t *folder)
{
    snapfile_reader_t reader;
    bytes_t items;
    error_t err = {0};
    bool good = snapfile_open(&reader, folder, 1, &err);
    while (good && (good = snapfile_next(&reader, &items, &err)) && items.len)
        continue;
    check(good || (err.code != STATUS_OK && err.message[0]));
    snapfile_close(&reader);
}

typedef struct {
    uint64_t newest, records, holes;
} scanned_t;

static bool scan_record(void *ctx, uint64_t seq, bytes_t raw, error_t *err)
{
    scanned_t *scanned = ctx;
    (void)err;
    check(seq > scanned->newest && record_verify(raw, NULL));
    scanned->newest = seq;
    scanned->records++;
    return true;
}

static bool scan_hole(void *ctx, const kept_hole_t *hole, error_t *err)
{
    scanned_t *scanned = ctx;
    (void)err;
    check(hole->first_seq <= hole->next_seq && hole->first_seq > scanned->newest);
    scanned->holes++;
    return true;
}

/* Past damage: records ascend, and of those that are promised none is passed over in silence. */
static void scan_kept(const folder_t *folder, const kept_ref_t *ref, const kept_t *kept)
{
    scanned_t scanned = {0};
    const kept_sink_t sink = {.ctx = &scanned, .record = scan_record, .hole = scan_hole};
    error_t err = {0};
    uint64_t found;
    int fd = folder->io->open(folder->io->ctx, KEPT, O_RDONLY, 0);
    check(fd >= 0 && kept_scan(folder, fd, ref, kept, &sink, &found, &err));
    check(found == scanned.records && found <= ref->records && (found == ref->records || scanned.holes));
    file_close(folder, &fd);
}

static void read_kept(const folder_t *folder, const content_t *c)
{
    error_t err = {0};
    if (c->len < KEPT_HEADER_BYTES)
        return;
    const kept_ref_t ref = {1, get64(c->bytes + 16), get64(c->bytes + 24), get64(c->bytes + 32), c->len};
    if (ref.first != 1 || ref.last < ref.first || ref.last == UINT64_MAX)
        return; /* a snapshot's list was checked before */
    kept_t *kept = kept_open(folder, &ref, NULL, &err);
    check(kept || (err.code != STATUS_OK && err.message[0]));
    scan_kept(folder, &ref, kept);
    scan_kept(folder, &ref, NULL);
    kepts_t kepts = {0};
    check(!kept || kepts_add(&kepts, kept, folder));
    for (uint64_t seq = 1, reads = 0; kept && seq && reads < 100; reads++) {
        bytes_t raw;
        uint32_t length;
        int64_t ingest_us;
        bool good = kepts_seek(&kepts, folder, seq, &raw, &err);
        check(good || (err.code != STATUS_OK && err.message[0]));
        if (!good || !raw.len)
            break;
        check(record_peek(raw, &length, &seq, &ingest_us) && length == raw.len);
        seq++;
    }
    kepts_free(&kepts, folder);
}

static void use(const content_t *snapshot, const content_t *kept)
{
    fault_disk_t *disk = fault_disk_new(1);
    folder_t folder;
    error_t err = {0};
    check(folder_init(&folder, "/journal", fault_disk_io(disk), &err));
    put_file(folder.io, SNAPSHOT, snapshot);
    put_file(folder.io, KEPT, kept);
    read_snapshot(&folder);
    read_kept(&folder, kept);
    fault_disk_free(disk);
}

/* The first two bytes say how much of the rest is the snapshot. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static content_t snapshot, kept;
    if (size < 2 || size > FILE_MAX_BYTES)
        return 0;
    size_t first = (data[0] | (size_t)data[1] << 8) % (size - 1);
    snapshot.len = first;
    kept.len = size - 2 - first;
    memcpy(snapshot.bytes, data + 2, snapshot.len);
    memcpy(kept.bytes, data + 2 + first, kept.len);
    use(&snapshot, &kept);
    seal_snapshot(&snapshot);
    seal_kept(&kept);
    put64(kept.bytes + 16, 1);
    seal_kept(&kept);
    use(&snapshot, &kept);
    return 0;
}
