/* test_catalogue.c: the catalogue is the same from one seed, its ISBNs are valid and unique, nothing is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/sims/erp-sim/catalogue.h"
#include "tools/sims/erp-sim/stock.h"

#define SEED 42

static sim_catalogue_t *catalogue(const char *path, uint64_t seed)
{
    error_t err = {0};
    sim_catalogue_t *made = sim_catalogue_new(path, seed, &err);
    if (!made)
        fail_msg("%s", err.message);
    return made;
}

static const sim_work_t *work_named(const sim_catalogue_t *books, const char *title)
{
    for (size_t i = 0; i < sim_catalogue_works(books); i++)
        if (bytes_eq_cstr(sim_catalogue_work(books, i)->title, title))
            return sim_catalogue_work(books, i);
    return NULL;
}

static void at_least_sixty_real_works_are_built_in(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    assert_true(sim_catalogue_works(books) >= 60);
    const sim_work_t *work = work_named(books, "ONE PIECE");
    assert_non_null(work);
    assert_true(work->volumes >= 105);
    assert_true(bytes_eq_cstr(work->title_kana, "ワンピース"));
    assert_true(bytes_eq_cstr(work->title_en, "One Piece"));
    assert_true(bytes_eq_cstr(work->creators, "尾田栄一郎"));
    assert_int_equal(work_named(books, "鬼滅の刃")->volumes, 23);
    assert_int_equal(work_named(books, "ドラゴンボール")->volumes, 42);
    assert_int_equal(work_named(books, "NARUTO-ナルト-")->volumes, 72);
    assert_int_equal(work_named(books, "進撃の巨人")->volumes, 34);
    assert_int_equal(work_named(books, "SLAM DUNK")->volumes, 31);
    sim_catalogue_free(&books);
}

static void every_row_of_the_table_is_whole(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    for (size_t i = 0; i < sim_catalogue_works(books); i++) {
        const sim_work_t *work = sim_catalogue_work(books, i);
        assert_true(work->title.len && work->title_kana.len && work->title_en.len && work->creators.len);
        assert_true(work->publisher.len && work->genres.len);
        assert_in_range(work->volumes, 1, SIM_BLOCK_ISBNS - 2);
        assert_true(work->last_day >= work->first_day);
        assert_ptr_equal(work_named(books, (const char *)work->title.data), work);
    }
    sim_catalogue_free(&books);
}

static void walking_the_pages_meets_every_volume_once_with_a_valid_isbn(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    sim_volume_t volume, found;
    char last[ISBN13_TEXT_BYTES] = "";
    uint64_t met = 0;
    while (sim_catalogue_after(books, bytes_cstr(last), &volume)) {
        assert_true(isbn13_is_valid(bytes_cstr(volume.isbn)));
        assert_true(strcmp(volume.isbn, last) > 0);
        assert_true(sim_catalogue_find(books, bytes_cstr(volume.isbn), &found));
        assert_int_equal(found.body, volume.body);
        assert_in_range(volume.price_jpy, 400, 1000);
        memcpy(last, volume.isbn, sizeof(last));
        met++;
    }
    assert_int_equal(met, sim_catalogue_volumes(books));
    sim_catalogue_free(&books);
}

static void one_seed_gives_one_catalogue_and_another_seed_the_same_isbns(void **state)
{
    (void)state;
    sim_catalogue_t *a = catalogue(NULL, SEED), *b = catalogue(NULL, SEED), *other = catalogue(NULL, SEED + 1);
    unsigned differing_prices = 0;
    for (size_t i = 0; i < sim_catalogue_works(a); i++) {
        sim_volume_t from_a, from_b, from_other;
        sim_catalogue_volume(a, i, 1, &from_a);
        sim_catalogue_volume(b, i, 1, &from_b);
        sim_catalogue_volume(other, i, 1, &from_other);
        assert_string_equal(from_a.isbn, from_b.isbn);
        assert_int_equal(from_a.price_jpy, from_b.price_jpy);
        assert_int_equal(from_a.updated_s, from_b.updated_s);
        assert_string_equal(from_a.isbn, from_other.isbn);
        differing_prices += from_a.price_jpy != from_other.price_jpy;
    }
    assert_true(differing_prices > 10);
    sim_catalogue_free(&a);
    sim_catalogue_free(&b);
    sim_catalogue_free(&other);
}

static void one_piece_42_has_the_same_isbn_for_ever_and_is_in_stock(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    sim_stock_book_t *stock = sim_stock_book_new(SEED);
    sim_volume_t volume;
    sim_stock_t lines[SIM_WAREHOUSES];
    assert_true(sim_catalogue_find(books, BYTES_LIT("9784000000420"), &volume));
    assert_true(bytes_eq_cstr(volume.work->title, "ONE PIECE"));
    assert_int_equal(volume.number, 42);
    assert_in_range(sim_stock_lines(stock, &volume, BYTES_NONE, lines), 1, SIM_WAREHOUSES);
    assert_string_equal(lines[0].warehouse, "TK01");
    assert_string_equal(lines[0].status, "01");
    assert_true(lines[0].quantity > SIM_STOCK_LOW_MAX);
    sim_stock_book_free(&stock);
    sim_catalogue_free(&books);
}

static void isbns_that_are_not_sold_are_not_found(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    sim_volume_t volume;
    assert_false(sim_catalogue_find(books, BYTES_LIT("9784000000421"), &volume)); /* check digit */
    assert_false(sim_catalogue_find(books, BYTES_LIT("9780306406157"), &volume)); /* not 978-4 */
    assert_false(sim_catalogue_find(books, BYTES_LIT("9784000000000"), &volume)); /* volume 0 */
    assert_false(sim_catalogue_find(books, BYTES_LIT("9784999999996"), &volume)); /* beyond the last block */
    assert_false(sim_catalogue_find(books, BYTES_NONE, &volume));
    sim_catalogue_free(&books);
}

