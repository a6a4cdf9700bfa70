/* fuzz_json.c: any bytes as JSON; what is taken must survive the way to msgpack and back unchanged. */
#include <assert.h>

#include "proto/json.h"
#include "proto/json_internal.h"

static void check_text(bytes_t value, json_style_t style)
{
    buf_t text = {0}, again = {0};
    error_t err;
    bool good = json_from_msgpack(value, style, &text, &err);
    assert(good);
    assert(bytes_is_utf8(buf_bytes(&text), NULL));
    good = json_to_msgpack(buf_bytes(&text), NULL, &again, &err);
    assert(good);
    assert(bytes_eq(buf_bytes(&again), value));
    buf_free(&text);
    buf_free(&again);
}

/* Whatever the bytes are: quoted they are JSON, and a number's nearest double exists when the number does. */
static void check_pieces(bytes_t input)
{
    buf_t quoted = {0}, value = {0};
    json_number_t number;
    double nearest;
    json_string_append(&quoted, input);
    bool good = json_to_msgpack(buf_bytes(&quoted), NULL, &value, NULL);
    assert(good);
    good = json_number_read(input, &number) && number.len == input.len;
    assert(good == json_number_nearest(input, &nearest));
    assert(!good || number.type != JSON_DOUBLE || number.f64 == nearest);
    buf_free(&quoted);
    buf_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_t input = bytes_from(data, size);
    buf_t value = {0};
    error_t err = {0};
    if (json_to_msgpack(input, NULL, &value, &err)) {
        bool good = mp_validate(buf_bytes(&value), &err);
        assert(good);
        check_text(buf_bytes(&value), JSON_COMPACT);
        check_text(buf_bytes(&value), JSON_PRETTY);
    } else {
        assert(value.len == 0 && err.message[0] != '\0');
    }
    check_pieces(input);
    buf_free(&value);
    return 0;
}
