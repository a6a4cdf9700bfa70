/* Every record kind, generically over the tables, and the checksum that guards them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/crc32c.h"
#include "proto/msgpack.h"
#include "proto/record.h"
#include "tests/lib/fields_random.h"

#define ROUNDS 60

typedef struct {
    record_t given, got;
    buf_t raw, again;
} fixture_t;

static int fixture_new(void **state)
{
    *state = calloc(1, sizeof(fixture_t));
    return *state ? 0 : -1;
}

static int fixture_free(void **state)
{
    fixture_t *f = *state;
    buf_free(&f->raw);
    buf_free(&f->again);
    free(f);
    return 0;
}

static void make_record(fixture_t *f, random_t *random, uint64_t kind, uint32_t list_max)
{
    f->given.seq = random_u64(random);
    f->given.ingest_us = (int64_t)random_u64(random);
    f->given.kind = (record_kind_t)kind;
    fields_randomize(random, record_layout(kind), list_max, &f->given.publish);
    buf_clear(&f->raw);
    record_encode(&f->raw, f->given.seq, f->given.ingest_us, f->given.kind, &f->given.publish);
    assert_false(f->raw.failed);
}

static void every_kind_comes_back_as_it_was_written(void **state)
{
    fixture_t *f = *state;
    random_t random = {1};
    error_t err;
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++) {
        for (int round = 0; round < ROUNDS; round++) {
            make_record(f, &random, kind, FIELDS_LIST_MAX);
            uint32_t length;
            uint64_t seq;
            int64_t ingest_us;
            assert_true(record_peek(buf_bytes(&f->raw), &length, &seq, &ingest_us));
            assert_int_equal(length, f->raw.len);
            assert_true(seq == f->given.seq && ingest_us == f->given.ingest_us);
            buf_append_cstr(&f->raw, "the next record");
            memset(&f->got, 0xA5, sizeof f->got);
            if (!record_decode(buf_bytes(&f->raw), &f->got, &err))
                fail_msg("%s", err.message);
            assert_true(f->got.kind == f->given.kind && f->got.seq == seq && f->got.ingest_us == ingest_us);
            assert_true(fields_equal(record_layout(kind), &f->given.publish, &f->got.publish));
        }
    }
}

static void every_truncation_is_data_loss(void **state)
{
    fixture_t *f = *state;
    random_t random = {2};
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++) {
        make_record(f, &random, kind, 6);
        for (size_t len = 0; len < f->raw.len; len++) {
            error_t err;
            uint8_t *cut = malloc(len ? len : 1);
            assert_non_null(cut);
            memcpy(cut, f->raw.data, len);
            bool taken = record_decode(bytes_from(cut, len), &f->got, &err);
            free(cut);
            assert_false(taken);
            assert_int_equal(err.code, STATUS_DATA_LOSS);
        }
    }
}

static void every_flipped_bit_is_data_loss(void **state)
{
    fixture_t *f = *state;
    random_t random = {3};
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++) {
        make_record(f, &random, kind, 4);
        for (size_t bit = 0; bit < f->raw.len * 8; bit++) {
            error_t err;
            f->raw.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_false(record_verify(buf_bytes(&f->raw), &err));
            assert_int_equal(err.code, STATUS_DATA_LOSS);
            f->raw.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

static void assert_hex(const buf_t *got, const char *hex)
{
    char text[4096] = "";
    assert_true(got->len * 2 < sizeof text);
    for (size_t i = 0; i < got->len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", got->data[i]);
    assert_string_equal(text, hex);
}

static void a_send_is_these_bytes(void **state)
{
    fixture_t *f = *state;
    record_send_t send = {.queue = 3, .group = BYTES_LIT("g"), .visible_us = 1000, .body = BYTES_LIT("\x80")};
    buf_clear(&f->raw);
    record_encode(&f->raw, 17, INT64_C(1700000000000000), RECORD_SEND, &send);
    assert_hex(&f->raw, "27000000"
                        "bbff84cf"
                        "1100000000000000"
                        "00401e18240a0600"
                        "9a0203"
                        "0000a167a0cd03e8c2c001"
                        "80");
}

static void a_settled_is_these_bytes(void **state)
{
    fixture_t *f = *state;
    record_settled_t *settled = &f->given.settled;
    settled->entries.count = 2;
    settled->entries.items[0] = (record_settled_entry_t){.queue = 1, .record = 300, .action = 1, .receives = 1};
    settled->entries.items[1] =
        (record_settled_entry_t){.queue = 1, .record = 301, .action = 2, .visible_us = -5, .receives = 2};
    buf_clear(&f->raw);
    record_encode(&f->raw, 1, 0, RECORD_SETTLED, settled);
    assert_hex(&f->raw, "2b000000"
                        "f31a7382"
                        "0100000000000000"
                        "0000000000000000"
                        "920492"
                        "9501cd012c010001"
                        "9501cd012d02fb02");
}

/* A record whose checksum holds around any payload. */
static void seal(buf_t *out, bytes_t payload)
{
    uint8_t header[RECORD_HEADER_BYTES] = {0};
    buf_clear(out);
    buf_append(out, header, sizeof header);
    buf_append_bytes(out, payload);
    out->data[0] = (uint8_t)out->len;
    out->data[8] = 42;
    uint32_t crc = crc32c(0, out->data + 8, out->len - 8);
    for (int i = 0; i < 4; i++)
        out->data[4 + i] = (uint8_t)(crc >> (8 * i));
}

