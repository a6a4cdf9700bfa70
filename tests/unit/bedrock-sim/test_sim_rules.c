/* test_sim_rules.c: tokens, vectors, cuts and models of bedrock-sim; its protocol is tested from outside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tools/sims/bedrock-sim/claude.h"
#include "tools/sims/bedrock-sim/compose.h"
#include "tools/sims/bedrock-sim/model.h"
#include "tools/sims/bedrock-sim/tokens.h"
#include "tools/sims/bedrock-sim/vector.h"

#define DIMENSION 256

/* -- tokens -------------------------------------------------------------------------------------- */
static void tokens_add_up_to_the_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "漫画 42巻", "Yes, volume 42.", "\xff\xfe broken \xe6", "  two  blanks ",
                                        "a"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        bytes_t text = bytes_cstr(texts[i]);
        int64_t count = tokens_count(text);
        assert_int_equal(tokens_bytes(text, count), text.len);
        assert_int_equal(tokens_bytes(text, count + 5), text.len);
        for (int64_t n = 1; n <= count; n++) /* each token brings at least a byte */
            assert_true(tokens_bytes(text, n) > tokens_bytes(text, n - 1));
    }
    assert_int_equal(tokens_count(BYTES_LIT("漫画")), 2);
    assert_int_equal(tokens_count(BYTES_LIT("abcd efgh")), 2);
}

/* -- vectors ------------------------------------------------------------------------------------- */
static double near(const char *a, const char *b)
{
    float left[DIMENSION], right[DIMENSION];
    double sum = 0;
    vector_embed(bytes_cstr(a), DIMENSION, true, left);
    vector_embed(bytes_cstr(b), DIMENSION, true, right);
    for (size_t i = 0; i < DIMENSION; i++)
        sum += (double)left[i] * (double)right[i];
    return sum;
}

static void likeness_is_nearness(void **state)
{
    (void)state;
    assert_true(near("ワンピース", "ワンピース") > 0.9999);
    assert_true(near("ワンピース", "ﾜﾝﾋﾟｰｽ") > 0.9999);
    assert_true(near("One  Piece", "ONE PIECE") > 0.9999);
    assert_true(near("ワンピース", "ワンピース 42巻") > 0.5);
    assert_true(fabs(near("ワンピース", "進撃の巨人")) < 0.3);
    assert_true(near("名探偵コナン", "名探偵コナン 特別編") > near("名探偵コナン", "名門!多古西応援団"));
}

static void nothing_has_no_direction(void **state)
{
    (void)state;
    assert_true(near("", "x") == 0);
    assert_true(near(" ", "x") < 0.2);
}

/* -- cuts ---------------------------------------------------------------------------------------- */
static void the_first_end_counts(void **state)
{
    (void)state;
    const model_t *model = model_find(BYTES_LIT("anthropic.claude-3-haiku-20240307-v1:0"));
    claude_request_t request = {.stops = {BYTES_LIT("三"), BYTES_LIT("二")}, .stop_count = 2, .max_tokens = 10};
    claude_answer_t answer;
    claude_cut(&request, model, BYTES_LIT("一二三四"), &answer);
    assert_true(bytes_eq_cstr(answer.text, "一") && bytes_eq_cstr(answer.stop_sequence, "二"));
    assert_string_equal(answer.stop_reason, "stop_sequence");
    request.max_tokens = 1;
    request.stop_count = 1;
    claude_cut(&request, model, BYTES_LIT("一二三四"), &answer);
    assert_true(bytes_eq_cstr(answer.text, "一"));
    assert_string_equal(answer.stop_reason, "max_tokens");
    request.stop_count = 0;
    request.max_tokens = 4;
    claude_cut(&request, model, BYTES_LIT("一二三四"), &answer);
    assert_string_equal(answer.stop_reason, "end_turn");
    assert_int_equal(answer.output_tokens, 4);
}

static void models_are_found_by_each_of_their_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "amazon.titan-embed-text-v2:0", "us.anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"};
    static const char *const bad[] = {
        "", "apac.", "anthropic.claude", "us.us.amazon.titan-embed-text-v2:0", "arn:", "amazon.titan-embed-text-v2:0 "};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_non_null(model_find(bytes_cstr(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(model_find(bytes_cstr(bad[i])));
}

/* -- answers ------------------------------------------------------------------------------------- */
static void assert_answer(const char *system, const char *user, const char *expected)
{
    arena_t arena;
    buf_t out = {0};
    arena_init(&arena, 0);
    assert_true(compose_answer(bytes_cstr(system), bytes_cstr(user), &arena, &out));
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
    arena_free(&arena);
}

static void books_are_summed_over_their_warehouses(void **state)
{
    (void)state;
    assert_answer(
        "TASK answer",
        "LANGUAGE en\n"
        "FACT stock isbn=1 title=A volume=1 warehouse=X status=out_of_stock quantity=0\n"
        "FACT stock isbn=2 title=B volume=1 warehouse=X status=out_of_stock quantity=0 restock_date=2026-01-02\n"
        "FACT stock isbn=1 title=A volume=1 warehouse=Y status=low_stock quantity=2\n",
        "Yes, \"A\" volume 1 is in stock, but only a few are left: 2 copies (2 in Y). "
        "I am sorry, \"B\" volume 1 is out of stock at the moment. The last delivery came on 2026-01-02.");
}

static void the_language_is_the_questions_when_none_is_named(void **state)
{
    (void)state;
    assert_answer("TASK answer", "FACT price isbn=1 title=A price_jpy=1000000\nQUESTION \"いくら\"",
                  "「A」の価格は1,000,000円です。");
    assert_answer("TASK answer", "FACT price isbn=1 title=A price_jpy=999\nQUESTION \"how much\"", "\"A\" costs ¥999.");
}

static void facts_without_what_they_need_say_so(void **state)
{
    (void)state;
    assert_answer("TASK answer", "LANGUAGE en\nFACT price isbn=1 title=A", "\"A\": its price could not be determined.");
    assert_answer("TASK answer", "LANGUAGE en\nFACT stock isbn=978 status=odd",
                  "The book with ISBN 978: its stock could not be determined.");
    assert_answer("TASK answer", "LANGUAGE en\nFACT missing",
                  "I am sorry, the information could not be looked up just now.");
}

static void an_unknown_kind_of_fact_is_left_alone(void **state)
{
    (void)state;
    assert_answer("TASK answer", "LANGUAGE en\nFACT gossip text=x\nQUESTION \"hi\"",
                  "Hello. Tell me a title and a volume, and I will look up stock and price for you.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_add_up_to_the_text),
        cmocka_unit_test(likeness_is_nearness),
        cmocka_unit_test(nothing_has_no_direction),
        cmocka_unit_test(the_first_end_counts),
        cmocka_unit_test(models_are_found_by_each_of_their_names),
        cmocka_unit_test(books_are_summed_over_their_warehouses),
        cmocka_unit_test(the_language_is_the_questions_when_none_is_named),
        cmocka_unit_test(facts_without_what_they_need_say_so),
        cmocka_unit_test(an_unknown_kind_of_fact_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
