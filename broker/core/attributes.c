/* attributes.c: one table of attribute names, bounds and places. */
#include "broker/core/attributes.h"

#include <stdio.h>

#include "broker/core/redrive.h"
#include "proto/msgpack.h"

#define AWS_BAD_NAME "InvalidAttributeName"
#define AWS_BAD_PARAMETER "InvalidParameterValue"
#define SHOWN_BYTES 100

typedef struct {
    const char *name;
    int64_t least, most, normal;
    int64_t scale; /* of the member, per unit of the attribute */
    size_t offset;
} number_rule_t;

#define PLACE(member) offsetof(queue_attributes_t, member)
static const number_rule_t numbers[] = {
    {"VisibilityTimeout", 0, ATTRIBUTE_VISIBILITY_MAX_S, 30, US_PER_S, PLACE(visibility_us)},
    {"DelaySeconds", 0, ATTRIBUTE_DELAY_MAX_S, 0, US_PER_S, PLACE(delay_us)},
    {"MessageRetentionPeriod", 60, 1209600, 345600, US_PER_S, PLACE(retention_us)},
    {"MaximumMessageSize", 1024, 1048576, 1048576, 1, PLACE(max_message_bytes)},
    {"ReceiveMessageWaitTimeSeconds", 0, ATTRIBUTE_WAIT_MAX_S, 0, US_PER_S, PLACE(receive_wait_us)},
    {"MaximumEventAgeInSeconds", 60, 1209600, 0, US_PER_S, PLACE(max_age_us)},
};
_Static_assert(sizeof(((queue_attributes_t *)0)->max_message_bytes) == sizeof(int64_t), "one width for all numbers");

/* What only FIFO queues have: two values each, as text (or, where they are those, as false and true). */
typedef struct {
    const char *name, *no, *yes;
    size_t offset;
} fifo_rule_t;

static const fifo_rule_t fifo_rules[] = {
    {"ContentBasedDeduplication", "false", "true", PLACE(content_dedup)},
    {"DeduplicationScope", "queue", "messageGroup", PLACE(dedup_by_group)},
    {"FifoThroughputLimit", "perQueue", "perMessageGroupId", PLACE(limited_by_group)},
};

/* As much of a text from outside as a message should repeat. */
static bytes_t cut(bytes_t text)
{
    return bytes_from(text.data, text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES);
}

bool queue_name_check(bytes_t name, error_t *err)
{
    size_t plain = name.len;
    if (name.len > 5 && memcmp(name.data + name.len - 5, ".fifo", 5) == 0)
        plain -= 5;
    bool good = plain > 0 && name.len <= QUEUE_NAME_MAX_BYTES;
    for (size_t i = 0; good && i < plain; i++) {
        uint8_t c = name.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    }
    if (good)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                     "Queue name \"%.*s\" must have 1 to %d of A-Z a-z 0-9 - _ (and may end in .fifo).",
                     BYTES_FMT(cut(name)), QUEUE_NAME_MAX_BYTES);
}

bool attribute_number(bytes_t value, int64_t *out)
{
    mp_reader_t r = mp_reader(value);
    mp_token_t token;
    if (!mp_next(&r, &token))
        return false;
    if (token.type == MP_UINT && token.u64 <= INT32_MAX) {
        *out = (int64_t)token.u64;
        return true;
    }
    if (token.type != MP_STR || token.bytes.len == 0 || token.bytes.len > 9)
        return false;
    int64_t number = 0;
    for (size_t i = 0; i < token.bytes.len; i++) {
        uint8_t c = token.bytes.data[i];
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    *out = number;
    return true;
}

static bool number_read(const number_rule_t *rule, bytes_t value, queue_attributes_t *out, error_t *err)
{
    int64_t number;
    if (!attribute_number(value, &number) || number < rule->least || number > rule->most)
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE, "%s must be an integer from %lld to %lld.",
                         rule->name, (long long)rule->least, (long long)rule->most);
    number *= rule->scale;
    memcpy((uint8_t *)out + rule->offset, &number, sizeof number);
    return true;
}

