/* Each test is one sentence about what PutEvents is given and what its answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/envelope.h"
#include "proto/json.h"
#include "services/bridge/entry.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* An envelope from JSON; to be freed. */
static buf_t envelope(const char *more)
{
    char json[4096];
    buf_t out = {0};
    (void)snprintf(
        json, sizeof json,
        "{\"version\":\"0\",\"id\":\"01890000-0000-7000-8000-000000000001\",\"detail-type\":\"order.placed\","
        "\"source\":\"manga-assist.orders\",\"account\":\"000000000000\",\"time\":\"2025-03-01T09:00:00.25Z\","
        "\"region\":\"ap-northeast-1\",%s}",
        more);
    assert_true(json_to_msgpack(bytes_cstr(json), NULL, &out, NULL));
    return out;
}

/* The entry as JSON text; `size` may be NULL. Static: good until the next call. */
static const char *entry_of(const char *more, const char *trace, size_t *size)
{
    static buf_t out;
    size_t ignored;
    buf_clear(&out);
    buf_t body = envelope(more);
    entry_t entry = {.envelope = buf_bytes(&body), .bus = BYTES_LIT("orders"), .trace_id = bytes_cstr(trace)};
    assert_true(entry_write(&out, &entry, size ? size : &ignored, NULL));
    buf_free(&body);
    return buf_cstr(&out);
}

static void an_entry_says_all_that_putevents_takes(void **state)
{
    (void)state;
    assert_string_equal(
        entry_of("\"resources\":[\"arn:1\"],\"detail\":{\"title\":\"猫\\n\",\"n\":9223372036854775807}", TRACE, NULL),
        "{\"Source\":\"manga-assist.orders\",\"DetailType\":\"order.placed\","
        "\"Detail\":\"{\\\"title\\\":\\\"猫\\\\n\\\",\\\"n\\\":9223372036854775807}\",\"EventBusName\":\"orders\","
        "\"Time\":1740819600.250000,"
        "\"TraceHeader\":\"Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1\","
        "\"Resources\":[\"urn:mangabus:origin\",\"arn:1\"]}");
}

static void the_size_is_eventbridges_formula_with_our_mark_among_the_resources(void **state)
{
    (void)state;
    size_t size;
    (void)entry_of("\"resources\":[\"arn:1\"],\"detail\":{\"a\":1}", "", &size);
    assert_int_equal(size, 14 + strlen("manga-assist.orders") + strlen("order.placed") + strlen("{\"a\":1}") +
                               strlen("arn:1") + strlen(ENTRY_ORIGIN_RESOURCE));
}

static void a_trace_that_is_none_is_left_out_and_cannot_break_the_json(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "00-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\"",
                                        "00-\",\"Detail\":\"x43dd8448eb211c80319c-b7ad6b7169203331-01",
                                        "00-00000000000000000000000000000000-b7ad6b7169203331-01"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_null(strstr(entry_of("\"detail\":{}", wrong[i], NULL), "TraceHeader"));
    assert_non_null(strstr(entry_of("\"detail\":{}", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL),
                           ";Sampled=0\""));
}

static bool writes(bytes_t body, error_t *err)
{
    buf_t out = {0};
    size_t size;
    bool ok = entry_write(&out, &(entry_t){.envelope = body, .bus = BYTES_LIT("b")}, &size, err);
    assert_true(ok || out.len == 0);
    buf_free(&out);
    return ok;
}

static void an_event_whose_json_is_too_large_is_refused_though_its_envelope_was_not(void **state)
{
    (void)state;
    error_t err;
    buf_t detail = {0}, body = {0};
    buf_append_cstr(&detail, "\x81\xA1t\xDA\xFF\xFF"); /* {"t": 65535 bytes}, of which each is six in JSON */
    for (int i = 0; i < 65535; i++)
        buf_append_byte(&detail, 1);
    envelope_t e = {.id = BYTES_LIT("i"),
                    .detail_type = BYTES_LIT("t"),
                    .source = BYTES_LIT("s"),
                    .time = BYTES_LIT("2025-03-01T09:00:00Z"),
                    .detail = buf_bytes(&detail)};
    assert_true(envelope_write(&body, &e, NULL));
    assert_true(writes(buf_bytes(&body), &err)); /* 393 KB */
    detail.data[0] = 0x83;
    for (int key = 'u'; key < 'w'; key++) {
        uint8_t head[] = {0xA1, (uint8_t)key, 0xDA, 0xFF, 0xFF};
        buf_append(&detail, head, sizeof head);
        for (int i = 0; i < 65535; i++)
            buf_append_byte(&detail, 1);
    }
    e.detail = buf_bytes(&detail);
    buf_clear(&body);
    assert_true(envelope_write(&body, &e, NULL));
    assert_false(writes(buf_bytes(&body), &err));
    assert_int_equal(err.code, STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "it takes 1048576"));
    buf_free(&detail);
    buf_free(&body);
}

