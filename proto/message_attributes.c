/* message_attributes.c: names, characters and sums, as SQS has them. */
#include "proto/message_attributes.h"

#include <stdio.h>
#include <strings.h>

#include "proto/attrs.h"
#include "proto/msgpack.h"

#define AWS_BAD_PARAMETER "InvalidParameterValue"
#define SHOWN_BYTES 100

static const char *const ours[] = {
    ATTR_TRACEPARENT,
    ATTR_TRACESTATE,
    ATTR_BAGGAGE,
    ATTR_MESSAGE_GROUP_ID,
    ATTR_MESSAGE_DEDUPLICATION_ID,
    ATTR_DELAY_SECONDS,
    ATTR_APPROXIMATE_RECEIVE_COUNT,
    ATTR_SENT_TIMESTAMP,
    ATTR_APPROXIMATE_FIRST_RECEIVE_TIMESTAMP,
    ATTR_SEQUENCE_NUMBER,
    ATTR_SENDER_ID,
    ATTR_AWS_TRACE_HEADER,
    ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN,
    ATTR_RULE_ARN,
    ATTR_TARGET_ARN,
    ATTR_ERROR_CODE,
    ATTR_ERROR_MESSAGE,
    ATTR_EXHAUSTED_RETRY_CONDITION,
    ATTR_RETRY_ATTEMPTS,
    ATTR_DEDUP_KEY,
    ATTR_ORIGIN,
    ATTR_REPLAY_NAME,
    ATTR_DEAD_LETTER_REASON,
    ATTR_DEAD_LETTER_DETAIL,
    ATTR_DEAD_LETTER_SOURCE,
    ATTR_DEAD_LETTER_TIME_MS,
    ATTR_CONTENT_TYPE,
    ATTR_CORRELATION_ID,
};

bool message_attribute_is_ours(bytes_t name)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (bytes_eq_cstr(name, ours[i]))
            return true;
    return false;
}

/* -- rules --------------------------------------------------------------------------------------------- */
static bool is_name_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static bool is_reserved(bytes_t name)
{
    const char *text = (const char *)name.data;
    return (name.len >= 4 && strncasecmp(text, "AWS.", 4) == 0) ||
           (name.len >= 7 && strncasecmp(text, "Amazon.", 7) == 0);
}

static bool name_is_good(bytes_t name)
{
    if (!name.len || is_reserved(name) || name.data[0] == '.' || name.data[name.len - 1] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_character(name.data[i]) || (i > 0 && name.data[i] == '.' && name.data[i - 1] == '.'))
            return false;
    return true;
}

static bool value_is_empty(const attr_value_t *value)
{
    return (value->type == ATTR_STR || value->type == ATTR_BIN) && !value->bytes.len;
}

bool message_attributes_check(bytes_t attrs, error_t *err)
{
    bytes_t name;
    attr_value_t value;
    uint32_t count = 0;
    for (size_t at = 0; attrs_next(attrs, &at, &name, &value);) {
        if (message_attribute_is_ours(name))
            continue;
        int shown = (int)(name.len < SHOWN_BYTES ? name.len : SHOWN_BYTES);
        if (!name_is_good(name))
            return error_set(
                err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                "Message attribute name \"%.*s\" must be of A-Z a-z 0-9 _ - and single dots within, and not "
                "begin with AWS. or Amazon.",
                shown, (const char *)name.data);
        if (value_is_empty(&value))
            return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                             "Message attribute \"%.*s\" must not be empty.", shown, (const char *)name.data);
        if (++count > MESSAGE_ATTRIBUTES_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                             "A message may have %d attributes beside those of the house.", MESSAGE_ATTRIBUTES_MAX);
    }
    return true;
}

/* U+FFFE and U+FFFF, which are EF BF BE and EF BF BF, and most control characters of ASCII. */
static bool is_refused(const uint8_t *p, size_t left)
{
    if (p[0] < 0x20)
        return p[0] != '\t' && p[0] != '\n' && p[0] != '\r';
    return p[0] == 0xEF && left >= 3 && p[1] == 0xBF && p[2] >= 0xBE;
}

