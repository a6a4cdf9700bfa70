/* md5.c: MD5, block by block. */
#include "proto/md5.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES 64u

/* floor(2^32 * |sin(i + 1)|), RFC 1321 §3.4 */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t word_at(const uint8_t *block, unsigned i)
{
    const uint8_t *p = block + (size_t)i * 4;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t mixed(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (d & b) | (~d & c);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

static void md5_block(md5_t *md5, const uint8_t *block)
{
    static const uint8_t factor[4] = {1, 5, 3, 7}, offset[4] = {0, 1, 5, 0};
    uint32_t a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];
    for (unsigned i = 0; i < 64; i++) {
        unsigned round = i / 16;
        uint32_t word = word_at(block, (i * factor[round] + offset[round]) % 16);
        uint32_t next = b + rotate(a + mixed(round, b, c, d) + sines[i] + word, turns[round][i % 4]);
        a = d;
        d = c;
        c = b;
        b = next;
    }
    md5->state[0] += a;
    md5->state[1] += b;
    md5->state[2] += c;
    md5->state[3] += d;
}

void md5_begin(md5_t *md5)
{
    *md5 = (md5_t){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_add(md5_t *md5, const void *data, size_t len)
{
    const uint8_t *from = data;
    size_t have = md5->length % BLOCK_BYTES;
    md5->length += len;
    if (have && have + len >= BLOCK_BYTES) {
        memcpy(md5->block + have, from, BLOCK_BYTES - have);
        md5_block(md5, md5->block);
        from += BLOCK_BYTES - have;
        len -= BLOCK_BYTES - have;
        have = 0;
    }
    for (; !have && len >= BLOCK_BYTES; from += BLOCK_BYTES, len -= BLOCK_BYTES)
        md5_block(md5, from);
    if (len)
        memcpy(md5->block + have, from, len);
}

void md5_end_hex(md5_t *md5, char out[MD5_HEX_BYTES])
{
    static const uint8_t padding[BLOCK_BYTES] = {0x80};
    uint64_t bits = md5->length * 8;
    uint8_t tail[8];
    size_t have = md5->length % BLOCK_BYTES;
    for (unsigned i = 0; i < sizeof tail; i++)
        tail[i] = (uint8_t)(bits >> (8 * i));
    md5_add(md5, padding, (have < 56 ? 56 : 120) - have);
    md5_add(md5, tail, sizeof tail);
    for (unsigned i = 0; i < MD5_BYTES; i++)
        (void)snprintf(out + (size_t)2 * i, 3, "%02x", (unsigned)(md5->state[i / 4] >> (8 * (i % 4)) & 0xff));
}
