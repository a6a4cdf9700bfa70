/* role.c: roles from JSON; patterns are literals, optionally with one star at the end. */
#include "broker/core/role.h"

#include <stdlib.h>

#include "proto/json.h"

#define ROLES_MAX_BYTES ((size_t)1 << 20)
#define ROLE_NAME_MAX_BYTES 256

struct role {
    char *name;
    char **patterns[ROLE_KINDS];
    uint32_t counts[ROLE_KINDS];
    bool is_admin, may_observe;
};

struct roles {
    role_t *items;
    uint32_t count;
};

static const char *const kind_names[ROLE_KINDS] = {
    [ROLE_PUBLISH] = "publish", [ROLE_SOURCES] = "sources", [ROLE_CONSUME] = "consume", [ROLE_SUBSCRIBE] = "subscribe",
    [ROLE_SEND] = "send",       [ROLE_CALL] = "call",       [ROLE_SERVE] = "serve",     [ROLE_PERMITS] = "permits",
};

/* -- reading ----------------------------------------------------------------------------------------- */
static bool refuse(error_t *err, bytes_t role, bytes_t member, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "Role \"%.*s\", \"%.*s\": %s", BYTES_FMT(role),
                     BYTES_FMT(member), what);
}

static bool pattern_check(bytes_t pattern)
{
    if (pattern.len == 0 || pattern.len > ROLE_NAME_MAX_BYTES)
        return false;
    const uint8_t *star = memchr(pattern.data, '*', pattern.len);
    return !memchr(pattern.data, 0, pattern.len) && (!star || star == pattern.data + pattern.len - 1);
}

static bool patterns_read(role_t *role, role_kind_t kind, bytes_t value, error_t *err)
{
    bytes_t name = bytes_cstr(role->name), member = bytes_cstr(kind_names[kind]);
    mp_reader_t r = mp_reader(value);
    uint32_t count;
    if (role->patterns[kind])
        return refuse(err, name, member, "it is there twice.");
    if (!mp_get_array(&r, &count) || count > ROLE_PATTERNS_MAX)
        return refuse(err, name, member, "must be a list of at most 256 patterns.");
    role->patterns[kind] = calloc(count + 1, sizeof(char *));
    if (!role->patterns[kind])
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
    for (uint32_t i = 0; i < count; i++) {
        bytes_t pattern;
        if (!mp_get_str(&r, &pattern) || !pattern_check(pattern))
            return refuse(err, name, member, "a pattern is a name of 1 to 256 bytes, with at most one * at its end.");
        role->patterns[kind][i] = bytes_dup(pattern);
        if (!role->patterns[kind][i])
            return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
        role->counts[kind]++;
    }
    return true;
}

static bool member_read(role_t *role, bytes_t key, bytes_t value, error_t *err)
{
    bytes_t name = bytes_cstr(role->name);
    mp_reader_t r = mp_reader(value);
    for (role_kind_t kind = 0; kind < ROLE_KINDS; kind++)
        if (bytes_eq_cstr(key, kind_names[kind]))
            return patterns_read(role, kind, value, err);
    if (bytes_eq_cstr(key, "admin"))
        return mp_get_bool(&r, &role->is_admin) || refuse(err, name, key, "must be true or false.");
    if (bytes_eq_cstr(key, "observe"))
        return mp_get_bool(&r, &role->may_observe) || refuse(err, name, key, "must be true or false.");
    return refuse(err, name, key, "there is no such member.");
}

static bool role_read(const roles_t *roles, role_t *role, bytes_t name, mp_reader_t *r, error_t *err)
{
    uint32_t members;
    if (name.len == 0 || name.len > ROLE_NAME_MAX_BYTES || roles_find(roles, name))
        return refuse(err, name, BYTES_LIT(""), "a role's name must be distinct and have 1 to 256 bytes.");
    role->name = bytes_dup(name);
    if (!role->name)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
    if (!mp_get_map(r, &members))
        return refuse(err, name, BYTES_LIT(""), "must be an object.");
    for (uint32_t i = 0; i < members; i++) {
        bytes_t key, value;
        if (!mp_get_str(r, &key) || !mp_get_raw(r, &value))
            return refuse(err, name, BYTES_LIT(""), "is malformed.");
        if (!member_read(role, key, value, err))
            return false;
    }
    return true;
}

static bool roles_read(roles_t *roles, bytes_t document, error_t *err)
{
    mp_reader_t r = mp_reader(document);
    uint32_t count;
    if (!mp_get_map(&r, &count) || count > ROLE_COUNT_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "Roles must be an object of at most %d roles.",
                         ROLE_COUNT_MAX);
    roles->items = calloc(count + 1, sizeof *roles->items);
    if (!roles->items)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
    for (uint32_t i = 0; i < count; i++) {
        bytes_t name;
        role_t *role = &roles->items[i];
        if (!mp_get_str(&r, &name))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "Roles: names must be texts.");
        bool ok = role_read(roles, role, name, &r, err);
        roles->count++;
        if (!ok)
            return false;
    }
    return true;
}

roles_t *roles_parse(bytes_t json, error_t *err)
{
    const json_limits_t limits = {.max_bytes = ROLES_MAX_BYTES};
    buf_t document = {0};
    roles_t *roles = calloc(1, sizeof *roles);
    if (!roles)
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
    else if (!json_to_msgpack(json, &limits, &document, err) || !roles_read(roles, buf_bytes(&document), err))
        roles_free(&roles);
    buf_free(&document);
    return roles;
}

void roles_free(roles_t **roles)
{
    roles_t *all = *roles;
    for (uint32_t i = 0; all && i < all->count; i++) {
        for (size_t kind = 0; kind < ROLE_KINDS; kind++) {
            for (uint32_t p = 0; p < all->items[i].counts[kind]; p++)
                free(all->items[i].patterns[kind][p]);
            free(all->items[i].patterns[kind]);
        }
        free(all->items[i].name);
    }
    if (all)
        free(all->items);
    free(all);
    *roles = NULL;
}

const role_t *roles_find(const roles_t *roles, bytes_t name)
{
    for (uint32_t i = 0; i < roles->count; i++)
        if (bytes_eq_cstr(name, roles->items[i].name))
            return &roles->items[i];
    return NULL;
}

/* -- asking ------------------------------------------------------------------------------------------ */
const role_t *role_all(void)
{
    static char every[] = "*";
    static char *patterns[] = {every};
    static const role_t all = {
        .name = every,
        .patterns = {patterns, patterns, patterns, patterns, patterns, patterns, patterns, patterns},
        .counts = {1, 1, 1, 1, 1, 1, 1, 1},
        .is_admin = true,
        .may_observe = true,
    };
    return &all;
}

static bool pattern_fits(const char *pattern, bytes_t name)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return bytes_has_prefix(name, bytes_from(pattern, len - 1));
    return bytes_eq(name, bytes_from(pattern, len));
}

bool role_allows(const role_t *role, role_kind_t kind, bytes_t name)
{
    for (uint32_t i = 0; i < role->counts[kind]; i++)
        if (pattern_fits(role->patterns[kind][i], name))
            return true;
    return false;
}

const char *role_name(const role_t *role)
{
    return role->name;
}

bool role_is_admin(const role_t *role)
{
    return role->is_admin;
}

bool role_may_observe(const role_t *role)
{
    return role->may_observe;
}
