/* tell.c: answers composed from the facts alone, in Japanese and English, for when no model is needed or none answers.
 */
#include <inttypes.h>
#include <stdio.h>

#include "services/chat-router/facts.h"

#define MS_PER_MINUTE 60000
#define MS_PER_HOUR (60 * MS_PER_MINUTE)
#define FOUND_MAX 5 /* books named as found */
#define LIST_MAX 3  /* near things named in one sentence */

static bool is_ja(const facts_t *facts)
{
    return facts->language == LANGUAGE_JA;
}

static void say(const facts_t *facts, buf_t *out, const char *ja, const char *en)
{
    if (!is_ja(facts) && out->len && out->data[out->len - 1] != ' ' && out->data[out->len - 1] != '\n')
        buf_append_byte(out, ' ');
    buf_append_cstr(out, is_ja(facts) ? ja : en);
}

static void name_put(const facts_t *facts, bytes_t title, bool has_volume, int64_t volume, buf_t *out)
{
    buf_printf(out, is_ja(facts) ? "『%.*s』" : "\"%.*s\"", BYTES_FMT(title));
    if (has_volume)
        buf_printf(out, is_ja(facts) ? "%" PRId64 "巻" : " volume %" PRId64, volume);
}

static void book_put(const facts_t *facts, const book_t *book, buf_t *out)
{
    name_put(facts, facts_title(facts, book), book->has_volume, book->volume, out);
    if (book->has_volume_label)
        buf_printf(out, is_ja(facts) ? "（%.*s）" : " (%.*s)", BYTES_FMT(book->volume_label));
}

/* What was asked for, in the customer's words. */
static void asked_put(const facts_t *facts, buf_t *out)
{
    if (facts->title.len)
        name_put(facts, facts->title, facts->has_volume, facts->volume, out);
    else if (facts->isbn.len)
        buf_printf(out, "ISBN %.*s", BYTES_FMT(facts->isbn));
    else
        buf_append_cstr(out, is_ja(facts) ? "お探しの本" : "that book");
}

/* -- stock ------------------------------------------------------------------------------------------- */
static void warehouses_put(const facts_t *facts, bytes_t isbn, buf_t *out)
{
    const char *separator = is_ja(facts) ? "（" : " (";
    for (size_t i = 0; i < facts->line_count; i++) {
        const stock_line_t *line = &facts->lines[i];
        if (!bytes_eq(line->isbn, isbn) || line->quantity == 0)
            continue;
        buf_printf(out, is_ja(facts) ? "%s%.*s：%" PRId64 "冊" : "%s%.*s: %" PRId64, separator,
                   BYTES_FMT(line->warehouse_code), line->quantity);
        separator = is_ja(facts) ? "、" : ", ";
    }
    buf_append_cstr(out, is_ja(facts) ? "）" : ")");
}

/* Days until the soonest goods; -1 when nobody said. */
static int64_t eta_days(const facts_t *facts, bytes_t isbn)
{
    int64_t soonest = -1;
    for (size_t i = 0; i < facts->line_count; i++) {
        const stock_line_t *line = &facts->lines[i];
        if (bytes_eq(line->isbn, isbn) && line->has_eta_days && (soonest < 0 || line->eta_days < soonest))
            soonest = line->eta_days;
    }
    return soonest;
}

static bool any_status(const facts_t *facts, bytes_t isbn, const char *status)
{
    for (size_t i = 0; i < facts->line_count; i++)
        if (bytes_eq(facts->lines[i].isbn, isbn) && bytes_eq_cstr(facts->lines[i].status, status))
            return true;
    return false;
}

static void nothing_left_put(const facts_t *facts, bytes_t isbn, buf_t *out)
{
    int64_t eta = eta_days(facts, isbn);
    if (any_status(facts, isbn, "preorder"))
        buf_append_cstr(out, is_ja(facts) ? "は発売前で、ご予約を承っております。"
                                          : " is not out yet; it can be pre-ordered.");
    else
        buf_append_cstr(out, is_ja(facts) ? "は申し訳ございませんが、現在在庫切れです。"
                                          : " is out of stock at the moment.");
    if (eta >= 0)
        buf_printf(out,
                   is_ja(facts) ? "入荷予定は約%" PRId64 "日後です。" : " More are expected in about %" PRId64 " days.",
                   eta);
}

static void stock_of(const facts_t *facts, const book_t *book, bytes_t isbn, buf_t *out)
{
    size_t lines;
    int64_t quantity = facts_quantity(facts, isbn, &lines);
    if (!is_ja(facts) && out->len)
        buf_append_byte(out, ' ');
    if (book)
        book_put(facts, book, out);
    else
        asked_put(facts, out);
    if (lines == 0)
        buf_append_cstr(out, is_ja(facts) ? "の在庫は現在確認できません。" : ": I cannot see its stock right now.");
    else if (quantity == 0)
        nothing_left_put(facts, isbn, out);
    else {
        buf_printf(out, is_ja(facts) ? "は在庫がございます。合計%" PRId64 "冊" : " is in stock: %" PRId64 " in all",
                   quantity);
        warehouses_put(facts, isbn, out);
        buf_append_cstr(out, is_ja(facts) ? "です。" : ".");
    }
}

