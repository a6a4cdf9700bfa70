/* pattern_compile.c: turns the JSON of an event pattern into its tree, or says as AWS does what is wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/rules/pattern_tree.h"
#include "proto/json.h"

#define INVALID_PATTERN "InvalidEventPatternException"
#define KEY_SHOWN_BYTES 128

static bool refuse(error_t *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool refuse(error_t *err, const char *fmt, ...)
{
    char reason[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return error_set(err, STATUS_INVALID_ARGUMENT, INVALID_PATTERN, "Event pattern is not valid. Reason: %s", reason);
}

static bool not_yet(error_t *err, const char *what)
{
    return error_set(err, STATUS_UNIMPLEMENTED, INVALID_PATTERN,
                     "Event pattern uses the operator \"%s\", which this broker cannot evaluate yet.", what);
}

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling an event pattern.");
}

/* A key as error messages show it. */
static int shown(bytes_t key)
{
    return (int)(key.len < KEY_SHOWN_BYTES ? key.len : KEY_SHOWN_BYTES);
}

/* -- growing the tree ---------------------------------------------------------------------------- */
bool pattern_segment(bytes_t *rest, bool *more, bytes_t *segment)
{
    if (!*more)
        return false;
    const uint8_t *dot = rest->len ? memchr(rest->data, '.', rest->len) : NULL;
    *more = dot != NULL;
    if (!dot) {
        *segment = *rest;
        return true;
    }
    size_t len = (size_t)(dot - rest->data);
    *segment = bytes_from(rest->data, len);
    *rest = bytes_from(dot + 1, rest->len - len - 1);
    return true;
}

uint32_t pattern_child(const pattern_t *p, uint32_t node, bytes_t key)
{
    uint32_t at = p->nodes[node].first_child;
    while (at != PATTERN_NONE && !bytes_eq(p->nodes[at].key, key))
        at = p->nodes[at].next_sibling;
    return at;
}

/* Room for one more item; NULL when out of memory. */
static void *grow(void *items, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    if (count < *cap)
        return items;
    uint32_t more = *cap ? *cap * 2 : 8;
    void *grown = realloc(items, more * item_bytes);
    if (grown)
        *cap = more;
    return grown;
}

static uint32_t add_node(pattern_t *p, uint32_t parent, bytes_t key)
{
    pattern_node_t *nodes = grow(p->nodes, p->node_count, &p->node_cap, sizeof *nodes);
    if (!nodes)
        return PATTERN_NONE;
    p->nodes = nodes;
    uint32_t at = p->node_count++;
    nodes[at] =
        (pattern_node_t){.key = key, .first_child = PATTERN_NONE, .next_sibling = PATTERN_NONE, .field = PATTERN_NONE};
    if (parent != PATTERN_NONE) {
        nodes[at].next_sibling = nodes[parent].first_child;
        nodes[parent].first_child = at;
    }
    return at;
}

static uint32_t node_for_key(pattern_t *p, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != PATTERN_NONE && pattern_segment(&rest, &more, &segment)) {
        uint32_t child = pattern_child(p, node, segment);
        node = child != PATTERN_NONE ? child : add_node(p, node, segment);
    }
    return node;
}

static bool add_condition(pattern_t *p, uint32_t node, condition_t condition, error_t *err)
{
    condition_t *conditions = grow(p->conditions, p->condition_count, &p->condition_cap, sizeof *conditions);
    if (!conditions)
        return no_memory(err);
    p->conditions = conditions;
    conditions[p->condition_count++] = condition;
    p->nodes[node].condition_count++;
    return true;
}

/* -- operators ----------------------------------------------------------------------------------- */
static bool compile_prefix(pattern_t *p, uint32_t node, mp_reader_t *r, error_t *err)
{
    mp_token_t token;
    if (!mp_next(r, &token))
        return refuse(err, "%s", r->error);
    if (token.type == MP_MAP)
        return not_yet(err, "prefix with equals-ignore-case");
    if (token.type != MP_STR)
        return refuse(err, "prefix match pattern must be a string");
    return add_condition(p, node, (condition_t){CONDITION_PREFIX, value_of(&token)}, err);
}

static bool compile_exists(pattern_t *p, uint32_t node, mp_reader_t *r, error_t *err)
{
    mp_token_t token;
    if (!mp_next(r, &token) || token.type != MP_BOOL)
        return refuse(err, "exists match pattern must be either true or false.");
    condition_type_t type = token.boolean ? CONDITION_PRESENT : CONDITION_ABSENT;
    return add_condition(p, node, (condition_t){.type = type}, err);
}

