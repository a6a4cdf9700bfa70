/* test_pattern.c: each test is one sentence about event patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "broker/rules/pattern.h"
#include "proto/msgpack.h"
#include "tests/lib/msgpack_of.h"

static bool matches_replayed(const char *pattern_json, const char *event_json, const char *replay_name)
{
    error_t err = {0};
    pattern_t *pattern = pattern_compile(bytes_cstr(pattern_json), &err);
    if (!pattern)
        fail_msg("%s: %s", pattern_json, err.message);
    buf_t event = msgpack_of(event_json);
    bool matched = pattern_match(pattern, buf_bytes(&event), bytes_cstr(replay_name));
    buf_free(&event);
    pattern_free(&pattern);
    return matched;
}

static bool matches(const char *pattern_json, const char *event_json)
{
    return matches_replayed(pattern_json, event_json, "");
}

static void assert_refused(const char *pattern_json, status_t code, const char *reason)
{
    error_t err = {0};
    pattern_t *pattern = pattern_compile(bytes_cstr(pattern_json), &err);
    if (pattern)
        fail_msg("accepted: %s", pattern_json);
    assert_int_equal(err.code, code);
    assert_string_equal(err.aws, "InvalidEventPatternException");
    if (!strstr(err.message, reason))
        fail_msg("%s: \"%s\" does not say \"%s\"", pattern_json, err.message, reason);
}

static const char event[] =
    "{\"version\":\"0\",\"id\":\"1\",\"detail-type\":\"inventory.updated\",\"source\":\"manga-assist.inventory\","
    "\"account\":\"000000000000\",\"time\":\"2025-01-01T00:00:00Z\",\"region\":\"local\",\"resources\":[\"a\",\"b\"],"
    "\"detail\":{\"isbn\":\"9784088831234\",\"stock\":42,\"old\":null,\"empty\":\"\",\"on\":true,\"none\":{},\"list\":["
    "],"
    "\"warehouses\":[{\"code\":\"TYO\",\"n\":1},{\"code\":\"OSA\",\"n\":2}]}}";

static void a_field_matches_any_of_its_values_and_all_fields_must_match(void **state)
{
    (void)state;
    assert_true(matches("{\"source\":[\"x\",\"manga-assist.inventory\"]}", event));
    assert_true(matches("{\"source\":[\"manga-assist.inventory\"],\"detail\":{\"stock\":[42]}}", event));
    assert_false(matches("{\"source\":[\"manga-assist.inventory\"],\"detail\":{\"stock\":[43]}}", event));
    assert_false(matches("{\"source\":[\"MANGA-ASSIST.INVENTORY\"]}", event));
    assert_false(matches("{\"absent\":[\"x\"]}", event));
}

static void every_envelope_field_can_be_asked_for(void **state)
{
    (void)state;
    assert_true(matches("{\"version\":[\"0\"],\"id\":[\"1\"],\"detail-type\":[\"inventory.updated\"],"
                        "\"account\":[\"000000000000\"],\"time\":[{\"prefix\":\"2025-\"}],\"region\":[\"local\"],"
                        "\"resources\":[\"b\"]}",
                        event));
}

static void prefix_matches_the_beginning_of_strings_only(void **state)
{
    (void)state;
    assert_true(matches("{\"detail\":{\"isbn\":[{\"prefix\":\"978\"}]}}", event));
    assert_true(matches("{\"detail\":{\"isbn\":[{\"prefix\":\"\"}]}}", event));
    assert_false(matches("{\"detail\":{\"isbn\":[{\"prefix\":\"979\"}]}}", event));
    assert_false(matches("{\"detail\":{\"stock\":[{\"prefix\":\"4\"}]}}", event));
    assert_false(matches("{\"detail\":{\"stock\":[{\"prefix\":\"\"}]}}", event));
}

static void types_are_never_mixed_up(void **state)
{
    (void)state;
    assert_false(matches("{\"a\":[1]}", "{\"a\":true}"));
    assert_false(matches("{\"a\":[true]}", "{\"a\":1}"));
    assert_false(matches("{\"a\":[0]}", "{\"a\":false}"));
    assert_false(matches("{\"a\":[300]}", "{\"a\":\"300\"}"));
    assert_false(matches("{\"a\":[\"true\"]}", "{\"a\":true}"));
    assert_true(matches("{\"a\":[true]}", "{\"a\":true}"));
    assert_true(matches("{\"a\":[false]}", "{\"a\":false}"));
}

static void null_and_the_empty_string_are_two_things(void **state)
{
    (void)state;
    assert_true(matches("{\"detail\":{\"old\":[null],\"empty\":[\"\"]}}", event));
    assert_false(matches("{\"detail\":{\"old\":[\"\"]}}", event));
    assert_false(matches("{\"detail\":{\"empty\":[null]}}", event));
    assert_false(matches("{\"detail\":{\"missing\":[null]}}", event));
}

static void numbers_compare_by_value(void **state)
{
    (void)state;
    assert_true(matches("{\"a\":[300]}", "{\"a\":300.0}"));
    assert_true(matches("{\"a\":[3.0e2]}", "{\"a\":300}"));
    assert_true(matches("{\"a\":[-0]}", "{\"a\":0}"));
    assert_true(matches("{\"a\":[0]}", "{\"a\":-0.0}"));
    assert_true(matches("{\"a\":[9007199254740993]}", "{\"a\":9007199254740993}"));
    assert_false(matches("{\"a\":[9007199254740993]}", "{\"a\":9007199254740992}"));
    assert_true(matches("{\"a\":[18446744073709551615]}", "{\"a\":18446744073709551615}"));
    assert_false(matches("{\"a\":[18446744073709551615]}", "{\"a\":18446744073709551616}"));
    assert_false(matches("{\"a\":[-9223372036854775807]}", "{\"a\":-9223372036854775808}"));
    assert_true(matches("{\"a\":[1.12345678901234567890]}", "{\"a\":1.12345678901234567890}"));
    assert_false(matches("{\"a\":[1.12345678901234567890]}", "{\"a\":1.1234567890123457}"));
}

static void an_array_matches_by_any_of_its_elements(void **state)
{
    (void)state;
    assert_true(matches("{\"a\":[\"y\"]}", "{\"a\":[\"x\",\"y\"]}"));
    assert_true(matches("{\"a\":[2]}", "{\"a\":[1,[2,3]]}"));
    assert_false(matches("{\"a\":[4]}", "{\"a\":[1,[2,3]]}"));
}

static void fields_of_different_elements_are_never_combined(void **state)
{
    (void)state;
    assert_true(matches("{\"detail\":{\"warehouses\":{\"code\":[\"OSA\"],\"n\":[2]}}}", event));
    assert_false(matches("{\"detail\":{\"warehouses\":{\"code\":[\"TYO\"],\"n\":[2]}}}", event));
    assert_true(
        matches("{\"a\":{\"x\":[1]},\"b\":{\"y\":[2]}}", "{\"a\":[{\"x\":0},{\"x\":1}],\"b\":[{\"y\":2},{\"y\":3}]}"));
    assert_false(matches("{\"a\":{\"b\":{\"x\":[1]},\"c\":[2]}}",
                         "{\"a\":[{\"b\":[{\"x\":1}],\"c\":1},{\"b\":[{\"x\":2}],\"c\":2}]}"));
    assert_true(matches("{\"a\":{\"b\":{\"x\":[1]},\"c\":[2]}}", "{\"a\":[{\"b\":[{\"x\":3},{\"x\":1}],\"c\":2}]}"));
}

static void exists_speaks_of_leaves(void **state)
{
    (void)state;
    assert_true(matches("{\"detail\":{\"old\":[{\"exists\":true}]}}", event));
    assert_true(matches("{\"detail\":{\"isbn\":[{\"exists\":true}]}}", event));
    assert_false(matches("{\"detail\":{\"isbn\":[{\"exists\":false}]}}", event));
    assert_true(matches("{\"detail\":{\"missing\":[{\"exists\":false}]}}", event));
    assert_false(matches("{\"detail\":{\"missing\":[{\"exists\":true}]}}", event));
    assert_false(matches("{\"detail\":{\"none\":[{\"exists\":true}]}}", event));
    assert_true(matches("{\"detail\":{\"list\":[{\"exists\":false}]}}", event));
    assert_true(matches("{\"detail\":{\"warehouses\":[{\"exists\":false}]}}", event));
    assert_true(matches("{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"x\"}"));
    assert_true(matches("{\"a\":[{\"exists\":false},\"x\"]}", "{}"));
    assert_false(matches("{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"y\"}"));
}

static void absence_in_an_array_is_judged_in_the_element_that_meets_the_rest(void **state)
{
    (void)state;
    const char *items = "{\"i\":[{\"a\":\"1\"},{\"a\":\"2\",\"b\":\"x\"}]}";
    assert_true(matches("{\"i\":{\"a\":[\"1\"],\"b\":[{\"exists\":false}]}}", items));
    assert_false(matches("{\"i\":{\"a\":[\"2\"],\"b\":[{\"exists\":false}]}}", items));
    assert_false(matches("{\"i\":{\"b\":[{\"exists\":false}]}}", items));
    assert_true(matches("{\"i\":{\"c\":[{\"exists\":false}]}}", items));
}

static void a_dot_in_a_key_is_a_step_of_the_path(void **state)
{
    (void)state;
    assert_true(matches("{\"a.b\":[1]}", "{\"a\":{\"b\":1}}"));
    assert_true(matches("{\"a\":{\"b\":[1]}}", "{\"a.b\":1}"));
    assert_true(matches("{\"a.b\":[1]}", "{\"a.b\":1}"));
    assert_false(matches("{\"a.b\":{\"b\":[1]}}", "{\"a\":{\"b\":1}}"));
    assert_false(matches("{\"a.b\":[1]}", "{\"a\":{\"b\":{\"b\":1}}}"));
}

static void of_duplicate_keys_the_patterns_last_counts_and_the_events_both(void **state)
{
    (void)state;
    assert_true(matches("{\"a\":[1],\"a\":[2]}", "{\"a\":2}"));
    assert_false(matches("{\"a\":[1],\"a\":[2]}", "{\"a\":1}"));
    assert_true(matches("{\"a\":[1]}", "{\"a\":1,\"a\":2}"));
    assert_true(matches("{\"a\":[2]}", "{\"a\":1,\"a\":2}"));
}

static void escapes_are_decoded_before_comparing(void **state)
{
    (void)state;
    assert_true(matches("{\"\\u0061\":[\"\\u5728\"]}", "{\"a\":\"\xe5\x9c\xa8\"}"));
}

static void json_inside_a_string_is_not_entered(void **state)
{
    (void)state;
    assert_false(matches("{\"detail\":{\"a\":[1]}}", "{\"detail\":\"{\\\"a\\\":1}\"}"));
}

static void a_replayed_event_has_its_name_at_the_top(void **state)
{
    (void)state;
    assert_true(matches_replayed("{\"replay-name\":[\"r\"]}", event, "r"));
    assert_false(matches_replayed("{\"replay-name\":[{\"exists\":false}]}", event, "r"));
    assert_true(matches_replayed("{\"replay-name\":[{\"exists\":false}]}", event, ""));
}

static void what_is_no_pattern_is_refused_in_aws_words(void **state)
{
    (void)state;
    const status_t invalid = STATUS_INVALID_ARGUMENT;
    assert_refused("[]", invalid, "Event pattern is not valid. Reason: Filter is not an object");
    assert_refused("7", invalid, "Filter is not an object");
    assert_refused("{}", invalid, "Empty objects are not allowed");
    assert_refused("{\"a\":{}}", invalid, "Empty objects are not allowed");
    assert_refused("{\"a\":[]}", invalid, "Empty arrays are not allowed");
    assert_refused("{\"source\":\"x\"}", invalid, "\"source\" must be an object or an array");
    assert_refused("{\"a\":[[1]]}", invalid, "Match value must be String, number, true, false, or null");
    assert_refused("{\"a\":[{\"prefix\":\"a\",\"suffix\":\"b\"}]}", invalid,
                   "Only one key allowed in match expression");
    assert_refused("{\"a\":[{\"prefix\":1}]}", invalid, "prefix match pattern must be a string");
    assert_refused("{\"a\":[{\"exists\":1}]}", invalid, "exists match pattern must be either true or false.");
    assert_refused("{\"a\":[{\"NUMERIC\":[\"=\",1]}]}", invalid, "Unrecognized match type NUMERIC");
    assert_refused("{\"a\":", invalid, "Event pattern is not valid");
    assert_refused("", invalid, "Event pattern is not valid");
}

/* As event-ruler has it: an array in an array is one element, as an object is. */
static void what_stands_in_an_array_in_an_array_belongs_together(void **state)
{
    (void)state;
    static const char pattern[] = "{\"b\":[\"s\"],\"b.a\":[\"x\"]}";
    assert_true(matches(pattern, "{\"b\":[\"s\",{\"a\":\"x\"}]}"));
    assert_false(matches(pattern, "{\"b\":[[\"s\"],{\"a\":\"x\"}]}"));
    assert_true(matches(pattern, "{\"b\":[[\"s\",{\"a\":\"x\"}]]}"));
    assert_true(matches(pattern, "{\"b\":[\"s\",[{\"a\":\"x\"}]]}"));
    assert_false(matches(pattern, "{\"b\":[[\"s\"],[{\"a\":\"x\"}]]}"));
    assert_true(matches("{\"b\":[\"s\"]}", "{\"b\":[[\"t\"],[\"s\"]]}"));
    assert_true(matches("{\"b\":[\"s\"],\"b.a\":[{\"exists\":false}]}", "{\"b\":[[\"s\"],{\"a\":\"x\"}]}"));
}

