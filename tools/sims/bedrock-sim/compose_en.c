/* compose_en.c: the facts in English. */
#include <inttypes.h>

#include "tools/sims/bedrock-sim/compose_internal.h"

/* "One Piece" volume 42 */
static void book_put(const prompt_fact_t *fact, buf_t *out)
{
    bytes_t title = prompt_fact_text(fact, "title_en"), isbn = prompt_fact_text(fact, "isbn");
    int64_t volume = prompt_fact_int(fact, "volume", -1);
    if (title.len == 0)
        title = prompt_fact_text(fact, "title");
    if (title.len)
        buf_printf(out, "\"%.*s\"", BYTES_FMT(title));
    else
        buf_printf(out, "The book with ISBN %.*s", BYTES_FMT(isbn));
    if (volume >= 0)
        buf_printf(out, " volume %" PRId64, volume);
    else if (prompt_fact_text(fact, "volume").len)
        buf_printf(out, " (%.*s)", BYTES_FMT(prompt_fact_text(fact, "volume")));
}

static void price_put(int64_t price_jpy, buf_t *out)
{
    buf_append_cstr(out, "¥");
    compose_number(out, price_jpy);
}

/* : 15 copies (12 in TK01, 3 in OS01) */
static void quantity_put(const compose_stock_t *stock, buf_t *out)
{
    if (stock->quantity == 0)
        return;
    buf_append_cstr(out, ": ");
    compose_number(out, stock->quantity);
    buf_append_cstr(out, stock->quantity == 1 ? " copy" : " copies");
    for (size_t i = 0; i < stock->line_count; i++) {
        bytes_t warehouse = prompt_fact_text(stock->lines[i], "warehouse");
        buf_printf(out, "%s%" PRId64 " in %.*s", i ? ", " : " (", prompt_fact_int(stock->lines[i], "quantity", 0),
                   BYTES_FMT(warehouse));
    }
    if (stock->line_count)
        buf_append_cstr(out, ")");
}

static void arrival_put(const compose_stock_t *stock, buf_t *out)
{
    if (stock->eta_days >= 0)
        buf_printf(out, " It is expected in about %" PRId64 " day%s.", stock->eta_days,
                   stock->eta_days == 1 ? "" : "s");
    else if (stock->restock_date.len)
        buf_printf(out, " The last delivery came on %.*s.", BYTES_FMT(stock->restock_date));
}

static void state_put(const compose_stock_t *stock, buf_t *out)
{
    static const char *const words[] = {
        [BOOK_AVAILABLE] = " is in stock",
        [BOOK_FEW] = " is in stock, but only a few are left",
        [BOOK_PREORDER] = " can be preordered",
        [BOOK_OUT] = " is out of stock at the moment",
        [BOOK_UNKNOWN] = ": its stock could not be determined",
    };
    if (stock->state <= BOOK_FEW)
        buf_append_cstr(out, "Yes, ");
    else if (stock->state == BOOK_OUT)
        buf_append_cstr(out, "I am sorry, ");
    book_put(stock->first, out);
    buf_append_cstr(out, words[stock->state]);
}

static void stock_put(const compose_stock_t *stock, buf_t *out)
{
    state_put(stock, out);
    if (stock->state <= BOOK_FEW)
        quantity_put(stock, out);
    buf_append_cstr(out, ".");
    if (stock->state == BOOK_OUT || stock->state == BOOK_PREORDER)
        arrival_put(stock, out);
    if (stock->price_jpy >= 0) {
        buf_append_cstr(out, " The price is ");
        price_put(stock->price_jpy, out);
        buf_append_cstr(out, ".");
    }
    if (stock->stale_minutes >= 0)
        buf_printf(out, " The stock figure is about %" PRId64 " minute%s old.", stock->stale_minutes,
                   stock->stale_minutes == 1 ? "" : "s");
}

static void price_fact_put(const prompt_fact_t *fact, buf_t *out)
{
    int64_t price = prompt_fact_int(fact, "price_jpy", -1);
    book_put(fact, out);
    if (price < 0) {
        buf_append_cstr(out, ": its price could not be determined.");
        return;
    }
    buf_append_cstr(out, " costs ");
    price_put(price, out);
    buf_append_cstr(out, ".");
}

static void order_put(const prompt_fact_t *fact, buf_t *out)
{
    buf_printf(out, "Your order %.*s is %.*s.", BYTES_FMT(prompt_fact_text(fact, "order_id")),
               BYTES_FMT(prompt_fact_text(fact, "status")));
    if (prompt_fact_int(fact, "eta_days", -1) >= 0)
        buf_printf(out, " It should arrive in about %" PRId64 " days.", prompt_fact_int(fact, "eta_days", 0));
    if (prompt_fact_text(fact, "expected_on").len)
        buf_printf(out, " It should arrive on %.*s.", BYTES_FMT(prompt_fact_text(fact, "expected_on")));
    if (prompt_fact_int(fact, "total_jpy", -1) >= 0) {
        buf_append_cstr(out, " The total is ");
        price_put(prompt_fact_int(fact, "total_jpy", 0), out);
        buf_append_cstr(out, ".");
    }
}

