/* test_loop.c: the reactor's contract: order, removal inside callbacks, signals, ZeroMQ sockets. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/loop.h"

typedef struct {
    loop_t *loop;
    loop_watch_t *watch, *other;
    loop_timer_t *timer;
    int fds[2];
    int calls, stop_after;
    int order[16], ordered;
    int64_t at_us;
    void *socket;
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    f->loop = loop_new(NULL);
    assert_non_null(f->loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    loop_watch_end(&f->watch);
    loop_watch_end(&f->other);
    loop_timer_end(&f->timer);
    loop_free(&f->loop);
    close(f->fds[0]);
    close(f->fds[1]);
    free(f);
    return 0;
}

static void count_and_stop(void *ctx)
{
    fixture_t *f = ctx;
    f->at_us = clock_mono_us();
    if (++f->calls >= f->stop_after)
        loop_stop(f->loop);
}

static void a_timer_never_fires_early(void **state)
{
    fixture_t *f = *state;
    f->timer = loop_timer_new(f->loop, count_and_stop, f);
    int64_t due_us = clock_mono_us() + 7300;
    loop_timer_at(f->timer, due_us);
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
    assert_true(f->at_us >= due_us);
}

typedef struct {
    fixture_t *f;
    int number;
    loop_timer_t *timer;
} numbered_t;

static void note_number(void *ctx)
{
    numbered_t *n = ctx;
    n->f->order[n->f->ordered++] = n->number;
    if (n->f->ordered == n->f->stop_after)
        loop_stop(n->f->loop);
}

static void timers_fire_in_the_order_of_their_time(void **state)
{
    fixture_t *f = *state;
    static const int delays[8] = {5, 1, 7, 3, 8, 2, 6, 4};
    numbered_t timers[8];
    f->stop_after = 7;
    int64_t base_us = clock_mono_us() + 2000;
    for (int i = 0; i < 8; i++) {
        timers[i] = (numbered_t){.f = f, .number = delays[i]};
        timers[i].timer = loop_timer_new(f->loop, note_number, &timers[i]);
        loop_timer_at(timers[i].timer, base_us + delays[i] * 100);
    }
    loop_timer_off(timers[3].timer);
    loop_run(f->loop);
    for (int i = 0, want = 1; i < 7; i++, want++) {
        want += want == 3;
        assert_int_equal(f->order[i], want);
    }
    for (int i = 0; i < 8; i++)
        loop_timer_end(&timers[i].timer);
}

static void arming_again_moves_the_timer(void **state)
{
    fixture_t *f = *state;
    f->timer = loop_timer_new(f->loop, count_and_stop, f);
    loop_timer_in(f->timer, 3600000);
    loop_timer_in(f->timer, 1);
    int64_t begin_us = clock_mono_us();
    loop_run(f->loop);
    assert_true(clock_mono_us() - begin_us < 5000000);
    loop_timer_in(f->timer, 1);
    loop_timer_in(f->timer, 20);
    begin_us = clock_mono_us();
    loop_run(f->loop);
    assert_true(clock_mono_us() - begin_us >= 19000);
    assert_int_equal(f->calls, 2);
}

static void a_period_repeats_until_it_is_turned_off(void **state)
{
    fixture_t *f = *state;
    f->stop_after = 3;
    f->timer = loop_timer_new(f->loop, count_and_stop, f);
    loop_timer_every(f->timer, 2);
    loop_run(f->loop);
    assert_int_equal(f->calls, 3);
}

static void end_own_timer(void *ctx)
{
    fixture_t *f = ctx;
    loop_timer_end(&f->timer);
    loop_stop(f->loop);
}

static void a_timer_may_end_itself(void **state)
{
    fixture_t *f = *state;
    f->timer = loop_timer_new(f->loop, end_own_timer, f);
    loop_timer_every(f->timer, 1);
    loop_run(f->loop);
    assert_null(f->timer);
}

static void thousands_of_timers_all_fire(void **state)
{
    fixture_t *f = *state;
    static loop_timer_t *timers[3000];
    f->stop_after = 3000;
    for (int i = 0; i < 3000; i++) {
        timers[i] = loop_timer_new(f->loop, count_and_stop, f);
        loop_timer_at(timers[i], clock_mono_us() + (i * 7919) % 3001);
    }
    loop_run(f->loop);
    assert_int_equal(f->calls, 3000);
    for (int i = 0; i < 3000; i++)
        loop_timer_end(&timers[i]);
}

static void read_and_stop(void *ctx, int events)
{
    fixture_t *f = ctx;
    char byte;
    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(f->fds[0], &byte, 1), 1);
    f->calls++;
    loop_stop(f->loop);
}

static void a_readable_descriptor_is_told(void **state)
{
    fixture_t *f = *state;
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, read_and_stop, f);
    assert_int_equal(write(f->fds[1], "ab", 2), 2);
    loop_run(f->loop);
    loop_run(f->loop); /* level-triggered: the second byte is told as well */
    assert_int_equal(f->calls, 2);
}

