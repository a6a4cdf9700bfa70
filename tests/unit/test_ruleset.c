/* test_ruleset.c: a ruleset finds what its patterns, asked one by one, would find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/rules/ruleset.h"
#include "tests/lib/msgpack_of.h"

#define RULES 200
#define EVENTS 3000
#define NONE_OF_THEM UINT32_MAX

static void the_ids_of_matching_rules_come_rising(void **state)
{
    (void)state;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    assert_non_null(s);
    assert_true(ruleset_add(s, 9, BYTES_LIT("{\"source\":[\"a\"]}"), &err));
    assert_true(ruleset_add(s, 3, BYTES_LIT("{\"source\":[{\"prefix\":\"a\"}]}"), &err));
    assert_true(ruleset_add(s, 5, BYTES_LIT("{\"source\":[\"b\"]}"), &err));
    assert_true(ruleset_add(s, 1, BYTES_LIT("{\"x\":[{\"exists\":false}]}"), &err));
    assert_true(ruleset_compile(s, &err));
    buf_t event = msgpack_of("{\"source\":\"a\"}");
    uint32_t ids[4] = {0};
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, ids, 4), 3);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 3);
    assert_int_equal(ids[2], 9);
    ids[1] = 77;
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, ids, 1), 3);
    assert_int_equal(ids[1], 77);
    buf_free(&event);
    ruleset_free(&s);
    assert_null(s);
}

static void a_compiled_ruleset_takes_no_more_rules(void **state)
{
    (void)state;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    assert_true(ruleset_compile(s, &err));
    assert_false(ruleset_add(s, 1, BYTES_LIT("{\"a\":[1]}"), &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    ruleset_free(&s);
}

static void a_refused_pattern_leaves_the_ruleset_usable(void **state)
{
    (void)state;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    assert_false(ruleset_add(s, 1, BYTES_LIT("{\"a\":[]}"), &err));
    assert_true(ruleset_add(s, 2, BYTES_LIT("{\"a\":[1]}"), &err));
    assert_true(ruleset_compile(s, &err));
    buf_t event = msgpack_of("{\"a\":1}");
    uint32_t id = 0;
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, &id, 1), 1);
    assert_int_equal(id, 2);
    buf_free(&event);
    ruleset_free(&s);
}

static void an_empty_ruleset_matches_nothing(void **state)
{
    (void)state;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    buf_t event = msgpack_of("{\"a\":1}");
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, NULL, 0), 0);
    assert_true(ruleset_compile(s, &err));
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, NULL, 0), 0);
    assert_int_equal(ruleset_match(s, BYTES_NONE, BYTES_NONE, NULL, 0), 0);
    buf_free(&event);
    ruleset_free(&s);
}

/* -- against the patterns one by one ---------------------------------------------------------------- */
static uint64_t random_state = 42;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static const char *const few_keys[] = {"a", "b", "c", "d"};
/* What an event has, what it may have, what is beside it, and a key that is two steps. */
static const char *const event_keys[] = {"source", "detail-type", "account",     "resources", "detail",
                                         "a",      "b",           "replay-name", "detail.a",  "version"};
static const char *const *keys = few_keys;
static uint32_t key_count = ARRAY_LEN(few_keys);
static const char *const values[] = {"\"x\"", "\"xy\"", "\"XY\"",       "\"\"",    "\"yxyx\"", "1",   "1.0",
                                     "7",     "true",   "\"10.0.0.7\"", "\"::1\"", "null",     "-3.5"};
static const char *const operators[] = {
    "{\"prefix\":\"x\"}",
    "{\"prefix\":\"\"}",
    "{\"prefix\":{\"equals-ignore-case\":\"X\"}}",
    "{\"suffix\":\"y\"}",
    "{\"suffix\":{\"equals-ignore-case\":\"xY\"}}",
    "{\"equals-ignore-case\":\"Xy\"}",
    "{\"wildcard\":\"*x*\"}",
    "{\"wildcard\":\"x*\"}",
    "{\"wildcard\":\"*yx\"}",
    "{\"wildcard\":\"*xyx*\"}",
    "{\"wildcard\":\"*\"}",
    "{\"wildcard\":\"xy\"}",
    "{\"anything-but\":\"x\"}",
    "{\"anything-but\":[1,7]}",
    "{\"anything-but\":{\"prefix\":[\"x\",\"xy\"]}}",
    "{\"anything-but\":{\"wildcard\":\"*x*\"}}",
    "{\"anything-but\":{\"wildcard\":\"*\"}}",
    "{\"anything-but\":{\"equals-ignore-case\":[\"XY\",\"\"]}}",
    "{\"numeric\":[\">\",0,\"<=\",7]}",
    "{\"numeric\":[\"<\",0]}",
    "{\"numeric\":[\"=\",1]}",
    "{\"cidr\":\"10.0.0.0/24\"}",
    "{\"cidr\":\"::/0\"}",
    "{\"exists\":true}",
    "{\"exists\":false}",
    "{\"allOf\":[{\"prefix\":\"x\"},{\"suffix\":\"y\"}]}",
    "{\"allOf\":[{\"anything-but\":\"x\"},{\"exists\":true}]}",
    "{\"allOf\":[{\"wildcard\":\"*y*\"},{\"anything-but\":\"xy\"}]}",
};

