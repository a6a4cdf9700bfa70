/* intent.c: phrases that tell what is wanted, in the order in which they win over one another. */
#include "services/chat-router/intent.h"

#include <strings.h>

static const struct {
    const char *name, *meaning;
} intents[INTENT_COUNT] = {
    [INTENT_INVENTORY] = {"inventory_check", "is a certain book in stock, where, how many, when again"},
    [INTENT_PRICE] = {"price", "what does a certain book cost"},
    [INTENT_SEARCH] = {"search", "find books by what they are about, by author or by part of a title"},
    [INTENT_RECOMMEND] = {"recommend", "what to read, or what is like a certain book"},
    [INTENT_ORDER] = {"order_status", "where is the customer's own order or parcel"},
    [INTENT_POLICY] = {"policy", "shipping, returns, payment, opening hours of the store"},
    [INTENT_GREETING] = {"greeting", "hello, thanks, goodbye"},
    [INTENT_OUT_OF_SCOPE] = {"out_of_scope", "anything that is not about manga or this store"},
};

const char *intent_name(intent_t intent)
{
    return intents[intent].name;
}

const char *intent_meaning(intent_t intent)
{
    return intents[intent].meaning;
}

bool intent_from_name(bytes_t name, intent_t *out)
{
    for (int i = 0; i < INTENT_COUNT; i++)
        if (bytes_eq_cstr(name, intents[i].name)) {
            *out = (intent_t)i;
            return true;
        }
    return false;
}

/* Phrases in folded form (wording_fold: case folded, katakana for hiragana). The first that the text holds decides, so
 * what is special stands before what is general. ASCII phrases are met at borders of words. */
