/* facts.h: what is known about a question, laid before a model, and told without one.
 *
 * The lists borrow: whoever fills the struct keeps what it points to. Pure but for memory. Both the prompt and the
 * templates say what is here and nothing else. */
#ifndef CHAT_ROUTER_FACTS_H
#define CHAT_ROUTER_FACTS_H

#include "proto/contract.h"
#include "services/chat-router/intent.h"

#define FACTS_BOOKS_MAX 5   /* books an answer speaks of */
#define FACTS_HITS_MAX 45   /* near things; with the books, what an answer may cite */
#define FACTS_HITS_WANTED 5 /* of them, when nobody said how many */
#define FACTS_ORDERS_MAX 3  /* orders it speaks of */

/* Parts that could not be had: the names in `degraded` and in FACT missing. */
typedef enum {
    PART_STOCK = 1,
    PART_CATALOG = 2,
    PART_SEARCH = 4,
    PART_ORDERS = 8,
    PART_HISTORY = 16,
    PART_MODEL = 32,
    PART_INTENT = 64,
} part_bit_t;
#define PART_BITS 7

const char *part_name(unsigned bit);

typedef struct {
    language_t language;
    intent_t intent;
    bytes_t question; /* as it was written */
    bytes_t title;    /* that was asked for; empty for none */
    bool has_volume;
    int64_t volume;
    bytes_t isbn; /* that was asked for; empty for none */

    const book_t *books[FACTS_BOOKS_MAX]; /* exactly what was asked for */
    size_t book_count;
    bool has_more_volumes; /* there are others of this title */
    const stock_line_t *lines;
    size_t line_count;
    bool stock_none;                          /* the ERP does not know the book */
    const search_hit_t *hits[FACTS_HITS_MAX]; /* near what was asked for */
    size_t hit_count;
    const erp_order_t *orders[FACTS_ORDERS_MAX];
    size_t order_count;
    bool order_none;
    bool is_stranger;     /* asks for orders, and nobody knows who asks */
    int64_t order_age_ms; /* of kept orders; 0 when fresh */
    unsigned missing;     /* part_bit_t, or-ed */
} facts_t;

/* The title by which an answer in this language calls the book. */
bytes_t facts_title(const facts_t *facts, const book_t *book);

/* Pieces that can be sent, over the lines of one book. */
int64_t facts_quantity(const facts_t *facts, bytes_t isbn, size_t *lines);

/* Age of the oldest kept stock line; 0 when the ERP itself answered. */
int64_t facts_stock_age_ms(const facts_t *facts);

/* Appends the user message of a prompt (kit/prompt.h) that has all facts and the question. */
void facts_prompt(const facts_t *facts, buf_t *out);

/* Appends a whole answer composed from the facts alone. */
void facts_tell(const facts_t *facts, buf_t *out);

/* Appends a sentence that says how old the stock is, when it is a kept one and `told` does not say so yet. */
void facts_tell_age(const facts_t *facts, bytes_t told, buf_t *out);

#endif
