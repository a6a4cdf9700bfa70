/* test_core_parts.c: roles, and the map, slab, heap and deduplication window against the simplest that could work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "broker/core/dedup.h"
#include "broker/core/heap.h"
#include "broker/core/map.h"
#include "broker/core/memory.h"
#include "broker/core/role.h"
#include "broker/core/sha256.h"
#include "broker/core/slab.h"
#include "tests/lib/random.h"

#define THINGS 500
#define ROUNDS 100000

/* -- map ------------------------------------------------------------------------------------------------- */
static bool value_is(const void *ctx, uint32_t value, const void *key)
{
    return ((const uint64_t *)ctx)[value] == *(const uint64_t *)key;
}

static void a_map_finds_what_is_in_and_nothing_else(void **state)
{
    (void)state;
    uint64_t keys[THINGS + 1] = {0};
    bool in[THINGS + 1] = {0};
    random_t random = {1};
    map_t map = {0};
    for (uint32_t i = 1; i <= THINGS; i++)
        keys[i] = random_below(&random, 1 << 20) << 10 | i;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t i = 1 + (uint32_t)random_below(&random, THINGS);
        uint32_t hash = (uint32_t)(keys[i] & 63); /* crowded on purpose */
        assert_int_equal(map_find(&map, hash, value_is, keys, &keys[i]), in[i] ? i : 0);
        if (in[i])
            map_drop(&map, hash, i);
        else
            map_add(&map, hash, i);
        in[i] = !in[i];
    }
    map_free(&map);
}

static void a_wide_map_finds_what_is_in_and_holds_at_most_fourteen_bytes_for_each(void **state)
{
    (void)state;
    enum { ENTRIES = 200000 };
    static uint64_t keys[ENTRIES + 1];
    static wide_map_t map;
    random_t random = {4};
    for (uint32_t i = 1; i <= ENTRIES; i++) {
        keys[i] = i;
        wide_map_add(&map, map_hash_pair(i, 0), i);
    }
    for (uint32_t i = 1; i <= ENTRIES; i++)
        assert_int_equal(wide_map_find(&map, map_hash_pair(i, 0), value_is, keys, &keys[i]), i);
    size_t slots = 0;
    for (uint32_t i = 0; i < WIDE_MAP_PARTS; i++)
        slots += map.parts[i].size;
    assert_true(slots * sizeof(map_slot_t) <= 14 * (size_t)ENTRIES);
    for (uint32_t i = 1; i <= ENTRIES; i += 2)
        wide_map_drop(&map, map_hash_pair(i, 0), i);
    wide_map_drop(&map, map_hash_pair(1, 0), 1); /* not in: nothing happens */
    assert_int_equal(map.count, ENTRIES / 2);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t i = 1 + (uint32_t)random_below(&random, ENTRIES);
        assert_int_equal(wide_map_find(&map, map_hash_pair(i, 0), value_is, keys, &keys[i]), i % 2 ? 0 : i);
    }
    wide_map_free(&map);
}

/* Steps of half a table in 1,024 parts: no addition may do the work of a table of all entries. */
static void a_wide_map_grows_by_one_part_at_a_time(void **state)
{
    (void)state;
    enum { ENTRIES = 300000 };
    static wide_map_t map;
    uint32_t grown = 0;
    for (uint32_t i = 1; i <= ENTRIES; i++) {
        uint32_t hash = map_hash_pair(i, 1), size = map.parts[hash % WIDE_MAP_PARTS].size;
        wide_map_add(&map, hash, i);
        bool grew = map.parts[hash % WIDE_MAP_PARTS].size != size;
        if (i > ENTRIES / 2)
            grown += grew;
        assert_true(!grew || size < 2 * ENTRIES / WIDE_MAP_PARTS);
    }
    assert_in_range(grown, WIDE_MAP_PARTS, 3 * WIDE_MAP_PARTS); /* doubled since: each one or two times */
    wide_map_free(&map);
}

/* -- slab ------------------------------------------------------------------------------------------------ */
static void a_slab_gives_each_thing_its_own_place_and_uses_it_again(void **state)
{
    (void)state;
    enum { ITEMS = 3 << SLAB_CHUNK_BITS };
    slab_t slab;
    slab_init(&slab, 12);
    for (uint32_t i = 1; i <= ITEMS; i++) {
        static const uint8_t nothing[12];
        uint32_t id = slab_take(&slab);
        assert_int_equal(id, i);
        assert_memory_equal(slab_at(&slab, id), nothing, sizeof nothing);
        memset(slab_at(&slab, id), (int)(i % 251), 12);
    }
    const uint8_t *first = slab_at(&slab, 1);
    for (uint32_t i = 1; i <= ITEMS; i++)
        assert_int_equal(((const uint8_t *)slab_at(&slab, i))[11], i % 251);
    slab_give(&slab, 7);
    slab_give(&slab, ITEMS);
    assert_int_equal(slab.used, ITEMS - 2);
    assert_int_equal(((const uint8_t *)slab_at(&slab, 7))[4], 7); /* all but the first 4 bytes are kept */
    assert_int_equal(slab_take(&slab), ITEMS);
    assert_int_equal(slab_take(&slab), 7);
    assert_int_equal(slab_take(&slab), ITEMS + 1);
    assert_int_equal(slab.made, ITEMS + 1);
    assert_ptr_equal(slab_at(&slab, 1), first);
    slab_free(&slab);
}

/* -- heap ------------------------------------------------------------------------------------------------ */
typedef struct {
    int64_t due[THINGS + 1];
    uint32_t place[THINGS + 1];
} timers_t;

