/* journal_copy.c: copying, finding, restoring. */
#include "broker/journal/journal_copy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define STEP_BYTES ((uint64_t)64 << 10)

static uint64_t step_of(uint64_t left)
{
    return left < STEP_BYTES ? left : STEP_BYTES;
}

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to recover the journal");
}

/* -- finding ------------------------------------------------------------------------------------- */

static bool content_holds(const copy_t *copy, const folder_t *folder, uint8_t *block, bool *holds, error_t *err)
{
    uint32_t crc = 0;
    for (uint64_t done = 0; done < copy->header.bytes;) {
        uint64_t bytes = step_of(copy->header.bytes - done);
        if (!file_read(folder, copy->fd, block, bytes, COPY_CONTENT_AT + done, err))
            return false;
        crc = crc32c(crc, block, bytes);
        done += bytes;
    }
    *holds = crc == copy->header.content_crc;
    return true;
}

static bool look_at(copy_t *copy, const folder_t *folder, bool *holds, error_t *err)
{
    uint64_t file_bytes;
    if (!file_size(folder, COPY_NAME, copy->fd, &file_bytes, err))
        return false;
    if (file_bytes < COPY_CONTENT_AT)
        return true;
    uint8_t *block = malloc(STEP_BYTES);
    bool good = block ? file_read(folder, copy->fd, block, SEGMENT_HEADER_BYTES, 0, err) : no_memory(err);
    bool whole = good && copy_header_decode(block, &copy->header) && copy->header.bytes <= file_bytes - COPY_CONTENT_AT;
    good = good && (!whole || content_holds(copy, folder, block, holds, err));
    free(block);
    return good;
}

bool copy_find(copy_t *copy, const folder_t *folder, error_t *err)
{
    bool holds = false;
    *copy = (copy_t){.fd = -1};
    if (!file_open_if_there(folder, COPY_NAME, O_RDONLY, &copy->fd, err))
        return false;
    bool good = copy->fd < 0 || look_at(copy, folder, &holds, err);
    if (!good || !holds)
        copy_close(copy, folder);
    return good;
}

void copy_close(copy_t *copy, const folder_t *folder)
{
    file_close(folder, &copy->fd);
}

void copy_cover(const copy_t *copy, const segment_header_t *segment, window_t *window)
{
    bool covers = copy->fd >= 0 && copy->header.segment == segment->number &&
                  copy->header.generation == segment->generation && copy->header.at <= segment->bytes &&
                  copy->header.bytes <= segment->bytes - copy->header.at;
    window->cover_fd = copy->fd;
    window->cover_at = covers ? copy->header.at : 0;
    window->cover_bytes = covers ? copy->header.bytes : 0;
    window->cover_from = COPY_CONTENT_AT;
    window->len = 0; /* what it saw before may be rubbish */
}

/* -- restoring ----------------------------------------------------------------------------------- */

static bool copy_range(const folder_t *folder, int from, uint64_t from_at, int to, uint64_t to_at, uint64_t bytes,
                       uint32_t *crc, error_t *err)
{
    uint8_t *block = malloc(STEP_BYTES);
    bool good = block ? true : no_memory(err);
    for (uint64_t done = 0; good && done < bytes;) {
        uint64_t step = step_of(bytes - done);
        good = file_read(folder, from, block, step, from_at + done, err) &&
               file_write(folder, to, block, step, to_at + done, err);
        *crc = crc32c(*crc, block, good ? step : 0);
        done += step;
    }
    free(block);
    return good;
}

/* Only into the use of the file that it was taken of. */
static bool restore_to(const copy_t *copy, const folder_t *folder, int fd, error_t *err)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_t segment;
    uint32_t crc = 0;
    window_t window = {0};
    if (!file_read(folder, fd, bytes, sizeof bytes, 0, err))
        return false;
    if (!segment_header_decode(bytes, &segment, NULL))
        return true;
    copy_cover(copy, &segment, &window);
    return window.cover_bytes == 0 ||
           (copy_range(folder, copy->fd, COPY_CONTENT_AT, fd, copy->header.at, copy->header.bytes, &crc, err) &&
            file_sync(folder, fd, err));
}

bool copy_restore(const copy_t *copy, const folder_t *folder, error_t *err)
{
    char name[FILE_NAME_BYTES];
    int fd = -1;
    if (copy->fd < 0)
        return true;
    segment_name(copy->header.segment, name);
    if (!file_open_if_there(folder, name, O_RDWR, &fd, err))
        return false;
    bool good = fd < 0 || restore_to(copy, folder, fd, err);
    file_close(folder, &fd);
    return good;
}

/* -- copying ------------------------------------------------------------------------------------- */

