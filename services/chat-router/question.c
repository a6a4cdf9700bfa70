/* question.c: the one mover of a question, its states, and the answer. */
#include "services/chat-router/question.h"

#include <stdlib.h>

#include "kit/log.h"
#include "kit/prompt.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "services/chat-router/question_internal.h"

#define AUTO_FAST_CHARS 50 /* shorter questions go to the fast model, unless the customer prefers */
#define US_PER_MS 1000
#define LIKENESS_MORE 20 /* volumes of the very book come first, and are passed over */

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

static void facts_begin(question_t *q)
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

/* -- understanding ----------------------------------------------------------------------------------- */
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

static void usage_add(question_t *q, const fm_invoke_response_t *response)
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

static bool understand_step(question_t *q)
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

static bool recall_step(question_t *q)
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

/* -- gathering --------------------------------------------------------------------------------------- */
static bool wants_stock(const question_t *q)
{
    return q->meaning.intent == INTENT_INVENTORY || q->meaning.intent == INTENT_PRICE;
}

static void stock_ask_one(question_t *q, bytes_t isbn)
{
    erp_stock_get_request_t request = {.isbn = isbn};
    buf_t body = {0};
    error_t err;
    if (erp_stock_get_request_pack(&body, &request, &err))
        ask_start(q, ASK_STOCK, CALL_ERP_STOCK_GET, &body, ask_budget_ms(q, QUESTION_STOCK_MS, QUESTION_STOCK_PERCENT));
    else
        q->asks[ASK_STOCK].state = ASK_FAILED;
    buf_free(&body);
}

static void stock_ask_many(question_t *q)
{
    bytes_t isbns[FACTS_BOOKS_MAX];
    for (size_t i = 0; i < q->facts.book_count; i++)
        isbns[i] = q->facts.books[i]->isbn;
    erp_stock_batch_request_t request = {.isbns = {.items = isbns, .count = (uint32_t)q->facts.book_count}};
    buf_t body = {0};
    error_t err;
    if (erp_stock_batch_request_pack(&body, &request, &err))
        ask_start(q, ASK_STOCK, CALL_ERP_STOCK_BATCH, &body,
                  ask_budget_ms(q, QUESTION_STOCK_MS, QUESTION_STOCK_PERCENT));
    else
        q->asks[ASK_STOCK].state = ASK_FAILED;
    buf_free(&body);
}

static void stock_ask(question_t *q)
{
    bool is_priced = q->meaning.intent == INTENT_PRICE;
    for (size_t i = 0; i < q->facts.book_count; i++)
        is_priced &= q->facts.books[i]->has_price_jpy;
    if (q->asks[ASK_STOCK].state != ASK_IDLE || q->facts.line_count || (is_priced && q->facts.book_count))
        return;
    if (q->facts.book_count == 1)
        stock_ask_one(q, q->facts.books[0]->isbn);
    else if (q->facts.book_count > 1)
        stock_ask_many(q);
}

static void lines_take(question_t *q, stock_line_list_t lines)
{
    q->facts.lines = lines.items;
    q->facts.line_count = lines.count;
}

static void stock_take(question_t *q)
{
    ask_t *ask = &q->asks[ASK_STOCK];
    erp_stock_get_response_t one;
    erp_stock_batch_response_t many;
    bool is_one = ask->method && strcmp(ask->method, CALL_ERP_STOCK_GET) == 0;
    if (ask->state == ASK_IDLE)
        return;
    if (ask->state == ASK_OK && is_one && erp_stock_get_response_unpack(ask->reply, &q->arena, &one, NULL)) {
        lines_take(q, one.lines);
    } else if (ask->state == ASK_OK && !is_one && erp_stock_batch_response_unpack(ask->reply, &q->arena, &many, NULL)) {
        lines_take(q, many.lines);
        if (many.has_failed && many.failed.count)
            q->facts.missing |= PART_STOCK;
    } else if (ask->status == STATUS_NOT_FOUND) {
        q->facts.stock_none = true;
    } else if (q->facts.line_count == 0) {
        q->facts.missing |= PART_STOCK;
    }
}

/* -- orders ------------------------------------------------------------------------------------------ */
static void orders_ask(question_t *q)
{
    int64_t budget_ms = ask_budget_ms(q, QUESTION_ORDERS_MS, QUESTION_ORDERS_PERCENT);
    bytes_t order_id = q->meaning.mention.order_id;
    buf_t body = {0};
    error_t err;
    bool ok;
    if (order_id.len) {
        erp_order_get_request_t request = {.order_id = order_id};
        SCHEMA_SET(&request, customer_id, q->input.user_id);
        ok = erp_order_get_request_pack(&body, &request, &err);
    } else {
        erp_order_list_request_t request = {.customer_id = q->input.user_id};
        SCHEMA_SET(&request, page_size, FACTS_ORDERS_MAX);
        ok = erp_order_list_request_pack(&body, &request, &err);
    }
    if (ok)
        ask_start(q, ASK_ORDERS, order_id.len ? CALL_ERP_ORDER_GET : CALL_ERP_ORDER_LIST, &body, budget_ms);
    else
        q->asks[ASK_ORDERS].state = ASK_FAILED;
    buf_free(&body);
}

