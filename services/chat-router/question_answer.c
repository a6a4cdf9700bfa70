/* question_answer.c: the answer: a model's words as they come, or the facts as they are. */
#include "kit/prompt.h"
#include "services/chat-router/question_internal.h"

#define AUTO_FAST_CHARS 50 /* shorter questions go to the fast model, unless the customer prefers */

void question_say(question_t *q, bytes_t piece)
{
    size_t room = QUESTION_ANSWER_MAX_BYTES > q->answer.len ? QUESTION_ANSWER_MAX_BYTES - q->answer.len : 0;
    if (piece.len == 0 || piece.len > room)
        return;
    buf_append_bytes(&q->answer, piece);
    if (!q->answer.failed)
        q->ports.text(q->ports.ctx, piece);
}

static bytes_t model_of(const question_t *q)
{
    if (bytes_eq_cstr(q->input.model_preference, "fast"))
        return BYTES_LIT("haiku");
    if (bytes_eq_cstr(q->input.model_preference, "quality"))
        return BYTES_LIT("sonnet");
    return wording_chars(q->input.text) < AUTO_FAST_CHARS ? BYTES_LIT("haiku") : BYTES_LIT("sonnet");
}

static bool model_pack(question_t *q, const buf_t *system, const buf_t *user, buf_t *body)
{
    fm_message_t message = {.role = BYTES_LIT("user"), .content = buf_bytes(user)};
    fm_invoke_request_t request = {.messages = {.items = &message, .count = 1}};
    error_t err;
    SCHEMA_SET(&request, model, model_of(q));
    SCHEMA_SET(&request, system, buf_bytes(system));
    SCHEMA_SET(&request, max_tokens, QUESTION_ANSWER_TOKENS);
    SCHEMA_SET(&request, temperature, 0.2);
    SCHEMA_SET(&request, purpose, BYTES_LIT("answer"));
    if (q->input.session_id.len)
        SCHEMA_SET(&request, session_id, q->input.session_id);
    if (q->input.user_id.len)
        SCHEMA_SET(&request, user_id, q->input.user_id);
    SCHEMA_SET(&request, stream, true);
    return !system->failed && !user->failed && fm_invoke_request_pack(body, &request, &err);
}

static void model_ask(question_t *q)
{
    buf_t system = {0}, user = {0}, body = {0};
    prompt_system(&system, PROMPT_TASK_ANSWER);
    facts_prompt(&q->facts, &user);
    if (model_pack(q, &system, &user, &body))
        ask_start(q, ASK_MODEL, CALL_FM_INVOKE, &body, question_left_ms(q) - QUESTION_RESERVE_MS);
    else
        q->asks[ASK_MODEL].state = ASK_FAILED;
    buf_free(&system);
    buf_free(&user);
    buf_free(&body);
}

/* With nothing known, a model could only invent. */
static bool wants_model(const question_t *q)
{
    const facts_t *f = &q->facts;
    bool knows_something = f->book_count || f->line_count || f->hit_count || f->order_count;
    return !question_needs_no_facts(q) && knows_something && q->input.kind != QUESTION_RECOMMEND;
}

static void told_say(question_t *q)
{
    buf_t told = {0};
    if (q->answer.len) /* a model fell silent in the middle: what it said stays, and the facts follow */
        buf_append_cstr(&told, "\n");
    facts_tell(&q->facts, &told);
    if (!told.failed)
        question_say(q, buf_bytes(&told));
    buf_free(&told);
}

static void model_take(question_t *q)
{
    fm_invoke_response_t response;
    bool ok = ask_ok(q, ASK_MODEL) && fm_invoke_response_unpack(q->asks[ASK_MODEL].reply, &q->arena, &response, NULL);
    if (ok) {
        usage_add(q, &response);
        if (q->answer.len == 0) /* one that does not stream */
            question_say(q, response.text);
        if (bytes_eq_cstr(response.stop_reason, "max_tokens") && q->answer.len)
            question_say(q, BYTES_LIT("…")); /* it was cut: let nobody take it for whole */
    }
    if (!ok)
        q->facts.missing |= PART_MODEL;
    if (!ok || q->answer.len == 0) {
        told_say(q);
        return;
    }
    buf_t age = {0};
    facts_tell_age(&q->facts, buf_bytes(&q->answer), &age);
    question_say(q, buf_bytes(&age));
    buf_free(&age);
}

static void result_take(question_t *q)
{
    question_result_t *r = &q->result;
    r->intent = q->meaning.intent;
    r->language = q->meaning.language;
    r->answer = buf_bytes(&q->answer);
    r->facts = &q->facts;
    r->missing = q->facts.missing;
    r->is_personal |= r->used_history;
    q->hops[0].duration_us = q->ports.now_us(q->ports.ctx) - q->input.start_us;
    r->hops = q->hops;
    r->hop_count = q->hop_count;
}

bool answer_step(question_t *q)
{
    if (wants_model(q) && q->asks[ASK_MODEL].state == ASK_IDLE) {
        if (question_left_ms(q) >= QUESTION_MODEL_MIN_MS)
            model_ask(q);
        else
            q->asks[ASK_MODEL].state = ASK_FAILED;
    }
    if (ask_runs(q, ASK_MODEL))
        return false;
    if (wants_model(q))
        model_take(q);
    else
        told_say(q);
    result_take(q);
    q->state = Q_DONE;
    return true;
}
