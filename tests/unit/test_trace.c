/* test_trace.c: W3C trace context: what is read, what is refused, what is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kit/trace.h"

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void a_context_reads_back_as_it_was_written(void **state)
{
    (void)state;
    trace_t trace;
    char text[TRACE_PARENT_BYTES + 1];
    assert_true(trace_parse(BYTES_LIT(GOOD), &trace));
    assert_true(trace.valid);
    assert_int_equal(trace.flags, 1);
    assert_int_equal(trace.trace_id[0], 0x4b);
    trace_format(&trace, text);
    assert_string_equal(text, GOOD);
}

static void a_child_keeps_the_trace_and_gets_a_new_span(void **state)
{
    (void)state;
    trace_t parent = trace_new(), child = trace_child(&parent), orphan = trace_child(&(trace_t){0});
    assert_memory_equal(child.trace_id, parent.trace_id, 16);
    assert_memory_not_equal(child.span_id, parent.span_id, 8);
    assert_true(child.valid && orphan.valid);
    assert_memory_not_equal(orphan.trace_id, parent.trace_id, 16);
}

static void what_is_no_context_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        trace_t trace = {.flags = 77};
        assert_false(trace_parse(bytes_cstr(bad[i]), &trace));
        assert_int_equal(trace.flags, 77);
    }
}

static void a_later_version_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    trace_t trace;
    assert_true(trace_parse(BYTES_LIT("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-future"), &trace));
    assert_true(trace_parse(BYTES_LIT("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &trace));
}

static void the_current_context_is_what_was_set(void **state)
{
    (void)state;
    trace_t trace = trace_new();
    assert_false(trace_current()->valid);
    trace_set_current(&trace);
    assert_memory_equal(trace_current(), &trace, sizeof trace);
    trace_set_current(NULL);
    assert_false(trace_current()->valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_reads_back_as_it_was_written),
        cmocka_unit_test(a_child_keeps_the_trace_and_gets_a_new_span),
        cmocka_unit_test(what_is_no_context_is_refused),
        cmocka_unit_test(a_later_version_is_read_as_far_as_it_is_known),
        cmocka_unit_test(the_current_context_is_what_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
