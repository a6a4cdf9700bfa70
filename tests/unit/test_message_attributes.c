/* test_message_attributes.c: MD5 sums with known answers, and SQS's rules for names, values and texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/message_attributes.h"
#include "proto/msgpack.h"

/* -- MD5 ----------------------------------------------------------------------------------------------- */
static void md5_gives_the_answers_of_its_specification(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } known[] = {
        /* RFC 1321, A.5 */
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        char hex[MD5_HEX_BYTES];
        md5_t md5;
        md5_begin(&md5);
        md5_add(&md5, known[i].text, strlen(known[i].text));
        md5_end_hex(&md5, hex);
        assert_string_equal(hex, known[i].hex);
    }
}

static void md5_does_not_care_how_its_input_is_cut(void **state)
{
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof data; len++) {
        char whole[MD5_HEX_BYTES], cut[MD5_HEX_BYTES];
        md5_t md5;
        md5_begin(&md5);
        md5_add(&md5, data, len);
        md5_end_hex(&md5, whole);
        md5_begin(&md5);
        for (size_t at = 0; at < len; at += 13)
            md5_add(&md5, data + at, len - at < 13 ? len - at : 13);
        md5_end_hex(&md5, cut);
        assert_string_equal(whole, cut);
    }
}

/* -- sums of messages ------------------------------------------------------------------------------------ */
typedef struct {
    buf_t body, attrs;
    attrs_writer_t writer;
    message_digests_t digests;
} case_t;

static int open_case(void **state)
{
    case_t *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->writer = attrs_begin(&c->attrs);
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    case_t *c = *state;
    buf_free(&c->body);
    buf_free(&c->attrs);
    free(c);
    return 0;
}

static const message_digests_t *digests_of(case_t *c)
{
    if (!c->body.len)
        mp_put_cstr(&c->body, "x");
    assert_true(attrs_end(&c->writer, NULL));
    message_digests(buf_bytes(&c->body), buf_bytes(&c->attrs), &c->digests);
    return &c->digests;
}

static void the_sum_of_one_text_attribute_is_the_known_one(void **state)
{
    case_t *c = *state;
    attrs_put_str(&c->writer, "attribName1", BYTES_LIT("attribValue 1"));
    assert_string_equal(digests_of(c)->attributes, "19e27d4e946b072f3f58da80d94fd778");
}

/* Written out: the length of each part, big-endian, and the part; behind the type its form, 1 text or 2 binary. */
static void the_sum_goes_by_name_and_knows_all_types(void **state)
{
    case_t *c = *state;
    attrs_put_int(&c->writer, "number", -7);
    attrs_put_bin(&c->writer, "binary", BYTES_LIT("\x01\x02"));
    attrs_put_bool(&c->writer, "flag", true);
    attrs_put_str(&c->writer, "Text", BYTES_LIT("value"));
    const char parts[] = "\0\0\0\4Text\0\0\0\6String\1\0\0\0\5value"
                         "\0\0\0\6binary\0\0\0\6Binary\2\0\0\0\2\1\2"
                         "\0\0\0\4flag\0\0\0\16String.boolean\1\0\0\0\4true"
                         "\0\0\0\6number\0\0\0\6Number\1\0\0\0\2-7";
    char expected[MD5_HEX_BYTES];
    md5_t md5;
    md5_begin(&md5);
    md5_add(&md5, parts, sizeof parts - 1);
    md5_end_hex(&md5, expected);
    assert_string_equal(digests_of(c)->attributes, expected);
}

static void what_the_house_adds_is_not_in_the_sum_and_the_trace_header_has_its_own(void **state)
{
    case_t *c = *state;
    attrs_put_str(&c->writer, ATTR_TRACEPARENT, BYTES_LIT("00-1-2-01"));
    attrs_put_str(&c->writer, "attribName1", BYTES_LIT("attribValue 1"));
    attrs_put_str(&c->writer, ATTR_AWS_TRACE_HEADER, BYTES_LIT("Root=1"));
    const message_digests_t *d = digests_of(c);
    assert_string_equal(d->attributes, "19e27d4e946b072f3f58da80d94fd778");
    assert_int_equal(strlen(d->system_attributes), 32);
    assert_string_not_equal(d->system_attributes, d->attributes);
}

static void without_attributes_there_is_no_sum_of_them(void **state)
{
    const message_digests_t *d = digests_of(*state);
    assert_string_equal(d->attributes, "");
    assert_string_equal(d->system_attributes, "");
    assert_string_equal(d->body, "9dd4e461268c8034f5c8564e155c67a6"); /* of x */
}

