/* lib_nats.c: drives NATS JetStream: publishing with an acknowledgement, and a push consumer that acknowledges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib_load.h"
#include "tests/bench/lib_stream.h"

typedef struct {
    stream_t stream;
    const load_options_t *options;
    char name[LOAD_NAME_BYTES];
    buf_t one; /* one PUB */
    bool settles;
    unsigned unanswered; /* of a unit's messages */
} nats_t;

/* A message that came: its subject's subscription, where to answer, how long it is. */
typedef struct {
    unsigned sid;
    bytes_t reply;
    size_t bytes;
} header_t;

/* Its answer comes to the connection's own inbox. */
static void command(nats_t *nats, const char *subject, const char *body)
{
    buf_printf(&nats->stream.out, "PUB %s _INBOX.%s.x %zu\r\n%s\r\n", subject, nats->name, strlen(body), body);
}

/* "MSG subject sid [reply] bytes", taken apart. */
static header_t header_of(bytes_t line)
{
    bytes_t words[5];
    size_t count = 0;
    for (size_t at = 0; at < line.len && count < ARRAY_LEN(words);) {
        const uint8_t *end = memchr(line.data + at, ' ', line.len - at);
        size_t len = end ? (size_t)(end - line.data) - at : line.len - at;
        words[count++] = bytes_from(line.data + at, len);
        at += len + 1;
    }
    if (count < 4)
        measure_die("NATS says %.*s", BYTES_FMT(line));
    char number[24];
    (void)bytes_to_cstr(words[2], number, sizeof number);
    header_t header = {.sid = (unsigned)strtoul(number, NULL, 10), .reply = count == 5 ? words[3] : BYTES_NONE};
    (void)bytes_to_cstr(words[count - 1], number, sizeof number);
    header.bytes = strtoul(number, NULL, 10);
    return header;
}

/* -- conversation -------------------------------------------------------------------------------- */
static bool whole_line(bytes_t rest, bytes_t *line)
{
    const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    if (!end)
        return false;
    *line = bytes_from(rest.data, (size_t)(end - rest.data) - 1);
    return true;
}

static void check_answer(bytes_t body)
{
    if (memmem(body.data, body.len, "\"error\"", 7))
        measure_die("JetStream says %.*s", BYTES_FMT(body));
}

static unsigned on_message(nats_t *nats, const header_t *header, bytes_t body)
{
    if (header->sid == 1) {
        check_answer(body);
        nats->unanswered++;
        if (nats->settles || nats->unanswered < nats->options->batch)
            return 0;
        nats->unanswered = 0;
        return 1;
    }
    buf_printf(&nats->stream.out, "PUB %.*s 4\r\n+ACK\r\n", BYTES_FMT(header->reply));
    return 1;
}

/* One message or line; false while it is not whole. */
static bool step(nats_t *nats, unsigned *ended)
{
    bytes_t rest = stream_rest(&nats->stream), line;
    if (!whole_line(rest, &line))
        return false;
    size_t used = line.len + 2;
    if (bytes_has_prefix(line, BYTES_LIT("MSG "))) {
        header_t header = header_of(line);
        if (used + header.bytes + 2 > rest.len)
            return false;
        *ended += on_message(nats, &header, bytes_from(rest.data + used, header.bytes));
        used += header.bytes + 2;
    } else if (bytes_has_prefix(line, BYTES_LIT("PING"))) {
        buf_append_cstr(&nats->stream.out, "PONG\r\n");
    } else if (bytes_has_prefix(line, BYTES_LIT("-ERR"))) {
        measure_die("NATS says %.*s", BYTES_FMT(line));
    }
    stream_skip(&nats->stream, used);
    return true;
}

/* Sends what is gathered and waits for `count` answers. */
static void wait_answers(nats_t *nats, unsigned count)
{
    unsigned ended = 0;
    stream_flush(&nats->stream);
    while (nats->unanswered < count) {
        stream_wait(&nats->stream);
        while (step(nats, &ended))
            ;
    }
    nats->unanswered = 0;
}

/* -- load ---------------------------------------------------------------------------------------- */
static void make_stream(nats_t *nats)
{
    char subject[96], body[256];
    (void)snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", nats->name);
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\"%s}", nats->name,
                   nats->name, nats->settles ? ",\"retention\":\"workqueue\"" : "");
    command(nats, subject, body);
    wait_answers(nats, 1);
}

static void make_consumer(nats_t *nats)
{
    char subject[96], body[384];
    buf_printf(&nats->stream.out, "SUB deliver.%s 2\r\n", nats->name);
    (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.c", nats->name);
    (void)snprintf(body, sizeof body,
                   "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"c\",\"deliver_subject\":\"deliver.%s\","
                   "\"ack_policy\":\"explicit\",\"max_ack_pending\":4096}}",
                   nats->name, nats->name);
    command(nats, subject, body);
    wait_answers(nats, 1);
}

static void *nats_open(const load_options_t *options, unsigned nth)
{
    nats_t *nats = calloc(1, sizeof *nats);
    if (!nats)
        return NULL;
    nats->options = options;
    nats->settles = true; /* so that answers are only counted */
    (void)snprintf(nats->name, sizeof nats->name, "bench%u", nth);
    stream_open(&nats->stream, options->endpoint);
    buf_printf(&nats->stream.out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB _INBOX.%s.* 1\r\n",
               nats->name);
    make_stream(nats);
    nats->settles = strcmp(options->work, "settle") == 0;
    if (nats->settles)
        make_consumer(nats);
    buf_printf(&nats->one, "PUB %s _INBOX.%s.a %u\r\n", nats->name, nats->name, options->bytes);
    for (unsigned i = 0; i < options->bytes; i++)
        buf_append_byte(&nats->one, 'x');
    buf_append_cstr(&nats->one, "\r\n");
    return nats;
}

static void nats_close(void *connection)
{
    nats_t *nats = connection;
    stream_close(&nats->stream);
    buf_free(&nats->one);
    free(nats);
}

static void nats_start(void *connection)
{
    nats_t *nats = connection;
    for (unsigned i = 0; i < nats->options->batch; i++)
        buf_append_bytes(&nats->stream.out, buf_bytes(&nats->one));
}

static void nats_flush(void *connection)
{
    nats_t *nats = connection;
    stream_flush(&nats->stream);
}

static unsigned nats_take(void *connection)
{
    nats_t *nats = connection;
    unsigned ended = 0;
    stream_fill(&nats->stream);
    while (step(nats, &ended))
        ;
    stream_flush(&nats->stream);
    return ended;
}

static void nats_watch(void *connection, zmq_pollitem_t *item)
{
    const nats_t *nats = connection;
    stream_watch(&nats->stream, item);
}

const load_peer_t load_nats = {.name = "nats",
                               .open = nats_open,
                               .close = nats_close,
                               .start = nats_start,
                               .flush = nats_flush,
                               .take = nats_take,
                               .watch = nats_watch};
