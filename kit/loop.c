/* loop.c: the reactor. czmq's zloop polls three kinds of things: ZeroMQ sockets, one epoll descriptor behind which
 * all other descriptors stand (so that watching and ending cost one system call, and a turn costs what is ready,
 * not what is watched), and one timer, set to the earliest of ours. */
#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "kit/loop_internal.h"

#define EVENTS_A_TURN 64
#define WAKE_MAX_MS 3600000 /* czmq takes a size_t of milliseconds; an hour is as good as never */
#define NO_TIMER (-1)
#define SIGNAL_KINDS 3

struct loop_watch {
    loop_t *loop;
    loop_watch_fn fn;
    void *ctx;
    void *socket; /* NULL: fd */
    int fd;
    int events; /* wanted; 0: not in the poll set */
    bool ended;
    loop_watch_t *next_ended;
};

struct loop {
    zloop_t *zloop;
    int epoll_fd;
    loop_timers_t timers;
    int wake_id; /* czmq's number of the timer; NO_TIMER */
    int64_t wake_us;
    bool stopping;
    unsigned depth;      /* > 0 inside a callback: ended watches are kept until it returns */
    loop_watch_t *ended; /* to be freed */
    loop_watch_t *signal_watch;
    void (*signal_fn)(void *ctx, int signal);
    void *signal_ctx;
};

/* The one thing a signal handler can reach. */
static volatile sig_atomic_t signal_pending[SIGNAL_KINDS];
static volatile sig_atomic_t signal_fd = -1;
static volatile sig_atomic_t signal_told; /* to end, since the loop has listened */
static const int signal_numbers[SIGNAL_KINDS] = {SIGTERM, SIGINT, SIGHUP};

loop_timers_t *loop_timers(loop_t *loop)
{
    return &loop->timers;
}

/* -- turns --------------------------------------------------------------------------------------- */
static void free_ended(loop_t *loop)
{
    while (loop->ended) {
        loop_watch_t *watch = loop->ended;
        loop->ended = watch->next_ended;
        free(watch);
    }
}

/* What a czmq callback returns: -1 ends zloop_start(). */
static int leave(loop_t *loop)
{
    if (--loop->depth == 0)
        free_ended(loop);
    return loop->stopping ? -1 : 0;
}

/* An error or a hang-up is told as readiness: the next read or write finds it out. */
static int events_of(const loop_watch_t *watch, uint32_t ready)
{
    if (ready & (EPOLLERR | EPOLLHUP))
        return watch->events;
    return ((ready & EPOLLIN) ? LOOP_READ : 0) | ((ready & EPOLLOUT) ? LOOP_WRITE : 0);
}

static int on_epoll(zloop_t *zloop UNUSED, zmq_pollitem_t *item UNUSED, void *arg)
{
    loop_t *loop = arg;
    struct epoll_event ready[EVENTS_A_TURN];
    int count = epoll_wait(loop->epoll_fd, ready, EVENTS_A_TURN, 0);
    loop->depth++;
    for (int i = 0; i < count; i++) {
        loop_watch_t *watch = ready[i].data.ptr;
        int events = watch->ended ? 0 : events_of(watch, ready[i].events) & watch->events;
        if (events)
            watch->fn(watch->ctx, events);
    }
    return leave(loop);
}

static int on_zmq(zloop_t *zloop UNUSED, zmq_pollitem_t *item UNUSED, void *arg)
{
    loop_watch_t *watch = arg;
    loop_t *loop = watch->loop;
    loop->depth++;
    if (!watch->ended && watch->events)
        watch->fn(watch->ctx, LOOP_READ);
    return leave(loop);
}

static int on_wake(zloop_t *zloop UNUSED, int id, void *arg)
{
    loop_t *loop = arg;
    if (id != loop->wake_id)
        return 0; /* one that was replaced in this very turn */
    loop->wake_id = NO_TIMER;
    loop->wake_us = INT64_MAX;
    loop->depth++;
    loop_timers_run(&loop->timers);
    loop_wake_plan(loop);
    return leave(loop);
}

