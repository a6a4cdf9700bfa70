/* test_swr_cache.c: fresh, stale and gone; who refreshes; what tags and bounds evict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kit/swr_cache.h"

#define S INT64_C(1000000)
#define K(text) BYTES_LIT(text)

static swr_cache_t *made(size_t entries, size_t bytes)
{
    swr_cache_t *cache = swr_cache_new(&(swr_options_t){
        .entries_max = entries, .bytes_max = bytes, .fresh_us = 10 * S, .stale_us = 100 * S, .refresh_us = 5 * S});
    assert_non_null(cache);
    return cache;
}

static void put(swr_cache_t *cache, const char *key, const char *value, const char *tag, int64_t now_us)
{
    bytes_t tags[] = {bytes_cstr(tag), BYTES_LIT("all")};
    assert_true(swr_cache_put(cache, bytes_cstr(key), bytes_cstr(value), tags, tag ? 2 : 0, now_us));
}

static swr_found_t look(swr_cache_t *cache, const char *key, int64_t now_us)
{
    return swr_cache_get(cache, bytes_cstr(key), now_us, NULL, NULL);
}

static void an_entry_is_fresh_then_stale_then_gone(void **state)
{
    (void)state;
    swr_cache_t *cache = made(10, 10000);
    bytes_t value;
    int64_t age_us;
    assert_int_equal(look(cache, "k", 0), SWR_MISS);
    put(cache, "k", "v", NULL, S);
    assert_int_equal(swr_cache_get(cache, K("k"), 11 * S - 1, &value, &age_us), SWR_FRESH);
    assert_true(bytes_eq_cstr(value, "v"));
    assert_int_equal(age_us, 10 * S - 1);
    assert_int_equal(look(cache, "k", 11 * S), SWR_STALE_REFRESH);
    assert_int_equal(look(cache, "k", 101 * S - 1), SWR_STALE_REFRESH);
    assert_int_equal(look(cache, "k", 101 * S), SWR_MISS);
    assert_int_equal(swr_cache_stats(cache)->entries, 0);
    assert_int_equal(swr_cache_stats(cache)->bytes, 0);
    swr_cache_free(&cache);
}

static void one_of_those_who_find_it_stale_refreshes(void **state)
{
    (void)state;
    swr_cache_t *cache = made(10, 10000);
    put(cache, "k", "old", NULL, 0);
    assert_int_equal(look(cache, "k", 20 * S), SWR_STALE_REFRESH);
    for (int i = 0; i < 10; i++)
        assert_int_equal(look(cache, "k", 25 * S - 1), SWR_STALE);
    assert_int_equal(look(cache, "k", 25 * S), SWR_STALE_REFRESH); /* the first took too long */
    put(cache, "k", "new", NULL, 26 * S);
    assert_int_equal(look(cache, "k", 26 * S), SWR_FRESH);
    swr_cache_free(&cache);
}

static void a_tag_evicts_all_that_carry_it_and_nothing_else(void **state)
{
    (void)state;
    swr_cache_t *cache = made(100, 100000);
    put(cache, "a1", "v", "9784088820118", 0);
    put(cache, "a2", "v", "9784088820118", 0);
    put(cache, "b", "v", "9784088820125", 0);
    put(cache, "c", "v", NULL, 0);
    assert_int_equal(swr_cache_evict_tag(cache, K("9784088820118")), 2);
    assert_int_equal(look(cache, "a1", 0), SWR_MISS);
    assert_int_equal(look(cache, "b", 0), SWR_FRESH);
    assert_int_equal(swr_cache_evict_tag(cache, K("9784088820118")), 0);
    assert_int_equal(swr_cache_evict_tag(cache, K("all")), 1);
    assert_int_equal(look(cache, "c", 0), SWR_FRESH);
    swr_cache_free(&cache);
}

static void putting_again_forgets_the_old_tags(void **state)
{
    (void)state;
    swr_cache_t *cache = made(100, 100000);
    put(cache, "k", "v1", "x", 0);
    put(cache, "k", "v2", "y", 0);
    assert_int_equal(swr_cache_evict_tag(cache, K("x")), 0);
    assert_int_equal(swr_cache_evict_tag(cache, K("y")), 1);
    swr_cache_free(&cache);
}

