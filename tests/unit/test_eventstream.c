/* test_eventstream.c: published frames byte for byte, and every way in which a stream can be cut or broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/eventstream.h"

#define ASSERT_TEXT(expected, got) assert_true(bytes_eq_cstr(got, expected))

/* Frames from botocore's test suite: name, bytes. */
static const uint8_t frame_empty[] = {0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff};
static const char frame_payload[] = "\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
static const char frame_text[] = "\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0c"
                                 "content-type\x07\x00\x10"
                                 "application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
static const char frame_int[] = "\x00\x00\x00+\x00\x00\x00\x0e\x34\x8b\xec\x7b\x08"
                                "event-id\x04\x00\x00\xa0\x0c{'foo':'bar'}\xd3\x89\x02\x85";

typedef struct {
    bytes_t frame;
    eventstream_header_t header; /* name empty: none */
    const char *payload;
} vector_t;

#define NO_HEADER                                                                                                      \
    {                                                                                                                  \
        .type = EVENTSTREAM_TRUE                                                                                       \
    }

static const vector_t vectors[] = {
    {{frame_empty, sizeof frame_empty}, NO_HEADER, ""},
    {BYTES_LIT(frame_payload), NO_HEADER, "{'foo':'bar'}"},
    {BYTES_LIT(frame_text),
     {.name = BYTES_LIT("content-type"), .type = EVENTSTREAM_STR, .bytes = BYTES_LIT("application/json")},
     "{'foo':'bar'}"},
    {BYTES_LIT(frame_int), {.name = BYTES_LIT("event-id"), .type = EVENTSTREAM_I32, .i64 = 0xa00c}, "{'foo':'bar'}"},
};

static eventstream_message_t message_of(const vector_t *v)
{
    return (eventstream_message_t){&v->header, v->header.name.len ? 1 : 0, bytes_cstr(v->payload)};
}

static void published_frames_are_written_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        buf_t out = {0};
        eventstream_message_t message = message_of(&vectors[i]);
        assert_true(eventstream_write(&out, &message, NULL));
        assert_true(bytes_eq(buf_bytes(&out), vectors[i].frame));
        buf_free(&out);
    }
}

static void published_frames_are_read(void **state)
{
    (void)state;
    eventstream_decoder_t d = {0};
    eventstream_message_t m;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        eventstream_feed(&d, vectors[i].frame);
        assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MESSAGE);
        ASSERT_TEXT(vectors[i].payload, m.payload);
        assert_int_equal(m.header_count, vectors[i].header.name.len ? 1 : 0);
        if (m.header_count) {
            assert_int_equal(m.headers[0].type, vectors[i].header.type);
            assert_int_equal(m.headers[0].i64, vectors[i].header.i64);
            assert_true(bytes_eq(m.headers[0].bytes, vectors[i].header.bytes));
        }
        assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MORE);
        assert_true(eventstream_is_between(&d));
    }
    eventstream_free(&d);
}

static void every_type_of_header_comes_back(void **state)
{
    (void)state;
    const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const eventstream_header_t headers[] = {
        {.name = BYTES_LIT("t"), .type = EVENTSTREAM_TRUE},
        {.name = BYTES_LIT("f"), .type = EVENTSTREAM_FALSE},
        {.name = BYTES_LIT("i8"), .type = EVENTSTREAM_I8, .i64 = -128},
        {.name = BYTES_LIT("i16"), .type = EVENTSTREAM_I16, .i64 = -2},
        {.name = BYTES_LIT("i32"), .type = EVENTSTREAM_I32, .i64 = INT32_MIN},
        {.name = BYTES_LIT("i64"), .type = EVENTSTREAM_I64, .i64 = INT64_MIN},
        {.name = BYTES_LIT("b"), .type = EVENTSTREAM_BYTES, .bytes = BYTES_LIT("\0\xff")},
        {.name = BYTES_LIT("s"), .type = EVENTSTREAM_STR, .bytes = BYTES_LIT("漫画")},
        {.name = BYTES_LIT("time"), .type = EVENTSTREAM_TIME, .i64 = 1440938160000},
        {.name = BYTES_LIT("uuid"), .type = EVENTSTREAM_UUID, .bytes = {uuid, sizeof uuid}},
    };
    eventstream_message_t in = {headers, ARRAY_LEN(headers), BYTES_LIT("p")}, m;
    buf_t out = {0};
    assert_true(eventstream_write(&out, &in, NULL));
    eventstream_decoder_t d = {0};
    eventstream_feed(&d, buf_bytes(&out));
    assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MESSAGE);
    assert_int_equal(m.header_count, ARRAY_LEN(headers));
    for (size_t i = 0; i < m.header_count; i++) {
        assert_true(bytes_eq(m.headers[i].name, headers[i].name));
        assert_int_equal(m.headers[i].type, headers[i].type);
        assert_int_equal(m.headers[i].i64, headers[i].i64);
        assert_true(bytes_eq(m.headers[i].bytes, headers[i].bytes));
    }
    ASSERT_TEXT("漫画", eventstream_text(&m, "s"));
    assert_int_equal(eventstream_text(&m, "b").len, 0);
    assert_int_equal(eventstream_text(&m, "absent").len, 0);
    eventstream_free(&d);
    buf_free(&out);
}

