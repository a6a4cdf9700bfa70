/* journal_tail.c: the ring of the newest batches. */
#include "broker/journal/journal_tail.h"

#include <stdlib.h>

#define RING_FIRST 64
#define SLACK_BYTES ((size_t)64 << 10) /* so much may a buffer hold for nothing, or */
#define SLACK_FACTOR 4                 /* so many times its content */

static bool ring_grow(tail_t *tail)
{
    size_t cap = tail->cap ? tail->cap * 2 : RING_FIRST;
    batch_t **ring = malloc(cap * sizeof(batch_t *));
    if (!ring)
        return false;
    for (size_t i = 0; i < tail->count; i++)
        ring[i] = tail_at(tail, i);
    free(tail->ring);
    tail->ring = ring;
    tail->head = 0;
    tail->cap = cap;
    return true;
}

static void batch_free(tail_t *tail, batch_t *batch)
{
    if (tail->kept_count < TAIL_KEPT && batch->data.cap > 0) {
        buf_clear(&batch->data);
        tail->kept[tail->kept_count++] = batch->data;
    } else {
        buf_free(&batch->data);
    }
    free(batch);
}

static size_t at_most(size_t bytes, size_t most)
{
    return bytes < most ? bytes : most;
}

batch_t *tail_add(tail_t *tail, segment_t *segment, uint64_t number, uint64_t first_seq)
{
    static const uint8_t header[BATCH_HEADER_BYTES];
    if (tail->count == tail->cap && !ring_grow(tail))
        return NULL;
    batch_t *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (batch_t){.segment = segment, .at = segment->used, .number = number, .first_seq = first_seq};
    if (tail->kept_count > 0)
        batch->data = tail->kept[--tail->kept_count];
    else if (tail->count > 0) /* as large as its neighbour at once, but for what would be given back */
        (void)buf_reserve(&batch->data, at_most(tail_newest(tail)->write_bytes, SLACK_BYTES));
    buf_append(&batch->data, header, sizeof header);
    if (batch->data.failed) {
        batch_free(tail, batch);
        return NULL;
    }
    tail->ring[(tail->head + tail->count++) & (tail->cap - 1)] = batch;
    tail->bytes += batch->data.len;
    return batch;
}

/* A buffer that could not grow keeps what it had. */
static bool newest_extend(tail_t *tail, const void *data, size_t len)
{
    buf_t *to = &tail_newest(tail)->data;
    buf_append(to, data, len);
    bool good = !to->failed;
    to->failed = false;
    tail->bytes += good ? len : 0;
    return good;
}

bool tail_append(tail_t *tail, bytes_t record)
{
    if (!newest_extend(tail, record.data, record.len))
        return false;
    tail_newest(tail)->count++;
    return true;
}

/* A small batch in a buffer that a large one left behind: the bound of the tail counts what is used. */
static void give_back(buf_t *data, size_t needed)
{
    uint8_t *less = data->cap > SLACK_BYTES && data->cap / SLACK_FACTOR > needed ? realloc(data->data, needed) : NULL;
    if (!less)
        return;
    data->data = less;
    data->cap = needed;
}

/* Zeros behind its end, up to the end of the block in which it ends: see batch_t. */
static bool fill_block(batch_t *batch)
{
    buf_t *data = &batch->data;
    size_t rest = (size_t)(-(batch->at + data->len) & (SEGMENT_BLOCK_BYTES - 1));
    if (!buf_reserve(data, rest))
        return false;
    if (rest)
        memset(data->data + data->len, 0, rest);
    batch->write_bytes = data->len + rest;
    return true;
}

bool tail_close_newest(tail_t *tail)
{
    static const uint8_t padding[BATCH_ALIGN_BYTES];
    batch_t *batch = tail_newest(tail);
    size_t len = batch->data.len;
    batch->length = (uint32_t)len;
    if (!newest_extend(tail, padding, (size_t)(batch_padded(len) - len)) || !fill_block(batch))
        return false;
    give_back(&batch->data, batch->write_bytes);
    return true;
}

static void drop_oldest(tail_t *tail)
{
    batch_t *oldest = tail_at(tail, 0);
    tail->bytes -= oldest->data.len;
    tail->head = (tail->head + 1) & (tail->cap - 1);
    tail->count--;
    batch_free(tail, oldest);
}

void tail_trim(tail_t *tail, uint64_t synced_batch)
{
    while (tail->count > 0 && tail->bytes > tail->bound_bytes && tail_at(tail, 0)->number <= synced_batch)
        drop_oldest(tail);
}

void tail_free(tail_t *tail)
{
    while (tail->count > 0)
        drop_oldest(tail);
    while (tail->kept_count > 0)
        buf_free(&tail->kept[--tail->kept_count]);
    free(tail->ring);
    *tail = (tail_t){0};
}

const batch_t *tail_find(const tail_t *tail, uint64_t seq)
{
    /* The last whose first record is not behind `seq`: one without records shares its number with the next. */
    size_t low = 0, high = tail->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tail_at(tail, middle)->first_seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    const batch_t *batch = low ? tail_at(tail, low - 1) : NULL;
    return batch && seq - batch->first_seq < batch->count ? batch : NULL;
}
