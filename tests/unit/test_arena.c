/* test_arena.c: memory for one message, with a ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/arena.h"

static void what_is_taken_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    arena_t a;
    arena_init(&a, 0);
    uint8_t *last = NULL;
    for (size_t size = 1; size < 3000; size += 7) {
        uint8_t *p = arena_alloc(&a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
        assert_true(p != last);
        last = p;
    }
    arena_free(&a);
}

static void the_ceiling_holds(void **state)
{
    (void)state;
    arena_t a;
    arena_init(&a, 10000);
    assert_null(arena_alloc(&a, 10001));
    assert_null(arena_alloc(&a, 10000));
    size_t taken = 0;
    while (arena_alloc(&a, 100))
        taken += 100;
    assert_in_range(taken, 8000, 10000);
    assert_true(a.used_bytes <= 10000);
    arena_free(&a);
    assert_int_equal(a.used_bytes, 0);
}

static void an_array_whose_size_overflows_is_refused(void **state)
{
    (void)state;
    arena_t a;
    arena_init(&a, 0);
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_array(&a, 0, 8));
    arena_free(&a);
}

static void a_reset_keeps_one_block_and_zeroes_again(void **state)
{
    (void)state;
    arena_t a;
    arena_init(&a, 0);
    for (int i = 0; i < 10; i++) {
        uint8_t *p = arena_alloc(&a, 3000);
        assert_non_null(p);
        memset(p, 0xff, 3000);
    }
    arena_reset(&a);
    assert_in_range(a.used_bytes, 1, 2 * ARENA_BLOCK_BYTES);
    uint8_t *again = arena_alloc(&a, 3000);
    assert_non_null(again);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(again[i], 0);
    arena_free(&a);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 1));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_zeroed_aligned_and_apart),
        cmocka_unit_test(the_ceiling_holds),
        cmocka_unit_test(an_array_whose_size_overflows_is_refused),
        cmocka_unit_test(a_reset_keeps_one_block_and_zeroes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
