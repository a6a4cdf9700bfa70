/* test_log.c: a line is one JSON object whatever it is given, and never longer than it may be. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/log.h"
#include "kit/trace.h"
#include "proto/json.h"

static int saved_stderr, pipe_fds[2];
static char line[3 * LOG_LINE_MAX_BYTES];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    log_start("test", "test-1", LOG_INFO);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

/* What was written since the last time; it must be one JSON object and a line feed. */
static const char *line_read(void)
{
    ssize_t n = read(pipe_fds[0], line, sizeof line - 1);
    assert_true(n > 0 && n <= LOG_LINE_MAX_BYTES);
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
    buf_t out = {0};
    error_t err = {0};
    if (!json_to_msgpack(bytes_cstr(line), NULL, &out, &err))
        fail_msg("no JSON: %s\n%s", err.message, line);
    buf_free(&out);
    return line;
}

static void expect_in_line(const char *part)
{
    if (!strstr(line, part))
        fail_msg("%s is not in %s", part, line);
}

static void a_line_has_the_common_fields_and_those_given(void **state)
{
    (void)state;
    log_info("catalogue loaded", LOG_I("items", -3), LOG_S("bus", "a"), LOG_F("ms", 0.5), LOG_B("x", BYTES_LIT("yz")),
             LOG_S("none", NULL));
    assert_int_equal(strncmp(line_read(), "{\"time\":\"20", 11), 0);
    expect_in_line("Z\",\"level\":\"info\",\"service\":\"test\",\"instance\":\"test-1\",\"message\":\"catalogue "
                   "loaded\",\"items\":-3,\"bus\":\"a\",\"ms\":0.5,\"x\":\"yz\",\"none\":null}");
}

static void fields_are_optional(void **state)
{
    (void)state;
    log_warn("alone");
    (void)line_read();
    expect_in_line("\"level\":\"warn\"");
    expect_in_line("\"message\":\"alone\"}");
}

static void a_level_below_the_chosen_one_is_silent(void **state)
{
    (void)state;
    char byte;
    log_debug("not shown");
    assert_int_equal(read(pipe_fds[0], &byte, 1), -1);
    log_start("test", "test-1", LOG_DEBUG);
    log_debug("shown");
    (void)line_read();
}

static void whatever_bytes_come_the_line_stays_json(void **state)
{
    (void)state;
    log_error("m\"\\\n\x01\x7f", LOG_B("b", BYTES_LIT("\xff\xc0\x80ok\xed\xa0\x80\0!")), LOG_F("nan", NAN));
    (void)line_read();
    expect_in_line("\"message\":\"m\\\"\\\\\\u000a\\u0001\x7f\"");
    expect_in_line("\"b\":\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDok\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\u0000!\"");
    expect_in_line("\"nan\":null");
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    static char big[3 * LOG_LINE_MAX_BYTES];
    trace_t trace = trace_new();
    trace_set_current(&trace);
    for (size_t pad = 0; pad < 12; pad++) {
        for (size_t i = 0; i < sizeof big - 1; i++)
            big[i] = i < pad ? 'x' : "\xE6\xBC\xAB"[(i - pad) % 3]; /* a character of three bytes */
        log_info("long", LOG_S("big", big), LOG_I("after", 1));
        (void)line_read();
        expect_in_line("\"big\":\"");
        expect_in_line("\"span_id\":\"");
        expect_in_line(",\"cut\":true}");
        assert_null(strstr(line, "\xEF\xBF\xBD"));
    }
    trace_set_current(NULL);
}

static void the_current_trace_is_shown(void **state)
{
    (void)state;
    trace_t trace;
    assert_true(trace_parse(BYTES_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &trace));
    trace_set_current(&trace);
    log_info("traced");
    trace_set_current(NULL);
    (void)line_read();
    expect_in_line("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\"}");
}

static void lines_that_a_full_pipe_did_not_take_are_counted(void **state)
{
    (void)state;
    char byte[LOG_LINE_MAX_BYTES];
    memset(byte, 'x', sizeof byte);
    while (write(pipe_fds[1], byte, sizeof byte) > 0) {
    }
    log_info("lost");
    log_info("lost as well");
    while (read(pipe_fds[0], byte, sizeof byte) > 0) {
    }
    log_info("heard");
    (void)line_read();
    expect_in_line("\"lines_lost\":2");
}

static void a_level_is_read_by_its_name(void **state)
{
    (void)state;
    log_level_t level = LOG_INFO;
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("ERROR", &level));
    assert_false(log_level_parse("", &level));
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_the_common_fields_and_those_given),    LOG_TEST(fields_are_optional),
        LOG_TEST(a_level_below_the_chosen_one_is_silent),          LOG_TEST(whatever_bytes_come_the_line_stays_json),
        LOG_TEST(a_line_that_is_too_long_is_cut_and_says_so),      LOG_TEST(the_current_trace_is_shown),
        LOG_TEST(lines_that_a_full_pipe_did_not_take_are_counted), LOG_TEST(a_level_is_read_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
