/* compose_intent.c: what a question wants, by keywords; and the title and volume it names. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tools/sims/bedrock-sim/compose_internal.h"
#include "tools/sims/bedrock-sim/text.h"

#define WORDS_MAX 24
#define NAMES_MAX 6
#define VOLUME_DIGITS_MAX 4

/* A class of questions: words in them (folded), and parts of the names that a prompt may have for the intent.
 * The first class that fits and is offered wins. */
typedef struct {
    const char *names[NAMES_MAX];
    const char *words[WORDS_MAX];
} kind_t;

static const kind_t kinds[] = {
    {{"order"}, {"注文", "配送状況", "届き", "届く", "my order", "order status", "ord-", "track", "delivery status"}},
    {{"return", "refund", "policy", "support", "faq", "shipping"},
     {"返品", "返金", "交換", "送料", "支払", "return", "refund", "shipping", "payment method"}},
    {{"inventory", "stock", "availab"},
     {"在庫", "ありますか", "ある?", "売り切れ", "入荷", "残って", "in stock", "available", "availability",
      "do you have", "sold out"}},
    {{"price"}, {"いくら", "値段", "価格", "price", "how much", "cost"}},
    {{"recommend"}, {"おすすめ", "お薦め", "オススメ", "似た", "recommend", "similar to", "suggest", "like"}},
    {{"search", "catalog", "product", "find"},
     {"探し", "検索", "どんな", "作品", "漫画", "マンガ", "search", "find", "looking for", "manga", "who wrote",
      "about"}},
    {{"greet", "smalltalk", "chat"}, {"こんにちは", "こんばんは", "おはよう", "hello", "good morning", "good evening"}},
};

static const char *const fallback_names[] = {"other", "out_of_scope", "general", "unknown", "none", NULL};

static bool name_fits(bytes_t name, const char *const *parts)
{
    for (size_t i = 0; i < NAMES_MAX && parts[i]; i++)
        if (name.len && memmem(name.data, name.len, parts[i], strlen(parts[i])))
            return true;
    return false;
}

static const bytes_t *offered(const prompt_t *prompt, const char *const *parts)
{
    for (size_t i = 0; i < prompt->intent_count; i++)
        if (name_fits(prompt->intents[i], parts))
            return &prompt->intents[i];
    return NULL;
}

static bytes_t intent_choose(const prompt_t *prompt, bytes_t folded, double *confidence)
{
    const bytes_t *name;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (text_has_any(folded, kinds[i].words) && (name = offered(prompt, kinds[i].names)) != NULL) {
            *confidence = 0.9;
            return *name;
        }
    *confidence = 0.4;
    name = offered(prompt, fallback_names);
    if (name)
        return *name;
    return prompt->intent_count ? prompt->intents[prompt->intent_count - 1] : BYTES_LIT("other");
}

/* -- title and volume ---------------------------------------------------------------------------- */
typedef struct {
    int64_t volume; /* -1: none */
    bytes_t before; /* what stands before the volume, or all of it */
    bytes_t after;  /* and behind it */
} parts_t;

static const uint8_t *find(bytes_t text, const char *word)
{
    return text.len ? memmem(text.data, text.len, word, strlen(word)) : NULL;
}