/* Timers that move into the future leave the earlier wake-up standing: it finds nothing to do and plans anew,
 * which is cheaper than replacing it each time a time-out is pushed back. */
void loop_wake_plan(loop_t *loop)
{
    int64_t due_us = loop_timers_due_us(&loop->timers);
    if (due_us >= loop->wake_us)
        return;
    if (loop->wake_id != NO_TIMER)
        (void)zloop_timer_end(loop->zloop, loop->wake_id);
    int64_t now_us = clock_mono_us();
    int64_t delay_ms = due_us <= now_us ? 0 : (due_us - now_us - 1) / 1000 + 1;
    if (delay_ms > WAKE_MAX_MS)
        delay_ms = WAKE_MAX_MS;
    loop->wake_us = due_us;
    loop->wake_id = zloop_timer(loop->zloop, (size_t)delay_ms, 1, on_wake, loop);
}

/* -- life ---------------------------------------------------------------------------------------- */
static bool loop_open(loop_t *loop, error_t *err)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "cannot make an epoll descriptor: %s", strerror(errno));
    (void)zsys_handler_set(NULL); /* signals are ours, see loop_on_signal */
    loop->zloop = zloop_new();
    if (!loop->zloop)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "cannot make a reactor: out of memory");
    zloop_set_nonstop(loop->zloop, true);
    zmq_pollitem_t item = {.fd = loop->epoll_fd, .events = ZMQ_POLLIN};
    if (zloop_poller(loop->zloop, &item, on_epoll, loop) != 0)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "cannot watch the epoll descriptor");
    return true;
}

loop_t *loop_new(error_t *err)
{
    loop_t *loop = calloc(1, sizeof *loop);
    if (!loop) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    loop->epoll_fd = -1;
    loop->wake_id = NO_TIMER;
    loop->wake_us = INT64_MAX;
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that has gone is an error code, not the end */
    if (!loop_open(loop, err))
        loop_free(&loop);
    return loop;
}

/* A process that was told to end is on its way out: told again, it must not die of it instead. */
static void signals_end(loop_t *loop)
{
    if (!loop->signal_watch)
        return;
    for (int i = 0; i < SIGNAL_KINDS; i++)
        (void)signal(signal_numbers[i], signal_told ? SIG_IGN : SIG_DFL);
    int fd = signal_fd;
    signal_fd = -1;
    loop_watch_end(&loop->signal_watch);
    (void)close(fd);
}

void loop_free(loop_t **self)
{
    loop_t *loop = *self;
    if (!loop)
        return;
    signals_end(loop);
    free_ended(loop);
    if (loop->zloop)
        zloop_destroy(&loop->zloop);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    loop_timers_free(&loop->timers);
    free(loop);
    *self = NULL;
}

void loop_run(loop_t *loop)
{
    while (!loop->stopping) {
        errno = 0;
        /* zloop also returns when a signal (of a debugger, or ours) cuts its poll short. */
        if (zloop_start(loop->zloop) == 0 && errno != 0 && errno != EINTR) {
            log_error("the loop cannot poll: a watched socket was closed", LOG_S("error", zmq_strerror(errno)));
            abort();
        }
    }
    loop->stopping = false;
}

void loop_stop(loop_t *loop)
{
    loop->stopping = true;
}

/* -- signals ------------------------------------------------------------------------------------- */
static void on_signal(int number)
{
    int saved_errno = errno;
    uint64_t one = 1;
    for (int i = 0; i < SIGNAL_KINDS; i++)
        if (signal_numbers[i] == number)
            signal_pending[i] = 1;
    signal_told = signal_told || number != SIGHUP;
    if (signal_fd >= 0 && write(signal_fd, &one, sizeof one) < 0)
        errno = saved_errno; /* only when the counter is full: then the loop will wake anyway */
    errno = saved_errno;
}

static void on_signal_early(int number UNUSED)
{
    _exit(0);
}

