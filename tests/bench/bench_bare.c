/* bench_bare.c: the floors: what a program costs that does only what cannot be left out.
 *
 *   bench_bare sync ENDPOINT FOLDER append|zero [SECRET]   a ROUTER that checksums what it takes, writes it, syncs once
 *                                                          for each drained batch, then answers
 *   bench_bare settle ENDPOINT FOLDER append|zero [SECRET] the same, which gives each event back, and takes, writes and
 *                                                          answers its settlement like an event
 *   bench_bare forward ENDPOINT WORKERS [SECRET]           a ROUTER for callers and one for workers, frames in between
 *
 * It prints "ready" and runs until it is killed. SECRET is the CURVE key of the server. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "proto/record.h"
#include "tests/bench/lib_bare.h"
#include "tests/bench/lib_measure.h"

#define HIGH_WATER 100000
#define BATCH_FRAMES 4096
#define FILE_BYTES ((off_t)512 << 20) /* then from the beginning again: the disk must not fill */
#define ZERO_SLICE_BYTES ((size_t)1 << 20)

static void *router_open(void *zmq, const char *endpoint, const char *secret)
{
    void *socket = zmq_socket(zmq, ZMQ_ROUTER);
    int high_water = HIGH_WATER, yes = 1;
    if (!socket || zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water) != 0 ||
        (secret && (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) != 0 ||
                    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, strlen(secret)) != 0)) ||
        zmq_bind(socket, endpoint) != 0)
        measure_die("%s: %s", endpoint, zmq_strerror(errno));
    return socket;
}

/* -- sync ---------------------------------------------------------------------------------------- */
typedef struct {
    void *socket;
    int fd;
    bool appends;
    off_t at;
    bool delivers;
    buf_t batch, delivery;
    uint8_t ids[BATCH_FRAMES][BARE_ID_BYTES];
    size_t ends[BATCH_FRAMES]; /* of each frame, in batch */
    unsigned count;
    uint32_t crc;
} floor_t;

static int file_open(const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/floor", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) != 0)
        measure_die("%s: %s", path, strerror(errno));
    return fd;
}

static void file_fill(int fd)
{
    static const uint8_t zeros[ZERO_SLICE_BYTES];
    for (off_t at = 0; at < FILE_BYTES; at += (off_t)sizeof zeros)
        if (pwrite(fd, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros)
            measure_die("the file cannot be filled: %s", strerror(errno));
    if (fdatasync(fd) != 0)
        measure_die("fdatasync: %s", strerror(errno));
}

static bool floor_take(floor_t *f)
{
    zmq_msg_t msg;
    if (f->count == BATCH_FRAMES || zmq_recv(f->socket, f->ids[f->count], BARE_ID_BYTES, ZMQ_DONTWAIT) < 0)
        return false;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, f->socket, 0) < 0)
        measure_die("zmq_msg_recv: %s", zmq_strerror(errno));
    f->crc = crc32c(f->crc, zmq_msg_data(&msg), zmq_msg_size(&msg));
    buf_append(&f->batch, zmq_msg_data(&msg), zmq_msg_size(&msg));
    zmq_msg_close(&msg);
    f->ends[f->count++] = f->batch.len;
    return true;
}

static void floor_write(floor_t *f)
{
    if (f->at + (off_t)f->batch.len > FILE_BYTES) {
        f->at = 0;
        if (f->appends && ftruncate(f->fd, 0) != 0)
            measure_die("ftruncate: %s", strerror(errno));
    }
    if (pwrite(f->fd, f->batch.data, f->batch.len, f->at) != (ssize_t)f->batch.len || fdatasync(f->fd) != 0)
        measure_die("the file cannot be written: %s", strerror(errno));
    f->at += (off_t)f->batch.len;
}

static void send_to(const floor_t *f, const uint8_t id[BARE_ID_BYTES], const void *data, size_t len)
{
    if (zmq_send(f->socket, id, BARE_ID_BYTES, ZMQ_SNDMORE) < 0 || zmq_send(f->socket, data, len, 0) < 0)
        measure_die("zmq_send: %s", zmq_strerror(errno));
}

static bytes_t frame_at(const floor_t *f, unsigned nth)
{
    size_t begin = nth ? f->ends[nth - 1] : 0;
    return bytes_from(f->batch.data + begin, f->ends[nth] - begin);
}

/* Counts what a settlement settles; 0 for an event. */
static uint32_t settles(bytes_t frame)
{
    uint32_t count = 0;
    if (frame.len >= BARE_TAG_BYTES && frame.data[0] == BARE_SETTLE)
        memcpy(&count, frame.data + 1, sizeof count);
    return count;
}

static void floor_answer(floor_t *f)
{
    uint8_t answer[BARE_TAG_BYTES + BARE_ANSWER_BYTES + BARE_DELIVERY_MAX] = {0};
    memcpy(answer + 1, &f->crc, sizeof f->crc); /* so that it is not left out */
    for (unsigned i = 0; i < f->count; i++) {
        uint32_t settled = settles(frame_at(f, i));
        answer[0] = settled ? BARE_SETTLED : 0;
        if (settled)
            memcpy(answer + 1, &settled, sizeof settled);
        send_to(f, f->ids[i], answer, settled ? BARE_TAG_BYTES + settled : BARE_ANSWER_BYTES);
    }
}

