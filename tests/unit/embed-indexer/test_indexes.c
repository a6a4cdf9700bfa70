/* Each test is one sentence about the parts of the index: pairs of characters, vectors, rankings, the table of numbers.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "services/embed-indexer/bigrams.h"
#include "services/embed-indexer/vectors.h"
#include "tests/lib/random.h"

/* -- pairs of characters ---------------------------------------------------------------------------- */
static void on_found(void *ctx, uint32_t work, float score)
{
    ranking_offer(ctx, work, score);
}

static ranking_t look(bigrams_t *bigrams, const char *key)
{
    ranking_t found = {.count = 0};
    bigrams_search(bigrams, bytes_cstr(key), on_found, &found);
    ranking_sort(&found);
    return found;
}

static void put(bigrams_t *bigrams, uint32_t work, const char *first, const char *second)
{
    bytes_t fields[] = {bytes_cstr(first), bytes_cstr(second)};
    assert_true(bigrams_set(bigrams, work, fields, second ? 2 : 1));
}

static void the_work_that_shares_most_rare_pairs_is_first(void **state)
{
    (void)state;
    bigrams_t *b = bigrams_new();
    put(b, 0, "ワンピース", "onepiece");
    put(b, 1, "ワンパンマン", NULL);
    put(b, 2, "鋼ノ錬金術師", NULL);
    ranking_t found = look(b, "ワンピース");
    assert_int_equal(found.count, 2);
    assert_int_equal(found.items[0].work, 0);
    assert_int_equal(found.items[1].work, 1);
    assert_int_equal(look(b, "onepiece").items[0].work, 0);
    assert_int_equal(look(b, "青").count, 0);
    assert_int_equal(look(b, "").count, 0);
    bigrams_free(&b);
}

static void pairs_do_not_reach_over_the_end_of_a_field(void **state)
{
    (void)state;
    bigrams_t *b = bigrams_new();
    put(b, 0, "ab", "cd");
    assert_int_equal(look(b, "bc").count, 0);
    assert_int_equal(look(b, "cd").count, 1);
    bigrams_free(&b);
}

static void a_title_of_one_character_is_found_by_it(void **state)
{
    (void)state;
    bigrams_t *b = bigrams_new();
    put(b, 7, "凪", NULL);
    assert_int_equal(look(b, "凪").items[0].work, 7);
    bigrams_free(&b);
}

static void a_changed_text_is_no_longer_found_by_the_old_one(void **state)
{
    (void)state;
    bigrams_t *b = bigrams_new();
    put(b, 0, "夏目", NULL);
    put(b, 0, "友人", NULL);
    assert_int_equal(look(b, "夏目").count, 0);
    assert_int_equal(look(b, "友人").count, 1);
    bigrams_free(&b);
}

static void a_very_long_text_is_bounded(void **state)
{
    (void)state;
    bigrams_t *b = bigrams_new();
    char text[9001];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + i * i % 26);
    text[sizeof text - 1] = '\0';
    put(b, 0, text, text);
    assert_int_equal(look(b, text).count, 1);
    bigrams_free(&b);
}

/* -- vectors ---------------------------------------------------------------------------------------- */
enum { ROWS = 3000, DIMENSION = 50 };

static float value(random_t *random)
{
    return (float)random_below(random, 2001) / 1000.0F - 1.0F;
}

static bytes_t row_bytes(const float *row)
{
    return bytes_from(row, DIMENSION * sizeof *row); /* this machine is little-endian, like the contract */
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < DIMENSION; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void the_scan_finds_what_comparing_all_by_hand_finds(void **state)
{
    (void)state;
    static float rows[ROWS][DIMENSION];
    _Alignas(64) float query[64];
    random_t random = {42};
    vectors_t vectors = {0};
    vectors_reset(&vectors, DIMENSION);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (size_t at = 0; at < DIMENSION; at++)
            rows[i][at] = value(&random);
        assert_true(vectors_set(&vectors, i, row_bytes(rows[i])));
    }
    for (uint32_t asked = 0; asked < ROWS; asked += 500) {
        ranking_t found = {.count = 0};
        assert_true(vectors_read(&vectors, row_bytes(rows[asked]), query));
        vectors_scan(&vectors, query, ROWS, NULL, &found);
        ranking_sort(&found);
        assert_int_equal(found.count, RANKING_MAX);
        assert_int_equal(found.items[0].work, asked);
        double least = cosine(rows[asked], rows[found.items[RANKING_MAX - 1].work]);
        size_t nearer = 0;
        for (uint32_t i = 0; i < ROWS; i++)
            nearer += cosine(rows[asked], rows[i]) > least + 1e-5;
        assert_true(nearer < RANKING_MAX); /* nothing nearer than the last was left out */
        for (size_t i = 0; i < found.count; i++)
            assert_true(fabs(cosine(rows[asked], rows[found.items[i].work]) - (double)found.items[i].score) < 1e-4);
    }
    vectors_free(&vectors);
}