static const struct {
    const char *phrase;
    intent_t intent;
    double confidence;
} rules[] = {
    /* What this store does not do, whatever else is said. */
    {"天気", INTENT_OUT_OF_SCOPE, 0.9},
    {"weather", INTENT_OUT_OF_SCOPE, 0.9},
    {"株価", INTENT_OUT_OF_SCOPE, 0.9},
    {"stock market", INTENT_OUT_OF_SCOPE, 0.95},
    {"stock price", INTENT_OUT_OF_SCOPE, 0.9},
    {"bitcoin", INTENT_OUT_OF_SCOPE, 0.9},
    {"選挙", INTENT_OUT_OF_SCOPE, 0.9},
    {"election", INTENT_OUT_OF_SCOPE, 0.9},
    {"プログラム ヲ 書", INTENT_OUT_OF_SCOPE, 0.9},
    {"コード ヲ 書", INTENT_OUT_OF_SCOPE, 0.9},
    {"コードヲ書", INTENT_OUT_OF_SCOPE, 0.9},
    {"プログラムヲ書", INTENT_OUT_OF_SCOPE, 0.9},
    {"write code", INTENT_OUT_OF_SCOPE, 0.9},
    {"python", INTENT_OUT_OF_SCOPE, 0.8},
    {"レシピ", INTENT_OUT_OF_SCOPE, 0.8},
    {"recipe", INTENT_OUT_OF_SCOPE, 0.8},
    {"translate", INTENT_OUT_OF_SCOPE, 0.7},
    {"翻訳シテ", INTENT_OUT_OF_SCOPE, 0.8},
    {"前ノ指示", INTENT_OUT_OF_SCOPE, 0.8},
    {"ignore previous", INTENT_OUT_OF_SCOPE, 0.9},
    {"ignore all previous", INTENT_OUT_OF_SCOPE, 0.9},
    {"system prompt", INTENT_OUT_OF_SCOPE, 0.9},
    {"違法", INTENT_OUT_OF_SCOPE, 0.8},
    {"海賊版", INTENT_OUT_OF_SCOPE, 0.8},
    {"pirated", INTENT_OUT_OF_SCOPE, 0.8},
    /* The customer's own order. */
    {"注文状況", INTENT_ORDER, 0.95},
    {"注文番号", INTENT_ORDER, 0.95},
    {"注文シタ", INTENT_ORDER, 0.9},
    {"注文ノ", INTENT_ORDER, 0.85},
    {"注文ハ", INTENT_ORDER, 0.85},
    {"注文履歴", INTENT_ORDER, 0.9},
    {"配送状況", INTENT_ORDER, 0.95},
    {"発送サレ", INTENT_ORDER, 0.9},
    {"発送状況", INTENT_ORDER, 0.95},
    {"届キマスカ", INTENT_ORDER, 0.7},
    {"届イテ", INTENT_ORDER, 0.85},
    {"届カナイ", INTENT_ORDER, 0.9},
    {"荷物", INTENT_ORDER, 0.85},
    {"追跡", INTENT_ORDER, 0.85},
    {"my order", INTENT_ORDER, 0.95},
    {"my parcel", INTENT_ORDER, 0.9},
    {"my package", INTENT_ORDER, 0.9},
    {"order status", INTENT_ORDER, 0.95},
    {"status of order", INTENT_ORDER, 0.95},
    {"order number", INTENT_ORDER, 0.9},
    {"track", INTENT_ORDER, 0.7},
    {"shipped yet", INTENT_ORDER, 0.9},
    {"has shipped", INTENT_ORDER, 0.8},
    {"did you ship", INTENT_ORDER, 0.85},
    /* The store. */
    {"返品", INTENT_POLICY, 0.9},
    {"交換", INTENT_POLICY, 0.7},
    {"送料", INTENT_POLICY, 0.9},
    {"支払", INTENT_POLICY, 0.85},
    {"決済", INTENT_POLICY, 0.85},
    {"営業時間", INTENT_POLICY, 0.95},
    {"ポイント", INTENT_POLICY, 0.6},
    {"キャンセル", INTENT_POLICY, 0.7},
    {"refund", INTENT_POLICY, 0.85},
    {"return policy", INTENT_POLICY, 0.95},
    {"return a book", INTENT_POLICY, 0.9},
    {"shipping", INTENT_POLICY, 0.8},
    {"payment method", INTENT_POLICY, 0.9},
    {"opening hours", INTENT_POLICY, 0.95},
    {"credit card", INTENT_POLICY, 0.85},
    /* Likeness and taste. */
    {"オススメ", INTENT_RECOMMEND, 0.95},
    {"オ勧メ", INTENT_RECOMMEND, 0.95},
    {"オ薦メ", INTENT_RECOMMEND, 0.95},
    {"ミタイナ", INTENT_RECOMMEND, 0.85},
    {"ノヨウナ", INTENT_RECOMMEND, 0.8},
    {"ニ似タ", INTENT_RECOMMEND, 0.85},
    {"ト似タ", INTENT_RECOMMEND, 0.85},
    {"好キナ人", INTENT_RECOMMEND, 0.8},
    {"何ヲ読メバ", INTENT_RECOMMEND, 0.9},
    {"人気ノ", INTENT_RECOMMEND, 0.7},
    {"recommend", INTENT_RECOMMEND, 0.95},
    {"recommendations", INTENT_RECOMMEND, 0.95},
    {"recommendation", INTENT_RECOMMEND, 0.95},
    {"suggest", INTENT_RECOMMEND, 0.85},
    {"something like", INTENT_RECOMMEND, 0.85},
    {"manga like", INTENT_RECOMMEND, 0.85},
    {"similar to", INTENT_RECOMMEND, 0.85},
    {"should i read", INTENT_RECOMMEND, 0.9},
    {"popular", INTENT_RECOMMEND, 0.65},
    /* Money. */
    {"イクラ", INTENT_PRICE, 0.9},
    {"値段", INTENT_PRICE, 0.95},
    {"価格", INTENT_PRICE, 0.95},
    {"金額", INTENT_PRICE, 0.9},
    {"定価", INTENT_PRICE, 0.95},
    {"何円", INTENT_PRICE, 0.95},
    {"how much", INTENT_PRICE, 0.9},
    {"price", INTENT_PRICE, 0.9},
    {"cost", INTENT_PRICE, 0.85},
    {"costs", INTENT_PRICE, 0.85},
    /* Stock. */
    {"在庫", INTENT_INVENTORY, 0.95},
    {"入荷", INTENT_INVENTORY, 0.9},
    {"売リ切レ", INTENT_INVENTORY, 0.9},
    {"品切レ", INTENT_INVENTORY, 0.9},
    {"売ッテ", INTENT_INVENTORY, 0.8},
    {"置イテ", INTENT_INVENTORY, 0.8},
    {"取リ扱", INTENT_INVENTORY, 0.8},
    {"取扱", INTENT_INVENTORY, 0.8},
    {"残ッテ", INTENT_INVENTORY, 0.8},
    {"手ニ入", INTENT_INVENTORY, 0.8},
    {"買エ", INTENT_INVENTORY, 0.75},
    {"in stock", INTENT_INVENTORY, 0.95},
    {"out of stock", INTENT_INVENTORY, 0.95},
    {"sold out", INTENT_INVENTORY, 0.9},
    {"stock", INTENT_INVENTORY, 0.8},
    {"available", INTENT_INVENTORY, 0.85},
    {"availability", INTENT_INVENTORY, 0.9},
    {"copies", INTENT_INVENTORY, 0.8},
    /* Looking for something. */
    {"作者", INTENT_SEARCH, 0.8},
    {"作品", INTENT_SEARCH, 0.65},
    {"ノ漫画", INTENT_SEARCH, 0.65},
    {"ノマンガ", INTENT_SEARCH, 0.65},
    {"written by", INTENT_SEARCH, 0.8},
    {"drawn by", INTENT_SEARCH, 0.8},
    {"manga about", INTENT_SEARCH, 0.85},
    {"manga by", INTENT_SEARCH, 0.85},
    {"books by", INTENT_SEARCH, 0.85},
    {"books about", INTENT_SEARCH, 0.85},
    {"looking for a manga", INTENT_SEARCH, 0.8},
};