static void spin(void *ctx)
{
    fixture_t *f = ctx;
    loop_timer_at(f->timer, 0);
}

static void a_timer_that_is_always_due_does_not_starve_descriptors(void **state)
{
    fixture_t *f = *state;
    f->timer = loop_timer_new(f->loop, spin, f);
    loop_timer_at(f->timer, 0);
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, read_and_stop, f);
    assert_int_equal(write(f->fds[1], "a", 1), 1);
    loop_run(f->loop);
    assert_int_equal(f->calls, 1);
}

static void end_both(void *ctx, int events)
{
    (void)events;
    fixture_t *f = ctx;
    loop_watch_end(&f->watch);
    loop_watch_end(&f->other);
    f->calls++;
    loop_soon(f->loop, count_and_stop, f);
}

static void a_watch_may_end_itself_and_one_that_is_ready_too(void **state)
{
    fixture_t *f = *state;
    f->stop_after = 2;
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, end_both, f);
    f->other = loop_watch_fd(f->loop, f->fds[1], LOOP_READ, end_both, f);
    assert_int_equal(write(f->fds[0], "a", 1), 1);
    assert_int_equal(write(f->fds[1], "a", 1), 1);
    loop_run(f->loop);
    assert_int_equal(f->calls, 2);
}

static void must_not_be_called(void *ctx, int events)
{
    (void)ctx;
    (void)events;
    fail_msg("a watch without wishes was called");
}

static void a_watch_that_wants_nothing_is_not_told_of_a_hang_up(void **state)
{
    fixture_t *f = *state;
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, must_not_be_called, f);
    loop_watch_change(f->watch, 0);
    close(f->fds[1]);
    f->fds[1] = -1;
    f->timer = loop_timer_new(f->loop, count_and_stop, f);
    loop_timer_in(f->timer, 5);
    loop_run(f->loop);
}

static void stop_on_any(void *ctx, int events)
{
    fixture_t *f = ctx;
    f->calls = events;
    loop_stop(f->loop);
}

static void a_hang_up_is_told_as_readiness(void **state)
{
    fixture_t *f = *state;
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, stop_on_any, f);
    close(f->fds[1]);
    f->fds[1] = -1;
    loop_run(f->loop);
    assert_int_equal(f->calls, LOOP_READ);
}

static void a_change_of_wishes_takes_effect(void **state)
{
    fixture_t *f = *state;
    f->watch = loop_watch_fd(f->loop, f->fds[0], LOOP_READ, stop_on_any, f);
    loop_watch_change(f->watch, LOOP_READ | LOOP_WRITE);
    loop_run(f->loop);
    assert_int_equal(f->calls, LOOP_WRITE);
}

static void a_bad_descriptor_is_refused(void **state)
{
    fixture_t *f = *state;
    assert_null(loop_watch_fd(f->loop, 100000, LOOP_READ, stop_on_any, f));
}

static void zmq_read(void *ctx, int events)
{
    fixture_t *f = ctx;
    char buffer[8];
    assert_int_equal(events, LOOP_READ);
    while (zmq_recv(f->socket, buffer, sizeof buffer, ZMQ_DONTWAIT) >= 0)
        f->calls++;
    if (f->calls >= f->stop_after) {
        loop_watch_end(&f->watch);
        loop_stop(f->loop);
    }
}

