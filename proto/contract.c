/* contract.c: the tables of proto/contract made real, and the registry that finds them by name. */
#include "proto/contract.h"

#define CONTRACT_SCHEMAS(S)                                                                                            \
    COMMON_SCHEMAS(S)                                                                                                  \
    INVENTORY_SCHEMAS(S)                                                                                               \
    ORDERS_SCHEMAS(S)                                                                                                  \
    AI_SCHEMAS(S)                                                                                                      \
    CATALOG_SCHEMAS(S)                                                                                                 \
    PAYMENTS_SCHEMAS(S)                                                                                                \
    REVIEWS_SCHEMAS(S)                                                                                                 \
    NOTIFICATIONS_SCHEMAS(S)                                                                                           \
    DVSS_SCHEMAS(S)                                                                                                    \
    CHAT_SCHEMAS(S)                                                                                                    \
    ERP_SCHEMAS(S)                                                                                                     \
    CATALOG_CALL_SCHEMAS(S)                                                                                            \
    SEARCH_SCHEMAS(S)                                                                                                  \
    FM_SCHEMAS(S)

CONTRACT_SCHEMAS(SCHEMA_DEFINE)

#define EVENT_ROW(event_bus, event_source, type, schema, text)                                                         \
    {.bus = event_bus, .source = event_source, .detail_type = type, .detail = &schema##_schema, .doc = text},

static const schema_event_t EVENTS[] = {
    INVENTORY_EVENTS(EVENT_ROW) ORDERS_EVENTS(EVENT_ROW) AI_EVENTS(EVENT_ROW) CATALOG_EVENTS(EVENT_ROW)
        PAYMENTS_EVENTS(EVENT_ROW) REVIEWS_EVENTS(EVENT_ROW) NOTIFICATIONS_EVENTS(EVENT_ROW) DVSS_EVENTS(EVENT_ROW)};

#define CALL_ROW(name, asked, answered, again, text)                                                                   \
    {.method = name, .request = &asked##_schema, .response = &answered##_schema, .idempotent = again, .doc = text},
#define STREAM_ROW(name, asked, answered, piece, again, text)                                                          \
    {.method = name,                                                                                                   \
     .request = &asked##_schema,                                                                                       \
     .response = &answered##_schema,                                                                                   \
     .chunk = &piece##_schema,                                                                                         \
     .idempotent = again,                                                                                              \
     .doc = text},

static const schema_call_t CALLS[] = {CHAT_CALLS(CALL_ROW, STREAM_ROW) ERP_CALLS(CALL_ROW, STREAM_ROW)
                                          CATALOG_CALLS(CALL_ROW, STREAM_ROW) SEARCH_CALLS(CALL_ROW, STREAM_ROW)
                                              FM_CALLS(CALL_ROW, STREAM_ROW) INVENTORY_CALLS(CALL_ROW, STREAM_ROW)};

#define MESSAGE_ROW(name, schema, text) {.queue = name, .body = &schema##_schema, .doc = text},

static const schema_message_t MESSAGES[] = {INVENTORY_MESSAGES(MESSAGE_ROW) CATALOG_MESSAGES(MESSAGE_ROW)
                                                FM_MESSAGES(MESSAGE_ROW)};

const schema_event_t *schema_events(size_t *count)
{
    *count = ARRAY_LEN(EVENTS);
    return EVENTS;
}

const schema_call_t *schema_calls(size_t *count)
{
    *count = ARRAY_LEN(CALLS);
    return CALLS;
}

const schema_message_t *schema_messages(size_t *count)
{
    *count = ARRAY_LEN(MESSAGES);
    return MESSAGES;
}

const schema_event_t *schema_find_event(bytes_t source, bytes_t detail_type)
{
    for (size_t i = 0; i < ARRAY_LEN(EVENTS); i++)
        if (bytes_eq_cstr(source, EVENTS[i].source) && bytes_eq_cstr(detail_type, EVENTS[i].detail_type))
            return &EVENTS[i];
    return NULL;
}

const schema_call_t *schema_find_call(bytes_t method)
{
    for (size_t i = 0; i < ARRAY_LEN(CALLS); i++)
        if (bytes_eq_cstr(method, CALLS[i].method))
            return &CALLS[i];
    return NULL;
}

const schema_message_t *schema_find_message(bytes_t queue)
{
    for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++)
        if (bytes_eq_cstr(queue, MESSAGES[i].queue))
            return &MESSAGES[i];
    return NULL;
}
