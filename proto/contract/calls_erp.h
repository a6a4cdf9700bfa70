/* calls_erp.h: erp.*, served by acl-erp: ERP, order system and payment gateway, with nothing legacy in it. */
#ifndef PROTO_CONTRACT_CALLS_ERP_H
#define PROTO_CONTRACT_CALLS_ERP_H

#include "proto/contract/common.h"

#define CALL_ERP_STOCK_GET "erp.stock.get"
#define CALL_ERP_STOCK_BATCH "erp.stock.batch"
#define CALL_ERP_CATALOG_PAGE "erp.catalog.page"
#define CALL_ERP_ORDER_GET "erp.order.get"
#define CALL_ERP_ORDER_LIST "erp.order.list"
#define CALL_ERP_PAYMENT_GET "erp.payment.get"
#define CALL_ERP_PAYMENT_REFUND "erp.payment.refund"
#define CALL_ERP_PRODUCT_SUMMARY "erp.product.summary"

#define ERP_STOCK_BATCH_MAX 200   /* ISBNs in one erp.stock.batch */
#define ERP_WAREHOUSES_MAX 64     /* lines for one book */
#define ERP_CATALOG_PAGE_MAX 500  /* books in one page */
#define ERP_STOCK_LINES_MAX 12800 /* ERP_STOCK_BATCH_MAX * ERP_WAREHOUSES_MAX */

/* clang-format off: one row, one member */

#define ERP_STOCK_GET_REQUEST_ROWS(X, T)                                                                               \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, warehouse_code, "warehouse_code", STR, OPT, LEN(1, 16), "absent: all warehouses")                             \
    X(T, max_stale_ms, "max_stale_ms", I64, OPT, RANGE(0, INT64_MAX),                                                  \
      "oldest kept answer to stand in when the ERP does not answer; 0: none, absent: any")

#define ERP_STOCK_GET_RESPONSE_ROWS(X, T)                                                                              \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, lines, "lines", OBJS(stock_line), REQ, COUNT(1, ERP_WAREHOUSES_MAX),                                          \
      "one for each warehouse; a book that none has heard of is NOT_FOUND")                                            \
    X(T, total_quantity, "total_quantity", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "over the lines")                \
    HOPS_ROW(X, T)

#define ERP_STOCK_BATCH_REQUEST_ROWS(X, T)                                                                             \
    X(T, isbns, "isbns", STRS, REQ, EACH_FORMAT(1, ERP_STOCK_BATCH_MAX, ISBN13), "which books")                        \
    X(T, warehouse_code, "warehouse_code", STR, OPT, LEN(1, 16), "absent: all warehouses")                             \
    X(T, max_stale_ms, "max_stale_ms", I64, OPT, RANGE(0, INT64_MAX), "as in erp.stock.get")

#define ERP_STOCK_BATCH_RESPONSE_ROWS(X, T)                                                                            \
    X(T, lines, "lines", OBJS(stock_line), REQ, COUNT(0, ERP_STOCK_LINES_MAX), "grouped by book, in the order asked")  \
    X(T, missing, "missing", STRS, OPT, EACH_FORMAT(0, ERP_STOCK_BATCH_MAX, ISBN13),                                   \
      "books that the ERP does not know")                                                                              \
    X(T, failed, "failed", STRS, OPT, EACH_FORMAT(0, ERP_STOCK_BATCH_MAX, ISBN13),                                     \
      "books it did not answer for, and of which no copy is kept")                                                     \
    HOPS_ROW(X, T)

#define ERP_CATALOG_PAGE_REQUEST_ROWS(X, T)                                                                            \
    X(T, cursor, "cursor", STR, OPT, LEN(1, 256), "next_cursor of the page before; absent: the first page")            \
    X(T, page_size, "page_size", I64, OPT, RANGE(1, ERP_CATALOG_PAGE_MAX), "absent: 100")                              \
    X(T, changed_since, "changed_since", STR, OPT, FORMAT(RFC3339), "only what changed from then on")

#define ERP_CATALOG_PAGE_RESPONSE_ROWS(X, T)                                                                           \
    X(T, items, "items", OBJS(book), REQ, COUNT(0, ERP_CATALOG_PAGE_MAX), "in ISBN order")                             \
    X(T, next_cursor, "next_cursor", STR, OPT, LEN(1, 256), "absent: this was the last page")                          \
    X(T, total, "total", I64, OPT, RANGE(0, INT64_MAX), "books in the whole list, where the ERP says so")              \
    X(T, rejected, "rejected", OBJS(erp_rejected_item), OPT, COUNT(0, ERP_CATALOG_PAGE_MAX),                           \
      "entries that are no valid book: for the quarantine")                                                            \
    HOPS_ROW(X, T)

#define ERP_REJECTED_ITEM_ROWS(X, T)                                                                                   \
    X(T, key, "key", STR, REQ, LEN(0, 256), "what the ERP calls it")                                                   \
    X(T, reason, "reason", STR, REQ, LEN(1, 512), "the path and what is wrong")                                        \
    X(T, raw, "raw", STR, OPT, LEN(0, 16000), "the entry as it came, in UTF-8")

