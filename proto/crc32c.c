/* crc32c.c: CRC-32C by the processor's instruction where there is one, by eight tables where not. */
#include "proto/crc32c.h"

#include <endian.h>
#include <string.h>

#include "proto/record.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define STEP_BYTES 8

/* A CRC is linear: an entry is the sum of the entries of its index's bits, so eight numbers make a table. */
#define BIT(i, n, b) (((i) >> (n)) & 1u ? (b) : 0u)
#define ENTRY(i, a, b, c, d, e, f, g, h)                                                                               \
    (BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^ BIT(i, 5, f) ^ BIT(i, 6, g) ^          \
     BIT(i, 7, h))
#define ENTRIES4(i, ...)                                                                                               \
    ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES16(i, ...)                                                                                              \
    ENTRIES4(i, __VA_ARGS__), ENTRIES4((i) + 4, __VA_ARGS__), ENTRIES4((i) + 8, __VA_ARGS__),                          \
        ENTRIES4((i) + 12, __VA_ARGS__)
#define ENTRIES64(i, ...)                                                                                              \
    ENTRIES16(i, __VA_ARGS__), ENTRIES16((i) + 16, __VA_ARGS__), ENTRIES16((i) + 32, __VA_ARGS__),                     \
        ENTRIES16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                                     \
    ENTRIES64(0u, __VA_ARGS__), ENTRIES64(64u, __VA_ARGS__), ENTRIES64(128u, __VA_ARGS__), ENTRIES64(192u, __VA_ARGS__)

/* tables[k][b]: what byte b adds when k more bytes follow it. */
static const uint32_t tables[STEP_BYTES][256] = {
    {TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78)},
    {TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9)},
    {TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743)},
    {TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f)},
    {TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c)},
    {TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6)},
    {TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4)},
    {TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664)},
};

static uint64_t load64le(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static uint32_t step_portable(uint32_t crc, const uint8_t *p)
{
    uint64_t v = load64le(p) ^ crc;
    uint32_t sum = 0;
    for (unsigned i = 0; i < STEP_BYTES; i++)
        sum ^= tables[STEP_BYTES - 1 - i][(v >> (8 * i)) & 0xFF];
    return sum;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    crc = ~crc;
    for (; len >= STEP_BYTES; p += STEP_BYTES, len -= STEP_BYTES)
        crc = step_portable(crc, p);
    for (; len > 0; p++, len--)
        crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)

bool crc32c_has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

/* The instruction takes three cycles and one can begin in each: three lanes of a block go side by side. Their sums are
 * joined by moving the first ones over the bytes behind them: a product with x to the power of so many bits, less the
 * 33 that the product and the instruction bring themselves (Gopal et al., "Fast CRC Computation for iSCSI Polynomial
 * Using CRC32 Instruction", Intel 2011). */
#define LANE_BYTES ((size_t)64)
#define OVER_ONE_LANE UINT32_C(0x9e4addf8) /* x^(8 * 64 - 33) modulo the polynomial, bits reversed */
#define OVER_TWO_LANES UINT32_C(0xd3b6092) /* x^(8 * 128 - 33) */

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t crc_moved(uint64_t crc, uint32_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128((int64_t)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t crc_block(uint64_t crc, const uint8_t *p)
{
    uint64_t first = crc, second = 0, third = 0;
    for (size_t at = 0; at < LANE_BYTES; at += STEP_BYTES) {
        first = _mm_crc32_u64(first, load64le(p + at));
        second = _mm_crc32_u64(second, load64le(p + LANE_BYTES + at));
        third = _mm_crc32_u64(third, load64le(p + 2 * LANE_BYTES + at));
    }
    return crc_moved(first, OVER_TWO_LANES) ^ crc_moved(second, OVER_ONE_LANE) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t sum = (uint32_t)~crc;
    for (; len >= 3 * LANE_BYTES; p += 3 * LANE_BYTES, len -= 3 * LANE_BYTES)
        sum = crc_block(sum, p);
    for (; len >= STEP_BYTES; p += STEP_BYTES, len -= STEP_BYTES)
        sum = _mm_crc32_u64(sum, load64le(p));
    uint32_t rest = (uint32_t)sum;
    for (; len > 0; p++, len--)
        rest = _mm_crc32_u8(rest, *p);
    return ~rest;
}

#elif defined(__aarch64__)

bool crc32c_has_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

/* Written as assembly because gcc and clang name the target feature differently. */
static uint32_t arm_step(uint32_t crc, uint64_t v)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(v));
    return crc;
}

static uint32_t arm_byte(uint32_t crc, uint32_t v)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(v));
    return crc;
}

uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    crc = ~crc;
    for (; len >= STEP_BYTES; p += STEP_BYTES, len -= STEP_BYTES)
        crc = arm_step(crc, load64le(p));
    for (; len > 0; p++, len--)
        crc = arm_byte(crc, *p);
    return ~crc;
}

#else

bool crc32c_has_hardware(void)
{
    return false;
}

uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t len)
{
    return crc32c_portable(crc, data, len);
}

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    return crc32c_has_hardware() ? crc32c_hardware(crc, data, len) : crc32c_portable(crc, data, len);
}
