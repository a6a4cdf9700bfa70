/* lib_stream.h: a TCP connection for protocols that pipeline: what is sent gathers, what has come is parsed in place.
 */
#ifndef TESTS_BENCH_LIB_STREAM_H
#define TESTS_BENCH_LIB_STREAM_H

#include <zmq.h>

#include "proto/bytes.h"

typedef struct {
    int fd;
    buf_t out, in;
    size_t out_at; /* sent so far */
    size_t in_at;  /* parsed so far */
} stream_t;

/* tcp://HOST:PORT; waits for it to listen. Failures end the process, as in all of these. */
void stream_open(stream_t *stream, const char *endpoint);
void stream_close(stream_t *stream);

/* Writes what is gathered, as far as the connection takes it now. */
void stream_flush(stream_t *stream);
/* Reads what has come, without blocking. */
void stream_fill(stream_t *stream);
/* The same, but waits until more has come. */
void stream_wait(stream_t *stream);
/* What is not parsed yet. */
bytes_t stream_rest(const stream_t *stream);
void stream_skip(stream_t *stream, size_t bytes);
/* One line without its CR LF, parsed; false while it is not whole. The slice lives until the next call. */
bool stream_line(stream_t *stream, bytes_t *line);
/* Sends what is gathered and waits for a whole line. */
bytes_t stream_ask(stream_t *stream);

/* Reads on when something has come, or writes on when it can. */
void stream_watch(const stream_t *stream, zmq_pollitem_t *item);

#endif
