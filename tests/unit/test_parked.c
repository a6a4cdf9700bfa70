/* test_parked.c: deliveries that wait come back after the pause, in their order, and not for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/loop.h"
#include "kit/parked.h"

typedef struct {
    loop_t *loop;
    parked_t *parked;
    uint64_t seen[8];
    size_t count, rounds;
} fixture_t;

static void on_again(void *ctx, bus_delivery_t *delivery)
{
    fixture_t *f = ctx;
    f->seen[f->count++] = delivery->record;
    if (delivery->record == 2 && f->rounds++ < 2)
        assert_true(parked_put(f->parked, delivery)); /* what it waits for is still away */
    else if (delivery->record == 2)
        loop_stop(f->loop);
}

static void they_come_again_in_order_until_they_are_taken(void **state)
{
    (void)state;
    fixture_t f = {.loop = loop_new(NULL)};
    bus_delivery_t deliveries[] = {{.record = 1}, {.record = 2}, {.record = 3}};
    f.parked = parked_new(f.loop, 5, on_again, &f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(deliveries); i++)
        assert_true(parked_put(f.parked, &deliveries[i]));
    assert_int_equal(f.count, 0); /* never inside parked_put */
    loop_run(f.loop);
    static const uint64_t order[] = {1, 2, 3, 2, 2};
    assert_int_equal(f.count, ARRAY_LEN(order));
    assert_memory_equal(f.seen, order, sizeof order);
    parked_free(&f.parked);
    assert_null(f.parked);
    loop_free(&f.loop);
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    loop_t *loop = loop_new(NULL);
    bus_delivery_t delivery = {.record = 1};
    parked_t *parked = parked_new(loop, 60000, on_again, NULL, NULL);
    for (size_t i = 0; i < PARKED_MAX; i++)
        assert_true(parked_put(parked, &delivery));
    assert_false(parked_put(parked, &delivery));
    parked_free(&parked);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_again_in_order_until_they_are_taken),
        cmocka_unit_test(there_is_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
