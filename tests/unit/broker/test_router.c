/* test_router.c: the ROUTER socket loses nothing, blocks on nobody, and tells who is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "broker/observe.h"
#include "broker/router.h"
#include "kit/clock.h"

#define ENDPOINT "inproc://test-router"
#define PATIENCE_MS 5000

typedef struct {
    void *zmq;
    loop_t *loop;
    router_t *router;
    uint64_t peer;
    char frame[64];
    bool several_parts;
    size_t got;
} fixture_t;

static void on_frame(void *ctx, const router_frame_t *frame)
{
    fixture_t *f = ctx;
    f->peer = frame->peer;
    f->several_parts = frame->several_parts;
    bytes_to_cstr(frame->frame, f->frame, sizeof f->frame);
    f->got++;
    loop_stop(f->loop);
}

static void on_readable(void *ctx, int events UNUSED)
{
    fixture_t *f = ctx;
    (void)router_drain(f->router, 1, on_frame, f);
}

static int set_up(void **state)
{
    static fixture_t f;
    error_t err = {0};
    char bound[ROUTER_ENDPOINT_BYTES];
    f = (fixture_t){.zmq = zmq_ctx_new(), .loop = loop_new(&err)};
    f.router = router_new(f.loop, f.zmq, 1 << 20, on_readable, &f, &err);
    assert_non_null(f.router);
    assert_true(router_bind(f.router, ENDPOINT, NULL, bound, &err));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    router_free(&f->router);
    loop_free(&f->loop);
    zmq_ctx_term(f->zmq);
    return 0;
}

static void *dealer(fixture_t *f, int receive_high_water)
{
    int none = 0;
    void *socket = zmq_socket(f->zmq, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &receive_high_water, sizeof receive_high_water);
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_connect(socket, ENDPOINT), 0);
    return socket;
}

static void a_frame_comes_with_its_peer_and_the_answer_goes_back(void **state)
{
    fixture_t *f = *state;
    char answer[16] = "";
    void *socket = dealer(f, 10);
    zmq_send(socket, "hello", 5, 0);
    loop_run(f->loop);
    assert_string_equal(f->frame, "hello");
    assert_false(f->several_parts);
    assert_true(f->peer != 0);
    router_send(f->router, f->peer, BYTES_LIT("welcome"));
    assert_int_equal(zmq_recv(socket, answer, sizeof answer, 0), 7);
    zmq_close(socket);
}

static void a_message_of_several_frames_is_one_and_is_marked(void **state)
{
    fixture_t *f = *state;
    void *socket = dealer(f, 10);
    zmq_send(socket, "one", 3, ZMQ_SNDMORE);
    zmq_send(socket, "two", 3, ZMQ_SNDMORE);
    zmq_send(socket, "three", 5, 0);
    loop_run(f->loop);
    assert_true(f->several_parts);
    assert_string_equal(f->frame, "one");
    zmq_send(socket, "next", 4, 0);
    loop_run(f->loop);
    assert_string_equal(f->frame, "next");
    assert_int_equal(f->got, 2);
    zmq_close(socket);
}

static void a_peer_that_is_not_there_is_reported_gone(void **state)
{
    fixture_t *f = *state;
    uint64_t gone;
    router_send(f->router, (UINT64_C(1) << 32) + 12345, BYTES_LIT("hello"));
    assert_true(router_next_gone(f->router, &gone));
    assert_int_equal(gone, (UINT64_C(1) << 32) + 12345);
    assert_false(router_next_gone(f->router, &gone));
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

static void frames_for_a_peer_that_does_not_read_wait_and_arrive_in_order(void **state)
{
    enum { FRAMES = ROUTER_HIGH_WATER + 3000 };
    fixture_t *f = *state;
    void *socket = dealer(f, 10);
    uint64_t gone;
    zmq_send(socket, "hello", 5, 0);
    loop_run(f->loop);
    for (uint32_t i = 0; i < FRAMES; i++)
        router_send(f->router, f->peer, bytes_from(&i, sizeof i));
    assert_true(router_stalled_bytes(f->router) > 0);
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    for (uint32_t i = 0, got = 0; i < FRAMES;) {
        if (zmq_recv(socket, &got, sizeof got, ZMQ_DONTWAIT) == sizeof got) {
            assert_int_equal(got, i++);
            continue;
        }
        assert_true(clock_mono_ms() < until_ms);
        loop_soon(f->loop, stop, f->loop); /* one turn, in which the router tries again */
        loop_run(f->loop);
    }
    assert_int_equal(router_stalled_bytes(f->router), 0);
    assert_false(router_next_gone(f->router, &gone));
    zmq_close(socket);
}

static void a_peer_that_leaves_too_much_unread_is_given_up(void **state)
{
    fixture_t *f = *state;
    void *socket = dealer(f, 10);
    size_t len = (size_t)1 << 20;
    uint8_t *big = calloc(1, len);
    uint64_t gone = 0;
    zmq_send(socket, "hello", 5, 0);
    loop_run(f->loop);
    for (uint32_t i = 0; i < ROUTER_HIGH_WATER + 11; i++)
        router_send(f->router, f->peer, BYTES_LIT("x"));
    for (size_t i = 0; i <= ROUTER_STALLED_MAX_BYTES / len && gone == 0; i++) {
        router_send(f->router, f->peer, bytes_from(big, len));
        (void)!router_next_gone(f->router, &gone);
    }
    assert_int_equal(gone, f->peer);
    assert_int_equal(router_stalled_bytes(f->router), 0);
    assert_int_equal(router_cut_off(f->router), 1);
    free(big);
    zmq_close(socket);
}

static void only_loopback_and_local_sockets_are_local(void **state)
{
    (void)state;
    static const char *const local[] = {"tcp://127.0.0.1:7447", "tcp://127.1.2.3:*", "tcp://localhost:1",
                                        "tcp://[::1]:7447",     "ipc:///tmp/x",      "inproc://x"};
    static const char *const open[] = {"tcp://*:7447",     "tcp://0.0.0.0:7447", "tcp://10.0.0.1:7447",
                                       "tcp://[::]:7447",  "tcp://eth0:7447",    "tcp://128.0.0.1:1",
                                       "tcp://127.0.0.1x", "udp://127.0.0.1:1",  ""};
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        assert_true(router_is_local(local[i]));
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        assert_false(router_is_local(open[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_comes_with_its_peer_and_the_answer_goes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_of_several_frames_is_one_and_is_marked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_is_not_there_is_reported_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_for_a_peer_that_does_not_read_wait_and_arrive_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_leaves_too_much_unread_is_given_up, set_up, tear_down),
        cmocka_unit_test(only_loopback_and_local_sockets_are_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
