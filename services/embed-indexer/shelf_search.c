/* shelf_search.c: which works may be hits, their two rankings fused, and the volumes that stand for them. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/text.h"
#include "services/embed-indexer/scope.h"
#include "services/embed-indexer/shelf_internal.h"

#define EXACT_BONUS 1.0F /* above any sum of ranks: a title that is the query comes first */

/* One search under way. */
typedef struct {
    shelf_t *shelf;
    const shelf_query_t *query;
    uint64_t genre, creator, publisher; /* 0: not asked for */
    int64_t volume;                     /* -1: any */
    bool is_filtered;                   /* shelf->allowed holds */
    uint64_t name;                      /* of the text looked for */
    ranking_t by_text, by_vector;
    fused_t fused;
    shelf_hit_t *hits;
    size_t count;
} search_t;

/* -- filters ---------------------------------------------------------------------------------------- */
static bool work_has(const shelf_work_t *work, uint64_t tag)
{
    for (uint32_t i = 0; i < work->tag_count; i++)
        if (work->tags[i] == tag)
            return true;
    return tag == 0;
}

static bool price_passes(const search_filters_t *f, int64_t price)
{
    return !((f->has_min_price_jpy && (price < 0 || price < f->min_price_jpy)) ||
             (f->has_max_price_jpy && (price < 0 || price > f->max_price_jpy)));
}

static bool book_passes(const search_t *s, const shelf_volume_t *book)
{
    const search_filters_t *f = s->query->filters;
    if (s->volume >= 0 && book->volume != s->volume)
        return false;
    return !f || ((!f->has_volume || book->volume == f->volume) && (!s->publisher || book->publisher == s->publisher) &&
                  price_passes(f, book->price_jpy));
}

static bool work_passes(const search_t *s, const shelf_work_t *work)
{
    if (!work_has(work, s->genre) || !work_has(work, s->creator))
        return false;
    for (uint32_t at = work->first; at != SHELF_NONE; at = s->shelf->books[at].next)
        if (book_passes(s, &s->shelf->books[at]))
            return true;
    return false;
}

/* Fills shelf->allowed; false when no work is. */
static bool works_filter(search_t *s)
{
    bool any = false;
    for (uint32_t i = 0; i < s->shelf->work_count; i++) {
        s->shelf->allowed[i] = work_passes(s, &s->shelf->works[i]);
        any = any || s->shelf->allowed[i];
    }
    return any;
}

static void filters_read(search_t *s)
{
    const search_filters_t *f = s->query->filters;
    if (!f)
        return;
    s->genre = f->has_genre ? shelf_hash(f->genre, SHELF_GENRE) : 0;
    s->creator = f->has_creator ? shelf_hash(f->creator, SHELF_CREATOR) : 0;
    s->publisher = f->has_publisher ? shelf_hash(f->publisher, SHELF_PUBLISHER) : 0;
}

/* -- the volume that is named ----------------------------------------------------------------------- */
/* Of the works whose name is `name`: whether there is one, and whether one has the volume. */
static void named_look(const shelf_t *shelf, uint64_t name, int64_t volume, bool *is_there, bool *has_volume)
{
    *is_there = *has_volume = false;
    for (uint32_t i = 0; name && i < shelf->work_count; i++) {
        const shelf_work_t *work = &shelf->works[i];
        if (work->names[SHELF_TITLE] != name && work->names[SHELF_KANA] != name && work->names[SHELF_ENGLISH] != name)
            continue;
        *is_there = true;
        for (uint32_t at = work->first; at != SHELF_NONE; at = shelf->books[at].next)
            *has_volume = *has_volume || shelf->books[at].volume == volume;
    }
}

/* A bare number is a volume's only behind the title of a work that has it; a marked one holds unless the very work
 * that is named lacks it. */
static void volume_decide(search_t *s, scope_t *scope)
{
    bytes_t rest = buf_bytes(&scope->rest);
    bool is_there, has_volume;
    if (scope->volume < 0)
        return;
    if (scope->is_bare)
        while (rest.len && rest.data[rest.len - 1] != ' ')
            rest.len--;
    named_look(s->shelf, shelf_hash(rest, SHELF_TITLE), scope->volume, &is_there, &has_volume);
    if (scope->is_bare ? !has_volume : is_there && !has_volume)
        return;
    s->volume = scope->volume;
    scope->rest.len = rest.len;
}

/* -- rankings --------------------------------------------------------------------------------------- */
static bool is_named(const search_t *s, const shelf_work_t *work)
{
    return s->name && (work->names[SHELF_TITLE] == s->name || work->names[SHELF_KANA] == s->name ||
                       work->names[SHELF_ENGLISH] == s->name);
}

static void on_found(void *ctx, uint32_t number, float score)
{
    search_t *s = ctx;
    const shelf_work_t *work = &s->shelf->works[number];
    if (work->books && (!s->is_filtered || s->shelf->allowed[number]))
        ranking_offer(&s->by_text, number, is_named(s, work) ? score + 1e6F : score);
}

static void rank_by_text(search_t *s, bytes_t text)
{
    buf_t key = {0};
    text_key(&key, text);
    if (!key.failed)
        bigrams_search(s->shelf->bigrams, buf_bytes(&key), on_found, s);
    buf_free(&key);
    ranking_sort(&s->by_text);
}

