/* test_capture_set.c: when a capture goes on in its next file, and that each of them is a whole one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/mangactl/capture_set.h"

#define S INT64_C(1000000)
#define FILES_MAX 20

static char folder[32], path[64];
static uint8_t body[3000];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/set.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/a", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char name[CTL_PATH_BYTES];
    for (int n = 1; n <= FILES_MAX; n++) {
        (void)snprintf(name, sizeof name, "%s.%06d", path, n);
        (void)unlink(name);
    }
    (void)unlink(path);
    return rmdir(folder);
}

/* Events with the ingest times (in seconds), each in about 3 KB. */
static void capture(capture_set_t *set, const char *rotate, const int *seconds, size_t count)
{
    error_t err = {0};
    record_publish_t *event = calloc(1, sizeof *event);
    event->bus = BYTES_LIT("b");
    event->body = bytes_from(body, sizeof body);
    *set = (capture_set_t){.path = path};
    assert_true(!rotate || capture_rotate_read(rotate, &set->rotate, &err));
    assert_true(capture_set_begin(set, &err));
    for (size_t i = 0; i < count; i++)
        assert_true(capture_set_event(set, i + 1, seconds[i] * S, event, &err));
    assert_true(capture_set_end(set, &err));
    assert_int_equal(capture_set_events(set), count);
    free(event);
}

/* The file is whole and holds so many events, of which `first` is the first. */
static void holds(const capture_set_t *set, uint64_t number, uint64_t events, uint64_t first)
{
    char name[CTL_PATH_BYTES];
    capture_file_t file;
    const record_t *record;
    error_t err = {0};
    uint64_t found = 0;
    bool is_ended = false;
    assert_true(capture_set_name(set, number, name));
    assert_true(capture_open(&file, name, &err));
    while (capture_next(&file, &record, &err)) {
        if (record->kind == RECORD_PUBLISH && file.events == 1)
            found = record->seq;
        is_ended = record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, "capture-end");
    }
    assert_int_equal(err.code, STATUS_OK);
    assert_true(is_ended);
    assert_int_equal(file.events, events);
    assert_int_equal(found, first);
    capture_close(&file);
}

static void without_rotation_there_is_one_file_of_that_name(void **state)
{
    (void)state;
    capture_set_t set;
    capture(&set, NULL, (int[]){1, 2, 9000}, 3);
    assert_string_equal(set.name, path);
    holds(&set, 1, 3, 1);
    capture_set_close(&set);
}

static void a_file_that_has_its_size_takes_no_more(void **state)
{
    (void)state;
    capture_set_t set;
    capture(&set, "4KiB", (int[]){1, 1, 1, 1, 1}, 5);
    assert_int_equal(set.first, 1);
    assert_int_equal(set.number, 3);
    holds(&set, 1, 2, 1);
    holds(&set, 2, 2, 3);
    holds(&set, 3, 1, 5);
    capture_set_close(&set);
}

static void a_file_holds_the_time_from_its_first_event_on(void **state)
{
    (void)state;
    capture_set_t set;
    capture(&set, "10s", (int[]){100, 109, 110, 119, 135, 144, 145}, 7);
    assert_int_equal(set.number, 4);
    holds(&set, 1, 2, 1);
    holds(&set, 2, 2, 3);
    holds(&set, 3, 2, 5);
    holds(&set, 4, 1, 7);
    capture_set_close(&set);
}

static void numbers_go_on_behind_the_highest_that_is_there(void **state)
{
    (void)state;
    capture_set_t set;
    char name[CTL_PATH_BYTES];
    capture(&set, "4KiB", (int[]){1, 1, 1, 1, 1}, 5);
    assert_true(capture_set_name(&set, 1, name));
    assert_int_equal(unlink(name), 0);
    capture_set_close(&set);
    capture(&set, "4KiB", (int[]){1, 1, 1}, 3);
    assert_int_equal(set.first, 4);
    assert_int_equal(set.number, 5);
    holds(&set, 4, 2, 1);
    holds(&set, 3, 1, 5);
    capture_set_close(&set);
}

static void what_is_neither_size_nor_time_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",     "64",   "64MB", "-1MiB",   "1KiB", "4095B",
                                        "10ms", "999B", "x",    "1h30min", "0",    "99999999999999999999GiB"};
    capture_rotate_t rotate;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        error_t err = {0};
        assert_false(capture_rotate_read(wrong[i], &rotate, &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    }
    assert_true(capture_rotate_read("64MiB", &rotate, NULL));
    assert_int_equal(rotate.bytes, 64 << 20);
    assert_true(capture_rotate_read("1h", &rotate, NULL));
    assert_int_equal(rotate.bytes, 0);
    assert_int_equal(rotate.us, 3600 * S);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_rotation_there_is_one_file_of_that_name), TEST(a_file_that_has_its_size_takes_no_more),
        TEST(a_file_holds_the_time_from_its_first_event_on),   TEST(numbers_go_on_behind_the_highest_that_is_there),
        TEST(what_is_neither_size_nor_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