static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    eventstream_decoder_t d = {0};
    eventstream_message_t m;
    for (size_t round = 0; round < 5000; round++) {
        bytes_t frame = vectors[round % ARRAY_LEN(vectors)].frame;
        for (size_t i = 0; i < frame.len; i++) {
            assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MORE);
            assert_int_equal(eventstream_is_between(&d), i == 0);
            eventstream_feed(&d, bytes_from(frame.data + i, 1));
        }
        assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MESSAGE);
        ASSERT_TEXT(vectors[round % ARRAY_LEN(vectors)].payload, m.payload);
    }
    assert_true(d.buf.cap < 4096); /* what was consumed is not kept */
    eventstream_free(&d);
}

static void many_frames_in_one_piece_come_out_in_order(void **state)
{
    (void)state;
    buf_t all = {0};
    for (size_t i = 0; i < 4000; i++)
        buf_append_bytes(&all, vectors[i % 4].frame);
    eventstream_decoder_t d = {0};
    eventstream_message_t m;
    eventstream_feed(&d, buf_bytes(&all));
    eventstream_feed(&d, bytes_from(frame_empty, 5));
    for (size_t i = 0; i < 4000; i++) {
        assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MESSAGE);
        ASSERT_TEXT(vectors[i % 4].payload, m.payload);
    }
    assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MORE);
    assert_false(eventstream_is_between(&d));
    eventstream_feed(&d, bytes_from(frame_empty + 5, sizeof frame_empty - 5));
    assert_int_equal(eventstream_next(&d, &m, NULL), EVENTSTREAM_MESSAGE);
    eventstream_free(&d);
    buf_free(&all);
}

static void a_changed_bit_anywhere_is_found(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * (sizeof frame_text - 1); bit++) {
        char frame[sizeof frame_text];
        memcpy(frame, frame_text, sizeof frame);
        frame[bit / 8] = (char)(frame[bit / 8] ^ (1 << (bit % 8)));
        eventstream_decoder_t d = {0};
        eventstream_message_t m;
        error_t err;
        eventstream_feed(&d, bytes_from(frame, sizeof frame - 1));
        assert_int_equal(eventstream_next(&d, &m, &err), EVENTSTREAM_BROKEN);
        assert_int_equal(err.code, STATUS_DATA_LOSS);
        eventstream_feed(&d, BYTES_LIT(frame_text));
        assert_int_equal(eventstream_next(&d, &m, &err), EVENTSTREAM_BROKEN); /* for good */
        eventstream_free(&d);
    }
}

/* A frame whose checksums are right and whose content is what the caller says: to reach behind the checksums
 * the header bytes go in as the payload of an empty frame, and its lengths and checksums are then made again. */
static void refused_with_headers(bytes_t headers)
{
    buf_t out = {0};
    eventstream_message_t m = {.payload = headers};
    assert_true(eventstream_write(&out, &m, NULL));
    eventstream_decoder_t d = {0};
    error_t err;
    for (size_t i = 0; i < 4; i++)
        out.data[4 + i] = (uint8_t)(headers.len >> (8 * (3 - i)));
    /* CRC-32 of the prelude and of all, bit by bit: another way than the module's. */
    size_t ends[] = {8, out.len - 4};
    for (size_t e = 0; e < 2; e++) {
        uint32_t crc = UINT32_MAX;
        for (size_t i = 0; i < ends[e]; i++) {
            crc ^= out.data[i];
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        }
        for (size_t i = 0; i < 4; i++)
            out.data[ends[e] + i] = (uint8_t)(~crc >> (8 * (3 - i)));
    }
    eventstream_feed(&d, buf_bytes(&out));
    assert_int_equal(eventstream_next(&d, &m, &err), EVENTSTREAM_BROKEN);
    assert_non_null(strstr(err.message, "header"));
    eventstream_free(&d);
    buf_free(&out);
}

