/* question_understand.c: what is wanted, by a model where the rules are unsure, and what was spoken of before. */
#include "kit/log.h"
#include "kit/prompt.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "services/chat-router/question_internal.h"

#define US_PER_MS 1000

static void classify_ask(question_t *q)
{
    buf_t system = {0}, user = {0}, body = {0};
    prompt_system(&system, PROMPT_TASK_CLASSIFY);
    for (int i = 0; i < INTENT_COUNT; i++)
        prompt_intent(&system, intent_name((intent_t)i), intent_meaning((intent_t)i));
    prompt_language(&user, language_name(q->meaning.language));
    prompt_question(&user, q->input.text);
    fm_message_t message = {.role = BYTES_LIT("user"), .content = buf_bytes(&user)};
    fm_invoke_request_t request = {.messages = {.items = &message, .count = 1}};
    SCHEMA_SET(&request, model, BYTES_LIT("haiku"));
    SCHEMA_SET(&request, system, buf_bytes(&system));
    SCHEMA_SET(&request, max_tokens, 128);
    SCHEMA_SET(&request, temperature, 0.0);
    SCHEMA_SET(&request, purpose, BYTES_LIT("intent"));
    SCHEMA_SET(&request, stream, false);
    error_t err;
    if (fm_invoke_request_pack(&body, &request, &err))
        ask_start(q, ASK_CLASSIFY, CALL_FM_INVOKE, &body,
                  ask_budget_ms(q, QUESTION_CLASSIFY_MS, QUESTION_CLASSIFY_PERCENT));
    else
        q->asks[ASK_CLASSIFY].state = ASK_FAILED;
    buf_free(&system);
    buf_free(&user);
    buf_free(&body);
}

void usage_add(question_t *q, const fm_invoke_response_t *response)
{
    q->result.model_id = response->model_id;
    q->result.usage.input_tokens += response->usage.input_tokens;
    q->result.usage.output_tokens += response->usage.output_tokens;
    q->result.cost_usd_micros += response->cost_usd_micros;
}

/* Of what a model says only the intent is taken, and a title that stands in the text: numbers are not its to give. */
static void choice_take(question_t *q, bytes_t choice)
{
    mention_t *m = &q->meaning.mention;
    bytes_t name, title;
    intent_t intent;
    double confidence = 1.0;
    buf_t text = {0}, part = {0};
    (void)!mp_map_double(choice, "confidence", &confidence);
    if (confidence >= INTENT_CHOICE_SURE && mp_map_str(choice, "intent", &name) && intent_from_name(name, &intent))
        q->meaning.intent = intent;
    if (m->title.len == 0 && mp_map_str(choice, "title", &title) && wording_fold(q->input.text, &text) &&
        wording_fold(title, &part) && part.len && memmem(text.data, text.len, part.data, part.len))
        m->title = question_keep(q, title);
    buf_free(&text);
    buf_free(&part);
}

/* Models like to wrap what they were asked for: the object is what lies between the outer braces. */
static bytes_t json_in(bytes_t text)
{
    const uint8_t *start = text.len ? memchr(text.data, '{', text.len) : NULL;
    const uint8_t *end = text.len ? memrchr(text.data, '}', text.len) : NULL;
    return start && end > start ? bytes_from(start, (size_t)(end - start) + 1) : text;
}

static void classify_take(question_t *q)
{
    fm_invoke_response_t response;
    buf_t choice = {0};
    error_t err = {0};
    bool ok =
        ask_ok(q, ASK_CLASSIFY) && fm_invoke_response_unpack(q->asks[ASK_CLASSIFY].reply, &q->arena, &response, NULL);
    if (ok)
        usage_add(q, &response);
    if (ok && json_to_msgpack(json_in(response.text), NULL, &choice, &err)) {
        choice_take(q, buf_bytes(&choice));
    } else {
        q->facts.missing |= PART_INTENT;
        if (ok)
            log_warn("a model's choice of intent cannot be read", LOG_S("error", err.message));
    }
    buf_free(&choice);
}

bool understand_step(question_t *q)
{
    if (q->meaning.confidence >= INTENT_SURE) {
        q->state = Q_RECALL;
        return true;
    }
    if (q->asks[ASK_CLASSIFY].state == ASK_IDLE) {
        /* When no model answers it will be a search: so that one begins at once. */
        classify_ask(q);
        resolve_start(q);
    }
    if (ask_runs(q, ASK_CLASSIFY))
        return false;
    classify_take(q);
    facts_begin(q);
    q->state = Q_RECALL;
    return true;
}

/* -- recalling --------------------------------------------------------------------------------------- */
static void history_ask(question_t *q)
{
    ask_t *ask = &q->asks[ASK_HISTORY];
    int64_t budget_ms = ask_budget_ms(q, QUESTION_HISTORY_MS, QUESTION_HISTORY_PERCENT);
    int64_t now_us = q->ports.now_us(q->ports.ctx);
    *ask = (ask_t){.question = q,
                   .kind = ASK_HISTORY,
                   .state = ASK_RUNNING,
                   .start_us = now_us,
                   .limit_us = now_us + budget_ms * US_PER_MS};
    if (!q->ports.history || !q->ports.history(q->ports.ctx, q->input.session_id))
        ask->state = ASK_FAILED;
}

bool recall_step(question_t *q)
{
    bool is_needed = q->input.session_id.len && q->input.kind == QUESTION_CHAT && meaning_needs_history(&q->meaning);
    if (is_needed && q->asks[ASK_HISTORY].state == ASK_IDLE)
        history_ask(q);
    if (ask_runs(q, ASK_HISTORY))
        return false;
    if (is_needed) {
        hop_own(q, "history", q->asks[ASK_HISTORY].start_us, ask_failed(q, ASK_HISTORY) ? "not in time" : NULL);
        if (ask_failed(q, ASK_HISTORY))
            q->facts.missing |= PART_HISTORY;
    }
    resolve_start(q);
    q->state = Q_RESOLVE;
    return true;
}

void question_recall(question_t *q, bool ok, const question_recalled_t *book)
{
    mention_t *m = &q->meaning.mention;
    if (!ask_runs(q, ASK_HISTORY))
        return;
    q->asks[ASK_HISTORY].state = ok ? ASK_OK : ASK_FAILED;
    q->result.used_history = true;
    if (book && m->title.len == 0 && !m->isbn[0]) {
        m->title = question_keep(q, book->title);
        bool is_same_volume = !m->has_volume && !m->wants_latest;
        if (is_same_volume && book->isbn.len == ISBN13_DIGITS)
            (void)bytes_to_cstr(book->isbn, m->isbn, sizeof(m->isbn));
        if (is_same_volume && book->has_volume) {
            m->has_volume = true;
            m->volume = book->volume;
        }
        facts_begin(q);
    }
    question_move(q);
}
