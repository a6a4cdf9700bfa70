/* role.h: what a client may do. A client's key names its role; roles come from a JSON document.
 *
 *     {"chat-router": {"publish": ["MangaAssist-AI-Events"], "sources": ["mangaassist.chat"], "consume": ["…"],
 *                      "subscribe": ["*"], "send": ["manga-fm-*"], "call": ["erp.*"], "serve": ["chat.*"],
 *                      "permits": ["*"], "admin": false, "observe": true}}
 *
 * Patterns are literal names, optionally with one `*` at the end. "admin" allows what changes state by QUEUE,
 * RULE and TOPOLOGY; "observe" allows what only looks. Pure. */
#ifndef BROKER_CORE_ROLE_H
#define BROKER_CORE_ROLE_H

#include "proto/bytes.h"
#include "proto/status.h"

#define ROLE_COUNT_MAX 256
#define ROLE_PATTERNS_MAX 256 /* of one kind in one role */

typedef enum {
    ROLE_PUBLISH,   /* buses */
    ROLE_SOURCES,   /* event sources it may publish under */
    ROLE_CONSUME,   /* queues: receive, subscribe, settle */
    ROLE_SUBSCRIBE, /* buses: live subscriptions */
    ROLE_SEND,      /* queues */
    ROLE_CALL,      /* methods */
    ROLE_SERVE,     /* methods */
    ROLE_PERMITS,   /* buckets */
    ROLE_KINDS,
} role_kind_t;

typedef struct role role_t;
typedef struct roles roles_t;

MUST_USE roles_t *roles_parse(bytes_t json, error_t *err);
void roles_free(roles_t **roles);

/* NULL when there is no such role. Lives as long as `roles`. */
const role_t *roles_find(const roles_t *roles, bytes_t name);
/* The role that may do everything; for loopback endpoints without CURVE. Static. */
const role_t *role_all(void);

MUST_USE bool role_allows(const role_t *role, role_kind_t kind, bytes_t name);
const char *role_name(const role_t *role); /* "*" for role_all() */
bool role_is_admin(const role_t *role);
bool role_may_observe(const role_t *role);

#endif
