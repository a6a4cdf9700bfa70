/* health.h: where a process tells its health over HTTP, and the verb `healthcheck` that asks the one that runs here. */
#ifndef KIT_HEALTH_H
#define KIT_HEALTH_H

#include "proto/compiler.h"
#include "proto/status.h"

#define HEALTH_HOST_BYTES 64

typedef struct {
    char host[HEALTH_HOST_BYTES]; /* IPv6 without brackets */
    uint16_t port;                /* 0: any free one */
} health_address_t;

/* "127.0.0.1:7481", "[::1]:7481". False with INVALID_ARGUMENT, MANGABUS_HTTP named. */
MUST_USE bool health_address_parse(const char *text, health_address_t *out, error_t *err);

/* Asks /readyz at the address that MANGABUS_HTTP says, `fallback` when it says none. The exit code: 0 ready, 1 not
 * ready or nobody there, 78 no address to ask; a line on standard error says why. Blocks for two seconds at most. Reads
 * nothing else of the configuration: what else may be wrong is not its question. */
MUST_USE int health_check(const char *program, const char *fallback);

#endif
