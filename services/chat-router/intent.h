/* intent.h: what a customer's text wants: rules first, and a measure of how sure they are.
 *
 * Pure but for memory. A model is asked only when the rules are unsure (confidence below INTENT_SURE). */
#ifndef CHAT_ROUTER_INTENT_H
#define CHAT_ROUTER_INTENT_H

#include "services/chat-router/mention.h"
#include "services/chat-router/wording.h"

#define INTENT_SURE 0.6        /* from here on no model is asked */
#define INTENT_CHOICE_SURE 0.5 /* below, a model's choice is not taken either: the text is searched for */

typedef enum {
    INTENT_INVENTORY,
    INTENT_PRICE,
    INTENT_SEARCH,
    INTENT_RECOMMEND,
    INTENT_ORDER,
    INTENT_POLICY,
    INTENT_GREETING,
    INTENT_OUT_OF_SCOPE,
    INTENT_COUNT,
} intent_t;

typedef struct {
    intent_t intent;
    double confidence; /* 0 to 1 */
    language_t language;
    mention_t mention;
} meaning_t;

const char *intent_name(intent_t intent);    /* "inventory_check", "price", … */
const char *intent_meaning(intent_t intent); /* one line, for a model that is to choose */
/* False when there is none such. */
MUST_USE bool intent_from_name(bytes_t name, intent_t *out);

/* `text` as wording_keep made it. Slices lie in the arena. False only when memory is short. */
MUST_USE bool meaning_find(bytes_t text, arena_t *arena, meaning_t *out);

/* True when the text leans on what was said before: it wants a book, and names none. */
bool meaning_needs_history(const meaning_t *meaning);

#endif
