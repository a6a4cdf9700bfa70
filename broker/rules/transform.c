/* transform.c: Input, InputPath or InputTransformer of a rule's target. */
#include "broker/rules/transform.h"

#include <stdlib.h>

#include "broker/rules/path.h"
#include "proto/json.h"
#include "proto/msgpack.h"

#define TRANSFORM_INPUT_MAX_BYTES 8192
#define VALIDATION "ValidationException"

struct transform { /* one of the three */
    buf_t input;   /* what every target gets, msgpack */
    path_t *path;
    template_t *template;
};

/* A text that holds JSON, as AWS takes it, or the JSON itself, as the document's other members are. */
static bool compile_input(transform_t *t, bytes_t value, error_t *err)
{
    bytes_t json;
    mp_reader_t r = mp_reader(value);
    bool is_text = mp_get_str(&r, &json);
    if (value.len > TRANSFORM_INPUT_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "Input is %zu bytes long, and %d are allowed.",
                         value.len, TRANSFORM_INPUT_MAX_BYTES);
    if (!is_text)
        buf_append_bytes(&t->input, value);
    else if (!json_to_msgpack(json, NULL, &t->input, err))
        return error_prefix(err, "Input is not valid");
    return !t->input.failed || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a target's input.");
}

typedef enum { INPUT, INPUT_PATH, INPUT_TRANSFORMER, WHICH_COUNT } which_t;

/* Which of the three the target has, WHICH_COUNT for none; `*value` is the text, or the transformer's map. */
static bool choose(bytes_t target, which_t *which, bytes_t *value, error_t *err)
{
    static const char *const names[] = {"Input", "InputPath", "InputTransformer"};
    *which = WHICH_COUNT;
    for (unsigned i = 0; i < WHICH_COUNT; i++) {
        bytes_t raw;
        if (!mp_map_find(target, names[i], &raw))
            continue;
        if (*which != WHICH_COUNT)
            return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                             "Only one of Input, InputPath, or InputTransformer must be provided for a target.");
        *which = (which_t)i;
        *value = raw;
        if (i == INPUT_PATH && !mp_map_str(target, names[i], value))
            return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "%s must be a string.", names[i]);
    }
    return true;
}

static bool compile(transform_t *t, bytes_t target, which_t which, bytes_t value, error_t *err)
{
    bytes_t id = BYTES_NONE;
    switch (which) {
    case INPUT:
        return compile_input(t, value, err);
    case INPUT_PATH:
        return (t->path = path_compile(value, "InputPath", err)) != NULL;
    case INPUT_TRANSFORMER:
        (void)!mp_map_str(target, "Id", &id);
        return (t->template = template_compile(value, id, err)) != NULL;
    case WHICH_COUNT:
        break;
    }
    return true;
}

bool transform_compile(bytes_t target, transform_t **out, error_t *err)
{
    which_t which;
    bytes_t value = BYTES_NONE;
    *out = NULL;
    if (!choose(target, &which, &value, err))
        return false;
    if (which == WHICH_COUNT)
        return true;
    transform_t *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling a target's input.");
    bool ok = compile(t, target, which, value, err);
    if (ok)
        *out = t;
    else
        transform_free(&t);
    return ok;
}

void transform_free(transform_t **transform)
{
    transform_t *t = *transform;
    *transform = NULL;
    if (!t)
        return;
    buf_free(&t->input);
    path_free(&t->path);
    template_free(&t->template);
    free(t);
}

bool transform_apply(const transform_t *transform, bytes_t event, const template_facts_t *facts, buf_t *out,
                     error_t *err)
{
    bytes_t value = buf_bytes(&transform->input), path;
    if (transform->template)
        return template_apply(transform->template, event, facts, out, err);
    if (transform->path && !path_follow(transform->path, event, &value)) {
        path = path_text(transform->path);
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "The event has nothing at InputPath \"%.*s\".",
                         BYTES_FMT(path));
    }
    buf_append_bytes(out, value);
    return !out->failed;
}
