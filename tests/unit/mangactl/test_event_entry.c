/* test_event_entry.c: what a PutEvents entry becomes, and which field is to blame when it becomes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "tools/mangactl/event_entry.h"

#define NOW_US INT64_C(1769771712999999) /* 2026-01-30T11:15:12Z */

typedef struct {
    buf_t value, envelope;
    event_entry_t entry;
    envelope_t read;
    error_t err;
} made_t;

/* Of the entry with source, detail-type, detail, and `more` ("", or ",\"Time\":5"). */
static bool make(made_t *made, const char *detail, const char *more)
{
    buf_t text = {0};
    *made = (made_t){0};
    buf_printf(&text, "{\"Source\":\"s\",\"DetailType\":\"d\",\"Detail\":%s%s}", detail, more);
    assert_true(json_to_msgpack(buf_bytes(&text), NULL, &made->value, &made->err));
    buf_free(&text);
    bytes_t map = buf_bytes(&made->value);
    assert_true(event_entry_is(map));
    if (!event_entry_read(map, NOW_US, &made->entry, &made->envelope, &made->err))
        return false;
    assert_true(envelope_read(buf_bytes(&made->envelope), &made->read, &made->err));
    return true;
}

static void unmake(made_t *made)
{
    buf_free(&made->value);
    buf_free(&made->envelope);
}

static void what_is_missing_is_filled_in(void **state)
{
    (void)state;
    made_t made;
    assert_true(make(&made, "\"{}\"", ""));
    assert_int_equal(made.entry.bus.len, 0);
    assert_int_equal(made.entry.trace_header.len, 0);
    assert_int_equal(made.entry.time_us, NOW_US);
    assert_true(bytes_eq_cstr(made.read.time, "2026-01-30T11:15:12Z"));
    assert_true(bytes_eq_cstr(made.read.version, "0"));
    assert_true(bytes_eq_cstr(made.read.account, "000000000000"));
    assert_true(bytes_eq_cstr(made.read.region, "ap-northeast-1"));
    assert_true(uuid_parse(made.read.id, NULL));
    unmake(&made);
}

static void a_bus_is_a_name_or_the_end_of_an_arn(void **state)
{
    (void)state;
    static const struct {
        const char *given, *name;
    } cases[] = {{"demo", "demo"},
                 {"arn:aws:events:us-east-1:123456789012:event-bus/demo", "demo"},
                 {"arn:aws:events:us-east-1:123456789012:event-bus/a/b", "a/b"},
                 {"my:event-bus/demo", "my:event-bus/demo"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        made_t made;
        char more[128];
        (void)snprintf(more, sizeof more, ",\"EventBusName\":\"%s\"", cases[i].given);
        assert_true(make(&made, "\"{}\"", more));
        assert_true(bytes_eq_cstr(made.entry.bus, cases[i].name));
        unmake(&made);
    }
}

static void a_time_is_text_or_unix_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        int64_t us;
    } cases[] = {{",\"Time\":\"1970-01-01T09:00:01.25+09:00\"", 1250000},
                 {",\"Time\":1", 1000000},
                 {",\"Time\":1769771712.123456", INT64_C(1769771712123456)},
                 {",\"Time\":0", 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        made_t made;
        assert_true(make(&made, "\"{}\"", cases[i].more));
        assert_int_equal(made.entry.time_us, cases[i].us);
        unmake(&made);
    }
}

static void the_field_to_blame_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *detail, *more, *said;
    } cases[] = {{"{}", "", "Detail"},
                 {"\"\"", "", "Detail"},
                 {"\"[]\"", "", "Detail"},
                 {"\"{} x\"", "", "Detail"},
                 {"\"{}\"", ",\"Time\":true", "Time"},
                 {"\"{}\"", ",\"Time\":1e300", "Time"},
                 {"\"{}\"", ",\"Time\":253402300800", "Time"},
                 {"\"{}\"", ",\"TraceHeader\":1", "TraceHeader"},
                 {"\"{}\"", ",\"EventBusName\":\"\"", "EventBusName"},
                 {"\"{}\"", ",\"Resources\":[1]", "resources"},
                 {"\"{}\"", ",\"source\":\"x\"", "source is no field"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        made_t made;
        assert_false(make(&made, cases[i].detail, cases[i].more));
        assert_int_equal(made.err.code, STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(made.err.message, cases[i].said));
        assert_int_equal(made.envelope.len, 0);
        unmake(&made);
    }
}

static void an_envelope_is_no_entry(void **state)
{
    (void)state;
    buf_t value = {0};
    assert_true(json_to_msgpack(BYTES_LIT("{\"detail-type\":\"d\",\"Source\":\"s\"}"), NULL, &value, NULL));
    assert_false(event_entry_is(buf_bytes(&value)));
    buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_filled_in),   cmocka_unit_test(a_bus_is_a_name_or_the_end_of_an_arn),
        cmocka_unit_test(a_time_is_text_or_unix_seconds), cmocka_unit_test(the_field_to_blame_is_named),
        cmocka_unit_test(an_envelope_is_no_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
