/* pattern_operator.c: reads the match expressions of a pattern, or says as AWS does what is wrong with them. */
#include <math.h>

#include "broker/rules/fold.h"
#include "broker/rules/pattern_build.h"
#include "broker/rules/wildcard.h"

#define KEY_SHOWN_BYTES 64
#define ALL_OF_MAX 16 /* ours */

static int shown(bytes_t key)
{
    return (int)(key.len < KEY_SHOWN_BYTES ? key.len : KEY_SHOWN_BYTES);
}

static bool next(build_t *b, mp_token_t *token)
{
    return mp_next(&b->reader, token) || build_refuse(b, "%s", b->reader.error ? b->reader.error : "it ends too early");
}

/* VALUE_OTHER for containers. */
static value_t scalar_of(const mp_token_t *token)
{
    value_t none = {.type = VALUE_OTHER};
    return token->type == MP_ARRAY || token->type == MP_MAP ? none : value_of(token);
}

static bool is_number(const mp_token_t *token)
{
    return scalar_of(token).type >= VALUE_DOUBLE;
}

/* What was appended to the pattern's texts since. */
static bytes_t keep_text(build_t *b, size_t begin)
{
    const buf_t *texts = &b->pattern->texts;
    return bytes_from(texts->data + begin, texts->len - begin);
}

/* The texts of a document never take more than this, so that what points into them stays where it is. */
static bool reserve_texts(build_t *b)
{
    buf_t *texts = &b->pattern->texts;
    return texts->cap > 0 || buf_reserve(texts, FOLD_GROWTH(b->pattern->document.len)) || build_no_memory(b);
}

static bool fold_text(build_t *b, bytes_t text, bytes_t *out)
{
    if (!reserve_texts(b))
        return false;
    size_t begin = b->pattern->texts.len;
    fold_append(&b->pattern->texts, text);
    *out = keep_text(b, begin);
    return true;
}

static bool wildcard_text(build_t *b, bytes_t text, bytes_t *out)
{
    error_t why = {0};
    if (!reserve_texts(b))
        return false;
    size_t begin = b->pattern->texts.len;
    if (!wildcard_parse(text, &b->pattern->texts, &why))
        return build_refuse(b, "%s", why.message);
    *out = keep_text(b, begin);
    if (wildcard_complexity(*out) > WILDCARD_COMPLEXITY_MAX)
        return build_refuse(b, "Rule is too complex - try using fewer wildcard characters or fewer repeating character "
                               "sequences after a wildcard character");
    return true;
}

/* -- one text, on its own and in lists --------------------------------------------------------------- */
typedef struct {
    const char *name;
    condition_type_t type;
    condition_type_t folded; /* of {"equals-ignore-case":…} inside; the same as `type` where that is refused */
} text_operator_t;

static const text_operator_t text_operators[] = {
    {"prefix", CONDITION_PREFIX, CONDITION_FOLD_PREFIX},
    {"suffix", CONDITION_SUFFIX, CONDITION_FOLD_SUFFIX},
    {"equals-ignore-case", CONDITION_FOLD, CONDITION_FOLD},
    {"wildcard", CONDITION_WILDCARD, CONDITION_WILDCARD},
};

static const text_operator_t *find_text_operator(bytes_t name)
{
    for (size_t i = 0; i < ARRAY_LEN(text_operators); i++)
        if (bytes_eq_cstr(name, text_operators[i].name))
            return &text_operators[i];
    return NULL;
}

static bool text_condition(build_t *b, condition_type_t type, bytes_t text, condition_t *out)
{
    *out = (condition_t){.type = type, .text = text};
    if (type == CONDITION_WILDCARD) {
        bool ok = wildcard_text(b, text, &out->wildcard.parsed);
        out->wildcard.needs = byte_set_of(out->wildcard.parsed);
        return ok;
    }
    if (type >= CONDITION_FOLD && type <= CONDITION_FOLD_SUFFIX)
        return fold_text(b, text, &out->text);
    return true;
}

