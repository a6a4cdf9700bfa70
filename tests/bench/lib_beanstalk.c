/* lib_beanstalk.c: drives beanstalkd: put; and for the way to settling reserve and delete, in a tube of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib_load.h"
#include "tests/bench/lib_stream.h"

typedef struct {
    stream_t stream;
    const load_options_t *options;
    buf_t one; /* one put */
    bool settles;
    unsigned unanswered; /* of a unit's messages */
} beanstalk_t;

static void expect(beanstalk_t *beanstalk, const char *command, const char *wanted)
{
    buf_append_cstr(&beanstalk->stream.out, command);
    bytes_t line = stream_ask(&beanstalk->stream);
    if (!bytes_has_prefix(line, bytes_cstr(wanted)))
        measure_die("beanstalkd says %.*s", BYTES_FMT(line));
}

static void *beanstalk_open(const load_options_t *options, unsigned nth)
{
    beanstalk_t *beanstalk = calloc(1, sizeof *beanstalk);
    char command[64];
    if (!beanstalk)
        return NULL;
    beanstalk->options = options;
    beanstalk->settles = strcmp(options->work, "settle") == 0;
    stream_open(&beanstalk->stream, options->endpoint);
    (void)snprintf(command, sizeof command, "use bench-%u\r\n", nth);
    expect(beanstalk, command, "USING");
    (void)snprintf(command, sizeof command, "watch bench-%u\r\n", nth);
    expect(beanstalk, command, "WATCHING");
    buf_printf(&beanstalk->one, "put 0 0 60 %u\r\n", options->bytes);
    for (unsigned i = 0; i < options->bytes; i++)
        buf_append_byte(&beanstalk->one, 'x');
    buf_append_cstr(&beanstalk->one, "\r\n");
    return beanstalk;
}

static void beanstalk_close(void *connection)
{
    beanstalk_t *beanstalk = connection;
    stream_close(&beanstalk->stream);
    buf_free(&beanstalk->one);
    free(beanstalk);
}

static void beanstalk_start(void *connection)
{
    beanstalk_t *beanstalk = connection;
    for (unsigned i = 0; i < beanstalk->options->batch; i++)
        buf_append_bytes(&beanstalk->stream.out, buf_bytes(&beanstalk->one));
}

static void beanstalk_flush(void *connection)
{
    beanstalk_t *beanstalk = connection;
    stream_flush(&beanstalk->stream);
}

/* "RESERVED id bytes", its body behind it. False while the body is not whole. */
static bool on_reserved(beanstalk_t *beanstalk, bytes_t line)
{
    unsigned long long id = 0, bytes = 0;
    char text[64];
    (void)bytes_to_cstr(line, text, sizeof text);
    if (sscanf(text, "RESERVED %llu %llu", &id, &bytes) != 2)
        measure_die("beanstalkd says %s", text);
    if (stream_rest(&beanstalk->stream).len < bytes + 2)
        return false;
    stream_skip(&beanstalk->stream, (size_t)bytes + 2);
    buf_printf(&beanstalk->stream.out, "delete %llu\r\n", id);
    return true;
}

/* A put that is answered can be reserved: a reserve behind it never waits. */
static unsigned on_inserted(beanstalk_t *beanstalk)
{
    if (beanstalk->settles) {
        buf_append_cstr(&beanstalk->stream.out, "reserve\r\n");
        return 0;
    }
    if (++beanstalk->unanswered < beanstalk->options->batch)
        return 0;
    beanstalk->unanswered = 0;
    return 1;
}

static unsigned beanstalk_take(void *connection)
{
    beanstalk_t *beanstalk = connection;
    unsigned ended = 0;
    bytes_t line;
    stream_fill(&beanstalk->stream);
    for (size_t begin = beanstalk->stream.in_at; stream_line(&beanstalk->stream, &line);
         begin = beanstalk->stream.in_at) {
        if (bytes_has_prefix(line, BYTES_LIT("INSERTED"))) {
            ended += on_inserted(beanstalk);
        } else if (bytes_has_prefix(line, BYTES_LIT("RESERVED"))) {
            if (!on_reserved(beanstalk, line)) {
                beanstalk->stream.in_at = begin;
                break;
            }
        } else if (bytes_has_prefix(line, BYTES_LIT("DELETED"))) {
            ended++;
        } else {
            measure_die("beanstalkd says %.*s", BYTES_FMT(line));
        }
    }
    stream_flush(&beanstalk->stream);
    return ended;
}

static void beanstalk_watch(void *connection, zmq_pollitem_t *item)
{
    const beanstalk_t *beanstalk = connection;
    stream_watch(&beanstalk->stream, item);
}

const load_peer_t load_beanstalk = {.name = "beanstalk",
                                    .open = beanstalk_open,
                                    .close = beanstalk_close,
                                    .start = beanstalk_start,
                                    .flush = beanstalk_flush,
                                    .take = beanstalk_take,
                                    .watch = beanstalk_watch};
