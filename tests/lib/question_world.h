/* question_world.h: the world around one question of chat-router, scripted: nothing is sent, time stands still until a
 * test lets it pass, and others answer when and what the test says. */
#ifndef TESTS_QUESTION_WORLD_H
#define TESTS_QUESTION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "services/chat-router/question.h"

#define QUESTION "ワンピース 42巻の在庫はありますか？"
#define MS INT64_C(1000) /* in microseconds */
#define DEADLINE_MS 3000 /* of every question */
#define ISBN "9784000000420"
#define OTHER_ISBN "9784000000437"
#define CALLS_MAX 64
#define ASSERT_SAYS(w, expected) assert_string_equal(buf_cstr(&(w)->text), expected)

typedef struct {
    char method[64];
    bus_call_t call;
    buf_t body;
    uint64_t number;
    bool is_open, is_cancelled;
} made_t;

typedef struct {
    int64_t now_us, wake_us;
    made_t calls[CALLS_MAX];
    size_t call_count;
    const char *refused; /* a method that cannot even be sent */
    bool has_history, history_asked, is_over;
    buf_t text;
    bool is_done;
    question_t *question;
    question_ports_t ports;
    arena_t arena;
} world_t;

/* For cmocka: *state is a world_t without a question. Every call must be over at the end. */
int world_new(void **state);
int world_free(void **state);

/* Begins the question. */
void asks_as(world_t *w, question_kind_t kind, const char *text, const char *session, const char *user);
void asks(world_t *w, const char *text); /* in a chat, by nobody known */
void comes_to_stock(world_t *w);         /* QUESTION is asked, and the catalogue knows the book */

/* The newest call of the method that is open: NULL, or a failure of the test, when there is none. */
made_t *open_call(world_t *w, const char *method);
made_t *wanted_call(world_t *w, const char *method);

/* How a call goes on. `value` is the struct of the method's response. */
void ends(made_t *made, const bus_reply_t *reply);
void fails(world_t *w, const char *method, status_t code);
void answers(world_t *w, const char *method, const void *value);
void passes(world_t *w, int64_t ms); /* time, and the question is woken when it asked for it */

/* What others say. */
book_t one_piece(int64_t volume, const char *isbn);
void catalog_has(world_t *w, const book_t *book);
stock_line_t line_of(const char *isbn, int64_t quantity);
void stock_is(world_t *w, int64_t quantity, int64_t stale_ms);
void model_streams(world_t *w, const char *piece);
void model_says(world_t *w, const char *text, const char *stop_reason);
void search_finds_nothing(world_t *w);

#endif