static bool fifo_flag_read(const fifo_rule_t *rule, bytes_t value, queue_attributes_t *out, error_t *err)
{
    mp_reader_t r = mp_reader(value);
    mp_token_t token;
    if (!out->is_fifo)
        return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_NAME, "%s belongs to FIFO queues only.", rule->name);
    bool given = mp_next(&r, &token);
    bytes_t text = given && token.type == MP_STR ? token.bytes : BYTES_NONE;
    if (given && token.type == MP_BOOL)
        text = bytes_cstr(token.boolean ? "true" : "false");
    bool yes = bytes_eq_cstr(text, rule->yes);
    if (!yes && !bytes_eq_cstr(text, rule->no))
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE, "%s must be %s or %s.", rule->name,
                         rule->no, rule->yes);
    memcpy((uint8_t *)out + rule->offset, &yes, sizeof yes);
    return true;
}

static bool fifo_queue_read(bytes_t value, bool is_fifo, error_t *err)
{
    mp_reader_t r = mp_reader(value);
    mp_token_t token;
    bool given = false;
    if (mp_next(&r, &token))
        given = token.type == MP_BOOL ? token.boolean : token.type == MP_STR && bytes_eq_cstr(token.bytes, "true");
    return given == is_fifo || error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                                         "FifoQueue must be true exactly when the name ends in .fifo.");
}

static bool attribute_read(bytes_t name, bytes_t value, queue_attributes_t *out, error_t *err)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (bytes_eq_cstr(name, numbers[i].name))
            return number_read(&numbers[i], value, out, err);
    if (bytes_eq_cstr(name, "RedrivePolicy"))
        return redrive_read(value, out, err);
    if (bytes_eq_cstr(name, "FifoQueue"))
        return fifo_queue_read(value, out->is_fifo, err);
    for (size_t i = 0; i < ARRAY_LEN(fifo_rules); i++)
        if (bytes_eq_cstr(name, fifo_rules[i].name))
            return fifo_flag_read(&fifo_rules[i], value, out, err);
    if (bytes_eq_cstr(name, "RedriveAllowPolicy"))
        return redrive_allow_read(value, out, err);
    return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_NAME, "There is no queue attribute \"%.*s\".",
                     BYTES_FMT(cut(name)));
}

bool attributes_read(bytes_t name, bytes_t map, queue_attributes_t *out, error_t *err)
{
    memset(out, 0, sizeof *out); /* padding too: attributes are compared by memcmp */
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        int64_t number = numbers[i].normal * numbers[i].scale;
        memcpy((uint8_t *)out + numbers[i].offset, &number, sizeof number);
    }
    out->is_fifo = name.len > 5 && memcmp(name.data + name.len - 5, ".fifo", 5) == 0;
    if (!map.len)
        return true;
    mp_reader_t r = mp_reader(map);
    uint32_t pairs;
    if (!mp_get_map(&r, &pairs))
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE, "Attributes must be a map.");
    for (uint32_t i = 0; i < pairs; i++) {
        bytes_t key, value;
        if (!mp_get_str(&r, &key) || !mp_get_raw(&r, &value))
            return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_NAME, "Attribute names must be texts.");
        if (!attribute_read(key, value, out, err))
            return false;
    }
    return !out->limited_by_group || out->dedup_by_group ||
           error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                     "FifoThroughputLimit perMessageGroupId needs DeduplicationScope messageGroup.");
}

uint32_t attributes_write(buf_t *out, const queue_attributes_t *attributes)
{
    uint32_t pairs = 0;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        int64_t number;
        memcpy(&number, (const uint8_t *)attributes + numbers[i].offset, sizeof number);
        if (!number && !numbers[i].normal && numbers[i].least > 0)
            continue; /* not set */
        mp_put_cstr(out, numbers[i].name);
        mp_put_i64(out, number / numbers[i].scale);
        pairs++;
    }
    if (attributes->is_fifo) {
        mp_put_cstr(out, "FifoQueue");
        mp_put_bool(out, true);
        pairs++;
    }
    for (size_t i = 0; attributes->is_fifo && i < ARRAY_LEN(fifo_rules); i++) {
        bool yes;
        memcpy(&yes, (const uint8_t *)attributes + fifo_rules[i].offset, sizeof yes);
        mp_put_cstr(out, fifo_rules[i].name);
        mp_put_cstr(out, yes ? fifo_rules[i].yes : fifo_rules[i].no);
        pairs++;
    }
    return pairs + redrive_write(out, attributes);
}
