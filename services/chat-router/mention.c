/* mention.c: numbers are cut out of the text first; what is left beside them, less the words of asking, is the title.
 */
#include "services/chat-router/mention.h"

#include <strings.h>

#include "services/chat-router/volume.h"
#include "services/chat-router/wording.h"

/* What was cut out leaves this behind: no text has it (wording_keep makes control characters spaces). */
#define GAP '\n'

static bytes_t sub(bytes_t text, size_t from, size_t to)
{
    return bytes_from(text.data + from, to - from);
}

static size_t find(bytes_t text, const char *word)
{
    size_t len = strlen(word);
    const uint8_t *at = text.len >= len ? memmem(text.data, text.len, word, len) : NULL;
    return at ? (size_t)(at - text.data) : SIZE_MAX;
}

static bool starts(bytes_t text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp((const char *)text.data, word, len) == 0;
}

static bool ends(bytes_t text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp((const char *)text.data + text.len - len, word, len) == 0;
}

static bool is_word_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '\'';
}

/* -- words of asking --------------------------------------------------------------------------------- */
/* Where one of these begins, a Japanese title has ended. */
static const char *const predicates[] = {
    "在庫",     "値段",     "価格",   "金額",   "定価",     "いくら",   "おいくら", "あります", "ありません",
    "売って",   "売り切れ", "置いて", "入荷",   "再入荷",   "買え",     "買い",     "購入",     "欲しい",
    "ほしい",   "探し",     "さがし", "教えて", "おすすめ", "オススメ", "お勧め",   "みたいな", "のような",
    "に似た",   "と似た",   "取り扱", "取扱",   "予約",     "注文",     "発売",     "残って",   "残り",
    "どこ",     "ください", "下さい", "お願い", "検索",     "について", "何巻",     "面白い",   "読みたい",
    "まだ",     "手に入",   "品切",   "届",     "いつ",     "最新刊",   "最新巻",   "見つか",   "ISBN",
    "好きな人", "どう",     "何円",   "何冊"};

static const char *const leading_words[] = {"do you have any copies of",
                                            "do you have any",
                                            "do you have",
                                            "do you sell",
                                            "do you carry",
                                            "do you stock",
                                            "do you still have",
                                            "have you got",
                                            "have you",
                                            "is there a copy of",
                                            "is there",
                                            "are there any",
                                            "are there",
                                            "can i still buy",
                                            "can i buy",
                                            "can i get",
                                            "could i get",
                                            "could i buy",
                                            "can i order",
                                            "can you check if",
                                            "can you check",
                                            "can you recommend",
                                            "could you check",
                                            "can you find",
                                            "can you tell me",
                                            "i'd like to buy",
                                            "i would like to buy",
                                            "i would like",
                                            "i'd like",
                                            "i want to buy",
                                            "i want to read",
                                            "i want",
                                            "i need",
                                            "i'm looking for",
                                            "i am looking for",
                                            "looking for",
                                            "how much is",
                                            "how much does",
                                            "how much for",
                                            "how much are",
                                            "what's the price of",
                                            "what is the price of",
                                            "what does",
                                            "the price of",
                                            "price of",
                                            "price for",
                                            "price",
                                            "tell me about",
                                            "tell me",
                                            "show me",
                                            "find me",
                                            "find",
                                            "search for",
                                            "search",
                                            "check the stock of",
                                            "check stock of",
                                            "check stock for",
                                            "check if",
                                            "check",
                                            "stock of",
                                            "stock for",
                                            "the stock of",
                                            "in stock",
                                            "where can i find",
                                            "where can i buy",
                                            "where is",
                                            "when will",
                                            "when does",
                                            "when is",
                                            "any copies of",
                                            "copies of",
                                            "a copy of",
                                            "copy of",
                                            "the manga called",
                                            "the manga",
                                            "a manga called",
                                            "manga",
                                            "the comic",
                                            "comic",
                                            "what about",
                                            "how about",
                                            "recommend something like",
                                            "recommend me something like",
                                            "recommend",
                                            "something like",
                                            "manga like",
                                            "books like",
                                            "similar to",
                                            "titled",
                                            "called",
                                            "about",
                                            "please",
                                            "hello",
                                            "hi there",
                                            "hi",
                                            "hey",
                                            "excuse me",
                                            "of",
                                            "for",
                                            "are",
                                            "is",
                                            "and",
                                            "on",
                                            "isbn",
                                            "stock",
                                            "available",
                                            "the latest volume of",
                                            "latest volume of",
                                            "the newest volume of",
                                            "the new volume of",
                                            "the latest",
                                            "also",
                                            "does",
                                            "will",
                                            "ok",
                                            "so",
                                            "thanks",
                                            "buy",
                                            "order"};

