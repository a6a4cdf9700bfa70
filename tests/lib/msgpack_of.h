/* msgpack_of.h: a value written as JSON, for tests. */
#ifndef TESTS_LIB_MSGPACK_OF_H
#define TESTS_LIB_MSGPACK_OF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/json.h"

/* The caller frees. */
static inline buf_t msgpack_of(const char *json)
{
    buf_t out = {0};
    error_t err = {0};
    if (!json_to_msgpack(bytes_cstr(json), NULL, &out, &err))
        fail_msg("%s: %s", json, err.message);
    return out;
}

#endif
