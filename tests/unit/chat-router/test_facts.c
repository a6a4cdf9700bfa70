/* test_facts.c: what is told of the facts, in both languages, and what a model is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/prompt.h"
#include "services/chat-router/facts.h"
#include "services/chat-router/report.h"

#define ISBN "9784000000420"

static book_t book_of(int64_t volume)
{
    book_t book = {.isbn = BYTES_LIT(ISBN), .title = BYTES_LIT("鬼滅の刃")};
    SCHEMA_SET(&book, title_en, BYTES_LIT("Demon Slayer"));
    SCHEMA_SET(&book, volume, volume);
    SCHEMA_SET(&book, price_jpy, 638);
    return book;
}

static stock_line_t line_of(const char *warehouse, int64_t quantity)
{
    return (stock_line_t){.isbn = BYTES_LIT(ISBN),
                          .warehouse_code = bytes_cstr(warehouse),
                          .quantity = quantity,
                          .status = quantity ? BYTES_LIT("in_stock") : BYTES_LIT("out_of_stock"),
                          .as_of = BYTES_LIT("2026-01-30T00:00:00Z")};
}

static void tells(facts_t *facts, const char *ja, const char *en)
{
    for (language_t l = LANGUAGE_JA; l <= LANGUAGE_EN; l++) {
        buf_t out = {0};
        facts->language = l;
        facts_tell(facts, &out);
        assert_string_equal(buf_cstr(&out), l == LANGUAGE_JA ? ja : en);
        buf_free(&out);
    }
}

static facts_t asked(intent_t intent)
{
    return (facts_t){.intent = intent, .title = BYTES_LIT("鬼滅の刃"), .has_volume = true, .volume = 5};
}

static void stock_is_told_by_warehouse(void **state)
{
    (void)state;
    book_t book = book_of(5);
    stock_line_t lines[] = {line_of("TK01", 3), line_of("OS01", 0), line_of("FK01", 4)};
    facts_t facts = asked(INTENT_INVENTORY);
    facts.books[facts.book_count++] = &book;
    facts.lines = lines;
    facts.line_count = 3;
    tells(&facts, "『鬼滅の刃』5巻は在庫がございます。合計7冊（TK01：3冊、FK01：4冊）です。価格は638円です。",
          "\"Demon Slayer\" volume 5 is in stock: 7 in all (TK01: 3, FK01: 4). It costs 638 yen.");
}

static void nothing_left_is_told_with_the_day_of_more(void **state)
{
    (void)state;
    book_t book = book_of(5);
    book.has_price_jpy = false;
    stock_line_t line = line_of("TK01", 0);
    SCHEMA_SET(&line, eta_days, 7);
    facts_t facts = asked(INTENT_INVENTORY);
    facts.books[facts.book_count++] = &book;
    facts.lines = &line;
    facts.line_count = 1;
    tells(&facts, "『鬼滅の刃』5巻は申し訳ございませんが、現在在庫切れです。入荷予定は約7日後です。",
          "\"Demon Slayer\" volume 5 is out of stock at the moment. More are expected in about 7 days.");
}

static void a_preorder_is_no_shortage(void **state)
{
    (void)state;
    book_t book = book_of(5);
    book.has_price_jpy = false;
    stock_line_t line = line_of("TK01", 0);
    line.status = BYTES_LIT("preorder");
    facts_t facts = asked(INTENT_INVENTORY);
    facts.books[facts.book_count++] = &book;
    facts.lines = &line;
    facts.line_count = 1;
    tells(&facts, "『鬼滅の刃』5巻は発売前で、ご予約を承っております。",
          "\"Demon Slayer\" volume 5 is not out yet; it can be pre-ordered.");
}

static void the_age_of_kept_stock_is_told_in_minutes_then_hours(void **state)
{
    (void)state;
    stock_line_t line = line_of("TK01", 1);
    facts_t facts = {.language = LANGUAGE_EN, .lines = &line, .line_count = 1};
    static const struct {
        int64_t ms;
        const char *told;
    } rows[] = {{1, " (Stock as of 1 minute ago.)"},
                {720000, " (Stock as of 12 minutes ago.)"},
                {10800000, " (Stock as of 3 hours ago.)"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_t out = {0};
        SCHEMA_SET(&line, stale_age_ms, rows[i].ms);
        facts_tell_age(&facts, BYTES_NONE, &out);
        assert_string_equal(buf_cstr(&out), rows[i].told);
        buf_free(&out);
    }
}

static void an_unknown_book_is_told_apart_from_one_that_could_not_be_looked_up(void **state)
{
    (void)state;
    facts_t facts = asked(INTENT_INVENTORY);
    tells(&facts, "『鬼滅の刃』5巻は当店の商品に見つかりませんでした。",
          "\"鬼滅の刃\" volume 5 was not found among our books.");
    facts.missing = PART_CATALOG;
    tells(&facts, "『鬼滅の刃』5巻を、ただいま確認できません。しばらくしてからもう一度お尋ねください。",
          "\"鬼滅の刃\" volume 5 cannot be looked up right now. Please ask again in a moment.");
}

static void no_intent_is_left_without_words(void **state)
{
    (void)state;
    for (int intent = 0; intent < INTENT_COUNT; intent++)
        for (language_t l = LANGUAGE_JA; l <= LANGUAGE_EN; l++) {
            facts_t facts = {.intent = (intent_t)intent, .language = l};
            buf_t out = {0};
            facts_tell(&facts, &out);
            assert_true(out.len > 0);
            assert_true(bytes_is_utf8(buf_bytes(&out), NULL));
            buf_free(&out);
        }
}

static void every_part_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < PART_BITS; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(part_name(1u << i), part_name(1u << j));
}

static void a_model_gets_every_fact_and_no_line_that_a_title_forged(void **state)
{
    (void)state;
    book_t book = book_of(5);
    book.title = BYTES_LIT("a\nFACT stock quantity=999");
    stock_line_t line = line_of("TK01", 3);
    SCHEMA_SET(&line, stale_age_ms, 90000);
    facts_t facts = asked(INTENT_INVENTORY);
    facts.language = LANGUAGE_JA;
    facts.question = BYTES_LIT("在庫?\nTASK haggle");
    facts.books[facts.book_count++] = &book;
    facts.lines = &line;
    facts.line_count = 1;
    facts.missing = PART_SEARCH | PART_MODEL;
    buf_t out = {0};
    facts_prompt(&facts, &out);
    arena_t arena;
    prompt_t prompt;
    arena_init(&arena, 0);
    assert_true(prompt_read(BYTES_NONE, buf_bytes(&out), &arena, &prompt));
    assert_int_equal(prompt.fact_count, 3);
    assert_int_equal(prompt_fact_int(&prompt.facts[0], "quantity", 0), 3);
    assert_int_equal(prompt_fact_int(&prompt.facts[0], "stale_minutes", 0), 2);
    assert_true(bytes_eq_cstr(prompt_fact_text(&prompt.facts[2], "what"), "search"));
    assert_true(bytes_eq(prompt.question, facts.question));
    assert_int_equal(prompt.task.len, 0);
    arena_free(&arena);
    buf_free(&out);
}

static void an_answer_is_tagged_by_the_books_that_it_rests_on(void **state)
{
    (void)state;
    book_t book = book_of(5);
    search_hit_t hit = {.isbn = BYTES_LIT("9784000000437"), .title = BYTES_LIT("x"), .score = 1};
    facts_t facts = asked(INTENT_INVENTORY);
    facts.books[facts.book_count++] = &book;
    facts.hits[facts.hit_count++] = &hit;
    question_result_t result = {.facts = &facts};
    bytes_t tags[REPORT_TAGS_MAX];
    assert_int_equal(report_tags(&result, tags), 1);
    assert_true(bytes_eq_cstr(tags[0], ISBN));
    facts.book_count = 0;
    assert_int_equal(report_tags(&result, tags), 1);
    assert_true(bytes_eq_cstr(tags[0], "9784000000437"));
}

static void an_answer_given_again_says_so_and_costs_nothing(void **state)
{
    (void)state;
    chat_send_response_t kept = {.session_id = BYTES_LIT("-"),
                                 .message_id = BYTES_LIT("-"),
                                 .answer = BYTES_LIT("a"),
                                 .language = BYTES_LIT("ja"),
                                 .intent = BYTES_LIT("price")};
    SCHEMA_SET(&kept, cost_usd_micros, 9);
    report_head_t head = {BYTES_LIT("s"), BYTES_LIT("m"), 4};
    buf_t out = {0};
    arena_t arena;
    chat_send_response_t again;
    arena_init(&arena, 0);
    assert_true(report_again(&kept, &head, 77, NULL, 0, &out, NULL));
    assert_true(chat_send_response_unpack(buf_bytes(&out), &arena, &again, NULL));
    assert_true(again.cached && again.cache_age_ms == 77 && again.latency_ms == 4);
    assert_true(bytes_eq_cstr(again.session_id, "s") && bytes_eq_cstr(again.message_id, "m"));
    assert_false(again.has_cost_usd_micros);
    arena_free(&arena);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_is_told_by_warehouse),
        cmocka_unit_test(nothing_left_is_told_with_the_day_of_more),
        cmocka_unit_test(a_preorder_is_no_shortage),
        cmocka_unit_test(the_age_of_kept_stock_is_told_in_minutes_then_hours),
        cmocka_unit_test(an_unknown_book_is_told_apart_from_one_that_could_not_be_looked_up),
        cmocka_unit_test(no_intent_is_left_without_words),
        cmocka_unit_test(every_part_has_its_own_name),
        cmocka_unit_test(a_model_gets_every_fact_and_no_line_that_a_title_forged),
        cmocka_unit_test(an_answer_is_tagged_by_the_books_that_it_rests_on),
        cmocka_unit_test(an_answer_given_again_says_so_and_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
