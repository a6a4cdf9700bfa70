/* uuid.c: the bit layout of RFC 9562, and its text. */
#include "proto/uuid.h"

#define VERSION_7 0x70
#define VARIANT_RFC 0x80

uuid16_t uuid_v7(uint64_t unix_ms, const uint8_t random[UUID_RANDOM_BYTES])
{
    uuid16_t id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(unix_ms >> (8 * (5 - i)));
    memcpy(id.bytes + 6, random, UUID_RANDOM_BYTES);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | VERSION_7);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | VARIANT_RFC);
    return id;
}

static bool is_hyphen_place(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

void uuid_format(uuid16_t id, char out[UUID_TEXT_BYTES])
{
    static const char HEX[] = "0123456789abcdef";
    size_t nibble = 0;
    for (size_t i = 0; i < UUID_TEXT_BYTES - 1; i++) {
        if (is_hyphen_place(i)) {
            out[i] = '-';
            continue;
        }
        uint8_t byte = id.bytes[nibble / 2];
        out[i] = HEX[nibble % 2 ? byte & 0x0f : byte >> 4];
        nibble++;
    }
    out[UUID_TEXT_BYTES - 1] = 0;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool uuid_parse(bytes_t text, uuid16_t *out)
{
    if (text.len != UUID_TEXT_BYTES - 1)
        return false;
    uuid16_t id = {{0}};
    size_t nibble = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_hyphen_place(i)) {
            if (text.data[i] != '-')
                return false;
            continue;
        }
        int value = hex_value(text.data[i]);
        if (value < 0)
            return false;
        id.bytes[nibble / 2] = (uint8_t)(id.bytes[nibble / 2] << 4 | value);
        nibble++;
    }
    if (out)
        *out = id;
    return true;
}

bool uuid_time_ms(uuid16_t id, uint64_t *unix_ms)
{
    if ((id.bytes[6] & 0xf0) != VERSION_7)
        return false;
    *unix_ms = 0;
    for (int i = 0; i < 6; i++)
        *unix_ms = *unix_ms << 8 | id.bytes[i];
    return true;
}
