/* ranking.c: a heap whose root is the worst that is kept. */
#include "services/embed-indexer/ranking.h"

#include <stdlib.h>

static bool is_worse(const ranked_t *a, const ranked_t *b)
{
    return a->score < b->score || (a->score == b->score && a->work > b->work);
}

static void swap(ranked_t *a, ranked_t *b)
{
    ranked_t kept = *a;
    *a = *b;
    *b = kept;
}

/* The last one, to its place. */
static void sift_up(ranking_t *r)
{
    size_t at = r->count - 1;
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!is_worse(&r->items[at], &r->items[parent]))
            return;
        swap(&r->items[at], &r->items[parent]);
        at = parent;
    }
}

static void sift_down(ranking_t *r)
{
    for (size_t at = 0, child; (child = 2 * at + 1) < r->count; at = child) {
        if (child + 1 < r->count && is_worse(&r->items[child + 1], &r->items[child]))
            child++;
        if (!is_worse(&r->items[child], &r->items[at]))
            return;
        swap(&r->items[at], &r->items[child]);
    }
}

void ranking_offer(ranking_t *ranking, uint32_t work, float score)
{
    ranked_t offered = {work, score};
    if (ranking->count < RANKING_MAX) {
        ranking->items[ranking->count++] = offered;
        sift_up(ranking);
    } else if (is_worse(&ranking->items[0], &offered)) {
        ranking->items[0] = offered;
        sift_down(ranking);
    }
}

static int best_first(const void *a, const void *b)
{
    return is_worse(a, b) ? 1 : -1;
}

void ranking_sort(ranking_t *ranking)
{
    qsort(ranking->items, ranking->count, sizeof *ranking->items, best_first);
}

static int by_work(const void *a, const void *b)
{
    const ranked_t *x = a, *y = b;
    return (x->work > y->work) - (x->work < y->work);
}

static void ranks_append(fused_t *out, const ranking_t *ranking)
{
    for (size_t i = 0; i < ranking->count; i++)
        out->items[out->count++] = (ranked_t){ranking->items[i].work, 1.0F / (RANKING_FUSION_K + 1.0F + (float)i)};
}

void ranking_fuse(const ranking_t *a, const ranking_t *b, fused_t *out)
{
    out->count = 0;
    ranks_append(out, a);
    ranks_append(out, b);
    qsort(out->items, out->count, sizeof *out->items, by_work);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (kept && out->items[kept - 1].work == out->items[i].work)
            out->items[kept - 1].score += out->items[i].score;
        else
            out->items[kept++] = out->items[i];
    out->count = kept;
    qsort(out->items, out->count, sizeof *out->items, best_first);
}