static bool price_of(const facts_t *facts, const book_t *book, bytes_t isbn, int64_t *price)
{
    for (size_t i = 0; i < facts->line_count; i++)
        if (bytes_eq(facts->lines[i].isbn, isbn) && facts->lines[i].has_price_jpy) {
            *price = facts->lines[i].price_jpy;
            return true;
        }
    if (!book || !book->has_price_jpy)
        return false;
    *price = book->price_jpy;
    return true;
}

static void price_tell(const facts_t *facts, const book_t *book, bytes_t isbn, bool is_answer, buf_t *out)
{
    int64_t price;
    bool is_known = price_of(facts, book, isbn, &price);
    if (!is_answer && !is_known)
        return;
    if (!is_ja(facts) && out->len)
        buf_append_byte(out, ' ');
    if (is_answer && book)
        book_put(facts, book, out);
    else if (is_answer)
        asked_put(facts, out);
    if (!is_known)
        buf_append_cstr(out, is_ja(facts) ? "の価格は現在確認できません。" : ": I cannot see its price right now.");
    else if (is_answer)
        buf_printf(out, is_ja(facts) ? "の価格は%" PRId64 "円です。" : " costs %" PRId64 " yen.", price);
    else
        buf_printf(out, is_ja(facts) ? "価格は%" PRId64 "円です。" : "It costs %" PRId64 " yen.", price);
}

void facts_tell_age(const facts_t *facts, bytes_t told, buf_t *out)
{
    int64_t age_ms = facts_stock_age_ms(facts);
    if (age_ms == 0)
        return;
    bool is_hours = age_ms >= 2 * MS_PER_HOUR;
    int64_t n = is_hours ? age_ms / MS_PER_HOUR : (age_ms + MS_PER_MINUTE - 1) / MS_PER_MINUTE;
    char ja[64], en[32];
    (void)snprintf(ja, sizeof(ja), is_hours ? "%" PRId64 "時間前" : "%" PRId64 "分前", n);
    (void)snprintf(en, sizeof(en), is_hours ? "%" PRId64 " hour" : "%" PRId64 " minute", n);
    const char *mark = is_ja(facts) ? ja : en;
    if (told.len && memmem(told.data, told.len, mark, strlen(mark)))
        return;
    if (is_ja(facts))
        buf_printf(out, "（在庫は%s時点の情報です）", ja);
    else
        buf_printf(out, " (Stock as of %s%s ago.)", en, n == 1 ? "" : "s");
}

/* -- a certain book ----------------------------------------------------------------------------------- */
static void near_tell(const facts_t *facts, buf_t *out)
{
    if (facts->hit_count == 0)
        return;
    say(facts, out, "近いものでは、", "Close to it are ");
    for (size_t i = 0; i < facts->hit_count && i < LIST_MAX; i++) {
        if (i)
            buf_append_cstr(out, is_ja(facts) ? "、" : ", ");
        name_put(facts, facts->hits[i]->title, facts->hits[i]->has_volume, facts->hits[i]->volume, out);
    }
    buf_append_cstr(out, is_ja(facts) ? "がございます。" : ".");
}

static void unknown_book_tell(const facts_t *facts, buf_t *out)
{
    if (facts->title.len == 0 && facts->isbn.len == 0) {
        say(facts, out, "どの作品の何巻をお探しでしょうか。タイトルと巻数をお知らせください。",
            "Which book do you mean? Please tell me its title and volume.");
        return;
    }
    asked_put(facts, out);
    if (facts->missing & PART_CATALOG)
        say(facts, out, "を、ただいま確認できません。しばらくしてからもう一度お尋ねください。",
            "cannot be looked up right now. Please ask again in a moment.");
    else
        say(facts, out, "は当店の商品に見つかりませんでした。", "was not found among our books.");
    near_tell(facts, out);
}

static void inventory_tell(const facts_t *facts, buf_t *out)
{
    if (facts->book_count == 0 && facts->line_count == 0) {
        unknown_book_tell(facts, out);
        return;
    }
    for (size_t i = 0; i < facts->book_count; i++)
        stock_of(facts, facts->books[i], facts->books[i]->isbn, out);
    if (facts->book_count == 0)
        stock_of(facts, NULL, facts->isbn, out);
    if (facts->book_count == 1)
        price_tell(facts, facts->books[0], facts->books[0]->isbn, false, out);
    if (facts->has_more_volumes)
        say(facts, out, "ほかの巻もございます。巻数をお知らせください。",
            "There are more volumes; tell me which one you want.");
}

static void price_all_tell(const facts_t *facts, buf_t *out)
{
    if (facts->book_count == 0 && facts->line_count == 0) {
        unknown_book_tell(facts, out);
        return;
    }
    for (size_t i = 0; i < facts->book_count; i++)
        price_tell(facts, facts->books[i], facts->books[i]->isbn, true, out);
    if (facts->book_count == 0)
        price_tell(facts, NULL, facts->isbn, true, out);
}

