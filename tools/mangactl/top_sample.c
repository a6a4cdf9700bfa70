/* top_sample.c: rows and rates out of the broker's answers. */
#include <stdlib.h>

#include "proto/msgpack.h"
#include "tools/mangactl/top.h"

#define US_PER_S 1e6

static double per_second(uint64_t now, uint64_t then, double seconds)
{
    return seconds > 0 && now >= then ? (double)(now - then) / seconds : 0;
}

static int by_incarnation(const void *a, const void *b)
{
    const top_queue_t *x = a, *y = b;
    return (x->incarnation > y->incarnation) - (x->incarnation < y->incarnation);
}

static void row_read(bytes_t map, top_queue_t *row)
{
    *row = (top_queue_t){.name = ctl_map_text(map, "name", "?"),
                         .incarnation = ctl_map_number(map, "incarnation"),
                         .visible = ctl_map_number(map, "visible"),
                         .in_flight = ctl_map_number(map, "in_flight"),
                         .delayed = ctl_map_number(map, "delayed"),
                         .consumers = ctl_map_number(map, "consumers"),
                         .entered = ctl_map_number(map, "entered"),
                         .left = ctl_map_number(map, "left"),
                         .oldest_us = (int64_t)ctl_map_number(map, "oldest_us")};
}

/* A queue that is new since then has no rate yet. */
static void row_rate(top_queue_t *row, const top_sample_t *sorted, double seconds)
{
    const top_queue_t *then =
        sorted->row_count ? bsearch(row, sorted->rows, sorted->row_count, sizeof *row, by_incarnation) : NULL;
    if (!then)
        return;
    row->in_rate = per_second(row->entered, then->entered, seconds);
    row->out_rate = per_second(row->left, then->left, seconds);
}

static bool rows_read(top_sample_t *sample, error_t *err)
{
    mp_reader_t r = mp_reader(buf_bytes(&sample->queues));
    uint32_t count;
    bytes_t map;
    if (!mp_get_array(&r, &count))
        return error_set(err, STATUS_INTERNAL, NULL, "the broker's list of queues is no list");
    sample->rows = calloc((size_t)count + 1, sizeof *sample->rows);
    if (!sample->rows)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    while (sample->row_count < count && mp_get_raw(&r, &map))
        row_read(map, &sample->rows[sample->row_count++]);
    qsort(sample->rows, sample->row_count, sizeof *sample->rows, by_incarnation);
    return true;
}

bool top_read(top_sample_t *sample, const top_sample_t *before, error_t *err)
{
    sample->now_us = (int64_t)ctl_map_number(buf_bytes(&sample->status), "now_us");
    if (!rows_read(sample, err))
        return false;
    if (!before)
        return true;
    top_sample_t sorted = *before;
    sorted.rows = calloc(before->row_count + 1, sizeof *sorted.rows);
    if (!sorted.rows)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    if (before->row_count)
        memcpy(sorted.rows, before->rows, before->row_count * sizeof *sorted.rows);
    qsort(sorted.rows, sorted.row_count, sizeof *sorted.rows, by_incarnation);
    sample->seconds = (double)(sample->now_us - before->now_us) / US_PER_S;
    for (size_t i = 0; i < sample->row_count; i++)
        row_rate(&sample->rows[i], &sorted, sample->seconds);
    free(sorted.rows);
    return true;
}

double top_rate(const top_sample_t *sample, const top_sample_t *before, const char *counter)
{
    if (!before)
        return 0;
    return per_second(ctl_map_number(buf_bytes(&sample->status), counter),
                      ctl_map_number(buf_bytes(&before->status), counter), sample->seconds);
}

/* -- order --------------------------------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const top_queue_t *)a)->name, ((const top_queue_t *)b)->name);
}

static int by_rate(const void *a, const void *b)
{
    const top_queue_t *p = a, *q = b;
    double x = p->in_rate + p->out_rate, y = q->in_rate + q->out_rate;
    return x != y ? (x < y) - (x > y) : by_name(a, b);
}

static uint64_t depth(const top_queue_t *row)
{
    return row->visible + row->in_flight + row->delayed;
}

static int by_depth(const void *a, const void *b)
{
    uint64_t x = depth(a), y = depth(b);
    return x != y ? (x < y) - (x > y) : by_name(a, b);
}

static int by_age(const void *a, const void *b)
{
    const top_queue_t *p = a, *q = b;
    int64_t x = p->oldest_us ? p->oldest_us : INT64_MAX, y = q->oldest_us ? q->oldest_us : INT64_MAX;
    return x != y ? (x > y) - (x < y) : by_name(a, b);
}

void top_sort(top_sample_t *sample, top_order_t order)
{
    static int (*const orders[])(const void *, const void *) = {
        [TOP_BY_RATE] = by_rate, [TOP_BY_DEPTH] = by_depth, [TOP_BY_AGE] = by_age, [TOP_BY_NAME] = by_name};
    qsort(sample->rows, sample->row_count, sizeof *sample->rows, orders[order]);
}

void top_free(top_sample_t *sample)
{
    free(sample->rows);
    buf_free(&sample->status);
    buf_free(&sample->queues);
    buf_free(&sample->sessions);
    *sample = (top_sample_t){0};
}
