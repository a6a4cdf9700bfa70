/* report.c: results packed for the bus. */
#include "services/chat-router/report.h"

#define DEGRADED_MAX 16

static size_t degraded_list(unsigned missing, bytes_t out[DEGRADED_MAX])
{
    size_t count = 0;
    for (int i = 0; i < PART_BITS; i++)
        if (missing & (1u << i))
            out[count++] = bytes_cstr(part_name(1u << i));
    return count;
}

/* Near things are cited where they are the answer: not when a certain book was asked for and found. */
static bool cites_hits(const facts_t *facts)
{
    return facts->book_count == 0 || facts->intent == INTENT_SEARCH || facts->intent == INTENT_RECOMMEND;
}

static size_t citation_list(const facts_t *facts, citation_t out[FACTS_BOOKS_MAX + FACTS_HITS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < facts->book_count && facts->intent != INTENT_RECOMMEND; i++) {
        const book_t *book = facts->books[i];
        out[count++] = (citation_t){
            .isbn = book->isbn, .title = book->title, .has_volume = book->has_volume, .volume = book->volume};
    }
    for (size_t i = 0; i < facts->hit_count && cites_hits(facts); i++) {
        const search_hit_t *hit = facts->hits[i];
        out[count++] = (citation_t){.isbn = hit->isbn,
                                    .title = hit->title,
                                    .has_volume = hit->has_volume,
                                    .volume = hit->volume,
                                    .has_score = true,
                                    .score = hit->score};
    }
    return count;
}

size_t report_tags(const question_result_t *result, bytes_t tags[REPORT_TAGS_MAX])
{
    citation_t cited[FACTS_BOOKS_MAX + FACTS_HITS_MAX];
    size_t count = 0, cited_count = citation_list(result->facts, cited);
    for (size_t i = 0; i < cited_count && count < REPORT_TAGS_MAX; i++)
        tags[count++] = cited[i].isbn;
    if (cited_count == 0 && result->facts->line_count)
        tags[count++] = result->facts->lines[0].isbn;
    return count;
}

bool report_chat(const question_result_t *result, const report_head_t *head, bool with_hops, buf_t *out, error_t *err)
{
    citation_t cited[FACTS_BOOKS_MAX + FACTS_HITS_MAX];
    bytes_t degraded[DEGRADED_MAX];
    chat_send_response_t response = {.session_id = head->session_id,
                                     .message_id = head->message_id,
                                     .answer = result->answer,
                                     .language = bytes_cstr(language_name(result->language)),
                                     .intent = bytes_cstr(intent_name(result->intent)),
                                     .latency_ms = head->latency_ms};
    response.has_citations = true;
    response.citations = (citation_list_t){.items = cited, .count = (uint32_t)citation_list(result->facts, cited)};
    if (result->facts->line_count) {
        response.has_stock = true;
        response.stock =
            (stock_line_list_t){.items = result->facts->lines, .count = (uint32_t)result->facts->line_count};
    }
    uint32_t degraded_count = (uint32_t)degraded_list(result->missing, degraded);
    if (degraded_count)
        SCHEMA_SET(&response, degraded, ((bytes_list_t){.items = degraded, .count = degraded_count}));
    if (result->model_id.len) {
        SCHEMA_SET(&response, model_id, result->model_id);
        SCHEMA_SET(&response, usage, result->usage);
        SCHEMA_SET(&response, cost_usd_micros, result->cost_usd_micros);
    }
    if (with_hops)
        SCHEMA_SET(&response, hops, ((hop_list_t){.items = result->hops, .count = (uint32_t)result->hop_count}));
    return chat_send_response_pack(out, &response, err);
}

bool report_search(const question_result_t *result, int64_t latency_ms, buf_t *out, error_t *err)
{
    citation_t cited[FACTS_BOOKS_MAX + FACTS_HITS_MAX];
    bytes_t degraded[DEGRADED_MAX];
    search_answer_response_t response = {
        .answer = result->answer, .language = bytes_cstr(language_name(result->language)), .latency_ms = latency_ms};
    response.citations = (citation_list_t){.items = cited, .count = (uint32_t)citation_list(result->facts, cited)};
    uint32_t degraded_count = (uint32_t)degraded_list(result->missing, degraded);
    if (degraded_count)
        SCHEMA_SET(&response, degraded, ((bytes_list_t){.items = degraded, .count = degraded_count}));
    if (result->model_id.len)
        SCHEMA_SET(&response, model_id, result->model_id);
    SCHEMA_SET(&response, hops, ((hop_list_t){.items = result->hops, .count = (uint32_t)result->hop_count}));
    return search_answer_response_pack(out, &response, err);
}

bool report_recommend(const question_result_t *result, size_t limit, buf_t *out, error_t *err)
{
    recommendation_t items[FACTS_HITS_MAX];
    const facts_t *facts = result->facts;
    size_t count = 0;
    for (; count < facts->hit_count && count < limit; count++) {
        const search_hit_t *hit = facts->hits[count];
        items[count] = (recommendation_t){.isbn = hit->isbn,
                                          .title = hit->title,
                                          .has_volume = hit->has_volume,
                                          .volume = hit->volume,
                                          .has_score = true,
                                          .score = hit->score};
    }
    recommend_response_t response = {.items = {.items = items, .count = (uint32_t)count},
                                     .strategy = BYTES_LIT("search")};
    SCHEMA_SET(&response, hops, ((hop_list_t){.items = result->hops, .count = (uint32_t)result->hop_count}));
    return recommend_response_pack(out, &response, err);
}

bool report_again(const chat_send_response_t *kept, const report_head_t *head, int64_t age_ms, const hop_t *hops,
                  size_t hop_count, buf_t *out, error_t *err)
{
    chat_send_response_t response = *kept;
    response.session_id = head->session_id;
    response.message_id = head->message_id;
    response.latency_ms = head->latency_ms;
    response.cached = true;
    SCHEMA_SET(&response, cache_age_ms, age_ms);
    /* Nothing was spent on giving it again. */
    response.has_usage = false;
    response.has_cost_usd_micros = false;
    SCHEMA_SET(&response, hops, ((hop_list_t){.items = hops, .count = (uint32_t)hop_count}));
    return chat_send_response_pack(out, &response, err);
}
