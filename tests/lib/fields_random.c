/* fields_random.c: random structs by table. */
#include "tests/lib/fields_random.h"

static const char *const strings[] = {
    "",
    "a",
    "manga-assist-orders",
    "ワンピース",
    "erp.stock.get",
    "\xF0\x9F\x93\x9A",
    "exactly-thirty-one-bytes-long-st",
    "longer than thirty-one bytes, so that its length takes a byte of its own on the wire",
};

static const char body_pool[] =
    "\x83\xA2id\x01\xC1\x00\xFF 0123456789abcdefghijklmnopqrstuvwxyz 0123456789abcdefghijklmn"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ\x00\x01\x02 the end of the pool of bodies \xE3\x83\x9E";

#define MAP(literal)                                                                                                   \
    {                                                                                                                  \
        (const uint8_t *)(literal), sizeof(literal) - 1                                                                \
    }
static const bytes_t maps[] = {
    {NULL, 0},
    MAP("\x80"),
    MAP("\x81\xA1k\xA1v"),
    MAP("\x82\xA1n\xCD\x12\x34\xA4list\x93\x01\xC0\xC3"),
    MAP("\xDE\x00\x01\xA3"
        "sub\x81\xA1x\x80"),
};

static uint64_t random_integer(random_t *random)
{
    static const uint64_t borders[] = {
        0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX, UINT64_MAX};
    if (random_below(random, 2))
        return borders[random_below(random, ARRAY_LEN(borders))];
    return random_u64(random) >> random_below(random, 64);
}

static int64_t random_signed(random_t *random)
{
    int64_t v = (int64_t)(random_integer(random) & INT64_MAX);
    return random_below(random, 2) ? v : -v - 1;
}

static bytes_t random_bytes(random_t *random)
{
    size_t at = random_below(random, sizeof body_pool);
    return bytes_from(body_pool + at, random_below(random, sizeof body_pool - at));
}

static void randomize_scalar(random_t *random, field_type_t type, void *member)
{
    switch (type) {
    case FIELD_U64:
        *(uint64_t *)member = random_integer(random);
        break;
    case FIELD_I64:
        *(int64_t *)member = random_signed(random);
        break;
    case FIELD_BOOL:
        *(bool *)member = random_below(random, 2);
        break;
    case FIELD_STR:
        *(bytes_t *)member = bytes_cstr(strings[random_below(random, ARRAY_LEN(strings))]);
        break;
    case FIELD_MAP:
        *(bytes_t *)member = maps[random_below(random, ARRAY_LEN(maps))];
        break;
    case FIELD_BIN:
    case FIELD_BODY:
        *(bytes_t *)member = random_bytes(random);
        break;
    case FIELD_LIST:
        break;
    }
}

void fields_randomize(random_t *random, const fields_layout_t *layout, uint32_t list_max, void *values)
{
    for (size_t i = 0; i < layout->field_count; i++) {
        const field_t *field = &layout->fields[i];
        uint8_t *at = (uint8_t *)values + field->offset;
        if (field->type != FIELD_LIST) {
            randomize_scalar(random, field->type, at);
            continue;
        }
        uint32_t count = random_below(random, 16) ? (uint32_t)random_below(random, 6) : list_max;
        count = count < list_max ? count : list_max;
        memcpy(at, &count, sizeof count);
        uint8_t *items = (uint8_t *)values + field->items_offset;
        for (uint32_t k = 0; k < count; k++)
            fields_randomize(random, field->entry(), 0, items + k * field->entry()->struct_bytes);
    }
}

static bool lists_equal(const field_t *field, const uint8_t *a, const uint8_t *b)
{
    uint32_t count, other;
    memcpy(&count, a + field->offset, sizeof count);
    memcpy(&other, b + field->offset, sizeof other);
    size_t stride = field->entry()->struct_bytes;
    for (uint32_t k = 0; k < count && count == other; k++)
        if (!fields_equal(field->entry(), a + field->items_offset + k * stride, b + field->items_offset + k * stride))
            return false;
    return count == other;
}

static bool scalars_equal(field_type_t type, const void *a, const void *b)
{
    switch (type) {
    case FIELD_U64:
    case FIELD_I64:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case FIELD_BOOL:
        return *(const bool *)a == *(const bool *)b;
    default:
        return bytes_eq(*(const bytes_t *)a, *(const bytes_t *)b);
    }
}

bool fields_equal(const fields_layout_t *layout, const void *a, const void *b)
{
    for (size_t i = 0; i < layout->field_count; i++) {
        const field_t *field = &layout->fields[i];
        const uint8_t *x = a, *y = b;
        if (field->type == FIELD_LIST ? !lists_equal(field, x, y)
                                      : !scalars_equal(field->type, x + field->offset, y + field->offset))
            return false;
    }
    return true;
}
