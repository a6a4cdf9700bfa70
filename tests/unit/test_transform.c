/* test_transform.c: each test is one sentence about what a rule's target receives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "broker/rules/transform.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "tests/lib/msgpack_of.h"

#define EVENT                                                                                                          \
    "{\"version\":\"0\",\"id\":\"1\",\"detail-type\":\"inventory.updated\",\"source\":\"manga-assist.inventory\","     \
    "\"account\":\"000000000000\",\"time\":\"2025-01-01T00:00:00Z\",\"region\":\"local\",\"resources\":[\"a\",\"b\"]," \
    "\"detail\":{\"isbn\":\"9784088831234\",\"stock\":42,\"old\":null,\"on\":true,\"quoted\":\"say \\\"hi\\\"\","      \
    "\"warehouses\":[{\"code\":\"TYO\",\"n\":1},{\"code\":\"OSA\",\"n\":2}]}}"
#define EVENT_IN_E "{\"e\":[" EVENT "]}"

static const char event[] = EVENT;
static const template_facts_t facts = {1735689601000000, {(const uint8_t *)"rule", 4}, {(const uint8_t *)"bus", 3}};

/* -- inputs of targets ---------------------------------------------------------------------------- */
static void assert_transforms(const char *target_json, const char *expected_json)
{
    buf_t target = msgpack_of(target_json), whole = msgpack_of(event), out = {0}, text = {0};
    error_t err = {0};
    transform_t *t = NULL;
    assert_true(transform_compile(buf_bytes(&target), &t, &err));
    assert_non_null(t);
    assert_true(transform_apply(t, buf_bytes(&whole), &facts, &out, &err));
    assert_true(json_from_msgpack(buf_bytes(&out), JSON_COMPACT, &text, &err));
    assert_string_equal(buf_cstr(&text), expected_json);
    transform_free(&t);
    buf_free(&target);
    buf_free(&whole);
    buf_free(&out);
    buf_free(&text);
}

