/* test_pattern_operators.c: each test is one sentence about an operator of patterns, or about one of the things that
 * implementers of EventBridge's language get wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/rules/pattern.h"
#include "broker/rules/wildcard.h"
#include "proto/json.h"

static bool matches_with(const char *pattern_json, const char *event_json, bool all_of)
{
    error_t err = {0};
    buf_t event = {0};
    pattern_t *pattern = pattern_compile_with(bytes_cstr(pattern_json), (pattern_options_t){.all_of = all_of}, &err);
    if (!pattern || !json_to_msgpack(bytes_cstr(event_json), NULL, &event, &err))
        fail_msg("%s %s: %s", pattern_json, event_json, err.message);
    bool matched = pattern_match(pattern, buf_bytes(&event), BYTES_NONE);
    buf_free(&event);
    pattern_free(&pattern);
    return matched;
}

/* The pattern {"a":[condition]} against {"a":value}. */
static bool holds(const char *condition, const char *value)
{
    char pattern[256], event[256];
    (void)snprintf(pattern, sizeof pattern, "{\"a\":[%s]}", condition);
    (void)snprintf(event, sizeof event, "{\"a\":%s}", value);
    return matches_with(pattern, event, false);
}

static bool matches(const char *pattern_json, const char *event_json)
{
    return matches_with(pattern_json, event_json, false);
}

static void assert_refused(const char *pattern_json, const char *reason, const char *place)
{
    error_t err = {0};
    pattern_t *pattern = pattern_compile(bytes_cstr(pattern_json), &err);
    if (pattern)
        fail_msg("accepted: %s", pattern_json);
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_string_equal(err.aws, "InvalidEventPatternException");
    char at[64];
    (void)snprintf(at, sizeof at, "(at %s)", place);
    if (!strstr(err.message, reason) || !strstr(err.message, at))
        fail_msg("%s: \"%s\" does not say \"%s\" at %s", pattern_json, err.message, reason, place);
}

static void assert_condition_refused(const char *condition, const char *reason)
{
    char pattern[256];
    (void)snprintf(pattern, sizeof pattern, "{\"d\":{\"a\":[1,%s]}}", condition);
    assert_refused(pattern, reason, "d.a[1]");
}

/* -- operators --------------------------------------------------------------------------------------- */
static void a_suffix_is_the_end_of_a_text(void **state)
{
    (void)state;
    assert_true(holds("{\"suffix\":\".png\"}", "\"a.png\""));
    assert_true(holds("{\"suffix\":\"\"}", "\"a\""));
    assert_false(holds("{\"suffix\":\".png\"}", "\"png\""));
    assert_false(holds("{\"suffix\":\".png\"}", "\"a.PNG\""));
    assert_false(holds("{\"suffix\":\"0\"}", "10"));
}

static void equals_ignore_case_is_equal_but_for_case(void **state)
{
    (void)state;
    assert_true(holds("{\"equals-ignore-case\":\"Alice\"}", "\"aLICE\""));
    assert_true(holds("{\"equals-ignore-case\":\"\"}", "\"\""));
    assert_false(holds("{\"equals-ignore-case\":\"Alice\"}", "\"alice \""));
    assert_false(holds("{\"equals-ignore-case\":\"Alice\"}", "\"alic\""));
    assert_true(holds("{\"prefix\":{\"equals-ignore-case\":\"EventB\"}}", "\"eventbridge\""));
    assert_false(holds("{\"prefix\":{\"equals-ignore-case\":\"EventB\"}}", "\"event\""));
    assert_true(holds("{\"suffix\":{\"equals-ignore-case\":\".PNG\"}}", "\"a.png\""));
    assert_false(holds("{\"suffix\":{\"equals-ignore-case\":\".PNG\"}}", "\"png\""));
    assert_true(holds("{\"suffix\":{\"equals-ignore-case\":\"\xc3\x89T\"}}", "\"caf\xc3\xa9t\""));
}