/* These decide only when a book is named beside them; alone they may mean anything. */
static const struct {
    const char *phrase;
    intent_t intent;
} with_book[] = {
    {"アリマスカ", INTENT_INVENTORY},   {"アリマセンカ", INTENT_INVENTORY}, {"アル", INTENT_INVENTORY},
    {"欲シイ", INTENT_INVENTORY},       {"ホシイ", INTENT_INVENTORY},       {"クダサイ", INTENT_INVENTORY},
    {"下サイ", INTENT_INVENTORY},       {"探シテ", INTENT_INVENTORY},       {"サガシテ", INTENT_INVENTORY},
    {"買イタイ", INTENT_INVENTORY},     {"購入", INTENT_INVENTORY},         {"do you have", INTENT_INVENTORY},
    {"have you got", INTENT_INVENTORY}, {"buy", INTENT_INVENTORY},          {"looking for", INTENT_INVENTORY},
    {"can i get", INTENT_INVENTORY},    {"is there", INTENT_INVENTORY},     {"do you sell", INTENT_INVENTORY},
    {"do you carry", INTENT_INVENTORY}, {"i want", INTENT_INVENTORY},       {"find", INTENT_INVENTORY},
    {"sell", INTENT_INVENTORY},         {"予約", INTENT_INVENTORY},         {"発売", INTENT_INVENTORY},
};

/* Met only when the text consists of hardly anything else. */
static const char *const greetings[] = {"コンニチハ",
                                        "今日ハ",
                                        "コンバンハ",
                                        "オハヨウ",
                                        "オハヨウゴザイマス",
                                        "アリガトウ",
                                        "アリガトウゴザイマス",
                                        "サヨウナラ",
                                        "ハジメマシテ",
                                        "ドウモ",
                                        "hello",
                                        "hi",
                                        "hey",
                                        "good morning",
                                        "good evening",
                                        "good afternoon",
                                        "thanks",
                                        "thank you",
                                        "bye",
                                        "goodbye",
                                        "アリガトウゴザイマシタ"};