static const char *known_operator(bytes_t name)
{
    static const char *const later[] = {"suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr",
                                        "exactly"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (bytes_eq_cstr(name, later[i]))
            return later[i];
    return NULL;
}

static bool compile_operator(pattern_t *p, uint32_t node, mp_reader_t *r, uint32_t keys, error_t *err)
{
    bytes_t name;
    if (keys != 1)
        return refuse(err, keys ? "Only one key allowed in match expression" : "Empty objects are not allowed");
    if (!mp_get_str(r, &name))
        return refuse(err, "%s", r->error);
    if (bytes_eq_cstr(name, "prefix"))
        return compile_prefix(p, node, r, err);
    if (bytes_eq_cstr(name, "exists"))
        return compile_exists(p, node, r, err);
    const char *later = known_operator(name);
    return later ? not_yet(err, later) : refuse(err, "Unrecognized match type %.*s", shown(name), name.data);
}

/* -- the document -------------------------------------------------------------------------------- */
static bool compile_match_value(pattern_t *p, uint32_t node, mp_reader_t *r, error_t *err)
{
    mp_token_t token;
    if (!mp_next(r, &token))
        return refuse(err, "%s", r->error);
    if (token.type == MP_MAP)
        return compile_operator(p, node, r, token.count, err);
    value_t value = value_of(&token);
    if (value.type == VALUE_OTHER)
        return refuse(err, "Match value must be String, number, true, false, or null");
    return add_condition(p, node, (condition_t){CONDITION_EXACT, value}, err);
}

/* A path that was given before is given anew: the last one counts. */
static bool compile_field(pattern_t *p, uint32_t node, mp_reader_t *r, uint32_t count, error_t *err)
{
    if (count == 0)
        return refuse(err, "Empty arrays are not allowed");
    p->nodes[node].conditions = p->condition_count;
    p->nodes[node].condition_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!compile_match_value(p, node, r, err))
            return false;
    return true;
}

static bool compile_object(pattern_t *p, uint32_t node, mp_reader_t *r, uint32_t count, error_t *err);

static bool compile_member(pattern_t *p, uint32_t parent, mp_reader_t *r, error_t *err)
{
    bytes_t key;
    mp_token_t token;
    if (!mp_get_str(r, &key) || !mp_next(r, &token))
        return refuse(err, "%s", r->error);
    if (bytes_eq_cstr(key, "$or"))
        return not_yet(err, "$or");
    uint32_t node = node_for_key(p, parent, key);
    if (node == PATTERN_NONE)
        return no_memory(err);
    if (token.type == MP_MAP)
        return compile_object(p, node, r, token.count, err);
    if (token.type == MP_ARRAY)
        return compile_field(p, node, r, token.count, err);
    return refuse(err, "\"%.*s\" must be an object or an array", shown(key), key.data);
}

/* Recursion is bounded by PATTERN_MAX_BYTES. */
static bool compile_object(pattern_t *p, uint32_t node, mp_reader_t *r, uint32_t count, error_t *err)
{
    if (count == 0)
        return refuse(err, "Empty objects are not allowed");
    for (uint32_t i = 0; i < count; i++)
        if (!compile_member(p, node, r, err))
            return false;
    return true;
}

static void number_field(pattern_t *p, pattern_node_t *node)
{
    node->field = p->field_count++;
    for (uint32_t i = 0; i < node->condition_count; i++)
        if (p->conditions[node->conditions + i].type == CONDITION_ABSENT)
            pattern_set_bit(p->may_be_absent, node->field);
}

static void number_fields(pattern_t *p, uint32_t at)
{
    pattern_node_t *node = &p->nodes[at];
    if (node->condition_count > 0)
        number_field(p, node);
    node->below = p->field_count;
    for (uint32_t child = node->first_child; child != PATTERN_NONE; child = p->nodes[child].next_sibling)
        number_fields(p, child);
    node->end = p->field_count;
}

static bool compile(pattern_t *p, bytes_t json, error_t *err)
{
    mp_token_t token;
    error_t malformed = {0};
    if (!json_to_msgpack(json, NULL, &p->document, &malformed))
        return refuse(err, "%s", malformed.message);
    mp_reader_t r = mp_reader(buf_bytes(&p->document));
    if (!mp_next(&r, &token) || token.type != MP_MAP)
        return refuse(err, "Filter is not an object");
    uint32_t root = add_node(p, PATTERN_NONE, BYTES_NONE);
    if (root == PATTERN_NONE)
        return no_memory(err);
    if (!compile_object(p, root, &r, token.count, err))
        return false;
    number_fields(p, root);
    return true;
}

pattern_t *pattern_compile(bytes_t json, error_t *err)
{
    if (json.len > PATTERN_MAX_BYTES) {
        refuse(err, "it is %zu bytes long, and %d are allowed", json.len, PATTERN_MAX_BYTES);
        return NULL;
    }
    pattern_t *p = calloc(1, sizeof *p);
    if (!p) {
        no_memory(err);
        return NULL;
    }
    if (!compile(p, json, err))
        pattern_free(&p);
    return p;
}

void pattern_free(pattern_t **pattern)
{
    pattern_t *p = *pattern;
    *pattern = NULL;
    if (!p)
        return;
    buf_free(&p->document);
    free(p->nodes);
    free(p->conditions);
    free(p);
}