static void the_body_s_sum_is_that_of_a_text_s_or_a_binary_s_content_and_else_of_the_value(void **state)
{
    (void)state;
    static const char *const hex[] = {"5d41402abc4b2a76b9719d911017c592", "5d41402abc4b2a76b9719d911017c592"};
    message_digests_t d;
    message_digests(BYTES_LIT("\xa5hello"), BYTES_NONE, &d);
    assert_string_equal(d.body, hex[0]);
    message_digests(BYTES_LIT("\xc4\x05hello"), BYTES_NONE, &d);
    assert_string_equal(d.body, hex[1]);
    message_digests(BYTES_LIT("\x07"), BYTES_NONE, &d);
    assert_string_equal(d.body, "89e74e640b8c46257a29de0616794d5d");
}

/* -- rules ------------------------------------------------------------------------------------------------ */
static bool is_refused(case_t *c, const char *words)
{
    error_t err = {0};
    assert_true(attrs_end(&c->writer, NULL));
    if (message_attributes_check(buf_bytes(&c->attrs), &err))
        return false;
    assert_string_equal(err.aws, "InvalidParameterValue");
    if (!strstr(err.message, words))
        fail_msg("%s", err.message);
    return true;
}

static void names_follow_sqs(void **state)
{
    static const struct {
        const char *name;
        bool is_good;
    } names[] = {{"a", true},      {"A.b-c_9", true}, {".a", false},    {"a.", false},      {"a..b", false},
                 {"a b", false},   {"\u00e9", false}, {"AWS.x", false}, {"aws.x", false},   {"Amazon.x", false},
                 {"Awsome", true}, {"AWSx", true},    {"a/b", false},   {"amazon.", false}, {"a.b.c", true}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)close_case(state);
        (void)open_case(state);
        case_t *c = *state;
        attrs_put_str(&c->writer, names[i].name, BYTES_LIT("v"));
        if (is_refused(c, names[i].name) == names[i].is_good)
            fail_msg("%s", names[i].name);
    }
}

static void ten_of_the_sender_s_own_are_allowed_and_those_of_the_house_do_not_count(void **state)
{
    for (int count = 10; count <= 11; count++) {
        (void)close_case(state);
        (void)open_case(state);
        case_t *c = *state;
        attrs_put_str(&c->writer, ATTR_TRACEPARENT, BYTES_LIT("t"));
        attrs_put_str(&c->writer, ATTR_ORIGIN, BYTES_LIT("o"));
        for (int i = 0; i < count; i++)
            attrs_put_int(&c->writer, (const char[]){'a', (char)('a' + i), '\0'}, i);
        assert_int_equal(is_refused(c, "10 attributes"), count == 11);
    }
}

static void an_empty_value_is_refused(void **state)
{
    case_t *c = *state;
    attrs_put_bin(&c->writer, "empty", BYTES_NONE);
    assert_true(is_refused(c, "must not be empty"));
}

static void a_text_has_the_characters_of_xml(void **state)
{
    (void)state;
    static const struct {
        bytes_t body;
        bool is_good;
    } bodies[] = {
        {BYTES_LIT("\xa3\t\n\r"), true},
        {BYTES_LIT("\xa1\x01"), false},
        {BYTES_LIT("\xa1\x1f"), false},
        {BYTES_LIT("\xa1\x7f"), true},
        {BYTES_LIT("\xa3\xef\xbf\xbd"), true},     /* U+FFFD */
        {BYTES_LIT("\xa3\xef\xbf\xbe"), false},    /* U+FFFE */
        {BYTES_LIT("\xa4\xf0\x9f\x93\x9a"), true}, /* U+1F4DA */
        {BYTES_LIT("\xc4\x02\x00\x01"), true},     /* binary may hold anything */
        {BYTES_LIT("\x81\xa1k\xa1\x01"), true},    /* and so may what stands deeper */
        {BYTES_LIT("\xa6\xe4\xbd\xa0\xe5\xa5\xbd"), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        error_t err = {0};
        assert_int_equal(message_body_check(bodies[i].body, &err), bodies[i].is_good);
        assert_string_equal(err.aws, bodies[i].is_good ? "" : "InvalidMessageContents");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_case, close_case)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_gives_the_answers_of_its_specification),
        cmocka_unit_test(md5_does_not_care_how_its_input_is_cut),
        TEST(the_sum_of_one_text_attribute_is_the_known_one),
        TEST(the_sum_goes_by_name_and_knows_all_types),
        TEST(what_the_house_adds_is_not_in_the_sum_and_the_trace_header_has_its_own),
        TEST(without_attributes_there_is_no_sum_of_them),
        cmocka_unit_test(the_body_s_sum_is_that_of_a_text_s_or_a_binary_s_content_and_else_of_the_value),
        TEST(names_follow_sqs),
        TEST(ten_of_the_sender_s_own_are_allowed_and_those_of_the_house_do_not_count),
        TEST(an_empty_value_is_refused),
        cmocka_unit_test(a_text_has_the_characters_of_xml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