static void what_is_no_envelope_is_refused(void **state)
{
    (void)state;
    error_t err;
    assert_false(writes(BYTES_LIT("\x80"), &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_false(writes(BYTES_NONE, &err));
}

static bool is_foreign(const char *more, const char *attrs_json)
{
    buf_t body = envelope(more), attrs = {0};
    assert_true(json_to_msgpack(bytes_cstr(attrs_json), NULL, &attrs, NULL));
    bool foreign = entry_is_foreign(buf_bytes(&body), buf_bytes(&attrs));
    buf_free(&body);
    buf_free(&attrs);
    return foreign;
}

static void what_came_from_aws_or_was_there_is_foreign(void **state)
{
    (void)state;
    assert_true(is_foreign("\"detail\":{}", "{\"origin\":\"aws:ap-northeast-1:123456789012\"}"));
    assert_true(is_foreign("\"resources\":[\"a\",\"urn:mangabus:origin\"],\"detail\":{}", "{}"));
    assert_false(is_foreign("\"resources\":[\"urn:mangabus:origins\"],\"detail\":{}", "{\"origin\":\"awsome\"}"));
    assert_false(is_foreign("\"detail\":{\"resources\":[\"urn:mangabus:origin\"]}", "{}"));
    assert_false(entry_is_foreign(BYTES_LIT("\x80"), BYTES_NONE));
}

static bool answers(const char *json, size_t count, entry_answer_t *out)
{
    return entry_answers_read(bytes_cstr(json), count, out, NULL);
}

static void each_entry_has_its_own_outcome(void **state)
{
    (void)state;
    entry_answer_t out[4];
    assert_true(
        answers("{\"FailedEntryCount\":3,\"Entries\":[{\"EventId\":\"e\"},{\"ErrorCode\":\"ThrottlingException\","
                "\"ErrorMessage\":\"slow\"},{\"ErrorCode\":\"InternalFailure\"},{\"ErrorCode\":\"NotAuthorized\","
                "\"ErrorMessage\":\"no\"}]}",
                4, out));
    assert_int_equal(out[0].outcome, ENTRY_ACCEPTED);
    assert_int_equal(out[1].outcome, ENTRY_AGAIN);
    assert_string_equal(out[1].message, "slow");
    assert_int_equal(out[2].outcome, ENTRY_AGAIN);
    assert_string_equal(out[2].message, "");
    assert_int_equal(out[3].outcome, ENTRY_REFUSED);
    assert_string_equal(out[3].code, "NotAuthorized");
}

static void an_error_beside_an_id_is_an_error_and_null_is_none(void **state)
{
    (void)state;
    entry_answer_t out[2];
    assert_true(answers("{\"Entries\":[{\"EventId\":\"e\",\"ErrorCode\":\"X\"},{\"EventId\":\"e\",\"ErrorCode\":null,"
                        "\"ErrorMessage\":null}]}",
                        2, out));
    assert_int_equal(out[0].outcome, ENTRY_REFUSED);
    assert_int_equal(out[1].outcome, ENTRY_ACCEPTED);
}

static void long_words_are_cut_and_stay_errors(void **state)
{
    (void)state;
    static const char first[] = "{\"Entries\":[{\"ErrorCode\":\"", last[] = "\"}]}";
    buf_t json = {0};
    entry_answer_t out[1];
    buf_append_cstr(&json, first);
    for (int i = 0; i < 500; i++)
        buf_append_byte(&json, 'X');
    buf_append_cstr(&json, last);
    assert_true(entry_answers_read(buf_bytes(&json), 1, out, NULL));
    assert_int_equal(out[0].outcome, ENTRY_REFUSED);
    assert_int_equal(strlen(out[0].code), sizeof out[0].code - 1);
    buf_free(&json);
}

static void what_does_not_answer_for_every_entry_is_no_answer(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "null",
                                        "[]",
                                        "{}",
                                        "<html>",
                                        "{\"Entries\":null}",
                                        "{\"Entries\":{}}",
                                        "{\"Entries\":[]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},null]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{\"EventId\":\"\"}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{\"EventId\":7}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{\"ErrorCode\":\"\"}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{\"EventId\":\"e\"},{\"EventId\":\"e\"}]}",
                                        "{\"Entries\":[{\"EventId\":\"e\"},{\"EventId\":\"e\"}]"};
    entry_answer_t out[2];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        error_t err = {0};
        assert_false(entry_answers_read(bytes_cstr(wrong[i]), 2, out, &err));
        assert_int_equal(err.code, STATUS_UNAVAILABLE); /* whoever answered so: no event is to blame */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_says_all_that_putevents_takes),
        cmocka_unit_test(the_size_is_eventbridges_formula_with_our_mark_among_the_resources),
        cmocka_unit_test(a_trace_that_is_none_is_left_out_and_cannot_break_the_json),
        cmocka_unit_test(an_event_whose_json_is_too_large_is_refused_though_its_envelope_was_not),
        cmocka_unit_test(what_is_no_envelope_is_refused),
        cmocka_unit_test(what_came_from_aws_or_was_there_is_foreign),
        cmocka_unit_test(each_entry_has_its_own_outcome),
        cmocka_unit_test(an_error_beside_an_id_is_an_error_and_null_is_none),
        cmocka_unit_test(long_words_are_cut_and_stay_errors),
        cmocka_unit_test(what_does_not_answer_for_every_entry_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
