/* test_schema.c: pack, unpack and validation, on a table that has every type once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/schema.h"

/* clang-format off: one row, one member */
#define PART_ROWS(X, T)                                                                                                \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "text of a format")                                                   \
    X(T, note, "note", STR, OPT, LEN(1, 5), "text within bounds")

#define SAMPLE_ROWS(X, T)                                                                                              \
    X(T, kind, "kind", STR, REQ, ENUM("small", "big"), "one of a few")                                                 \
    X(T, blob, "blob", BIN, OPT, LEN(0, 4), "binary")                                                                  \
    X(T, flag, "flag", BOOL, OPT, NONE, "true or false")                                                               \
    X(T, level, "level", I64, REQ, RANGE(-5, 5), "signed")                                                             \
    X(T, total, "total", U64, OPT, NONE, "unsigned")                                                                   \
    X(T, share, "share", F64, OPT, FRANGE(0.0, 1.0), "a double")                                                       \
    X(T, part, "part", OBJ(part), OPT, NONE, "a nested table")                                                         \
    X(T, extra, "extra", ANY, OPT, NONE, "anything")                                                                   \
    X(T, labels, "labels", MAP, OPT, COUNT(1, 2), "a map")                                                             \
    X(T, names, "names", STRS, OPT, EACH(0, 3, 1, 4), "texts")                                                         \
    X(T, blobs, "blobs", BINS, OPT, EACH(0, 3, 0, 4), "binaries")                                                      \
    X(T, numbers, "numbers", I64S, OPT, COUNT(0, 3), "integers")                                                       \
    X(T, items, "items", OBJS(part), OPT, COUNT(0, 4), "tables")                                                       \
    X(T, plain, "plain", STR, OPT, NONE, "text without a limit of its own")

#define TEST_SCHEMAS(S)                                                                                                \
    S(part, PART_ROWS, "part", "a part")                                                                               \
    S(sample, SAMPLE_ROWS, "body", "one member of each type")
/* clang-format on */

TEST_SCHEMAS(SCHEMA_DECLARE)
TEST_SCHEMAS(SCHEMA_DEFINE)

#define ISBN "9784088827513"

static void pack_json(const char *json, buf_t *out)
{
    error_t err;
    if (!json_to_msgpack(bytes_cstr(json), NULL, out, &err))
        fail_msg("%s", err.message);
}

static void assert_refused(const char *json, const char *wanted)
{
    buf_t in = {0};
    error_t err = {0};
    arena_t arena;
    sample_t s;
    arena_init(&arena, 0);
    pack_json(json, &in);
    assert_false(sample_unpack(buf_bytes(&in), &arena, &s, &err));
    assert_string_equal(err.message, wanted);
    assert_false(schema_validate(&sample_schema, buf_bytes(&in), &err));
    assert_string_equal(err.message, wanted);
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    arena_free(&arena);
    buf_free(&in);
}

static void every_type_arrives_in_the_struct(void **state)
{
    (void)state;
    buf_t in = {0};
    error_t err;
    arena_t arena;
    sample_t s;
    arena_init(&arena, 0);
    pack_json("{\"kind\":\"big\",\"blob\":{\"$binary\":\"AAE=\"},\"flag\":true,\"level\":-5,"
              "\"total\":18446744073709551615,\"share\":1,\"part\":{\"isbn\":\"" ISBN "\"},\"extra\":[null,{\"a\":1}],"
              "\"labels\":{\"a\":[]},\"names\":[\"x\",\"巻\"],\"blobs\":[{\"$binary\":\"\"}],\"numbers\":[-1,2],"
              "\"items\":[{\"isbn\":\"" ISBN "\",\"note\":\"ok\"},{\"isbn\":\"" ISBN "\"}],\"plain\":\"\"}",
              &in);
    assert_true(sample_unpack(buf_bytes(&in), &arena, &s, &err));
    assert_true(bytes_eq_cstr(s.kind, "big"));
    assert_true(s.has_blob && bytes_eq(s.blob, BYTES_LIT("\0\1")));
    assert_true(s.has_flag && s.flag && s.level == -5);
    assert_true(s.has_total && s.total == UINT64_MAX);
    assert_true(s.has_share && s.share >= 1.0);
    assert_true(s.has_part && bytes_eq_cstr(s.part.isbn, ISBN) && !s.part.has_note);
    assert_true(s.has_extra && bytes_eq(s.extra, BYTES_LIT("\x92\xc0\x81\xa1"
                                                           "a\x01")));
    assert_true(s.has_labels && s.labels.data[0] == 0x81);
    assert_true(s.names.count == 2 && bytes_eq_cstr(s.names.items[1], "巻"));
    assert_true(s.blobs.count == 1 && s.blobs.items[0].len == 0);
    assert_true(s.numbers.count == 2 && s.numbers.items[0] == -1 && s.numbers.items[1] == 2);
    assert_true(s.items.count == 2 && bytes_eq_cstr(s.items.items[0].note, "ok") && !s.items.items[1].has_note);
    assert_true(s.has_plain && s.plain.len == 0);

    buf_t again = {0};
    assert_true(sample_pack(&again, &s, &err));
    sample_t second;
    assert_true(sample_unpack(buf_bytes(&again), &arena, &second, &err));
    assert_true(bytes_eq_cstr(second.items.items[1].isbn, ISBN));
    buf_free(&again);
    buf_free(&in);
    arena_free(&arena);
}

