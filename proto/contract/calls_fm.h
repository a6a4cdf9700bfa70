/* calls_fm.h: fm.*, served by fm-invoker, and what lies in the queues of its workers. */
#ifndef PROTO_CONTRACT_CALLS_FM_H
#define PROTO_CONTRACT_CALLS_FM_H

#include "proto/contract/common.h"

#define CALL_FM_INVOKE "fm.invoke"
#define CALL_FM_EMBED "fm.embed"
#define CALL_FM_JOB_SUBMIT "fm.job.submit"
#define CALL_FM_JOB_GET "fm.job.get"
#define CALL_FM_JOB_CANCEL "fm.job.cancel"

#define FM_MESSAGES_MAX 50         /* turns of one conversation sent to a model */
#define FM_MESSAGE_MAX_BYTES 64000 /* 16,000 characters */
#define FM_SYSTEM_MAX_BYTES 64000
#define FM_OUTPUT_TOKENS_MAX 4096
#define FM_EMBED_TEXTS_MAX 96
#define FM_EMBED_TEXT_MAX_BYTES 50000
#define FM_EMBED_DIMENSION_MAX 4096 /* of a vector; each element is a little-endian IEEE 754 binary32 */
#define FM_JOB_ITEMS_MAX 100

#define FM_QUEUE_HIGH "manga-fm-high-priority"
#define FM_QUEUE_NORMAL "manga-fm-normal"
#define FM_QUEUE_LOW "manga-fm-low-priority"
#define FM_QUEUE_ORDERED "manga-fm-ordered.fifo"
#define FM_QUEUE_SESSION "manga-fm-session.fifo"
#define FM_QUEUE_ENRICHMENT "manga-enrichment-queue.fifo"
#define FM_QUEUE_DEFERRED "manga-deferred-queue"
#define FM_QUEUE_MODERATION "manga-moderation-queue"

/* clang-format off: one row, one member */

#define FM_MESSAGE_ROWS(X, T)                                                                                          \
    X(T, role, "role", STR, REQ, ENUM("user", "assistant"), "who said it")                                             \
    X(T, content, "content", STR, REQ, LEN(1, FM_MESSAGE_MAX_BYTES), "what was said")

#define FM_INVOKE_REQUEST_ROWS(X, T)                                                                                   \
    X(T, model, "model", STR, OPT, LEN(1, 256),                                                                        \
      "alias (haiku, sonnet, …) or the provider's name; absent: the default")                                          \
    X(T, system, "system", STR, OPT, LEN(0, FM_SYSTEM_MAX_BYTES), "instructions")                                      \
    X(T, messages, "messages", OBJS(fm_message), REQ, COUNT(1, FM_MESSAGES_MAX),                                       \
      "the conversation, the question last")                                                                           \
    X(T, max_tokens, "max_tokens", I64, OPT, RANGE(1, FM_OUTPUT_TOKENS_MAX), "absent: 512")                            \
    X(T, temperature, "temperature", F64, OPT, FRANGE(0.0, 1.0), "absent: the provider's default")                     \
    X(T, stop_sequences, "stop_sequences", STRS, OPT, EACH(0, 16, 1, 256), "texts that end the answer")                \
    X(T, purpose, "purpose", STR, OPT, LEN(1, 64), "intent, answer, enrichment, …: for budgets, ledger and metrics")   \
    X(T, session_id, "session_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "for the ledger")                              \
    X(T, user_id, "user_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "for budgets")                                       \
    X(T, stream, "stream", BOOL, OPT, NONE, "false: no chunks, only the response; absent: true")

#define FM_INVOKE_CHUNK_ROWS(X, T) X(T, text, "text", STR, REQ, LEN(1, 65536), "the next piece of the text")

