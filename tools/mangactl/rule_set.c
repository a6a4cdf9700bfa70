/* rule_set.c: reads rules and compiles their patterns. */
#include "tools/mangactl/rule_set.h"

#include <stdlib.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "tools/mangactl/cmd_rule.h"

/* What AWS has not is judged when a document is applied; here it is only looked at. */
static const pattern_options_t everything = {.all_of = true};

static bool broken(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s", what);
}

static bool compile(rule_row_t *row, bytes_t json, error_t *err)
{
    row->pattern = pattern_compile_with(json, everything, err);
    return row->pattern || error_prefix(err, "rule %.*s", BYTES_FMT(row->name));
}

static bool of_document(bytes_t rule, rule_row_t *out, error_t *err)
{
    bytes_t pattern;
    buf_t json = {0};
    *out = (rule_row_t){.state = BYTES_LIT("ENABLED"), .bus = BYTES_LIT("default"), .target_key = "Arn"};
    (void)!mp_map_str(rule, "State", &out->state);
    (void)!mp_map_str(rule, "EventBusName", &out->bus);
    (void)!mp_map_find(rule, "Targets", &out->targets);
    if (!mp_map_str(rule, "Name", &out->name) || !mp_map_find(rule, "EventPattern", &pattern))
        return broken(err, "a rule needs Name and EventPattern");
    bool ok = json_from_msgpack(pattern, JSON_COMPACT, &json, err) && compile(out, buf_bytes(&json), err);
    buf_free(&json);
    return ok;
}

static bool of_list(bytes_t rule, rule_row_t *out, error_t *err)
{
    bytes_t json;
    *out = (rule_row_t){.target_key = "queue"};
    (void)!mp_map_find(rule, "targets", &out->targets);
    if (!mp_map_str(rule, "name", &out->name) || !mp_map_str(rule, "bus", &out->bus) ||
        !mp_map_str(rule, "state", &out->state) || !mp_map_str(rule, "pattern", &json))
        return broken(err, "the broker's list of rules is not as expected");
    return compile(out, json, err);
}

static bool read_rows(bytes_t list, bool (*read)(bytes_t, rule_row_t *, error_t *), rule_set_t *out, error_t *err)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count;
    bytes_t rule;
    if (!mp_get_array(&r, &count))
        return broken(err, "the rules are no list");
    out->rules = calloc(count ? count : 1, sizeof *out->rules);
    if (!out->rules)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    for (; out->count < count; out->count++)
        if (!mp_get_raw(&r, &rule) || !read(rule, &out->rules[out->count], err))
            return false;
    return true;
}

bool rule_set_of_document(const char *given, rule_set_t *out, error_t *err)
{
    bytes_t rules;
    *out = (rule_set_t){0};
    bool ok = rule_read_event(given, &out->document, err) &&
              (mp_map_find(buf_bytes(&out->document), "Rules", &rules) || broken(err, "the document has no Rules")) &&
              read_rows(rules, of_document, out, err);
    if (!ok)
        rule_set_free(out);
    return ok;
}

bool rule_set_of_list(bytes_t list, rule_set_t *out, error_t *err)
{
    *out = (rule_set_t){0};
    buf_append_bytes(&out->document, list);
    bool ok = read_rows(buf_bytes(&out->document), of_list, out, err);
    if (!ok)
        rule_set_free(out);
    return ok;
}

void rule_set_free(rule_set_t *set)
{
    for (size_t i = 0; i < set->count; i++)
        pattern_free(&set->rules[i].pattern);
    free(set->rules);
    buf_free(&set->document);
    *set = (rule_set_t){0};
}

static bool leads_to(const rule_row_t *rule, bytes_t queue)
{
    mp_reader_t r = mp_reader(rule->targets);
    uint32_t count = 0;
    bytes_t target, name;
    (void)!mp_get_array(&r, &count);
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &target); i++)
        if (mp_map_str(target, rule->target_key, &name) && bytes_eq(name, queue))
            return true;
    return false;
}

bool rule_targets_within(const rule_row_t *a, const rule_row_t *b)
{
    mp_reader_t r = mp_reader(a->targets);
    uint32_t count = 0;
    bytes_t target, name;
    (void)!mp_get_array(&r, &count);
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &target); i++)
        if (!mp_map_str(target, a->target_key, &name) || !leads_to(b, name))
            return false;
    return true;
}
