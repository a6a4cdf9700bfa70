/* compose_ja.c: the facts in polite Japanese. */
#include <inttypes.h>

#include "tools/sims/bedrock-sim/compose_internal.h"

/* 「ワンピース」42巻 */
static void book_put(const prompt_fact_t *fact, buf_t *out)
{
    bytes_t title = prompt_fact_text(fact, "title"), isbn = prompt_fact_text(fact, "isbn");
    int64_t volume = prompt_fact_int(fact, "volume", -1);
    if (title.len)
        buf_printf(out, "「%.*s」", BYTES_FMT(title));
    else
        buf_printf(out, "ISBN %.*sの本", BYTES_FMT(isbn));
    if (volume >= 0)
        buf_printf(out, "%" PRId64 "巻", volume);
    else if (prompt_fact_text(fact, "volume").len)
        buf_append_bytes(out, prompt_fact_text(fact, "volume"));
}

static void price_put(int64_t price_jpy, buf_t *out)
{
    compose_number(out, price_jpy);
    buf_append_cstr(out, "円");
}

/* （12冊） or （TK01に12冊） or （合計15冊、TK01に12冊、OS01に3冊） */
static void quantity_put(const compose_stock_t *stock, buf_t *out)
{
    if (stock->quantity == 0)
        return;
    buf_append_cstr(out, stock->line_count > 1 ? "（合計" : "（");
    if (stock->line_count != 1) {
        compose_number(out, stock->quantity);
        buf_append_cstr(out, stock->line_count ? "冊、" : "冊");
    }
    for (size_t i = 0; i < stock->line_count; i++) {
        bytes_t warehouse = prompt_fact_text(stock->lines[i], "warehouse");
        buf_printf(out, "%s%.*sに%" PRId64 "冊", i ? "、" : "", BYTES_FMT(warehouse),
                   prompt_fact_int(stock->lines[i], "quantity", 0));
    }
    buf_append_cstr(out, "）");
}

static void arrival_put(const compose_stock_t *stock, buf_t *out)
{
    if (stock->eta_days >= 0)
        buf_printf(out, "入荷は約%" PRId64 "日後の予定です。", stock->eta_days);
    else if (stock->restock_date.len)
        buf_printf(out, "直近の入荷日は%.*sです。", BYTES_FMT(stock->restock_date));
}

static void state_put(const compose_stock_t *stock, buf_t *out)
{
    book_put(stock->first, out);
    switch (stock->state) {
    case BOOK_AVAILABLE:
        buf_append_cstr(out, "は在庫がございます");
        break;
    case BOOK_FEW:
        buf_append_cstr(out, "は在庫が残りわずかです");
        break;
    case BOOK_PREORDER:
        buf_append_cstr(out, "は予約を受け付けております");
        break;
    case BOOK_OUT:
        buf_append_cstr(out, "は申し訳ございませんが、ただいま在庫切れです");
        break;
    case BOOK_UNKNOWN:
        buf_append_cstr(out, "の在庫状況は確認できませんでした");
        break;
    }
}

static void stock_put(const compose_stock_t *stock, buf_t *out)
{
    state_put(stock, out);
    if (stock->state <= BOOK_FEW)
        quantity_put(stock, out);
    buf_append_cstr(out, "。");
    if (stock->state == BOOK_OUT || stock->state == BOOK_PREORDER)
        arrival_put(stock, out);
    if (stock->price_jpy >= 0) {
        buf_append_cstr(out, "価格は");
        price_put(stock->price_jpy, out);
        buf_append_cstr(out, "です。");
    }
    if (stock->stale_minutes >= 0)
        buf_printf(out, "なお、在庫は約%" PRId64 "分前の情報です。", stock->stale_minutes);
}

static void price_fact_put(const prompt_fact_t *fact, buf_t *out)
{
    int64_t price = prompt_fact_int(fact, "price_jpy", -1);
    book_put(fact, out);
    if (price < 0) {
        buf_append_cstr(out, "の価格は確認できませんでした。");
        return;
    }
    buf_append_cstr(out, "の価格は");
    price_put(price, out);
    buf_append_cstr(out, "です。");
}

