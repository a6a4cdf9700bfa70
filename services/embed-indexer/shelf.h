/* shelf.h: works and books in memory, and the search over them. Pure but for memory.
 *
 * Books (volumes) and works come in any order, each again whenever it changed. A book costs about 60 bytes, a work
 * its vector (4 bytes for each dimension) and about 1 KiB beside: 30,000 works with 300,000 volumes and 256
 * dimensions are about 80 MiB. Bodies are not held: hits name ISBNs. */
#ifndef EMBED_INDEXER_SHELF_H
#define EMBED_INDEXER_SHELF_H

#include "proto/contract.h"
#include "proto/isbn.h"
#include "services/embed-indexer/ranking.h"

#define SHELF_WORKS_MAX 4000000
#define SHELF_BOOKS_MAX 40000000
#define SHELF_HITS_MAX 100 /* as the contract bounds it */

typedef struct shelf shelf_t;

MUST_USE shelf_t *shelf_new(void);
void shelf_free(shelf_t **shelf);

typedef struct {
    int64_t work_id;
    bytes_t isbn;
    int64_t volume;    /* -1: none */
    int64_t price_jpy; /* -1: unknown */
    bytes_t publisher;
    bool is_discontinued;
    bool is_sold_out; /* in every warehouse that was heard of */
} shelf_book_t;

/* False when out of memory or full. */
MUST_USE bool shelf_put_book(shelf_t *shelf, const shelf_book_t *book, error_t *err);
/* `mark` tells texts apart: the same mark as before leaves the text index alone. */
MUST_USE bool shelf_put_work(shelf_t *shelf, int64_t work_id, uint64_t mark, const book_t *speaker, error_t *err);

/* All vectors are forgotten; those to come have this dimension. */
void shelf_vectors_reset(shelf_t *shelf, size_t dimension);
/* An empty `vector`: the work has none (any more). False when it does not have the dimension. */
MUST_USE bool shelf_put_vector(shelf_t *shelf, int64_t work_id, bytes_t vector, error_t *err);

size_t shelf_dimension(const shelf_t *shelf); /* 0: no vectors yet */
size_t shelf_books(const shelf_t *shelf);
size_t shelf_works(const shelf_t *shelf);
size_t shelf_embedded_books(const shelf_t *shelf); /* of works that have a vector */

typedef struct {
    bytes_t text;   /* as asked */
    bytes_t vector; /* of the text; empty: by text alone */
    bool by_text;   /* false: by vector alone */
    const search_filters_t *filters;
    size_t limit; /* 1 to SHELF_HITS_MAX */
} shelf_query_t;

typedef struct {
    char isbn[ISBN13_TEXT_BYTES];
    double score;
} shelf_hit_t;

/* Best first; returns how many. One volume of each work, the one asked for or else the first that is sold; then, with
 * room left, their further volumes. A volume's number or an ISBN in the text must hold, unless the work that is
 * named has no such volume. */
size_t shelf_search(shelf_t *shelf, const shelf_query_t *query, shelf_hit_t *hits);

#endif
