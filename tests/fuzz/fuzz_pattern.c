/* fuzz_pattern.c: any pattern and any event: nothing breaks, a ruleset of one says what the pattern says, and what is
 * said about the pattern agrees with it.
 *
 * The input is the pattern's JSON, a zero byte, and the event in msgpack. */
#include <stdlib.h>

#include "broker/rules/explain.h"
#include "broker/rules/ruleset.h"
#include "proto/envelope.h"
#include "proto/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken ones, and maps with keys that are no texts, need not be read to their end. */
static bool is_json(bytes_t event)
{
    buf_t text = {0};
    bool ok = json_from_msgpack(event, JSON_COMPACT, &text, NULL);
    buf_free(&text);
    return ok;
}

static void compare(bytes_t json, const pattern_t *pattern, bytes_t event)
{
    error_t err = {0};
    uint32_t id = 0;
    envelope_t envelope;
    ruleset_t *s = ruleset_new();
    if (!s || !ruleset_add(s, 7, json, &err) || !ruleset_compile(s, &err))
        abort();
    bool matched = pattern_match(pattern, event, BYTES_LIT("r")), whole = is_json(event);
    size_t found = ruleset_match(s, event, BYTES_LIT("r"), &id, 1);
    if (whole && found != RULESET_TOO_COSTLY && (found != (matched ? 1 : 0) || (matched && id != 7)))
        abort();
    ruleset_free(&s);
    buf_t why = {0};
    if (pattern_is_dead(pattern, &why) && matched && envelope_read(event, &envelope, NULL))
        abort();
    buf_free(&why);
}

static void explain(const pattern_t *pattern, bytes_t event)
{
    explanation_t why;
    buf_t out = {0};
    if (pattern_explain(pattern, event, BYTES_LIT("r"), &why) != pattern_match(pattern, event, BYTES_LIT("r")))
        abort();
    explanation_put(&why, &out);
    explanation_free(&why);
    buf_free(&out);
    (void)pattern_covers(pattern, pattern);
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
    explain(pattern, zero ? bytes_from(zero + 1, size - len - 1) : BYTES_NONE);
    compare(json, pattern, zero ? bytes_from(zero + 1, size - len - 1) : BYTES_NONE);
    pattern_free(&pattern);
    return 0;
}