static void put_condition(buf_t *out)
{
    if (pick(3) == 0)
        buf_append_cstr(out, values[pick(ARRAY_LEN(values))]);
    else
        buf_append_cstr(out, operators[pick(ARRAY_LEN(operators))]);
}

static void put_pattern(buf_t *out, int depth, int ors)
{
    uint32_t members = 1 + pick(2);
    buf_append_cstr(out, "{");
    for (uint32_t i = 0; i < members; i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", keys[pick(key_count)]);
        if (depth > 0 && pick(10) < 4) {
            put_pattern(out, depth - 1, ors);
            continue;
        }
        buf_append_cstr(out, "[");
        put_condition(out);
        if (pick(2)) {
            buf_append_cstr(out, ",");
            put_condition(out);
        }
        buf_append_cstr(out, "]");
    }
    if (ors > 0 && pick(4) == 0) {
        buf_append_cstr(out, ",\"$or\":[");
        put_pattern(out, depth > 0 ? depth - 1 : 0, ors - 1);
        buf_append_cstr(out, ",");
        put_pattern(out, depth > 0 ? depth - 1 : 0, ors - 1);
        buf_append_cstr(out, "]");
    }
    buf_append_cstr(out, "}");
}

static void put_value(buf_t *out, int depth);

static void put_object(buf_t *out, int depth)
{
    uint32_t members = pick(4);
    buf_append_cstr(out, "{");
    for (uint32_t i = 0; i < members; i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", keys[pick(key_count)]);
        put_value(out, depth - 1);
    }
    buf_append_cstr(out, "}");
}

static void put_value(buf_t *out, int depth)
{
    uint32_t kind = depth > 0 ? pick(4) : 3;
    if (kind == 0) {
        put_object(out, depth);
    } else if (kind == 1) {
        uint32_t items = pick(4);
        buf_append_cstr(out, "[");
        for (uint32_t i = 0; i < items; i++) {
            buf_append_cstr(out, i ? "," : "");
            put_value(out, depth - 1);
        }
        buf_append_cstr(out, "]");
    } else {
        buf_append_cstr(out, values[pick(ARRAY_LEN(values))]);
    }
}

static void build(ruleset_t *s, pattern_t **patterns)
{
    error_t err = {0};
    for (uint32_t i = 0; i < RULES; i++) {
        buf_t json = {0};
        put_pattern(&json, 2, 2);
        patterns[i] = pattern_compile_with(buf_bytes(&json), (pattern_options_t){.all_of = true}, &err);
        assert_non_null(patterns[i]);
        assert_true(ruleset_add_with(s, i, buf_bytes(&json), (pattern_options_t){.all_of = true}, &err));
        buf_free(&json);
    }
    assert_true(ruleset_compile(s, &err));
}

static void a_ruleset_agrees_with_its_patterns_one_by_one(void **state)
{
    (void)state;
    pattern_t *patterns[RULES];
    ruleset_t *s = ruleset_new();
    build(s, patterns);
    size_t all = 0;
    for (int n = 0; n < EVENTS; n++) {
        buf_t json = {0};
        put_object(&json, 4);
        buf_t event = msgpack_of(buf_cstr(&json));
        uint32_t ids[RULES], expected = 0;
        size_t found = ruleset_match(s, buf_bytes(&event), BYTES_NONE, ids, RULES);
        for (uint32_t i = 0; i < RULES; i++)
            if (pattern_match(patterns[i], buf_bytes(&event), BYTES_NONE)) {
                if (expected >= found || ids[expected] != i)
                    fail_msg("rule %u is not found in %s", i, buf_cstr(&json));
                expected++;
            }
        assert_int_equal(found, expected);
        all += found;
        buf_free(&event);
        buf_free(&json);
    }
    assert_true(all > EVENTS); /* the test would be empty if nothing matched */
    for (uint32_t i = 0; i < RULES; i++)
        pattern_free(&patterns[i]);
    ruleset_free(&s);
}