/* {"prefix":{"equals-ignore-case":"a"}}: the reader stands inside the outer map's value. */
static bool read_folded_inside(build_t *b, const text_operator_t *op, uint32_t keys, condition_t *out)
{
    bytes_t name;
    mp_token_t token;
    if (keys == 0)
        return build_refuse(b, "%s expression name not found", op->name);
    if (!mp_get_str(&b->reader, &name) || !bytes_eq_cstr(name, "equals-ignore-case"))
        return build_refuse(b, "Unsupported %s pattern: %.*s", op->name, shown(name), name.data);
    if (!next(b, &token))
        return false;
    if (token.type != MP_STR)
        return build_refuse(b, "equals-ignore-case match pattern must be a string");
    if (keys > 1)
        return build_refuse(b, "Only one key allowed in match expression");
    return text_condition(b, op->folded, token.bytes, out);
}

static bool read_text(build_t *b, const text_operator_t *op, condition_t *out)
{
    mp_token_t token;
    if (!next(b, &token))
        return false;
    if (token.type == MP_MAP && op->type != op->folded)
        return read_folded_inside(b, op, token.count, out);
    if (token.type != MP_STR)
        return build_refuse(b, "%s match pattern must be a string", op->name);
    return text_condition(b, op->type, token.bytes, out);
}

/* -- anything-but ------------------------------------------------------------------------------------ */
/* Adds the items that `take` makes of the next `count` values; they must lie side by side. */
typedef bool take_t(build_t *b, const text_operator_t *op, const mp_token_t *token, condition_t *out);

static bool read_list(build_t *b, const text_operator_t *op, take_t *take, const mp_token_t *head, condition_t *out)
{
    uint32_t count = head->type == MP_ARRAY ? head->count : 1;
    *out = (condition_t){.type = CONDITION_BUT, .list = {.first = b->pattern->condition_count}};
    for (; out->list.count < count; out->list.count++) {
        mp_token_t token = *head;
        condition_t item;
        if ((head->type == MP_ARRAY && !next(b, &token)) || !take(b, op, &token, &item) ||
            build_condition(b, &item) == PATTERN_NONE)
            return false;
    }
    return true;
}

static bool take_scalar(build_t *b, const text_operator_t *op UNUSED, const mp_token_t *token, condition_t *out)
{
    if (token->type != MP_STR && !is_number(token))
        return build_refuse(b, "Inside anything but list, start|null|boolean is not supported.");
    *out = (condition_t){.type = CONDITION_EXACT, .value = value_of(token)};
    return true;
}

static const char *wrong_item(condition_type_t type)
{
    if (type == CONDITION_FOLD)
        return "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.";
    return type == CONDITION_WILDCARD ? "wildcard match pattern must be a string"
                                      : "prefix/suffix match pattern must be a string";
}

static bool take_text(build_t *b, const text_operator_t *op, const mp_token_t *token, condition_t *out)
{
    bool affix = op->type == CONDITION_PREFIX || op->type == CONDITION_SUFFIX;
    if (token->type != MP_STR)
        return build_refuse(b, "%s", wrong_item(op->type));
    if (affix && token->bytes.len == 0)
        return build_refuse(b, "Null prefix/suffix not allowed");
    return text_condition(b, op->type, token->bytes, out);
}

/* Texts or numbers, but not both, and at least one. */
static bool one_kind(build_t *b, const condition_t *list)
{
    const condition_t *items = &b->pattern->conditions[list->list.first];
    bool same = list->list.count > 0;
    for (uint32_t i = 1; i < list->list.count; i++)
        same &= (items[i].value.type == VALUE_STRING) == (items[0].value.type == VALUE_STRING);
    return same ||
           build_refuse(b, "Inside anything but list, either all values are number or string, mixed type is not "
                           "supported");
}

static bool read_but_nested(build_t *b, uint32_t keys, condition_t *out)
{
    bytes_t name;
    mp_token_t token;
    if (keys == 0)
        return build_refuse(b, "Anything-But expression name not found");
    if (!mp_get_str(&b->reader, &name))
        return build_refuse(b, "%s", b->reader.error);
    const text_operator_t *op = find_text_operator(name);
    if (!op)
        return build_refuse(b, "Unsupported anything-but pattern: %.*s", shown(name), name.data);
    if (!next(b, &token))
        return false;
    if (token.type == MP_MAP || token.type == MP_NIL || token.type == MP_BOOL)
        return build_refuse(b, "Value of anything-but must be an array or single string/number value.");
    if (!read_list(b, op, take_text, &token, out))
        return false;
    if (out->list.count == 0)
        return build_refuse(b, "Empty arrays are not allowed");
    return keys == 1 || build_refuse(b, "Only one key allowed in match expression");
}

