/* test_wording.c: the forms of a text, its language, and volume numbers in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "services/chat-router/volume.h"
#include "services/chat-router/wording.h"

typedef bool (*form_fn)(bytes_t text, buf_t *out);

static void becomes(form_fn form, const char *text, const char *expected)
{
    buf_t out = {0};
    assert_true(form(bytes_cstr(text), &out));
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void what_is_kept_is_composed_and_trimmed(void **state)
{
    (void)state;
    becomes(wording_keep, "  ハ\u309A\u30F3\u3000", "パン");
    becomes(wording_keep, "a\tb\nc", "a b c");
    becomes(wording_keep, "\u3000 \n", "");
    becomes(wording_keep, "", "");
}

static void compatibility_ideographs_of_names_are_kept(void **state)
{
    (void)state;
    becomes(wording_keep, "\uFA10本と\uFA19", "\uFA10本と\uFA19");
    becomes(wording_keep, "e\u0301\uFA10e\u0301", "é\uFA10é");
}

static void what_is_kept_keeps_its_width_and_what_is_plain_does_not(void **state)
{
    (void)state;
    becomes(wording_keep, "４２巻 ﾜﾝﾋﾟｰｽ", "４２巻 ﾜﾝﾋﾟｰｽ");
    becomes(wording_plain, "４２巻 ﾜﾝﾋﾟｰｽ", "42巻 ワンピース");
}

static void a_key_is_the_same_for_every_spelling_of_a_question(void **state)
{
    (void)state;
    static const char *const spellings[] = {"One Piece vol 42?", "ONE  PIECE ＶＯＬ ４２", " one piece vol 42!! ",
                                            "one\u3000piece vol 42。"};
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
        becomes(wording_fold, spellings[i], "one piece vol 42");
    becomes(wording_fold, "わんぴーす", "ワンピース");
}

static void a_key_tells_volumes_apart(void **state)
{
    (void)state;
    becomes(wording_fold, "ワンピース42巻", "ワンピース42巻");
    becomes(wording_fold, "ワンピース43巻", "ワンピース43巻");
}

static void the_language_is_told_by_script_and_by_the_words_that_carry_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        language_t language;
    } rows[] = {
        {"在庫は?", LANGUAGE_JA},
        {"One Piece 42巻", LANGUAGE_JA},
        {"ONE PIECE 42", LANGUAGE_EN},
        {"Is ワンピース vol 42 in stock?", LANGUAGE_EN},
        {"Do you have よつばと volume 3?", LANGUAGE_EN},
        {"ハンターハンター", LANGUAGE_JA},
        {"進撃", LANGUAGE_JA},
        {"42", LANGUAGE_EN},
        {"", LANGUAGE_EN},
        {"SPY×FAMILY 5巻 ある?", LANGUAGE_JA},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (language_detect(bytes_cstr(rows[i].text)) != rows[i].language)
            fail_msg("%s", rows[i].text);
}

static void volumes_are_found_in_all_their_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"42巻", 42},
        {"第42巻", 42},
        {"第 42 巻", 42},
        {"四十二巻", 42},
        {"第四二巻", 42},
        {"百八巻", 108},
        {"二百一巻", 201},
        {"十巻", 10},
        {"千巻", 1000},
        {"3巻目", 3},
        {"vol 42", 42},
        {"vol.42", 42},
        {"Vol. 42", 42},
        {"Volume 42", 42},
        {"VOLUME #42", 42},
        {"v42", 42},
        {"v.42", 42},
        {"#42", 42},
        {"no. 42", 42},
        {"book 42", 42},
        {"the 42nd volume", 42},
        {"3rd vol", 3},
        {"volume forty-two", 42},
        {"volume seven", 7},
        {"volume twelve", 12},
        {"20世紀少年 5巻", 5},
        {"3月のライオン 10巻", 10},
        {"第42", 42},
        {"1/2 3巻", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        volume_t found = {0};
        if (!volume_find(bytes_cstr(rows[i].text), &found) || found.value != rows[i].value)
            fail_msg("%s: %ld", rows[i].text, (long)found.value);
    }
}

static void other_numbers_are_no_volumes(void **state)
{
    (void)state;
    static const char *const texts[] = {"20世紀少年", "全42巻", "第42話",  "500円",    "2024年",
                                        "らんま1/2",  "7SEEDS", "上巻",    "巻",       "",
                                        "vol",        "volume", "12345巻", "evolve 3", "20th century"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        volume_t found;
        if (volume_find(bytes_cstr(texts[i]), &found))
            fail_msg("%s: %ld", texts[i], (long)found.value);
    }
}

static void a_bare_number_counts_only_behind_a_title(void **state)
{
    (void)state;
    volume_t found;
    assert_true(volume_find_bare(BYTES_LIT("ONE PIECE 42"), &found));
    assert_int_equal(found.value, 42);
    assert_false(volume_find_bare(BYTES_LIT("86"), &found));
    assert_false(volume_find_bare(BYTES_LIT("らんま1/2"), &found));
    assert_false(volume_find_bare(BYTES_LIT("らんま1⁄2"), &found));
    assert_false(volume_find_bare(BYTES_LIT("COMIC 2.5"), &found));
    assert_false(volume_find_bare(BYTES_LIT("call 0312345678"), &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_composed_and_trimmed),
        cmocka_unit_test(compatibility_ideographs_of_names_are_kept),
        cmocka_unit_test(what_is_kept_keeps_its_width_and_what_is_plain_does_not),
        cmocka_unit_test(a_key_is_the_same_for_every_spelling_of_a_question),
        cmocka_unit_test(a_key_tells_volumes_apart),
        cmocka_unit_test(the_language_is_told_by_script_and_by_the_words_that_carry_it),
        cmocka_unit_test(volumes_are_found_in_all_their_spellings),
        cmocka_unit_test(other_numbers_are_no_volumes),
        cmocka_unit_test(a_bare_number_counts_only_behind_a_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