static void a_star_stands_for_any_text(void **state)
{
    (void)state;
    assert_true(holds("{\"wildcard\":\"*\"}", "\"\""));
    assert_true(holds("{\"wildcard\":\"a*c\"}", "\"ac\""));
    assert_true(holds("{\"wildcard\":\"a*c\"}", "\"abcbc\""));
    assert_false(holds("{\"wildcard\":\"a*c\"}", "\"abcb\""));
    assert_true(holds("{\"wildcard\":\"*ab*ab*\"}", "\"abab\""));
    assert_false(holds("{\"wildcard\":\"*ab*ab*\"}", "\"xabx\""));
    assert_false(holds("{\"wildcard\":\"aba*aba\"}", "\"aba\""));
    assert_true(holds("{\"wildcard\":\"\"}", "\"\""));
    assert_false(holds("{\"wildcard\":\"*\"}", "1"));
    assert_true(holds("{\"wildcard\":\"/Users/*/dir/dir/dir/dir/dir/doc.txt\"}",
                      "\"/Users/ls_user/dir/dir/dir/dir/dir/doc.txt\""));
}

static void stars_and_backslashes_are_escaped(void **state)
{
    (void)state;
    assert_true(holds("{\"wildcard\":\"a\\\\*b\"}", "\"a*b\""));
    assert_false(holds("{\"wildcard\":\"a\\\\*b\"}", "\"axb\""));
    assert_true(holds("{\"wildcard\":\"a\\\\\\\\*\"}", "\"a\\\\xyz\""));
    assert_condition_refused("{\"wildcard\":\"a**b\"}", "Consecutive wildcard characters at pos 1");
    assert_condition_refused("{\"wildcard\":\"a\\\\nb\"}", "Invalid escape character at pos 1");
    assert_condition_refused("{\"wildcard\":\"a\\\\\"}", "Invalid escape character at pos 1");
    assert_condition_refused("{\"wildcard\":[\"a\"]}", "wildcard match pattern must be a string");
}

static void a_wildcard_that_aws_finds_too_complex_is_refused(void **state)
{
    (void)state;
    buf_t parsed = {0};
    error_t err = {0};
    assert_condition_refused("{\"wildcard\":\"*:*:*:*:*:event-bus/*\"}", "Rule is too complex");
    assert_condition_refused("{\"anything-but\":{\"wildcard\":\"*a*a*a*a*a*a*a*a*\"}}", "Rule is too complex");
    assert_true(wildcard_parse(BYTES_LIT("/Users/*/dir/dir/dir/dir/dir/doc.txt"), &parsed, &err));
    assert_int_equal(wildcard_complexity(buf_bytes(&parsed)), 7);
    buf_free(&parsed);
}

static void anything_but_holds_for_what_is_none_of_them(void **state)
{
    (void)state;
    assert_true(holds("{\"anything-but\":\"x\"}", "\"y\""));
    assert_false(holds("{\"anything-but\":[\"x\",\"y\"]}", "\"y\""));
    assert_false(holds("{\"anything-but\":300}", "300.0"));
    assert_true(holds("{\"anything-but\":[1,2]}", "3"));
    assert_false(holds("{\"anything-but\":{\"prefix\":\"init\"}}", "\"initial\""));
    assert_false(holds("{\"anything-but\":{\"prefix\":[\"a\",\"b\"]}}", "\"bc\""));
    assert_false(holds("{\"anything-but\":{\"suffix\":\".txt\"}}", "\"a.txt\""));
    assert_true(holds("{\"anything-but\":{\"suffix\":[\".txt\",\".rtf\"]}}", "\"a.png\""));
    assert_false(holds("{\"anything-but\":{\"equals-ignore-case\":[\"A\",\"B\"]}}", "\"b\""));
    assert_false(holds("{\"anything-but\":{\"wildcard\":\"*/lib/*\"}}", "\"usr/lib/x\""));
    assert_true(holds("{\"anything-but\":{\"wildcard\":[\"*/lib/*\",\"*/bin/*\"]}}", "\"usr/share\""));
    assert_true(holds("{\"anything-but\":{\"prefix\":\"1\"}}", "12"));
}