void loop_signals_early(void)
{
    struct sigaction action = {.sa_handler = on_signal_early};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

static void on_signal_fd(void *ctx, int events UNUSED)
{
    loop_t *loop = ctx;
    uint64_t count;
    if (read(signal_fd, &count, sizeof count) < 0)
        return;
    for (int i = 0; i < SIGNAL_KINDS; i++)
        if (signal_pending[i]) {
            signal_pending[i] = 0;
            if (loop->signal_fn)
                loop->signal_fn(loop->signal_ctx, signal_numbers[i]);
        }
}

static void signals_begin(loop_t *loop)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->signal_watch = fd < 0 ? NULL : loop_watch_fd(loop, fd, LOOP_READ, on_signal_fd, loop);
    if (!loop->signal_watch)
        abort(); /* at start, without a descriptor to spare: there is no way to go on */
    signal_fd = fd;
    signal_told = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNAL_KINDS; i++)
        (void)sigaction(signal_numbers[i], &action, NULL);
}

void loop_on_signal(loop_t *loop, void (*fn)(void *ctx, int signal), void *ctx)
{
    loop->signal_fn = fn;
    loop->signal_ctx = ctx;
    if (!loop->signal_watch)
        signals_begin(loop);
}

/* -- watches ------------------------------------------------------------------------------------- */
static bool fd_control(loop_watch_t *watch, int operation)
{
    uint32_t wanted =
        ((watch->events & LOOP_READ) ? (uint32_t)EPOLLIN : 0) | ((watch->events & LOOP_WRITE) ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.ptr = watch};
    return epoll_ctl(watch->loop->epoll_fd, operation, watch->fd, &event) == 0;
}

static bool zmq_begin(loop_watch_t *watch)
{
    zmq_pollitem_t item = {.socket = watch->socket, .events = ZMQ_POLLIN};
    return zloop_poller(watch->loop->zloop, &item, on_zmq, watch) == 0;
}

static void zmq_end(loop_watch_t *watch)
{
    zmq_pollitem_t item = {.socket = watch->socket};
    zloop_poller_end(watch->loop->zloop, &item);
}

static loop_watch_t *watch_new(loop_t *loop, int events, loop_watch_fn fn, void *ctx)
{
    loop_watch_t *watch = malloc(sizeof *watch);
    if (watch)
        *watch = (loop_watch_t){.loop = loop, .fn = fn, .ctx = ctx, .fd = -1, .events = events};
    return watch;
}

loop_watch_t *loop_watch_fd(loop_t *loop, int fd, int events, loop_watch_fn fn, void *ctx)
{
    loop_watch_t *watch = watch_new(loop, events, fn, ctx);
    if (!watch)
        return NULL;
    watch->fd = fd;
    if (events && !fd_control(watch, EPOLL_CTL_ADD)) {
        free(watch);
        return NULL;
    }
    return watch;
}

loop_watch_t *loop_watch_zmq(loop_t *loop, void *socket, loop_watch_fn fn, void *ctx)
{
    loop_watch_t *watch = watch_new(loop, LOOP_READ, fn, ctx);
    if (!watch)
        return NULL;
    watch->socket = socket;
    if (!zmq_begin(watch)) {
        free(watch);
        return NULL;
    }
    return watch;
}

/* A descriptor of which nothing is wanted leaves the set: epoll would report its hang-up without end. */
static void fd_change(loop_watch_t *watch, int events)
{
    int operation = watch->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    watch->events = events;
    (void)fd_control(watch, operation);
}

static void zmq_change(loop_watch_t *watch, int events)
{
    watch->events = events;
    if (events == 0)
        zmq_end(watch);
    else if (!zmq_begin(watch))
        abort(); /* out of memory */
}

void loop_watch_change(loop_watch_t *watch, int events)
{
    if (watch->socket)
        events &= LOOP_READ;
    if (watch->ended || events == watch->events)
        return;
    if (watch->socket)
        zmq_change(watch, events);
    else
        fd_change(watch, events);
}

void loop_watch_end(loop_watch_t **self)
{
    loop_watch_t *watch = *self;
    if (!watch)
        return;
    *self = NULL;
    loop_watch_change(watch, 0);
    watch->ended = true;
    if (watch->loop->depth == 0) {
        free(watch);
        return;
    }
    watch->next_ended = watch->loop->ended;
    watch->loop->ended = watch;
}
