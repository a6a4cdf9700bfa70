/* calls_catalog.h: catalog.get and sync.*, served by sync-reconciler. */
#ifndef PROTO_CONTRACT_CALLS_CATALOG_H
#define PROTO_CONTRACT_CALLS_CATALOG_H

#include "proto/contract/common.h"

#define CALL_CATALOG_GET "catalog.get"
#define CALL_SYNC_START "sync.start"
#define CALL_SYNC_STATUS "sync.status"

#define CATALOG_GET_MAX 200 /* books in one answer */
#define CATALOG_SYNC_QUEUE "manga-catalog-sync"

/* clang-format off: one row, one member */

#define CATALOG_GET_REQUEST_ROWS(X, T)                                                                                 \
    X(T, isbns, "isbns", STRS, OPT, EACH_FORMAT(1, CATALOG_GET_MAX, ISBN13), "either these books")                     \
    X(T, title, "title", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES),                                                       \
      "or those of this title or reading, in any width, case and kana")                                                \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "with title: this volume alone")                                  \
    X(T, limit, "limit", I64, OPT, RANGE(1, CATALOG_GET_MAX), "with title; absent: 50")

#define CATALOG_GET_RESPONSE_ROWS(X, T)                                                                                \
    X(T, items, "items", OBJS(book), REQ, COUNT(0, CATALOG_GET_MAX),                                                   \
      "in the order asked; by title: exact title first, then by volume")                                               \
    X(T, missing, "missing", STRS, OPT, EACH_FORMAT(0, CATALOG_GET_MAX, ISBN13),                                       \
      "of the asked ISBNs, those not in the catalogue")                                                                \
    HOPS_ROW(X, T)

#define SYNC_START_REQUEST_ROWS(X, T)                                                                                  \
    X(T, kind, "kind", STR, OPT, ENUM("full", "incremental"), "absent: full")                                          \
    X(T, resume, "resume", BOOL, OPT, NONE, "false: from the start, whatever checkpoint there is; absent: true")       \
    X(T, reason, "reason", STR, OPT, LEN(1, 128), "schedule, operator, first start, …")

#define SYNC_START_RESPONSE_ROWS(X, T)                                                                                 \
    X(T, run_id, "run_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "of the run that is now going on")                     \
    X(T, started, "started", BOOL, REQ, NONE, "false: one was going on already")                                       \
    HOPS_ROW(X, T)

#define SYNC_STATUS_REQUEST_ROWS(X, T)                                                                                 \
    X(T, run_id, "run_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "absent: the latest run")

#define SYNC_STATUS_RESPONSE_ROWS(X, T)                                                                                \
    X(T, state, "state", STR, REQ, ENUM("idle", "running", "completed", "failed"), "idle: there never was a run")      \
    X(T, run_id, "run_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "absent when idle")                                    \
    X(T, kind, "kind", STR, OPT, ENUM("full", "incremental"), "of the run")                                            \
    X(T, started_at, "started_at", STR, OPT, FORMAT(RFC3339), "when it began")                                         \
    X(T, finished_at, "finished_at", STR, OPT, FORMAT(RFC3339), "when it ended")                                       \
    X(T, items_total, "items_total", I64, OPT, RANGE(0, INT64_MAX), "to do, where the ERP says so")                    \
    X(T, items_done, "items_done", I64, REQ, RANGE(0, INT64_MAX), "read and judged")                                   \
    X(T, items_changed, "items_changed", I64, OPT, RANGE(0, INT64_MAX), "new or different from before")                \
    X(T, items_quarantined, "items_quarantined", I64, OPT, RANGE(0, INT64_MAX), "held back by a quality gate")         \
    X(T, stock_done, "stock_done", I64, OPT, RANGE(0, INT64_MAX), "books whose stock was read")                        \
    X(T, catalog_size, "catalog_size", I64, REQ, RANGE(0, INT64_MAX), "books in the catalogue now")                    \
    X(T, error, "error", STR, OPT, LEN(1, 512), "of a failed run, or what it waits for")                               \
    HOPS_ROW(X, T)

#define CATALOG_SYNC_MESSAGE_ROWS(X, T)                                                                                \
    X(T, job_type, "jobType", STR, REQ, ENUM("catalog_sync"), "what to do")                                            \
    X(T, kind, "kind", STR, OPT, ENUM("full", "incremental"), "absent: full")

#define CATALOG_CALL_SCHEMAS(S)                                                                                        \
    S(catalog_get_request, CATALOG_GET_REQUEST_ROWS, "request", "catalogue entries by ISBN, or by title and volume")   \
    S(catalog_get_response, CATALOG_GET_RESPONSE_ROWS, "response", "those entries")                                    \
    S(sync_start_request, SYNC_START_REQUEST_ROWS, "request", "begin to load the catalogue")                           \
    S(sync_start_response, SYNC_START_RESPONSE_ROWS, "response", "the run that is going on")                           \
    S(sync_status_request, SYNC_STATUS_REQUEST_ROWS, "request", "how far the loading is")                              \
    S(sync_status_response, SYNC_STATUS_RESPONSE_ROWS, "response", "how far it is")                                    \
    S(catalog_sync_message, CATALOG_SYNC_MESSAGE_ROWS, "body", "the nightly order to load the catalogue")

#define CATALOG_CALLS(C, S)                                                                                            \
    C(CALL_CATALOG_GET, catalog_get_request, catalog_get_response, true,                                               \
      "catalogue entries by ISBN, or by title and volume")                                                             \
    C(CALL_SYNC_START, sync_start_request, sync_start_response, true,                                                  \
      "begin to load the catalogue; joins a run that goes on")                                                         \
    C(CALL_SYNC_STATUS, sync_status_request, sync_status_response, true, "how far the loading is")

#define CATALOG_MESSAGES(M) M(CATALOG_SYNC_QUEUE, catalog_sync_message, "the nightly order to load the catalogue")

/* clang-format on */

CATALOG_CALL_SCHEMAS(SCHEMA_DECLARE)

#endif