static void what_anything_but_cannot_take_is_refused(void **state)
{
    (void)state;
    assert_condition_refused("{\"anything-but\":[\"a\",1]}", "mixed type is not supported");
    assert_condition_refused("{\"anything-but\":[]}", "mixed type is not supported");
    assert_condition_refused("{\"anything-but\":[null]}", "start|null|boolean is not supported");
    assert_condition_refused("{\"anything-but\":true}", "Value of anything-but must be an array or single");
    assert_condition_refused("{\"anything-but\":{\"exists\":true}}", "Unsupported anything-but pattern: exists");
    assert_condition_refused("{\"anything-but\":{\"numeric\":[\"=\",1]}}", "Unsupported anything-but pattern: numeric");
    assert_condition_refused("{\"anything-but\":{}}", "Anything-But expression name not found");
    assert_condition_refused("{\"anything-but\":{\"prefix\":\"\"}}", "Null prefix/suffix not allowed");
    assert_condition_refused("{\"anything-but\":{\"suffix\":[\"a\",\"\"]}}", "Null prefix/suffix not allowed");
    assert_condition_refused("{\"anything-but\":{\"prefix\":{\"equals-ignore-case\":\"a\"}}}", "Value of anything-but");
    assert_condition_refused("{\"anything-but\":{\"prefix\":[1]}}", "prefix/suffix match pattern must be a string");
    assert_condition_refused("{\"anything-but\":{\"equals-ignore-case\":[1]}}", "number|start|null|boolean");
    assert_condition_refused("{\"anything-but\":{\"prefix\":\"a\",\"suffix\":\"b\"}}", "Only one key allowed");
}

static void numeric_compares_and_takes_ranges(void **state)
{
    (void)state;
    assert_true(holds("{\"numeric\":[\">\",0,\"<=\",5]}", "5"));
    assert_false(holds("{\"numeric\":[\">\",0,\"<=\",5]}", "0"));
    assert_true(holds("{\"numeric\":[\">=\",-1.5,\"<\",5]}", "-1.5"));
    assert_true(holds("{\"numeric\":[\"=\",3.0e2]}", "300"));
    assert_true(holds("{\"numeric\":[\"<\",1e300]}", "-1e308"));
    assert_false(holds("{\"numeric\":[\"<\",10]}", "\"5\""));
}

static void a_wrong_numeric_is_refused(void **state)
{
    (void)state;
    assert_condition_refused("{\"numeric\":5}", "Value of numeric must be an array.");
    assert_condition_refused("{\"numeric\":[]}", "Invalid member in numeric match");
    assert_condition_refused("{\"numeric\":[5,\">\"]}", "Invalid member in numeric match");
    assert_condition_refused("{\"numeric\":[\"!\",5]}", "Unrecognized numeric range operator: !");
    assert_condition_refused("{\"numeric\":[\"<\",\"5\"]}", "Value of < must be numeric");
    assert_condition_refused("{\"numeric\":[\"=\",null]}", "Value of equals must be numeric");
    assert_condition_refused("{\"numeric\":[\"<\",5,\">\",3]}", "Too many elements in numeric expression");
    assert_condition_refused("{\"numeric\":[\">\",5,\"<\",3]}", "Bottom must be less than top");
    assert_condition_refused("{\"numeric\":[\">=\",5,\"<=\",5]}", "Bottom must be less than top");
    assert_condition_refused("{\"numeric\":[\">\",5,\">\",6]}", "Bad numeric range operator: >");
    assert_condition_refused("{\"numeric\":[\">\",5,\"<\"]}", "the number is missing");
    assert_condition_refused("{\"numeric\":[\">\",5,\"<\",7,\"<\",8]}", "Too many elements");
}

