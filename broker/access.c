/* access.c: names to roles. */
#include "broker/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/log.h"

#define NOBODY "nobody"

struct access {
    roles_t *roles;
    roles_t *nobodies; /* one role without rights */
    const keyring_t *keyring;
};

bool access_read_file(const char *path, size_t max, buf_t *out, error_t *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(err, STATUS_NOT_FOUND, NULL, "%s cannot be read: %s.", path, strerror(errno));
    char block[8192];
    size_t got;
    while (out->len <= max && (got = fread(block, 1, sizeof block, file)) > 0)
        buf_append(out, block, got);
    bool ok = !ferror(file) && !out->failed;
    fclose(file);
    if (!ok)
        return error_set(err, STATUS_UNAVAILABLE, NULL, "%s cannot be read.", path);
    if (out->len > max)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is longer than %zu bytes.", path, max);
    return true;
}

static bool read_roles(access_t *a, const char *path, error_t *err)
{
    buf_t json = {0};
    bool ok = access_read_file(path, ACCESS_DOCUMENT_MAX_BYTES, &json, err);
    if (ok) {
        a->roles = roles_parse(buf_bytes(&json), err);
        a->nobodies = roles_parse(BYTES_LIT("{\"" NOBODY "\":{}}"), err);
        ok = (a->roles && a->nobodies) || error_prefix(err, "%s", path);
    }
    buf_free(&json);
    return ok;
}

access_t *access_open(const char *roles_path, const keyring_t *keyring, error_t *err)
{
    access_t *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for roles.");
        return NULL;
    }
    a->keyring = keyring;
    if (!read_roles(a, roles_path, err))
        access_close(&a);
    return a;
}

void access_close(access_t **access)
{
    access_t *a = *access;
    *access = NULL;
    if (!a)
        return;
    if (a->roles)
        roles_free(&a->roles);
    if (a->nobodies)
        roles_free(&a->nobodies);
    free(a);
}

const role_t *access_role(const access_t *access, const char *key, const char **name)
{
    *name = NULL;
    if (!key || !*key)
        return role_all(); /* only endpoints without keys have such connections */
    *name = access->keyring ? keyring_name_of_text(access->keyring, key) : NULL;
    if (!*name)
        return NULL;
    const role_t *role = roles_find(access->roles, bytes_cstr(*name));
    return role ? role : roles_find(access->nobodies, BYTES_LIT(NOBODY));
}
