/* shelf.c: the tables of books and works, and how a change of either reaches the indexes. */
#include <stdlib.h>

#include "kit/hash.h"
#include "kit/text.h"
#include "services/embed-indexer/shelf_internal.h"

#define FIRST_CAPACITY 256

shelf_t *shelf_new(void)
{
    shelf_t *self = calloc(1, sizeof *self);
    if (self)
        self->bigrams = bigrams_new();
    if (self && !self->bigrams)
        shelf_free(&self);
    return self;
}

void shelf_free(shelf_t **shelf)
{
    shelf_t *self = *shelf;
    if (!self)
        return;
    for (uint32_t i = 0; i < self->work_count; i++)
        free(self->works[i].tags);
    numbers_free(&self->book_numbers);
    numbers_free(&self->work_numbers);
    bigrams_free(&self->bigrams);
    vectors_free(&self->vectors);
    free(self->books);
    free(self->works);
    free(self->allowed);
    free(self);
    *shelf = NULL;
}

uint64_t shelf_hash(bytes_t text, int kind)
{
    buf_t key = {0};
    text_key(&key, text);
    uint64_t hash = key.len ? hash_bytes(buf_bytes(&key), (uint64_t)kind + 1) | 1 : 0;
    buf_free(&key);
    return hash;
}

uint64_t shelf_isbn_number(bytes_t isbn)
{
    uint64_t number = 0;
    for (size_t i = 0; i < isbn.len; i++)
        number = number * 10 + (uint64_t)(isbn.data[i] - '0');
    return number;
}

/* -- room ------------------------------------------------------------------------------------------- */
static bool no_room(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the index in memory is full or memory is short");
}

static bool works_reach(shelf_t *self)
{
    if (self->work_count < self->work_capacity)
        return true;
    uint32_t capacity = self->work_capacity ? self->work_capacity * 2 : FIRST_CAPACITY;
    shelf_work_t *works = realloc(self->works, capacity * sizeof *works);
    if (works)
        self->works = works;
    uint8_t *allowed = realloc(self->allowed, capacity);
    if (allowed)
        self->allowed = allowed;
    if (!works || !allowed)
        return false;
    self->work_capacity = capacity;
    return true;
}

static bool books_reach(shelf_t *self)
{
    if (self->book_count < self->book_capacity)
        return true;
    uint32_t capacity = self->book_capacity ? self->book_capacity * 2 : FIRST_CAPACITY;
    shelf_volume_t *books = realloc(self->books, capacity * sizeof *books);
    if (!books)
        return false;
    self->books = books;
    self->book_capacity = capacity;
    return true;
}

/* The number of the work, made when it is new; SHELF_NONE without room. */
static uint32_t work_of(shelf_t *self, int64_t id)
{
    uint32_t number = numbers_get(&self->work_numbers, (uint64_t)id);
    if (number != NUMBERS_NONE)
        return number;
    if (self->work_count >= SHELF_WORKS_MAX || !works_reach(self) ||
        !numbers_add(&self->work_numbers, (uint64_t)id, self->work_count))
        return SHELF_NONE;
    self->works[self->work_count] = (shelf_work_t){.id = id, .first = SHELF_NONE};
    return self->work_count++;
}

static uint32_t book_of(shelf_t *self, uint64_t isbn)
{
    uint32_t number = numbers_get(&self->book_numbers, isbn);
    if (number != NUMBERS_NONE)
        return number;
    if (self->book_count >= SHELF_BOOKS_MAX || !books_reach(self) ||
        !numbers_add(&self->book_numbers, isbn, self->book_count))
        return SHELF_NONE;
    self->books[self->book_count] = (shelf_volume_t){.isbn = isbn, .work = SHELF_NONE, .next = SHELF_NONE};
    return self->book_count++;
}

/* -- books ------------------------------------------------------------------------------------------ */
static void book_leave(shelf_t *self, uint32_t number)
{
    shelf_volume_t *book = &self->books[number];
    if (book->work == SHELF_NONE)
        return;
    shelf_work_t *work = &self->works[book->work];
    uint32_t *link = &work->first;
    while (*link != number)
        link = &self->books[*link].next;
    *link = book->next;
    work->books--;
    self->embedded_books -= work->has_vector;
    book->work = SHELF_NONE;
}

static void book_enter(shelf_t *self, uint32_t number, uint32_t work_number)
{
    shelf_work_t *work = &self->works[work_number];
    self->books[number].work = work_number;
    self->books[number].next = work->first;
    work->first = number;
    work->books++;
    self->embedded_books += work->has_vector;
}

bool shelf_put_book(shelf_t *shelf, const shelf_book_t *book, error_t *err)
{
    uint32_t number = book_of(shelf, shelf_isbn_number(book->isbn));
    uint32_t work = number == SHELF_NONE ? SHELF_NONE : work_of(shelf, book->work_id);
    if (work == SHELF_NONE)
        return no_room(err);
    shelf_volume_t *kept = &shelf->books[number];
    kept->volume = (int32_t)book->volume;
    kept->price_jpy = book->price_jpy;
    kept->publisher = book->publisher.len ? shelf_hash(book->publisher, SHELF_PUBLISHER) : 0;
    kept->is_discontinued = book->is_discontinued;
    kept->is_sold_out = book->is_sold_out;
    if (kept->work != work) {
        book_leave(shelf, number);
        book_enter(shelf, number, work);
    }
    return true;
}

