/* ip.c: reads IP addresses. */
#include "broker/rules/ip.h"

#define V4_TEXT_MAX 15
#define V6_TEXT_MAX 45
#define GROUPS 8

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One number of at most three decimal digits; false when there is none up to 255. */
static bool octet(bytes_t text, size_t *at, uint8_t *out)
{
    unsigned value = 0;
    size_t begin = *at;
    for (; *at < text.len && *at - begin < 3 && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at)
        value = value * 10 + (text.data[*at] - (unsigned)'0');
    *out = (uint8_t)value;
    return *at > begin && value <= UINT8_MAX;
}

static bool parse_v4(bytes_t text, uint8_t out[4])
{
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (i > 0 && (at >= text.len || text.data[at++] != '.'))
            return false;
        if (!octet(text, &at, &out[i]))
            return false;
    }
    return at == text.len;
}

/* One group of at most four hexadecimal digits. */
static bool group(bytes_t text, size_t *at, uint8_t out[2])
{
    unsigned value = 0;
    size_t begin = *at;
    for (; *at < text.len && *at - begin < 4 && hex_value(text.data[*at]) >= 0; ++*at)
        value = value << 4 | (unsigned)hex_value(text.data[*at]);
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return *at > begin;
}

/* Groups from *at on until the end or "::"; a v4 address may stand for the last two. */
static bool groups(bytes_t text, size_t *at, uint8_t out[16], unsigned *count)
{
    *count = 0;
    while (*at < text.len) {
        bytes_t rest = bytes_from(text.data + *at, text.len - *at);
        if (*count + 2 <= GROUPS && memchr(rest.data, '.', rest.len) && parse_v4(rest, &out[2 * *count])) {
            *count += 2;
            *at = text.len;
            return true;
        }
        if (*count == GROUPS || !group(text, at, &out[2 * *count]))
            return false;
        ++*count;
        if (*at == text.len)
            return true;
        if (text.data[*at] != ':' || *at + 1 == text.len)
            return false;
        if (text.data[*at + 1] == ':')
            return true;
        ++*at;
    }
    return true;
}

static bool parse_v6(bytes_t text, uint8_t out[16])
{
    uint8_t tail[16] = {0};
    unsigned before = 0, behind = 0;
    size_t at = 0;
    bool begins_with_gap = text.len >= 2 && text.data[0] == ':' && text.data[1] == ':';
    if (!begins_with_gap && !groups(text, &at, out, &before))
        return false;
    if (at == text.len)
        return before == GROUPS;
    at += 2; /* the "::" */
    if (!groups(text, &at, tail, &behind) || at < text.len || before + behind >= GROUPS)
        return false;
    memcpy(out + 16 - 2 * behind, tail, (size_t)2 * behind);
    return true;
}

bool ip_parse(bytes_t text, ip_t *out)
{
    *out = (ip_t){.bits = IP_V4_BITS};
    if (text.len == 0 || text.len > V6_TEXT_MAX)
        return false;
    if (text.len <= V4_TEXT_MAX && parse_v4(text, out->bytes))
        return true;
    *out = (ip_t){.bits = IP_V6_BITS};
    return memchr(text.data, ':', text.len) && parse_v6(text, out->bytes);
}

void ip_mask(ip_t *ip, unsigned prefix_bits)
{
    ip_set_words(ip, ip_words_masked(ip_words(ip), prefix_bits));
}

bool ip_eq(const ip_t *a, const ip_t *b)
{
    return a->bits == b->bits && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
