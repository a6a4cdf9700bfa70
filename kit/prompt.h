/* prompt.h: the one form in which our services lay facts before a model, written and read here.
 *
 * A prompt is a system message (prose for the model, and what is wanted) and a user message (what is known,
 * and the question). Both consist of lines; those that matter to a program begin with a word in capitals:
 *
 *     TASK answer                                   system: what is wanted
 *     INTENT inventory_check "is a book in stock"   system, for TASK classify: one for each choice
 *     LANGUAGE ja                                   user: of the answer, ja or en
 *     FACT stock isbn=9784088725093 title="ワンピース" volume=42 warehouse=TK01 status=in_stock quantity=12
 *     QUESTION "ワンピース 42巻の在庫はありますか？"
 *
 * A value is bare when it consists of A-Z a-z 0-9 . _ : + - alone, else a JSON string. So no text from outside,
 * and no customer's question, can begin a line of its own: what it contains stays a value. Kinds of facts and
 * their keys are listed below and in docs/services/fm-invoker.md. Lines that are none of these are prose.
 *
 * Every model may be given these prompts; bedrock-sim answers from the lines alone. Pure but for memory. */
#ifndef KIT_PROMPT_H
#define KIT_PROMPT_H

#include "proto/arena.h"
#include "proto/bytes.h"

/* What is wanted. The answer to `classify` is one JSON object:
 * {"intent":"…","confidence":0.0–1.0,"title":"…","volume":42}, title and volume only where the question has them. */
#define PROMPT_TASK_ANSWER "answer"
#define PROMPT_TASK_CLASSIFY "classify"

/* Kinds of facts; behind each its keys, all optional. */
#define PROMPT_FACT_STOCK                                                                                              \
    "stock" /* isbn title title_en volume warehouse status quantity price_jpy restock_date eta_days stale_minutes */
#define PROMPT_FACT_PRICE "price" /* isbn title title_en volume price_jpy */
#define PROMPT_FACT_BOOK                                                                                               \
    "book" /* isbn title title_en volume creators publisher genres synopsis price_jpy published_on score */
#define PROMPT_FACT_ORDER "order"     /* order_id status ordered_on expected_on eta_days total_jpy items */
#define PROMPT_FACT_POLICY "policy"   /* topic text: what the shop says about shipping, returns, payment, … */
#define PROMPT_FACT_MISSING "missing" /* what: stock, search, orders, … could not be asked in time */
#define PROMPT_FACT_NONE "none"       /* what: it was asked, and there is nothing (no such book, no such order) */

#define PROMPT_PAIRS_MAX 32  /* of one fact; further ones are ignored by the reader */
#define PROMPT_FACTS_MAX 200 /* of one prompt; likewise */
#define PROMPT_INTENTS_MAX 64

/* -- writing: appends to `out`, whose `failed` is checked once at the end ------------------------------ */
/* A whole system message for the task: prose that tells a model to keep to the facts, and the TASK line. For
 * classify, prompt_intent lines are appended to it. */
void prompt_system(buf_t *out, const char *task);
void prompt_intent(buf_t *out, const char *name, const char *meaning);

void prompt_language(buf_t *out, const char *language);
/* A fact is begun, given its pairs, ended. An empty text is left out. */
void prompt_fact_begin(buf_t *out, const char *kind);
void prompt_text(buf_t *out, const char *key, bytes_t value);
void prompt_int(buf_t *out, const char *key, int64_t value);
void prompt_fact_end(buf_t *out);
/* Last in the user message. */
void prompt_question(buf_t *out, bytes_t text);

/* -- reading ------------------------------------------------------------------------------------------ */
typedef struct {
    bytes_t key, value; /* value as it was before quoting */
} prompt_pair_t;

typedef struct {
    bytes_t kind;
    const prompt_pair_t *pairs;
    size_t count;
} prompt_fact_t;

typedef struct {
    bytes_t task, language, question; /* empty when absent; of several the last */
    prompt_fact_t *facts;
    size_t fact_count;
    bytes_t *intents; /* names */
    size_t intent_count;
} prompt_t;

/* Reads the two messages (either may be empty). A line that is not in the form is prose, and ignored; never
 * fails for input. False only when the arena is full. Slices live as long as the arena and the input. */
MUST_USE bool prompt_read(bytes_t system, bytes_t user, arena_t *arena, prompt_t *out);

/* Empty, or `fallback`, when the fact has no such key (or no integer there). */
bytes_t prompt_fact_text(const prompt_fact_t *fact, const char *key);
int64_t prompt_fact_int(const prompt_fact_t *fact, const char *key, int64_t fallback);

#endif