static bool order_take_one(question_t *q)
{
    erp_order_get_response_t *one = arena_alloc(&q->arena, sizeof(*one));
    if (!one || !erp_order_get_response_unpack(q->asks[ASK_ORDERS].reply, &q->arena, one, NULL))
        return false;
    q->facts.orders[q->facts.order_count++] = &one->order;
    q->facts.order_age_ms = one->has_stale_age_ms ? one->stale_age_ms : 0;
    return true;
}

static bool order_take_list(question_t *q)
{
    erp_order_list_response_t list;
    if (!erp_order_list_response_unpack(q->asks[ASK_ORDERS].reply, &q->arena, &list, NULL))
        return false;
    for (uint32_t i = 0; i < list.orders.count && i < FACTS_ORDERS_MAX; i++)
        q->facts.orders[q->facts.order_count++] = &list.orders.items[i];
    q->facts.order_none = list.orders.count == 0;
    q->facts.order_age_ms = list.has_stale_age_ms ? list.stale_age_ms : 0;
    return true;
}

static void orders_take(question_t *q)
{
    const ask_t *ask = &q->asks[ASK_ORDERS];
    if (ask->state == ASK_IDLE)
        return;
    if (ask->status == STATUS_NOT_FOUND)
        q->facts.order_none = true;
    else if (ask->state != ASK_OK ||
             !(strcmp(ask->method, CALL_ERP_ORDER_GET) == 0 ? order_take_one(q) : order_take_list(q)))
        q->facts.missing |= PART_ORDERS;
}

static bool orders_step(question_t *q)
{
    q->result.is_personal = true;
    q->facts.is_stranger = q->input.user_id.len == 0;
    if (!q->facts.is_stranger && q->asks[ASK_ORDERS].state == ASK_IDLE)
        orders_ask(q);
    if (ask_runs(q, ASK_ORDERS))
        return false;
    orders_take(q);
    q->state = Q_ANSWER;
    return true;
}

/* -- states ------------------------------------------------------------------------------------------ */
static bool needs_no_facts(const question_t *q)
{
    return q->meaning.intent == INTENT_GREETING || q->meaning.intent == INTENT_POLICY ||
           q->meaning.intent == INTENT_OUT_OF_SCOPE;
}

/* A recommendation by likeness to books asks the search once the catalogue has said what they are. */
static void likeness_begin(question_t *q)
{
    const book_t *book = q->facts.book_count ? q->facts.books[0] : NULL;
    if (q->meaning.intent != INTENT_RECOMMEND || !book || q->asks[ASK_SEARCH].state != ASK_IDLE)
        return;
    search_query_request_t request = {.text = book->title};
    buf_t body = {0};
    error_t err;
    SCHEMA_SET(&request, limit, (int64_t)(q->input.limit ? q->input.limit : FACTS_HITS_WANTED) + LIKENESS_MORE);
    if (search_query_request_pack(&body, &request, &err))
        ask_start(q, ASK_SEARCH, CALL_SEARCH_QUERY, &body,
                  ask_budget_ms(q, QUESTION_RESOLVE_MS, QUESTION_RESOLVE_PERCENT));
    buf_free(&body);
}

static bool resolve_step(question_t *q)
{
    if (needs_no_facts(q)) {
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
    if (!is_begun && wants_stock(q) && q->facts.book_count == 0)
        scan_start(q);
    if (ask_runs(q, ASK_SCAN) || ask_runs(q, ASK_SUMMARY) || scan_go_on(q))
        return false;
    /* Only a book that is not known yet is worth waiting for the search. */
    if (ask_runs(q, ASK_SEARCH) && !(wants_stock(q) && q->facts.book_count))
        return false;
    search_take(q);
    q->state = Q_GATHER;
    return true;
}

static bool gather_step(question_t *q)
{
    if (wants_stock(q))
        stock_ask(q);
    if (ask_runs(q, ASK_STOCK))
        return false;
    stock_take(q);
    q->state = Q_ANSWER;
    return true;
}

/* -- answering --------------------------------------------------------------------------------------- */
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
    return !needs_no_facts(q) && knows_something && q->input.kind != QUESTION_RECOMMEND;
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

static bool answer_step(question_t *q)
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