static void cidr_is_a_block_of_addresses(void **state)
{
    (void)state;
    assert_true(holds("{\"cidr\":\"10.0.0.0/24\"}", "\"10.0.0.255\""));
    assert_false(holds("{\"cidr\":\"10.0.0.0/24\"}", "\"10.0.1.0\""));
    assert_true(holds("{\"cidr\":\"0.0.0.0/0\"}", "\"255.1.2.3\""));
    assert_false(holds("{\"cidr\":\"10.0.0.0/24\"}", "\"10.0.0\""));
    assert_false(holds("{\"cidr\":\"10.0.0.0/24\"}", "167772160"));
    assert_true(holds("{\"cidr\":\"2001:db8::/32\"}", "\"2001:0db8:85a3::8a2e:0370:7334\""));
    assert_false(holds("{\"cidr\":\"2001:db8::/32\"}", "\"2001:db9::\""));
    assert_false(holds("{\"cidr\":\"::/0\"}", "\"10.0.0.1\""));
    assert_true(holds("{\"cidr\":\"::/1\"}", "\"::ffff:10.0.0.1\""));
}

static void a_wrong_cidr_is_refused(void **state)
{
    (void)state;
    assert_condition_refused("{\"cidr\":\"10.0.0.0\"}", "Malformed CIDR, one '/' required");
    assert_condition_refused("{\"cidr\":\"10.0.0.0/\"}", "mask bits must be an integer");
    assert_condition_refused("{\"cidr\":\"10.0.0.0/-1\"}", "mask bits must be an integer");
    assert_condition_refused("{\"cidr\":\"10.0.0.0/32\"}", "IPv4 mask bits must be < 32");
    assert_condition_refused("{\"cidr\":\"::/128\"}", "IPv6 mask bits must be < 128");
    assert_condition_refused("{\"cidr\":\"xx.yy.zz.ww/8\"}", "Nonstandard IP address: xx.yy.zz.ww");
    assert_condition_refused("{\"cidr\":\"2001:db8:85a3:::/8\"}", "Nonstandard IP address");
    assert_condition_refused("{\"cidr\":[\"10.0.0.0/8\"]}", "must be a string");
}

static void exactly_is_a_text_and_no_address(void **state)
{
    (void)state;
    assert_true(holds("{\"exactly\":\"::1\"}", "\"::1\""));
    assert_false(holds("{\"exactly\":\"::1\"}", "\"0:0:0:0:0:0:0:1\""));
    assert_condition_refused("{\"exactly\":1}", "exact match pattern must be a string");
}

static void or_is_one_branch_or_another_at_any_level(void **state)
{
    (void)state;
    const char *pattern = "{\"s\":[1],\"$or\":[{\"a\":[1]},{\"b\":[1],\"d\":{\"$or\":[{\"x\":[1]},{\"y\":[1]}]}}]}";
    assert_true(matches(pattern, "{\"s\":1,\"a\":1}"));
    assert_true(matches(pattern, "{\"s\":1,\"b\":1,\"d\":{\"y\":1}}"));
    assert_false(matches(pattern, "{\"s\":1,\"b\":1}"));
    assert_false(matches(pattern, "{\"a\":1}"));
    assert_true(matches("{\"$or\":[{\"a\":{\"x\":[1],\"y\":[2]}},{\"b\":[{\"exists\":false}]}]}",
                        "{\"b\":0,\"a\":[{\"x\":1,\"y\":2}]}"));
    assert_false(matches("{\"$or\":[{\"a\":{\"x\":[1],\"y\":[2]}},{\"b\":[{\"exists\":false}]}]}",
                         "{\"b\":0,\"a\":[{\"x\":1},{\"y\":2}]}"));
}