/* "One Piece" volume 42 (Eiichiro Oda, Shueisha, ¥528) */
static void suggestion_put(const prompt_fact_t *fact, buf_t *out)
{
    static const char *const keys[] = {"creators", "publisher"};
    const char *before = " (";
    size_t count = 0;
    book_put(fact, out);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (prompt_fact_text(fact, keys[i]).len)
            buf_printf(out, "%s%.*s", count++ ? ", " : before, BYTES_FMT(prompt_fact_text(fact, keys[i])));
    if (prompt_fact_int(fact, "price_jpy", -1) >= 0) {
        buf_append_cstr(out, count++ ? ", " : before);
        price_put(prompt_fact_int(fact, "price_jpy", 0), out);
    }
    if (count)
        buf_append_cstr(out, ")");
}

static void suggestions_put(const prompt_t *prompt, buf_t *out)
{
    size_t count = 0;
    const prompt_fact_t *only = NULL;
    for (size_t i = 0; i < prompt->fact_count && count < COMPOSE_SUGGESTED_MAX; i++)
        if (compose_is(&prompt->facts[i], PROMPT_FACT_BOOK)) {
            buf_append_cstr(out, count++ ? "; " : "What comes closest: ");
            suggestion_put(&prompt->facts[i], out);
            only = &prompt->facts[i];
        }
    if (count)
        buf_append_cstr(out, ".");
    if (count == 1 && prompt_fact_text(only, "synopsis").len)
        buf_printf(out, " It is about: %.*s", BYTES_FMT(prompt_fact_text(only, "synopsis")));
}

/* What could not be looked up, and what was and is not there. */
static const char *topic(const prompt_fact_t *fact, bool was_asked)
{
    static const struct {
        const char *what, *missing, *none;
    } topics[] = {
        {"stock", "stock", "stock information"},   {"price", "price", "price"},
        {"orders", "orders", "such order"},        {"order", "order", "such order"},
        {"search", "catalogue", "matching book"},  {"book", "catalogue", "matching book"},
        {"catalog", "catalogue", "matching book"}, {"history", "conversation so far", "earlier conversation"},
    };
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (bytes_eq_cstr(prompt_fact_text(fact, "what"), topics[i].what))
            return was_asked ? topics[i].none : topics[i].missing;
    return "information";
}

static void other_put(const prompt_fact_t *fact, buf_t *out)
{
    if (compose_is(fact, PROMPT_FACT_PRICE)) {
        price_fact_put(fact, out);
    } else if (compose_is(fact, PROMPT_FACT_ORDER)) {
        order_put(fact, out);
    } else if (compose_is(fact, PROMPT_FACT_POLICY)) {
        buf_append_bytes(out, prompt_fact_text(fact, "text"));
    } else if (compose_is(fact, PROMPT_FACT_NONE)) {
        buf_printf(out, "I am sorry, no %s was found.", topic(fact, true));
    } else if (compose_is(fact, PROMPT_FACT_MISSING)) {
        buf_printf(out, "I am sorry, the %s could not be looked up just now.", topic(fact, false));
    }
}

/* Sentences of different facts are parted by a blank. */
static void blank_put(buf_t *out, size_t start)
{
    if (out->len > start && out->data[out->len - 1] != ' ')
        buf_append_byte(out, ' ');
}

void compose_english(const prompt_t *prompt, buf_t *out)
{
    compose_stock_t stocks[COMPOSE_BOOKS_MAX];
    size_t start = out->len, count = compose_stocks(prompt, stocks);
    for (size_t i = 0; i < count; i++) {
        blank_put(out, start);
        stock_put(&stocks[i], out);
    }
    for (size_t i = 0; i < prompt->fact_count; i++) {
        blank_put(out, start);
        other_put(&prompt->facts[i], out);
    }
    blank_put(out, start);
    if (count == 0 && !compose_has(prompt, PROMPT_FACT_ORDER) && !compose_has(prompt, PROMPT_FACT_PRICE))
        suggestions_put(prompt, out);
    if (out->len > start && out->data[out->len - 1] == ' ')
        out->len--;
    if (out->len == start && compose_is_greeting(prompt->question))
        buf_append_cstr(out, "Hello. Tell me a title and a volume, and I will look up stock and price for you.");
    else if (out->len == start)
        buf_append_cstr(out, "I am sorry, I have no information on that. Please name a title or a volume.");
}