static void order_put(const prompt_fact_t *fact, buf_t *out)
{
    static const char *const states[][2] = {
        {"pending", "受付中"},           {"placed", "受付済み"},   {"confirmed", "確認済み"}, {"paid", "支払い済み"},
        {"packed", "梱包済み"},          {"processing", "準備中"}, {"shipped", "発送済み"},   {"delivered", "配達済み"},
        {"cancelled", "キャンセル済み"}, {"returned", "返品済み"}, {"refunded", "返金済み"},
    };
    bytes_t status = prompt_fact_text(fact, "status");
    buf_printf(out, "ご注文 %.*s は", BYTES_FMT(prompt_fact_text(fact, "order_id")));
    size_t i = 0;
    while (i < ARRAY_LEN(states) && !bytes_eq_cstr(status, states[i][0]))
        i++;
    if (i < ARRAY_LEN(states))
        buf_printf(out, "%sです。", states[i][1]);
    else
        buf_printf(out, "「%.*s」の状態です。", BYTES_FMT(status));
    if (prompt_fact_int(fact, "eta_days", -1) >= 0)
        buf_printf(out, "お届けまで約%" PRId64 "日です。", prompt_fact_int(fact, "eta_days", 0));
    if (prompt_fact_text(fact, "expected_on").len)
        buf_printf(out, "お届け予定日は%.*sです。", BYTES_FMT(prompt_fact_text(fact, "expected_on")));
    if (prompt_fact_int(fact, "total_jpy", -1) >= 0) {
        buf_append_cstr(out, "合計は");
        price_put(prompt_fact_int(fact, "total_jpy", 0), out);
        buf_append_cstr(out, "です。");
    }
}

/* 「ワンピース」42巻（尾田栄一郎、集英社、528円） */
static void suggestion_put(const prompt_fact_t *fact, buf_t *out)
{
    static const char *const keys[] = {"creators", "publisher"};
    size_t count = 0;
    book_put(fact, out);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (prompt_fact_text(fact, keys[i]).len)
            buf_printf(out, "%s%.*s", count++ ? "、" : "（", BYTES_FMT(prompt_fact_text(fact, keys[i])));
    if (prompt_fact_int(fact, "price_jpy", -1) >= 0) {
        buf_append_cstr(out, count++ ? "、" : "（");
        price_put(prompt_fact_int(fact, "price_jpy", 0), out);
    }
    if (count)
        buf_append_cstr(out, "）");
}

static void suggestions_put(const prompt_t *prompt, buf_t *out)
{
    size_t count = 0;
    const prompt_fact_t *only = NULL;
    for (size_t i = 0; i < prompt->fact_count && count < COMPOSE_SUGGESTED_MAX; i++)
        if (compose_is(&prompt->facts[i], PROMPT_FACT_BOOK)) {
            buf_append_cstr(out, count++ ? "、" : "お探しに近い作品は、");
            suggestion_put(&prompt->facts[i], out);
            only = &prompt->facts[i];
        }
    if (count)
        buf_append_cstr(out, "です。");
    if (count == 1 && prompt_fact_text(only, "synopsis").len)
        buf_printf(out, "内容: %.*s", BYTES_FMT(prompt_fact_text(only, "synopsis")));
}

/* What could not be looked up, and what was and is not there. */
static const char *topic(const prompt_fact_t *fact, bool was_asked)
{
    static const struct {
        const char *what, *missing, *none;
    } topics[] = {
        {"stock", "在庫情報", "在庫情報"},          {"price", "価格", "価格"},
        {"orders", "注文情報", "該当するご注文"},   {"order", "注文情報", "該当するご注文"},
        {"search", "商品の検索結果", "該当する本"}, {"book", "商品情報", "該当する本"},
        {"catalog", "商品情報", "該当する本"},      {"history", "これまでの会話", "これまでの会話"},
    };
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (bytes_eq_cstr(prompt_fact_text(fact, "what"), topics[i].what))
            return was_asked ? topics[i].none : topics[i].missing;
    return "一部の情報";
}

static void other_put(const prompt_fact_t *fact, buf_t *out)
{
    if (compose_is(fact, PROMPT_FACT_PRICE))
        price_fact_put(fact, out);
    else if (compose_is(fact, PROMPT_FACT_ORDER))
        order_put(fact, out);
    else if (compose_is(fact, PROMPT_FACT_POLICY))
        buf_append_bytes(out, prompt_fact_text(fact, "text"));
    else if (compose_is(fact, PROMPT_FACT_NONE))
        buf_printf(out, "申し訳ございませんが、%sは見つかりませんでした。", topic(fact, true));
    else if (compose_is(fact, PROMPT_FACT_MISSING))
        buf_printf(out, "申し訳ございません。ただいま%sを確認できません。", topic(fact, false));
}

void compose_japanese(const prompt_t *prompt, buf_t *out)
{
    compose_stock_t stocks[COMPOSE_BOOKS_MAX];
    size_t start = out->len, count = compose_stocks(prompt, stocks);
    for (size_t i = 0; i < count; i++)
        stock_put(&stocks[i], out);
    for (size_t i = 0; i < prompt->fact_count; i++)
        other_put(&prompt->facts[i], out);
    if (count == 0 && !compose_has(prompt, PROMPT_FACT_ORDER) && !compose_has(prompt, PROMPT_FACT_PRICE))
        suggestions_put(prompt, out);
    if (out->len == start && compose_is_greeting(prompt->question))
        buf_append_cstr(out, "こんにちは。お探しの作品名や巻数をお知らせください。在庫や価格をお調べいたします。");
    else if (out->len == start)
        buf_append_cstr(
            out, "恐れ入りますが、その件についてお答えできる情報がございません。作品名や巻数をお知らせください。");
}