static void or_needs_two_objects_and_is_a_field_where_they_are_match_expressions(void **state)
{
    (void)state;
    assert_refused("{\"$or\":[{\"a\":[1]}]}", "There must have at least 2 Objects in $or relationship.", "$or");
    assert_refused("{\"$or\":[{\"a\":[1]},{}]}", "Empty objects are not allowed", "$or[1]");
    assert_refused("{\"x\":{\"$or\":[{\"a\":[1]},{\"b\":[{\"suffix\":1}]}]}}", "suffix match pattern must be a string",
                   "x.$or[1].b[0]");
    assert_true(matches("{\"$or\":[{\"prefix\":\"a\"},{\"suffix\":\"b\"}]}", "{\"$or\":\"xb\"}"));
    assert_true(matches("{\"$or\":[1,2]}", "{\"$or\":2}"));
}

static void more_than_a_thousand_combinations_are_refused(void **state)
{
    (void)state;
    buf_t json = {0};
    for (int level = 0; level < 3; level++) {
        buf_printf(&json, "%c\"n%d\":{\"$or\":[", level ? ',' : '{', level);
        for (int i = 0; i < 10; i++)
            buf_printf(&json, "%s{\"%d\":[1]}", i ? "," : "", i);
        buf_append_cstr(&json, "]}");
    }
    size_t len = json.len;
    buf_append_cstr(&json, "}");
    assert_true(matches(buf_cstr(&json), "{\"n0\":{\"1\":1},\"n1\":{\"9\":1},\"n2\":{\"5\":1}}"));
    json.len = len;
    buf_append_cstr(&json, ",\"$or\":[{\"x\":[1]},{\"y\":[1]}]}");
    assert_refused(buf_cstr(&json), "more than 1000 $or combinations", "$or[1]");
    buf_free(&json);
}

static void combinations_with_too_many_fields_in_all_are_refused(void **state)
{
    (void)state;
    buf_t json = {0};
    buf_append_cstr(&json, "{");
    for (int level = 0; level < 2; level++) {
        buf_printf(&json, "\"n%d\":{\"$or\":[", level);
        for (int i = 0; i < 30; i++)
            buf_printf(&json, "%s{\"%d\":[1]}", i ? "," : "", i);
        buf_append_cstr(&json, "]},");
    }
    for (int i = 0; i < 30; i++)
        buf_printf(&json, "%s\"%d\":[1]", i ? "," : "", i);
    buf_append_cstr(&json, "}");
    assert_refused(buf_cstr(&json), "more than 16384 fields in all", "16");
    buf_free(&json);
}

static void all_of_is_ours_and_must_be_allowed(void **state)
{
    (void)state;
    const char *pattern = "{\"a\":[{\"allOf\":[{\"prefix\":\"a\"},{\"suffix\":\"z\"},{\"anything-but\":\"abz\"}]}]}";
    assert_refused(pattern, "Unrecognized match type allOf", "a[0]");
    assert_true(matches_with(pattern, "{\"a\":\"az\"}", true));
    assert_false(matches_with(pattern, "{\"a\":\"abz\"}", true));
    assert_false(matches_with(pattern, "{\"a\":[\"a\",\"z\"]}", true));
    assert_true(
        matches_with("{\"a\":[{\"allOf\":[{\"numeric\":[\">\",1]},{\"anything-but\":[5]}]},7]}", "{\"a\":4}", true));
}

/* -- the seventeen traps ------------------------------------------------------------------------------- */
static void trap_1_fields_of_different_elements_do_not_combine_but_different_arrays_do(void **state)
{
    (void)state;
    const char *pattern = "{\"employees\":{\"firstName\":[\"Anna\"],\"lastName\":[\"Jones\"]}}";
    assert_false(matches(pattern, "{\"employees\":[{\"firstName\":\"Anna\",\"lastName\":\"Smith\"},"
                                  "{\"firstName\":\"Peter\",\"lastName\":\"Jones\"}]}"));
    assert_true(matches(pattern, "{\"employees\":[[{\"firstName\":\"Anna\",\"lastName\":\"Jones\"}]]}"));
    assert_true(
        matches("{\"a\":{\"x\":[1]},\"b\":{\"y\":[2]}}", "{\"a\":[{\"x\":0},{\"x\":1}],\"b\":[{\"y\":2},{\"y\":0}]}"));
}