static void delivery_send(floor_t *f, const uint8_t id[BARE_ID_BYTES], uint32_t count)
{
    if (!count)
        return;
    memcpy(f->delivery.data + 1, &count, sizeof count);
    send_to(f, id, f->delivery.data, f->delivery.len);
    buf_clear(&f->delivery);
}

/* Runs of events of one peer, each in a frame. */
static void floor_deliver(floor_t *f)
{
    static const uint8_t begin[BARE_TAG_BYTES] = {BARE_DELIVERY};
    uint32_t count = 0;
    for (unsigned i = 0; i < f->count; i++) {
        if (i > 0 && (count == BARE_DELIVERY_MAX || memcmp(f->ids[i - 1], f->ids[i], BARE_ID_BYTES) != 0)) {
            delivery_send(f, f->ids[i - 1], count);
            count = 0;
        }
        if (settles(frame_at(f, i)))
            continue;
        if (count++ == 0)
            buf_append(&f->delivery, begin, sizeof begin);
        buf_append_bytes(&f->delivery, frame_at(f, i));
    }
    delivery_send(f, f->ids[f->count - 1], count);
}

static void run_sync(floor_t *f)
{
    zmq_pollitem_t item = {.socket = f->socket, .events = ZMQ_POLLIN};
    for (;;) {
        if (zmq_poll(&item, 1, -1) < 0 && errno != EINTR)
            measure_die("zmq_poll: %s", zmq_strerror(errno));
        while (floor_take(f))
            ;
        if (f->count == 0)
            continue;
        floor_write(f);
        floor_answer(f);
        if (f->delivers)
            floor_deliver(f);
        f->count = 0;
        buf_clear(&f->batch);
    }
}

/* -- forward ------------------------------------------------------------------------------------- */
typedef struct {
    void *callers, *workers;
    uint8_t worker[BARE_ID_BYTES];
    bool has_worker;
} forwarder_t;

static void pass(void *to, const uint8_t id[BARE_ID_BYTES], zmq_msg_t *msg)
{
    if (zmq_send(to, id, BARE_ID_BYTES, ZMQ_SNDMORE) < 0 || zmq_msg_send(msg, to, 0) < 0)
        measure_die("zmq_send: %s", zmq_strerror(errno));
}

static bool take(void *from, uint8_t id[BARE_ID_BYTES], zmq_msg_t *msg)
{
    if (zmq_recv(from, id, BARE_ID_BYTES, ZMQ_DONTWAIT) < 0)
        return false;
    zmq_msg_init(msg);
    return zmq_msg_recv(msg, from, 0) >= 0;
}

/* The call itself carries whose it is, in the room that it begins with: one frame each way. */
static bool ask(forwarder_t *f)
{
    uint8_t id[BARE_ID_BYTES];
    zmq_msg_t msg;
    if (!take(f->callers, id, &msg))
        return false;
    memcpy(zmq_msg_data(&msg), id, sizeof id);
    pass(f->workers, f->worker, &msg);
    return true;
}

static bool reply(forwarder_t *f)
{
    zmq_msg_t msg;
    if (!take(f->workers, f->worker, &msg))
        return false;
    f->has_worker = true;
    if (zmq_msg_size(&msg) < BARE_ID_BYTES) { /* its first word */
        zmq_msg_close(&msg);
        return true;
    }
    uint8_t id[BARE_ID_BYTES];
    memcpy(id, zmq_msg_data(&msg), sizeof id);
    pass(f->callers, id, &msg);
    return true;
}

static void run_forward(forwarder_t *f)
{
    zmq_pollitem_t items[] = {{.socket = f->workers, .events = ZMQ_POLLIN},
                              {.socket = f->callers, .events = ZMQ_POLLIN}};
    for (;;) {
        if (zmq_poll(items, f->has_worker ? 2 : 1, -1) < 0 && errno != EINTR)
            measure_die("zmq_poll: %s", zmq_strerror(errno));
        while (reply(f))
            ;
        while (f->has_worker && ask(f))
            ;
    }
}

/* -- main ---------------------------------------------------------------------------------------- */
int main(int argc, char **argv)
{
    void *zmq = zmq_ctx_new();
    bool delivers = strcmp(argc > 1 ? argv[1] : "", "settle") == 0;
    bool syncs = argc >= 5 && (delivers || strcmp(argv[1], "sync") == 0);
    if (!syncs && (argc < 4 || strcmp(argv[1], "forward") != 0))
        measure_die(
            "usage: bench_bare sync|settle ENDPOINT FOLDER append|zero [SECRET] | forward ENDPOINT WORKERS [SECRET]");
    if (syncs) {
        static floor_t f;
        f.delivers = delivers;
        f.fd = file_open(argv[3]);
        f.appends = strcmp(argv[4], "append") == 0;
        if (!f.appends)
            file_fill(f.fd);
        f.socket = router_open(zmq, argv[2], argv[5]);
        (void)puts("ready");
        (void)fflush(stdout);
        run_sync(&f);
    }
    forwarder_t f = {.callers = router_open(zmq, argv[2], argv[4]), .workers = router_open(zmq, argv[3], argv[4])};
    (void)puts("ready");
    (void)fflush(stdout);
    run_forward(&f);
}