#define GREETING_REST_BYTES 12 /* what may stand beside a greeting: "there", "!!" */

static bool is_word_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '\'';
}

static bool holds(bytes_t folded, const char *phrase)
{
    size_t len = strlen(phrase);
    bool is_ascii = (uint8_t)phrase[0] < 0x80;
    for (size_t at = 0; at + len <= folded.len; at++) {
        const uint8_t *found = memmem(folded.data + at, folded.len - at, phrase, len);
        if (!found)
            return false;
        at = (size_t)(found - folded.data);
        bool starts = at == 0 || !is_word_char(folded.data[at - 1]);
        bool ends = at + len == folded.len || !is_word_char(folded.data[at + len]);
        if (!is_ascii || (starts && ends))
            return true;
    }
    return false;
}

static bool is_greeting(bytes_t folded)
{
    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        size_t len = strlen(greetings[i]);
        if (folded.len <= len + GREETING_REST_BYTES && bytes_has_prefix(folded, bytes_cstr(greetings[i])) &&
            holds(folded, greetings[i]))
            return true;
    }
    return false;
}

static bool names_book(const mention_t *mention)
{
    return mention->isbn[0] || mention->title.len || mention->has_volume;
}

/* An order number says what is wanted; an ISBN, or a title with a volume, nearly so. */
static void book_decides(bytes_t folded, meaning_t *out)
{
    const mention_t *m = &out->mention;
    if (m->order_id.len) {
        out->intent = INTENT_ORDER;
        out->confidence = 0.9;
        return;
    }
    for (size_t i = 0; names_book(m) && i < ARRAY_LEN(with_book); i++)
        if (holds(folded, with_book[i].phrase)) {
            out->intent = with_book[i].intent;
            out->confidence = 0.75;
            return;
        }
    if (m->isbn[0] || m->has_volume) {
        out->intent = INTENT_INVENTORY;
        out->confidence = 0.7;
    }
}

static void phrase_decides(bytes_t folded, meaning_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (!holds(folded, rules[i].phrase))
            continue;
        bool is_refusal = rules[i].intent == INTENT_OUT_OF_SCOPE;
        /* "the price of weather report 3": a named volume speaks for the store. */
        if (is_refusal && (out->mention.isbn[0] || out->mention.has_volume))
            continue;
        out->intent = rules[i].intent;
        out->confidence = rules[i].confidence;
        return;
    }
    book_decides(folded, out);
}

static bool decide(bytes_t text, meaning_t *out)
{
    buf_t folded = {0};
    bool ok = wording_fold(text, &folded);
    out->intent = INTENT_SEARCH;
    out->confidence = 0.3;
    if (ok && is_greeting(buf_bytes(&folded))) {
        out->intent = INTENT_GREETING;
        out->confidence = 0.95;
    } else if (ok) {
        phrase_decides(buf_bytes(&folded), out);
    }
    buf_free(&folded);
    return ok;
}

bool meaning_find(bytes_t text, arena_t *arena, meaning_t *out)
{
    *out = (meaning_t){.language = language_detect(text)};
    buf_t plain = {0};
    bool ok = wording_plain(text, &plain) && mention_find(buf_bytes(&plain), arena, &out->mention) && decide(text, out);
    buf_free(&plain);
    return ok;
}

bool meaning_needs_history(const meaning_t *meaning)
{
    const mention_t *m = &meaning->mention;
    bool is_about_book = meaning->intent == INTENT_INVENTORY || meaning->intent == INTENT_PRICE;
    return m->refers_back || (is_about_book && !m->isbn[0] && m->title.len == 0);
}