static void a_kind_of_tomorrow_is_refused_by_number(void **state)
{
    fixture_t *f = *state;
    error_t err;
    seal(&f->raw, BYTES_LIT("\x92\x63\x01"));
    assert_true(record_verify(buf_bytes(&f->raw), NULL));
    assert_false(record_decode(buf_bytes(&f->raw), &f->got, &err));
    assert_int_equal(err.code, STATUS_UNIMPLEMENTED);
    assert_non_null(strstr(err.message, "kind 99"));
    assert_non_null(strstr(err.message, "record 42"));
}

static void a_payload_that_is_none_is_data_loss_with_the_field_named(void **state)
{
    fixture_t *f = *state;
    error_t err;
    seal(&f->raw, BYTES_LIT("\x93\x08\xA1x\x00"));
    assert_false(record_decode(buf_bytes(&f->raw), &f->got, &err));
    assert_int_equal(err.code, STATUS_DATA_LOSS);
    assert_string_equal(err.message, "record 42: PURGE.queue: expected an unsigned integer");
    seal(&f->raw, BYTES_LIT("no array"));
    assert_false(record_decode(buf_bytes(&f->raw), &f->got, &err));
    assert_int_equal(err.code, STATUS_DATA_LOSS);
}

static void a_record_above_the_largest_size_is_not_made(void **state)
{
    fixture_t *f = *state;
    uint8_t *big = calloc(1, RECORD_MAX_BYTES);
    assert_non_null(big);
    record_send_t send = {.body = bytes_from(big, RECORD_MAX_BYTES)};
    buf_clear(&f->raw);
    record_encode(&f->raw, 1, 1, RECORD_SEND, &send);
    free(big);
    assert_true(f->raw.failed);
}

static void a_length_that_cannot_be_is_not_believed(void **state)
{
    (void)state;
    uint8_t header[RECORD_HEADER_BYTES] = {RECORD_HEADER_BYTES - 1};
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    assert_false(record_peek(bytes_from(header, sizeof header), &length, &seq, &ingest_us));
    memset(header, 0xFF, 4);
    assert_false(record_peek(bytes_from(header, sizeof header), &length, &seq, &ingest_us));
    assert_false(record_peek(bytes_from(header, sizeof header - 1), &length, &seq, &ingest_us));
}

static void every_kind_has_a_name_and_a_line_of_documentation(void **state)
{
    (void)state;
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++) {
        assert_int_equal(record_layout(kind)->number, kind);
        assert_string_equal(record_kind_name(kind), record_layout(kind)->name);
        assert_true(record_layout(kind)->doc[0]);
    }
    assert_null(record_layout(0));
    assert_null(record_layout(RECORD_KIND_MAX + 1));
    assert_string_equal(record_kind_name(77), "?");
}

/* RFC 3720 appendix B.4, and the check value of the catalogue of parametrised CRCs. */
static void the_checksum_is_castagnolis(void **state)
{
    (void)state;
    uint8_t data[32] = {0};
    assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xFF, 32);
    assert_int_equal(crc32c(0, data, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, data, 32), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, data, 32), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void table_and_processor_agree_at_every_length_and_alignment(void **state)
{
    (void)state;
    if (!crc32c_has_hardware())
        skip();
    random_t random = {5};
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)random_u64(&random);
    for (size_t at = 0; at < 9; at++) {
        for (size_t len = 0; len + at <= sizeof data; len++) {
            uint32_t first = (uint32_t)random_u64(&random);
            assert_int_equal(crc32c_portable(first, data + at, len), crc32c_hardware(first, data + at, len));
        }
    }
}

static void checksums_of_pieces_chain(void **state)
{
    (void)state;
    const char text[] = "the log is the truth, and the checksum says so";
    uint32_t whole = crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
        assert_int_equal(crc32c_portable(crc32c_portable(0, text, cut), text + cut, sizeof text - cut), whole);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_comes_back_as_it_was_written),
        TEST(every_truncation_is_data_loss),
        TEST(every_flipped_bit_is_data_loss),
        TEST(a_send_is_these_bytes),
        TEST(a_settled_is_these_bytes),
        TEST(a_kind_of_tomorrow_is_refused_by_number),
        TEST(a_payload_that_is_none_is_data_loss_with_the_field_named),
        TEST(a_record_above_the_largest_size_is_not_made),
        TEST(a_length_that_cannot_be_is_not_believed),
        TEST(every_kind_has_a_name_and_a_line_of_documentation),
        TEST(the_checksum_is_castagnolis),
        TEST(table_and_processor_agree_at_every_length_and_alignment),
        TEST(checksums_of_pieces_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
