/* test_coalescer.c: a book is asked for once, a crowd shares calls, live questions go first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "services/acl-erp/coalescer.h"

#define IDLE_US 2000
#define BUSY_US 15000
#define FAR_US 1000000

typedef struct {
    unsigned answered, unknown, failed;
    const void *answer;
    size_t batch_isbns;
    coalescer_t *coalescer;
    coalescer_wait_t *to_cancel;
} asker_t;

static void on_done(void *ctx, const char *isbn, const coalescer_result_t *result)
{
    asker_t *asker = ctx;
    assert_int_equal(strlen(isbn), 13);
    asker->failed += result->err != NULL;
    asker->answered += !result->err && result->answer;
    asker->unknown += !result->err && !result->answer;
    asker->answer = result->answer;
    asker->batch_isbns = result->batch_isbns;
    if (asker->to_cancel)
        coalescer_cancel(asker->coalescer, asker->to_cancel);
    asker->to_cancel = NULL;
}

static coalescer_t *coalescer(void)
{
    coalescer_t *made = coalescer_new(&(coalescer_options_t){.gather_idle_us = IDLE_US, .gather_busy_us = BUSY_US});
    assert_non_null(made);
    return made;
}

static coalescer_wait_t *ask(coalescer_t *c, unsigned book, bool is_live, int64_t now_us, asker_t *asker)
{
    char isbn[ISBN13_TEXT_BYTES];
    (void)snprintf(isbn, sizeof(isbn), "9784%08u", book % 100000000u);
    isbn[12] = isbn13_check_digit(isbn);
    isbn[13] = '\0';
    return coalescer_add(c, bytes_cstr(isbn), is_live, FAR_US, now_us, on_done, asker, NULL);
}

static void settle_all(coalescer_t *c, coalescer_batch_t *batch, const void *answer)
{
    const void *answers[COALESCER_BATCH_MAX];
    for (size_t i = 0; i < COALESCER_BATCH_MAX; i++)
        answers[i] = answer;
    coalescer_settle(c, batch, answers, 5000);
}

static void a_lone_question_is_due_after_the_short_gathering(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    assert_int_equal(coalescer_due_us(c, true), INT64_MAX);
    assert_non_null(ask(c, 1, true, 100, &asker));
    assert_int_equal(coalescer_due_us(c, true), 100 + IDLE_US);
    coalescer_batch_t *batch = coalescer_take(c, true, 2100);
    assert_int_equal(coalescer_batch_count(batch), 1);
    settle_all(c, batch, "answer");
    assert_int_equal(asker.answered, 1);
    assert_string_equal(asker.answer, "answer");
    coalescer_free(&c);
}

static void while_a_batch_is_on_its_way_questions_gather_longer(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    assert_non_null(ask(c, 1, true, 0, &asker));
    coalescer_batch_t *batch = coalescer_take(c, true, IDLE_US);
    assert_non_null(ask(c, 2, true, 3000, &asker));
    assert_int_equal(coalescer_due_us(c, true), 3000 + BUSY_US);
    settle_all(c, batch, "a");
    assert_int_equal(coalescer_due_us(c, true), 3000 + IDLE_US);
    coalescer_free(&c);
}

static void a_full_batch_is_due_at_once_and_holds_twenty(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    for (unsigned i = 1; i <= 45; i++)
        assert_non_null(ask(c, i, true, 100, &asker));
    assert_int_equal(coalescer_due_us(c, true), 100);
    const size_t expected[] = {20, 20, 5};
    for (size_t i = 0; i < 3; i++) {
        coalescer_batch_t *batch = coalescer_take(c, true, 200);
        assert_int_equal(coalescer_batch_count(batch), expected[i]);
        settle_all(c, batch, "a");
    }
    assert_null(coalescer_take(c, true, 200));
    assert_int_equal(asker.answered, 45);
    assert_int_equal(coalescer_stats(c).waits, 0);
    coalescer_free(&c);
}

static void who_asks_for_a_book_already_asked_for_joins_it(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t first = {0}, second = {0}, third = {0};
    assert_non_null(ask(c, 7, true, 0, &first));
    assert_non_null(ask(c, 7, true, 0, &second));
    coalescer_batch_t *batch = coalescer_take(c, true, IDLE_US);
    assert_int_equal(coalescer_batch_count(batch), 1);
    assert_non_null(ask(c, 7, true, 3000, &third)); /* on its way already */
    assert_null(coalescer_take(c, false, 3000));
    settle_all(c, batch, "a");
    assert_int_equal(first.answered + second.answered + third.answered, 3);
    assert_int_equal(coalescer_stats(c).joined, 2);
    coalescer_free(&c);
}

static void live_books_go_first_and_others_fill_the_free_places(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t live = {0}, other = {0};
    for (unsigned i = 1; i <= 30; i++)
        assert_non_null(ask(c, i, false, 0, &other));
    assert_null(coalescer_take(c, true, 10));
    for (unsigned i = 101; i <= 103; i++)
        assert_non_null(ask(c, i, true, 10, &live));
    coalescer_batch_t *batch = coalescer_take(c, true, 20);
    assert_int_equal(coalescer_batch_count(batch), 20);
    settle_all(c, batch, "a");
    assert_int_equal(live.answered, 3);
    assert_int_equal(other.answered, 17);
    assert_int_equal(coalescer_stats(c).pending_other, 13);
    coalescer_free(&c);
}

