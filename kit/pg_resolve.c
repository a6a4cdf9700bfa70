/* pg_resolve.c: getaddrinfo on a thread, the answer through an eventfd. */
#include "kit/pg_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HOSTS_MAX 16
#define ADDRESSES_MAX 8 /* of one name */

/* The loop and the thread share it; whoever lets go last frees it. The thread writes, then says `done`. */
typedef struct {
    atomic_int owners;
    atomic_bool done;
    int event_fd;
    char *hosts, *ports;
    buf_t host, hostaddr, port;
    unsigned found; /* entries of each list */
    int error;      /* of getaddrinfo; 0 */
} shared_t;

struct pg_resolve {
    shared_t *shared;
    loop_watch_t *watch;
    pg_resolve_fn fn;
    void *ctx;
};

static void shared_release(shared_t *shared)
{
    if (atomic_fetch_sub(&shared->owners, 1) > 1)
        return;
    if (shared->event_fd >= 0)
        (void)close(shared->event_fd);
    free(shared->hosts);
    free(shared->ports);
    buf_free(&shared->host);
    buf_free(&shared->hostaddr);
    buf_free(&shared->port);
    free(shared);
}

/* -- on the thread ------------------------------------------------------------------------------- */
static void list_add(buf_t *list, const char *entry, bool first)
{
    if (!first)
        buf_append_byte(list, ',');
    buf_append_cstr(list, entry);
}

static void target_add(shared_t *shared, const char *host, const char *address, const char *port)
{
    bool first = shared->found++ == 0;
    list_add(&shared->host, host, first);
    list_add(&shared->hostaddr, address, first);
    list_add(&shared->port, port, first);
}

static bool needs_no_name_server(const char *host)
{
    uint8_t scratch[sizeof(struct in6_addr)];
    return !*host || *host == '/' || *host == '@' || inet_pton(AF_INET, host, scratch) == 1 ||
           inet_pton(AF_INET6, host, scratch) == 1;
}

bool pg_resolve_is_needed(const char *hosts)
{
    char host[NI_MAXHOST];
    for (const char *at = hosts; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!bytes_to_cstr(bytes_from(at, strcspn(at, ",")), host, sizeof host) || !needs_no_name_server(host))
            return true;
    return false;
}

static void name_resolve(shared_t *shared, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    char address[NI_MAXHOST];
    int error = getaddrinfo(host, NULL, &hints, &found), count = 0;
    if (error)
        shared->error = error;
    for (struct addrinfo *a = found; !error && a && count < ADDRESSES_MAX; a = a->ai_next, count++)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST) == 0)
            target_add(shared, host, address, port);
    if (found)
        freeaddrinfo(found);
}

/* Ports go with hosts one to one, or one port with all of them. */
static void resolve_all(shared_t *shared)
{
    char *hosts = shared->hosts, *ports = shared->ports, *port = "";
    for (int i = 0; hosts && i < HOSTS_MAX; i++) {
        char *host = strsep(&hosts, ",");
        if (ports)
            port = strsep(&ports, ",");
        if (needs_no_name_server(host))
            target_add(shared, host, "", port);
        else
            name_resolve(shared, host, port);
    }
    if (shared->found > 0)
        shared->error = 0; /* one that can be reached is enough */
}

static void *resolver(void *ctx)
{
    shared_t *shared = ctx;
    uint64_t one = 1;
    resolve_all(shared);
    atomic_store_explicit(&shared->done, true, memory_order_release);
    if (write(shared->event_fd, &one, sizeof one) < 0)
        abort(); /* a counter of one cannot overflow */
    shared_release(shared);
    return NULL;
}

/* -- on the loop --------------------------------------------------------------------------------- */
static void on_resolved(void *ctx, int events UNUSED)
{
    pg_resolve_t *resolve = ctx;
    shared_t *shared = resolve->shared;
    error_t err = {0};
    if (!atomic_load_explicit(&shared->done, memory_order_acquire))
        return;
    loop_watch_end(&resolve->watch);
    if (shared->error || shared->host.failed || shared->hostaddr.failed || shared->port.failed) {
        (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "the database's host name cannot be resolved: %s",
                        gai_strerror(shared->error));
        resolve->fn(resolve->ctx, NULL, &err);
        return;
    }
    pg_target_t target = {buf_cstr(&shared->host), buf_cstr(&shared->hostaddr), buf_cstr(&shared->port)};
    resolve->fn(resolve->ctx, &target, NULL);
}

static shared_t *shared_new(const char *hosts, const char *ports)
{
    shared_t *shared = calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    atomic_init(&shared->owners, 1);
    shared->hosts = bytes_dup(bytes_cstr(hosts));
    shared->ports = bytes_dup(bytes_cstr(ports));
    shared->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->hosts && shared->ports && shared->event_fd >= 0)
        return shared;
    shared_release(shared);
    return NULL;
}

/* Signals stay with the main thread. */
static bool thread_start(shared_t *shared)
{
    pthread_t thread;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&shared->owners, 1);
    bool started = pthread_create(&thread, NULL, resolver, shared) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        (void)pthread_detach(thread);
    else
        shared_release(shared);
    return started;
}

pg_resolve_t *pg_resolve_start(loop_t *loop, const char *host, const char *port, pg_resolve_fn fn, void *ctx,
                               error_t *err)
{
    pg_resolve_t *resolve = calloc(1, sizeof *resolve);
    if (resolve) {
        *resolve = (pg_resolve_t){.shared = shared_new(host, port), .fn = fn, .ctx = ctx};
        if (resolve->shared)
            resolve->watch = loop_watch_fd(loop, resolve->shared->event_fd, LOOP_READ, on_resolved, resolve);
        if (resolve->watch && thread_start(resolve->shared))
            return resolve;
        pg_resolve_end(&resolve);
    }
    (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the database's host name cannot be resolved: no thread");
    return NULL;
}

void pg_resolve_end(pg_resolve_t **self)
{
    pg_resolve_t *resolve = *self;
    if (!resolve)
        return;
    *self = NULL;
    loop_watch_end(&resolve->watch);
    if (resolve->shared)
        shared_release(resolve->shared);
    free(resolve);
}
