/* Each test is one sentence about works, their texts, and the search over the shelf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "services/embed-indexer/shelf.h"
#include "services/embed-indexer/work_text.h"

#define ISBN_FIRST INT64_C(9784000000000)

static book_t book(const char *title, int64_t volume)
{
    book_t b = {.isbn = BYTES_LIT("9784088725093"), .title = bytes_cstr(title)};
    SCHEMA_SET(&b, volume, volume);
    return b;
}

static const bytes_t ODA[] = {{(const uint8_t *)"尾田栄一郎", 15}};

/* -- texts ------------------------------------------------------------------------------------------ */
static void the_text_has_no_volume_price_or_date(void **state)
{
    (void)state;
    book_t a = book("ONE PIECE", 1), b = book("ONE PIECE", 42);
    char first[SIGV4_HEX_CHARS + 1], second[SIGV4_HEX_CHARS + 1];
    SCHEMA_SET(&b, price_jpy, 500);
    SCHEMA_SET(&b, published_on, BYTES_LIT("2006-07-04"));
    SCHEMA_SET(&b, version, 9);
    work_text_hash(&a, first);
    work_text_hash(&b, second);
    assert_string_equal(first, second);
    SCHEMA_SET(&b, synopsis, BYTES_LIT("海賊"));
    work_text_hash(&b, second);
    assert_string_not_equal(first, second);
}

static void the_hash_of_a_text_does_not_drift(void **state)
{
    (void)state;
    book_t b = book("ONE PIECE", 1);
    char hash[SIGV4_HEX_CHARS + 1];
    SCHEMA_SET(&b, title_kana, BYTES_LIT("ワンピース"));
    SCHEMA_SET(&b, creators, ((bytes_list_t){ODA, 1}));
    work_text_hash(&b, hash);
    /* sha256("template 1\nONE PIECE\nワンピース\n尾田栄一郎\n"); another value means that all is embedded anew */
    assert_string_equal(hash, "13f1a561837432cd5903f8e74a0e07ef6012c64debe0f7f2e0718767ab9e9d83");
}

static void one_work_is_one_title_and_creators_in_any_spelling(void **state)
{
    (void)state;
    book_t a = book("ONE PIECE", 1), b = book("Ｏｎｅ　Piece", 2), c = book("ONE PIECE", 1);
    assert_true(work_text_id(&a) == work_text_id(&b));
    SCHEMA_SET(&c, creators, ((bytes_list_t){ODA, 1}));
    assert_true(work_text_id(&a) != work_text_id(&c));
}

static void the_lowest_volume_speaks_for_its_work(void **state)
{
    (void)state;
    book_t first = book("x", 2), tenth = book("x", 10), none = book("x", 0);
    char a[WORK_TEXT_SPEAKER_BYTES], b[WORK_TEXT_SPEAKER_BYTES], c[WORK_TEXT_SPEAKER_BYTES];
    none.has_volume = false;
    work_text_speaker(&first, a);
    work_text_speaker(&tenth, b);
    work_text_speaker(&none, c);
    assert_true(strcmp(a, b) < 0 && strcmp(b, c) < 0);
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    static char synopsis[15001];
    for (size_t i = 0; i < 15000; i += 3)
        memcpy(synopsis + i, "海", 3);
    book_t b = book("ab", 1);
    buf_t text = {0};
    SCHEMA_SET(&b, synopsis, bytes_cstr(synopsis));
    work_text_write(&text, &b);
    assert_true(text.len <= WORK_TEXT_MAX_BYTES && text.len > WORK_TEXT_MAX_BYTES - 4);
    assert_true(bytes_is_utf8(buf_bytes(&text), NULL));
    buf_free(&text);
}

/* -- search ----------------------------------------------------------------------------------------- */
typedef struct {
    shelf_t *shelf;
    int64_t next_isbn;
    shelf_hit_t hits[SHELF_HITS_MAX];
} library_t;

static void put_volumes(library_t *l, int64_t work_id, const char *title, int volumes)
{
    book_t speaker = book(title, 1);
    error_t err;
    assert_true(shelf_put_work(l->shelf, work_id, (uint64_t)work_id, &speaker, &err));
    for (int volume = 1; volume <= volumes; volume++) {
        char isbn[ISBN13_TEXT_BYTES];
        (void)snprintf(isbn, sizeof isbn, "%lld", (long long)l->next_isbn++);
        shelf_book_t b = {.work_id = work_id,
                          .isbn = bytes_cstr(isbn),
                          .volume = volume,
                          .price_jpy = 400 + volume,
                          .publisher = BYTES_LIT("集英社")};
        assert_true(shelf_put_book(l->shelf, &b, &err));
    }
}

/* ONE PIECE has the ISBNs from ISBN_FIRST on, ONE PUNCH those from 100 on. */
static void library_make(library_t *l)
{
    *l = (library_t){.shelf = shelf_new(), .next_isbn = ISBN_FIRST};
    assert_non_null(l->shelf);
    put_volumes(l, 1, "ONE PIECE", 100);
    put_volumes(l, 2, "ONE PUNCH", 30);
    put_volumes(l, 3, "AREA 88", 10);
}

