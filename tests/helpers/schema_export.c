/* schema_export.c: writes the JSON Schema of every event, call and queue message into a folder.
 *
 *     build/tests/helpers/schema_export proto/schema     after a change of proto/contract
 *     build/tests/helpers/schema_export --samples DIR    valid documents instead, NAME.N.json, for other validators */
#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tests/lib/schema_random.h"

#define SAMPLES 5 /* of each */
#define PATH_BYTES 4096

typedef struct {
    const char *folder;
    bool samples;
    random_t random;
    int failures;
} export_t;

static void write_file(export_t *x, const char *name, bytes_t text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s.json", x->folder, name);
    FILE *file = fopen(path, "w");
    bool good = file && fwrite(text.data, 1, text.len, file) == text.len;
    if (file && fclose(file) != 0)
        good = false;
    if (good)
        return;
    perror(path);
    x->failures++;
}

static void write_schema(export_t *x, const char *name, const schema_t *schema)
{
    buf_t text = {0};
    schema_write_json(schema, name, &text);
    write_file(x, name, buf_bytes(&text));
    buf_free(&text);
}

static void write_sample(export_t *x, const char *name, const schema_t *schema, int number)
{
    arena_t arena;
    arena_init(&arena, 0);
    buf_t packed = {0};
    buf_t text = {0};
    error_t err = {0};
    const void *value = schema_random(&x->random, schema, number == 0, &arena);
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s.%d", name, number);
    if (schema_pack(schema, &packed, value, &err) && json_from_msgpack(buf_bytes(&packed), JSON_PRETTY, &text, &err)) {
        write_file(x, file, buf_bytes(&text));
    } else {
        fprintf(stderr, "%s: %s\n", file, err.message);
        x->failures++;
    }
    buf_free(&text);
    buf_free(&packed);
    arena_free(&arena);
}

static void each(void *ctx, const char *name, const schema_t *schema)
{
    export_t *x = ctx;
    if (!x->samples) {
        write_schema(x, name, schema);
        return;
    }
    for (int i = 0; i < SAMPLES; i++)
        write_sample(x, name, schema, i);
}

int main(int argc, char **argv)
{
    export_t x = {.samples = argc == 3 && strcmp(argv[1], "--samples") == 0, .random = {1}};
    if (argc != 2 + x.samples) {
        fprintf(stderr, "usage: %s [--samples] FOLDER\n", argv[0]);
        return 64;
    }
    x.folder = argv[argc - 1];
    schema_each(each, &x);
    return x.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