static void a_pattern_over_its_bound_is_refused(void **state)
{
    (void)state;
    char json[PATTERN_MAX_BYTES + 2];
    memset(json, ' ', sizeof json);
    memcpy(json, "{\"a\":[1]}", 9);
    json[PATTERN_MAX_BYTES + 1] = '\0';
    assert_refused(json, STATUS_INVALID_ARGUMENT, "4096");
    json[PATTERN_MAX_BYTES] = '\0';
    assert_true(matches(json, "{\"a\":1}"));
}

static void a_malformed_event_matches_nothing(void **state)
{
    (void)state;
    error_t err = {0};
    pattern_t *pattern = pattern_compile(BYTES_LIT("{\"a\":[{\"exists\":false}]}"), &err);
    assert_non_null(pattern);
    buf_t deep = {0};
    buf_append(&deep, "\x81\xa1z", 3);
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&deep, 0x91);
    const bytes_t bad[] = {BYTES_NONE,
                           BYTES_LIT("\xc0"),
                           BYTES_LIT("\x81\xa1"
                                     "b"),
                           BYTES_LIT("\x80\x80"),
                           BYTES_LIT("\xdf\xff\xff\xff\xff"),
                           BYTES_LIT("\x81\x01\x01"),
                           buf_bytes(&deep)};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(pattern_match(pattern, bad[i], BYTES_NONE));
    pattern_free(&pattern);
    pattern = pattern_compile(BYTES_LIT("{\"z\":[{\"exists\":true}]}"), &err);
    assert_false(pattern_match(pattern, buf_bytes(&deep), BYTES_NONE));
    pattern_free(&pattern);
    buf_free(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_matches_any_of_its_values_and_all_fields_must_match),
        cmocka_unit_test(every_envelope_field_can_be_asked_for),
        cmocka_unit_test(prefix_matches_the_beginning_of_strings_only),
        cmocka_unit_test(types_are_never_mixed_up),
        cmocka_unit_test(null_and_the_empty_string_are_two_things),
        cmocka_unit_test(numbers_compare_by_value),
        cmocka_unit_test(an_array_matches_by_any_of_its_elements),
        cmocka_unit_test(fields_of_different_elements_are_never_combined),
        cmocka_unit_test(exists_speaks_of_leaves),
        cmocka_unit_test(absence_in_an_array_is_judged_in_the_element_that_meets_the_rest),
        cmocka_unit_test(a_dot_in_a_key_is_a_step_of_the_path),
        cmocka_unit_test(of_duplicate_keys_the_patterns_last_counts_and_the_events_both),
        cmocka_unit_test(escapes_are_decoded_before_comparing),
        cmocka_unit_test(json_inside_a_string_is_not_entered),
        cmocka_unit_test(a_replayed_event_has_its_name_at_the_top),
        cmocka_unit_test(what_is_no_pattern_is_refused_in_aws_words),
        cmocka_unit_test(what_stands_in_an_array_in_an_array_belongs_together),
        cmocka_unit_test(a_pattern_over_its_bound_is_refused),
        cmocka_unit_test(a_malformed_event_matches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