static void a_live_asker_makes_a_waiting_book_live(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    assert_non_null(ask(c, 1, false, 0, &asker));
    assert_non_null(ask(c, 1, true, 5, &asker));
    assert_int_equal(coalescer_stats(c).pending_live, 1);
    assert_int_equal(coalescer_stats(c).pending_other, 0);
    coalescer_free(&c);
}

static void books_that_the_erp_does_not_know_are_told_apart_from_failures(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t known = {0}, unknown = {0}, failed = {0};
    assert_non_null(ask(c, 1, true, 0, &known));
    assert_non_null(ask(c, 2, true, 0, &unknown));
    coalescer_batch_t *batch = coalescer_take(c, true, 0);
    const void *answers[] = {"here", NULL};
    coalescer_settle(c, batch, answers, 1);
    assert_non_null(ask(c, 3, true, 2, &failed));
    const error_t err = {.code = STATUS_UNAVAILABLE};
    coalescer_fail(c, coalescer_take(c, true, 2), &err, 3);
    assert_int_equal(known.answered, 1);
    assert_int_equal(unknown.unknown, 1);
    assert_int_equal(failed.failed, 1);
    coalescer_free(&c);
}

static void a_book_nobody_waits_for_any_more_is_not_asked_for(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    coalescer_wait_t *a = ask(c, 1, true, 0, &asker), *b = ask(c, 1, true, 0, &asker);
    coalescer_cancel(c, a);
    assert_int_equal(coalescer_stats(c).pending_live, 1);
    coalescer_cancel(c, b);
    assert_null(coalescer_take(c, false, 0));
    assert_int_equal(coalescer_due_us(c, true), INT64_MAX);
    coalescer_free(&c);
}

static void an_asker_may_leave_while_the_batch_is_on_its_way_or_ending(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t first = {.coalescer = c}, second = {0}, third = {0};
    coalescer_wait_t *gone = ask(c, 1, true, 0, &third);
    coalescer_wait_t *doomed = ask(c, 1, true, 0, &second);
    assert_non_null(ask(c, 1, true, 0, &first)); /* the last that came is called first */
    first.to_cancel = doomed;
    coalescer_batch_t *batch = coalescer_take(c, true, 0);
    coalescer_cancel(c, gone);
    settle_all(c, batch, "a");
    assert_int_equal(first.answered, 1);
    assert_int_equal(second.answered + third.answered, 0);
    coalescer_free(&c);
}

static void failing_what_waits_leaves_what_is_on_its_way(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t sent = {0}, waiting = {0};
    assert_non_null(ask(c, 1, true, 0, &sent));
    coalescer_batch_t *batch = coalescer_take(c, true, 0);
    assert_non_null(ask(c, 2, true, 0, &waiting));
    assert_non_null(ask(c, 3, false, 0, &waiting));
    const error_t err = {.code = STATUS_UNAVAILABLE};
    coalescer_fail_waiting(c, &err, 1);
    assert_int_equal(waiting.failed, 2);
    assert_int_equal(waiting.batch_isbns, 0);
    settle_all(c, batch, "a");
    assert_int_equal(sent.answered, 1);
    coalescer_free(&c);
}

static void there_is_a_bound_on_who_may_wait(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    error_t err = {0};
    for (unsigned i = 0; i < COALESCER_WAITS_MAX; i++)
        assert_non_null(ask(c, i % 5000, true, 0, &asker));
    assert_null(coalescer_add(c, BYTES_LIT("9784000000420"), true, FAR_US, 0, on_done, &asker, &err));
    assert_int_equal(err.code, STATUS_RESOURCE_EXHAUSTED);
    coalescer_free(&c);
}

static void a_batch_knows_the_latest_deadline(void **state)
{
    (void)state;
    coalescer_t *c = coalescer();
    asker_t asker = {0};
    assert_non_null(coalescer_add(c, BYTES_LIT("9784000000420"), true, 500, 0, on_done, &asker, NULL));
    assert_non_null(coalescer_add(c, BYTES_LIT("9784000000420"), true, 900, 0, on_done, &asker, NULL));
    coalescer_batch_t *batch = coalescer_take(c, true, 0);
    assert_int_equal(coalescer_batch_deadline_us(batch), 900);
    settle_all(c, batch, NULL);
    coalescer_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_question_is_due_after_the_short_gathering),
        cmocka_unit_test(while_a_batch_is_on_its_way_questions_gather_longer),
        cmocka_unit_test(a_full_batch_is_due_at_once_and_holds_twenty),
        cmocka_unit_test(who_asks_for_a_book_already_asked_for_joins_it),
        cmocka_unit_test(live_books_go_first_and_others_fill_the_free_places),
        cmocka_unit_test(a_live_asker_makes_a_waiting_book_live),
        cmocka_unit_test(books_that_the_erp_does_not_know_are_told_apart_from_failures),
        cmocka_unit_test(a_book_nobody_waits_for_any_more_is_not_asked_for),
        cmocka_unit_test(an_asker_may_leave_while_the_batch_is_on_its_way_or_ending),
        cmocka_unit_test(failing_what_waits_leaves_what_is_on_its_way),
        cmocka_unit_test(there_is_a_bound_on_who_may_wait),
        cmocka_unit_test(a_batch_knows_the_latest_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
