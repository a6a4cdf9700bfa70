/* contexts.c: the file of contexts, read and replaced. */
#include "tools/mangactl/contexts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/json.h"
#include "proto/msgpack.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define NAME_MARKS "-_."

/* -- where --------------------------------------------------------------------------------------------- */
static bool path_find(char out[CONTEXT_TEXT_BYTES], error_t *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int len = -1;
    if (config && config[0] == '/') /* a relative one is to be ignored (XDG base directory specification) */
        len = snprintf(out, CONTEXT_TEXT_BYTES, "%s/mangabus/contexts.json", config);
    else if (home && home[0] == '/')
        len = snprintf(out, CONTEXT_TEXT_BYTES, "%s/.config/mangabus/contexts.json", home);
    if (len < 0)
        out[0] = '\0';
    return len < CONTEXT_TEXT_BYTES ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path of the contexts is too long");
}

/* -- reading ------------------------------------------------------------------------------------------- */
static bool text_read(FILE *file, const char *path, buf_t *out, error_t *err)
{
    size_t got = 1;
    while (got > 0 && out->len <= FILE_MAX_BYTES && buf_reserve(out, 4096)) {
        got = fread(out->data + out->len, 1, 4096, file);
        out->len += got;
    }
    return (!ferror(file) && out->len <= FILE_MAX_BYTES) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot read %s", path);
}

static bool name_is_good(bytes_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = (char)name.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !memchr(NAME_MARKS, c, strlen(NAME_MARKS)))
            return false;
    }
    return name.len > 0 && name.len < CONTEXT_NAME_BYTES && name.data[0] != '-';
}

static bool entry_read(bytes_t name, bytes_t map, context_t *out)
{
    bytes_t endpoint, keys = BYTES_NONE;
    *out = (context_t){0};
    (void)!mp_map_str(map, "keys", &keys);
    return name_is_good(name) && mp_map_str(map, "endpoint", &endpoint) && endpoint.len &&
           bytes_to_cstr(name, out->name, sizeof out->name) &&
           bytes_to_cstr(endpoint, out->endpoint, sizeof out->endpoint) &&
           bytes_to_cstr(keys, out->keys, sizeof out->keys);
}

static bool document_read(contexts_t *out, bytes_t document, error_t *err)
{
    bytes_t map, name, entry, current = BYTES_NONE;
    uint32_t count = 0;
    context_t context;
    (void)!mp_map_str(document, "current", &current);
    mp_reader_t r = mp_reader(mp_map_find(document, "contexts", &map) ? map : BYTES_NONE);
    bool ok = mp_left(&r) && mp_get_map(&r, &count) && bytes_to_cstr(current, out->current, sizeof out->current);
    for (uint32_t i = 0; ok && i < count; i++)
        ok = mp_get_str(&r, &name) && mp_get_raw(&r, &entry) && entry_read(name, entry, &context) &&
             contexts_put(out, &context, err);
    return ok ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is no file of contexts (entry %u)", out->path, count);
}

bool contexts_read(contexts_t *out, error_t *err)
{
    buf_t text = {0}, document = {0};
    *out = (contexts_t){0};
    if (!path_find(out->path, err))
        return false;
    FILE *file = out->path[0] ? fopen(out->path, "re") : NULL;
    if (!file)
        return !out->path[0] || errno == ENOENT || errno == ENOTDIR ||
               error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot open %s: %s", out->path, strerror(errno));
    bool ok = text_read(file, out->path, &text, err) &&
              (json_to_msgpack(buf_bytes(&text), NULL, &document, err) || error_prefix(err, "%s", out->path)) &&
              document_read(out, buf_bytes(&document), err);
    (void)fclose(file);
    buf_free(&text);
    buf_free(&document);
    return ok;
}

/* -- changing ------------------------------------------------------------------------------------------ */
context_t *contexts_find(const contexts_t *contexts, const char *name)
{
    for (size_t i = 0; i < contexts->count; i++)
        if (strcmp(contexts->items[i].name, name) == 0)
            return &contexts->items[i];
    return NULL;
}

bool contexts_put(contexts_t *contexts, const context_t *context, error_t *err)
{
    context_t *known = contexts_find(contexts, context->name);
    if (!name_is_good(bytes_cstr(context->name)))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "a context's name is of letters, digits and \"-_.\", at most %d", CONTEXT_NAME_BYTES - 1);
    if (known) {
        *known = *context;
        return true;
    }
    if (contexts->count == CONTEXTS_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "there are %d contexts already", CONTEXTS_MAX);
    context_t *items = realloc(contexts->items, (contexts->count + 1) * sizeof *items);
    if (!items)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    contexts->items = items;
    contexts->items[contexts->count++] = *context;
    return true;
}

void contexts_drop(contexts_t *contexts, context_t *context)
{
    size_t at = (size_t)(context - contexts->items);
    if (strcmp(contexts->current, context->name) == 0)
        contexts->current[0] = '\0';
    contexts->count--;
    memmove(context, context + 1, (contexts->count - at) * sizeof *context);
}

/* -- writing ------------------------------------------------------------------------------------------- */
static void document_put(const contexts_t *contexts, buf_t *out)
{
    mp_put_map(out, 2);
    mp_put_cstr(out, "current");
    mp_put_cstr(out, contexts->current);
    mp_put_cstr(out, "contexts");
    mp_put_map(out, (uint32_t)contexts->count);
    for (size_t i = 0; i < contexts->count; i++) {
        mp_put_cstr(out, contexts->items[i].name);
        mp_put_map(out, 2);
        mp_put_cstr(out, "endpoint");
        mp_put_cstr(out, contexts->items[i].endpoint);
        mp_put_cstr(out, "keys");
        mp_put_cstr(out, contexts->items[i].keys);
    }
}

static void folders_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* what is wrong shows when the file is made */
        *slash = '/';
    }
}

static bool file_replace(const char *path, bytes_t text, error_t *err)
{
    char begun[CONTEXT_TEXT_BYTES + 8];
    (void)snprintf(begun, sizeof begun, "%s.new", path);
    int fd = open(begun, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    ok = (fd < 0 || close(fd) == 0) && ok && rename(begun, path) == 0;
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot write %s: %s", path, strerror(errno));
}

bool contexts_write(const contexts_t *contexts, error_t *err)
{
    char path[CONTEXT_TEXT_BYTES];
    buf_t document = {0}, text = {0};
    if (!contexts->path[0])
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "neither XDG_CONFIG_HOME nor HOME says where contexts are kept");
    (void)snprintf(path, sizeof path, "%s", contexts->path);
    folders_make(path);
    document_put(contexts, &document);
    bool ok = json_from_msgpack(buf_bytes(&document), JSON_PRETTY, &text, err);
    buf_append_byte(&text, '\n');
    ok = ok && file_replace(path, buf_bytes(&text), err);
    buf_free(&document);
    buf_free(&text);
    return ok;
}

void contexts_free(contexts_t *contexts)
{
    free(contexts->items);
    *contexts = (contexts_t){0};
}
