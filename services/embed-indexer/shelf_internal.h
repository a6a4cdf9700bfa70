/* shelf_internal.h: what shelf.c keeps and shelf_search.c reads. */
#ifndef EMBED_INDEXER_SHELF_INTERNAL_H
#define EMBED_INDEXER_SHELF_INTERNAL_H

#include "services/embed-indexer/bigrams.h"
#include "services/embed-indexer/shelf.h"
#include "services/embed-indexer/vectors.h"

#define SHELF_NONE UINT32_MAX

typedef enum { SHELF_TITLE, SHELF_KANA, SHELF_ENGLISH, SHELF_NAMES } shelf_name_t;
typedef enum { SHELF_GENRE = SHELF_NAMES, SHELF_CREATOR, SHELF_PUBLISHER } shelf_tag_t;

typedef struct {
    uint64_t isbn; /* its 13 digits as a number */
    uint64_t publisher;
    int64_t price_jpy;
    int32_t volume;
    uint32_t work;
    uint32_t next; /* of the same work */
    bool is_discontinued, is_sold_out;
} shelf_volume_t;

typedef struct {
    int64_t id;
    uint64_t mark;
    uint64_t names[SHELF_NAMES]; /* shelf_hash of title, reading, English title; 0 for none */
    uint64_t *tags;              /* of genres and creators */
    uint32_t tag_count;
    uint32_t first; /* book */
    uint32_t books;
    bool has_text, has_vector;
} shelf_work_t;

struct shelf {
    numbers_t book_numbers, work_numbers;
    shelf_volume_t *books;
    shelf_work_t *works;
    uint32_t book_count, book_capacity, work_count, work_capacity;
    size_t embedded_books;
    bigrams_t *bigrams;
    vectors_t vectors;
    uint8_t *allowed; /* for the search: a byte for each work */
};

/* Of the text's key (kit/text.h); `kind` keeps a genre from being a creator. Never 0 for a text that has a key. */
uint64_t shelf_hash(bytes_t text, int kind);
uint64_t shelf_isbn_number(bytes_t isbn);

#endif
