/* journal_spare.c: filling, keeping and giving out the files of segments to come. */
#include "broker/journal/journal_spare.h"

#include <fcntl.h>
#include <stdlib.h>

/* What stays free on the disk for others when a spare is made, as a part of a segment. */
#define MARGIN_PART 4

bool spares_init(spares_t *spares, const folder_t *folder, uint64_t segment_bytes, error_t *err)
{
    *spares = (spares_t){.folder = folder, .segment_bytes = segment_bytes, .fill_fd = -1, .next_id = 1};
    pthread_mutex_init(&spares->mutex, NULL);
    spares->zeros = aligned_alloc(SEGMENT_BLOCK_BYTES, SPARE_SLICE_BYTES);
    if (!spares->zeros)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to fill segments");
    memset(spares->zeros, 0, SPARE_SLICE_BYTES);
    return true;
}

void spares_free(spares_t *spares)
{
    file_close(spares->folder, &spares->fill_fd);
    pthread_mutex_destroy(&spares->mutex);
    free(spares->zeros);
}

/* The file is there; where others came first, on the other thread, it goes again. */
static bool push(spares_t *spares, uint64_t id, error_t *err)
{
    char name[FILE_NAME_BYTES];
    pthread_mutex_lock(&spares->mutex);
    bool has_room = spares->count < SPARES_MAX;
    if (has_room)
        spares->ids[spares->count++] = id;
    pthread_mutex_unlock(&spares->mutex);
    spare_name(id, name);
    return has_room || file_remove(spares->folder, name, err);
}

bool spares_adopt(spares_t *spares, uint64_t id, error_t *err)
{
    char name[FILE_NAME_BYTES];
    int fd = -1;
    uint64_t bytes = 0;
    spare_name(id, name);
    if (!file_open(spares->folder, name, O_RDONLY, &fd, err))
        return false;
    bool good = file_size(spares->folder, name, fd, &bytes, err);
    file_close(spares->folder, &fd);
    if (!good)
        return false;
    spares->next_id = id >= spares->next_id ? id + 1 : spares->next_id;
    if (bytes != spares->segment_bytes || spares->count == SPARES_MAX)
        return file_remove(spares->folder, name, err);
    return push(spares, id, err);
}

/* -- filling ------------------------------------------------------------------------------------- */

static uint64_t margin(const spares_t *spares)
{
    return spares->segment_bytes / MARGIN_PART;
}

/* A file system that cannot tell is taken to have room. */
static uint64_t free_now(const spares_t *spares)
{
    int64_t bytes = spares->folder->io->free_bytes(spares->folder->io->ctx, spares->folder->path);
    return bytes < 0 ? UINT64_MAX : (uint64_t)bytes;
}

static void note_full(spares_t *spares, uint64_t retry_bytes)
{
    pthread_mutex_lock(&spares->mutex);
    spares->full = true;
    spares->retry_bytes = retry_bytes;
    pthread_mutex_unlock(&spares->mutex);
}

/* A full disk is a state, anything else the end. What was half filled goes: the disk needs the room. */
static void note_failure(spares_t *spares, const error_t *why)
{
    error_t err;
    file_close(spares->folder, &spares->fill_fd);
    bool full = why->code == STATUS_RESOURCE_EXHAUSTED && file_remove(spares->folder, FILLING_NAME, &err);
    if (full) {
        uint64_t enough = spares->segment_bytes + margin(spares), more = free_now(spares) + margin(spares) / 2;
        note_full(spares, more > enough ? more : enough);
        return;
    }
    pthread_mutex_lock(&spares->mutex);
    spares->failed = true;
    spares->err = *why;
    pthread_mutex_unlock(&spares->mutex);
}

static void begin_fill(spares_t *spares)
{
    error_t err;
    uint64_t enough = spares->segment_bytes + margin(spares);
    spares->fill_at = 0;
    if (free_now(spares) < enough)
        note_full(spares, enough);
    else if (!file_make_direct(spares->folder, FILLING_NAME, spares->zeros, &spares->fill_fd, &spares->is_direct, &err))
        note_failure(spares, &err);
}

static bool end_fill(spares_t *spares, error_t *err)
{
    char name[FILE_NAME_BYTES];
    pthread_mutex_lock(&spares->mutex);
    uint64_t id = spares->next_id++;
    pthread_mutex_unlock(&spares->mutex);
    file_close(spares->folder, &spares->fill_fd);
    spare_name(id, name);
    return file_rename(spares->folder, FILLING_NAME, name, err) && folder_sync(spares->folder, err) &&
           push(spares, id, err);
}