static const char *const trailing_words[] = {"in stock right now",
                                             "back in stock",
                                             "out of stock",
                                             "in stock",
                                             "still available",
                                             "available",
                                             "for sale",
                                             "on sale",
                                             "sold out",
                                             "right now",
                                             "at the moment",
                                             "currently",
                                             "now",
                                             "today",
                                             "please",
                                             "thank you",
                                             "thanks",
                                             "be released",
                                             "come out",
                                             "coming out",
                                             "released",
                                             "cost",
                                             "sell for",
                                             "left",
                                             "the manga",
                                             "manga series",
                                             "manga",
                                             "series",
                                             "stock status",
                                             "stock",
                                             "price",
                                             "do you have",
                                             "you have",
                                             "have",
                                             "is",
                                             "of",
                                             "at",
                                             "still",
                                             "yet",
                                             "isbn",
                                             "or",
                                             "again",
                                             "anymore",
                                             "there",
                                             "in your store",
                                             "in your shop",
                                             "in the store",
                                             "in japanese",
                                             "latest volume",
                                             "newest volume",
                                             "how much",
                                             "availability"};

static const char *const leading_japanese[] = {"こんにちは",   "こんばんは",   "おはようございます",
                                               "はじめまして", "すみませんが", "すみません",
                                               "すいません",   "あの",         "ねえ",
                                               "えっと",       "漫画の",       "マンガの",
                                               "コミックの",   "単行本の",     "コミックス",
                                               "の",           "は",           "が",
                                               "で",           "では",         "じゃあ",
                                               "あと"};

static const char *const trailing_japanese[] = {
    "という漫画", "って漫画", "の漫画", "のマンガ", "のコミック", "とかって", "って",   "は", "が",
    "を",         "の",       "ある",   "あるか",   "あるかな",   "あるの",   "単行本", "も"};

/* Words that stand for a title, or for none. */
static const char *const backward[] = {"it",   "that",  "this",     "that one",     "this one", "the same",
                                       "them", "those", "one",      "the next",     "next",     "same series",
                                       "それ", "これ",  "あれ",     "その",         "この",     "そちら",
                                       "続き", "次",    "同じ作品", "そのシリーズ", "その漫画", "same"};
static const char *const nothing[] = {"漫画",   "マンガ", "まんが", "コミック", "コミックス", "本",       "manga",
                                      "comics", "comic",  "books",  "book",     "something",  "anything", "some",
                                      "a",      "an",     "the",    "you",      "i",          "me",       "my",
                                      "what",   "how",    "any",    "good",     "何か",       "なにか",   "作品",
                                      "お店",   "店",     "名作",   "新刊",     "the shop",   "volumes",  "volume"};

#define HAS_WORD(list, text) list_has(list, ARRAY_LEN(list), text)

static bool list_has(const char *const *list, size_t count, bytes_t text)
{
    for (size_t i = 0; i < count; i++)
        if (text.len == strlen(list[i]) && starts(text, list[i]))
            return true;
    return false;
}

/* -- trimming ---------------------------------------------------------------------------------------- */
static bool is_edge(uint32_t c, bool is_start)
{
    return wording_is_space(c) || c == '?' || c == ',' || c == ';' || c == ':' || c == GAP || c == 0x3002 ||
           c == 0x3001 || c == '(' || c == ')' || (is_start && (c == '.' || c == '!' || c == '-' || c == '\''));
}

static bytes_t trim(bytes_t text)
{
    size_t start = 0, end = 0;
    bool is_started = false;
    for (size_t at = 0, here = 0; here < text.len; here = at) {
        uint32_t c = wording_next(text, &at);
        if (!is_started && is_edge(c, true)) {
            start = end = at;
            continue;
        }
        is_started = true;
        if (!is_edge(c, false))
            end = at;
    }
    if (end > start && text.data[end - 1] == '.')
        end--;
    return sub(text, start, end > start ? end : start);
}

