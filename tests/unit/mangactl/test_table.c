/* test_table.c: columns that line up, also in Japanese. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tools/mangactl/table.h"

static void japanese_takes_two_columns_a_character(void **state)
{
    (void)state;
    assert_int_equal(table_width(bytes_cstr("abc")), 3);
    assert_int_equal(table_width(bytes_cstr("日本")), 4);
    assert_int_equal(table_width(bytes_cstr("e\xcc\x81")), 1);   /* a combining accent */
    assert_int_equal(table_width(bytes_from("\xff\xfe", 2)), 2); /* no UTF-8 */
}

static void columns_line_up(void **state)
{
    (void)state;
    static const char *const titles[] = {"<name", "n", "<rest", NULL};
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    table_t table;
    table_begin(&table, titles);
    table_add(&table, "日本");
    table_add(&table, "%d", 7);
    table_add_bytes(&table, bytes_cstr("a\nb\033[1m"));
    table_add(&table, "x");
    table_add(&table, "%d", 1234);
    table_add(&table, "end");
    table_end(&table, out, "<", ">");
    (void)fclose(out);
    assert_string_equal(text, "<name     n  rest>\n"
                              "日本     7  a b [1m\n"
                              "x     1234  end\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(japanese_takes_two_columns_a_character),
        cmocka_unit_test(columns_line_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
