/* common.h: the parts that several events and calls share. */
#ifndef PROTO_CONTRACT_COMMON_H
#define PROTO_CONTRACT_COMMON_H

#include "proto/schema.h"

/* The documents' limits count characters; ours count bytes, four to a character. */
#define CONTRACT_TITLE_BYTES 2000 /* 500 characters */
#define CONTRACT_TEXT_BYTES 32000 /* 8,000 characters: one message of a customer */
#define CONTRACT_ID_BYTES 128     /* sessions, users, orders, jobs, correlation */
#define CONTRACT_HOPS_MAX 64      /* of one answer */
#define CONTRACT_QUANTITY_MAX 99999999
#define CONTRACT_AMOUNT_MAX INT64_C(1000000000000) /* minor units */

/* clang-format off: one row, one member */

#define HOP_ROWS(X, T)                                                                                                 \
    X(T, service, "service", STR, REQ, LEN(1, 64), "who worked: chat-router, acl-erp, erp-sim, …")                     \
    X(T, operation, "operation", STR, REQ, LEN(1, 128), "what it did: a call's name, or the remote operation's")       \
    X(T, duration_us, "duration_us", I64, REQ, RANGE(0, INT64_MAX), "how long it took, as seen by who lists it")       \
    X(T, depth, "depth", I64, OPT, RANGE(0, 16), "0: caused by the caller itself, 1: by hop 0's work, …")              \
    X(T, start_us, "start_us", I64, OPT, RANGE(0, INT64_MAX),                                                          \
      "when it began, from the start of the outermost request")                                                        \
    X(T, detail, "detail", STR, OPT, LEN(0, 512), "a remark: cache hit, model, status, why it was skipped")

#define STOCK_LINE_ROWS(X, T)                                                                                          \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, warehouse_code, "warehouse_code", STR, REQ, LEN(1, 16), "where: TK01, …")                                     \
    X(T, quantity, "quantity", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "pieces that can be sold from there")        \
    X(T, status, "status", STR, REQ, ENUM(CONTRACT_STOCK_STATUS), "what the quantity means to a customer")             \
    X(T, title, "title", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "as the ERP has it")                                  \
    X(T, price_jpy, "price_jpy", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "whole yen")                                 \
    X(T, last_restock_date, "last_restock_date", STR, OPT, FORMAT(DATE), "when goods last came in")                    \
    X(T, eta_days, "eta_days", I64, OPT, RANGE(0, 3650), "days until goods are expected")                              \
    X(T, as_of, "as_of", STR, REQ, FORMAT(RFC3339), "when the ERP said so")                                            \
    X(T, stale_age_ms, "stale_age_ms", I64, OPT, RANGE(0, INT64_MAX),                                                  \
      "age of a kept answer that stands in for the ERP's; absent when the ERP itself answered")

#define BOOK_ROWS(X, T)                                                                                                \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, title, "title", STR, REQ, LEN(1, CONTRACT_TITLE_BYTES), "of the work, without the volume")                    \
    X(T, title_kana, "title_kana", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "reading, katakana")                        \
    X(T, title_en, "title_en", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "English title, where there is one")            \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "number in its series")                                           \
    X(T, volume_label, "volume_label", STR, OPT, LEN(1, 64), "where a volume has no number: 上, 下, 別巻")             \
    X(T, creators, "creators", STRS, OPT, EACH(0, 32, 1, 512), "authors and artists")                                  \
    X(T, publisher, "publisher", STR, OPT, LEN(1, 256), "publisher")                                                   \
    X(T, genres, "genres", STRS, OPT, EACH(0, 32, 1, 128), "genres")                                                   \
    X(T, synopsis, "synopsis", STR, OPT, LEN(0, 16000), "what it is about")                                            \
    X(T, price_jpy, "price_jpy", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "whole yen")                                 \
    X(T, published_on, "published_on", STR, OPT, FORMAT(DATE), "first day of sale")                                    \
    X(T, status, "status", STR, OPT, ENUM("active", "preorder", "discontinued"), "absent: active")                     \
    X(T, version, "version", I64, OPT, RANGE(0, INT64_MAX), "rises with every change; an older one never overwrites")  \
    X(T, updated_at, "updated_at", STR, OPT, FORMAT(RFC3339), "when it last changed at its source")

#define ORDER_LINE_ROWS(X, T)                                                                                          \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, quantity, "quantity", I64, REQ, RANGE(1, 9999), "how many")                                                   \
    X(T, unit_amount, "unit_amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX),                                          \
      "price of one, minor units of the currency")                                                                     \
    X(T, title, "title", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "as sold")                                            \
    X(T, warehouse_code, "warehouse_code", STR, OPT, LEN(1, 16), "where it is taken from, once that is known")

#define TOKEN_USAGE_ROWS(X, T)                                                                                         \
    X(T, input_tokens, "input_tokens", I64, REQ, RANGE(0, INT64_MAX), "read by the model")                             \
    X(T, output_tokens, "output_tokens", I64, REQ, RANGE(0, INT64_MAX), "written by it")

/* A document by bucket and key in the object store. */
#define OBJECT_REF_ROWS(X, T)                                                                                          \
    X(T, bucket, "bucket", STR, REQ, LEN(1, 128), "bucket")                                                            \
    X(T, key, "key", STR, REQ, LEN(1, 1024), "key")

/* A request that says nothing beyond its name. */
#define EMPTY_ROWS(X, T)

#define COMMON_SCHEMAS(S)                                                                                              \
    S(hop, HOP_ROWS, "hop", "one step on the way to an answer, and its time")                                          \
    S(stock_line, STOCK_LINE_ROWS, "stock_line", "stock of one book in one warehouse")                                 \
    S(book, BOOK_ROWS, "book", "one volume of the catalogue")                                                          \
    S(order_line, ORDER_LINE_ROWS, "order_line", "one position of an order")                                           \
    S(token_usage, TOKEN_USAGE_ROWS, "usage", "tokens of one model call")                                              \
    S(object_ref, OBJECT_REF_ROWS, "object_ref", "where a document lies")                                              \
    S(empty, EMPTY_ROWS, "request", "nothing is asked beyond the name")

/* clang-format on */

/* In the order of the ERP's codes 01 to 04; any other code is unknown. */
#define CONTRACT_STOCK_STATUS "in_stock", "low_stock", "out_of_stock", "preorder", "unknown"

COMMON_SCHEMAS(SCHEMA_DECLARE)

/* The row with which every response can say where the time went. */
#define HOPS_ROW(X, T)                                                                                                 \
    X(T, hops, "hops", OBJS(hop), OPT, COUNT(0, CONTRACT_HOPS_MAX), "where the time went, in the order of starting")

#endif
