/* calls_chat.h: chat.send, search.answer and recommend, served by chat-router. */
#ifndef PROTO_CONTRACT_CALLS_CHAT_H
#define PROTO_CONTRACT_CALLS_CHAT_H

#include "proto/contract/common.h"

#define CALL_CHAT_SEND "chat.send"
#define CALL_SEARCH_ANSWER "search.answer"
#define CALL_RECOMMEND "recommend"

/* clang-format off: one row, one member */

#define CITATION_ROWS(X, T)                                                                                            \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, title, "title", STR, REQ, LEN(1, CONTRACT_TITLE_BYTES), "its title")                                          \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "number in its series")                                           \
    X(T, score, "score", F64, OPT, NONE, "how well it fits, as the search said; greater is better")

#define CHAT_SEND_REQUEST_ROWS(X, T)                                                                                   \
    X(T, text, "text", STR, REQ, LEN(1, CONTRACT_TEXT_BYTES), "what the customer wrote")                               \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "conversation; absent: a new one")             \
    X(T, user_id, "user_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "who wrote, where known")                            \
    X(T, locale, "locale", STR, OPT, ENUM("ja", "en", "auto"), "preferred language; absent: auto")                     \
    X(T, model_preference, "model_preference", STR, OPT, ENUM("auto", "fast", "quality"), "absent: auto")              \
    X(T, message_id, "message_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES),                                                \
      "sent again, the same id gets the same answer")                                                                  \
    X(T, max_age_ms, "max_age_ms", I64, OPT, RANGE(0, 86400000), "oldest kept answer that may be given; 0: none")

#define CHAT_SEND_CHUNK_ROWS(X, T)                                                                                     \
    X(T, text, "text", STR, REQ, LEN(1, 65536), "the next piece of the answer; the pieces together are `answer`")

#define CHAT_SEND_RESPONSE_ROWS(X, T)                                                                                  \
    X(T, session_id, "session_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "conversation")                                \
    X(T, message_id, "message_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "of the customer's message")                   \
    X(T, answer, "answer", STR, REQ, LEN(0, 65536), "the whole answer")                                                \
    X(T, language, "language", STR, REQ, ENUM("ja", "en"), "of the answer")                                            \
    X(T, intent, "intent", STR, REQ, LEN(1, 64), "what the message was taken for: inventory_check, search, …")         \
    X(T, citations, "citations", OBJS(citation), OPT, COUNT(0, 50), "books the answer speaks of")                      \
    X(T, stock, "stock", OBJS(stock_line), OPT, COUNT(0, 1000), "stock the answer rests on")                           \
    X(T, cached, "cached", BOOL, REQ, NONE, "a kept answer was given")                                                 \
    X(T, cache_age_ms, "cache_age_ms", I64, OPT, RANGE(0, INT64_MAX), "of a kept answer")                              \
    X(T, degraded, "degraded", STRS, OPT, EACH(0, 16, 1, 128),                                                         \
      "parts that could not be had in time: stock, search, model, …")                                                  \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "absent when no model took part")                                \
    X(T, usage, "usage", OBJ(token_usage), OPT, NONE, "over all model calls of this answer")                           \
    X(T, cost_usd_micros, "cost_usd_micros", I64, OPT, RANGE(0, INT64_MAX), "over all model calls of this answer")     \
    X(T, latency_ms, "latency_ms", I64, REQ, RANGE(0, INT64_MAX),                                                      \
      "from receiving the message to the end of the answer")                                                           \
    HOPS_ROW(X, T)

#define SEARCH_ANSWER_REQUEST_ROWS(X, T)                                                                               \
    X(T, text, "text", STR, REQ, LEN(1, CONTRACT_TEXT_BYTES), "the question")                                          \
    X(T, locale, "locale", STR, OPT, ENUM("ja", "en", "auto"), "absent: auto")                                         \
    X(T, limit, "limit", I64, OPT, RANGE(1, 50), "books to rest the answer on; absent: 5")                             \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "for the ledger")

