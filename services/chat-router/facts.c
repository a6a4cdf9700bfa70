/* facts.c: facts as prompt lines, and what both the prompt and the templates need to know of them. */
#include "services/chat-router/facts.h"

#include <stdio.h>

#include "kit/prompt.h"

#define MS_PER_MINUTE 60000

const char *part_name(unsigned bit)
{
    switch (bit) {
    case PART_STOCK:
        return "stock";
    case PART_CATALOG:
        return "catalog";
    case PART_SEARCH:
        return "search";
    case PART_ORDERS:
        return "orders";
    case PART_HISTORY:
        return "history";
    case PART_MODEL:
        return "model";
    default:
        return "intent";
    }
}

bytes_t facts_title(const facts_t *facts, const book_t *book)
{
    return facts->language == LANGUAGE_EN && book->has_title_en ? book->title_en : book->title;
}

int64_t facts_quantity(const facts_t *facts, bytes_t isbn, size_t *lines)
{
    int64_t sum = 0;
    *lines = 0;
    for (size_t i = 0; i < facts->line_count; i++)
        if (bytes_eq(facts->lines[i].isbn, isbn)) {
            sum += facts->lines[i].quantity;
            (*lines)++;
        }
    return sum;
}

int64_t facts_stock_age_ms(const facts_t *facts)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < facts->line_count; i++)
        if (facts->lines[i].has_stale_age_ms && facts->lines[i].stale_age_ms > oldest)
            oldest = facts->lines[i].stale_age_ms;
    return oldest;
}

static const book_t *book_of(const facts_t *facts, bytes_t isbn)
{
    for (size_t i = 0; i < facts->book_count; i++)
        if (bytes_eq(facts->books[i]->isbn, isbn))
            return facts->books[i];
    return NULL;
}

/* -- the prompt ------------------------------------------------------------------------------------- */
static void stock_fact(const facts_t *facts, const stock_line_t *line, buf_t *out)
{
    const book_t *book = book_of(facts, line->isbn);
    prompt_fact_begin(out, PROMPT_FACT_STOCK);
    prompt_text(out, "isbn", line->isbn);
    prompt_text(out, "title", book ? facts_title(facts, book) : line->has_title ? line->title : BYTES_NONE);
    if (book && book->has_volume)
        prompt_int(out, "volume", book->volume);
    prompt_text(out, "warehouse", line->warehouse_code);
    prompt_text(out, "status", line->status);
    prompt_int(out, "quantity", line->quantity);
    if (line->has_price_jpy)
        prompt_int(out, "price_jpy", line->price_jpy);
    if (line->has_last_restock_date)
        prompt_text(out, "restock_date", line->last_restock_date);
    if (line->has_eta_days)
        prompt_int(out, "eta_days", line->eta_days);
    if (line->has_stale_age_ms)
        prompt_int(out, "stale_minutes", (line->stale_age_ms + MS_PER_MINUTE - 1) / MS_PER_MINUTE);
    prompt_fact_end(out);
}

static void first_of(const bytes_list_t *list, bool has, const char *key, buf_t *out)
{
    if (has && list->count)
        prompt_text(out, key, list->items[0]);
}

static void book_fact(const facts_t *facts, const book_t *book, buf_t *out)
{
    prompt_fact_begin(out, facts->intent == INTENT_PRICE ? PROMPT_FACT_PRICE : PROMPT_FACT_BOOK);
    prompt_text(out, "isbn", book->isbn);
    prompt_text(out, "title", facts_title(facts, book));
    if (book->has_volume)
        prompt_int(out, "volume", book->volume);
    if (book->has_price_jpy)
        prompt_int(out, "price_jpy", book->price_jpy);
    if (facts->intent != INTENT_PRICE) {
        if (book->has_title_en)
            prompt_text(out, "title_en", book->title_en);
        first_of(&book->creators, book->has_creators, "creators", out);
        first_of(&book->genres, book->has_genres, "genres", out);
        if (book->has_publisher)
            prompt_text(out, "publisher", book->publisher);
        if (book->has_synopsis)
            prompt_text(out, "synopsis", book->synopsis);
    }
    prompt_fact_end(out);
}

static void hit_fact(const search_hit_t *hit, buf_t *out)
{
    prompt_fact_begin(out, PROMPT_FACT_BOOK);
    prompt_text(out, "isbn", hit->isbn);
    prompt_text(out, "title", hit->title);
    if (hit->has_volume)
        prompt_int(out, "volume", hit->volume);
    first_of(&hit->creators, hit->has_creators, "creators", out);
    if (hit->has_price_jpy)
        prompt_int(out, "price_jpy", hit->price_jpy);
    if (hit->has_synopsis)
        prompt_text(out, "synopsis", hit->synopsis);
    prompt_fact_end(out);
}

static void order_fact(const erp_order_t *order, buf_t *out)
{
    prompt_fact_begin(out, PROMPT_FACT_ORDER);
    prompt_text(out, "order_id", order->order_id);
    prompt_text(out, "status", order->status);
    prompt_text(out, "ordered_on",
                bytes_from(order->placed_at.data, order->placed_at.len < 10 ? order->placed_at.len : 10));
    if (order->has_expected_on)
        prompt_text(out, "expected_on", order->expected_on);
    if (bytes_eq_cstr(order->currency, "JPY"))
        prompt_int(out, "total_jpy", order->total_amount);
    prompt_int(out, "items", order->items.count);
    prompt_fact_end(out);
}

static void word_fact(const char *kind, const char *what, buf_t *out)
{
    prompt_fact_begin(out, kind);
    prompt_text(out, "what", bytes_cstr(what));
    prompt_fact_end(out);
}

static void none_facts(const facts_t *facts, buf_t *out)
{
    bool wants_book = facts->intent == INTENT_INVENTORY || facts->intent == INTENT_PRICE;
    if (wants_book && facts->book_count == 0 && facts->line_count == 0 && !(facts->missing & PART_CATALOG))
        word_fact(PROMPT_FACT_NONE, "book", out);
    if (facts->stock_none)
        word_fact(PROMPT_FACT_NONE, "stock", out);
    if (facts->order_none)
        word_fact(PROMPT_FACT_NONE, "orders", out);
    if (facts->intent == INTENT_SEARCH && facts->hit_count == 0 && facts->book_count == 0 &&
        !(facts->missing & PART_SEARCH))
        word_fact(PROMPT_FACT_NONE, "search", out);
}

static void missing_facts(const facts_t *facts, buf_t *out)
{
    unsigned told = facts->missing & ~(unsigned)(PART_MODEL | PART_INTENT);
    for (int i = 0; i < PART_BITS; i++)
        if (told & (1u << i))
            word_fact(PROMPT_FACT_MISSING, part_name(1u << i), out);
}

void facts_prompt(const facts_t *facts, buf_t *out)
{
    prompt_language(out, language_name(facts->language));
    for (size_t i = 0; i < facts->line_count; i++)
        stock_fact(facts, &facts->lines[i], out);
    for (size_t i = 0; i < facts->book_count; i++)
        book_fact(facts, facts->books[i], out);
    for (size_t i = 0; i < facts->hit_count; i++)
        hit_fact(facts->hits[i], out);
    for (size_t i = 0; i < facts->order_count; i++)
        order_fact(facts->orders[i], out);
    none_facts(facts, out);
    missing_facts(facts, out);
    prompt_question(out, facts->question);
}
