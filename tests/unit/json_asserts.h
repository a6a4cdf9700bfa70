/* json_asserts.h: what the JSON tests have in common. */
#ifndef TESTS_JSON_ASSERTS_H
#define TESTS_JSON_ASSERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/json.h"

static inline bool to_msgpack(bytes_t json, buf_t *out, error_t *err)
{
    buf_clear(out);
    return json_to_msgpack(json, NULL, out, err);
}

/* Of the text's exact size, so that a sanitizer sees a read past its end. */
static inline bool refused(bytes_t json, error_t *err)
{
    uint8_t *exact = malloc(json.len ? json.len : 1);
    buf_t out = {0};
    assert_non_null(exact);
    if (json.len)
        memcpy(exact, json.data, json.len);
    buf_append_cstr(&out, "kept");
    bool good = json_to_msgpack(bytes_from(exact, json.len), NULL, &out, err);
    if (!good)
        assert_true(bytes_eq_cstr(buf_bytes(&out), "kept"));
    buf_free(&out);
    free(exact);
    return !good;
}

static inline void assert_wire(const char *json, bytes_t wanted)
{
    buf_t out = {0};
    error_t err = {0};
    if (!to_msgpack(bytes_cstr(json), &out, &err))
        fail_msg("%s: %s", json, err.message);
    if (!bytes_eq(buf_bytes(&out), wanted))
        fail_msg("%s became %zu other bytes", json, out.len);
    assert_true(mp_validate(buf_bytes(&out), NULL));
    buf_free(&out);
}

static inline void assert_text(bytes_t value, json_style_t style, const char *wanted)
{
    buf_t text = {0};
    error_t err = {0};
    if (!json_from_msgpack(value, style, &text, &err))
        fail_msg("%s: %s", wanted, err.message);
    assert_string_equal(buf_cstr(&text), wanted);
    buf_free(&text);
}

/* `json` becomes `wanted` after its way through msgpack. */
static inline void assert_back(const char *json, const char *wanted)
{
    buf_t value = {0};
    error_t err = {0};
    if (!to_msgpack(bytes_cstr(json), &value, &err))
        fail_msg("%s: %s", json, err.message);
    assert_text(buf_bytes(&value), JSON_COMPACT, wanted);
    buf_free(&value);
}

static inline void assert_refused(bytes_t json, const char *wanted)
{
    error_t err = {0};
    assert_true(refused(json, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    if (!strstr(err.message, wanted))
        fail_msg("'%.*s' says: %s", BYTES_FMT(json), err.message);
}

#endif
