/* test_schema_json.c: proto/schema holds what the tables say, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>

#include "proto/json.h"
#include "tests/lib/schema_random.h"

#define FOLDER "proto/schema"
#define HINT "run build/tests/helpers/schema_export " FOLDER

static void read_file(const char *path, buf_t *out)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing: %s", path, HINT);
    char part[4096];
    for (size_t got; (got = fread(part, 1, sizeof part, file)) > 0;)
        buf_append(out, part, got);
    fclose(file);
}

static void compare(void *ctx, const char *name, const schema_t *schema)
{
    char path[512];
    buf_t wanted = {0};
    buf_t kept = {0};
    snprintf(path, sizeof path, FOLDER "/%s.json", name);
    schema_write_json(schema, name, &wanted);
    read_file(path, &kept);
    if (!bytes_eq(buf_bytes(&wanted), buf_bytes(&kept)))
        fail_msg("%s is not what the table says: %s", path, HINT);
    buf_free(&wanted);
    buf_free(&kept);
    ++*(int *)ctx;
}

static void the_documents_in_the_tree_are_those_of_the_tables(void **state)
{
    (void)state;
    int compared = 0;
    schema_each(compare, &compared);
    assert_true(compared > 60);
}

static int documents_in(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strstr(entry->d_name, ".json") != NULL;
    closedir(dir);
    return count;
}

static void count_one(void *ctx, const char *name, const schema_t *schema)
{
    (void)name;
    (void)schema;
    ++*(int *)ctx;
}

static void no_document_outlives_its_table(void **state)
{
    (void)state;
    int wanted = 0;
    schema_each(count_one, &wanted);
    assert_int_equal(documents_in(FOLDER), wanted);
}

static void is_json(void *ctx, const char *name, const schema_t *schema)
{
    (void)ctx;
    buf_t text = {0};
    buf_t value = {0};
    error_t err;
    schema_write_json(schema, name, &text);
    if (!json_to_msgpack(buf_bytes(&text), NULL, &value, &err))
        fail_msg("%s: %s", name, err.message);
    bytes_t title;
    assert_true(mp_map_str(buf_bytes(&value), "title", &title));
    assert_true(bytes_eq_cstr(title, name));
    buf_free(&value);
    buf_free(&text);
}

static void every_document_is_json(void **state)
{
    (void)state;
    schema_each(is_json, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_in_the_tree_are_those_of_the_tables),
        cmocka_unit_test(no_document_outlives_its_table),
        cmocka_unit_test(every_document_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
