/* Every verb, generically over the tables: what is encoded comes back, and what is broken is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/msgpack.h"
#include "proto/wire.h"
#include "tests/lib/fields_random.h"

#define ROUNDS 60

typedef struct {
    wire_msg_t given, got;
    buf_t frame, again;
} fixture_t;

static int fixture_new(void **state)
{
    *state = calloc(1, sizeof(fixture_t));
    return *state ? 0 : -1;
}

static int fixture_free(void **state)
{
    fixture_t *f = *state;
    buf_free(&f->frame);
    buf_free(&f->again);
    free(f);
    return 0;
}

/* A random frame of `verb` in f->frame, its values in f->given. */
static void make_frame(fixture_t *f, random_t *random, uint64_t verb, uint32_t list_max)
{
    f->given.verb = (wire_verb_t)verb;
    f->given.seq = random_u64(random) >> random_below(random, 64);
    fields_randomize(random, wire_layout(verb), list_max, &f->given.hello);
    buf_clear(&f->frame);
    wire_encode(&f->frame, &f->given);
    assert_false(f->frame.failed);
}

static void every_verb_comes_back_as_it_was_sent(void **state)
{
    fixture_t *f = *state;
    random_t random = {1};
    error_t err;
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        for (int round = 0; round < ROUNDS; round++) {
            make_frame(f, &random, verb, FIELDS_LIST_MAX);
            memset(&f->got, 0xA5, sizeof f->got);
            if (!wire_decode(buf_bytes(&f->frame), &f->got, &err))
                fail_msg("%s", err.message);
            assert_int_equal(f->got.verb, verb);
            assert_true(f->got.seq == f->given.seq);
            assert_true(fields_equal(wire_layout(verb), &f->given.hello, &f->got.hello));
            buf_clear(&f->again);
            wire_encode_verb(&f->again, f->got.verb, f->got.seq, &f->got.hello);
            assert_true(bytes_eq(buf_bytes(&f->frame), buf_bytes(&f->again)));
        }
    }
}

static void every_truncation_of_every_verb_is_refused(void **state)
{
    fixture_t *f = *state;
    random_t random = {2};
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        make_frame(f, &random, verb, 6);
        for (size_t len = 0; len < f->frame.len; len++) {
            error_t err;
            /* A copy of its own size, so that a sanitizer sees a read past the end. */
            uint8_t *cut = malloc(len ? len : 1);
            assert_non_null(cut);
            memcpy(cut, f->frame.data, len);
            bool taken = wire_decode(bytes_from(cut, len), &f->got, &err);
            free(cut);
            assert_false(taken);
            assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
            assert_string_equal(err.aws, "MALFORMED_FRAME");
        }
    }
}

static void bytes_behind_the_last_body_are_refused(void **state)
{
    fixture_t *f = *state;
    random_t random = {3};
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        make_frame(f, &random, verb, 6);
        buf_append_byte(&f->frame, 0);
        assert_false(wire_decode(buf_bytes(&f->frame), &f->got, NULL));
    }
}