static void trap_2_absence_is_judged_in_the_element_that_meets_the_rest(void **state)
{
    (void)state;
    const char *event = "{\"i\":[{\"a\":\"1\"},{\"a\":\"2\",\"b\":\"x\"}]}";
    assert_true(matches("{\"i\":{\"a\":[\"1\"],\"b\":[{\"exists\":false}]}}", event));
    assert_false(matches("{\"i\":{\"b\":[{\"exists\":false}]}}", event));
}

static void trap_3_exists_speaks_of_leaves_and_null_is_one(void **state)
{
    (void)state;
    static const char *const no_leaf[] = {"{\"b\":1}", "{}", "[]", "[{\"b\":1}]"};
    for (size_t i = 0; i < ARRAY_LEN(no_leaf); i++) {
        assert_false(holds("{\"exists\":true}", no_leaf[i]));
        assert_true(holds("{\"exists\":false}", no_leaf[i]));
    }
    assert_true(holds("{\"exists\":true}", "null"));
}

static void trap_4_numbers_are_compared_by_value_while_a_double_holds_them(void **state)
{
    (void)state;
    assert_true(holds("300", "300.0"));
    assert_true(holds("1e22", "10000000000000000000000"));
    assert_true(holds("-0", "0"));
    assert_true(holds("9007199254740993", "9007199254740993"));
    assert_false(holds("9007199254740993", "9007199254740992"));
    assert_false(holds("{\"numeric\":[\">\",0]}", "9007199254740993"));
    assert_false(holds("{\"numeric\":[\">\",0]}", "1.12345678901234567890"));
    assert_true(holds("1.12345678901234567890", "1.12345678901234567890"));
    assert_condition_refused("{\"numeric\":[\">\",9007199254740993]}", "no double holds it exactly");
}

static void trap_5_types_are_never_mixed_up(void **state)
{
    (void)state;
    assert_false(holds("1", "true"));
    assert_false(holds("0", "false"));
    assert_false(holds("\"300\"", "300"));
    assert_false(holds("null", "\"null\""));
}

static void trap_6_anything_but_holds_if_any_element_differs(void **state)
{
    (void)state;
    assert_false(matches("{\"a\":[{\"anything-but\":\"x\"}]}", "{\"b\":1}"));
    assert_true(holds("{\"anything-but\":\"x\"}", "null"));
    assert_true(holds("{\"anything-but\":\"x\"}", "true"));
    assert_false(holds("{\"anything-but\":\"x\"}", "{\"b\":1}"));
    assert_true(holds("{\"anything-but\":\"x\"}", "7"));
    assert_true(holds("{\"anything-but\":\"x\"}", "[\"x\",\"y\"]"));
    assert_false(holds("{\"anything-but\":\"x\"}", "[\"x\",\"x\"]"));
}

static void trap_7_text_operators_never_hold_for_numbers(void **state)
{
    (void)state;
    assert_false(holds("{\"prefix\":\"\"}", "1"));
    assert_false(holds("{\"suffix\":\"\"}", "1"));
    assert_false(holds("{\"wildcard\":\"*\"}", "1"));
    assert_false(holds("{\"equals-ignore-case\":\"1\"}", "1"));
}

static void trap_8_case_is_folded_one_character_to_one_and_both_ways(void **state)
{
    (void)state;
    assert_true(holds("{\"equals-ignore-case\":\"\xc3\x89\"}", "\"\xc3\xa9\""));   /* É é */
    assert_true(holds("{\"equals-ignore-case\":\"\xce\xa3\"}", "\"\xcf\x83\""));   /* Σ σ */
    assert_false(holds("{\"equals-ignore-case\":\"\xc3\x9f\"}", "\"SS\""));        /* ß */
    assert_false(holds("{\"equals-ignore-case\":\"\xc4\xb1\"}", "\"I\""));         /* dotless i */
    assert_false(holds("{\"equals-ignore-case\":\"k\"}", "\"\xe2\x84\xaa\""));     /* Kelvin */
    assert_false(holds("{\"equals-ignore-case\":\"\xcf\x83\"}", "\"\xcf\x82\""));  /* final sigma */
    assert_false(holds("{\"equals-ignore-case\":\"\xc3\xa9\"}", "\"e\xcc\x81\"")); /* NFC, NFD */
    assert_false(holds("\"\xc3\xa9\"", "\"e\xcc\x81\""));
}