static void what_is_absent_or_nil_is_not_there(void **state)
{
    (void)state;
    const char *const documents[] = {"{\"kind\":\"small\",\"level\":0}",
                                     "{\"level\":0,\"share\":null,\"items\":null,\"part\":null,\"kind\":\"small\"}"};
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        buf_t in = {0};
        error_t err;
        arena_t arena;
        sample_t s;
        arena_init(&arena, 0);
        pack_json(documents[i], &in);
        memset(&s, 0xff, sizeof s);
        assert_true(sample_unpack(buf_bytes(&in), &arena, &s, &err));
        assert_false(s.has_share || s.has_items || s.has_part || s.has_total || s.has_extra);
        assert_int_equal(s.items.count, 0);
        assert_int_equal(arena.used_bytes, 0);
        buf_free(&in);
        arena_free(&arena);
    }
}

static void what_is_not_known_is_passed_over(void **state)
{
    (void)state;
    buf_t in = {0};
    error_t err;
    pack_json("{\"later\":{\"a\":[1,2,{\"b\":null}]},\"kind\":\"small\",\"level\":0}", &in);
    assert_true(schema_validate(&sample_schema, buf_bytes(&in), &err));
    buf_free(&in);
}

#define BASE "{\"kind\":\"small\",\"level\":0,"

static void the_message_has_the_path_and_what_was_expected(void **state)
{
    (void)state;
    assert_refused("[]", "body: expected a map, found an array");
    assert_refused("{\"kind\":\"small\"}", "body.level: is missing");
    assert_refused("{\"kind\":\"tiny\",\"level\":0}", "body.kind: expected one of small, big");
    assert_refused("{\"kind\":null,\"level\":0}", "body.kind: expected text, found nil");
    assert_refused("{\"kind\":\"small\",\"level\":6}", "body.level: 6 is more than 5");
    assert_refused("{\"kind\":\"small\",\"level\":-6}", "body.level: -6 is less than -5");
    assert_refused("{\"kind\":\"small\",\"level\":1.0}", "body.level: expected an integer of 64 bits, found a float");
    assert_refused("{\"kind\":\"small\",\"level\":9223372036854775808}",
                   "body.level: expected an integer of 64 bits, found an integer");
    assert_refused(BASE "\"level\":1}", "body.level: stands twice");
    assert_refused(BASE "\"total\":-1}", "body.total: expected an unsigned integer of 64 bits, found an integer");
    assert_refused(BASE "\"share\":1.5}", "body.share: 1.5 is not between 0 and 1");
    assert_refused(BASE "\"share\":\"1\"}", "body.share: expected a number that a double holds, found text");
    assert_refused(BASE "\"flag\":1}", "body.flag: expected true or false, found an integer");
    assert_refused(BASE "\"blob\":\"x\"}", "body.blob: expected binary, found text");
    assert_refused(BASE "\"blob\":{\"$binary\":\"AAECAwQ=\"}}", "body.blob: 5 bytes, at most 4 are allowed");
    assert_refused(BASE "\"labels\":{}}", "body.labels: 0 entries, at least 1 are needed");
    assert_refused(BASE "\"labels\":[]}", "body.labels: expected a map");
    assert_refused(BASE "\"names\":\"x\"}", "body.names: expected an array, found text");
    assert_refused(BASE "\"names\":[\"x\",\"12345\"]}", "body.names[1]: 5 bytes, at most 4 are allowed");
    assert_refused(BASE "\"names\":[\"\"]}", "body.names[0]: must not be empty");
    assert_refused(BASE "\"numbers\":[1,2,3,4]}", "body.numbers: 4 entries, at most 3 are allowed");
    assert_refused(BASE "\"numbers\":[1,null]}", "body.numbers[1]: expected an integer of 64 bits, found nil");
}