#define ERP_ORDER_ROWS(X, T)                                                                                           \
    X(T, order_id, "order_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which order")                                     \
    X(T, customer_id, "customer_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "whose")                                     \
    X(T, status, "status", STR, REQ,                                                                                   \
      ENUM("placed", "paid", "packed", "shipped", "delivered", "cancelled", "returned", "unknown"), "where it stands") \
    X(T, items, "items", OBJS(order_line), REQ, COUNT(0, 500), "positions")                                            \
    X(T, total_amount, "total_amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX), "minor units of the currency")         \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, placed_at, "placed_at", STR, REQ, FORMAT(RFC3339), "when it was placed")                                      \
    X(T, updated_at, "updated_at", STR, OPT, FORMAT(RFC3339), "when its status last changed")                          \
    X(T, tracking_number, "tracking_number", STR, OPT, LEN(1, 128), "of the parcel")                                   \
    X(T, expected_on, "expected_on", STR, OPT, FORMAT(DATE), "when the parcel should arrive")

#define ERP_ORDER_GET_REQUEST_ROWS(X, T)                                                                               \
    X(T, order_id, "order_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which order")                                     \
    X(T, customer_id, "customer_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES),                                              \
      "given: another customer's order is NOT_FOUND")                                                                  \
    X(T, max_stale_ms, "max_stale_ms", I64, OPT, RANGE(0, INT64_MAX), "as in erp.stock.get")

#define ERP_ORDER_GET_RESPONSE_ROWS(X, T)                                                                              \
    X(T, order, "order", OBJ(erp_order), REQ, NONE, "the order")                                                       \
    X(T, stale_age_ms, "stale_age_ms", I64, OPT, RANGE(0, INT64_MAX),                                                  \
      "age of a kept answer; absent when the order system itself answered")                                            \
    HOPS_ROW(X, T)

#define ERP_ORDER_LIST_REQUEST_ROWS(X, T)                                                                              \
    X(T, customer_id, "customer_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "whose orders")                              \
    X(T, cursor, "cursor", STR, OPT, LEN(1, 256), "next_cursor of the page before; absent: the first page")            \
    X(T, page_size, "page_size", I64, OPT, RANGE(1, 100), "absent: 20")

#define ERP_ORDER_LIST_RESPONSE_ROWS(X, T)                                                                             \
    X(T, orders, "orders", OBJS(erp_order), REQ, COUNT(0, 100), "newest first")                                        \
    X(T, next_cursor, "next_cursor", STR, OPT, LEN(1, 256), "absent: this was the last page")                          \
    X(T, stale_age_ms, "stale_age_ms", I64, OPT, RANGE(0, INT64_MAX), "as in erp.order.get")                           \
    HOPS_ROW(X, T)

#define ERP_PAYMENT_ROWS(X, T)                                                                                         \
    X(T, payment_id, "payment_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which payment")                               \
    X(T, order_id, "order_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "of which order")                                  \
    X(T, amount, "amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX), "minor units of the currency")                     \
    X(T, refunded_amount, "refunded_amount", I64, OPT, RANGE(0, CONTRACT_AMOUNT_MAX), "given back so far")             \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, status, "status", STR, REQ,                                                                                   \
      ENUM("pending", "authorized", "completed", "failed", "partially_refunded", "refunded", "unknown"),               \
      "where it stands")                                                                                               \
    X(T, method, "method", STR, OPT, LEN(1, 64), "card, konbini, transfer, …; never a number")                         \
    X(T, created_at, "created_at", STR, OPT, FORMAT(RFC3339), "when it was made")

#define ERP_PAYMENT_GET_REQUEST_ROWS(X, T)                                                                             \
    X(T, payment_id, "payment_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "either this")                                 \
    X(T, order_id, "order_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "or the order's last payment")

#define ERP_PAYMENT_GET_RESPONSE_ROWS(X, T)                                                                            \
    X(T, payment, "payment", OBJ(erp_payment), REQ, NONE, "the payment; never a kept answer")                          \
    HOPS_ROW(X, T)

#define ERP_PAYMENT_REFUND_REQUEST_ROWS(X, T)                                                                          \
    X(T, payment_id, "payment_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which payment")                               \
    X(T, amount, "amount", I64, OPT, RANGE(1, CONTRACT_AMOUNT_MAX), "minor units; absent: all that is left")           \
    X(T, reason, "reason", STR, OPT, LEN(1, 512), "for the people who read it")                                        \
    X(T, idempotency_key, "idempotency_key", STR, REQ, LEN(1, CONTRACT_ID_BYTES),                                      \
      "the same key refunds once, however often it is sent")