static size_t find(library_t *l, const char *text, size_t limit, const search_filters_t *filters)
{
    shelf_query_t query = {.text = bytes_cstr(text), .by_text = true, .limit = limit, .filters = filters};
    return shelf_search(l->shelf, &query, l->hits);
}

static int64_t hit_at(const library_t *l, size_t i)
{
    return strtoll(l->hits[i].isbn, NULL, 10) - ISBN_FIRST;
}

static void each_work_gives_its_first_volume_before_any_gives_its_second(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    assert_int_equal(find(&l, "one piece", 4, NULL), 4);
    assert_int_equal(hit_at(&l, 0), 0);
    assert_int_equal(hit_at(&l, 1), 100);
    assert_int_equal(hit_at(&l, 2), 1);
    assert_int_equal(hit_at(&l, 3), 2);
    for (size_t i = 1; i < 4; i++)
        assert_true(l.hits[i].score < l.hits[i - 1].score);
    shelf_free(&l.shelf);
}

static void a_volume_in_the_text_is_the_one_that_is_found(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    assert_int_equal(find(&l, "one piece 42巻", 10, NULL), 1); /* ONE PUNCH has no such volume */
    assert_int_equal(hit_at(&l, 0), 41);
    assert_int_equal(find(&l, "one piece 7巻", 10, NULL), 2);
    assert_int_equal(hit_at(&l, 0), 6);
    assert_int_equal(hit_at(&l, 1), 106);
    assert_true(find(&l, "one piece 999巻", 10, NULL) > 2); /* nobody has it */
    assert_int_equal(hit_at(&l, 0), 0);
    assert_true(find(&l, "one punch 42巻", 10, NULL) > 0); /* another has it, the named one has not */
    assert_int_equal(hit_at(&l, 0), 100);
    shelf_free(&l.shelf);
}

static void a_bare_number_belongs_to_the_title_that_has_it(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    assert_true(find(&l, "area 88", 10, NULL) >= 1);
    assert_int_equal(hit_at(&l, 0), 130);
    assert_true(find(&l, "one piece 88", 10, NULL) >= 1);
    assert_int_equal(hit_at(&l, 0), 87);
    shelf_free(&l.shelf);
}

static void filters_choose_among_volumes(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    search_filters_t filters = {0};
    SCHEMA_SET(&filters, min_price_jpy, 450);
    assert_true(find(&l, "one piece", 1, &filters) == 1);
    assert_int_equal(hit_at(&l, 0), 49);
    SCHEMA_SET(&filters, publisher, BYTES_LIT("小学館"));
    assert_int_equal(find(&l, "one piece", 10, &filters), 0);
    shelf_free(&l.shelf);
}

static void a_book_that_moves_to_another_work_is_in_that_alone(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    error_t err;
    shelf_book_t b = {.work_id = 3, .isbn = BYTES_LIT("9784000000000"), .volume = 500, .price_jpy = -1};
    assert_true(shelf_put_book(l.shelf, &b, &err));
    assert_int_equal(shelf_books(l.shelf), 140);
    assert_int_equal(find(&l, "area88 500巻", 10, NULL), 1);
    assert_int_equal(hit_at(&l, 0), 0);
    (void)find(&l, "one piece", 1, NULL);
    assert_int_equal(hit_at(&l, 0), 1);
    shelf_free(&l.shelf);
}

static void books_of_works_with_a_vector_are_counted(void **state)
{
    (void)state;
    library_t l;
    library_make(&l);
    float vector[4] = {1, 2, 3, 4};
    error_t err;
    assert_false(shelf_put_vector(l.shelf, 1, bytes_from(vector, sizeof vector), &err));
    shelf_vectors_reset(l.shelf, 4);
    assert_true(shelf_put_vector(l.shelf, 2, bytes_from(vector, sizeof vector), &err));
    assert_true(shelf_put_vector(l.shelf, 2, bytes_from(vector, sizeof vector), &err));
    assert_int_equal(shelf_embedded_books(l.shelf), 30);
    shelf_query_t query = {.text = BYTES_LIT("?"), .vector = bytes_from(vector, sizeof vector), .limit = 1};
    assert_int_equal(shelf_search(l.shelf, &query, l.hits), 1);
    assert_int_equal(hit_at(&l, 0), 100);
    assert_true(shelf_put_vector(l.shelf, 2, BYTES_NONE, &err));
    assert_int_equal(shelf_embedded_books(l.shelf), 0);
    assert_int_equal(shelf_search(l.shelf, &query, l.hits), 0);
    shelf_free(&l.shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_has_no_volume_price_or_date),
        cmocka_unit_test(the_hash_of_a_text_does_not_drift),
        cmocka_unit_test(one_work_is_one_title_and_creators_in_any_spelling),
        cmocka_unit_test(the_lowest_volume_speaks_for_its_work),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(each_work_gives_its_first_volume_before_any_gives_its_second),
        cmocka_unit_test(a_volume_in_the_text_is_the_one_that_is_found),
        cmocka_unit_test(a_bare_number_belongs_to_the_title_that_has_it),
        cmocka_unit_test(filters_choose_among_volumes),
        cmocka_unit_test(a_book_that_moves_to_another_work_is_in_that_alone),
        cmocka_unit_test(books_of_works_with_a_vector_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
