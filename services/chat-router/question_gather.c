/* question_gather.c: what is known of a book's stock and of a customer's orders. */
#include "services/chat-router/question_internal.h"

bool question_wants_book(const question_t *q)
{
    return q->meaning.intent == INTENT_INVENTORY || q->meaning.intent == INTENT_PRICE;
}

void stock_ask_one(question_t *q, bytes_t isbn)
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

bool gather_step(question_t *q)
{
    if (question_wants_book(q))
        stock_ask(q);
    if (ask_runs(q, ASK_STOCK))
        return false;
    stock_take(q);
    q->state = Q_ANSWER;
    return true;
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

bool orders_step(question_t *q)
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
