/* test_args.c: the command line of a verb, read by its table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tools/mangactl/args.h"

static const arg_option_t OWN[] = {
    {"since", ARG_TEXT, "WHEN", ""},
    {"count", ARG_COUNT, "N", ""},
    {"timeout", ARG_DURATION, "TIME", ""},
    {"force", ARG_FLAG, NULL, ""},
};
static const arg_option_t COMMON[] = {{"json", ARG_FLAG, NULL, ""}};
static const arg_table_t TABLES[2] = {{OWN, ARRAY_LEN(OWN)}, {COMMON, ARRAY_LEN(COMMON)}};

static args_t args;
static error_t err;

#define PARSE(...) parse((const char *[]){__VA_ARGS__, NULL})

static bool parse(const char *const *words)
{
    int count = 0;
    while (words[count])
        count++;
    err = (error_t){0};
    return args_parse(TABLES, count, (char *const *)(uintptr_t)words, &args, &err);
}

static void options_and_arguments_come_in_any_order(void **state)
{
    (void)state;
    assert_true(PARSE("one", "--count", "3", "two", "--json", "--since=5m"));
    assert_int_equal(args.count, 2);
    assert_string_equal(args.positional[1], "two");
    assert_int_equal(args_number(&args, "count", 0), 3);
    assert_string_equal(args_text(&args, "since", ""), "5m");
    assert_true(args_given(&args, "json"));
    assert_false(args_given(&args, "force"));
    assert_int_equal(args_number(&args, "timeout", 7), 7);
}

static void two_dashes_end_the_options_and_one_is_an_argument(void **state)
{
    (void)state;
    assert_true(PARSE("-", "--", "--count", "-x"));
    assert_int_equal(args.count, 3);
    assert_string_equal(args.positional[0], "-");
    assert_string_equal(args.positional[1], "--count");
    assert_string_equal(args.positional[2], "-x");
}

static void wrong_options_are_named_with_the_nearest_right_one(void **state)
{
    (void)state;
    assert_false(PARSE("--sinc", "5m"));
    assert_non_null(strstr(err.message, "did you mean --since?"));
    assert_false(PARSE("--completely-else"));
    assert_null(strstr(err.message, "mean"));
    assert_false(PARSE("-c"));
    assert_false(PARSE("--count"));
    assert_non_null(strstr(err.message, "--count N"));
    assert_false(PARSE("--force=1"));
}

static void numbers_and_times_are_checked(void **state)
{
    (void)state;
    assert_false(PARSE("--count", "-1"));
    assert_false(PARSE("--count", "1x"));
    assert_false(PARSE("--count", "99999999999999999999"));
    assert_false(PARSE("--timeout", "5 s"));
    assert_true(PARSE("--timeout", "5s"));
    assert_int_equal(args_number(&args, "timeout", 0), 5000);
}

static void too_many_arguments_are_refused(void **state)
{
    (void)state;
    const char *words[ARGS_POSITIONAL_MAX + 2] = {0};
    for (int i = 0; i <= ARGS_POSITIONAL_MAX; i++)
        words[i] = "x";
    assert_false(parse(words));
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0}, {"250ms", 250}, {"3s", 3000}, {"5m", 300000}, {"2h", 7200000}, {"30d", INT64_C(2592000000)}};
    static const char *const bad[] = {"", "s", "-1s", " 1s", "1 s", "1.5s", "1w", "1S", "9223372036854775807d", "1e3"};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(args_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(args_duration(bad[i], &ms));
}

static void a_moment_is_a_time_or_a_time_ago(void **state)
{
    (void)state;
    int64_t us;
    assert_true(args_moment("5m", 1000000000, &us));
    assert_int_equal(us, 1000000000 - 300000000);
    assert_true(args_moment("1970-01-01T00:00:01Z", 0, &us));
    assert_int_equal(us, 1000000);
    assert_false(args_moment("yesterday", 0, &us));
}

static void distance_counts_single_edits(void **state)
{
    (void)state;
    assert_int_equal(args_distance("queue", "queue"), 0);
    assert_int_equal(args_distance("queu", "queue"), 1);
    assert_int_equal(args_distance("", "abc"), 3);
    assert_int_equal(args_distance("kitten", "sitting"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_come_in_any_order),
        cmocka_unit_test(two_dashes_end_the_options_and_one_is_an_argument),
        cmocka_unit_test(wrong_options_are_named_with_the_nearest_right_one),
        cmocka_unit_test(numbers_and_times_are_checked),
        cmocka_unit_test(too_many_arguments_are_refused),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(a_moment_is_a_time_or_a_time_ago),
        cmocka_unit_test(distance_counts_single_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