static void the_path_goes_down_into_lists_and_parts(void **state)
{
    (void)state;
    assert_refused(BASE "\"items\":[{\"isbn\":\"" ISBN "\"},{\"isbn\":\"" ISBN "\"},{\"isbn\":\"" ISBN
                        "\"},{\"isbn\":\"9784088827516\"}]}",
                   "body.items[3].isbn: expected 13 digits with a valid check digit");
    assert_refused(BASE "\"items\":[{\"isbn\":\"" ISBN "\"},{}]}", "body.items[1].isbn: is missing");
    assert_refused(BASE "\"items\":[7]}", "body.items[0]: expected a map, found an integer");
    assert_refused(BASE "\"part\":{\"isbn\":\"" ISBN "\",\"note\":\"toolong\"}}",
                   "body.part.note: 7 bytes, at most 5 are allowed");
}

static void broken_msgpack_is_refused_wherever_it_breaks(void **state)
{
    (void)state;
    buf_t in = {0};
    error_t err;
    arena_t arena;
    sample_t s;
    arena_init(&arena, 0);
    pack_json(BASE "\"items\":[{\"isbn\":\"" ISBN "\"}],\"extra\":{\"a\":[1]},\"later\":[1,2]}", &in);
    for (size_t len = 0; len < in.len; len++) {
        uint8_t *part = malloc(len ? len : 1);
        assert_non_null(part);
        memcpy(part, in.data, len);
        assert_false(sample_unpack(bytes_from(part, len), &arena, &s, &err));
        free(part);
    }
    buf_append_byte(&in, 0x01);
    assert_false(sample_unpack(buf_bytes(&in), &arena, &s, &err));
    assert_string_equal(err.message, "body: 1 bytes behind its end");
    buf_free(&in);
    arena_free(&arena);
}

static void text_must_be_utf8_and_map_keys_text(void **state)
{
    (void)state;
    error_t err;
    assert_false(schema_validate(&part_schema, BYTES_LIT("\x81\xa4isbn\xa1\xff"), &err));
    assert_string_equal(err.message, "part.isbn: is not UTF-8 at byte 0");
    assert_false(schema_validate(&part_schema, BYTES_LIT("\x81\x01\x01"), &err));
    assert_string_equal(err.message, "part: expected text keys");
}

static void a_count_that_lies_costs_no_memory(void **state)
{
    (void)state;
    error_t err;
    arena_t arena;
    sample_t s;
    arena_init(&arena, 0);
    assert_false(sample_unpack(BYTES_LIT("\x81\xa5items\xdd\xff\xff\xff\xff"), &arena, &s, &err));
    assert_int_equal(arena.used_bytes, 0);
    arena_free(&arena);
}

static void a_full_arena_is_resource_exhausted(void **state)
{
    (void)state;
    buf_t in = {0};
    error_t err;
    arena_t arena;
    sample_t s;
    arena_init(&arena, 16);
    pack_json(BASE "\"numbers\":[1,2,3]}", &in);
    assert_false(sample_unpack(buf_bytes(&in), &arena, &s, &err));
    assert_int_equal(err.code, STATUS_RESOURCE_EXHAUSTED);
    buf_free(&in);
    arena_free(&arena);
}

static void nothing_is_appended_when_packing_is_refused(void **state)
{
    (void)state;
    buf_t out = {0};
    error_t err;
    sample_t s = {.kind = BYTES_LIT("small"), .level = 1};
    buf_append_cstr(&out, "before");
    part_t parts[] = {{.isbn = BYTES_LIT(ISBN)}, {.isbn = BYTES_LIT("978")}};
    SCHEMA_SET(&s, items, ((part_list_t){parts, 2}));
    assert_false(sample_pack(&out, &s, &err));
    assert_string_equal(err.message, "body.items[1].isbn: expected 13 digits with a valid check digit");
    assert_true(bytes_eq_cstr(buf_bytes(&out), "before"));
    parts[1].isbn = BYTES_LIT(ISBN);
    assert_true(sample_pack(&out, &s, &err));
    buf_free(&out);
}

