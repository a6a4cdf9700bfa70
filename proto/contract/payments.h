/* payments.h: events of the payment gateway on the bus MangaAssist-AI-Events. */
#ifndef PROTO_CONTRACT_PAYMENTS_H
#define PROTO_CONTRACT_PAYMENTS_H

#include "proto/contract/ai.h"

#define PAYMENTS_SOURCE "mangaassist.payments"
#define PAYMENTS_COMPLETED "PaymentCompleted"
#define PAYMENTS_REFUND_PROCESSED "RefundProcessed"

/* clang-format off: one row, one member */

#define PAYMENT_COMPLETED_ROWS(X, T)                                                                                   \
    X(T, order_id, "order_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which order")                                     \
    X(T, payment_id, "payment_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "which payment")                               \
    X(T, customer_email, "customer_email", STR, OPT, LEN(3, 320), "where a confirmation goes")                         \
    X(T, amount, "amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX),                                                    \
      "minor units of the currency (yen have none: whole yen)")                                                        \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, items, "items", OBJS(order_line), OPT, COUNT(0, 500), "what was paid for")                                    \
    X(T, action, "action", STR, OPT, ENUM("generate_confirmation"), "what it asks for")                                \
    X(T, timestamp, "timestamp", STR, OPT, FORMAT(RFC3339), "when")

#define REFUND_PROCESSED_ROWS(X, T)                                                                                    \
    X(T, charge_id, "charge_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which charge was refunded")                     \
    X(T, refund_id, "refund_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "which refund")                                  \
    X(T, order_id, "order_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "of which order")                                  \
    X(T, amount, "amount", I64, REQ, RANGE(0, CONTRACT_AMOUNT_MAX), "refunded so far, minor units of the currency")    \
    X(T, currency, "currency", STR, REQ, FORMAT(CURRENCY), "ISO 4217")                                                 \
    X(T, timestamp, "timestamp", STR, OPT, FORMAT(RFC3339), "when")

#define PAYMENTS_SCHEMAS(S)                                                                                            \
    S(payment_completed, PAYMENT_COMPLETED_ROWS, "detail", "a checkout was paid")                                      \
    S(refund_processed, REFUND_PROCESSED_ROWS, "detail", "money went back")

#define PAYMENTS_EVENTS(E)                                                                                             \
    E(AI_BUS, PAYMENTS_SOURCE, PAYMENTS_COMPLETED, payment_completed, "a checkout was paid: a confirmation is due")    \
    E(AI_BUS, PAYMENTS_SOURCE, PAYMENTS_REFUND_PROCESSED, refund_processed, "money went back")

/* clang-format on */

PAYMENTS_SCHEMAS(SCHEMA_DECLARE)

#endif