static void trap_9_escapes_are_decoded_in_keys_and_values(void **state)
{
    (void)state;
    assert_true(matches("{\"\\u0061\":[\"\\u5728\"]}", "{\"a\":\"\xe5\x9c\xa8\"}"));
    assert_true(matches("{\"a\":[{\"prefix\":\"\\u5728\"}]}", "{\"\\u0061\":\"\xe5\x9c\xa8\xe5\x9c\xa8\"}"));
}

static void trap_10_a_dot_joins_steps_in_pattern_and_event(void **state)
{
    (void)state;
    assert_true(matches("{\"a.b\":[1]}", "{\"a\":{\"b\":1}}"));
    assert_true(matches("{\"a\":{\"b\":[1]}}", "{\"a.b\":1}"));
    assert_false(matches("{\"a.b\":{\"b\":[1]}}", "{\"a.b\":1}"));
}

static void trap_11_the_patterns_last_duplicate_counts_and_the_events_both(void **state)
{
    (void)state;
    assert_false(matches("{\"a\":[1],\"a\":[2]}", "{\"a\":1}"));
    assert_true(matches("{\"a\":[1]}", "{\"a\":1,\"a\":2}"));
    assert_true(matches("{\"a\":[2]}", "{\"a\":1,\"a\":2}"));
}

static void trap_12_a_branch_of_or_replaces_the_outer_condition_on_its_path(void **state)
{
    (void)state;
    const char *pattern = "{\"a\":[1],\"$or\":[{\"a\":[2]},{\"b\":[3]}]}";
    assert_true(matches(pattern, "{\"a\":2}"));
    assert_false(matches(pattern, "{\"a\":1}"));
    assert_true(matches(pattern, "{\"a\":1,\"b\":3}"));
    assert_true(matches("{\"$or\":[{\"a\":[2]},{\"b\":[3]}],\"a\":[1]}", "{\"a\":1}"));
}

static void trap_13_a_text_that_is_an_address_is_compared_as_one(void **state)
{
    (void)state;
    assert_true(holds("\"::1\"", "\"0:0:0:0:0:0:0:1\""));
    assert_true(holds("\"10.0.0.1\"", "\"010.000.000.001\""));
    assert_true(holds("{\"cidr\":\"10.0.0.77/24\"}", "\"10.0.0.1\""));
    assert_false(holds("{\"cidr\":\"10.0.0.0/8\"}", "\"::ffff:10.0.0.1\""));
    assert_false(holds("\"10.0.0.1\"", "\"10.0.0.2\""));
}

static void trap_14_json_inside_a_text_is_not_entered(void **state)
{
    (void)state;
    assert_false(matches("{\"detail\":{\"a\":[1]}}", "{\"detail\":\"{\\\"a\\\":1}\"}"));
}

static void trap_15_what_is_empty_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\":{\"b\":[]}}", "Empty arrays are not allowed", "a.b");
    assert_refused("{\"a\":{}}", "Empty objects are not allowed", "a");
    error_t err = {0};
    assert_null(pattern_compile(BYTES_LIT("{}"), &err));
}

static void trap_16_keys_and_operators_are_case_sensitive(void **state)
{
    (void)state;
    assert_false(matches("{\"A\":[1]}", "{\"a\":1}"));
    assert_condition_refused("{\"NUMERIC\":[\"=\",1]}", "Unrecognized match type NUMERIC");
}

