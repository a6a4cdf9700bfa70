/* topology_compile.c: from the document's rules to rulesets. */
#include "broker/core/topology_compile.h"

#include <stdlib.h>

#include "proto/json.h"

/* As EventBridge Pipes has it: what begins with $. is a place in the event. */
static bool group_compile(target_t *target, error_t *err)
{
    if (strncmp(target->group, "$.", 2) != 0)
        return true;
    target->group_path = path_compile(bytes_cstr(target->group), "MessageGroupId", err);
    target->group[0] = '\0';
    return target->group_path != NULL;
}

static bool rule_compile(const topology_doc_t *doc, const doc_rule_t *from, rule_t *out, error_t *err)
{
    buf_t pattern = {0};
    out->name = memory_text(from->name);
    out->bus = memory_text(from->bus);
    out->is_enabled = from->is_enabled;
    out->options = from->options;
    out->given = from->given;
    out->targets = memory_new(from->target_count + 1, sizeof *out->targets);
    bool ok = json_from_msgpack(from->pattern, JSON_COMPACT, &pattern, err);
    out->pattern = memory_text(buf_bytes(&pattern));
    buf_free(&pattern);
    for (; ok && out->target_count < from->target_count; out->target_count++) {
        const doc_target_t *target = &doc->targets[from->first_target + out->target_count];
        target_t *made = &out->targets[out->target_count];
        made->id = memory_text(target->id);
        made->group = memory_text(target->group);
        ok = (group_compile(made, err) && transform_compile(target->given, &made->transform, err)) ||
             error_prefix(err, "Topology, rule \"%s\", target \"%s\"", out->name, made->id);
    }
    return ok;
}

static ruleset_t *bus_compile(const topology_doc_t *doc, bytes_t bus, const rule_t *rules, error_t *err)
{
    ruleset_t *ruleset = ruleset_new();
    bool ok = ruleset || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the rules.");
    for (uint32_t i = 0; ok && i < doc->rule_count; i++) {
        if (!rules[i].is_enabled || !bytes_eq(doc->rules[i].bus, bus))
            continue;
        ok = ruleset_add_with(ruleset, i, bytes_cstr(rules[i].pattern), rules[i].options, err) ||
             error_prefix(err, "Topology, rule \"%s\"", rules[i].name);
    }
    if (ok && ruleset_compile(ruleset, err))
        return ruleset;
    ruleset_free(&ruleset);
    return NULL;
}

/* A disabled rule is not in the ruleset, but its pattern must hold all the same. */
static bool disabled_check(const rule_t *rule, error_t *err)
{
    if (rule->is_enabled)
        return true;
    pattern_t *pattern = pattern_compile_with(bytes_cstr(rule->pattern), rule->options, err);
    if (!pattern)
        return error_prefix(err, "Topology, rule \"%s\"", rule->name);
    pattern_free(&pattern);
    return true;
}

bool topology_compile(const topology_doc_t *doc, topology_compiled_t *out, error_t *err)
{
    bool ok = true;
    out->rules = memory_new(doc->rule_count + 1, sizeof *out->rules);
    out->rulesets = memory_new(doc->bus_count + 1, sizeof(ruleset_t *));
    for (uint32_t i = 0; ok && i < doc->rule_count; i++)
        ok = rule_compile(doc, &doc->rules[i], &out->rules[i], err) && disabled_check(&out->rules[i], err);
    for (uint32_t i = 0; ok && i < doc->bus_count; i++)
        ok = (out->rulesets[i] = bus_compile(doc, doc->buses[i].name, out->rules, err)) != NULL;
    if (!ok)
        topology_compiled_free(out, doc);
    return ok;
}

void topology_rules_free(rule_t *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t t = 0; t < rules[i].target_count; t++) {
            free(rules[i].targets[t].id);
            free(rules[i].targets[t].group);
            path_free(&rules[i].targets[t].group_path);
            transform_free(&rules[i].targets[t].transform);
        }
        free(rules[i].targets);
        free(rules[i].name);
        free(rules[i].bus);
        free(rules[i].pattern);
    }
    free(rules);
}

void topology_rulesets_free(topology_compiled_t *compiled, uint32_t bus_count)
{
    for (uint32_t i = 0; i < bus_count; i++)
        ruleset_free(&compiled->rulesets[i]);
    free(compiled->rulesets);
    compiled->rulesets = NULL;
}

void topology_compiled_free(topology_compiled_t *compiled, const topology_doc_t *doc)
{
    topology_rules_free(compiled->rules, doc->rule_count);
    topology_rulesets_free(compiled, doc->bus_count);
    compiled->rules = NULL;
}