/* -- the rest ------------------------------------------------------------------------------------------ */
static void found_tell(const facts_t *facts, buf_t *out)
{
    if (facts->hit_count == 0 && facts->book_count == 0) {
        if (facts->missing & (PART_SEARCH | PART_CATALOG))
            say(facts, out, "申し訳ございませんが、ただいま検索ができません。しばらくしてからもう一度お試しください。",
                "I am sorry, searching does not work right now. Please try again in a moment.");
        else
            say(facts, out, "ご希望に合う作品は見つかりませんでした。", "I found no book that fits.");
        return;
    }
    say(facts, out, facts->intent == INTENT_RECOMMEND ? "おすすめは、" : "次の作品が見つかりました：",
        facts->intent == INTENT_RECOMMEND ? "You may like " : "I found ");
    size_t count = 0;
    for (size_t i = 0; i < facts->book_count && facts->intent == INTENT_SEARCH; i++, count++) {
        buf_append_cstr(out, count ? (is_ja(facts) ? "、" : ", ") : "");
        book_put(facts, facts->books[i], out);
    }
    for (size_t i = 0; i < facts->hit_count && count < FOUND_MAX; i++, count++) {
        buf_append_cstr(out, count ? (is_ja(facts) ? "、" : ", ") : "");
        name_put(facts, facts->hits[i]->title, facts->hits[i]->has_volume, facts->hits[i]->volume, out);
    }
    buf_append_cstr(out, is_ja(facts) ? "です。" : ".");
}

static const char *order_status(const facts_t *facts, bytes_t status)
{
    static const char *const words[][3] = {
        {"placed", "ご注文を承りました", "has been placed"}, {"paid", "お支払いを確認しました", "has been paid"},
        {"packed", "発送準備中です", "is being packed"},     {"shipped", "発送済みです", "has been shipped"},
        {"delivered", "配達済みです", "has been delivered"}, {"cancelled", "キャンセルされています", "was cancelled"},
        {"returned", "返品されています", "was returned"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (bytes_eq_cstr(status, words[i][0]))
            return words[i][is_ja(facts) ? 1 : 2];
    return is_ja(facts) ? "状況を確認できません" : "is in a state that I cannot tell";
}

static void order_tell(const facts_t *facts, const erp_order_t *order, buf_t *out)
{
    if (!is_ja(facts) && out->len)
        buf_append_byte(out, ' ');
    buf_printf(out, is_ja(facts) ? "ご注文 %.*s：%s。" : "Order %.*s %s.", BYTES_FMT(order->order_id),
               order_status(facts, order->status));
    if (order->has_expected_on)
        buf_printf(out, is_ja(facts) ? "お届け予定は%.*sです。" : " It should arrive on %.*s.",
                   BYTES_FMT(order->expected_on));
}

static void orders_tell(const facts_t *facts, buf_t *out)
{
    if (facts->is_stranger)
        say(facts, out, "ご注文の確認にはログインが必要です。ログインのうえ、もう一度お尋ねください。",
            "To look up an order I need to know who you are. Please sign in and ask again.");
    else if (facts->missing & PART_ORDERS)
        say(facts, out,
            "申し訳ございませんが、ただいま注文状況を確認できません。しばらくしてからもう一度お尋ねください。",
            "I am sorry, I cannot look up orders right now. Please ask again in a moment.");
    else if (facts->order_count == 0)
        say(facts, out, "該当するご注文は見つかりませんでした。", "I found no such order.");
    for (size_t i = 0; i < facts->order_count; i++)
        order_tell(facts, facts->orders[i], out);
    if (facts->order_age_ms >= MS_PER_MINUTE)
        buf_printf(out, is_ja(facts) ? "（%" PRId64 "分前時点の情報です）" : " (As of %" PRId64 " minutes ago.)",
                   facts->order_age_ms / MS_PER_MINUTE);
}

void facts_tell(const facts_t *facts, buf_t *out)
{
    switch (facts->intent) {
    case INTENT_INVENTORY:
        inventory_tell(facts, out);
        break;
    case INTENT_PRICE:
        price_all_tell(facts, out);
        break;
    case INTENT_SEARCH:
    case INTENT_RECOMMEND:
        found_tell(facts, out);
        break;
    case INTENT_ORDER:
        orders_tell(facts, out);
        break;
    case INTENT_POLICY:
        say(facts, out, "送料・返品・お支払いなどについては、お手数ですが店舗の窓口へお問い合わせください。",
            "For shipping, returns and payment please ask our customer service; I have no reliable answer to that.");
        break;
    case INTENT_GREETING:
        say(facts, out, "いらっしゃいませ。漫画の在庫や価格、おすすめなど、何でもお尋ねください。",
            "Welcome! Ask me about stock and prices of manga, or for something good to read.");
        break;
    default:
        say(facts, out, "申し訳ございませんが、当店の漫画に関するご質問のみお答えできます。",
            "I am sorry, I can only answer questions about manga and this store.");
    }
    facts_tell_age(facts, buf_bytes(out), out);
}
