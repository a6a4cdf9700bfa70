/* test_classify.c: what a dead letter's recorded reason and words make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/msgpack.h"
#include "tools/mangactl/classify.h"

static class_t judge(const char *reason, const char *detail, const char *as)
{
    buf_t attrs = {0};
    classify_rules_t rules;
    error_t err = {0};
    assert_true(classify_read(as, &rules, &err));
    mp_put_map(&attrs, (uint32_t)(reason != NULL) + (detail != NULL));
    if (reason) {
        mp_put_cstr(&attrs, "DeadLetterReason");
        mp_put_cstr(&attrs, reason);
    }
    if (detail) {
        mp_put_cstr(&attrs, "DeadLetterDetail");
        mp_put_cstr(&attrs, detail);
    }
    class_t class = classify(buf_bytes(&attrs), &rules);
    buf_free(&attrs);
    return class;
}

static void the_code_that_the_words_begin_with_decides(void **state)
{
    (void)state;
    assert_int_equal(judge("rejected", "UNAVAILABLE: away", NULL), CLASS_TRANSIENT);
    assert_int_equal(judge("rejected", "ServiceUnavailableException: away", NULL), CLASS_TRANSIENT);
    assert_int_equal(judge("max-receives", "ThrottlingException", NULL), CLASS_THROTTLE);
    assert_int_equal(judge("max-receives", "RESOURCE_EXHAUSTED: later", NULL), CLASS_THROTTLE);
    assert_int_equal(judge("max-receives", "INVALID_ARGUMENT: detail.isbn", NULL), CLASS_PERMANENT);
    assert_int_equal(judge("rejected", "INTERNAL: a bug", NULL), CLASS_UNKNOWN);
}

static void words_without_a_code_are_not_guessed_at(void **state)
{
    (void)state;
    assert_int_equal(judge("rejected", "the throttle is stuck: UNAVAILABLE", NULL), CLASS_PERMANENT);
    assert_int_equal(judge("rejected", "detail.rate: timeout", NULL), CLASS_PERMANENT);
    assert_int_equal(judge("max-receives", "", NULL), CLASS_UNKNOWN);
}

static void without_words_the_reason_decides_unless_the_operator_does(void **state)
{
    (void)state;
    assert_int_equal(judge("rejected", NULL, NULL), CLASS_PERMANENT);
    assert_int_equal(judge("expired", NULL, NULL), CLASS_TRANSIENT);
    assert_int_equal(judge("max-age", NULL, NULL), CLASS_TRANSIENT);
    assert_int_equal(judge("max-receives", NULL, NULL), CLASS_UNKNOWN);
    assert_int_equal(judge("max-receives", NULL, "expired=permanent,max-receives=throttle"), CLASS_THROTTLE);
    assert_int_equal(judge("something new", NULL, NULL), CLASS_UNKNOWN);
    assert_int_equal(judge(NULL, "UNAVAILABLE", NULL), CLASS_UNKNOWN);
}

static void a_list_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"x",         "rejected", "rejected=",         "rejected=x",
                                        "x=unknown", "=",        "rejected=unknown,,"};
    classify_rules_t rules;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        error_t err = {0};
        assert_false(classify_read(lists[i], &rules, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_code_that_the_words_begin_with_decides),
        cmocka_unit_test(words_without_a_code_are_not_guessed_at),
        cmocka_unit_test(without_words_the_reason_decides_unless_the_operator_does),
        cmocka_unit_test(a_list_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
