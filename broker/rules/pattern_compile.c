/* pattern_compile.c: turns the JSON of an event pattern into its tree and branches, or says as AWS does what is wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/rules/pattern_build.h"
#include "proto/json.h"

#define INVALID_PATTERN "InvalidEventPatternException"
#define KEY_SHOWN_BYTES 64

/* -- saying -------------------------------------------------------------------------------------- */
bool build_refuse(build_t *b, const char *fmt, ...)
{
    char reason[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return error_set(b->err, STATUS_INVALID_ARGUMENT, INVALID_PATTERN, "Event pattern is not valid. Reason: %s%s%s%s",
                     reason, b->path[0] ? " (at " : "", b->path, b->path[0] ? ")" : "");
}

bool build_no_memory(build_t *b)
{
    return error_set(b->err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling an event pattern.");
}

static size_t path_push(build_t *b, bytes_t key)
{
    size_t len = strlen(b->path);
    char shown[KEY_SHOWN_BYTES];
    (void)bytes_to_cstr(key, shown, sizeof shown);
    (void)snprintf(b->path + len, sizeof b->path - len, "%s%s", len ? "." : "", shown);
    return len;
}

static void path_push_index(build_t *b, size_t len, uint32_t index)
{
    (void)snprintf(b->path + len, sizeof b->path - len, "[%u]", index);
}

static void path_pop(build_t *b, size_t len)
{
    b->path[len] = '\0';
}

/* -- growing ------------------------------------------------------------------------------------- */
void *build_grow(void *items, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    if (count < *cap)
        return items;
    uint32_t more = *cap ? *cap * 2 : 8;
    void *grown = realloc(items, more * item_bytes);
    if (grown)
        *cap = more;
    return grown;
}

uint32_t build_condition(build_t *b, const condition_t *condition)
{
    pattern_t *p = b->pattern;
    condition_t *conditions = build_grow(p->conditions, p->condition_count, &b->condition_cap, sizeof *conditions);
    if (!conditions) {
        build_no_memory(b);
        return PATTERN_NONE;
    }
    p->conditions = conditions;
    conditions[p->condition_count] = *condition;
    return p->condition_count++;
}

static uint32_t add_node(build_t *b, uint32_t parent, bytes_t key)
{
    pattern_t *p = b->pattern;
    pattern_node_t *nodes = build_grow(p->nodes, p->node_count, &b->node_cap, sizeof *nodes);
    if (!nodes)
        return PATTERN_NONE;
    p->nodes = nodes;
    uint32_t at = p->node_count++;
    nodes[at] = (pattern_node_t){.key = key,
                                 .parent = parent,
                                 .first_child = PATTERN_NONE,
                                 .next_sibling = PATTERN_NONE,
                                 .first_field = PATTERN_NONE};
    if (parent != PATTERN_NONE) {
        nodes[at].next_sibling = nodes[parent].first_child;
        nodes[parent].first_child = at;
        nodes[parent].child_count++;
    }
    return at;
}

static uint32_t node_for_key(build_t *b, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != PATTERN_NONE && pattern_segment(&rest, &more, &segment)) {
        uint32_t child = pattern_child(b->pattern, node, segment);
        node = child != PATTERN_NONE ? child : add_node(b, node, segment);
    }
    return node;
}

static uint32_t add_field(build_t *b, uint32_t node)
{
    pattern_t *p = b->pattern;
    pattern_field_t *fields = build_grow(p->fields, p->field_count, &b->field_cap, sizeof *fields);
    if (!fields)
        return PATTERN_NONE;
    p->fields = fields;
    fields[p->field_count] = (pattern_field_t){.node = node, .next = p->nodes[node].first_field};
    p->nodes[node].first_field = p->field_count;
    return p->field_count++;
}

/* -- branches ------------------------------------------------------------------------------------ */
/* Puts the field into the branch, in the place of one on the same path. */
static bool branch_put(const pattern_t *p, build_branch_t *branch, uint32_t field)
{
    for (uint32_t i = 0; i < branch->count; i++)
        if (p->fields[branch->fields[i]].node == p->fields[field].node) {
            branch->fields[i] = field;
            return true;
        }
    uint32_t *fields = build_grow(branch->fields, branch->count, &branch->cap, sizeof *fields);
    if (!fields)
        return false;
    branch->fields = fields;
    fields[branch->count++] = field;
    return true;
}

static void branches_free(build_branches_t *branches)
{
    for (uint32_t i = 0; i < branches->count; i++)
        free(branches->items[i].fields);
    free(branches->items);
    *branches = (build_branches_t){0};
}

static bool branch_copy(const build_branch_t *from, build_branch_t *to)
{
    *to = (build_branch_t){.count = from->count, .cap = from->count};
    if (from->count == 0)
        return true;
    to->fields = malloc(from->count * sizeof *to->fields);
    if (to->fields)
        memcpy(to->fields, from->fields, from->count * sizeof *to->fields);
    return to->fields != NULL;
}

/* Appends a copy of each of `from`. */
static bool branches_append(build_branches_t *to, const build_branches_t *from)
{
    build_branch_t *items = realloc(to->items, (to->count + from->count) * sizeof *items);
    if (!items)
        return false;
    to->items = items;
    for (uint32_t i = 0; i < from->count; i++, to->count++)
        if (!branch_copy(&from->items[i], &items[to->count]))
            return false;
    return true;
}

static bool branches_put(build_t *b, uint32_t field)
{
    size_t members = 0;
    for (uint32_t i = 0; i < b->branches.count; i++) {
        if (!branch_put(b->pattern, &b->branches.items[i], field))
            return build_no_memory(b);
        members += b->branches.items[i].count;
    }
    return members <= PATTERN_MEMBERS_MAX ||
           build_refuse(b, "its $or combinations have more than %d fields in all", PATTERN_MEMBERS_MAX);
}

/* -- the document -------------------------------------------------------------------------------- */
/* A condition and those it consists of are not side by side, but those of one field are. */
static bool store_field(build_t *b, uint32_t field, const condition_t *conditions, uint32_t count)
{
    pattern_field_t *f = &b->pattern->fields[field];
    f->conditions = b->pattern->condition_count;
    f->condition_count = count;
    for (uint32_t i = 0; i < count; i++) {
        f->may_be_absent |= conditions[i].type == CONDITION_ABSENT;
        if (build_condition(b, &conditions[i]) == PATTERN_NONE)
            return false;
    }
    return true;
}

static bool read_conditions(build_t *b, condition_t *out, uint32_t count)
{
    size_t len = strlen(b->path);
    for (uint32_t i = 0; i < count; i++) {
        path_push_index(b, len, i);
        if (!build_match_value(b, &out[i]))
            return false;
    }
    path_pop(b, len);
    return true;
}

static bool compile_field(build_t *b, uint32_t node, bytes_t given, uint32_t count)
{
    if (count == 0)
        return build_refuse(b, "Empty arrays are not allowed");
    condition_t *conditions = malloc(count * sizeof *conditions);
    uint32_t field = conditions ? add_field(b, node) : PATTERN_NONE;
    bool ok = field != PATTERN_NONE || build_no_memory(b);
    ok = ok && read_conditions(b, conditions, count) && store_field(b, field, conditions, count);
    if (ok)
        b->pattern->fields[field].given = given;
    free(conditions);
    return ok && branches_put(b, field);
}

static bool compile_object(build_t *b, uint32_t node, uint32_t count);

static bool compile_or(build_t *b, uint32_t node, uint32_t count)
{
    build_branches_t before = b->branches, all = {0};
    size_t len = strlen(b->path);
    bool ok = count >= 2 || build_refuse(b, "There must have at least 2 Objects in $or relationship.");
    for (uint32_t i = 0; ok && i < count; i++) {
        uint32_t members;
        b->branches = (build_branches_t){0};
        path_push_index(b, len, i);
        ok = branches_append(&b->branches, &before) || build_no_memory(b);
        ok = ok && (mp_get_map(&b->reader, &members) || build_refuse(b, "%s", b->reader.error)) &&
             compile_object(b, node, members);
        if (ok && all.count + b->branches.count > PATTERN_BRANCHES_MAX)
            ok = build_refuse(b, "there are more than %d $or combinations", PATTERN_BRANCHES_MAX);
        ok = ok && (branches_append(&all, &b->branches) || build_no_memory(b));
        branches_free(&b->branches);
    }
    path_pop(b, len);
    branches_free(&before);
    b->branches = all;
    return ok;
}

/* Names that may stand in a match expression, now or, as AWS reserves them, later. */
static bool is_reserved(bytes_t name)
{
    static const char *const names[] = {"exactly",
                                        "equals-ignore-case",
                                        "prefix",
                                        "suffix",
                                        "anything-but",
                                        "exists",
                                        "wildcard",
                                        "numeric",
                                        "cidr",
                                        "=",
                                        "<",
                                        "<=",
                                        ">",
                                        ">=",
                                        "regex",
                                        "not-wildcard",
                                        "not-equals-ignore-case",
                                        "date-after",
                                        "date-on-or-after",
                                        "date-before",
                                        "date-on-or-before",
                                        "in-date-range",
                                        "ip-address-in-range",
                                        "ip-address-not-in-range",
                                        "allOf"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_eq_cstr(name, names[i]))
            return true;
    return false;
}

/* `$or` is an array of objects none of which could be a match expression; otherwise it is a field of that name. */
static bool is_or(mp_reader_t reader, uint32_t count)
{
    mp_token_t token;
    for (uint32_t i = 0; i < count; i++) {
        if (!mp_next(&reader, &token) || token.type != MP_MAP)
            return false;
        for (uint32_t k = 0; k < token.count; k++) {
            bytes_t name;
            if (!mp_get_str(&reader, &name) || is_reserved(name) || !mp_skip(&reader))
                return false;
        }
    }
    return count > 0;
}

static bool compile_value(build_t *b, uint32_t parent, bytes_t key)
{
    mp_token_t token;
    const uint8_t *at = b->reader.pos;
    mp_reader_t ahead = b->reader;
    bytes_t given;
    if (!mp_get_raw(&ahead, &given) || !mp_next(&b->reader, &token))
        return build_refuse(b, "%s", b->reader.error ? b->reader.error : "it ends too early");
    if (token.type == MP_ARRAY && bytes_eq_cstr(key, "$or") && is_or(b->reader, token.count))
        return compile_or(b, parent, token.count);
    uint32_t node = node_for_key(b, parent, key);
    if (node == PATTERN_NONE)
        return build_no_memory(b);
    if (token.type == MP_MAP)
        return compile_object(b, node, token.count);
    if (token.type == MP_ARRAY)
        return compile_field(b, node, bytes_from(at, given.len), token.count);
    return build_refuse(b, "\"%.*s\" must be an object or an array",
                        (int)(key.len < KEY_SHOWN_BYTES ? key.len : KEY_SHOWN_BYTES), key.data);
}

/* Recursion is bounded by PATTERN_MAX_BYTES. */
static bool compile_object(build_t *b, uint32_t node, uint32_t count)
{
    if (count == 0)
        return build_refuse(b, "Empty objects are not allowed");
    for (uint32_t i = 0; i < count; i++) {
        bytes_t key;
        if (!mp_get_str(&b->reader, &key))
            return build_refuse(b, "%s", b->reader.error);
        size_t len = path_push(b, key);
        if (!compile_value(b, node, key))
            return false;
        path_pop(b, len);
    }
    return true;
}

/* -- finishing ----------------------------------------------------------------------------------- */
static uint32_t number_nodes(pattern_t *p, uint32_t at, uint32_t order)
{
    pattern_node_t *node = &p->nodes[at];
    node->order = order++;
    for (uint32_t child = node->first_child; child != PATTERN_NONE; child = p->nodes[child].next_sibling)
        order = number_nodes(p, child, order);
    node->end = order;
    return order;
}

static bool store_branches(build_t *b)
{
    pattern_t *p = b->pattern;
    uint32_t members = 0;
    for (uint32_t i = 0; i < b->branches.count; i++)
        members += b->branches.items[i].count;
    p->members = malloc((members ? members : 1) * sizeof *p->members);
    p->branches = malloc(b->branches.count * sizeof *p->branches);
    if (!p->members || !p->branches)
        return build_no_memory(b);
    members = 0;
    for (; p->branch_count < b->branches.count; p->branch_count++) {
        const build_branch_t *from = &b->branches.items[p->branch_count];
        p->branches[p->branch_count] = (pattern_branch_t){.first = members, .count = from->count};
        memcpy(&p->members[members], from->fields, from->count * sizeof *p->members);
        members += from->count;
    }
    return true;
}

/* Gives back what the lists have too much, for many rules are kept. Where that fails they stay as they are. */
static void *fit(void *items, size_t bytes)
{
    void *fitting = realloc(items, bytes);
    if (!fitting)
        return items;
    return fitting;
}

static void fit_lists(pattern_t *p)
{
    p->nodes = fit(p->nodes, p->node_count * sizeof *p->nodes);
    p->conditions = fit(p->conditions, p->condition_count * sizeof *p->conditions);
    p->fields = fit(p->fields, p->field_count * sizeof *p->fields);
}

static bool compile(build_t *b, bytes_t json)
{
    pattern_t *p = b->pattern;
    mp_token_t token;
    error_t malformed = {0};
    if (!json_to_msgpack(json, NULL, &p->document, &malformed))
        return build_refuse(b, "%s", malformed.message);
    b->reader = mp_reader(buf_bytes(&p->document));
    if (!mp_next(&b->reader, &token) || token.type != MP_MAP)
        return build_refuse(b, "Filter is not an object");
    b->branches.items = calloc(1, sizeof *b->branches.items);
    b->branches.count = b->branches.items ? 1 : 0;
    if (!b->branches.items || add_node(b, PATTERN_NONE, BYTES_NONE) == PATTERN_NONE)
        return build_no_memory(b);
    if (!compile_object(b, 0, token.count) || !store_branches(b))
        return false;
    (void)number_nodes(p, 0, 0);
    fit_lists(p);
    return true;
}

pattern_t *pattern_compile_with(bytes_t json, pattern_options_t options, error_t *err)
{
    build_t b = {.options = options, .err = err};
    if (json.len > PATTERN_MAX_BYTES) {
        build_refuse(&b, "it is %zu bytes long, and %d are allowed", json.len, PATTERN_MAX_BYTES);
        return NULL;
    }
    b.pattern = calloc(1, sizeof *b.pattern);
    if (!b.pattern)
        build_no_memory(&b);
    else if (!compile(&b, json))
        pattern_free(&b.pattern);
    branches_free(&b.branches);
    return b.pattern;
}

pattern_t *pattern_compile(bytes_t json, error_t *err)
{
    return pattern_compile_with(json, (pattern_options_t){.all_of = false}, err);
}

void pattern_free(pattern_t **pattern)
{
    pattern_t *p = *pattern;
    *pattern = NULL;
    if (!p)
        return;
    buf_free(&p->document);
    buf_free(&p->texts);
    free(p->nodes);
    free(p->conditions);
    free(p->fields);
    free(p->members);
    free(p->branches);
    free(p);
}
