/* The documents say what the tables say. `make docs` writes them anew (MANGABUS_DOCS=write). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/doc_tables.h"

#define DOCUMENT_MAX_BYTES ((size_t)1 << 20)

static void read_file(const char *path, buf_t *out)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be read: run this from the root of the tree", path);
    assert_true(buf_reserve(out, DOCUMENT_MAX_BYTES));
    out->len = fread(out->data, 1, DOCUMENT_MAX_BYTES - 1, file);
    (void)fclose(file);
}

/* Where `marker` ends in the text, from `from` on. */
static size_t find_marker(const char *path, const char *text, size_t from, const char *marker, bool after)
{
    const char *at = strstr(text + from, marker);
    if (!at)
        fail_msg("%s lacks the line %s", path, marker);
    return (size_t)(at - text) + (after ? strlen(marker) : 0);
}

static void write_file(const char *path, bytes_t head, bytes_t middle, bytes_t tail)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fwrite(head.data, 1, head.len, file);
    (void)fwrite(middle.data, 1, middle.len, file);
    (void)fwrite(tail.data, 1, tail.len, file);
    assert_int_equal(fclose(file), 0);
}

static void hold(const char *path, const char *begin, const char *end, void (*make)(buf_t *out))
{
    buf_t text = {0}, wanted = {0};
    const char *mode = getenv("MANGABUS_DOCS");
    read_file(path, &text);
    const char *all = buf_cstr(&text);
    size_t from = find_marker(path, all, 0, begin, true), to = find_marker(path, all, from, end, false);
    buf_append_cstr(&wanted, "\n");
    make(&wanted);
    bytes_t found = bytes_from(all + from, to - from);
    bool same = bytes_eq(found, buf_bytes(&wanted));
    if (!same && mode && strcmp(mode, "write") == 0)
        write_file(path, bytes_from(all, from), buf_bytes(&wanted), bytes_from(all + to, text.len - to));
    else if (!same)
        fail_msg("%s is not what the tables say: run make docs", path);
    buf_free(&text);
    buf_free(&wanted);
}

static void the_protocol_lists_the_verbs_as_they_are(void **state)
{
    (void)state;
    hold("docs/protocol.md", "<!-- verbs:begin -->", "<!-- verbs:end -->", doc_verbs);
}

static void the_journal_format_lists_the_records_as_they_are(void **state)
{
    (void)state;
    hold("docs/journal-format.md", "<!-- records:begin -->", "<!-- records:end -->", doc_records);
}

static void the_journal_format_lists_the_items_of_snapshots_as_they_are(void **state)
{
    (void)state;
    hold("docs/journal-format.md", "<!-- items:begin -->", "<!-- items:end -->", doc_snapshot_items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_protocol_lists_the_verbs_as_they_are),
        cmocka_unit_test(the_journal_format_lists_the_records_as_they_are),
        cmocka_unit_test(the_journal_format_lists_the_items_of_snapshots_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