static bool before(const void *ctx, uint32_t a, uint32_t b)
{
    const timers_t *t = ctx;
    return t->due[a] != t->due[b] ? t->due[a] < t->due[b] : a < b;
}

static uint32_t *place(void *ctx, uint32_t id)
{
    return &((timers_t *)ctx)->place[id];
}

static uint32_t earliest(const timers_t *t)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i <= THINGS; i++)
        if (t->place[i] && (!best || before(t, i, best)))
            best = i;
    return best;
}

static void a_heap_has_the_earliest_on_top(void **state)
{
    (void)state;
    static const heap_kind_t kind = {before, place};
    timers_t timers = {0};
    random_t random = {2};
    heap_t heap;
    heap_init(&heap, &kind, &timers);
    for (int round = 0; round < ROUNDS / 10; round++) {
        uint32_t i = 1 + (uint32_t)random_below(&random, THINGS);
        if (random_below(&random, 3)) {
            timers.due[i] = (int64_t)random_below(&random, 1000);
            heap_set(&heap, i);
        } else {
            heap_drop(&heap, i);
        }
        assert_int_equal(heap_top(&heap), earliest(&timers));
    }
    heap_free(&heap);
}

/* -- deduplication ----------------------------------------------------------------------------------------- */
static void a_key_is_known_for_its_window_exactly(void **state)
{
    (void)state;
    enum { WINDOW = 1000 };
    struct {
        uint64_t record;
        int64_t at;
    } last[THINGS] = {0};
    random_t random = {3};
    dedup_t dedup = {0};
    int64_t now = 5000;
    for (uint64_t record = 1; record < ROUNDS; record++) {
        char text[32];
        now += (int64_t)random_below(&random, 20);
        uint64_t i = random_below(&random, THINGS);
        (void)snprintf(text, sizeof text, "key-%llu-%.*s", (unsigned long long)i, (int)(i % 9), "aaaaaaaaa");
        uint64_t known = last[i].record && last[i].at >= now - WINDOW ? last[i].record : 0;
        assert_int_equal(dedup_find(&dedup, bytes_cstr(text), now - WINDOW), known);
        if (known)
            continue;
        dedup_add(&dedup, bytes_cstr(text), record, now, now - WINDOW);
        last[i].record = record;
        last[i].at = now;
    }
    dedup_free(&dedup);
}

/* -- roles ------------------------------------------------------------------------------------------------ */
static void a_role_allows_names_and_prefixes_and_nothing_else(void **state)
{
    (void)state;
    error_t err = {0};
    roles_t *roles = roles_parse(BYTES_LIT("{\"a\":{\"publish\":[\"bus\",\"x-*\"],\"observe\":true},\"b\":{}}"), &err);
    assert_non_null(roles);
    const role_t *a = roles_find(roles, BYTES_LIT("a")), *b = roles_find(roles, BYTES_LIT("b"));
    assert_non_null(b);
    assert_true(role_allows(a, ROLE_PUBLISH, BYTES_LIT("bus")));
    assert_true(role_allows(a, ROLE_PUBLISH, BYTES_LIT("x-1")));
    assert_false(role_allows(a, ROLE_PUBLISH, BYTES_LIT("bus2")));
    assert_false(role_allows(a, ROLE_PUBLISH, BYTES_LIT("*")));
    assert_false(role_allows(a, ROLE_SEND, BYTES_LIT("bus")));
    assert_true(role_may_observe(a) && !role_is_admin(a) && !role_may_observe(b));
    assert_null(roles_find(roles, BYTES_LIT("c")));
    assert_true(role_is_admin(role_all()) && role_allows(role_all(), ROLE_PERMITS, BYTES_LIT("any")));
    roles_free(&roles);
    assert_null(roles);
}

static void wrong_roles_are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "object"},
        {"{\"a\":1}", "object"},
        {"{\"a\":{\"fly\":[]}}", "\"fly\""},
        {"{\"a\":{\"send\":\"q\"}}", "\"send\""},
        {"{\"a\":{\"send\":[\"a*b\"]}}", "star"},
        {"{\"a\":{\"admin\":1}}", "\"admin\""},
        {"{\"a\":{\"send\":[],\"send\":[]}}", "twice"},
        {"{\"a\":{},\"a\":{}}", "distinct"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        error_t err = {0};
        assert_null(roles_parse(bytes_cstr(cases[i].json), &err));
        if (!strstr(err.message, strcmp(cases[i].says, "star") == 0 ? "at most one *" : cases[i].says))
            fail_msg("%s: %s", cases[i].json, err.message);
    }
}

/* -- SHA-256 ---------------------------------------------------------------------------------------------- */
static void the_digest_is_what_others_compute(void **state)
{
    (void)state;
    static const struct {
        size_t len; /* of so many letters a */
        const char *hex;
    } cases[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {3, "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"},
        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
        {120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
        {1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"},
    };
    char text[1000], hex[SHA256_HEX_BYTES];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sha256_hex(bytes_from(text, cases[i].len), hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_finds_what_is_in_and_nothing_else),
        cmocka_unit_test(a_wide_map_finds_what_is_in_and_holds_at_most_fourteen_bytes_for_each),
        cmocka_unit_test(a_wide_map_grows_by_one_part_at_a_time),
        cmocka_unit_test(a_slab_gives_each_thing_its_own_place_and_uses_it_again),
        cmocka_unit_test(a_heap_has_the_earliest_on_top),
        cmocka_unit_test(a_key_is_known_for_its_window_exactly),
        cmocka_unit_test(a_role_allows_names_and_prefixes_and_nothing_else),
        cmocka_unit_test(the_digest_is_what_others_compute),
        cmocka_unit_test(wrong_roles_are_refused_with_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