static void assert_transform_refused(const char *target_json, status_t code, const char *reason)
{
    buf_t target = msgpack_of(target_json);
    error_t err = {0};
    transform_t *t = NULL;
    assert_false(transform_compile(buf_bytes(&target), &t, &err));
    assert_null(t);
    assert_int_equal(err.code, code);
    if (!strstr(err.message, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
    buf_free(&target);
}

static void a_target_without_input_receives_the_event_itself(void **state)
{
    (void)state;
    buf_t target = msgpack_of("{\"Id\":\"1\",\"Arn\":\"queue\"}");
    error_t err = {0};
    transform_t *t = NULL;
    assert_true(transform_compile(buf_bytes(&target), &t, &err));
    assert_null(t);
    buf_free(&target);
}

static void input_is_sent_as_it_stands(void **state)
{
    (void)state;
    assert_transforms("{\"Input\":\"{\\\"job\\\":[1,null]}\"}", "{\"job\":[1,null]}");
    assert_transforms("{\"Input\":{\"job\":[1,null]}}", "{\"job\":[1,null]}");
    assert_transforms("{\"Input\":7}", "7");
}

static void input_path_sends_a_part_of_the_event(void **state)
{
    (void)state;
    assert_transforms("{\"InputPath\":\"$.detail.isbn\"}", "\"9784088831234\"");
    assert_transforms("{\"InputPath\":\"$.resources[1]\"}", "\"b\"");
    assert_transforms("{\"InputPath\":\"$.detail-type\"}", "\"inventory.updated\"");
    assert_transforms("{\"InputPath\":\"$.detail.warehouses[0].n\"}", "1");
}

static void an_event_without_the_path_is_not_transformed(void **state)
{
    (void)state;
    buf_t target = msgpack_of("{\"InputPath\":\"$.detail.nowhere\"}"), whole = msgpack_of(event), out = {0};
    error_t err = {0};
    transform_t *t = NULL;
    assert_true(transform_compile(buf_bytes(&target), &t, &err));
    assert_false(transform_apply(t, buf_bytes(&whole), &facts, &out, &err));
    assert_int_equal(out.len, 0);
    transform_free(&t);
    buf_free(&target);
    buf_free(&whole);
    buf_free(&out);
}

static void a_wrong_input_is_refused(void **state)
{
    (void)state;
    const status_t invalid = STATUS_INVALID_ARGUMENT;
    assert_transform_refused("{\"Input\":\"{\"}", invalid, "Input");
    assert_transform_refused("{\"InputPath\":\"detail\"}", invalid, "InputPath");
    assert_transform_refused("{\"InputPath\":\"$.\"}", invalid, "InputPath");
    assert_transform_refused("{\"InputPath\":\"$.a[x]\"}", invalid, "InputPath");
    assert_transform_refused("{\"InputPath\":\"$.a[1\"}", invalid, "InputPath");
    assert_transform_refused("{\"InputPath\":\"\"}", invalid, "InputPath");
    assert_transform_refused("{\"Input\":\"1\",\"InputPath\":\"$\"}", invalid, "Only one of");
}

/* The template, with paths for isbn, stock, warehouses, list, old, on and nothing. */
static void assert_filled(const char *template_json, const char *expected_json)
{
    buf_t target = {0};
    buf_printf(&target,
               "{\"Id\":\"t\",\"InputTransformer\":{\"InputPathsMap\":{\"isbn\":\"$.detail.isbn\",\"stock\":"
               "\"$.detail.stock\",\"houses\":\"$.detail.warehouses\",\"first\":\"$.resources[0]\",\"all\":"
               "\"$.resources\",\"house\":\"$.detail.warehouses[0]\",\"old\":\"$.detail.old\",\"on\":\"$.detail.on\","
               "\"nothing\":\"$.detail.nothing\",\"quoted\":\"$.detail.quoted\"},\"InputTemplate\":%s}}",
               template_json);
    assert_transforms(buf_cstr(&target), expected_json);
    buf_free(&target);
}

static void a_template_outside_quotes_takes_values_as_json(void **state)
{
    (void)state;
    assert_filled("\"{\\\"a\\\": <isbn>, \\\"b\\\": [<stock>, <on>, <old>], \\\"c\\\": <house>}\"",
                  "{\"a\":\"9784088831234\",\"b\":[42,true,null],\"c\":{\"code\":\"TYO\",\"n\":1}}");
    assert_filled("\"<quoted>\"", "\"say \\\"hi\\\"\"");
}

static void a_template_inside_quotes_takes_texts_as_they_are_and_objects_without_quotes(void **state)
{
    (void)state;
    assert_filled("\"\\\"<isbn>: <stock> <on> at <first>\\\"\"", "\"9784088831234: 42 true at a\"");
    assert_filled("\"\\\"<house>\\\"\"", "\"{code:TYO,n:1}\"");
    assert_filled("\"\\\"<all>\\\"\"", "\"[a,b]\"");
}

static void what_a_path_does_not_find_is_empty(void **state)
{
    (void)state;
    assert_filled("\"\\\"(<nothing>)\\\"\"", "\"()\"");
    assert_filled("\"{\\\"a\\\": <nothing>}\"", "{\"a\":\"\"}");
}

static void a_result_that_is_no_json_is_a_text(void **state)
{
    (void)state;
    assert_filled("\"stock of <isbn>: <stock>\"", "\"stock of \\\"9784088831234\\\": 42\"");
    assert_filled("\"\\\"<quoted>\\\"\"", "\"\\\"say \\\"hi\\\"\\\"\"");
}

static void what_is_no_placeholder_is_a_text(void **state)
{
    (void)state;
    assert_filled("\"\\\"a < b <> <c d> <isbn\\\"\"", "\"a < b <> <c d> <isbn\"");
}

static void the_predefined_variables_speak_of_rule_and_event(void **state)
{
    (void)state;
    assert_filled("\"{\\\"n\\\": <aws.events.rule-name>, \\\"t\\\": \\\"at <aws.events.event.ingestion-time>\\\"}\"",
                  "{\"n\":\"rule\",\"t\":\"at 2025-01-01T00:00:01Z\"}");
    assert_filled("\"<aws.events.rule-arn>\"", "\"arn:aws:events:local:000000000000:rule/bus/rule\"");
    assert_filled("\"<aws.events.event>\"",
                  "{\"version\":\"0\",\"id\":\"1\",\"detailType\":\"inventory.updated\",\"source\":\"manga-assist."
                  "inventory\",\"account\":\"000000000000\",\"time\":\"2025-01-01T00:00:00Z\",\"region\":\"local\","
                  "\"resources\":[\"a\",\"b\"]}");
    assert_filled("\"{\\\"e\\\": [<aws.events.event.json>]}\"", EVENT_IN_E);
}

static void a_wrong_transformer_is_refused(void **state)
{
    (void)state;
    const status_t invalid = STATUS_INVALID_ARGUMENT;
    assert_transform_refused("{\"InputTransformer\":{}}", invalid, "needs an InputTemplate");
    assert_transform_refused("{\"InputTransformer\":{\"InputTemplate\":\"\"}}", invalid, "1 to 8192");
    assert_transform_refused("{\"Id\":\"t1\",\"InputTransformer\":{\"InputTemplate\":\"<x>\"}}", invalid,
                             "InputTemplate for target t1 contains invalid placeholder x.");
    assert_transform_refused("{\"InputTransformer\":{\"InputPathsMap\":{\"a b\":\"$\"},\"InputTemplate\":\"1\"}}",
                             invalid, "\"a b\" is no name");
    assert_transform_refused("{\"InputTransformer\":{\"InputPathsMap\":{\"a\":\"x\"},\"InputTemplate\":\"1\"}}",
                             invalid, "the path \"x\" is not valid");
    assert_transform_refused("{\"InputTransformer\":{\"InputPathsMap\":{\"a\":\"$\"},\"InputTemplate\":\"{<a>: 1}\"}}",
                             invalid, "cannot be a key");
    assert_transform_refused(
        "{\"InputTransformer\":{\"InputPathsMap\":{\"a\":\"$\"},\"InputTemplate\":\"{\\\"k<a>\\\" : 1}\"}}", invalid,
        "cannot be part of a key");
    assert_transform_refused("{\"InputPath\":\"$\",\"InputTransformer\":{\"InputTemplate\":\"1\"}}", invalid,
                             "Only one of");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_without_input_receives_the_event_itself),
        cmocka_unit_test(input_is_sent_as_it_stands),
        cmocka_unit_test(input_path_sends_a_part_of_the_event),
        cmocka_unit_test(an_event_without_the_path_is_not_transformed),
        cmocka_unit_test(a_wrong_input_is_refused),
        cmocka_unit_test(a_template_outside_quotes_takes_values_as_json),
        cmocka_unit_test(a_template_inside_quotes_takes_texts_as_they_are_and_objects_without_quotes),
        cmocka_unit_test(what_a_path_does_not_find_is_empty),
        cmocka_unit_test(a_result_that_is_no_json_is_a_text),
        cmocka_unit_test(what_is_no_placeholder_is_a_text),
        cmocka_unit_test(the_predefined_variables_speak_of_rule_and_event),
        cmocka_unit_test(a_wrong_transformer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