static void rank_by_vector(search_t *s)
{
    vectors_t *vectors = &s->shelf->vectors;
    float *query =
        s->query->vector.len ? aligned_alloc(64, (vectors->stride + 1) * sizeof(float) / 64 * 64 + 64) : NULL;
    if (query && vectors_read(vectors, s->query->vector, query))
        vectors_scan(vectors, query, s->shelf->work_count, s->is_filtered ? s->shelf->allowed : NULL, &s->by_vector);
    free(query);
    ranking_sort(&s->by_vector);
}

static int best_first(const void *a, const void *b)
{
    const ranked_t *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score)
                                : (x->work > y->work) - (x->work < y->work);
}

static void rankings_fuse(search_t *s)
{
    ranking_fuse(&s->by_text, &s->by_vector, &s->fused);
    for (size_t i = 0; s->query->by_text && i < s->fused.count; i++)
        if (is_named(s, &s->shelf->works[s->fused.items[i].work]))
            s->fused.items[i].score += EXACT_BONUS;
    qsort(s->fused.items, s->fused.count, sizeof *s->fused.items, best_first);
}

/* -- hits ------------------------------------------------------------------------------------------- */
/* Sold before discontinued, there before sold out, then by number; books without a number last. */
static uint64_t book_order(const shelf_volume_t *book)
{
    uint64_t volume = book->volume < 0 ? UINT32_MAX : (uint64_t)book->volume;
    return (uint64_t)book->is_discontinued << 33 | (uint64_t)book->is_sold_out << 32 | volume;
}

static bool is_hit(const search_t *s, uint64_t isbn)
{
    char text[ISBN13_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%013llu", (unsigned long long)(isbn % 10000000000000));
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->hits[i].isbn, text) == 0)
            return true;
    return false;
}

/* The first of the work that passes and is not a hit yet; NULL when there is none. */
static const shelf_volume_t *book_choose(const search_t *s, const shelf_work_t *work)
{
    const shelf_volume_t *best = NULL;
    for (uint32_t at = work->first; at != SHELF_NONE; at = s->shelf->books[at].next) {
        const shelf_volume_t *book = &s->shelf->books[at];
        bool is_better = !best || book_order(book) < book_order(best) ||
                         (book_order(book) == book_order(best) && book->isbn < best->isbn);
        if (is_better && book_passes(s, book) && !is_hit(s, book->isbn))
            best = book;
    }
    return best;
}

static bool hit_add(search_t *s, uint32_t work, double score)
{
    const shelf_volume_t *book = book_choose(s, &s->shelf->works[work]);
    if (!book)
        return false;
    shelf_hit_t *hit = &s->hits[s->count++];
    (void)snprintf(hit->isbn, sizeof hit->isbn, "%013llu", (unsigned long long)(book->isbn % 10000000000000));
    hit->score = score;
    return true;
}

static void hits_collect(search_t *s)
{
    size_t limit = s->query->limit, first_count;
    for (size_t i = 0; i < s->fused.count && s->count < limit; i++)
        (void)hit_add(s, s->fused.items[i].work, (double)s->fused.items[i].score);
    first_count = s->count;
    /* Behind all first volumes, so their scores are less than the last of those. */
    double least = first_count ? s->hits[first_count - 1].score : 0;
    for (size_t i = 0; i < s->fused.count && s->count < limit; i++)
        while (s->count < limit && hit_add(s, s->fused.items[i].work, least / (double)(2 + s->count - first_count)))
            ;
}

/* -- the search ------------------------------------------------------------------------------------- */
static size_t isbn_search(search_t *s, const char *isbn)
{
    uint32_t number = numbers_get(&s->shelf->book_numbers, shelf_isbn_number(bytes_cstr(isbn)));
    if (number == NUMBERS_NONE || !book_passes(s, &s->shelf->books[number]))
        return 0;
    (void)snprintf(s->hits[0].isbn, sizeof s->hits[0].isbn, "%s", isbn);
    s->hits[0].score = (double)EXACT_BONUS;
    return 1;
}

static size_t scoped_search(search_t *s, scope_t *scope)
{
    filters_read(s);
    if (scope->isbn[0])
        return isbn_search(s, scope->isbn);
    volume_decide(s, scope);
    s->name = shelf_hash(buf_bytes(&scope->rest), SHELF_TITLE);
    s->is_filtered = s->query->filters || s->volume >= 0;
    if (s->is_filtered && !works_filter(s) && s->volume >= 0) {
        s->volume = -1; /* nobody has it: then the books without it */
        (void)works_filter(s);
    }
    if (s->query->by_text)
        rank_by_text(s, buf_bytes(&scope->rest));
    rank_by_vector(s);
    rankings_fuse(s);
    hits_collect(s);
    return s->count;
}

size_t shelf_search(shelf_t *shelf, const shelf_query_t *query, shelf_hit_t *hits)
{
    search_t s = {.shelf = shelf, .query = query, .volume = -1, .hits = hits};
    scope_t scope;
    size_t count = scope_read(query->text, &scope) ? scoped_search(&s, &scope) : 0;
    buf_free(&scope.rest);
    return count;
}
