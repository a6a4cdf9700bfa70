/* test_envelope.c: the event as it travels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/envelope.h"
#include "proto/json.h"

#define EVENT                                                                                                          \
    "{\"version\":\"0\",\"id\":\"017f22e2-79b0-7cc3-98c4-dc0c0c07398f\",\"detail-type\":\"inventory.updated\","        \
    "\"source\":\"manga-assist.inventory\",\"account\":\"123456789012\",\"time\":\"2026-01-30T20:15:12Z\","            \
    "\"region\":\"ap-northeast-1\",\"resources\":[\"a\",\"bc\"],\"detail\":{\"isbn\":\"9784088827513\"}}"

static void from_json(const char *json, buf_t *out)
{
    error_t err;
    if (!json_to_msgpack(bytes_cstr(json), NULL, out, &err))
        fail_msg("%s", err.message);
}

/* The message of the refusal of a JSON document. */
static void assert_refused(const char *json, const char *wanted)
{
    buf_t in = {0};
    envelope_t e;
    error_t err = {0};
    from_json(json, &in);
    if (envelope_read(buf_bytes(&in), &e, &err))
        fail_msg("%s was taken", json);
    assert_string_equal(err.message, wanted);
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    buf_free(&in);
}

static void assert_text(bytes_t got, const char *wanted)
{
    assert_true(bytes_eq_cstr(got, wanted));
}

static void every_key_is_read_in_place(void **state)
{
    (void)state;
    buf_t in = {0};
    envelope_t e;
    error_t err;
    from_json(EVENT, &in);
    assert_true(envelope_read(buf_bytes(&in), &e, &err));
    assert_text(e.version, "0");
    assert_text(e.id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_text(e.detail_type, "inventory.updated");
    assert_text(e.source, "manga-assist.inventory");
    assert_text(e.account, "123456789012");
    assert_text(e.time, "2026-01-30T20:15:12Z");
    assert_text(e.region, "ap-northeast-1");
    assert_int_equal(e.time_us, INT64_C(1769804112000000));
    assert_true(e.detail.data > in.data && e.detail.data + e.detail.len == in.data + in.len);
    buf_free(&in);
}

static void what_was_written_is_read_back_the_same(void **state)
{
    (void)state;
    buf_t in = {0};
    buf_t out = {0};
    envelope_t e;
    error_t err;
    from_json(EVENT, &in);
    assert_true(envelope_read(buf_bytes(&in), &e, &err));
    assert_true(envelope_write(&out, &e, &err));
    assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
    buf_free(&in);
    buf_free(&out);
}

static envelope_t least(void)
{
    return (envelope_t){.id = BYTES_LIT("1"),
                        .detail_type = BYTES_LIT("t"),
                        .source = BYTES_LIT("s"),
                        .time = BYTES_LIT("2026-01-30T20:15:12Z"),
                        .detail = BYTES_LIT("\x80")};
}

static void a_publisher_may_leave_out_what_has_a_default(void **state)
{
    (void)state;
    buf_t out = {0};
    envelope_t given = least();
    envelope_t e;
    error_t err;
    assert_true(envelope_write(&out, &given, &err));
    assert_true(envelope_read(buf_bytes(&out), &e, &err));
    assert_text(e.version, "0");
    assert_text(e.account, "000000000000");
    assert_text(e.region, "local");
    size_t at = 0;
    bytes_t resource;
    assert_false(envelope_next_resource(&e, &at, &resource));
    buf_free(&out);
}

static void resources_are_walked_in_order(void **state)
{
    (void)state;
    buf_t in = {0};
    envelope_t e;
    error_t err;
    from_json(EVENT, &in);
    assert_true(envelope_read(buf_bytes(&in), &e, &err));
    size_t at = 0;
    bytes_t resource;
    assert_true(envelope_next_resource(&e, &at, &resource));
    assert_text(resource, "a");
    assert_true(envelope_next_resource(&e, &at, &resource));
    assert_text(resource, "bc");
    assert_false(envelope_next_resource(&e, &at, &resource));
    buf_free(&in);
}

static void the_size_is_that_of_eventbridge(void **state)
{
    (void)state;
    buf_t in = {0};
    envelope_t e;
    error_t err;
    from_json(EVENT, &in);
    assert_true(envelope_read(buf_bytes(&in), &e, &err));
    /* 14 for the time, 22 of the source, 17 of the detail-type, 3 of the resources, 24 of the detail's JSON. */
    assert_int_equal(envelope_size_bytes(&e, 24), 14 + 22 + 17 + 3 + 24);
    buf_free(&in);
}

static void keys_that_are_not_ours_are_passed_over(void **state)
{
    (void)state;
    buf_t in = {0};
    envelope_t e;
    error_t err;
    from_json("{\"replay-name\":\"r\",\"id\":\"1\",\"x\":{\"y\":[1,{}]},\"detail-type\":\"t\",\"source\":\"s\","
              "\"time\":\"2026-01-30T20:15:12Z\",\"detail\":{}}",
              &in);
    assert_true(envelope_read(buf_bytes(&in), &e, &err));
    assert_text(e.source, "s");
    buf_free(&in);
}

#define REST "\"detail-type\":\"t\",\"source\":\"s\",\"time\":\"2026-01-30T20:15:12Z\",\"detail\":{}}"

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    assert_refused("[]", "envelope: expected a map");
    assert_refused("{" REST, "id: is missing");
    assert_refused("{\"id\":\"\"," REST, "id: must not be empty");
    assert_refused("{\"id\":7," REST, "id: expected a string");
    assert_refused("{\"id\":\"1\",\"id\":\"2\"," REST, "id: stands twice");
    assert_refused("{\"id\":\"1\",\"account\":\"1234567890123\"," REST, "account: 13 bytes, at most 12 are allowed");
    assert_refused("{\"id\":\"1\",\"resources\":\"a\"," REST, "resources: expected an array of at most 100 strings");
    assert_refused("{\"id\":\"1\",\"resources\":[\"a\",1]," REST,
                   "resources[1]: expected UTF-8 text of at most 2048 bytes");
    assert_refused("{\"id\":\"1\",\"detail-type\":\"t\",\"source\":\"s\",\"time\":\"yesterday\",\"detail\":{}}",
                   "time: expected RFC 3339, such as 2026-01-30T20:15:12Z");
    assert_refused("{\"id\":\"1\",\"detail-type\":\"t\",\"source\":\"s\",\"time\":\"2026-01-30T20:15:12Z\","
                   "\"detail\":\"{}\"}",
                   "detail: expected a map");
}