#define ERP_PAYMENT_REFUND_RESPONSE_ROWS(X, T)                                                                         \
    X(T, refund_id, "refund_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which refund")                                  \
    X(T, payment, "payment", OBJ(erp_payment), REQ, NONE, "the payment after it")                                      \
    X(T, amount, "amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX), "given back by it, minor units")                   \
    X(T, status, "status", STR, REQ, ENUM("pending", "completed", "failed"), "where it stands")                        \
    HOPS_ROW(X, T)

#define ERP_PRODUCT_SUMMARY_REQUEST_ROWS(X, T)                                                                         \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, customer_id, "customer_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "given: that customer's orders of it too")

#define ERP_PRODUCT_SUMMARY_RESPONSE_ROWS(X, T)                                                                        \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, book, "book", OBJ(book), OPT, NONE, "as the ERP's catalogue has it")                                          \
    X(T, lines, "lines", OBJS(stock_line), OPT, COUNT(0, ERP_WAREHOUSES_MAX), "stock")                                 \
    X(T, orders, "orders", OBJS(erp_order), OPT, COUNT(0, 100), "the customer's orders with it")                       \
    X(T, degraded, "degraded", STRS, OPT, EACH(0, 16, 1, 128),                                                         \
      "parts that could not be had in time: catalog, stock, orders")                                                   \
    HOPS_ROW(X, T)

#define ERP_SCHEMAS(S)                                                                                                 \
    S(erp_stock_get_request, ERP_STOCK_GET_REQUEST_ROWS, "request", "stock of one book")                               \
    S(erp_stock_get_response, ERP_STOCK_GET_RESPONSE_ROWS, "response", "its stock, by warehouse")                      \
    S(erp_stock_batch_request, ERP_STOCK_BATCH_REQUEST_ROWS, "request", "stock of many books")                         \
    S(erp_stock_batch_response, ERP_STOCK_BATCH_RESPONSE_ROWS, "response", "their stock, by warehouse")                \
    S(erp_rejected_item, ERP_REJECTED_ITEM_ROWS, "rejected", "an entry that is no valid book")                         \
    S(erp_catalog_page_request, ERP_CATALOG_PAGE_REQUEST_ROWS, "request", "a page of the ERP's catalogue")             \
    S(erp_catalog_page_response, ERP_CATALOG_PAGE_RESPONSE_ROWS, "response", "that page")                              \
    S(erp_order, ERP_ORDER_ROWS, "order", "an order")                                                                  \
    S(erp_order_get_request, ERP_ORDER_GET_REQUEST_ROWS, "request", "one order")                                       \
    S(erp_order_get_response, ERP_ORDER_GET_RESPONSE_ROWS, "response", "that order")                                   \
    S(erp_order_list_request, ERP_ORDER_LIST_REQUEST_ROWS, "request", "a customer's orders")                           \
    S(erp_order_list_response, ERP_ORDER_LIST_RESPONSE_ROWS, "response", "a page of them")                             \
    S(erp_payment, ERP_PAYMENT_ROWS, "payment", "a payment")                                                           \
    S(erp_payment_get_request, ERP_PAYMENT_GET_REQUEST_ROWS, "request", "one payment")                                 \
    S(erp_payment_get_response, ERP_PAYMENT_GET_RESPONSE_ROWS, "response", "that payment")                             \
    S(erp_payment_refund_request, ERP_PAYMENT_REFUND_REQUEST_ROWS, "request", "give money back")                       \
    S(erp_payment_refund_response, ERP_PAYMENT_REFUND_RESPONSE_ROWS, "response", "what became of it")                  \
    S(erp_product_summary_request, ERP_PRODUCT_SUMMARY_REQUEST_ROWS, "request",                                        \
      "all that the backends know of a book")                                                                          \
    S(erp_product_summary_response, ERP_PRODUCT_SUMMARY_RESPONSE_ROWS, "response",                                     \
      "catalogue entry, stock and orders in one")

#define ERP_CALLS(C, S)                                                                                                \
    C(CALL_ERP_STOCK_GET, erp_stock_get_request, erp_stock_get_response, true, "stock of one book, by warehouse")      \
    C(CALL_ERP_STOCK_BATCH, erp_stock_batch_request, erp_stock_batch_response, true,                                   \
      "stock of up to 200 books, by warehouse")                                                                        \
    C(CALL_ERP_CATALOG_PAGE, erp_catalog_page_request, erp_catalog_page_response, true,                                \
      "a page of the ERP's catalogue")                                                                                 \
    C(CALL_ERP_ORDER_GET, erp_order_get_request, erp_order_get_response, true, "one order")                            \
    C(CALL_ERP_ORDER_LIST, erp_order_list_request, erp_order_list_response, true, "a customer's orders")               \
    C(CALL_ERP_PAYMENT_GET, erp_payment_get_request, erp_payment_get_response, true, "one payment")                    \
    C(CALL_ERP_PAYMENT_REFUND, erp_payment_refund_request, erp_payment_refund_response, true,                          \
      "give money back, once per key")                                                                                 \
    C(CALL_ERP_PRODUCT_SUMMARY, erp_product_summary_request, erp_product_summary_response, true,                       \
      "catalogue entry, stock and orders of a book in one")

/* clang-format on */

ERP_SCHEMAS(SCHEMA_DECLARE)

#endif