static void the_same_tag_twice_is_no_harm(void **state)
{
    (void)state;
    swr_cache_t *cache = made(100, 100000);
    bytes_t tags[] = {BYTES_LIT("x"), BYTES_LIT("x"), BYTES_NONE};
    assert_true(swr_cache_put(cache, K("k"), K("v"), tags, 3, 0));
    assert_int_equal(swr_cache_evict_tag(cache, K("x")), 1);
    swr_cache_free(&cache);
}

static void the_one_not_used_for_the_longest_time_makes_room(void **state)
{
    (void)state;
    swr_cache_t *cache = made(3, 10000);
    put(cache, "a", "v", "t", 0);
    put(cache, "b", "v", "t", 0);
    put(cache, "c", "v", "t", 0);
    assert_int_equal(look(cache, "a", 0), SWR_FRESH);
    put(cache, "d", "v", "t", 0);
    assert_int_equal(look(cache, "b", 0), SWR_MISS);
    assert_int_equal(look(cache, "a", 0), SWR_FRESH);
    assert_int_equal(swr_cache_stats(cache)->evicted_for_room, 1);
    assert_int_equal(swr_cache_evict_tag(cache, K("t")), 3);
    swr_cache_free(&cache);
}

static void bytes_are_bounded_too(void **state)
{
    (void)state;
    swr_cache_t *cache = made(1000000, 20000);
    static char big[20001], key[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        assert_true(swr_cache_put(cache, bytes_cstr(key), bytes_from(big, 1000), NULL, 0, 0));
        assert_true(swr_cache_stats(cache)->bytes <= 20000);
    }
    assert_in_range(swr_cache_stats(cache)->entries, 10, 20);
    put(cache, "k", "v", NULL, 0);
    assert_false(swr_cache_put(cache, K("k"), bytes_from(big, sizeof big), NULL, 0, 0));
    assert_int_equal(look(cache, "k", 0), SWR_MISS); /* the old value would be a lie */
    swr_cache_free(&cache);
}

static void a_value_may_be_put_back_under_its_own_key(void **state)
{
    (void)state;
    swr_cache_t *cache = made(1, 10000);
    bytes_t value;
    put(cache, "k", "value", NULL, 0);
    assert_int_equal(swr_cache_get(cache, K("k"), 0, &value, NULL), SWR_FRESH);
    assert_true(swr_cache_put(cache, K("k"), value, NULL, 0, S));
    assert_int_equal(swr_cache_get(cache, K("k"), S, &value, NULL), SWR_FRESH);
    assert_true(bytes_eq_cstr(value, "value"));
    swr_cache_free(&cache);
}

static void one_entry_and_all_can_be_evicted(void **state)
{
    (void)state;
    swr_cache_t *cache = made(10, 10000);
    put(cache, "a", "v", "t", 0);
    put(cache, "b", "v", "t", 0);
    assert_true(swr_cache_evict(cache, K("a")));
    assert_false(swr_cache_evict(cache, K("a")));
    swr_cache_clear(cache);
    assert_int_equal(swr_cache_stats(cache)->entries, 0);
    swr_cache_free(&cache);
}

static void senseless_options_are_refused(void **state)
{
    (void)state;
    assert_null(swr_cache_new(&(swr_options_t){.entries_max = 1, .bytes_max = 1, .fresh_us = 2, .stale_us = 1}));
    assert_null(swr_cache_new(&(swr_options_t){.entries_max = 0, .bytes_max = 1, .fresh_us = 1, .stale_us = 1}));
    bytes_t tags[SWR_TAGS_MAX + 1] = {0};
    swr_cache_t *cache = made(10, 100000);
    assert_false(swr_cache_put(cache, K("k"), K("v"), tags, SWR_TAGS_MAX + 1, 0));
    swr_cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_fresh_then_stale_then_gone),
        cmocka_unit_test(one_of_those_who_find_it_stale_refreshes),
        cmocka_unit_test(a_tag_evicts_all_that_carry_it_and_nothing_else),
        cmocka_unit_test(putting_again_forgets_the_old_tags),
        cmocka_unit_test(the_same_tag_twice_is_no_harm),
        cmocka_unit_test(the_one_not_used_for_the_longest_time_makes_room),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(a_value_may_be_put_back_under_its_own_key),
        cmocka_unit_test(one_entry_and_all_can_be_evicted),
        cmocka_unit_test(senseless_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
