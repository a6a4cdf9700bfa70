/* compose.c: which answer a prompt gets, and what its stock facts come to. */
#include "tools/sims/bedrock-sim/compose.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/sims/bedrock-sim/compose_internal.h"
#include "tools/sims/bedrock-sim/text.h"

bool compose_is(const prompt_fact_t *fact, const char *kind)
{
    return bytes_eq_cstr(fact->kind, kind);
}

bool compose_has(const prompt_t *prompt, const char *kind)
{
    for (size_t i = 0; i < prompt->fact_count; i++)
        if (compose_is(&prompt->facts[i], kind))
            return true;
    return false;
}

void compose_number(buf_t *out, int64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRId64, value);
    for (int i = 0; i < len; i++) {
        buf_append_byte(out, (uint8_t)digits[i]);
        if ((len - 1 - i) % 3 == 0 && i < len - 1 && digits[i] != '-')
            buf_append_byte(out, ',');
    }
}

/* -- stock --------------------------------------------------------------------------------------- */
static bool is_same_book(const prompt_fact_t *a, const prompt_fact_t *b)
{
    static const char *const keys[] = {"isbn", "title", "volume"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!bytes_eq(prompt_fact_text(a, keys[i]), prompt_fact_text(b, keys[i])))
            return false;
    return true;
}

static compose_stock_t *stock_of(compose_stock_t *stocks, size_t *count, const prompt_fact_t *fact)
{
    for (size_t i = 0; i < *count; i++)
        if (is_same_book(stocks[i].first, fact))
            return &stocks[i];
    if (*count == COMPOSE_BOOKS_MAX)
        return NULL;
    compose_stock_t *stock = &stocks[(*count)++];
    *stock =
        (compose_stock_t){.first = fact, .price_jpy = -1, .eta_days = -1, .stale_minutes = -1, .state = BOOK_UNKNOWN};
    return stock;
}

static int state_of(const prompt_fact_t *fact)
{
    static const struct {
        const char *status;
        int state;
    } states[] = {
        {"in_stock", BOOK_AVAILABLE}, {"low_stock", BOOK_FEW}, {"out_of_stock", BOOK_OUT}, {"preorder", BOOK_PREORDER}};
    bytes_t status = prompt_fact_text(fact, "status");
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (bytes_eq_cstr(status, states[i].status))
            return states[i].state;
    return BOOK_UNKNOWN;
}

static int64_t least_known(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Of several warehouses the best state counts: the enum is in that order. */
static void stock_add(compose_stock_t *stock, const prompt_fact_t *fact)
{
    int state = state_of(fact);
    if (state < (int)stock->state)
        stock->state = state;
    int64_t quantity = prompt_fact_int(fact, "quantity", 0);
    stock->quantity += quantity > 0 ? quantity : 0;
    stock->price_jpy = stock->price_jpy < 0 ? prompt_fact_int(fact, "price_jpy", -1) : stock->price_jpy;
    stock->eta_days = least_known(stock->eta_days, prompt_fact_int(fact, "eta_days", -1));
    int64_t stale = prompt_fact_int(fact, "stale_minutes", -1);
    stock->stale_minutes = stale > stock->stale_minutes ? stale : stock->stale_minutes;
    if (stock->restock_date.len == 0)
        stock->restock_date = prompt_fact_text(fact, "restock_date");
    if (prompt_fact_text(fact, "warehouse").len && quantity > 0 && stock->line_count < COMPOSE_WAREHOUSES_MAX)
        stock->lines[stock->line_count++] = fact;
}

size_t compose_stocks(const prompt_t *prompt, compose_stock_t out[COMPOSE_BOOKS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < prompt->fact_count; i++) {
        if (!compose_is(&prompt->facts[i], PROMPT_FACT_STOCK))
            continue;
        compose_stock_t *stock = stock_of(out, &count, &prompt->facts[i]);
        if (stock)
            stock_add(stock, &prompt->facts[i]);
    }
    return count;
}

/* -- which answer -------------------------------------------------------------------------------- */
bool compose_is_greeting(bytes_t question)
{
    static const char *const words[] = {"こんにちは",   "こんばんは", "おはよう",
                                        "はじめまして", "hello",      "good morning",
                                        "good evening", "hi there",   NULL};
    buf_t folded = {0};
    text_fold(question, &folded);
    bool is = text_has_any(buf_bytes(&folded), words) || bytes_eq_cstr(buf_bytes(&folded), "hi");
    buf_free(&folded);
    return is;
}

static bool is_japanese(const prompt_t *prompt, bytes_t user)
{
    if (prompt->language.len)
        return bytes_eq_cstr(prompt->language, "ja");
    return text_is_japanese(prompt->question.len ? prompt->question : user);
}

static void compose_foreign(bool japanese, buf_t *out)
{
    buf_append_cstr(out, japanese
                             ? "これは基盤モデルの代役です。決まった形の事実が渡されなかったため、お答えできません。"
                             : "This is a stand-in for a foundation model. It was given no facts in the form it "
                               "knows, so it has nothing to say.");
}

bool compose_answer(bytes_t system, bytes_t user, arena_t *arena, buf_t *out)
{
    prompt_t prompt;
    if (!prompt_read(system, user, arena, &prompt))
        return false;
    bool japanese = is_japanese(&prompt, user);
    if (bytes_eq_cstr(prompt.task, PROMPT_TASK_CLASSIFY))
        compose_intent(&prompt, out);
    else if (prompt.task.len == 0 && prompt.fact_count == 0)
        compose_foreign(japanese, out);
    else if (japanese)
        compose_japanese(&prompt, out);
    else
        compose_english(&prompt, out);
    return !out->failed;
}
