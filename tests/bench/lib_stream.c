/* lib_stream.c: a non-blocking TCP connection with two buffers. */
#include "tests/bench/lib_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/lib_measure.h"

#define WAIT_MS 20000
#define READ_BYTES ((size_t)64 << 10)

static struct sockaddr_in address_of(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    unsigned port;
    if (sscanf(endpoint, "tcp://%63[0-9.]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        measure_die("%s is no tcp://HOST:PORT", endpoint);
    address.sin_port = htons((uint16_t)port);
    return address;
}

void stream_open(stream_t *stream, const char *endpoint)
{
    struct sockaddr_in address = address_of(endpoint);
    int yes = 1;
    *stream = (stream_t){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (stream->fd < 0 || connect(stream->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        measure_die("%s: %s", endpoint, strerror(errno));
    if (setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 ||
        fcntl(stream->fd, F_SETFL, O_NONBLOCK) != 0)
        measure_die("%s: %s", endpoint, strerror(errno));
}

void stream_close(stream_t *stream)
{
    (void)close(stream->fd);
    buf_free(&stream->out);
    buf_free(&stream->in);
}

void stream_flush(stream_t *stream)
{
    while (stream->out_at < stream->out.len) {
        ssize_t n = send(stream->fd, stream->out.data + stream->out_at, stream->out.len - stream->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            measure_die("send: %s", strerror(errno));
        stream->out_at += (size_t)n;
    }
    buf_clear(&stream->out);
    stream->out_at = 0;
}

static void forget_parsed(stream_t *stream)
{
    buf_t *in = &stream->in;
    if (stream->in_at == 0)
        return;
    memmove(in->data, in->data + stream->in_at, in->len - stream->in_at);
    in->len -= stream->in_at;
    stream->in_at = 0;
}

void stream_fill(stream_t *stream)
{
    buf_t *in = &stream->in;
    forget_parsed(stream);
    if (!buf_reserve(in, READ_BYTES))
        measure_die("out of memory");
    ssize_t n = recv(stream->fd, in->data + in->len, in->cap - in->len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        measure_die("the peer has gone: %s", n ? strerror(errno) : "end of the stream");
    in->len += n > 0 ? (size_t)n : 0;
}

void stream_wait(stream_t *stream)
{
    struct pollfd item = {.fd = stream->fd, .events = POLLIN};
    if (poll(&item, 1, WAIT_MS) != 1)
        measure_die("the peer does not answer");
    stream_fill(stream);
}

bytes_t stream_rest(const stream_t *stream)
{
    return bytes_from(stream->in.data + stream->in_at, stream->in.len - stream->in_at);
}

void stream_skip(stream_t *stream, size_t bytes)
{
    stream->in_at += bytes;
}

bool stream_line(stream_t *stream, bytes_t *line)
{
    bytes_t rest = stream_rest(stream);
    const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - rest.data);
    *line = bytes_from(rest.data, len && rest.data[len - 1] == '\r' ? len - 1 : len);
    stream_skip(stream, len + 1);
    return true;
}

bytes_t stream_ask(stream_t *stream)
{
    bytes_t line;
    stream_flush(stream);
    while (!stream_line(stream, &line))
        stream_wait(stream);
    return line;
}

void stream_watch(const stream_t *stream, zmq_pollitem_t *item)
{
    *item = (zmq_pollitem_t){.fd = stream->fd, .events = ZMQ_POLLIN};
}
