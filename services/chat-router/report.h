/* report.h: a question's result as the responses of the contract, and a kept response given again.
 *
 * Pure but for memory. Packing validates: false with `err` when something breaks the contract. */
#ifndef CHAT_ROUTER_REPORT_H
#define CHAT_ROUTER_REPORT_H

#include "services/chat-router/question.h"

#define REPORT_TAGS_MAX 64

typedef struct {
    bytes_t session_id, message_id;
    int64_t latency_ms;
} report_head_t;

/* `hops` false: without them, as an answer is kept. */
MUST_USE bool report_chat(const question_result_t *result, const report_head_t *head, bool with_hops, buf_t *out,
                          error_t *err);
MUST_USE bool report_search(const question_result_t *result, int64_t latency_ms, buf_t *out, error_t *err);
MUST_USE bool report_recommend(const question_result_t *result, size_t limit, buf_t *out, error_t *err);

/* A kept chat response for another asker; `answer`, `intent` and `citations` of it are read out for the records. */
MUST_USE bool report_again(const chat_send_response_t *kept, const report_head_t *head, int64_t age_ms,
                           const hop_t *hops, size_t hop_count, buf_t *out, error_t *err);

/* The books that the answer rests on. */
size_t report_tags(const question_result_t *result, bytes_t tags[REPORT_TAGS_MAX]);

#endif
