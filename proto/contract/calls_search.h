/* calls_search.h: search.query and embed.status, served by embed-indexer; bridge.status, served by bridge. */
#ifndef PROTO_CONTRACT_CALLS_SEARCH_H
#define PROTO_CONTRACT_CALLS_SEARCH_H

#include "proto/contract/common.h"

#define CALL_SEARCH_QUERY "search.query"
#define CALL_EMBED_STATUS "embed.status"
#define CALL_BRIDGE_STATUS "bridge.status"

/* clang-format off: one row, one member */

#define SEARCH_FILTERS_ROWS(X, T)                                                                                      \
    X(T, genre, "genre", STR, OPT, LEN(1, 128), "only this genre")                                                     \
    X(T, publisher, "publisher", STR, OPT, LEN(1, 256), "only this publisher")                                         \
    X(T, creator, "creator", STR, OPT, LEN(1, 512), "only with this author or artist")                                 \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "only this volume number")                                        \
    X(T, min_price_jpy, "min_price_jpy", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "whole yen")                         \
    X(T, max_price_jpy, "max_price_jpy", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "whole yen")

#define SEARCH_QUERY_REQUEST_ROWS(X, T)                                                                                \
    X(T, text, "text", STR, REQ, LEN(1, CONTRACT_TEXT_BYTES), "what is looked for")                                    \
    X(T, limit, "limit", I64, OPT, RANGE(1, 100), "absent: 10")                                                        \
    X(T, filters, "filters", OBJ(search_filters), OPT, NONE, "all must hold")                                          \
    X(T, mode, "mode", STR, OPT, ENUM("hybrid", "vector", "text"), "absent: hybrid")

#define SEARCH_HIT_ROWS(X, T)                                                                                          \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, title, "title", STR, REQ, LEN(1, CONTRACT_TITLE_BYTES), "its title")                                          \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "number in its series")                                           \
    X(T, score, "score", F64, REQ, NONE, "greater is better; comparable inside one answer only")                       \
    X(T, creators, "creators", STRS, OPT, EACH(0, 32, 1, 512), "authors and artists")                                  \
    X(T, price_jpy, "price_jpy", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "whole yen")                                 \
    X(T, synopsis, "synopsis", STR, OPT, LEN(0, 16000), "what it is about")

#define SEARCH_QUERY_RESPONSE_ROWS(X, T)                                                                               \
    X(T, hits, "hits", OBJS(search_hit), REQ, COUNT(0, 100), "best first")                                             \
    X(T, mode, "mode", STR, REQ, ENUM("hybrid", "vector", "text"),                                                     \
      "what was done; text when no query vector could be had")                                                         \
    X(T, index_size, "index_size", I64, OPT, RANGE(0, INT64_MAX), "books that were searched")                          \
    X(T, degraded, "degraded", STRS, OPT, EACH(0, 16, 1, 128), "parts that could not be had in time: embedding, …")    \
    HOPS_ROW(X, T)

#define EMBED_STATUS_RESPONSE_ROWS(X, T)                                                                               \
    X(T, index_size, "index_size", I64, REQ, RANGE(0, INT64_MAX), "books that can be found")                           \
    X(T, embedded, "embedded", I64, REQ, RANGE(0, INT64_MAX),                                                          \
      "of them, those with a vector of the present model and template")                                                \
    X(T, pending, "pending", I64, REQ, RANGE(0, INT64_MAX), "books known to need a new vector")                        \
    X(T, failed, "failed", I64, OPT, RANGE(0, INT64_MAX), "books whose last attempt failed")                           \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "of the vectors; absent before the first")                       \
    X(T, dimension, "dimension", I64, OPT, RANGE(1, 65536), "of the vectors")                                          \
    X(T, backend, "backend", STR, OPT, LEN(1, 64), "memory, pgvector, opensearch")                                     \
    X(T, last_indexed_at, "last_indexed_at", STR, OPT, FORMAT(RFC3339), "when the last book came in")                  \
    HOPS_ROW(X, T)

#define BRIDGE_STATUS_RESPONSE_ROWS(X, T)                                                                              \
    X(T, state, "state", STR, REQ, ENUM("unconfigured", "untried", "connected", "failing"),                            \
      "unconfigured: no AWS credentials given; untried: nothing was sent yet; else how the latest request went")       \
    X(T, endpoint, "endpoint", STR, OPT, LEN(1, 2048), "where events go")                                              \
    X(T, region, "region", STR, OPT, LEN(1, 64), "AWS region")                                                         \
    X(T, events_out, "events_out", I64, REQ, RANGE(0, INT64_MAX), "events accepted by EventBridge since the start")    \
    X(T, events_in, "events_in", I64, REQ, RANGE(0, INT64_MAX), "events taken from AWS since the start")               \
    X(T, events_looped, "events_looped", I64, OPT, RANGE(0, INT64_MAX),                                                \
      "events not sent because they came from there")                                                                  \
    X(T, events_refused, "events_refused", I64, OPT, RANGE(0, INT64_MAX), "events that AWS refused for good")          \
    X(T, in_flight, "in_flight", I64, REQ, RANGE(0, INT64_MAX), "sent and not answered yet")                           \
    X(T, last_error, "last_error", STR, OPT, LEN(1, 512), "the latest failure")                                        \
    X(T, last_error_at, "last_error_at", STR, OPT, FORMAT(RFC3339), "when")                                            \
    X(T, last_success_at, "last_success_at", STR, OPT, FORMAT(RFC3339), "when EventBridge last answered a request")    \
    HOPS_ROW(X, T)

#define SEARCH_SCHEMAS(S)                                                                                              \
    S(search_filters, SEARCH_FILTERS_ROWS, "filters", "what a hit must be")                                            \
    S(search_query_request, SEARCH_QUERY_REQUEST_ROWS, "request", "look for books")                                    \
    S(search_hit, SEARCH_HIT_ROWS, "hit", "a book that was found")                                                     \
    S(search_query_response, SEARCH_QUERY_RESPONSE_ROWS, "response", "books that were found")                          \
    S(embed_status_response, EMBED_STATUS_RESPONSE_ROWS, "response", "size and progress of the index")                 \
    S(bridge_status_response, BRIDGE_STATUS_RESPONSE_ROWS, "response", "what the bridge carries, and how it fares")

#define SEARCH_CALLS(C, S)                                                                                             \
    C(CALL_SEARCH_QUERY, search_query_request, search_query_response, true, "look for books by meaning and by text")   \
    C(CALL_EMBED_STATUS, empty, embed_status_response, true, "size and progress of the index")                         \
    C(CALL_BRIDGE_STATUS, empty, bridge_status_response, true, "what the bridge carries, and how it fares")

/* clang-format on */

SEARCH_SCHEMAS(SCHEMA_DECLARE)

#endif