static bool read_but(build_t *b, condition_t *out)
{
    mp_token_t token;
    if (!next(b, &token))
        return false;
    if (token.type == MP_MAP)
        return read_but_nested(b, token.count, out);
    if (token.type != MP_ARRAY && token.type != MP_STR && !is_number(&token))
        return build_refuse(b, "Value of anything-but must be an array or single string/number value.");
    return read_list(b, NULL, take_scalar, &token, out) && one_kind(b, out);
}

/* -- numeric ----------------------------------------------------------------------------------------- */
static bool read_bound(build_t *b, const char *of, double *out)
{
    mp_token_t token;
    if (!next(b, &token))
        return false;
    if (!is_number(&token))
        return build_refuse(b, "Value of %s must be numeric", of);
    value_t v = value_of(&token);
    if (v.type != VALUE_DOUBLE)
        return build_refuse(b, "Value of %s cannot be compared: no double holds it exactly", of);
    *out = value_double(&v);
    return true;
}

/* "=", "<", "<=", ">" or ">=" */
static bool read_comparison(build_t *b, char out[3])
{
    static const char *const known[] = {"=", "<", "<=", ">", ">="};
    mp_token_t token;
    if (!next(b, &token))
        return false;
    if (token.type != MP_STR)
        return build_refuse(b, "Invalid member in numeric match: it must begin with an operator");
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (bytes_eq_cstr(token.bytes, known[i]))
            return bytes_to_cstr(token.bytes, out, 3);
    return build_refuse(b, "Unrecognized numeric range operator: %.*s", shown(token.bytes), token.bytes.data);
}

static bool read_upper(build_t *b, range_t *range)
{
    char comparison[3];
    if (!read_comparison(b, comparison))
        return false;
    if (comparison[0] != '<')
        return build_refuse(b, "Bad numeric range operator: %s", comparison);
    range->high_open = comparison[1] == '\0';
    if (!read_bound(b, comparison, &range->high))
        return false;
    return range->low < range->high || build_refuse(b, "Bottom must be less than top");
}

static bool read_numeric(build_t *b, condition_t *out)
{
    char comparison[3];
    mp_token_t token;
    double bound;
    if (!next(b, &token))
        return false;
    if (token.type != MP_ARRAY)
        return build_refuse(b, "Value of numeric must be an array.");
    if (token.count < 2)
        return build_refuse(b, "Invalid member in numeric match: an operator and a number are needed");
    if (!read_comparison(b, comparison) || !read_bound(b, comparison[0] == '=' ? "equals" : comparison, &bound))
        return false;
    range_t range = {-INFINITY, INFINITY, false, false};
    bool is_lower = comparison[0] == '>', open = comparison[1] == '\0' && comparison[0] != '=';
    if (token.count > (is_lower ? 4u : 2u))
        return build_refuse(b, "Too many elements in numeric expression");
    if (is_lower || comparison[0] == '=')
        range.low = bound, range.low_open = open;
    if (!is_lower)
        range.high = bound, range.high_open = open;
    if (token.count == 3)
        return build_refuse(b, "Bad value in numeric range: the number is missing");
    *out = (condition_t){.type = CONDITION_NUMERIC, .range = range};
    return token.count == 2 || read_upper(b, &out->range);
}

/* -- cidr, exists, exactly, allOf ---------------------------------------------------------------------- */
static bool read_mask(build_t *b, bytes_t text, unsigned bits, uint8_t *out)
{
    unsigned value = 0;
    bool digits = text.len > 0 && text.len <= 3;
    for (size_t i = 0; digits && i < text.len; i++) {
        digits = text.data[i] >= '0' && text.data[i] <= '9';
        value = value * 10 + (text.data[i] - (unsigned)'0');
    }
    if (!digits)
        return build_refuse(b, "Malformed CIDR, mask bits must be an integer");
    if (value >= bits)
        return build_refuse(b, "IPv%c mask bits must be < %u", bits == IP_V4_BITS ? '4' : '6', bits);
    *out = (uint8_t)value;
    return true;
}