#define SEARCH_ANSWER_RESPONSE_ROWS(X, T)                                                                              \
    X(T, answer, "answer", STR, REQ, LEN(0, 65536), "the answer")                                                      \
    X(T, language, "language", STR, REQ, ENUM("ja", "en"), "of the answer")                                            \
    X(T, citations, "citations", OBJS(citation), REQ, COUNT(0, 50), "books it rests on, best first")                   \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "absent when no model took part")                                \
    X(T, degraded, "degraded", STRS, OPT, EACH(0, 16, 1, 128), "parts that could not be had in time")                  \
    X(T, latency_ms, "latency_ms", I64, REQ, RANGE(0, INT64_MAX), "in all")                                            \
    HOPS_ROW(X, T)

#define RECOMMENDATION_ROWS(X, T)                                                                                      \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, title, "title", STR, REQ, LEN(1, CONTRACT_TITLE_BYTES), "its title")                                          \
    X(T, volume, "volume", I64, OPT, RANGE(0, 9999), "number in its series")                                           \
    X(T, score, "score", F64, OPT, NONE, "greater is better")                                                          \
    X(T, reason, "reason", STR, OPT, LEN(1, 1000), "why, for the customer")

#define RECOMMEND_REQUEST_ROWS(X, T)                                                                                   \
    X(T, customer_id, "customer_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES),                                              \
      "for whom; by their orders and conversations")                                                                   \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "by this conversation")                        \
    X(T, isbns, "isbns", STRS, OPT, EACH_FORMAT(0, 50, ISBN13), "by likeness to these")                                \
    X(T, text, "text", STR, OPT, LEN(1, CONTRACT_TEXT_BYTES), "by this wish")                                          \
    X(T, limit, "limit", I64, OPT, RANGE(1, 50), "absent: 10")                                                         \
    X(T, locale, "locale", STR, OPT, ENUM("ja", "en", "auto"), "of the reasons; absent: auto")

#define RECOMMEND_RESPONSE_ROWS(X, T)                                                                                  \
    X(T, items, "items", OBJS(recommendation), REQ, COUNT(0, 50), "best first")                                        \
    X(T, strategy, "strategy", STR, REQ, LEN(1, 64), "how they were found")                                            \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "absent when no model took part")                                \
    HOPS_ROW(X, T)

#define CHAT_SCHEMAS(S)                                                                                                \
    S(citation, CITATION_ROWS, "citation", "a book that an answer speaks of")                                          \
    S(chat_send_request, CHAT_SEND_REQUEST_ROWS, "request", "a customer's message")                                    \
    S(chat_send_chunk, CHAT_SEND_CHUNK_ROWS, "chunk", "a piece of the answer, as it is made")                          \
    S(chat_send_response, CHAT_SEND_RESPONSE_ROWS, "response", "the answer, and what it rests on")                     \
    S(search_answer_request, SEARCH_ANSWER_REQUEST_ROWS, "request", "a question to the catalogue")                     \
    S(search_answer_response, SEARCH_ANSWER_RESPONSE_ROWS, "response", "an answer resting on what was found")          \
    S(recommendation, RECOMMENDATION_ROWS, "item", "one recommended book")                                             \
    S(recommend_request, RECOMMEND_REQUEST_ROWS, "request", "what to recommend by; nothing given: what sells")         \
    S(recommend_response, RECOMMEND_RESPONSE_ROWS, "response", "recommended books")

#define CHAT_CALLS(C, S)                                                                                               \
    S(CALL_CHAT_SEND, chat_send_request, chat_send_response, chat_send_chunk, false, "answer a customer, streamed")    \
    C(CALL_SEARCH_ANSWER, search_answer_request, search_answer_response, true, "answer a question from the catalogue") \
    C(CALL_RECOMMEND, recommend_request, recommend_response, true, "recommend books")

/* clang-format on */

CHAT_SCHEMAS(SCHEMA_DECLARE)

#endif