static void only_allowed_rows_with_a_vector_are_offered(void **state)
{
    (void)state;
    float one[DIMENSION] = {1};
    _Alignas(64) float query[64];
    uint8_t allowed[3] = {1, 0, 1};
    ranking_t found = {.count = 0};
    vectors_t vectors = {0};
    vectors_reset(&vectors, DIMENSION);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(vectors_set(&vectors, i, row_bytes(one)));
    vectors_clear(&vectors, 2);
    assert_true(vectors_read(&vectors, row_bytes(one), query));
    vectors_scan(&vectors, query, 2000, NULL, &found); /* more rows than were ever set */
    assert_int_equal(found.count, 2);
    found.count = 0;
    vectors_scan(&vectors, query, 3, allowed, &found);
    assert_int_equal(found.count, 1);
    vectors_free(&vectors);
}

static void a_vector_of_another_length_or_without_a_number_is_refused(void **state)
{
    (void)state;
    float bad[DIMENSION] = {NAN};
    vectors_t vectors = {0};
    assert_false(vectors_set(&vectors, 0, row_bytes(bad))); /* no dimension yet */
    vectors_reset(&vectors, DIMENSION);
    assert_false(vectors_set(&vectors, 0, row_bytes(bad)));
    assert_false(vectors_set(&vectors, 0, bytes_from(bad, 8)));
    vectors_free(&vectors);
}

/* -- rankings --------------------------------------------------------------------------------------- */
static void a_ranking_keeps_the_greatest_in_order(void **state)
{
    (void)state;
    ranking_t r = {.count = 0};
    random_t random = {7};
    for (uint32_t i = 0; i < 5000; i++)
        ranking_offer(&r, i, i == 4321 ? 2.0F : value(&random));
    ranking_sort(&r);
    assert_int_equal(r.count, RANKING_MAX);
    assert_int_equal(r.items[0].work, 4321);
    for (size_t i = 1; i < r.count; i++)
        assert_true(r.items[i - 1].score >= r.items[i].score);
}

static void fusion_adds_the_reciprocals_of_ranks(void **state)
{
    (void)state;
    ranking_t a = {.items = {{1, 9}, {2, 8}}, .count = 2}, b = {.items = {{2, 0.5F}, {3, 0.4F}}, .count = 2};
    fused_t fused;
    ranking_fuse(&a, &b, &fused);
    assert_int_equal(fused.count, 3);
    assert_int_equal(fused.items[0].work, 2);
    assert_true(fabsf(fused.items[0].score - (1.0F / 62 + 1.0F / 61)) < 1e-6F);
    assert_int_equal(fused.items[1].work, 1);
    assert_int_equal(fused.items[2].work, 3);
}

static void a_table_of_numbers_gives_back_what_was_put_in(void **state)
{
    (void)state;
    numbers_t map = {0};
    assert_int_equal(numbers_get(&map, 5), NUMBERS_NONE);
    for (uint32_t i = 0; i < 100000; i++)
        assert_true(numbers_add(&map, (uint64_t)i * 1000003, i));
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(numbers_get(&map, (uint64_t)i * 1000003), i);
    assert_int_equal(numbers_get(&map, 1), NUMBERS_NONE);
    numbers_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_work_that_shares_most_rare_pairs_is_first),
        cmocka_unit_test(pairs_do_not_reach_over_the_end_of_a_field),
        cmocka_unit_test(a_title_of_one_character_is_found_by_it),
        cmocka_unit_test(a_changed_text_is_no_longer_found_by_the_old_one),
        cmocka_unit_test(a_very_long_text_is_bounded),
        cmocka_unit_test(the_scan_finds_what_comparing_all_by_hand_finds),
        cmocka_unit_test(only_allowed_rows_with_a_vector_are_offered),
        cmocka_unit_test(a_vector_of_another_length_or_without_a_number_is_refused),
        cmocka_unit_test(a_ranking_keeps_the_greatest_in_order),
        cmocka_unit_test(fusion_adds_the_reciprocals_of_ranks),
        cmocka_unit_test(a_table_of_numbers_gives_back_what_was_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
