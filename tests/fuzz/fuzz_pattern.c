/* fuzz_pattern.c: any pattern and any event: nothing breaks, and a ruleset of one says what the pattern says.
 *
 * The input is the pattern's JSON, a zero byte, and the event in msgpack. */
#include <stdlib.h>

#include "broker/rules/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(bytes_t json, const pattern_t *pattern, bytes_t event)
{
    error_t err = {0};
    uint32_t id = 0;
    ruleset_t *s = ruleset_new();
    if (!s || !ruleset_add(s, 7, json, &err) || !ruleset_compile(s, &err))
        abort();
    bool matched = pattern_match(pattern, event, BYTES_LIT("r"));
    if (ruleset_match(s, event, BYTES_LIT("r"), &id, 1) != (matched ? 1 : 0) || (matched && id != 7))
        abort();
    ruleset_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    error_t err = {0};
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t len = zero ? (size_t)(zero - data) : size;
    bytes_t json = bytes_from(data, len);
    pattern_t *pattern = pattern_compile(json, &err);
    if (!pattern) {
        if (err.code == STATUS_OK)
            abort();
        return 0;
    }
    compare(json, pattern, zero ? bytes_from(zero + 1, size - len - 1) : BYTES_NONE);
    pattern_free(&pattern);
    return 0;
}