static void the_document_says_what_the_table_says(void **state)
{
    (void)state;
    buf_t text = {0};
    schema_write_json(&part_schema, "a.part", &text);
    assert_string_equal(buf_cstr(&text), "{\n"
                                         "  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
                                         "  \"title\": \"a.part\",\n"
                                         "  \"description\": \"a part\",\n"
                                         "  \"type\": \"object\",\n"
                                         "  \"required\": [\"isbn\"],\n"
                                         "  \"properties\": {\n"
                                         "    \"isbn\": {\n"
                                         "      \"description\": \"text of a format\",\n"
                                         "      \"type\": \"string\",\n"
                                         "      \"pattern\": \"^97[89][0-9]{10}$\"\n"
                                         "    },\n"
                                         "    \"note\": {\n"
                                         "      \"description\": \"text within bounds\",\n"
                                         "      \"type\": \"string\",\n"
                                         "      \"minLength\": 1,\n"
                                         "      \"maxLength\": 5,\n"
                                         "      \"x-maxBytes\": 5\n"
                                         "    }\n"
                                         "  }\n"
                                         "}\n");
    buf_free(&text);
}

/* -- formats --------------------------------------------------------------------------------------- */

/* clang-format off: one row, one member */
#define FORMATS_ROWS(X, T)                                                                                             \
    X(T, time, "time", STR, OPT, FORMAT(RFC3339), "a time")                                                            \
    X(T, day, "day", STR, OPT, FORMAT(DATE), "a day")                                                                  \
    X(T, id, "id", STR, OPT, FORMAT(UUID), "an id")                                                                    \
    X(T, url, "url", STR, OPT, FORMAT(URI), "a place")                                                                 \
    X(T, money, "money", STR, OPT, FORMAT(CURRENCY), "a currency")                                                     \
    X(T, hash, "hash", STR, OPT, FORMAT(SHA256), "a hash")
/* clang-format on */

SCHEMA_DECLARE(formats, FORMATS_ROWS, "body", "one member of each format")
SCHEMA_DEFINE(formats, FORMATS_ROWS, "body", "one member of each format")

static void formats_are_held(void **state)
{
    (void)state;
    const struct {
        const char *json;
        bool good;
    } cases[] = {
        {"{\"time\":\"2026-01-30T20:15:12+09:00\"}", true},
        {"{\"time\":\"2026-01-30\"}", false},
        {"{\"day\":\"2026-01-30\"}", true},
        {"{\"day\":\"2026-02-30\"}", false},
        {"{\"id\":\"919108f7-52d1-4320-9bac-f847db4148a8\"}", true},
        {"{\"id\":\"919108f752d143209bacf847db4148a8\"}", false},
        {"{\"url\":\"https://example.com/x?y=1\"}", true},
        {"{\"url\":\"http://127.0.0.1:8080\"}", true},
        {"{\"url\":\"ftp://example.com\"}", false},
        {"{\"url\":\"https://\"}", false},
        {"{\"url\":\"https:///x\"}", false},
        {"{\"url\":\"https://a b\"}", false},
        {"{\"url\":\"https://a\\r\\nHost: b\"}", false},
        {"{\"url\":\"https://a\\u0000\"}", false},
        {"{\"money\":\"JPY\"}", true},
        {"{\"money\":\"jpy\"}", false},
        {"{\"money\":\"JPYY\"}", false},
        {"{\"hash\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}", true},
        {"{\"hash\":\"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t in = {0};
        error_t err;
        pack_json(cases[i].json, &in);
        if (schema_validate(&formats_schema, buf_bytes(&in), &err) != cases[i].good)
            fail_msg("%s", cases[i].json);
        buf_free(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_arrives_in_the_struct),
        cmocka_unit_test(what_is_absent_or_nil_is_not_there),
        cmocka_unit_test(what_is_not_known_is_passed_over),
        cmocka_unit_test(the_message_has_the_path_and_what_was_expected),
        cmocka_unit_test(the_path_goes_down_into_lists_and_parts),
        cmocka_unit_test(broken_msgpack_is_refused_wherever_it_breaks),
        cmocka_unit_test(text_must_be_utf8_and_map_keys_text),
        cmocka_unit_test(a_count_that_lies_costs_no_memory),
        cmocka_unit_test(a_full_arena_is_resource_exhausted),
        cmocka_unit_test(nothing_is_appended_when_packing_is_refused),
        cmocka_unit_test(the_document_says_what_the_table_says),
        cmocka_unit_test(formats_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