static void each_status_code_and_every_warehouse_occurs(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    sim_stock_book_t *stock = sim_stock_book_new(SEED);
    unsigned seen[5] = {0}, lines_total = 0;
    sim_volume_t volume;
    char last[ISBN13_TEXT_BYTES] = "";
    while (sim_catalogue_after(books, bytes_cstr(last), &volume)) {
        sim_stock_t lines[SIM_WAREHOUSES];
        size_t count = sim_stock_lines(stock, &volume, BYTES_NONE, lines);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(lines[i].quantity == 0, lines[i].eta_days >= 0);
            seen[lines[i].status[1] - '0']++;
        }
        lines_total += (unsigned)count;
        memcpy(last, volume.isbn, sizeof(last));
    }
    for (size_t i = 1; i <= 4; i++)
        assert_true(seen[i] > 0);
    assert_true(lines_total > 2 * sim_catalogue_volumes(books));
    sim_stock_book_free(&stock);
    sim_catalogue_free(&books);
}

static void a_quantity_that_was_set_replaces_the_derived_one(void **state)
{
    (void)state;
    sim_catalogue_t *books = catalogue(NULL, SEED);
    sim_stock_book_t *stock = sim_stock_book_new(SEED);
    sim_volume_t volume;
    sim_stock_t lines[SIM_WAREHOUSES];
    error_t err = {0};
    sim_catalogue_volume(books, 0, 42, &volume);
    assert_true(sim_stock_set(stock, &volume, BYTES_LIT("TK01"), 3, &err));
    assert_int_equal(sim_stock_lines(stock, &volume, BYTES_LIT("TK01"), lines), 1);
    assert_int_equal(lines[0].quantity, 3);
    assert_string_equal(lines[0].status, "02");
    assert_false(sim_stock_set(stock, &volume, BYTES_LIT("XX99"), 3, &err));
    assert_false(sim_stock_set(stock, &volume, BYTES_LIT("TK01"), -1, &err));
    sim_stock_book_free(&stock);
    sim_catalogue_free(&books);
}

/* -- the file -------------------------------------------------------------------------------------------- */
static void with_file(const char *text, char path[32])
{
    (void)snprintf(path, 32, "/tmp/catalogue.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

#define HEADER "madb_id\ttitle\ttitle_kana\tcreators\tcreators_kana\tfirst_published\n"

static void a_file_adds_its_works_but_none_that_is_built_in(void **state)
{
    (void)state;
    char path[32];
    with_file(HEADER "C1\tクローズ\tクローズ\t髙橋ヒロシ\tタカハシヒロシ\t2008-11-20\n"
                     "C2\tONE PIECE\tワンピース\t尾田栄一郎\tオダエイイチロウ\t1997-08-04\n"
                     "C3\t恋する❤\tコイスル\t\t\t\r\n",
              path);
    sim_catalogue_t *plain = catalogue(NULL, SEED), *books = catalogue(path, SEED);
    assert_int_equal(sim_catalogue_works(books), sim_catalogue_works(plain) + 2);
    size_t at = sim_catalogue_works(plain);
    assert_true(bytes_eq_cstr(sim_catalogue_work(books, at)->title, "クローズ"));
    assert_int_equal(sim_catalogue_work(books, at)->block, SIM_BUILTIN_BLOCKS);
    assert_int_equal(sim_catalogue_work(books, at + 1)->block, SIM_BUILTIN_BLOCKS + 2);
    assert_true(sim_catalogue_work(books, at)->volumes >= 1);
    sim_catalogue_free(&plain);
    sim_catalogue_free(&books);
    (void)unlink(path);
}

static void a_file_that_is_none_is_refused_with_its_line(void **state)
{
    (void)state;
    char path[32];
    error_t err = {0};
    with_file("not\tthe\tcolumns\n", path);
    assert_null(sim_catalogue_new(path, SEED, &err));
    assert_non_null(strstr(err.message, "line 1"));
    (void)unlink(path);
    with_file(HEADER "C1\t\xFF\xFE\tx\ty\tz\t\n", path);
    assert_null(sim_catalogue_new(path, SEED, &err));
    assert_non_null(strstr(err.message, "line 2"));
    (void)unlink(path);
    assert_null(sim_catalogue_new("/nonexistent/works.tsv", SEED, &err));
    assert_int_equal(err.code, STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_least_sixty_real_works_are_built_in),
        cmocka_unit_test(every_row_of_the_table_is_whole),
        cmocka_unit_test(walking_the_pages_meets_every_volume_once_with_a_valid_isbn),
        cmocka_unit_test(one_seed_gives_one_catalogue_and_another_seed_the_same_isbns),
        cmocka_unit_test(one_piece_42_has_the_same_isbn_for_ever_and_is_in_stock),
        cmocka_unit_test(isbns_that_are_not_sold_are_not_found),
        cmocka_unit_test(each_status_code_and_every_warehouse_occurs),
        cmocka_unit_test(a_quantity_that_was_set_replaces_the_derived_one),
        cmocka_unit_test(a_file_adds_its_works_but_none_that_is_built_in),
        cmocka_unit_test(a_file_that_is_none_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
