/* fuzz_msgpack.c: any bytes as msgpack; all readers agree on what is a value, and none reads past the end. */
#include <assert.h>

#include "proto/json.h"

/* Walks all tokens; every slice lies inside the input. */
static bool walk(bytes_t input)
{
    mp_reader_t r = mp_reader(input);
    mp_token_t t;
    while (mp_next(&r, &t))
        if (t.type == MP_STR || t.type == MP_BIN || t.type == MP_EXT)
            assert(t.bytes.data >= input.data && t.bytes.data + t.bytes.len <= input.data + input.len);
    assert(mp_offset(&r) <= input.len);
    return !r.error;
}

static void typed_reads(bytes_t input)
{
    mp_reader_t r = mp_reader(input);
    mp_type_t type;
    mp_token_t t;
    while (mp_peek(&r, &type)) {
        mp_reader_t u = r, i = r, d = r;
        uint64_t u64;
        int64_t i64;
        double f64;
        bool whole = mp_get_u64(&u, &u64), negative = mp_get_i64(&i, &i64);
        if (mp_get_double(&d, &f64) && whole)
            assert((uint64_t)f64 == u64);
        assert(!whole || !negative || (uint64_t)i64 == u64);
        bool good = mp_next(&r, &t);
        assert(good && t.type == type);
    }
}

static void check_value(bytes_t value)
{
    bytes_t raw, found;
    mp_reader_t r = mp_reader(value);
    bool good = mp_get_raw(&r, &raw);
    assert(good && bytes_eq(raw, value));
    assert(walk(value));
    if (mp_map_find(value, "a", &found))
        assert(mp_validate(found, NULL));
}

/* Its JSON is JSON; and msgpack made of JSON comes back from JSON byte for byte. */
static void check_json(bytes_t value)
{
    buf_t text = {0}, first = {0}, second = {0};
    error_t err;
    if (json_from_msgpack(value, JSON_COMPACT, &text, &err)) {
        bool good = json_to_msgpack(buf_bytes(&text), NULL, &first, &err);
        buf_clear(&text);
        good = good && json_from_msgpack(buf_bytes(&first), JSON_PRETTY, &text, &err) &&
               json_to_msgpack(buf_bytes(&text), NULL, &second, &err);
        assert(good && bytes_eq(buf_bytes(&first), buf_bytes(&second)));
    }
    buf_free(&text);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_t input = bytes_from(data, size), found;
    error_t err = {0};
    (void)walk(input);
    typed_reads(input);
    (void)mp_map_find(input, "a", &found);
    if (mp_validate(input, &err))
        check_value(input);
    check_json(input);
    return 0;
}
