/* question.c: the one mover of a question, its states, and the answer. */
#include "services/chat-router/question.h"

#include <stdlib.h>

#include "services/chat-router/question_internal.h"

/* -- making ------------------------------------------------------------------------------------------ */
static bool input_keep(question_t *q, const question_input_t *input)
{
    q->input = *input;
    q->input.text = question_keep(q, input->text);
    q->input.session_id = question_keep(q, input->session_id);
    q->input.user_id = question_keep(q, input->user_id);
    q->input.model_preference = question_keep(q, input->model_preference);
    bytes_t *isbns = arena_array(&q->arena, input->isbns.count + 1, sizeof(*isbns));
    for (uint32_t i = 0; isbns && i < input->isbns.count; i++)
        isbns[i] = question_keep(q, input->isbns.items[i]);
    q->input.isbns.items = isbns;
    trace_t *trace = arena_alloc(&q->arena, sizeof(*trace));
    if (trace && input->trace)
        *trace = *input->trace;
    q->input.trace = input->trace ? trace : NULL;
    static const char *const names[] = {CALL_CHAT_SEND, CALL_SEARCH_ANSWER, CALL_RECOMMEND};
    q->hops[q->hop_count++] = (hop_t){.service = BYTES_LIT("chat-router"),
                                      .operation = bytes_cstr(names[input->kind]),
                                      .has_depth = true,
                                      .has_start_us = true};
    for (size_t i = 0; i < input->hop_count && q->hop_count < CONTRACT_HOPS_MAX && i < CONTRACT_HOPS_MAX; i++)
        q->hops[q->hop_count++] = input->hops[i];
    q->input.hops = NULL;
    return isbns && trace && q->input.model_preference.data;
}

void facts_begin(question_t *q)
{
    const mention_t *m = &q->meaning.mention;
    unsigned missing = q->facts.missing;
    q->facts = (facts_t){.missing = missing,
                         .language = q->meaning.language,
                         .intent = q->meaning.intent,
                         .question = q->input.text,
                         .title = m->title,
                         .has_volume = m->has_volume,
                         .volume = m->volume,
                         .isbn = bytes_cstr(m->isbn)};
}

static bool meaning_take(question_t *q)
{
    if (!meaning_find(q->input.text, &q->arena, &q->meaning))
        return false;
    if (q->input.has_language)
        q->meaning.language = q->input.language;
    if (q->input.kind != QUESTION_CHAT) {
        q->meaning.intent = q->input.kind == QUESTION_SEARCH ? INTENT_SEARCH : INTENT_RECOMMEND;
        q->meaning.confidence = 1.0;
    }
    return true;
}

question_t *question_new(const question_ports_t *ports, const question_input_t *input, error_t *err)
{
    question_t *q = calloc(1, sizeof(*q));
    if (q) {
        q->ports = *ports;
        arena_init(&q->arena, QUESTION_MEMORY_MAX_BYTES);
        int64_t start_us = ports->now_us(ports->ctx);
        if (input_keep(q, input) && meaning_take(q)) {
            hop_own(q, "intent", start_us, intent_name(q->meaning.intent));
            return q;
        }
    }
    question_free(&q);
    error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for another question");
    return NULL;
}

void question_free(question_t **question)
{
    question_t *q = *question;
    if (!q)
        return;
    for (int i = 0; i < ASK_COUNT; i++)
        ask_drop(q, (ask_kind_t)i, "nobody waits for it");
    arena_free(&q->arena);
    buf_free(&q->answer);
    free(q);
    *question = NULL;
}

/* -- states ------------------------------------------------------------------------------------------ */
bool question_needs_no_facts(const question_t *q)
{
    return q->meaning.intent == INTENT_GREETING || q->meaning.intent == INTENT_POLICY ||
           q->meaning.intent == INTENT_OUT_OF_SCOPE;
}

static bool resolve_step(question_t *q)
{
    if (question_needs_no_facts(q)) {
        ask_drop(q, ASK_SEARCH, "not needed");
        q->state = Q_ANSWER;
        return true;
    }
    if (q->meaning.intent == INTENT_ORDER) {
        ask_drop(q, ASK_SEARCH, "not needed");
        return orders_step(q);
    }
    if (q->meaning.intent == INTENT_INVENTORY && q->meaning.mention.isbn[0] && q->asks[ASK_STOCK].state == ASK_IDLE)
        stock_ask_one(q, bytes_cstr(q->meaning.mention.isbn));
    if (!resolve_is_done(q))
        return false;
    resolve_take(q);
    likeness_begin(q);
    q->state = Q_SCAN;
    return true;
}

static bool scan_step(question_t *q)
{
    bool is_begun = q->asks[ASK_SCAN].state != ASK_IDLE || q->asks[ASK_SUMMARY].state != ASK_IDLE;
    if (!is_begun && question_wants_book(q) && q->facts.book_count == 0)
        scan_start(q);
    if (ask_runs(q, ASK_SCAN) || ask_runs(q, ASK_SUMMARY) || scan_go_on(q))
        return false;
    /* Only a book that is not known yet is worth waiting for the search. */
    if (ask_runs(q, ASK_SEARCH) && !(question_wants_book(q) && q->facts.book_count))
        return false;
    search_take(q);
    q->state = Q_GATHER;
    return true;
}

/* -- moving ------------------------------------------------------------------------------------------ */
static bool question_step(question_t *q)
{
    switch (q->state) {
    case Q_UNDERSTAND:
        return understand_step(q);
    case Q_RECALL:
        return recall_step(q);
    case Q_RESOLVE:
        return resolve_step(q);
    case Q_SCAN:
        return scan_step(q);
    case Q_GATHER:
        return gather_step(q);
    case Q_ANSWER:
        return answer_step(q);
    default:
        return false;
    }
}

static void wake_plan(question_t *q)
{
    int64_t next_us = INT64_MAX;
    for (int i = 0; i < ASK_COUNT; i++)
        if (ask_runs(q, (ask_kind_t)i) && q->asks[i].limit_us < next_us)
            next_us = q->asks[i].limit_us;
    if (next_us != INT64_MAX)
        q->ports.wake_at(q->ports.ctx, next_us);
}

void question_move(question_t *q)
{
    if (q->is_moving || q->state == Q_DONE)
        return;
    q->is_moving = true;
    while (question_step(q))
        continue;
    q->is_moving = false;
    if (q->state == Q_DONE)
        q->ports.done(q->ports.ctx, q);
    else
        wake_plan(q);
}

void question_start(question_t *q)
{
    facts_begin(q);
    question_move(q);
}

void question_wake(question_t *q)
{
    ask_expire(q);
    question_move(q);
}

/* -- asking it --------------------------------------------------------------------------------------- */
const meaning_t *question_meaning(const question_t *question)
{
    return &question->meaning;
}

const question_result_t *question_result(const question_t *question)
{
    return &question->result;
}

bytes_t question_answer(const question_t *question)
{
    return buf_bytes(&question->answer);
}

bool question_concerns(const question_t *q, bytes_t isbn)
{
    for (size_t i = 0; i < q->facts.book_count; i++)
        if (bytes_eq(q->facts.books[i]->isbn, isbn))
            return true;
    for (size_t i = 0; i < q->facts.line_count; i++)
        if (bytes_eq(q->facts.lines[i].isbn, isbn))
            return true;
    return bytes_eq_cstr(isbn, q->meaning.mention.isbn);
}