static void a_flipped_bit_is_refused_or_read_as_another_frame(void **state)
{
    fixture_t *f = *state;
    random_t random = {4};
    error_t err;
    size_t refused = 0, read = 0;
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        make_frame(f, &random, verb, 4);
        for (size_t bit = 0; bit < f->frame.len * 8; bit++) {
            f->frame.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (!wire_decode(buf_bytes(&f->frame), &f->got, &err)) {
                assert_true(err.aws[0] && err.message[0]);
                refused++;
            } else {
                /* Whatever was read can be written, and means the same again. */
                buf_clear(&f->again);
                wire_encode(&f->again, &f->got);
                assert_true(wire_decode(buf_bytes(&f->again), &f->given, NULL));
                assert_true(fields_equal(wire_layout((uint64_t)f->got.verb), &f->given.hello, &f->got.hello));
                read++;
            }
            f->frame.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
    assert_true(refused > 0 && read > 0);
}

static void assert_hex(const buf_t *got, const char *hex)
{
    char text[4096] = "";
    assert_true(got->len * 2 < sizeof text);
    for (size_t i = 0; i < got->len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", got->data[i]);
    assert_string_equal(text, hex);
}

static void ping_is_these_four_bytes(void **state)
{
    fixture_t *f = *state;
    buf_clear(&f->frame);
    wire_encode_verb(&f->frame, WIRE_PING, 0, &(wire_ping_t){.number = 7});
    assert_hex(&f->frame, "931f0007");
}

static void hello_is_these_bytes(void **state)
{
    fixture_t *f = *state;
    wire_hello_t hello = {.protocol = 1,
                          .name = BYTES_LIT("acl-erp-1a2b3c"),
                          .role = BYTES_LIT("service"),
                          .producer = BYTES_LIT("p"),
                          .epoch = 300,
                          .version = BYTES_LIT("0.1")};
    buf_clear(&f->frame);
    wire_encode_verb(&f->frame, WIRE_HELLO, 1, &hello);
    assert_hex(&f->frame, "99010101ae61636c2d6572702d316132623363a773657276696365c400a170cd012ca3302e31");
}

static void publish_is_these_bytes_with_both_bodies_at_the_end(void **state)
{
    fixture_t *f = *state;
    wire_publish_t *publish = &f->given.publish;
    memset(publish, 0, sizeof *publish);
    publish->bus = BYTES_LIT("b");
    publish->producer_seq = 5;
    publish->entries.count = 2;
    publish->entries.items[0].dedup = BYTES_LIT("k");
    publish->entries.items[0].body = BYTES_LIT("\x81\x01\x02");
    publish->entries.items[1].attrs = BYTES_LIT("\x81\xA1t\xC3");
    publish->entries.items[1].body = BYTES_LIT("\x80");
    buf_clear(&f->frame);
    wire_encode_verb(&f->frame, WIRE_PUBLISH, 9, publish);
    assert_hex(&f->frame, "970309a16205a0a0"
                          "92"
                          "93a16bc003"
                          "93a081a174c301"
                          "810102"
                          "80");
}

static void settle_is_these_bytes(void **state)
{
    fixture_t *f = *state;
    wire_settle_t *settle = &f->given.settle;
    memset(settle, 0, sizeof *settle);
    settle->entries.count = 1;
    settle->entries.items[0] =
        (wire_settle_entry_t){.receipt = BYTES_LIT("\x01\x02"), .action = WIRE_RELEASE, .delay_ms = -1};
    buf_clear(&f->frame);
    wire_encode_verb(&f->frame, WIRE_SETTLE, 70000, settle);
    assert_hex(&f->frame, "930dce00011170"
                          "9194c402010202ffa0");
}

static void a_refusal_names_the_field_and_the_entry(void **state)
{
    fixture_t *f = *state;
    error_t err;
    buf_clear(&f->frame);
    mp_put_array(&f->frame, 7);
    mp_put_u64(&f->frame, WIRE_PUBLISH);
    mp_put_u64(&f->frame, 12);
    mp_put_cstr(&f->frame, "bus");
    mp_put_u64(&f->frame, 0);
    mp_put_cstr(&f->frame, "");
    mp_put_cstr(&f->frame, "");
    mp_put_array(&f->frame, 4);
    for (int i = 0; i < 4; i++) {
        mp_put_array(&f->frame, 3);
        mp_put_cstr(&f->frame, "");
        if (i < 3)
            mp_put_nil(&f->frame);
        else
            mp_put_cstr(&f->frame, "not a map");
        mp_put_u64(&f->frame, 0);
    }
    assert_false(wire_decode(buf_bytes(&f->frame), &f->got, &err));
    assert_string_equal(err.message, "PUBLISH.entries[3].attrs: expected map");
    assert_int_equal(f->got.verb, WIRE_PUBLISH);
    assert_int_equal(f->got.seq, 12);
}

static void an_unknown_verb_is_named(void **state)
{
    fixture_t *f = *state;
    error_t err;
    assert_false(wire_decode(BYTES_LIT("\x93\xCC\xC8\x05\x00"), &f->got, &err));
    assert_string_equal(err.aws, "UNKNOWN_VERB");
    assert_non_null(strstr(err.message, "200"));
    assert_int_equal(f->got.verb, 200);
    assert_int_equal(f->got.seq, 5);
    assert_false(wire_decode(BYTES_LIT("\x92\x00\x05"), &f->got, &err));
    assert_string_equal(err.aws, "UNKNOWN_VERB");
}

static void a_verb_whose_low_bits_are_another_verb_is_not_taken_for_it(void **state)
{
    fixture_t *f = *state;
    /* 2^32 + 31: 31 is PING. */
    assert_false(wire_decode(BYTES_LIT("\x93\xCF\x00\x00\x00\x01\x00\x00\x00\x1F\x00\x07"), &f->got, NULL));
    assert_int_equal(f->got.verb, 0);
}

static void what_is_no_frame_is_refused(void **state)
{
    fixture_t *f = *state;
    const bytes_t bad[] = {BYTES_NONE,
                           BYTES_LIT("\x90"),
                           BYTES_LIT("\x91\x1F"),
                           BYTES_LIT("\x80"),
                           BYTES_LIT("hello"),
                           BYTES_LIT("\xC1"),
                           BYTES_LIT("\x92\xA1x\x00"),
                           BYTES_LIT("\x92\x1F\xFF"),
                           BYTES_LIT("\xDD\xFF\xFF\xFF\xFF\x1F\x00")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error_t err;
        assert_false(wire_decode(bad[i], &f->got, &err));
        assert_string_equal(err.aws, "MALFORMED_FRAME");
    }
}

static void peek_reads_verb_and_seq_alone(void **state)
{
    (void)state;
    uint64_t verb, seq;
    assert_true(wire_peek(BYTES_LIT("\x94\x1F\x07 and then rubbish"), &verb, &seq));
    assert_int_equal(verb, WIRE_PING);
    assert_int_equal(seq, 7);
    assert_false(wire_peek(BYTES_LIT("\x92\x1F\xA1x"), &verb, &seq));
    assert_int_equal(verb, WIRE_PING);
    assert_int_equal(seq, 0);
}

static void every_verb_has_a_name_a_direction_and_a_line_of_documentation(void **state)
{
    (void)state;
    for (uint64_t verb = 1; verb <= WIRE_VERB_MAX; verb++) {
        const fields_layout_t *layout = wire_layout(verb);
        assert_non_null(layout);
        assert_int_equal(layout->number, verb);
        assert_string_equal(wire_verb_name(verb), layout->name);
        assert_true(strchr("CBX", wire_verb_direction(verb)[0]) && layout->doc[0]);
    }
    assert_null(wire_layout(0));
    assert_null(wire_layout(WIRE_VERB_MAX + 1));
    assert_string_equal(wire_verb_name(0), "?");
    assert_string_equal(wire_verb_direction(0), "?");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_verb_comes_back_as_it_was_sent),
        TEST(every_truncation_of_every_verb_is_refused),
        TEST(bytes_behind_the_last_body_are_refused),
        TEST(a_flipped_bit_is_refused_or_read_as_another_frame),
        TEST(ping_is_these_four_bytes),
        TEST(hello_is_these_bytes),
        TEST(publish_is_these_bytes_with_both_bodies_at_the_end),
        TEST(settle_is_these_bytes),
        TEST(a_refusal_names_the_field_and_the_entry),
        TEST(an_unknown_verb_is_named),
        TEST(a_verb_whose_low_bits_are_another_verb_is_not_taken_for_it),
        TEST(what_is_no_frame_is_refused),
        TEST(peek_reads_verb_and_seq_alone),
        TEST(every_verb_has_a_name_a_direction_and_a_line_of_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