/* Trap 17 is of TestEventPattern: what the event must hold is asked by RULE test and `rule test --envelope`. */

static void only_what_is_a_match_expression_is_one(void **state)
{
    (void)state;
    assert_condition_refused("{}", "Match expression name not found");
    assert_condition_refused("{\"regex\":\"a\"}", "Unrecognized match type regex");
    assert_condition_refused("{\"prefix\":[\"a\"]}", "prefix match pattern must be a string");
    assert_condition_refused("{\"equals-ignore-case\":[\"a\"]}", "equals-ignore-case match pattern must be a string");
    assert_condition_refused("{\"prefix\":{\"equals-ignore-case\":[\"a\"]}}", "must be a string");
    assert_condition_refused("{\"prefix\":{\"suffix\":\"a\"}}", "Unsupported prefix pattern: suffix");
    assert_condition_refused("{\"suffix\":{}}", "suffix expression name not found");
    assert_condition_refused("{\"exists\":\"true\"}", "exists match pattern must be either true or false.");
    assert_condition_refused("[1]", "Match value must be String, number, true, false, or null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suffix_is_the_end_of_a_text),
        cmocka_unit_test(equals_ignore_case_is_equal_but_for_case),
        cmocka_unit_test(a_star_stands_for_any_text),
        cmocka_unit_test(stars_and_backslashes_are_escaped),
        cmocka_unit_test(a_wildcard_that_aws_finds_too_complex_is_refused),
        cmocka_unit_test(anything_but_holds_for_what_is_none_of_them),
        cmocka_unit_test(what_anything_but_cannot_take_is_refused),
        cmocka_unit_test(numeric_compares_and_takes_ranges),
        cmocka_unit_test(a_wrong_numeric_is_refused),
        cmocka_unit_test(cidr_is_a_block_of_addresses),
        cmocka_unit_test(a_wrong_cidr_is_refused),
        cmocka_unit_test(exactly_is_a_text_and_no_address),
        cmocka_unit_test(or_is_one_branch_or_another_at_any_level),
        cmocka_unit_test(or_needs_two_objects_and_is_a_field_where_they_are_match_expressions),
        cmocka_unit_test(more_than_a_thousand_combinations_are_refused),
        cmocka_unit_test(combinations_with_too_many_fields_in_all_are_refused),
        cmocka_unit_test(all_of_is_ours_and_must_be_allowed),
        cmocka_unit_test(trap_1_fields_of_different_elements_do_not_combine_but_different_arrays_do),
        cmocka_unit_test(trap_2_absence_is_judged_in_the_element_that_meets_the_rest),
        cmocka_unit_test(trap_3_exists_speaks_of_leaves_and_null_is_one),
        cmocka_unit_test(trap_4_numbers_are_compared_by_value_while_a_double_holds_them),
        cmocka_unit_test(trap_5_types_are_never_mixed_up),
        cmocka_unit_test(trap_6_anything_but_holds_if_any_element_differs),
        cmocka_unit_test(trap_7_text_operators_never_hold_for_numbers),
        cmocka_unit_test(trap_8_case_is_folded_one_character_to_one_and_both_ways),
        cmocka_unit_test(trap_9_escapes_are_decoded_in_keys_and_values),
        cmocka_unit_test(trap_10_a_dot_joins_steps_in_pattern_and_event),
        cmocka_unit_test(trap_11_the_patterns_last_duplicate_counts_and_the_events_both),
        cmocka_unit_test(trap_12_a_branch_of_or_replaces_the_outer_condition_on_its_path),
        cmocka_unit_test(trap_13_a_text_that_is_an_address_is_compared_as_one),
        cmocka_unit_test(trap_14_json_inside_a_text_is_not_entered),
        cmocka_unit_test(trap_15_what_is_empty_is_refused),
        cmocka_unit_test(trap_16_keys_and_operators_are_case_sensitive),
        cmocka_unit_test(only_what_is_a_match_expression_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
