/* reviews.h: events of customers' reviews on the bus MangaAssist-AI-Events. */
#ifndef PROTO_CONTRACT_REVIEWS_H
#define PROTO_CONTRACT_REVIEWS_H

#include "proto/contract/ai.h"

#define REVIEWS_SOURCE "mangaassist.reviews"
#define REVIEWS_SUBMITTED "ReviewSubmitted"

/* clang-format off: one row, one member */

#define REVIEW_SUBMITTED_ROWS(X, T)                                                                                    \
    X(T, review_id, "review_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which review")                                  \
    X(T, product_id, "product_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "of what: an ISBN or the shop's number")       \
    X(T, review_text, "review_text", STR, REQ, LEN(1, 8000), "2,000 characters at most; the shop cuts longer ones")    \
    X(T, rating, "rating", I64, OPT, RANGE(1, 5), "stars; absent when none were given")                                \
    X(T, customer_id, "customer_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "who wrote it")                              \
    X(T, actions, "actions", STRS, OPT,                                                                                \
      EACH_ENUM(0, 8, "sentiment_analysis", "content_moderation", "response_generation"), "what it asks for")          \
    X(T, timestamp, "timestamp", STR, OPT, FORMAT(RFC3339), "when")

#define REVIEWS_SCHEMAS(S) S(review_submitted, REVIEW_SUBMITTED_ROWS, "detail", "a customer reviewed a book")

#define REVIEWS_EVENTS(E) E(AI_BUS, REVIEWS_SOURCE, REVIEWS_SUBMITTED, review_submitted, "a customer reviewed a book")

/* clang-format on */

REVIEWS_SCHEMAS(SCHEMA_DECLARE)

#endif
