/* lib_redis.c: drives Redis Streams: XADD; and for the way to settling XREADGROUP and XACK on the same connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib_load.h"
#include "tests/bench/lib_stream.h"

#define READ_COUNT 256

typedef enum { ASKED_ADD, ASKED_READ, ASKED_ACK } asked_t;

/* Answers come in the order of the questions: which ones are open, is all that one must remember. */
typedef struct {
    stream_t stream;
    const load_options_t *options;
    char key[LOAD_NAME_BYTES];
    buf_t add; /* one XADD */
    asked_t *asked;
    unsigned *asked_acks; /* of an ASKED_ACK: how many */
    unsigned first, count, cap;
    bool settles, reading;
    unsigned added; /* and not read yet */
} redis_t;

/* -- RESP ---------------------------------------------------------------------------------------- */
static void put_word(buf_t *out, const char *word)
{
    buf_printf(out, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void put_command(buf_t *out, const char *const *words, size_t count)
{
    buf_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        put_word(out, words[i]);
}

/* Length of one whole value at `at`, or 0. Entry ids of a read are put to *ids when given. */
static size_t value_bytes(bytes_t in, size_t at, buf_t *ids, unsigned *id_count);

static size_t line_bytes(bytes_t in, size_t at, long *number)
{
    const uint8_t *end = at < in.len ? memchr(in.data + at, '\n', in.len - at) : NULL;
    if (!end)
        return 0;
    *number = strtol((const char *)in.data + at + 1, NULL, 10);
    return (size_t)(end + 1 - (in.data + at));
}

static bool is_entry_id(bytes_t text)
{
    return text.len >= 15 && text.len <= 24 && text.data[0] >= '0' && text.data[0] <= '9' &&
           memchr(text.data, '-', text.len);
}

static size_t array_bytes(bytes_t in, size_t at, size_t head, long count, buf_t *ids, unsigned *id_count)
{
    size_t used = head;
    for (long i = 0; i < count; i++) {
        size_t one = value_bytes(in, at + used, ids, id_count);
        if (one == 0)
            return 0;
        used += one;
    }
    return used;
}

static size_t value_bytes(bytes_t in, size_t at, buf_t *ids, unsigned *id_count)
{
    long number = 0;
    size_t head = line_bytes(in, at, &number);
    if (head == 0)
        return 0;
    switch (in.data[at]) {
    case '-':
        measure_die("Redis says %.*s", (int)head, (const char *)in.data + at);
    case '*':
        return array_bytes(in, at, head, number, ids, id_count);
    case '$': {
        size_t len = number < 0 ? 0 : (size_t)number, whole = number < 0 ? head : head + len + 2;
        if (at + whole > in.len)
            return 0;
        bytes_t text = bytes_from(in.data + at + head, len);
        if (ids && is_entry_id(text)) {
            buf_printf(ids, "$%zu\r\n%.*s\r\n", len, (int)len, (const char *)text.data);
            ++*id_count;
        }
        return whole;
    }
    default:
        return head;
    }
}

/* -- questions ----------------------------------------------------------------------------------- */
static void note(redis_t *redis, asked_t asked, unsigned acks)
{
    if (redis->count == redis->cap)
        measure_die("more is asked of Redis than there is room for");
    unsigned at = (redis->first + redis->count++) % redis->cap;
    redis->asked[at] = asked;
    redis->asked_acks[at] = acks;
}

static void ask_read(redis_t *redis)
{
    char most[16];
    (void)snprintf(most, sizeof most, "%d", READ_COUNT);
    const char *const words[] = {"XREADGROUP", "GROUP", "g", "c", "COUNT", most, "STREAMS", redis->key, ">"};
    put_command(&redis->stream.out, words, ARRAY_LEN(words));
    note(redis, ASKED_READ, 0);
    redis->reading = true;
}

static void ask_ack(redis_t *redis, const buf_t *ids, unsigned count)
{
    buf_t *out = &redis->stream.out;
    buf_printf(out, "*%u\r\n", count + 3);
    put_word(out, "XACK");
    put_word(out, redis->key);
    put_word(out, "g");
    buf_append_bytes(out, buf_bytes(ids));
    note(redis, ASKED_ACK, count);
}

/* -- load ---------------------------------------------------------------------------------------- */
static void make_group(redis_t *redis)
{
    const char *const words[] = {"XGROUP", "CREATE", redis->key, "g", "0", "MKSTREAM"};
    put_command(&redis->stream.out, words, ARRAY_LEN(words));
    bytes_t line = stream_ask(&redis->stream);
    if (!bytes_eq_cstr(line, "+OK"))
        measure_die("Redis says %.*s", BYTES_FMT(line));
}

static void *redis_open(const load_options_t *options, unsigned nth)
{
    redis_t *redis = calloc(1, sizeof *redis);
    char *body = calloc(1, options->bytes + 1);
    if (!redis || !body)
        return NULL;
    redis->options = options;
    redis->cap = 4 * options->outstanding + 16;
    redis->asked = calloc(redis->cap, sizeof *redis->asked);
    redis->asked_acks = calloc(redis->cap, sizeof *redis->asked_acks);
    (void)snprintf(redis->key, sizeof redis->key, "bench-%u", nth);
    stream_open(&redis->stream, options->endpoint);
    memset(body, 'x', options->bytes);
    const char *const words[] = {"XADD", redis->key, "*", "b", body};
    for (unsigned i = 0; i < options->batch; i++)
        put_command(&redis->add, words, ARRAY_LEN(words));
    free(body);
    redis->settles = strcmp(options->work, "settle") == 0;
    if (redis->settles)
        make_group(redis);
    return redis;
}

static void redis_close(void *connection)
{
    redis_t *redis = connection;
    stream_close(&redis->stream);
    buf_free(&redis->add);
    free(redis->asked);
    free(redis->asked_acks);
    free(redis);
}

static void redis_start(void *connection)
{
    redis_t *redis = connection;
    buf_append_bytes(&redis->stream.out, buf_bytes(&redis->add));
    for (unsigned i = 0; i < redis->options->batch; i++)
        note(redis, ASKED_ADD, i + 1 == redis->options->batch);
}

static void redis_flush(void *connection)
{
    redis_t *redis = connection;
    stream_flush(&redis->stream);
}

/* The units that one answer ends. */
static unsigned on_answer(redis_t *redis, bytes_t value)
{
    unsigned at = redis->first, ids = 0;
    redis->first = (redis->first + 1) % redis->cap;
    redis->count--;
    switch (redis->asked[at]) {
    case ASKED_ADD:
        redis->added++;
        return redis->settles ? 0 : redis->asked_acks[at];
    case ASKED_READ: {
        buf_t text = {0};
        (void)value_bytes(value, 0, &text, &ids);
        redis->reading = false;
        redis->added -= ids;
        if (ids)
            ask_ack(redis, &text, ids);
        buf_free(&text);
        return 0;
    }
    case ASKED_ACK:
        return redis->asked_acks[at];
    }
    return 0;
}

static unsigned redis_take(void *connection)
{
    redis_t *redis = connection;
    unsigned ended = 0;
    stream_fill(&redis->stream);
    for (size_t len; (len = value_bytes(stream_rest(&redis->stream), 0, NULL, NULL)) != 0;) {
        bytes_t value = bytes_from(stream_rest(&redis->stream).data, len);
        ended += on_answer(redis, value);
        stream_skip(&redis->stream, len);
    }
    if (redis->settles && redis->added && !redis->reading)
        ask_read(redis);
    stream_flush(&redis->stream);
    return ended;
}

static void redis_watch(void *connection, zmq_pollitem_t *item)
{
    const redis_t *redis = connection;
    stream_watch(&redis->stream, item);
}

const load_peer_t load_redis = {.name = "redis",
                                .open = redis_open,
                                .close = redis_close,
                                .start = redis_start,
                                .flush = redis_flush,
                                .take = redis_take,
                                .watch = redis_watch};
