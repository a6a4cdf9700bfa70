/* compose_internal.h: what the two languages of answers share. */
#ifndef BEDROCK_SIM_COMPOSE_INTERNAL_H
#define BEDROCK_SIM_COMPOSE_INTERNAL_H

#include "kit/prompt.h"

#define COMPOSE_BOOKS_MAX 3      /* books whose stock one answer tells */
#define COMPOSE_SUGGESTED_MAX 5  /* books that one answer names */
#define COMPOSE_WAREHOUSES_MAX 8 /* told one by one; further ones only in the sum */

/* The stock facts of one book, summed up. */
typedef struct {
    const prompt_fact_t *first; /* names the book */
    const prompt_fact_t *lines[COMPOSE_WAREHOUSES_MAX];
    size_t line_count;
    int64_t quantity;      /* sum */
    int64_t price_jpy;     /* -1: not told */
    int64_t eta_days;      /* least; -1: not told */
    bytes_t restock_date;  /* empty: not told */
    int64_t stale_minutes; /* greatest; -1: fresh */
    enum { BOOK_AVAILABLE, BOOK_FEW, BOOK_PREORDER, BOOK_OUT, BOOK_UNKNOWN } state;
} compose_stock_t;

/* The books of the stock facts, in their order. Returns how many were put into `out`. */
size_t compose_stocks(const prompt_t *prompt, compose_stock_t out[COMPOSE_BOOKS_MAX]);

bool compose_is(const prompt_fact_t *fact, const char *kind);
bool compose_has(const prompt_t *prompt, const char *kind);
bool compose_is_greeting(bytes_t question);
/* 12345 as 12,345 */
void compose_number(buf_t *out, int64_t value);

/* Sentences for every fact. */
void compose_japanese(const prompt_t *prompt, buf_t *out);
void compose_english(const prompt_t *prompt, buf_t *out);

/* The JSON object that PROMPT_TASK_CLASSIFY asks for. */
void compose_intent(const prompt_t *prompt, buf_t *out);

#endif
