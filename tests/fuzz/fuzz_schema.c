/* fuzz_schema.c: any bytes as any event, call or message; what is taken can be packed, and says the same again.
 *
 * The first byte chooses the schema. */
#include <stdlib.h>

#include "proto/isbn.h"
#include "proto/timefmt.h"
#include "tests/lib/schema_random.h"

#define ARENA_BYTES ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void round_trip(const schema_t *schema, const void *value, arena_t *arena)
{
    error_t err = {0};
    buf_t first = {0}, second = {0};
    void *again = arena_alloc(arena, schema->struct_bytes);
    check(again && schema_pack(schema, &first, value, &err));
    check(schema_unpack(schema, buf_bytes(&first), arena, again, &err));
    check(schema_pack(schema, &second, again, &err));
    check(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
    buf_free(&first);
    buf_free(&second);
}

static void as_schema(const schema_t *schema, bytes_t input)
{
    arena_t arena;
    arena_init(&arena, ARENA_BYTES);
    error_t err = {0};
    void *value = arena_alloc(&arena, schema->struct_bytes);
    bool good = schema_unpack(schema, input, &arena, value, &err);
    check(good == schema_validate(schema, input, NULL));
    if (good)
        round_trip(schema, value, &arena);
    else
        check(err.code == STATUS_INVALID_ARGUMENT && err.message[0]);
    arena_free(&arena);
}

typedef struct {
    unsigned left;
    const schema_t *schema;
} choice_t;

static void choose(void *ctx, const char *name, const schema_t *schema)
{
    (void)name;
    choice_t *c = ctx;
    if (c->left-- == 0)
        c->schema = schema;
}

static void as_text(bytes_t input)
{
    char out[ISBN13_TEXT_BYTES];
    size_t at, len;
    int64_t us;
    check(!isbn_normalize(input, out) || isbn13_is_valid(bytes_cstr(out)));
    check(!isbn_find(input, out, &at, &len) || (at + len <= input.len && isbn13_is_valid(bytes_cstr(out))));
    (void)timefmt_parse(input, &us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    choice_t c = {.left = data[0]};
    schema_each(choose, &c);
    bytes_t input = bytes_from(data + 1, size - 1);
    if (c.schema)
        as_schema(c.schema, input);
    as_text(input);
    return 0;
}
