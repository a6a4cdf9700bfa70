/* test_redact.c: what is taken out of an event, what stays, and which paths are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/json.h"
#include "tools/mangactl/redact.h"

/* The event that is left, as JSON; *replaced is of the first path. */
static void redacted(const char *paths, const char *event, const char *expected, uint64_t replaced)
{
    redact_t redact;
    error_t err = {0};
    buf_t value = {0}, text = {0};
    bytes_t out;
    assert_true(redact_init(&redact, paths, &err));
    assert_true(json_to_msgpack(bytes_cstr(event), NULL, &value, &err));
    assert_true(redact_event(&redact, buf_bytes(&value), &out, &err));
    assert_true(json_from_msgpack(out, JSON_COMPACT, &text, &err));
    assert_string_equal(buf_cstr(&text), expected);
    assert_int_equal(redact.paths[0].replaced, replaced);
    redact_free(&redact);
    buf_free(&value);
    buf_free(&text);
}

static void whatever_stands_at_a_path_becomes_the_text(void **state)
{
    (void)state;
    redacted("detail.email", "{\"id\":\"1\",\"detail\":{\"email\":\"a@b\",\"n\":1}}",
             "{\"id\":\"1\",\"detail\":{\"email\":\"[redacted]\",\"n\":1}}", 1);
    redacted("detail.a", "{\"detail\":{\"a\":{\"b\":[1,2]}}}", "{\"detail\":{\"a\":\"[redacted]\"}}", 1);
    redacted("detail.a", "{\"detail\":{\"a\":null}}", "{\"detail\":{\"a\":\"[redacted]\"}}", 1);
}

static void each_element_of_an_array_is_looked_at(void **state)
{
    (void)state;
    redacted("detail.items.name", "{\"detail\":{\"items\":[{\"name\":\"x\"},7,[{\"name\":\"y\"}],{\"n\":1}]}}",
             "{\"detail\":{\"items\":[{\"name\":\"[redacted]\"},7,[{\"name\":\"[redacted]\"}],{\"n\":1}]}}", 2);
}

static void the_same_name_elsewhere_stays(void **state)
{
    (void)state;
    redacted("detail.a.b", "{\"a\":{\"b\":1},\"detail\":{\"b\":2,\"x\":{\"a\":{\"b\":3}},\"a\":4}}",
             "{\"a\":{\"b\":1},\"detail\":{\"b\":2,\"x\":{\"a\":{\"b\":3}},\"a\":4}}", 0);
}

static void a_name_that_is_there_twice_is_redacted_twice(void **state)
{
    (void)state;
    redacted("detail.a", "{\"detail\":{\"a\":1,\"a\":2}}", "{\"detail\":{\"a\":\"[redacted]\",\"a\":\"[redacted]\"}}",
             2);
}

static void many_paths_act_one_after_another(void **state)
{
    (void)state;
    redacted("detail.a,detail.b,detail.c.d", "{\"detail\":{\"a\":1,\"b\":2,\"c\":{\"d\":3,\"e\":4}}}",
             "{\"detail\":{\"a\":\"[redacted]\",\"b\":\"[redacted]\",\"c\":{\"d\":\"[redacted]\",\"e\":4}}}", 1);
}

static void without_paths_the_event_keeps_its_bytes(void **state)
{
    (void)state;
    static const uint8_t event[] = {0x81, 0xa1, 'a', 0x01};
    redact_t redact;
    bytes_t out;
    assert_true(redact_init(&redact, NULL, NULL));
    assert_true(redact_event(&redact, bytes_from(event, sizeof event), &out, NULL));
    assert_ptr_equal(out.data, event);
    redact_free(&redact);
}

static void a_broken_event_is_not_given_back(void **state)
{
    (void)state;
    static const uint8_t event[] = {0x82, 0xa6, 'd', 'e', 't', 'a', 'i', 'l', 0x81, 0xa1, 'a'};
    redact_t redact;
    error_t err = {0};
    bytes_t out;
    assert_true(redact_init(&redact, "detail.a", NULL));
    assert_false(redact_event(&redact, bytes_from(event, sizeof event), &out, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    redact_free(&redact);
}

static void what_is_no_path_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",          "detail",       "detail.",     ".detail.a",     "detail..a",
                                        "id",        "email",        "$.detail.a",  "detail.a[0].b", "detail.a,",
                                        ",detail.a", "detail.a,b.c", "detail.a, b", "detail.*",      "detail.a\x80"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        redact_t redact;
        error_t err = {0};
        assert_false(redact_init(&redact, wrong[i], &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "path"));
        redact_free(&redact);
    }
}

static void too_many_names_and_paths_are_refused(void **state)
{
    (void)state;
    redact_t redact;
    error_t err = {0};
    buf_t text = {0};
    buf_append_cstr(&text, "detail");
    for (int i = 1; i < REDACT_NAMES_MAX; i++)
        buf_append_cstr(&text, ".a");
    assert_true(redact_init(&redact, buf_cstr(&text), &err));
    buf_append_cstr(&text, ".a");
    assert_false(redact_init(&redact, buf_cstr(&text), &err));
    buf_clear(&text);
    for (int i = 0; i < REDACT_PATHS_MAX; i++)
        buf_append_cstr(&text, i ? ",detail.a" : "detail.a");
    assert_true(redact_init(&redact, buf_cstr(&text), &err));
    buf_append_cstr(&text, ",detail.a");
    assert_false(redact_init(&redact, buf_cstr(&text), &err));
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_stands_at_a_path_becomes_the_text),
        cmocka_unit_test(each_element_of_an_array_is_looked_at),
        cmocka_unit_test(the_same_name_elsewhere_stays),
        cmocka_unit_test(a_name_that_is_there_twice_is_redacted_twice),
        cmocka_unit_test(many_paths_act_one_after_another),
        cmocka_unit_test(without_paths_the_event_keeps_its_bytes),
        cmocka_unit_test(a_broken_event_is_not_given_back),
        cmocka_unit_test(what_is_no_path_is_refused_by_name),
        cmocka_unit_test(too_many_names_and_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