static bytes_t trimmed(bytes_t text)
{
    while (text.len && strchr(" \t\n,.?!:;\"'", text.data[0]))
        text = bytes_from(text.data + 1, text.len - 1);
    while (text.len && strchr(" \t\n,.?!:;\"'", text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Digits that end at `end`, going back not before text.data. */
static bool digits_before(bytes_t text, const uint8_t *end, parts_t *out)
{
    const uint8_t *start = end;
    int64_t value = 0, unit = 1;
    while (start > text.data && isdigit(start[-1]) && end - start < VOLUME_DIGITS_MAX) {
        value += (*--start - '0') * unit;
        unit *= 10;
    }
    if (start == end)
        return false;
    out->volume = value;
    out->before = bytes_from(text.data, (size_t)(start - text.data));
    return true;
}

static bool japanese_volume(bytes_t text, parts_t *out)
{
    const uint8_t *kan = find(text, "巻");
    if (!kan || !digits_before(text, kan, out))
        return false;
    size_t len = out->before.len;
    if (len >= 3 && memcmp(out->before.data + len - 3, "第", 3) == 0)
        out->before.len -= 3;
    out->after = BYTES_NONE;
    return true;
}

static bool english_volume(bytes_t text, parts_t *out)
{
    static const char *const words[] = {"volume ", "vol. ", "vol.", "vol "};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const uint8_t *found = find(text, words[i]);
        if (!found)
            continue;
        const uint8_t *at = found + strlen(words[i]), *end = text.data + text.len;
        const uint8_t *digits = at;
        while (at < end && isdigit(*at) && at - digits < VOLUME_DIGITS_MAX)
            at++;
        if (at == digits || !digits_before(text, at, out))
            continue;
        out->before = bytes_from(text.data, (size_t)(found - text.data));
        out->after = bytes_from(at, (size_t)(end - at));
        return true;
    }
    return false;
}

/* Up to the first of the words. */
static bytes_t until(bytes_t text, const char *const *words)
{
    for (; *words; words++) {
        const uint8_t *found = find(text, *words);
        if (found)
            text.len = (size_t)(found - text.data);
    }
    return text;
}

static bool between(bytes_t text, const char *open, const char *close, bytes_t *out)
{
    const uint8_t *from = find(text, open);
    if (!from)
        return false;
    bytes_t rest = bytes_from(from + strlen(open), text.len - (size_t)(from - text.data) - strlen(open));
    const uint8_t *to = find(rest, close);
    if (!to || to == rest.data)
        return false;
    *out = bytes_from(rest.data, (size_t)(to - rest.data));
    return true;
}

static bytes_t title_find(bytes_t text, const parts_t *parts)
{
    static const char *const ends[] = {" in stock", " available", " cost", " and ", "?", NULL};
    static const char *const leads[] = {"do you have ", "how much is ", "is ", "price of ",
                                        "have ",        "what about ",  NULL};
    bytes_t title;
    if (between(text, "「", "」", &title) || between(text, "『", "』", &title) || between(text, "\"", "\"", &title))
        return title;
    if (parts->volume < 0)
        return BYTES_NONE;
    if (bytes_has_prefix(parts->after, BYTES_LIT(" of ")))
        return trimmed(until(bytes_from(parts->after.data + 4, parts->after.len - 4), ends));
    title = parts->before;
    for (size_t i = 0; leads[i]; i++)
        if (bytes_has_prefix(title, bytes_cstr(leads[i])))
            title = bytes_from(title.data + strlen(leads[i]), title.len - strlen(leads[i]));
    title = trimmed(title);
    if (title.len >= 3 && memcmp(title.data + title.len - 3, "の", 3) == 0)
        title.len -= 3;
    return trimmed(title);
}

void compose_intent(const prompt_t *prompt, buf_t *out)
{
    buf_t folded = {0};
    text_fold(prompt->question, &folded);
    bytes_t text = buf_bytes(&folded);
    double confidence;
    bytes_t name = intent_choose(prompt, text, &confidence);
    parts_t parts = {.volume = -1, .before = text};
    if (!japanese_volume(text, &parts))
        (void)english_volume(text, &parts);
    bytes_t title = title_find(text, &parts);
    buf_append_cstr(out, "{\"intent\":");
    json_string_append(out, name);
    buf_printf(out, ",\"confidence\":%.1f", confidence);
    if (title.len) {
        buf_append_cstr(out, ",\"title\":");
        json_string_append(out, title);
    }
    if (parts.volume >= 0)
        buf_printf(out, ",\"volume\":%" PRId64, parts.volume);
    buf_append_byte(out, '}');
    buf_free(&folded);
}
