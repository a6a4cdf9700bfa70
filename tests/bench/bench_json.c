/* bench_json.c: JSON to msgpack and back, in MB of JSON a second, beside a mere check for UTF-8 as the floor. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/json.h"

#define RUN_NS 3e8
#define VECTOR_FLOATS 1024

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Rounds of one step over the text until RUN_NS are over. */
#define MEASURE(speed, bytes, step)                                                                                    \
    do {                                                                                                               \
        double begun = now_ns(), spent;                                                                                \
        size_t rounds = 0;                                                                                             \
        do {                                                                                                           \
            for (int i = 0; i < 50; i++, rounds++) {                                                                   \
                step;                                                                                                  \
                __asm__ volatile("" ::: "memory"); /* or the compiler runs it once */                                  \
            }                                                                                                          \
            spent = now_ns() - begun;                                                                                  \
        } while (spent < RUN_NS);                                                                                      \
        (speed) = (double)(bytes) * (double)rounds * 1e3 / spent;                                                      \
    } while (0)

static void check(bool good)
{
    if (!good)
        exit(EXIT_FAILURE);
}

static void bench(const char *name, const buf_t *json)
{
    buf_t value = {0}, text = {0};
    double floor_mbs, read_mbs, write_mbs, skip_mbs, validate_mbs;
    bytes_t input = buf_bytes(json);
    MEASURE(floor_mbs, input.len, check(bytes_is_utf8(input, NULL)));
    MEASURE(read_mbs, input.len, buf_clear(&value); check(json_to_msgpack(input, NULL, &value, NULL)));
    MEASURE(write_mbs, input.len, buf_clear(&text);
            check(json_from_msgpack(buf_bytes(&value), JSON_COMPACT, &text, NULL)));
    MEASURE(skip_mbs, value.len, mp_reader_t r = mp_reader(buf_bytes(&value)); check(mp_skip(&r)));
    MEASURE(validate_mbs, value.len, check(mp_validate(buf_bytes(&value), NULL)));
    printf("%-10s %6zu B   read %6.0f   write %6.0f MB/s   mp_skip %6.0f   mp_validate %6.0f MB/s   floor %6.0f MB/s\n",
           name, input.len, read_mbs, write_mbs, skip_mbs, validate_mbs, floor_mbs);
    buf_free(&value);
    buf_free(&text);
}

static void event_fill(buf_t *b)
{
    buf_append_cstr(b, "{\"version\":\"0\",\"id\":\"0190163d-8694-739b-aea5-966c26f8ad91\",\"detail-type\":"
                       "\"order.placed\",\"source\":\"manga-assist.orders\",\"account\":\"123456789012\",\"time\":"
                       "\"2024-06-07T08:09:10.123Z\",\"region\":\"ap-northeast-1\",\"resources\":[],\"detail\":{"
                       "\"order_id\":\"A-2024-0000123\",\"customer\":\"c-889123\",\"currency\":\"JPY\",\"items\":[");
    for (int i = 0; i < 5; i++)
        buf_printf(b, "%s{\"isbn\":\"978408872509%d\",\"title\":\"ワンピース %d\",\"quantity\":%d,\"price\":%d.5}",
                   i ? "," : "", i, 40 + i, i + 1, 500 + i);
    buf_append_cstr(b, "],\"paid\":true,\"coupon\":null,\"ratio\":0.125,\"note\":\"配達は午後に\\nお願いします\"}}");
}

static void vector_fill(buf_t *b)
{
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < VECTOR_FLOATS; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        buf_append_cstr(b, i ? "," : "{\"embedding\":[");
        json_double_append(b, (double)seed / 0x1p64 - 0.5);
    }
    buf_append_cstr(b, "]}");
}

static void text_fill(buf_t *b)
{
    buf_append_cstr(b, "{\"answer\":\"");
    for (int i = 0; i < 40; i++)
        buf_append_cstr(b, "「ワンピース」42巻の在庫はございます。The volume ships within two days.\\n");
    buf_append_cstr(b, "\"}");
}

int main(void)
{
    void (*const fills[])(buf_t *) = {event_fill, vector_fill, text_fill};
    static const char *const names[] = {"event", "embedding", "answer"};
    for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
        buf_t json = {0};
        fills[i](&json);
        bench(names[i], &json);
        buf_free(&json);
    }
    return 0;
}
