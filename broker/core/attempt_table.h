/* attempt_table.h: what attempt.c remembers. */
#ifndef BROKER_CORE_ATTEMPT_TABLE_H
#define BROKER_CORE_ATTEMPT_TABLE_H

#include "broker/core/map.h"
#include "broker/core/memory.h"

#define ATTEMPT_MESSAGES_MAX 10

typedef struct {
    uint64_t record, receives;
    int64_t until_us; /* its visibility: another one means that it was changed */
} attempt_message_t;

/* What a RECEIVE with an attempt id was answered with. */
typedef struct {
    uint32_t number;
    uint64_t queue; /* incarnation */
    char *id;
    int64_t at_us;
    uint32_t older, newer;
    uint32_t count;
    attempt_message_t messages[ATTEMPT_MESSAGES_MAX];
} attempt_t;

typedef struct {
    pool_t all;
    map_t by_key;
    uint32_t oldest, newest;
} attempts_t;

#endif