/* Opened for writing, its name safe. */
static bool open_file(const folder_t *folder, int *fd, uint64_t *bytes, error_t *err)
{
    return file_open(folder, COPY_NAME, O_RDWR | O_CREAT, fd, err) && file_size(folder, COPY_NAME, *fd, bytes, err) &&
           (*bytes > 0 || folder_sync(folder, err));
}

static bool fill(const folder_t *folder, int fd, uint64_t from, uint64_t to, error_t *err)
{
    uint8_t *zeros = calloc(1, STEP_BYTES);
    bool good = zeros ? true : no_memory(err);
    for (uint64_t at = from; good && at < to;) {
        uint64_t step = step_of(to - at);
        good = file_write(folder, fd, zeros, step, at, err);
        at += step;
    }
    free(zeros);
    return good && file_sync(folder, fd, err);
}

static uint64_t content_for(uint64_t segment_bytes)
{
    uint64_t batches = segment_bytes - SEGMENT_BLOCK_BYTES;
    return batches < COPY_CONTENT_BYTES ? batches : COPY_CONTENT_BYTES;
}

bool copy_prepare(const folder_t *folder, uint64_t segment_bytes, error_t *err)
{
    error_t why = {0};
    int fd = -1;
    uint64_t bytes = 0, wanted = COPY_CONTENT_AT + content_for(segment_bytes);
    int64_t free_bytes = folder->io->free_bytes(folder->io->ctx, folder->path);
    bool good = open_file(folder, &fd, &bytes, &why);
    bool room = free_bytes < 0 || bytes >= wanted || (uint64_t)free_bytes >= wanted - bytes;
    if (good && room && bytes < wanted)
        good = fill(folder, fd, bytes, wanted, &why);
    file_close(folder, &fd);
    if (good || strcmp(why.aws, "JOURNAL_FULL") == 0)
        return true;
    if (err)
        *err = why;
    return false;
}

static bool write_header(const folder_t *folder, int fd, const copy_header_t *header, error_t *err)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0};
    if (header)
        copy_header_encode(header, bytes);
    return file_write(folder, fd, bytes, sizeof bytes, 0, err) && file_sync(folder, fd, err);
}

bool copy_clear(const folder_t *folder, error_t *err)
{
    int fd = -1;
    uint64_t bytes = 0;
    if (!file_open_if_there(folder, COPY_NAME, O_RDWR, &fd, err))
        return false;
    bool good = fd < 0 || (file_size(folder, COPY_NAME, fd, &bytes, err) &&
                           (bytes < SEGMENT_HEADER_BYTES || write_header(folder, fd, NULL, err)));
    file_close(folder, &fd);
    return good;
}

/* Where the run of whole batches ends that begins at `at` and fits `room` (one, when not even one does). */
static bool whole_batches(const folder_t *folder, const segment_t *segment, uint64_t at, uint64_t end, uint64_t room,
                          uint64_t *stop, error_t *err)
{
    uint8_t bytes[BATCH_HEADER_BYTES];
    batch_header_t header;
    *stop = at;
    for (uint64_t next = at; next < end;) {
        if (!file_read(folder, segment->fd, bytes, sizeof bytes, next, err))
            return false;
        if (!batch_header_decode(bytes, segment->header.generation, segment->header.salt, &header))
            return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "%s: a batch changed while it was read",
                             folder->path);
        next += batch_padded(header.length);
        if (next - at > room && *stop > at)
            return true;
        *stop = next;
    }
    return true;
}

static bool rewrite_piece(const folder_t *folder, int copy_fd, const segment_t *segment, uint64_t at, uint64_t end,
                          error_t *err)
{
    copy_header_t header = {
        .segment = segment->header.number, .generation = segment->header.generation, .at = at, .bytes = end - at};
    uint32_t again = 0;
    return copy_range(folder, segment->fd, at, copy_fd, COPY_CONTENT_AT, end - at, &header.content_crc, err) &&
           write_header(folder, copy_fd, &header, err) &&
           copy_range(folder, copy_fd, COPY_CONTENT_AT, segment->fd, at, end - at, &again, err) &&
           file_sync(folder, segment->fd, err);
}

bool copy_rewrite(const folder_t *folder, const segment_t *segment, uint64_t at, uint64_t end, error_t *err)
{
    int fd = -1;
    uint64_t bytes, stop = at;
    bool good = open_file(folder, &fd, &bytes, err);
    for (; good && at < end; at = stop)
        good = whole_batches(folder, segment, at, end, content_for(segment->header.bytes), &stop, err) &&
               rewrite_piece(folder, fd, segment, at, stop, err);
    file_close(folder, &fd);
    return good || error_prefix(err, "the newest records must be written again, and copied first");
}