static void headers_out_of_form_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        bytes_t headers;
    } cases[] = {
        {"no name", BYTES_LIT("\0\0")},          {"name cut", BYTES_LIT("\5zz")},
        {"no type", BYTES_LIT("\1z")},           {"no such type", BYTES_LIT("\1z\12")},
        {"number cut", BYTES_LIT("\1z\4\0\0")},  {"length cut", BYTES_LIT("\1z\7\0")},
        {"text cut", BYTES_LIT("\1z\7\0\5zzz")}, {"text over the bound", BYTES_LIT("\1z\7\377\377z")},
        {"UUID cut", BYTES_LIT("\1z\11zzz")},    {"twice", BYTES_LIT("\1z\0\1z\1")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].why);
        refused_with_headers(cases[i].headers);
    }
}

static void lengths_out_of_bounds_are_refused_before_they_are_waited_for(void **state)
{
    (void)state;
    /* Preludes with right checksums: total and headers as named. */
    static const struct {
        uint32_t total, headers;
    } cases[] = {{0, 0}, {15, 0}, {16, 1}, {0xffffffff, 0}, {0x40000000, 0x20001}, {100, 0xffffffff}};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        uint8_t prelude[12];
        for (size_t i = 0; i < 4; i++) {
            prelude[i] = (uint8_t)(cases[c].total >> (8 * (3 - i)));
            prelude[4 + i] = (uint8_t)(cases[c].headers >> (8 * (3 - i)));
        }
        uint32_t crc = UINT32_MAX;
        for (size_t i = 0; i < 64; i++)
            crc = crc >> 1 ^ ((crc ^ (uint32_t)(prelude[i / 8] >> (i % 8))) & 1 ? 0xEDB88320u : 0);
        for (size_t i = 0; i < 4; i++)
            prelude[8 + i] = (uint8_t)(~crc >> (8 * (3 - i)));
        eventstream_decoder_t d = {0};
        eventstream_message_t m;
        error_t err;
        eventstream_feed(&d, bytes_from(prelude, sizeof prelude));
        assert_int_equal(eventstream_next(&d, &m, &err), EVENTSTREAM_BROKEN);
        assert_non_null(strstr(err.message, "length"));
        eventstream_free(&d);
    }
}

static void what_could_not_be_read_is_not_written(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'n', sizeof name);
    eventstream_header_t many[EVENTSTREAM_HEADERS_MAX + 1] = {0};
    buf_t value = {0}, out = {0};
    for (size_t i = 0; i <= EVENTSTREAM_VALUE_MAX_BYTES; i++)
        buf_append_byte(&value, 'v');
    const eventstream_header_t bad[][2] = {
        {{.name = BYTES_NONE}},
        {{.name = {(uint8_t *)name, 256}}},
        {{.name = BYTES_LIT("a"), .type = EVENTSTREAM_STR, .bytes = {value.data, value.len}}},
        {{.name = BYTES_LIT("a"), .type = EVENTSTREAM_UUID, .bytes = BYTES_LIT("short")}},
        {EVENTSTREAM_TEXT("a", "1"), EVENTSTREAM_TEXT("a", "2")},
    };
    error_t err;
    buf_append_cstr(&out, "kept");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        eventstream_message_t m = {bad[i], i == 4 ? 2 : 1, BYTES_NONE};
        assert_false(eventstream_write(&out, &m, &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    }
    eventstream_message_t m = {many, ARRAY_LEN(many), BYTES_NONE};
    assert_false(eventstream_write(&out, &m, &err));
    m = (eventstream_message_t){.payload = {value.data, EVENTSTREAM_PAYLOAD_MAX_BYTES + 1}};
    assert_false(eventstream_write(&out, &m, &err));
    ASSERT_TEXT("kept", buf_bytes(&out));
    buf_free(&out);
    buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_frames_are_written_byte_for_byte),
        cmocka_unit_test(published_frames_are_read),
        cmocka_unit_test(every_type_of_header_comes_back),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(many_frames_in_one_piece_come_out_in_order),
        cmocka_unit_test(a_changed_bit_anywhere_is_found),
        cmocka_unit_test(headers_out_of_form_are_refused),
        cmocka_unit_test(lengths_out_of_bounds_are_refused_before_they_are_waited_for),
        cmocka_unit_test(what_could_not_be_read_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
