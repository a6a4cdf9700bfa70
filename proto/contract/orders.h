/* orders.h: events of the bus manga-assist-orders. */
#ifndef PROTO_CONTRACT_ORDERS_H
#define PROTO_CONTRACT_ORDERS_H

#include "proto/contract/common.h"

#define ORDERS_BUS "manga-assist-orders"
#define ORDERS_SOURCE "manga-assist.orders"
#define ORDERS_ORDER_PLACED "order.placed"
#define ORDERS_PAYMENT_COMPLETED "payment.completed"

/* clang-format off: one row, one member */

#define ORDER_PLACED_ROWS(X, T)                                                                                        \
    X(T, order_id, "order_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which order")                                     \
    X(T, customer_id, "customer_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "who ordered")                               \
    X(T, items, "items", OBJS(order_line), REQ, COUNT(1, 500), "what")                                                 \
    X(T, total_amount, "total_amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX),                                        \
      "minor units of the currency (yen have none: whole yen)")                                                        \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, placed_at, "placed_at", STR, REQ, FORMAT(RFC3339), "when")                                                    \
    X(T, channel, "channel", STR, OPT, LEN(1, 64), "chat, web, store, …")                                              \
    X(T, correlation_id, "correlation_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES),                                        \
      "follows the order through all services")

#define ORDER_PAYMENT_ROWS(X, T)                                                                                       \
    X(T, payment_id, "payment_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which payment")                               \
    X(T, order_id, "order_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "of which order")                                  \
    X(T, amount, "amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX), "minor units of the currency")                     \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, completed_at, "completed_at", STR, REQ, FORMAT(RFC3339), "when")                                              \
    X(T, method, "method", STR, OPT, LEN(1, 64), "card, konbini, transfer, …")                                         \
    X(T, correlation_id, "correlation_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "as in the order")

#define ORDERS_SCHEMAS(S)                                                                                              \
    S(order_placed, ORDER_PLACED_ROWS, "detail", "a customer ordered")                                                 \
    S(order_payment, ORDER_PAYMENT_ROWS, "detail", "an order is paid")

#define ORDERS_EVENTS(E)                                                                                               \
    E(ORDERS_BUS, ORDERS_SOURCE, ORDERS_ORDER_PLACED, order_placed, "a customer ordered: for order management")        \
    E(ORDERS_BUS, ORDERS_SOURCE, ORDERS_PAYMENT_COMPLETED, order_payment, "an order is paid: for the ERP")

/* clang-format on */

ORDERS_SCHEMAS(SCHEMA_DECLARE)

#endif
