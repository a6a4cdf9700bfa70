/* question_internal.h: the insides of a question, shared by its sources. */
#ifndef CHAT_ROUTER_QUESTION_INTERNAL_H
#define CHAT_ROUTER_QUESTION_INTERNAL_H

#include "services/chat-router/question.h"

typedef enum {
    ASK_CLASSIFY,
    ASK_HISTORY, /* not a call: ports.history */
    ASK_CATALOG,
    ASK_CATALOG_WHOLE, /* the title with its number */
    ASK_SEARCH,
    ASK_SUMMARY,
    ASK_SCAN,
    ASK_STOCK,
    ASK_ORDERS,
    ASK_MODEL,
    ASK_COUNT,
} ask_kind_t;

typedef enum { ASK_IDLE, ASK_RUNNING, ASK_OK, ASK_FAILED } ask_state_t;

/* One thing that is asked of another process. */
typedef struct {
    question_t *question;
    ask_kind_t kind;
    ask_state_t state;
    const char *method;
    bytes_t request, reply; /* in the arena */
    uint64_t number;
    int64_t start_us, limit_us;
    int attempts;
    bool is_streaming;
    status_t status; /* of a failure */
    size_t hop;
} ask_t;

typedef enum {
    Q_UNDERSTAND,
    Q_RECALL,
    Q_RESOLVE,
    Q_SCAN,
    Q_GATHER,
    Q_ANSWER,
    Q_DONE,
} question_state_t;

struct question {
    question_ports_t ports;
    question_input_t input;
    arena_t arena;
    meaning_t meaning;
    question_state_t state;
    ask_t asks[ASK_COUNT];
    hop_t hops[CONTRACT_HOPS_MAX];
    size_t hop_count;
    facts_t facts;
    bytes_t scan_cursor;
    int scan_pages;
    buf_t answer;
    bool is_moving; /* inside question_move: what happens meanwhile is seen by its loop */
    question_result_t result;
};

/* -- question_ask.c: calls and hops ------------------------------------------------------------------- */
/* Begins a call; `body` is copied. What cannot be begun is ASK_FAILED at once. */
void ask_start(question_t *q, ask_kind_t kind, const char *method, const buf_t *body, int64_t budget_ms);
/* The caller no longer needs it. */
void ask_drop(question_t *q, ask_kind_t kind, const char *why);
/* Ends what is past its limit. */
void ask_expire(question_t *q);
bool ask_runs(const question_t *q, ask_kind_t kind);
bool ask_ok(const question_t *q, ask_kind_t kind);
bool ask_failed(const question_t *q, ask_kind_t kind);
/* min(`most_ms`, that part of what is left); 0 when nothing is. */
int64_t ask_budget_ms(const question_t *q, int64_t most_ms, int64_t percent);
int64_t question_left_ms(const question_t *q);
/* A step of chat-router itself, from `start_us` to now. */
void hop_own(question_t *q, const char *operation, int64_t start_us, const char *detail);
bytes_t question_keep(question_t *q, bytes_t bytes);

/* -- question_resolve.c: which book ------------------------------------------------------------------- */
void resolve_start(question_t *q);
/* True when it is known which book is meant, or that none can be found by asking on. */
bool resolve_is_done(const question_t *q);
/* Takes what came into the facts: the catalogue's answer, and the search's. */
void resolve_take(question_t *q);
void search_take(question_t *q);
void likeness_begin(question_t *q);
void scan_start(question_t *q);
/* Looks through the page that came; true when another one is on its way. */
bool scan_go_on(question_t *q);

/* -- question_understand.c, question_gather.c, question_answer.c: steps: true when the state has changed ---- */
bool understand_step(question_t *q);
bool recall_step(question_t *q);
bool orders_step(question_t *q);
bool gather_step(question_t *q);
bool answer_step(question_t *q);
/* Tokens and money of a model's reply, into the result. */
void usage_add(question_t *q, const fm_invoke_response_t *response);
void stock_ask_one(question_t *q, bytes_t isbn);
/* It is about a certain book: its stock or its price. */
bool question_wants_book(const question_t *q);
/* It is answered without asking anybody. */
bool question_needs_no_facts(const question_t *q);
/* Facts as far as the meaning gives them; what is missing stays missing. */
void facts_begin(question_t *q);

/* -- question.c -------------------------------------------------------------------------------------- */
void question_move(question_t *q);
void question_say(question_t *q, bytes_t piece);

#endif