static void a_zmq_socket_is_told_until_it_is_drained(void **state)
{
    fixture_t *f = *state;
    void *context = zmq_ctx_new(), *in = zmq_socket(context, ZMQ_PULL), *out = zmq_socket(context, ZMQ_PUSH);
    f->socket = in;
    f->stop_after = 100;
    assert_int_equal(zmq_bind(in, "inproc://loop"), 0);
    assert_int_equal(zmq_connect(out, "inproc://loop"), 0);
    f->watch = loop_watch_zmq(f->loop, in, zmq_read, f);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zmq_send(out, "x", 1, 0), 1);
    loop_run(f->loop);
    assert_int_equal(f->calls, 100);
    assert_null(f->watch);
    zmq_close(in);
    zmq_close(out);
    zmq_ctx_term(context);
}

static void soon_again(void *ctx)
{
    fixture_t *f = ctx;
    if (++f->calls < 5)
        loop_soon(f->loop, soon_again, f);
    else
        loop_stop(f->loop);
}

static void work_for_later_may_ask_for_more(void **state)
{
    fixture_t *f = *state;
    loop_soon(f->loop, soon_again, f);
    assert_int_equal(f->calls, 0);
    loop_run(f->loop);
    assert_int_equal(f->calls, 5);
}

static void on_signal(void *ctx, int number)
{
    fixture_t *f = ctx;
    f->order[f->ordered++] = number;
    loop_stop(f->loop);
}

static void kill_self(void *ctx)
{
    (void)ctx;
    kill(getpid(), SIGTERM);
}

static void a_signal_is_told_on_the_loop_and_stops_nothing_by_itself(void **state)
{
    fixture_t *f = *state;
    loop_on_signal(f->loop, on_signal, f);
    f->timer = loop_timer_new(f->loop, kill_self, f);
    loop_timer_in(f->timer, 2);
    loop_run(f->loop);
    kill(getpid(), SIGINT);
    loop_run(f->loop);
    assert_int_equal(f->ordered, 2);
    assert_int_equal(f->order[0], SIGTERM);
    assert_int_equal(f->order[1], SIGINT);
}

static void who_was_told_to_end_does_not_die_of_being_told_again_on_its_way_out(void **state)
{
    fixture_t *f = *state;
    loop_on_signal(f->loop, on_signal, f);
    f->timer = loop_timer_new(f->loop, kill_self, f);
    loop_timer_in(f->timer, 2);
    loop_run(f->loop);
    loop_timer_end(&f->timer);
    loop_free(&f->loop);
    kill(getpid(), SIGTERM); /* the end of this program, were it not ignored */
    error_t err;
    f->loop = loop_new(&err);
    assert_non_null(f->loop);
}

static void who_is_asked_to_end_before_it_began_ends_with_0(void **state)
{
    (void)state;
    int ready[2], status;
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        loop_signals_early();
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(ready[0]);
    close(ready[1]);
}

static void a_broken_pipe_does_not_kill(void **state)
{
    fixture_t *f = *state;
    close(f->fds[1]);
    f->fds[1] = -1;
    assert_int_equal(write(f->fds[0], "x", 1), -1);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_timer_never_fires_early),
        LOOP_TEST(timers_fire_in_the_order_of_their_time),
        LOOP_TEST(arming_again_moves_the_timer),
        LOOP_TEST(a_period_repeats_until_it_is_turned_off),
        LOOP_TEST(a_timer_may_end_itself),
        LOOP_TEST(thousands_of_timers_all_fire),
        LOOP_TEST(a_readable_descriptor_is_told),
        LOOP_TEST(a_timer_that_is_always_due_does_not_starve_descriptors),
        LOOP_TEST(a_watch_may_end_itself_and_one_that_is_ready_too),
        LOOP_TEST(a_watch_that_wants_nothing_is_not_told_of_a_hang_up),
        LOOP_TEST(a_hang_up_is_told_as_readiness),
        LOOP_TEST(a_change_of_wishes_takes_effect),
        LOOP_TEST(a_bad_descriptor_is_refused),
        LOOP_TEST(a_zmq_socket_is_told_until_it_is_drained),
        LOOP_TEST(work_for_later_may_ask_for_more),
        LOOP_TEST(a_signal_is_told_on_the_loop_and_stops_nothing_by_itself),
        LOOP_TEST(who_was_told_to_end_does_not_die_of_being_told_again_on_its_way_out),
        LOOP_TEST(who_is_asked_to_end_before_it_began_ends_with_0),
        LOOP_TEST(a_broken_pipe_does_not_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