static bool read_cidr(build_t *b, condition_t *out)
{
    mp_token_t token;
    if (!next(b, &token))
        return false;
    if (token.type != MP_STR)
        return build_refuse(b, "cidr match pattern must be a string");
    bytes_t text = token.bytes;
    const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    if (!slash)
        return build_refuse(b, "Malformed CIDR, one '/' required");
    size_t len = (size_t)(slash - text.data);
    *out = (condition_t){.type = CONDITION_CIDR};
    if (!ip_parse(bytes_from(text.data, len), &out->block.ip))
        return build_refuse(b, "Nonstandard IP address: %.*s", shown(bytes_from(text.data, len)), text.data);
    if (!read_mask(b, bytes_from(slash + 1, text.len - len - 1), out->block.ip.bits, &out->block.prefix_bits))
        return false;
    ip_mask(&out->block.ip, out->block.prefix_bits);
    return true;
}

static bool read_exists(build_t *b, condition_t *out)
{
    mp_token_t token;
    if (!mp_next(&b->reader, &token) || token.type != MP_BOOL)
        return build_refuse(b, "exists match pattern must be either true or false.");
    *out = (condition_t){.type = token.boolean ? CONDITION_PRESENT : CONDITION_ABSENT};
    return true;
}

static bool read_exactly(build_t *b, condition_t *out)
{
    mp_token_t token;
    if (!mp_next(&b->reader, &token) || token.type != MP_STR)
        return build_refuse(b, "exact match pattern must be a string");
    *out = (condition_t){.type = CONDITION_EXACT, .value = value_of(&token)};
    return true;
}

static bool read_all_item(build_t *b, condition_t *out)
{
    if (!build_match_value(b, out))
        return false;
    if (out->type == CONDITION_ALL)
        return build_refuse(b, "allOf cannot stand inside allOf");
    return out->type != CONDITION_ABSENT || build_refuse(b, "exists false cannot stand inside allOf");
}

static bool read_all(build_t *b, condition_t *out)
{
    condition_t items[ALL_OF_MAX];
    mp_token_t token;
    if (!b->options.all_of)
        return build_refuse(b, "Unrecognized match type allOf (it is an extension that AWS has not: it must be allowed "
                               "for the rule)");
    if (!next(b, &token))
        return false;
    if (token.type != MP_ARRAY || token.count < 2 || token.count > ALL_OF_MAX)
        return build_refuse(b, "Value of allOf must be an array of 2 to %d match expressions", ALL_OF_MAX);
    for (uint32_t i = 0; i < token.count; i++)
        if (!read_all_item(b, &items[i]))
            return false;
    *out = (condition_t){.type = CONDITION_ALL, .list = {.first = b->pattern->condition_count, .count = token.count}};
    for (uint32_t i = 0; i < token.count; i++)
        if (build_condition(b, &items[i]) == PATTERN_NONE)
            return false;
    b->pattern->uses_all_of = true;
    return true;
}

/* -- any of them --------------------------------------------------------------------------------------- */
static bool read_operator(build_t *b, uint32_t keys, condition_t *out)
{
    static const struct {
        const char *name;
        bool (*read)(build_t *b, condition_t *out);
    } others[] = {{"anything-but", read_but}, {"numeric", read_numeric}, {"cidr", read_cidr},
                  {"exists", read_exists},    {"exactly", read_exactly}, {"allOf", read_all}};
    bytes_t name;
    if (keys != 1)
        return build_refuse(b, keys ? "Only one key allowed in match expression" : "Match expression name not found");
    if (!mp_get_str(&b->reader, &name))
        return build_refuse(b, "%s", b->reader.error);
    const text_operator_t *op = find_text_operator(name);
    if (op)
        return read_text(b, op, out);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (bytes_eq_cstr(name, others[i].name))
            return others[i].read(b, out);
    return build_refuse(b, "Unrecognized match type %.*s", shown(name), name.data);
}

/* A text that is an IP address is one: "::1" is "0:0:0:0:0:0:0:1". */
static bool read_exact(build_t *b, const mp_token_t *token, condition_t *out)
{
    block_t block;
    value_t value = scalar_of(token);
    if (value.type == VALUE_OTHER)
        return build_refuse(b, "Match value must be String, number, true, false, or null");
    *out = (condition_t){.type = CONDITION_EXACT, .value = value};
    if (value.type == VALUE_STRING && ip_parse(value.text, &block.ip)) {
        block.prefix_bits = block.ip.bits;
        *out = (condition_t){.type = CONDITION_CIDR, .block = block};
    }
    return true;
}

bool build_match_value(build_t *b, condition_t *out)
{
    mp_token_t token;
    if (!next(b, &token))
        return false;
    return token.type == MP_MAP ? read_operator(b, token.count, out) : read_exact(b, &token, out);
}