/* A word of the list at the start (or at the end) of the text, at a word's border; the longest. */
static size_t edge_word(bytes_t text, const char *const *list, size_t count, bool is_start)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]);
        if (len <= best || len > text.len || !(is_start ? starts(text, list[i]) : ends(text, list[i])))
            continue;
        bool is_ascii = (uint8_t)list[i][0] < 0x80;
        bool is_whole = len == text.len;
        uint8_t beside = is_whole ? ' ' : text.data[is_start ? len : text.len - len - 1];
        if (!is_ascii || !is_word_char(beside))
            best = len;
    }
    return best;
}

static bool edges_cut(bytes_t *text)
{
    bytes_t t = trim(*text);
    size_t front = edge_word(t, leading_words, ARRAY_LEN(leading_words), true);
    if (!front)
        front = edge_word(t, leading_japanese, ARRAY_LEN(leading_japanese), true);
    t = trim(sub(t, front, t.len));
    size_t exclaims = t.len;
    while (exclaims > 0 && t.data[exclaims - 1] == '!')
        exclaims--;
    /* よつばと! keeps its mark; "in stock!" loses it with the words. */
    size_t back = edge_word(sub(t, 0, exclaims), trailing_words, ARRAY_LEN(trailing_words), false);
    if (!back)
        back = edge_word(t, trailing_japanese, ARRAY_LEN(trailing_japanese), false);
    else
        back += t.len - exclaims;
    t = trim(sub(t, 0, t.len - back));
    bool is_changed = t.len != text->len;
    *text = t;
    return is_changed;
}

static size_t predicate_at(bytes_t text)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(predicates); i++) {
        size_t at = find(text, predicates[i]);
        if (at < first)
            first = at;
    }
    return first;
}

/* Drops what stands before the last full stop or gap: the part next to the volume speaks of it. */
static bytes_t last_sentence(bytes_t text)
{
    size_t from = 0;
    bytes_t body = trim(text);
    for (size_t at = 0; at < body.len;) {
        uint32_t c = wording_next(body, &at);
        if ((c == GAP || c == 0x3002 || c == '?') && at < body.len)
            from = at;
    }
    return sub(body, from, body.len);
}

/* The rest behind the first mark that separates, for 「在庫確認です、ワンピース」; empty when there is none. */
static bytes_t behind_separator(bytes_t text)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t c = wording_next(text, &at);
        if (c == 0x3001 || c == 0x3002 || c == ',' || c == '?' || c == '!' || c == GAP || c == ':' || c == ' ')
            return sub(text, at, text.len);
    }
    return BYTES_NONE;
}

static bytes_t title_strip(bytes_t text)
{
    for (size_t rounds = 0; text.len && rounds < 64; rounds++) {
        while (edges_cut(&text) && text.len)
            continue;
        size_t cut = predicate_at(text);
        if (cut == SIZE_MAX)
            break;
        text = cut > 0 ? sub(text, 0, cut) : behind_separator(text);
    }
    return trim(text);
}

/* -- parts ------------------------------------------------------------------------------------------- */
static void blank(uint8_t *work, size_t from, size_t to)
{
    memset(work + from, GAP, to - from);
}

static bool order_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* MB-0001-03: letters, a dash, digits; or any run with a digit behind "order" or 注文番号. */
static bool is_order_id(bytes_t run, bool is_announced)
{
    size_t letters = 0, digits = 0;
    while (letters < run.len && (run.data[letters] | 0x20) >= 'a' && (run.data[letters] | 0x20) <= 'z')
        letters++;
    for (size_t i = 0; i < run.len; i++)
        digits += run.data[i] >= '0' && run.data[i] <= '9';
    bool has_form = letters >= 1 && letters <= 5 && letters < run.len && run.data[letters] == '-' && digits >= 3 &&
                    run.data[letters + 1] >= '0' && run.data[letters + 1] <= '9';
    return has_form || (is_announced && digits >= 3);
}

static bool is_announced_at(bytes_t text, size_t at)
{
    static const char *const words[] = {"order",           "order number", "order no.",  "order id",  "order #",
                                        "order number is", "注文番号",     "注文番号は", "注文番号:", "注文",
                                        "注文no.",         "order:"};
    bytes_t before = sub(text, 0, at);
    while (before.len && (before.data[before.len - 1] == ' ' || before.data[before.len - 1] == '#' ||
                          before.data[before.len - 1] == ':'))
        before.len--;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (ends(before, words[i]))
            return true;
    return false;
}

