/* journal_segment.c: the list of segments and each one's index. */
#include "broker/journal/journal_segment.h"

#include <stdlib.h>

#define LIST_FIRST 16
#define INDEX_FIRST 256

segment_t *segments_add(segments_t *segments, const segment_header_t *header, int64_t last_ingest_us)
{
    if (segments->count == segments->cap) {
        size_t cap = segments->cap ? segments->cap * 2 : LIST_FIRST;
        segment_t **items = realloc(segments->items, cap * sizeof(segment_t *));
        if (!items)
            return NULL;
        segments->items = items;
        segments->cap = cap;
    }
    segment_t *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    segment->header = *header;
    segment->used = SEGMENT_BLOCK_BYTES;
    segment->last_ingest_us = last_ingest_us;
    segment->fd = -1;
    segments->items[segments->count++] = segment;
    return segment;
}

static void segment_free(segment_t *segment, const folder_t *folder)
{
    file_close(folder, &segment->fd);
    free(segment->index);
    free(segment);
}

void segments_drop_first(segments_t *segments, const folder_t *folder)
{
    segment_free(segments->items[0], folder);
    segments->count--;
    memmove(segments->items, segments->items + 1, segments->count * sizeof(segment_t *));
}

void segments_free(segments_t *segments, const folder_t *folder)
{
    for (size_t i = 0; i < segments->count; i++)
        segment_free(segments->items[i], folder);
    free(segments->items);
    *segments = (segments_t){0};
}

segment_t *segments_last(const segments_t *segments)
{
    return segments->count ? segments->items[segments->count - 1] : NULL;
}

segment_t *segments_find(const segments_t *segments, uint64_t seq)
{
    size_t low = 0, high = segments->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segments->items[middle]->header.first_seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? segments->items[low - 1] : NULL;
}

bool segment_note(segment_t *segment, uint64_t offset, int64_t ingest_us)
{
    if (segment->count == segment->cap) {
        size_t cap = segment->cap ? segment->cap * 2 : INDEX_FIRST;
        uint32_t *index = realloc(segment->index, cap * sizeof(uint32_t));
        if (!index)
            return false;
        segment->index = index;
        segment->cap = cap;
    }
    segment->index[segment->count++] = (uint32_t)offset;
    segment->last_ingest_us = ingest_us;
    return true;
}