bool message_body_check(bytes_t body, error_t *err)
{
    mp_reader_t r = mp_reader(body);
    bytes_t text;
    if (!mp_get_str(&r, &text))
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (is_refused(text.data + i, text.len - i))
            return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidMessageContents",
                             "The text has a character at byte %zu that XML 1.0, and so SQS, does not allow.", i);
    return true;
}

/* -- sums ---------------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t name;
    attr_value_t value;
} pair_t;

static int compare_names(bytes_t a, bytes_t b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The sender's attributes, or the system's one, by name; how many. */
static uint32_t pairs_sorted(bytes_t attrs, bool of_system, pair_t pairs[ATTRS_MAX])
{
    uint32_t count = 0;
    pair_t pair;
    for (size_t at = 0; count < ATTRS_MAX && attrs_next(attrs, &at, &pair.name, &pair.value);) {
        if (of_system ? !bytes_eq_cstr(pair.name, ATTR_AWS_TRACE_HEADER) : message_attribute_is_ours(pair.name))
            continue;
        uint32_t i = count++;
        for (; i > 0 && compare_names(pairs[i - 1].name, pair.name) > 0; i--)
            pairs[i] = pairs[i - 1];
        pairs[i] = pair;
    }
    return count;
}

static void add_part(md5_t *md5, bytes_t part)
{
    const uint8_t len[4] = {(uint8_t)(part.len >> 24), (uint8_t)(part.len >> 16), (uint8_t)(part.len >> 8),
                            (uint8_t)part.len};
    md5_add(md5, len, sizeof len);
    if (part.len)
        md5_add(md5, part.data, part.len);
}

static void add_typed(md5_t *md5, const char *type, uint8_t form, bytes_t value)
{
    add_part(md5, bytes_cstr(type));
    md5_add(md5, &form, 1);
    add_part(md5, value);
}

static void add_pair(md5_t *md5, const pair_t *pair)
{
    enum { FORM_TEXT = 1, FORM_BINARY = 2 };
    char number[24];
    add_part(md5, pair->name);
    switch (pair->value.type) {
    case ATTR_STR:
        return add_typed(md5, "String", FORM_TEXT, pair->value.bytes);
    case ATTR_INT:
        (void)snprintf(number, sizeof number, "%lld", (long long)pair->value.i64);
        return add_typed(md5, "Number", FORM_TEXT, bytes_cstr(number));
    case ATTR_BOOL:
        return add_typed(md5, "String.boolean", FORM_TEXT, bytes_cstr(pair->value.boolean ? "true" : "false"));
    case ATTR_BIN:
        return add_typed(md5, "Binary", FORM_BINARY, pair->value.bytes);
    }
}

static void attributes_md5(bytes_t attrs, bool of_system, char out[MD5_HEX_BYTES])
{
    pair_t pairs[ATTRS_MAX];
    uint32_t count = pairs_sorted(attrs, of_system, pairs);
    md5_t md5;
    out[0] = '\0';
    if (!count)
        return;
    md5_begin(&md5);
    for (uint32_t i = 0; i < count; i++)
        add_pair(&md5, &pairs[i]);
    md5_end_hex(&md5, out);
}

void message_digests(bytes_t body, bytes_t attrs, message_digests_t *out)
{
    mp_reader_t r = mp_reader(body);
    mp_token_t token;
    md5_t md5;
    bool is_content = mp_next(&r, &token) && (token.type == MP_STR || token.type == MP_BIN);
    bytes_t content = is_content ? token.bytes : body;
    md5_begin(&md5);
    if (content.len)
        md5_add(&md5, content.data, content.len);
    md5_end_hex(&md5, out->body);
    attributes_md5(attrs, false, out->attributes);
    attributes_md5(attrs, true, out->system_attributes);
}