#define FM_INVOKE_RESPONSE_ROWS(X, T)                                                                                  \
    X(T, inference_id, "inference_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "as in InferenceCompleted")                \
    X(T, text, "text", STR, REQ, LEN(0, 262144), "the whole text")                                                     \
    X(T, model_id, "model_id", STR, REQ, LEN(1, 256), "the provider's name of the model that answered")                \
    X(T, stop_reason, "stop_reason", STR, REQ, ENUM("end_turn", "max_tokens", "stop_sequence", "other"),               \
      "why it ended")                                                                                                  \
    X(T, usage, "usage", OBJ(token_usage), REQ, NONE, "tokens, as the provider counted")                               \
    X(T, cost_usd_micros, "cost_usd_micros", I64, REQ, RANGE(0, INT64_MAX), "micro US dollars")                        \
    X(T, latency_ms, "latency_ms", I64, REQ, RANGE(0, INT64_MAX), "from receiving the request to the end")             \
    X(T, first_token_ms, "first_token_ms", I64, OPT, RANGE(0, INT64_MAX), "to the first text")                         \
    X(T, fallback_from, "fallback_from", STR, OPT, LEN(1, 256), "model that was to answer first")                      \
    HOPS_ROW(X, T)

#define FM_EMBED_REQUEST_ROWS(X, T)                                                                                    \
    X(T, texts, "texts", STRS, REQ, EACH(1, FM_EMBED_TEXTS_MAX, 1, FM_EMBED_TEXT_MAX_BYTES), "one vector for each")    \
    X(T, model, "model", STR, OPT, LEN(1, 256), "alias or the provider's name; absent: the default")                   \
    X(T, dimension, "dimension", I64, OPT, RANGE(1, FM_EMBED_DIMENSION_MAX), "where the model lets one choose")        \
    X(T, normalize, "normalize", BOOL, OPT, NONE, "to length 1; absent: true")                                         \
    X(T, purpose, "purpose", STR, OPT, LEN(1, 64), "index, query, …")

#define FM_EMBED_RESPONSE_ROWS(X, T)                                                                                   \
    X(T, vectors, "vectors", BINS, REQ, EACH(1, FM_EMBED_TEXTS_MAX, 4, 4 * FM_EMBED_DIMENSION_MAX),                    \
      "in the order of the texts; binary32, little-endian")                                                            \
    X(T, dimension, "dimension", I64, REQ, RANGE(1, FM_EMBED_DIMENSION_MAX), "elements of each")                       \
    X(T, model_id, "model_id", STR, REQ, LEN(1, 256), "the provider's name of the model")                              \
    X(T, input_tokens, "input_tokens", I64, OPT, RANGE(0, INT64_MAX), "as the provider counted")                       \
    X(T, cost_usd_micros, "cost_usd_micros", I64, OPT, RANGE(0, INT64_MAX), "micro US dollars")                        \
    X(T, latency_ms, "latency_ms", I64, REQ, RANGE(0, INT64_MAX), "in all")                                            \
    HOPS_ROW(X, T)

#define FM_JOB_ITEM_ROWS(X, T)                                                                                         \
    X(T, manga_id, "manga_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which work: an ISBN or the shop's number")        \
    X(T, analysis_type, "analysis_type", STR, REQ,                                                                     \
      ENUM("genre_classification", "content_summary", "similar_series", "reading_level", "full_enrichment"),           \
      "what is wanted")                                                                                                \
    X(T, additional_context, "additional_context", STR, OPT, LEN(0, 8000), "2,000 characters for the prompt")

#define FM_JOB_SUBMIT_REQUEST_ROWS(X, T)                                                                               \
    X(T, job_type, "job_type", STR, REQ, ENUM("inference", "batch_analysis"), "one prompt, or many items")             \
    X(T, prompt, "prompt", STR, OPT, LEN(1, FM_MESSAGE_MAX_BYTES), "of an inference")                                  \
    X(T, items, "items", OBJS(fm_job_item), OPT, COUNT(1, FM_JOB_ITEMS_MAX), "of a batch analysis")                    \
    X(T, model, "model", STR, OPT, LEN(1, 256), "alias or the provider's name; absent: the default for jobs")          \
    X(T, max_tokens, "max_tokens", I64, OPT, RANGE(1, FM_OUTPUT_TOKENS_MAX), "for each item; absent: 1024")            \
    X(T, priority, "priority", STR, OPT, ENUM("high", "normal", "low"), "chooses the queue; absent: normal")           \
    X(T, message_group_id, "message_group_id", STR, OPT, LEN(1, 128), "given: in order with others of the group")      \
    X(T, callback_url, "callback_url", STR, OPT, FORMAT(URI), "told when done; https, public addresses only")          \
    X(T, metadata, "metadata", MAP, OPT, COUNT(0, 32), "given back with the result")                                   \
    X(T, idempotency_key, "idempotency_key", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "the same key makes one job")

#define FM_JOB_SUBMIT_RESPONSE_ROWS(X, T)                                                                              \
    X(T, job_id, "job_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "the job")                                             \
    X(T, queue, "queue", STR, REQ, LEN(1, 80), "where it waits")                                                       \
    X(T, item_count, "item_count", I64, REQ, RANGE(1, FM_JOB_ITEMS_MAX), "how many items it has")                      \
    X(T, created, "created", BOOL, REQ, NONE, "false: the key had made it before")                                     \
    HOPS_ROW(X, T)

#define FM_JOB_GET_REQUEST_ROWS(X, T) X(T, job_id, "job_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which job")

#define FM_JOB_ROWS(X, T)                                                                                              \
    X(T, job_id, "job_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which job")                                           \
    X(T, status, "status", STR, REQ, ENUM("queued", "processing", "completed", "failed", "cancelled"),                 \
      "where it stands")                                                                                               \
    X(T, created_at, "created_at", STR, REQ, FORMAT(RFC3339), "when it was submitted")                                 \
    X(T, updated_at, "updated_at", STR, REQ, FORMAT(RFC3339), "when its status last changed")                          \
    X(T, item_count, "item_count", I64, REQ, RANGE(1, FM_JOB_ITEMS_MAX), "items in all")                               \
    X(T, items_succeeded, "items_succeeded", I64, REQ, RANGE(0, FM_JOB_ITEMS_MAX), "done")                             \
    X(T, items_failed, "items_failed", I64, REQ, RANGE(0, FM_JOB_ITEMS_MAX), "given up")                               \
    X(T, result, "result", OBJ(object_ref), OPT, NONE, "where the result lies")                                        \
    X(T, text, "text", STR, OPT, LEN(0, 262144), "the result of an inference")                                         \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "by whom")                                                       \
    X(T, usage, "usage", OBJ(token_usage), OPT, NONE, "over all items")                                                \
    X(T, cost_usd_micros, "cost_usd_micros", I64, OPT, RANGE(0, INT64_MAX), "over all items")                          \
    X(T, error, "error", STR, OPT, LEN(1, 512), "of a failed job")                                                     \
    HOPS_ROW(X, T)

#define FM_JOB_CANCEL_RESPONSE_ROWS(X, T)                                                                              \
    X(T, job_id, "job_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which job")                                           \
    X(T, status, "status", STR, REQ, ENUM("queued", "processing", "completed", "failed", "cancelled"),                 \
      "after it: what was done stays done")                                                                            \
    HOPS_ROW(X, T)

/* -- queue messages ---------------------------------------------------------------------------------- */

#define FM_WORK_MESSAGE_ROWS(X, T)                                                                                     \
    X(T, request_id, "request_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "the job, or the job and its item")            \
    X(T, prompt, "prompt", STR, REQ, LEN(1, FM_MESSAGE_MAX_BYTES), "what to ask")                                      \
    X(T, system, "system", STR, OPT, LEN(0, FM_SYSTEM_MAX_BYTES), "instructions")                                      \
    X(T, model_id, "model_id", STR, OPT, LEN(1, 256), "alias or the provider's name")                                  \
    X(T, max_tokens, "max_tokens", I64, OPT, RANGE(1, FM_OUTPUT_TOKENS_MAX), "absent: 1024")                           \
    X(T, callback_url, "callback_url", STR, OPT, FORMAT(URI), "told when done")                                        \
    X(T, message_group_id, "message_group_id", STR, OPT, LEN(1, 128), "of the FIFO queues")                            \
    X(T, metadata, "metadata", MAP, OPT, COUNT(0, 32), "given back with the result")

#define ENRICHMENT_MANGA_ROWS(X, T)                                                                                    \
    X(T, id, "id", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "which work")                                                  \
    X(T, title, "title", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "English title")                                      \
    X(T, title_jp, "titleJp", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "Japanese title")

#define ENRICHMENT_MESSAGE_ROWS(X, T)                                                                                  \
    X(T, job_type, "jobType", STR, REQ, ENUM("catalog_enrichment"), "what to do")                                      \
    X(T, enrichment_type, "enrichmentType", STR, REQ, ENUM("synopsis", "tags", "recommendations"), "what to make")     \
    X(T, manga, "manga", OBJ(enrichment_manga), REQ, NONE, "for which work")                                           \
    X(T, priority, "priority", STR, OPT, ENUM("high", "normal", "low"), "absent: normal")                              \
    X(T, requested_at, "requestedAt", I64, OPT, RANGE(0, INT64_MAX), "Unix seconds")

#define DEFERRED_MESSAGE_ROWS(X, T)                                                                                    \
    X(T, job_type, "jobType", STR, REQ, ENUM("deferred_inference", "batch_recommendation"), "what to do")              \
    X(T, job_id, "jobId", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "told in the callback")                                 \
    X(T, prompt, "prompt", STR, OPT, LEN(1, FM_MESSAGE_MAX_BYTES), "of a deferred inference")                          \
    X(T, model_id, "modelId", STR, OPT, LEN(1, 256), "alias or the provider's name")                                   \
    X(T, manga_ids, "mangaIds", STRS, OPT, EACH(0, 1000, 1, 128), "of a batch recommendation")                         \
    X(T, callback_url, "callbackUrl", STR, OPT, FORMAT(URI), "told when done")

#define MODERATION_MESSAGE_ROWS(X, T)                                                                                  \
    X(T, job_type, "jobType", STR, REQ, ENUM("content_moderation"), "what to do")                                      \
    X(T, subject_id, "subjectId", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "review or message to judge")                   \
    X(T, content, "content", STR, REQ, LEN(1, FM_MESSAGE_MAX_BYTES), "what to judge")                                  \
    X(T, session_id, "sessionId", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "conversation, where there is one")

#define FM_SCHEMAS(S)                                                                                                  \
    S(fm_message, FM_MESSAGE_ROWS, "message", "one turn of a conversation")                                            \
    S(fm_invoke_request, FM_INVOKE_REQUEST_ROWS, "request", "ask a model")                                             \
    S(fm_invoke_chunk, FM_INVOKE_CHUNK_ROWS, "chunk", "a piece of the text, as it comes")                              \
    S(fm_invoke_response, FM_INVOKE_RESPONSE_ROWS, "response", "the text, and what it took")                           \
    S(fm_embed_request, FM_EMBED_REQUEST_ROWS, "request", "vectors for texts")                                         \
    S(fm_embed_response, FM_EMBED_RESPONSE_ROWS, "response", "those vectors")                                          \
    S(fm_job_item, FM_JOB_ITEM_ROWS, "item", "one item of a batch analysis")                                           \
    S(fm_job_submit_request, FM_JOB_SUBMIT_REQUEST_ROWS, "request", "work that may take its time")                     \
    S(fm_job_submit_response, FM_JOB_SUBMIT_RESPONSE_ROWS, "response", "the job that was made")                        \
    S(fm_job_get_request, FM_JOB_GET_REQUEST_ROWS, "request", "one job")                                               \
    S(fm_job, FM_JOB_ROWS, "response", "a job, and how far it is")                                                     \
    S(fm_job_cancel_response, FM_JOB_CANCEL_RESPONSE_ROWS, "response", "what became of the job")                       \
    S(fm_work_message, FM_WORK_MESSAGE_ROWS, "body", "one prompt for the workers")                                     \
    S(enrichment_manga, ENRICHMENT_MANGA_ROWS, "manga", "the work to enrich")                                          \
    S(enrichment_message, ENRICHMENT_MESSAGE_ROWS, "body", "enrich one catalogue entry")                               \
    S(deferred_message, DEFERRED_MESSAGE_ROWS, "body", "work that was put off")                                        \
    S(moderation_message, MODERATION_MESSAGE_ROWS, "body", "judge one text")

#define FM_CALLS(C, S)                                                                                                 \
    S(CALL_FM_INVOKE, fm_invoke_request, fm_invoke_response, fm_invoke_chunk, false, "ask a model, streamed")          \
    C(CALL_FM_EMBED, fm_embed_request, fm_embed_response, true, "vectors for texts")                                   \
    C(CALL_FM_JOB_SUBMIT, fm_job_submit_request, fm_job_submit_response, false, "put work into the workers' queues")   \
    C(CALL_FM_JOB_GET, fm_job_get_request, fm_job, true, "how far a job is")                                           \
    C(CALL_FM_JOB_CANCEL, fm_job_get_request, fm_job_cancel_response, true, "give a job up")

#define FM_MESSAGES(M)                                                                                                 \
    M(FM_QUEUE_HIGH, fm_work_message, "prompts that should not wait")                                                  \
    M(FM_QUEUE_NORMAL, fm_work_message, "prompts")                                                                     \
    M(FM_QUEUE_LOW, fm_work_message, "prompts of bulk work")                                                           \
    M(FM_QUEUE_ORDERED, fm_work_message, "prompts in order for each user")                                             \
    M(FM_QUEUE_SESSION, fm_work_message, "prompts in order for each conversation")                                     \
    M(FM_QUEUE_ENRICHMENT, enrichment_message, "enrichments in order for each work")                                   \
    M(FM_QUEUE_DEFERRED, deferred_message, "work that was put off")                                                    \
    M(FM_QUEUE_MODERATION, moderation_message, "texts to judge")

/* clang-format on */

FM_SCHEMAS(SCHEMA_DECLARE)

#endif
