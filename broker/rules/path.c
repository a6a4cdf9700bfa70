/* path.c: reads and follows paths into events. */
#include "broker/rules/path.h"

#include <stdlib.h>

#include "proto/msgpack.h"

typedef struct {
    uint16_t at, len; /* of a key, in the text; len 0: an array's element */
    uint32_t index;
} step_t;

struct path {
    char *text;
    size_t len;
    size_t step_count;
    step_t steps[]; /* no more than half as many as bytes */
};

static size_t key_length(const path_t *p, size_t at)
{
    size_t len = 0;
    while (at + len < p->len && p->text[at + len] != '.' && p->text[at + len] != '[')
        len++;
    return len;
}

static bool parse_key(path_t *p, size_t *at)
{
    size_t len = key_length(p, *at + 1);
    p->steps[p->step_count++] = (step_t){.at = (uint16_t)(*at + 1), .len = (uint16_t)len};
    *at += 1 + len;
    return len > 0;
}

static bool parse_index(path_t *p, size_t *at)
{
    step_t step = {0};
    size_t begin = ++*at;
    for (; *at < p->len && *at - begin < 9 && p->text[*at] >= '0' && p->text[*at] <= '9'; ++*at)
        step.index = step.index * 10 + (uint32_t)(p->text[*at] - '0');
    bool ok = *at > begin && *at < p->len && p->text[*at] == ']';
    p->steps[p->step_count++] = step;
    *at += ok;
    return ok;
}

static bool parse(path_t *p, const char *what, error_t *err)
{
    size_t at = 1;
    bool ok = p->len > 0 && p->text[0] == '$';
    while (ok && at < p->len)
        ok = p->text[at] == '.' ? parse_key(p, &at) : p->text[at] == '[' && parse_index(p, &at);
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                           "%s \"%s\" is not valid: use $, .name and [number] (at offset %zu).", what, p->text,
                           p->len ? at : 0);
}

path_t *path_compile(bytes_t text, const char *what, error_t *err)
{
    if (text.len > PATH_MAX_BYTES) {
        error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "%s is %zu bytes long, and %d are allowed.",
                  what, text.len, PATH_MAX_BYTES);
        return NULL;
    }
    path_t *p = calloc(1, sizeof *p + (text.len / 2 + 1) * sizeof(step_t));
    if (p)
        *p = (path_t){.text = bytes_dup(text), .len = text.len};
    if (!p || !p->text)
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling %s.", what);
    if (!p || !p->text || !parse(p, what, err))
        path_free(&p);
    return p;
}

void path_free(path_t **path)
{
    if (*path)
        free((*path)->text);
    free(*path);
    *path = NULL;
}

bytes_t path_text(const path_t *path)
{
    return bytes_from(path->text, path->len);
}

/* -- following ------------------------------------------------------------------------------------- */
static bool element_of(bytes_t array, uint32_t index, bytes_t *out)
{
    mp_reader_t r = mp_reader(array);
    uint32_t count;
    if (!mp_get_array(&r, &count) || index >= count)
        return false;
    for (uint32_t i = 0; i < index; i++)
        if (!mp_skip(&r))
            return false;
    return mp_get_raw(&r, out);
}

static bool member_of(bytes_t map, bytes_t key, bytes_t *out)
{
    char name[PATH_MAX_BYTES + 1];
    return bytes_to_cstr(key, name, sizeof name) && mp_map_find(map, name, out);
}

bool path_follow(const path_t *path, bytes_t event, bytes_t *out)
{
    *out = event;
    for (size_t i = 0; i < path->step_count; i++) {
        const step_t *step = &path->steps[i];
        bytes_t from = *out;
        if (!(step->len ? member_of(from, bytes_from(path->text + step->at, step->len), out)
                        : element_of(from, step->index, out)))
            return false;
    }
    return true;
}
