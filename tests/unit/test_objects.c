/* test_objects.c: the object store: what a key and a store may be, and that what is put is there, whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/objects.h"

typedef struct {
    loop_t *loop;
    char directory[64];
    int puts;
} world_t;

static int open_world(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    error_t err = {0};
    w->loop = loop_new(&err);
    (void)snprintf(w->directory, sizeof w->directory, "/tmp/objects.XXXXXX");
    assert_non_null(w->loop);
    assert_non_null(mkdtemp(w->directory));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    world_t *w = *state;
    char line[128];
    (void)snprintf(line, sizeof line, "rm -r %s", w->directory);
    assert_int_equal(system(line), 0);
    loop_free(&w->loop);
    free(w);
    return 0;
}

static void on_put(void *ctx, const error_t *err)
{
    world_t *w = ctx;
    assert_null(err);
    w->puts++;
}

static void content_is(const world_t *w, const char *key, const char *expected)
{
    char path[256], text[64] = "";
    (void)snprintf(path, sizeof path, "%s/%s", w->directory, key);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
}

static void what_is_put_into_a_directory_is_there_and_replaced(void **state)
{
    world_t *w = *state;
    error_t err = {0};
    objects_t *objects = objects_open(w->loop, w->directory, &err);
    assert_non_null(objects);
    assert_true(objects_put(objects, "a/b/c.json", BYTES_LIT("one"), "application/json", on_put, w, &err));
    content_is(w, "a/b/c.json", "one");
    assert_true(objects_put(objects, "a/b/c.json", BYTES_LIT("two"), "application/json", on_put, w, &err));
    content_is(w, "a/b/c.json", "two");
    assert_int_equal(w->puts, 2);
    objects_close(&objects);
}

static void keys_that_could_leave_the_store_are_refused(void **state)
{
    world_t *w = *state;
    static const char *const keys[] = {"",  "/a",  "a/",   "a//b",  "..",          "a/../b",
                                       ".", "a b", "a\nb", "a/%2e", "\xe3\x81\x82"};
    error_t err = {0};
    objects_t *objects = objects_open(w->loop, w->directory, &err);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_false(objects_put(objects, keys[i], BYTES_LIT("x"), "text/plain", on_put, w, &err));
    assert_int_equal(w->puts, 0);
    objects_close(&objects);
}

static void a_store_that_is_none_is_refused(void **state)
{
    world_t *w = *state;
    static const char *const urls[] = {"", "here", "ftp://a/b", "file://here", "s3://", "s3:///a", "s3://b/../c"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        error_t err = {0};
        assert_null(objects_open(w->loop, urls[i], &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    }
}

static void a_disk_that_takes_nothing_is_told(void **state)
{
    world_t *w = *state;
    error_t err = {0};
    objects_t *objects = objects_open(w->loop, "/proc/nowhere", &err);
    assert_false(objects_put(objects, "a", BYTES_LIT("x"), "text/plain", on_put, w, &err));
    assert_int_equal(err.code, STATUS_UNAVAILABLE);
    objects_close(&objects);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_into_a_directory_is_there_and_replaced),
        TEST(keys_that_could_leave_the_store_are_refused),
        TEST(a_store_that_is_none_is_refused),
        TEST(a_disk_that_takes_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
