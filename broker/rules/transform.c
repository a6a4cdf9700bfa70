/* transform.c: Input and InputPath of a rule's target; InputTransformer is refused by name. */
#include "broker/rules/transform.h"

#include <stdlib.h>

#include "proto/json.h"
#include "proto/msgpack.h"

#define TRANSFORM_INPUT_MAX_BYTES 8192
#define TRANSFORM_PATH_MAX_BYTES 256 /* TargetInputPath in the service model */
#define TRANSFORM_STEPS_MAX (TRANSFORM_PATH_MAX_BYTES / 2)
#define VALIDATION "ValidationException"

typedef struct {
    bytes_t key;    /* of a map, in `text`; NULL data for an array's element */
    uint32_t index; /* of an array */
} step_t;

struct transform {
    buf_t input; /* what every target gets, msgpack; empty when it is a path */
    char text[TRANSFORM_PATH_MAX_BYTES];
    step_t steps[TRANSFORM_STEPS_MAX];
    size_t step_count;
};

/* -- InputPath ----------------------------------------------------------------------------------- */
static size_t key_length(bytes_t path)
{
    size_t len = 0;
    while (len < path.len && path.data[len] != '.' && path.data[len] != '[')
        len++;
    return len;
}

static bool take(bytes_t *path, size_t len)
{
    *path = bytes_from(path->data + len, path->len - len);
    return len > 0;
}

static bool parse_key(bytes_t *path, step_t *step)
{
    take(path, 1);
    size_t len = key_length(*path);
    *step = (step_t){.key = bytes_from(path->data, len)};
    return take(path, len);
}

static bool parse_index(bytes_t *path, step_t *step)
{
    take(path, 1);
    size_t digits = 0;
    *step = (step_t){.key = BYTES_NONE};
    for (; digits < path->len && digits < 9 && path->data[digits] >= '0' && path->data[digits] <= '9'; digits++)
        step->index = step->index * 10 + (uint32_t)(path->data[digits] - '0');
    bool ok = digits > 0 && digits < path->len && path->data[digits] == ']';
    return ok && take(path, digits + 1);
}

static bool parse_path(transform_t *t, bytes_t path, error_t *err)
{
    bytes_t rest = path;
    bool ok = path.len > 0 && path.data[0] == '$' && take(&rest, 1);
    while (ok && rest.len > 0 && t->step_count < TRANSFORM_STEPS_MAX) {
        step_t *step = &t->steps[t->step_count++];
        ok = rest.data[0] == '.' ? parse_key(&rest, step) : rest.data[0] == '[' && parse_index(&rest, step);
    }
    if (ok && rest.len == 0)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                     "InputPath \"%.*s\" is not valid: use $, .name and [number] (at offset %zu).", BYTES_FMT(path),
                     path.len - rest.len);
}

static bool compile_path(transform_t *t, bytes_t path, error_t *err)
{
    if (path.len > TRANSFORM_PATH_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "InputPath is %zu bytes long, and %d are allowed.",
                         path.len, TRANSFORM_PATH_MAX_BYTES);
    if (path.len > 0)
        memcpy(t->text, path.data, path.len);
    return parse_path(t, bytes_from(t->text, path.len), err);
}

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
    char name[TRANSFORM_PATH_MAX_BYTES + 1];
    return bytes_to_cstr(key, name, sizeof name) && mp_map_find(map, name, out);
}

static bool follow(const transform_t *t, bytes_t event, bytes_t *out)
{
    *out = event;
    for (size_t i = 0; i < t->step_count; i++) {
        const step_t *step = &t->steps[i];
        bytes_t from = *out;
        if (!(step->key.data ? member_of(from, step->key, out) : element_of(from, step->index, out)))
            return false;
    }
    return true;
}

/* -- Input --------------------------------------------------------------------------------------- */
static bool compile_input(transform_t *t, bytes_t json, error_t *err)
{
    if (json.len > TRANSFORM_INPUT_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "Input is %zu bytes long, and %d are allowed.",
                         json.len, TRANSFORM_INPUT_MAX_BYTES);
    if (json_to_msgpack(json, NULL, &t->input, err))
        return true;
    return error_prefix(err, "Input is not valid");
}

/* -- both ---------------------------------------------------------------------------------------- */
/* How many of the three the target has; `*value` is the one. False when it is no text (or no transformer). */
static bool choose(bytes_t target, const char **which, bytes_t *value, error_t *err)
{
    static const char *const names[] = {"Input", "InputPath", "InputTransformer"};
    *which = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bytes_t raw;
        if (!mp_map_find(target, names[i], &raw))
            continue;
        if (*which)
            return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                             "Only one of Input, InputPath, or InputTransformer must be provided for a target.");
        *which = names[i];
        if (i < 2 && !mp_map_str(target, names[i], value))
            return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "%s must be a string.", names[i]);
    }
    return true;
}

bool transform_compile(bytes_t target, transform_t **out, error_t *err)
{
    const char *which;
    bytes_t value = BYTES_NONE;
    *out = NULL;
    if (!choose(target, &which, &value, err))
        return false;
    if (!which)
        return true;
    if (strcmp(which, "InputTransformer") == 0)
        return error_set(err, STATUS_UNIMPLEMENTED, VALIDATION, "InputTransformer: this broker cannot apply it yet.");
    transform_t *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling %s.", which);
    bool ok = strcmp(which, "Input") == 0 ? compile_input(t, value, err) : compile_path(t, value, err);
    if (ok)
        *out = t;
    else
        transform_free(&t);
    return ok;
}

void transform_free(transform_t **transform)
{
    if (*transform)
        buf_free(&(*transform)->input);
    free(*transform);
    *transform = NULL;
}

/* ingest_us and rule_name are for the variables of InputTransformer. */
bool transform_apply(const transform_t *transform, bytes_t event, int64_t ingest_us UNUSED, bytes_t rule_name UNUSED,
                     buf_t *out, error_t *err)
{
    bytes_t value = buf_bytes(&transform->input);
    if (value.len == 0 && !follow(transform, event, &value))
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "The event has nothing at InputPath \"%.*s\".",
                         (int)sizeof transform->text, transform->text);
    buf_append_bytes(out, value);
    return !out->failed;
}
