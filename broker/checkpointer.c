/* checkpointer.c: the thread, and its pauses. */
#include "broker/checkpointer.h"

#include <linux/ioprio.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kit/clock.h"

#define STEP_BYTES ((size_t)256 << 10)
#define PAUSE_MAX_US 50000 /* after a step that took longer than that, too */

struct checkpointer {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what is below */
    pthread_cond_t wake;
    checkpoint_t *checkpoint; /* NULL: idle */
    checkpoint_state_t state; /* of the last step */
    bool is_stopping, is_hurried;
    int event_fd;
};

/* Low enough not to be noticed, and yet never starved: the kernel gives even idle threads a little. */
static void lower_priority(void)
{
    const struct sched_param none = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void tell(const checkpointer_t *c)
{
    uint64_t one = 1;
    ssize_t n = write(c->event_fd, &one, sizeof one);
    (void)n; /* a full counter is readable already */
}

/* As long as the step took: half of the time goes to others. Called with the mutex held. */
static void pause_for(checkpointer_t *c, int64_t took_us)
{
    struct timespec until;
    int64_t us = took_us < PAUSE_MAX_US ? took_us : PAUSE_MAX_US;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!c->is_stopping && !c->is_hurried && pthread_cond_timedwait(&c->wake, &c->mutex, &until) == 0)
        continue;
}

/* Called with the mutex held, and lets go of it while it works. */
static void step(checkpointer_t *c)
{
    checkpoint_t *checkpoint = c->checkpoint;
    pthread_mutex_unlock(&c->mutex);
    int64_t began_us = clock_mono_us();
    checkpoint_state_t state = checkpoint_step(checkpoint, STEP_BYTES);
    if (state != CHECKPOINT_WORKING)
        (void)malloc_trim(0); /* the second core's memory goes back at once */
    int64_t took_us = clock_mono_us() - began_us;
    pthread_mutex_lock(&c->mutex);
    c->state = state;
    if (state != CHECKPOINT_WORKING)
        tell(c);
    else
        pause_for(c, took_us);
}

static void *thread_main(void *arg)
{
    checkpointer_t *c = arg;
    lower_priority();
    pthread_mutex_lock(&c->mutex);
    while (!c->is_stopping) {
        if (c->checkpoint && c->state == CHECKPOINT_WORKING)
            step(c);
        else
            pthread_cond_wait(&c->wake, &c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

checkpointer_t *checkpointer_new(error_t *err)
{
    pthread_condattr_t monotonic;
    checkpointer_t *c = calloc(1, sizeof *c);
    if (c) {
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&c->mutex, NULL);
        pthread_cond_init(&c->wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
        c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (c && c->event_fd >= 0 && pthread_create(&c->thread, NULL, thread_main, c) == 0)
        return c;
    if (c && c->event_fd >= 0)
        (void)close(c->event_fd);
    free(c);
    error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "The thread that takes snapshots cannot be started.");
    return NULL;
}

static void change(checkpointer_t *c, checkpoint_t *checkpoint, checkpoint_state_t state)
{
    pthread_mutex_lock(&c->mutex);
    c->checkpoint = checkpoint;
    c->state = state;
    c->is_hurried = c->is_hurried && checkpoint;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

void checkpointer_free(checkpointer_t **checkpointer)
{
    checkpointer_t *c = *checkpointer;
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    c->is_stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    checkpoint_free(&c->checkpoint);
    (void)close(c->event_fd);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    *checkpointer = NULL;
}

int checkpointer_fd(const checkpointer_t *c)
{
    return c->event_fd;
}

bool checkpointer_is_busy(const checkpointer_t *c)
{
    return c->checkpoint != NULL; /* the owner alone changes it */
}

void checkpointer_give(checkpointer_t *c, checkpoint_t *checkpoint)
{
    change(c, checkpoint, CHECKPOINT_WORKING);
}

void checkpointer_hurry(checkpointer_t *c)
{
    pthread_mutex_lock(&c->mutex);
    c->is_hurried = c->checkpoint != NULL;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

checkpoint_state_t checkpointer_poll(checkpointer_t *c, journal_t *journal, checkpoint_t **over)
{
    uint64_t counter;
    ssize_t n = read(c->event_fd, &counter, sizeof counter);
    (void)n;
    pthread_mutex_lock(&c->mutex);
    checkpoint_state_t state = c->checkpoint ? c->state : CHECKPOINT_WORKING;
    pthread_mutex_unlock(&c->mutex);
    *over = NULL;
    if (state == CHECKPOINT_WORKING)
        return state;
    if (state == CHECKPOINT_READY && checkpoint_adopt(c->checkpoint, journal, NULL)) {
        change(c, c->checkpoint, CHECKPOINT_WORKING);
        return CHECKPOINT_WORKING;
    }
    *over = c->checkpoint;
    change(c, NULL, CHECKPOINT_WORKING);
    return state;
}
