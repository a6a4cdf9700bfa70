/* ai.h: events of chat and models on the bus MangaAssist-AI-Events. */
#ifndef PROTO_CONTRACT_AI_H
#define PROTO_CONTRACT_AI_H

#include "proto/contract/common.h"

#define AI_BUS "MangaAssist-AI-Events"
#define AI_CHAT_SOURCE "mangaassist.chat"
#define AI_SOURCE "mangaassist.ai"
#define AI_MESSAGE_RECEIVED "MessageReceived"
#define AI_INFERENCE_COMPLETED "InferenceCompleted"
#define AI_MODERATION_FLAGGED "ModerationFlagged"
#define AI_RECOMMENDATION_GENERATED "RecommendationGenerated"
#define AI_ENRICHMENT_COMPLETED "EnrichmentCompleted"

/* clang-format off: one row, one member */

#define MESSAGE_RECEIVED_ROWS(X, T)                                                                                    \
    X(T, session_id, "session_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "conversation")                                \
    X(T, message_id, "message_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "this message")                                \
    X(T, user_id, "user_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "who wrote, where known")                            \
    X(T, text, "text", STR, REQ, LEN(1, CONTRACT_TEXT_BYTES), "what was written, NFC")                                 \
    X(T, locale, "locale", STR, OPT, ENUM("ja", "en"), "language found or preferred")                                  \
    X(T, intent, "intent", STR, OPT, LEN(1, 64), "what it was taken for")                                              \
    X(T, isbns, "isbns", STRS, OPT, EACH_FORMAT(0, 50, ISBN13), "books it was found to be about")                      \
    X(T, channel, "channel", STR, OPT, LEN(1, 64), "chat, api, …")                                                     \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define INFERENCE_METRICS_ROWS(X, T)                                                                                   \
    X(T, input_tokens, "input_tokens", I64, REQ, RANGE(0, INT64_MAX), "read by the model")                             \
    X(T, output_tokens, "output_tokens", I64, REQ, RANGE(0, INT64_MAX), "written by it")                               \
    X(T, latency_ms, "latency_ms", I64, REQ, RANGE(0, INT64_MAX), "from request to last byte")                         \
    X(T, first_token_ms, "first_token_ms", I64, OPT, RANGE(0, INT64_MAX), "from request to first text")                \
    X(T, cost_usd_micros, "cost_usd_micros", I64, REQ, RANGE(0, INT64_MAX), "micro US dollars, for sums")              \
    X(T, estimated_cost_usd, "estimated_cost_usd", STR, OPT, LEN(1, 32), "the same as decimal text, six places")

#define INFERENCE_COMPLETED_ROWS(X, T)                                                                                 \
    X(T, inference_id, "inference_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "one model call; the ledger's key")        \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES),                                                \
      "absent for work that no conversation asked for")                                                                \
    X(T, model_id, "model_id", STR, REQ, LEN(1, 256), "the provider's name of the model")                              \
    X(T, status, "status", STR, REQ, ENUM("success", "error"), "error when nothing useful came back")                  \
    X(T, purpose, "purpose", STR, OPT, LEN(1, 64), "intent, answer, enrichment, …")                                    \
    X(T, metrics, "metrics", OBJ(inference_metrics), REQ, NONE, "tokens, time, cost")                                  \
    X(T, response_summary, "response_summary", STR, OPT, LEN(0, 2000), "the first 500 characters")                     \
    X(T, fallback_from, "fallback_from", STR, OPT, LEN(1, 256), "model that was to answer first")                      \
    X(T, error, "error", STR, OPT, LEN(1, 512), "of an error")                                                         \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when it ended")

#define MODERATION_FLAGGED_ROWS(X, T)                                                                                  \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "conversation, where there is one")            \
    X(T, subject_id, "subject_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "review or message that was flagged")          \
    X(T, content_hash, "content_hash", STR, REQ, FORMAT(SHA256), "of the whole content")                               \
    X(T, content_preview, "content_preview", STR, OPT, LEN(0, 800), "its first 200 characters")                        \
    X(T, severity, "severity", STR, REQ, ENUM("low", "medium", "high", "critical"), "how bad")                         \
    X(T, flagged_categories, "flagged_categories", STRS, REQ, EACH(1, 32, 1, 128), "why")                              \
    X(T, confidence, "confidence", F64, OPT, FRANGE(0.0, 1.0), "how sure")                                             \
    X(T, model_id, "model_id", STR, REQ, LEN(1, 256), "who judged")                                                    \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define RECOMMENDATION_GENERATED_ROWS(X, T)                                                                            \
    X(T, customer_id, "customer_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "for whom, where known")                     \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "in which conversation")                       \
    X(T, recommended_product_ids, "recommended_product_ids", STRS, REQ, EACH(0, 100, 1, 64), "what, best first")       \
    X(T, strategy, "strategy", STR, REQ, LEN(1, 64), "how they were found")                                            \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "absent when no model took part")                                \
    X(T, count, "count", I64, REQ, RANGE(0, 100), "how many")                                                          \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define ENRICHMENT_COMPLETED_ROWS(X, T)                                                                                \
    X(T, manga_id, "manga_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which work")                                      \
    X(T, isbn, "isbn", STR, OPT, FORMAT(ISBN13), "which volume, where it is about one")                                \
    X(T, enrichment_type, "enrichment_type", STR, REQ, ENUM("synopsis", "tags", "recommendations"), "what was made")   \
    X(T, data, "data", ANY, REQ, NONE, "what the model gave: synopsis_en and synopsis_jp, tags_en and tags_jp, …")     \
    X(T, model_id, "model_id", STR, REQ, LEN(1, 256), "by whom")                                                       \
    X(T, job_id, "job_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "for which job")                                       \
    X(T, latency_ms, "latency_ms", I64, OPT, RANGE(0, INT64_MAX), "how long the model took")                           \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define AI_SCHEMAS(S)                                                                                                  \
    S(message_received, MESSAGE_RECEIVED_ROWS, "detail", "a customer wrote")                                           \
    S(inference_metrics, INFERENCE_METRICS_ROWS, "metrics", "what a model call took")                                  \
    S(inference_completed, INFERENCE_COMPLETED_ROWS, "detail", "a model call ended")                                   \
    S(moderation_flagged, MODERATION_FLAGGED_ROWS, "detail", "content was judged unfit")                               \
    S(recommendation_generated, RECOMMENDATION_GENERATED_ROWS, "detail", "books were recommended")                     \
    S(enrichment_completed, ENRICHMENT_COMPLETED_ROWS, "detail", "a model enriched a catalogue entry")

#define AI_EVENTS(E)                                                                                                   \
    E(AI_BUS, AI_CHAT_SOURCE, AI_MESSAGE_RECEIVED, message_received, "a customer wrote")                               \
    E(AI_BUS, AI_SOURCE, AI_INFERENCE_COMPLETED, inference_completed, "a model call ended, well or not")               \
    E(AI_BUS, AI_SOURCE, AI_MODERATION_FLAGGED, moderation_flagged, "content was judged unfit")                        \
    E(AI_BUS, AI_SOURCE, AI_RECOMMENDATION_GENERATED, recommendation_generated, "books were recommended")              \
    E(AI_BUS, AI_SOURCE, AI_ENRICHMENT_COMPLETED, enrichment_completed, "a model enriched a catalogue entry")

/* clang-format on */

AI_SCHEMAS(SCHEMA_DECLARE)

#endif