void spares_fill_slice(spares_t *spares)
{
    error_t err;
    if (spares->fill_fd < 0) {
        begin_fill(spares);
        return;
    }
    uint64_t left = spares->segment_bytes - spares->fill_at;
    uint64_t bytes = left < SPARE_SLICE_BYTES ? left : SPARE_SLICE_BYTES;
    bool is_last = bytes == left;
    bool good = file_write(spares->folder, spares->fill_fd, spares->zeros, bytes, spares->fill_at, &err) &&
                ((spares->is_direct && !is_last) || file_sync(spares->folder, spares->fill_fd, &err));
    spares->fill_at += bytes;
    if (good && is_last)
        good = end_fill(spares, &err);
    if (!good)
        note_failure(spares, &err);
}

uint64_t spares_filled(const spares_t *spares)
{
    return spares->fill_fd < 0 ? 0 : spares->fill_at;
}

bool spares_wanted(spares_t *spares)
{
    pthread_mutex_lock(&spares->mutex);
    bool wanted = spares->count < SPARES_WANTED && !spares->full && !spares->failed;
    pthread_mutex_unlock(&spares->mutex);
    return wanted;
}

bool spares_healthy(spares_t *spares, error_t *err)
{
    pthread_mutex_lock(&spares->mutex);
    bool healthy = !spares->failed;
    if (!healthy && err)
        *err = spares->err;
    pthread_mutex_unlock(&spares->mutex);
    return healthy;
}

bool spares_fill(spares_t *spares, error_t *err)
{
    while (spares_wanted(spares))
        spares_fill_slice(spares);
    return spares_healthy(spares, err);
}

/* Asked for every message that is taken in: one look, unless the disk was full. */
size_t spares_ready(spares_t *spares, bool *full)
{
    pthread_mutex_lock(&spares->mutex);
    bool was_full = spares->full;
    uint64_t retry_bytes = spares->retry_bytes;
    size_t count = spares->count;
    pthread_mutex_unlock(&spares->mutex);
    *full = was_full && free_now(spares) < retry_bytes;
    if (!was_full)
        return count;
    pthread_mutex_lock(&spares->mutex);
    spares->full = *full;
    count = spares->count;
    pthread_mutex_unlock(&spares->mutex);
    return count;
}

/* -- giving and taking back ---------------------------------------------------------------------- */

static bool pop(spares_t *spares, uint64_t *id)
{
    pthread_mutex_lock(&spares->mutex);
    bool some = spares->count > 0;
    if (some)
        *id = spares->ids[--spares->count];
    pthread_mutex_unlock(&spares->mutex);
    return some;
}

/* The header is on disk before the name is, so whatever bears a segment's name has a header. */
static bool write_header(spares_t *spares, const char *name, segment_t *segment, error_t *err)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    segment_header_encode(&segment->header, header);
    return file_open(spares->folder, name, O_RDWR, &segment->fd, err) &&
           file_write(spares->folder, segment->fd, header, sizeof header, 0, err) &&
           file_sync(spares->folder, segment->fd, err);
}

bool spares_take(spares_t *spares, segment_t *segment, error_t *err)
{
    char from[FILE_NAME_BYTES], to[FILE_NAME_BYTES];
    uint64_t id;
    if (!spares_fill(spares, err))
        return false;
    if (!pop(spares, &id))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "JOURNAL_FULL", "%s: the disk has no room for another segment",
                         spares->folder->path);
    spare_name(id, from);
    segment_name(segment->header.number, to);
    return write_header(spares, from, segment, err) && file_rename(spares->folder, from, to, err) &&
           folder_sync(spares->folder, err);
}

bool spares_recycle(spares_t *spares, const segment_header_t *segment, error_t *err)
{
    char from[FILE_NAME_BYTES], to[FILE_NAME_BYTES];
    segment_name(segment->number, from);
    pthread_mutex_lock(&spares->mutex);
    bool keep = spares->count < SPARES_MAX && segment->bytes == spares->segment_bytes;
    uint64_t id = spares->next_id;
    spares->next_id += keep;
    pthread_mutex_unlock(&spares->mutex);
    spare_name(id, to);
    bool moved = keep ? file_rename(spares->folder, from, to, err) : file_remove(spares->folder, from, err);
    return moved && folder_sync(spares->folder, err) && (!keep || push(spares, id, err));
}
