/* question.h: one question on its way to an answer: a state machine that calls others and never waits past its end.
 *
 *     understand → recall → resolve → scan → gather → answer → done
 *
 * understand: rules, and a model when they are unsure; recall: what was said before, when the text leans on it;
 * resolve: catalogue and search in parallel (with them the stock, when an ISBN is given); scan: pages of the ERP's
 * catalogue, when the book is not found there, as while it is being loaded; gather: stock of the books found; answer:
 * a model, streamed, or the facts told by templates.
 *
 * Whatever does not come within its budget is left out, named in `missing`, and told to the customer. An idempotent
 * call that came back UNAVAILABLE is tried once more while its budget lasts; nobody behind it tries again.
 *
 * All that it does to the world goes through question_ports_t, so tests script the world. Nothing blocks. */
#ifndef CHAT_ROUTER_QUESTION_H
#define CHAT_ROUTER_QUESTION_H

#include "kit/bus.h"
#include "services/chat-router/facts.h"

/* Budgets: at most this long, and at most this part of what is left. */
#define QUESTION_CLASSIFY_MS 1300 /* forty tokens or so */
#define QUESTION_CLASSIFY_PERCENT 45
#define QUESTION_HISTORY_MS 200
#define QUESTION_HISTORY_PERCENT 20
#define QUESTION_CATALOG_MS 400 /* it answers in a few; with it gone, the ERP's pages need the time */
#define QUESTION_CATALOG_PERCENT 20
#define QUESTION_RESOLVE_MS 700
#define QUESTION_RESOLVE_PERCENT 35
#define QUESTION_SCAN_MS 1300
#define QUESTION_SCAN_PERCENT 60
#define QUESTION_STOCK_MS 1100
#define QUESTION_STOCK_PERCENT 60
#define QUESTION_ORDERS_MS 1500
#define QUESTION_ORDERS_PERCENT 60
#define QUESTION_MODEL_MIN_MS 250 /* with less left, no model is asked */
#define QUESTION_RESERVE_MS 80    /* kept back for telling and sending */
#define QUESTION_RETRY_MIN_MS 50  /* with less left of its budget, no second attempt */

#define QUESTION_SCAN_PAGES_MAX 4
#define QUESTION_ANSWER_MAX_BYTES 65536 /* as the contract bounds it */
#define QUESTION_ANSWER_TOKENS 512
#define QUESTION_MEMORY_MAX_BYTES ((size_t)24 << 20) /* replies and what is unpacked from them */

typedef struct question question_t;

typedef struct {
    uint64_t (*call)(void *ctx, const bus_call_t *call, error_t *err); /* as bus_call */
    void (*cancel)(void *ctx, uint64_t number, const char *reason);    /* as bus_cancel */
    int64_t (*now_us)(void *ctx);                                      /* monotonic */
    bool (*is_over)(void *ctx); /* the process ends: replies are ignored, whoever made the question frees it */
    void (*wake_at)(void *ctx, int64_t mono_us); /* question_wake then; a later call replaces an earlier one */
    /* question_recall is to follow, not from inside; false when there is no history to be had. May be NULL. */
    bool (*history)(void *ctx, bytes_t session_id);
    void (*text)(void *ctx, bytes_t piece);        /* a piece of the answer */
    void (*done)(void *ctx, question_t *question); /* once, the last; the question may be freed in it */
    void *ctx;
} question_ports_t;

typedef enum { QUESTION_CHAT, QUESTION_SEARCH, QUESTION_RECOMMEND } question_kind_t;

typedef struct {
    question_kind_t kind;
    bytes_t text;                                  /* as wording_keep made it; may be empty for QUESTION_RECOMMEND */
    bytes_t session_id, user_id, model_preference; /* may be empty */
    bytes_list_t isbns;                            /* QUESTION_RECOMMEND: by likeness to these */
    bool has_language;
    language_t language;
    size_t limit;                  /* books wanted; 0: FACTS_HITS_WANTED */
    int64_t start_us, deadline_us; /* monotonic */
    const trace_t *trace;          /* may be NULL */
    const hop_t *hops;             /* that were made before: the cache's */
    size_t hop_count;
} question_input_t;

/* A book that was spoken of earlier in the conversation. */
typedef struct {
    bytes_t title, isbn;
    bool has_volume;
    int64_t volume;
} question_recalled_t;

typedef struct {
    intent_t intent;
    language_t language;
    bytes_t answer;
    const facts_t *facts;
    unsigned missing; /* part_bit_t */
    bool used_history;
    bool is_personal; /* rests on what belongs to one customer: orders, history */
    bytes_t model_id; /* empty: no model took part */
    token_usage_t usage;
    int64_t cost_usd_micros;
    const hop_t *hops;
    size_t hop_count;
} question_result_t;

/* Copies the input; NULL when memory is short. Calls nobody yet. */
MUST_USE question_t *question_new(const question_ports_t *ports, const question_input_t *input, error_t *err);
/* Cancels what runs. ports.done is not called. */
void question_free(question_t **question);

const meaning_t *question_meaning(const question_t *question);
void question_start(question_t *question);
void question_wake(question_t *question);
/* `book` NULL: nothing was spoken of; `ok` false: it could not be asked. */
void question_recall(question_t *question, bool ok, const question_recalled_t *book);

/* Valid from ports.done on, as long as the question. */
const question_result_t *question_result(const question_t *question);
/* The answer so far: for who joins late. */
bytes_t question_answer(const question_t *question);
/* True once the question has asked for the stock of this book. */
bool question_concerns(const question_t *question, bytes_t isbn);

#endif
