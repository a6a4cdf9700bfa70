/* loop.h: the reactor: one process, one thread, one loop that everything hangs on.
 *
 * A thin layer over czmq's zloop that gives handles, closures and cheap one-shot timers. Callbacks run on
 * the loop's thread and must not block. Removing a handle inside its own callback is allowed. */
#ifndef KIT_LOOP_H
#define KIT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/status.h"

typedef struct loop loop_t;
typedef struct loop_watch loop_watch_t;
typedef struct loop_timer loop_timer_t;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* `events` are those that are ready. */
typedef void (*loop_watch_fn)(void *ctx, int events);
typedef void (*loop_timer_fn)(void *ctx);

MUST_USE loop_t *loop_new(error_t *err);
void loop_free(loop_t **loop);

/* Runs until loop_stop. SIGTERM and SIGINT stop nothing by themselves, see loop_on_signal. */
void loop_run(loop_t *loop);
void loop_stop(loop_t *loop);

/* The first thing a daemon does: until loop_on_signal takes over, SIGTERM and SIGINT end the process at once,
 * with exit code 0: who is asked to end before it began has nothing to finish. */
void loop_signals_early(void);

/* Called on the loop's thread for SIGTERM and SIGINT (and SIGHUP). At most one handler; ignores SIGPIPE.
 * Once the process was told to end, it ignores them after loop_free, too: it is ending already. */
void loop_on_signal(loop_t *loop, void (*fn)(void *ctx, int signal), void *ctx);

/* Watches a file descriptor, level-triggered. */
MUST_USE loop_watch_t *loop_watch_fd(loop_t *loop, int fd, int events, loop_watch_fn fn, void *ctx);
/* Watches a ZeroMQ socket (void * of libzmq) for input. The callback drains it to EAGAIN or up to a bound. */
MUST_USE loop_watch_t *loop_watch_zmq(loop_t *loop, void *socket, loop_watch_fn fn, void *ctx);
void loop_watch_change(loop_watch_t *watch, int events);
void loop_watch_end(loop_watch_t **watch); /* does not close; sets *watch to NULL */

/* A timer that is not armed yet. Timers are kept in a heap: arming is O(log n), thousands are fine. */
MUST_USE loop_timer_t *loop_timer_new(loop_t *loop, loop_timer_fn fn, void *ctx);
void loop_timer_at(loop_timer_t *timer, int64_t mono_us);  /* once; arms again when armed */
void loop_timer_in(loop_timer_t *timer, int64_t delay_ms); /* once */
void loop_timer_every(loop_timer_t *timer, int64_t period_ms);
void loop_timer_off(loop_timer_t *timer);
void loop_timer_end(loop_timer_t **timer);

/* Runs `fn` once, after the callbacks of this turn: for work that must not happen inside a callback. */
void loop_soon(loop_t *loop, loop_timer_fn fn, void *ctx);

#endif
