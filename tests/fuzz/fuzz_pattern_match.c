/* fuzz_pattern_match.c: patterns that compile, several at once, against any event: a ruleset says what each pattern
 * says alone.
 *
 * The input is patterns in JSON with zero bytes between, two zero bytes, and the event in msgpack. Where the event is
 * broken both may differ (a ruleset need not read it to the end), but neither breaks. */
#include <stdlib.h>

#include "broker/rules/ruleset.h"
#include "proto/json.h"

#define PATTERNS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const pattern_options_t options = {.all_of = true};

static bytes_t take(bytes_t *rest)
{
    const uint8_t *zero = rest->len ? memchr(rest->data, 0, rest->len) : NULL;
    size_t len = zero ? (size_t)(zero - rest->data) : rest->len;
    bytes_t part = bytes_from(rest->data, len);
    *rest = zero ? bytes_from(zero + 1, rest->len - len - 1) : bytes_from(rest->data + len, 0);
    return part;
}

/* Broken ones, and maps with keys that are no texts, need not be read to their end. */
static bool is_json(bytes_t event)
{
    buf_t text = {0};
    bool ok = json_from_msgpack(event, JSON_COMPACT, &text, NULL);
    buf_free(&text);
    return ok;
}

static void compare(const ruleset_t *s, pattern_t *const *patterns, uint32_t count, bytes_t event)
{
    uint32_t ids[PATTERNS_MAX], expected = 0;
    bool whole = is_json(event);
    size_t found = ruleset_match(s, event, BYTES_LIT("r"), ids, PATTERNS_MAX);
    envelope_t envelope;
    if (found == RULESET_TOO_COSTLY)
        return;
    if (envelope_read(event, &envelope, NULL) && whole) {
        uint32_t again[PATTERNS_MAX];
        if (ruleset_match_envelope(s, &envelope, event, BYTES_LIT("r"), again, PATTERNS_MAX) != found ||
            memcmp(ids, again, found * sizeof *ids) != 0)
            abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!pattern_match(patterns[i], event, BYTES_LIT("r")))
            continue;
        if (whole && (expected >= found || ids[expected] != i))
            abort();
        expected++;
    }
    if (whole && expected != found)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_t rest = bytes_from(data, size), json;
    pattern_t *patterns[PATTERNS_MAX];
    uint32_t count = 0;
    error_t err = {0};
    ruleset_t *s = ruleset_new();
    if (!s)
        abort();
    while (count < PATTERNS_MAX && (json = take(&rest)).len > 0) {
        patterns[count] = pattern_compile_with(json, options, &err);
        if (!patterns[count])
            continue;
        if (!ruleset_add_with(s, count, json, options, &err))
            abort();
        count++;
    }
    if (!ruleset_compile(s, &err))
        abort();
    compare(s, patterns, count, rest);
    for (uint32_t i = 0; i < count; i++)
        pattern_free(&patterns[i]);
    ruleset_free(&s);
    return 0;
}