static bool order_find(bytes_t text, size_t *from, size_t *to)
{
    for (size_t at = 0; at < text.len; at++) {
        size_t end = at;
        while (end < text.len && order_char(text.data[end]))
            end++;
        if (end > at && is_order_id(sub(text, at, end), is_announced_at(text, at))) {
            *from = at;
            *to = end;
            return true;
        }
        at = end;
    }
    return false;
}

static bool quoted_find(bytes_t text, bytes_t *inner, size_t *from, size_t *to)
{
    static const char *const pairs[][2] = {{"「", "」"}, {"『", "』"}, {"“", "”"},
                                           {"\"", "\""}, {"《", "》"}, {"【", "】"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        size_t start = find(text, pairs[i][0]);
        if (start == SIZE_MAX)
            continue;
        size_t begin = start + strlen(pairs[i][0]);
        size_t len = find(sub(text, begin, text.len), pairs[i][1]);
        if (len == SIZE_MAX || len == 0)
            continue;
        *inner = sub(text, begin, begin + len);
        *from = start;
        *to = begin + len + strlen(pairs[i][1]);
        return true;
    }
    return false;
}

static void volume_set(mention_t *out, int64_t value)
{
    out->has_volume = true;
    out->volume = value;
}

static void title_set(mention_t *out, bytes_t title)
{
    if (HAS_WORD(backward, title))
        out->refers_back = true;
    else if (!HAS_WORD(nothing, title) && wording_chars(title) <= MENTION_TITLE_MAX_CHARS)
        out->title = title;
}

/* A number that ends the title may be the volume, or part of the title: both are kept. */
static void bare_volume_split(mention_t *out)
{
    volume_t bare;
    if (out->has_volume || !volume_find_bare(out->title, &bare))
        return;
    bytes_t shorter = trim(sub(out->title, 0, bare.start));
    if (shorter.len == 0)
        return;
    out->whole_title = out->title;
    out->title = shorter;
    volume_set(out, bare.value);
}

static void quoted_take(bytes_t inner, bytes_t outside, mention_t *out)
{
    volume_t volume;
    if (volume_find(inner, &volume)) {
        volume_set(out, volume.value);
        inner = volume.start ? sub(inner, 0, volume.start) : sub(inner, volume.end, inner.len);
    } else if (volume_find(outside, &volume)) {
        volume_set(out, volume.value);
    }
    out->title = trim(inner);
}

static void unquoted_take(bytes_t text, mention_t *out)
{
    volume_t volume;
    if (!volume_find(text, &volume)) {
        title_set(out, title_strip(text));
        return;
    }
    volume_set(out, volume.value);
    bytes_t title = title_strip(last_sentence(sub(text, 0, volume.start)));
    if (title.len == 0 || HAS_WORD(nothing, title))
        title = title_strip(sub(text, volume.end, text.len));
    title_set(out, title);
}

static bool latest_said(bytes_t text)
{
    static const char *const words[] = {"最新刊",        "最新巻",      "最新の巻",      "latest volume",
                                        "newest volume", "new volume",  "Latest volume", "Newest volume",
                                        "latest one",    "一番新しい巻"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (find(text, words[i]) != SIZE_MAX)
            return true;
    return false;
}

bool mention_find(bytes_t plain, arena_t *arena, mention_t *out)
{
    *out = (mention_t){0};
    uint8_t *work = arena_alloc(arena, plain.len + 1);
    uint8_t *kept = arena_alloc(arena, plain.len + 1);
    if (!work || !kept)
        return false;
    if (plain.len) {
        memcpy(work, plain.data, plain.len);
        memcpy(kept, plain.data, plain.len);
    }
    bytes_t text = bytes_from(work, plain.len), inner;
    size_t from, to, len;
    if (isbn_find(text, out->isbn, &from, &len))
        blank(work, from, from + len);
    else
        out->isbn[0] = '\0';
    if (order_find(text, &from, &to)) {
        out->order_id = bytes_from(kept + from, to - from);
        blank(work, from, to);
    }
    out->wants_latest = latest_said(text);
    if (quoted_find(text, &inner, &from, &to)) {
        bytes_t title = bytes_from(kept + (inner.data - work), inner.len);
        blank(work, from, to);
        quoted_take(title, text, out);
    } else {
        unquoted_take(text, out);
    }
    bare_volume_split(out);
    return true;
}