/* -- events that were read -------------------------------------------------------------------------- */
static void put_member(buf_t *out, const char *name, const char *value)
{
    buf_printf(out, "%s\"%s\":%s", out->len > 1 ? "," : "", name, value);
}

static void put_event(buf_t *out)
{
    static const char *const texts[] = {"\"x\"", "\"xy\"", "\"XY\"", "\"yxyx\"", "\"10.0.0.7\""};
    static const char *const optional[] = {"account", "version", "region"};
    buf_append_cstr(out, "{");
    put_member(out, "id", texts[pick(ARRAY_LEN(texts))]);
    put_member(out, "source", texts[pick(ARRAY_LEN(texts))]);
    put_member(out, "detail-type", texts[pick(ARRAY_LEN(texts))]);
    for (size_t i = 0; i < ARRAY_LEN(optional); i++)
        if (pick(2))
            put_member(out, optional[i], texts[pick(2)]);
    if (pick(2))
        put_member(out, "resources", pick(2) ? "[\"x\",\"xy\"]" : "[]");
    put_member(out, "time", "\"2026-01-30T20:15:12Z\"");
    buf_append_cstr(out, ",\"detail\":");
    put_object(out, 4);
    if (pick(3) == 0) {
        buf_append_cstr(out, pick(2) ? ",\"a\":" : ",\"detail.a\":");
        put_value(out, 3);
    }
    buf_append_cstr(out, "}");
}

static void an_event_that_was_read_meets_the_rules_that_its_bytes_meet(void **state)
{
    (void)state;
    pattern_t *patterns[RULES];
    ruleset_t *s = ruleset_new();
    size_t all = 0, walked = 0;
    keys = event_keys;
    key_count = ARRAY_LEN(event_keys);
    build(s, patterns);
    for (int n = 0; n < EVENTS; n++) {
        buf_t json = {0};
        put_event(&json);
        buf_t event = msgpack_of(buf_cstr(&json));
        uint32_t expected[RULES], ids[RULES];
        envelope_t envelope;
        error_t err = {0};
        bytes_t replay = pick(3) ? BYTES_NONE : BYTES_LIT("x");
        if (!envelope_read(buf_bytes(&event), &envelope, &err))
            fail_msg("%s: %s", buf_cstr(&json), err.message);
        size_t count = ruleset_match(s, buf_bytes(&event), replay, expected, RULES);
        size_t found = ruleset_match_envelope(s, &envelope, buf_bytes(&event), replay, ids, RULES);
        if (found != count || memcmp(ids, expected, count * sizeof *ids) != 0)
            fail_msg("%zu rules instead of %zu for %s", found, count, buf_cstr(&json));
        all += found;
        walked += envelope.has_more_keys;
        buf_free(&event);
        buf_free(&json);
    }
    assert_true(all > EVENTS && walked > EVENTS / 10 && walked < EVENTS / 2);
    for (uint32_t i = 0; i < RULES; i++)
        pattern_free(&patterns[i]);
    ruleset_free(&s);
    keys = few_keys;
    key_count = ARRAY_LEN(few_keys);
}

/* -- what a match may cost ---------------------------------------------------------------------------- */
/* {"a":[ITEM,ITEM,…]} */
static buf_t array_of(const char *item, size_t count)
{
    buf_t json = {0};
    buf_append_cstr(&json, "{\"a\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(&json, "%s%s", i ? "," : "", item);
    buf_append_cstr(&json, "]}");
    buf_t event = msgpack_of(buf_cstr(&json));
    buf_free(&json);
    return event;
}

static void assert_costs_too_much(const ruleset_t *s, const char *item, size_t count)
{
    buf_t event = array_of(item, count);
    uint32_t id;
    assert_true(ruleset_match(s, buf_bytes(&event), BYTES_NONE, &id, 1) == RULESET_TOO_COSTLY);
    buf_free(&event);
}

static void an_event_that_would_take_too_long_is_given_up(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "{\"a\":[7]}", "{\"a\":[{\"suffix\":\"-7\"},{\"prefix\":{\"equals-ignore-case\":\"\u00e9x\"}}]}",
        "{\"a\":{\"x\":[1],\"y\":[2]}}", "{\"a\":[{\"wildcard\":\"*x*y*\"}]}"};
    static const char *const items[] = {"1", "\"\u00c9\u00c9\"", "{\"x\":1},{\"y\":2}", "\"xxxxxxxxxxxxxxxxxxxxxxxx\""};
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        error_t err = {0};
        ruleset_t *s = ruleset_new();
        assert_true(ruleset_add(s, 5, bytes_cstr(patterns[i]), &err));
        assert_true(ruleset_compile(s, &err));
        assert_costs_too_much(s, items[i], 60000);
        uint32_t id = 0;
        buf_t event = array_of(i == 2 ? "{\"x\":1,\"y\":2}" : i == 3 ? "\"xy\"" : i == 1 ? "\"-7\"" : "7", 3);
        assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, &id, 1),
                         1); /* the next one is none the worse */
        assert_int_equal(id, 5);
        buf_free(&event);
        ruleset_free(&s);
    }
}