/* -- works ------------------------------------------------------------------------------------------ */
static bool tags_set(shelf_work_t *work, const book_t *b)
{
    uint32_t genres = b->has_genres ? b->genres.count : 0, creators = b->has_creators ? b->creators.count : 0;
    uint64_t *tags = calloc(genres + creators + 1, sizeof *tags);
    if (!tags)
        return false;
    for (uint32_t i = 0; i < genres; i++)
        tags[i] = shelf_hash(b->genres.items[i], SHELF_GENRE);
    for (uint32_t i = 0; i < creators; i++)
        tags[genres + i] = shelf_hash(b->creators.items[i], SHELF_CREATOR);
    free(work->tags);
    work->tags = tags;
    work->tag_count = genres + creators;
    return true;
}

/* The fields lie one behind the other in `keys`, ends[i] being where the i-th ends. */
typedef struct {
    buf_t keys;
    size_t ends[SHELF_NAMES + 32];
    size_t count;
} fields_t;

static void fields_add(fields_t *fields, bool has, bytes_t text)
{
    if (!has || fields->count == ARRAY_LEN(fields->ends))
        return;
    text_key(&fields->keys, text);
    fields->ends[fields->count++] = fields->keys.len;
}

static bool text_index(shelf_t *self, uint32_t number, const book_t *b)
{
    fields_t fields = {0};
    bytes_t slices[ARRAY_LEN(fields.ends)];
    fields_add(&fields, true, b->title);
    fields_add(&fields, b->has_title_kana, b->title_kana);
    fields_add(&fields, b->has_title_en, b->title_en);
    for (uint32_t i = 0; b->has_creators && i < b->creators.count; i++)
        fields_add(&fields, true, b->creators.items[i]);
    for (size_t i = 0, from = 0; i < fields.count; from = fields.ends[i++])
        slices[i] = bytes_from(fields.keys.data + from, fields.ends[i] - from);
    bool ok = !fields.keys.failed && bigrams_set(self->bigrams, number, slices, fields.count);
    buf_free(&fields.keys);
    return ok;
}

bool shelf_put_work(shelf_t *shelf, int64_t work_id, uint64_t mark, const book_t *speaker, error_t *err)
{
    uint32_t number = work_of(shelf, work_id);
    if (number == SHELF_NONE)
        return no_room(err);
    shelf_work_t *work = &shelf->works[number];
    if (work->has_text && work->mark == mark)
        return true;
    if (!tags_set(work, speaker) || !text_index(shelf, number, speaker))
        return no_room(err);
    /* Names of different kinds compare with one another: a query may be any of them. */
    work->names[SHELF_TITLE] = shelf_hash(speaker->title, SHELF_TITLE);
    work->names[SHELF_KANA] = speaker->has_title_kana ? shelf_hash(speaker->title_kana, SHELF_TITLE) : 0;
    work->names[SHELF_ENGLISH] = speaker->has_title_en ? shelf_hash(speaker->title_en, SHELF_TITLE) : 0;
    work->mark = mark;
    work->has_text = true;
    return true;
}

/* -- vectors ---------------------------------------------------------------------------------------- */
void shelf_vectors_reset(shelf_t *shelf, size_t dimension)
{
    vectors_reset(&shelf->vectors, dimension);
    for (uint32_t i = 0; i < shelf->work_count; i++)
        shelf->works[i].has_vector = false;
    shelf->embedded_books = 0;
}

static void vector_mark(shelf_t *self, shelf_work_t *work, bool has_vector)
{
    if (work->has_vector && !has_vector)
        self->embedded_books -= work->books;
    if (!work->has_vector && has_vector)
        self->embedded_books += work->books;
    work->has_vector = has_vector;
}

bool shelf_put_vector(shelf_t *shelf, int64_t work_id, bytes_t vector, error_t *err)
{
    uint32_t number = work_of(shelf, work_id);
    if (number == SHELF_NONE)
        return no_room(err);
    if (vector.len == 0) {
        vectors_clear(&shelf->vectors, number);
        vector_mark(shelf, &shelf->works[number], false);
        return true;
    }
    if (!vectors_set(&shelf->vectors, number, vector))
        return error_set(err, STATUS_DATA_LOSS, NULL, "a vector of %zu bytes is not one of %zu finite elements",
                         vector.len, shelf->vectors.dimension);
    vector_mark(shelf, &shelf->works[number], true);
    return true;
}

size_t shelf_dimension(const shelf_t *shelf)
{
    return shelf->vectors.dimension;
}

size_t shelf_books(const shelf_t *shelf)
{
    return shelf->book_count;
}

size_t shelf_works(const shelf_t *shelf)
{
    return shelf->work_count;
}

size_t shelf_embedded_books(const shelf_t *shelf)
{
    return shelf->embedded_books;
}