static void bytes_behind_the_map_and_maps_cut_short_are_refused(void **state)
{
    (void)state;
    buf_t in = {0};
    envelope_t e;
    error_t err;
    from_json(EVENT, &in);
    for (size_t len = 0; len < in.len; len++) {
        /* Of its exact size, so that a sanitizer sees a read past its end. */
        uint8_t *part = malloc(len ? len : 1);
        assert_non_null(part);
        memcpy(part, in.data, len);
        assert_false(envelope_read(bytes_from(part, len), &e, &err));
        free(part);
    }
    buf_append_byte(&in, 0xc0);
    assert_false(envelope_read(buf_bytes(&in), &e, &err));
    assert_string_equal(err.message, "envelope: 1 bytes behind its end");
    buf_free(&in);
}

/* A detail of `len` bytes in all: {"d": bin}. */
static void big_detail(size_t len, buf_t *out)
{
    mp_put_map(out, 1);
    mp_put_cstr(out, "d");
    buf_t zeros = {0};
    assert_true(buf_reserve(&zeros, len));
    memset(zeros.data, 0, len);
    mp_put_bin(out, bytes_from(zeros.data, len - 3 - 5));
    assert_int_equal(out->len, len);
    buf_free(&zeros);
}

static void a_mebibyte_is_allowed_and_no_byte_more(void **state)
{
    (void)state;
    for (size_t more = 0; more <= 1; more++) {
        envelope_t e = least();
        buf_t detail = {0};
        buf_t out = {0};
        error_t err = {0};
        big_detail(ENVELOPE_MAX_BYTES - ENVELOPE_TIME_SIZE_BYTES - 2 + more, &detail);
        e.detail = buf_bytes(&detail);
        assert_int_equal(envelope_write(&out, &e, &err), more == 0);
        assert_int_equal(out.len > 0, more == 0);
        envelope_t again;
        if (more == 0)
            assert_true(envelope_read(buf_bytes(&out), &again, &err));
        else
            assert_string_equal(err.aws, "ValidationException");
        buf_free(&out);
        buf_free(&detail);
    }
}

static void the_writer_refuses_what_the_reader_would(void **state)
{
    (void)state;
    buf_t out = {0};
    error_t err;
    envelope_t e = least();
    e.source = BYTES_LIT("\xff");
    assert_false(envelope_write(&out, &e, &err));
    assert_string_equal(err.message, "source: is not UTF-8");
    e = least();
    e.detail = BYTES_LIT("\x81\xa1");
    assert_false(envelope_write(&out, &e, &err));
    e = least();
    e.time = BYTES_NONE;
    assert_false(envelope_write(&out, &e, &err));
    assert_string_equal(err.message, "time: must not be empty");
    e = least();
    e.resources = BYTES_LIT("\x91\x01");
    assert_false(envelope_write(&out, &e, &err));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read_in_place),
        cmocka_unit_test(what_was_written_is_read_back_the_same),
        cmocka_unit_test(a_publisher_may_leave_out_what_has_a_default),
        cmocka_unit_test(resources_are_walked_in_order),
        cmocka_unit_test(the_size_is_that_of_eventbridge),
        cmocka_unit_test(keys_that_are_not_ours_are_passed_over),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(bytes_behind_the_map_and_maps_cut_short_are_refused),
        cmocka_unit_test(a_mebibyte_is_allowed_and_no_byte_more),
        cmocka_unit_test(the_writer_refuses_what_the_reader_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