static void what_no_rule_asks_for_costs_nothing(void **state)
{
    (void)state;
    error_t err = {0};
    uint32_t id;
    ruleset_t *s = ruleset_new();
    assert_true(ruleset_add(s, 0, BYTES_LIT("{\"b\":[{\"exists\":false}]}"), &err));
    assert_true(ruleset_compile(s, &err));
    buf_t event = array_of("1", 1000000);
    assert_int_equal(ruleset_match(s, buf_bytes(&event), BYTES_NONE, &id, 1), 1);
    buf_free(&event);
    ruleset_free(&s);
}

/* As events of several kinds come by turns: where a key led to is remembered, and must not be where it leads not. */
static void keys_are_not_taken_for_those_of_the_event_before(void **state)
{
    (void)state;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    assert_true(ruleset_add(s, 0, BYTES_LIT("{\"abcdefgh\":[1]}"), &err));
    assert_true(ruleset_add(s, 1, BYTES_LIT("{\"abcdefghi\":[1]}"), &err));
    assert_true(ruleset_add(s, 2, BYTES_LIT("{\"a\":{\"b\":[1]}}"), &err));
    assert_true(ruleset_add(s, 3, BYTES_LIT("{\"abcdefghijklmnopqrstuvwxyz\":[1]}"), &err));
    assert_true(ruleset_compile(s, &err));
    static const struct {
        const char *event;
        uint32_t id;
    } cases[] = {{"{\"abcdefgh\":1,\"pad\":\"0123456789012345\"}", 0},
                 {"{\"abcdefghi\":1,\"pad\":\"0123456789012345\"}", 1},
                 {"{\"abcdefgx\":1,\"pad\":\"0123456789012345\"}", NONE_OF_THEM},
                 {"{\"abcdefghx\":1,\"pad\":\"0123456789012345\"}", NONE_OF_THEM},
                 {"{\"a.b\":1,\"pad\":\"0123456789012345678901\"}", 2},
                 {"{\"a\":{\"b\":1},\"pad\":\"0123456789012345678901\"}", 2},
                 {"{\"abcdefghijklmnopqrstuvwxyz\":1}", 3},
                 {"{\"abcdefghijklmnopqrstuvwxyy\":1}", NONE_OF_THEM}};
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(cases) * 2; i++) {
        size_t n = i % 2 ? i / 2 % ARRAY_LEN(cases) : i / 2 / ARRAY_LEN(cases); /* each after each */
        buf_t event = msgpack_of(cases[n].event);
        uint32_t id = NONE_OF_THEM;
        size_t found = ruleset_match(s, buf_bytes(&event), BYTES_NONE, &id, 1);
        assert_int_equal(found, cases[n].id != NONE_OF_THEM);
        assert_int_equal(id, cases[n].id);
        buf_free(&event);
    }
    ruleset_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ids_of_matching_rules_come_rising),
        cmocka_unit_test(a_compiled_ruleset_takes_no_more_rules),
        cmocka_unit_test(a_refused_pattern_leaves_the_ruleset_usable),
        cmocka_unit_test(an_empty_ruleset_matches_nothing),
        cmocka_unit_test(a_ruleset_agrees_with_its_patterns_one_by_one),
        cmocka_unit_test(an_event_that_was_read_meets_the_rules_that_its_bytes_meet),
        cmocka_unit_test(an_event_that_would_take_too_long_is_given_up),
        cmocka_unit_test(what_no_rule_asks_for_costs_nothing),
        cmocka_unit_test(keys_are_not_taken_for_those_of_the_event_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
