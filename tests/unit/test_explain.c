/* test_explain.c: each test is one sentence about what can be said of a pattern, with an event and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "broker/rules/explain.h"
#include "proto/json.h"

static pattern_t *compile(const char *json)
{
    error_t err = {0};
    pattern_t *pattern = pattern_compile_with(bytes_cstr(json), (pattern_options_t){.all_of = true}, &err);
    if (!pattern)
        fail_msg("%s: %s", json, err.message);
    return pattern;
}

static void assert_explained(const char *pattern_json, const char *event_json, const char *expected_json)
{
    pattern_t *pattern = compile(pattern_json);
    buf_t event = {0}, map = {0}, text = {0};
    explanation_t why;
    assert_true(json_to_msgpack(bytes_cstr(event_json), NULL, &event, NULL));
    (void)pattern_explain(pattern, buf_bytes(&event), BYTES_NONE, &why);
    explanation_put(&why, &map);
    assert_true(json_from_msgpack(buf_bytes(&map), JSON_COMPACT, &text, NULL));
    assert_string_equal(buf_cstr(&text), expected_json);
    explanation_free(&why);
    buf_free(&event);
    buf_free(&map);
    buf_free(&text);
    pattern_free(&pattern);
}

static void the_first_field_that_fails_is_named_with_what_was_wanted_and_found(void **state)
{
    (void)state;
    assert_explained("{\"a\":[1]}", "{\"a\":1}", "{\"matched\":true}");
    assert_explained("{\"a\":[1],\"d\":{\"b\":[{\"prefix\":\"x\"}],\"c\":[2]}}",
                     "{\"a\":1,\"d\":{\"b\":[\"y\",\"z\"]}}",
                     "{\"matched\":false,\"reason\":\"value\",\"path\":\"d.b\",\"wanted\":[{\"prefix\":\"x\"}],"
                     "\"found\":[\"y\",\"z\"],\"met\":1,\"fields\":3}");
}

static void what_is_missing_or_must_be_absent_is_told_apart(void **state)
{
    (void)state;
    assert_explained("{\"a\":[1]}", "{}",
                     "{\"matched\":false,\"reason\":\"missing\",\"path\":\"a\",\"wanted\":[1],\"found\":[],\"met\":0,"
                     "\"fields\":1}");
    assert_explained(
        "{\"a\":[{\"exists\":true}]}", "{\"a\":{\"b\":1}}",
        "{\"matched\":false,\"reason\":\"missing\",\"path\":\"a\",\"wanted\":[{\"exists\":true}],\"found\":"
        "[{\"b\":1}],\"met\":0,\"fields\":1}");
    assert_explained(
        "{\"a\":[{\"exists\":false}]}", "{\"a\":null}",
        "{\"matched\":false,\"reason\":\"present\",\"path\":\"a\",\"wanted\":[{\"exists\":false}],\"found\":"
        "[null],\"met\":0,\"fields\":1}");
}

static void an_array_none_of_whose_elements_meets_all_is_named(void **state)
{
    (void)state;
    assert_explained(
        "{\"l\":{\"x\":[1],\"y\":[2]}}", "{\"l\":[{\"x\":1},{\"y\":2}]}",
        "{\"matched\":false,\"reason\":\"element\",\"path\":\"l\",\"wanted\":null,\"found\":null,\"met\":2,"
        "\"fields\":2}");
}

static void of_several_branches_the_nearest_is_explained(void **state)
{
    (void)state;
    assert_explained("{\"$or\":[{\"a\":[1],\"b\":[1]},{\"a\":[2],\"c\":[3]}]}", "{\"a\":2,\"c\":4}",
                     "{\"matched\":false,\"reason\":\"value\",\"path\":\"c\",\"wanted\":[3],\"found\":[4],\"met\":1,"
                     "\"fields\":2}");
}

static void what_is_no_event_is_said_to_be_broken(void **state)
{
    (void)state;
    assert_explained("{\"a\":[1]}", "[]",
                     "{\"matched\":false,\"reason\":\"broken\",\"path\":\"\",\"wanted\":null,\"found\":null,\"met\":0,"
                     "\"fields\":0}");
}

static bool is_dead(const char *json)
{
    pattern_t *pattern = compile(json);
    buf_t why = {0};
    bool dead = pattern_is_dead(pattern, &why);
    assert_true(dead == (why.len > 0));
    buf_free(&why);
    pattern_free(&pattern);
    return dead;
}

static void what_no_event_can_meet_is_dead(void **state)
{
    (void)state;
    assert_true(is_dead("{\"source\":[1,null]}"));
    assert_true(is_dead("{\"source\":[{\"exists\":false}]}"));
    assert_true(is_dead("{\"source\":{\"x\":[1]}}"));
    assert_true(is_dead("{\"detail\":[\"x\"]}"));
    assert_true(is_dead("{\"resources\":[{\"numeric\":[\"=\",1]}]}"));
    assert_true(is_dead("{\"detail\":{\"a\":[{\"allOf\":[{\"prefix\":\"a\"},{\"prefix\":\"b\"}]}]}}"));
    assert_true(is_dead("{\"detail\":{\"a\":[{\"allOf\":[{\"numeric\":[\">\",5]},{\"numeric\":[\"<\",5]}]}]}}"));
    assert_true(is_dead("{\"detail\":{\"a\":[{\"allOf\":[\"x\",{\"anything-but\":[\"x\"]}]}]}}"));
    assert_true(is_dead("{\"$or\":[{\"source\":[1]},{\"detail\":[1]}]}"));
}

static void what_some_event_may_meet_is_not(void **state)
{
    (void)state;
    assert_false(is_dead("{\"source\":[1,\"a\"]}"));
    assert_false(is_dead("{\"source\":[{\"anything-but\":[1]}]}"));
    assert_false(is_dead("{\"resources\":[{\"exists\":false}]}"));
    assert_false(is_dead("{\"replay-name\":[{\"exists\":false}]}"));
    assert_false(is_dead("{\"detail\":{\"a\":[1],\"b\":[{\"exists\":false}]}}"));
    assert_false(is_dead("{\"detail\":[{\"exists\":false}]}"));
    assert_false(is_dead("{\"$or\":[{\"source\":[1]},{\"source\":[\"a\"]}]}"));
    assert_false(is_dead("{\"detail\":{\"a\":[{\"allOf\":[{\"prefix\":\"a\"},{\"prefix\":\"ab\"}]}]}}"));
}

static bool covers(const char *outer, const char *inner)
{
    pattern_t *a = compile(outer), *b = compile(inner);
    bool yes = pattern_covers(a, b);
    pattern_free(&a);
    pattern_free(&b);
    return yes;
}

static void a_pattern_covers_what_asks_more(void **state)
{
    (void)state;
    assert_true(covers("{\"a\":[1,2]}", "{\"a\":[2],\"b\":[3]}"));
    assert_true(covers("{\"a\":[{\"prefix\":\"x\"}]}", "{\"a\":[\"xy\",{\"prefix\":\"xx\"},{\"wildcard\":\"x*y\"}]}"));
    assert_true(covers("{\"a\":[{\"numeric\":[\">\",0]}]}", "{\"a\":[5,{\"numeric\":[\">\",1,\"<\",2]}]}"));
    assert_true(covers("{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":[\"10.1.2.3\",{\"cidr\":\"10.2.0.0/16\"}]}"));
    assert_true(covers("{\"a\":[{\"anything-but\":[\"x\"]}]}", "{\"a\":[{\"anything-but\":[\"x\",\"y\"]},\"z\"]}"));
    assert_true(covers("{\"a\":[{\"exists\":true}]}", "{\"a\":[{\"suffix\":\"x\"}]}"));
    assert_true(covers("{\"a\":[1],\"$or\":[{\"b\":[1]},{\"c\":[1]}]}", "{\"c\":[1],\"a\":[1]}"));
    assert_true(covers("{\"a.b\":[{\"equals-ignore-case\":\"X\"}]}", "{\"a\":{\"b\":[\"x\"]}}"));
}

static void a_pattern_does_not_cover_what_asks_less_or_else(void **state)
{
    (void)state;
    assert_false(covers("{\"a\":[1],\"b\":[2]}", "{\"a\":[1]}"));
    assert_false(covers("{\"a\":[{\"prefix\":\"xx\"}]}", "{\"a\":[{\"prefix\":\"x\"}]}"));
    assert_false(covers("{\"a\":[{\"anything-but\":[\"x\",\"y\"]}]}", "{\"a\":[{\"anything-but\":[\"x\"]}]}"));
    assert_false(covers("{\"a\":[{\"exists\":true}]}", "{\"a\":[{\"exists\":false}]}"));
    assert_false(covers("{\"b\":[1]}", "{\"a\":[1]}"));
    /* In an array b may be absent beside a, and there elsewhere. */
    assert_false(covers("{\"i\":{\"b\":[{\"exists\":false}]}}", "{\"i\":{\"a\":[1],\"b\":[{\"exists\":false}]}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_field_that_fails_is_named_with_what_was_wanted_and_found),
        cmocka_unit_test(what_is_missing_or_must_be_absent_is_told_apart),
        cmocka_unit_test(an_array_none_of_whose_elements_meets_all_is_named),
        cmocka_unit_test(of_several_branches_the_nearest_is_explained),
        cmocka_unit_test(what_is_no_event_is_said_to_be_broken),
        cmocka_unit_test(what_no_event_can_meet_is_dead),
        cmocka_unit_test(what_some_event_may_meet_is_not),
        cmocka_unit_test(a_pattern_covers_what_asks_more),
        cmocka_unit_test(a_pattern_does_not_cover_what_asks_less_or_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
