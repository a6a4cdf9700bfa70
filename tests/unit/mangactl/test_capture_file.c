/* test_capture_file.c: what a capture file gives back, and what it refuses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/mangactl/capture_file.h"

static char path[64];
static const uint8_t body[] = {0x81, 0xa1, 'a', 0x01};

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/capture.XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd) | unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static void write_two(void)
{
    capture_file_t file;
    record_publish_t *event = calloc(1, sizeof *event);
    event->bus = BYTES_LIT("b");
    event->body = bytes_from(body, sizeof body);
    assert_true(capture_create(&file, path, false, NULL));
    assert_true(capture_note(&file, "capture-begin", "", BYTES_NONE, 1, NULL));
    assert_true(capture_event(&file, 41, 1000, event, NULL));
    assert_true(capture_event(&file, 44, 2000, event, NULL));
    assert_true(capture_note(&file, "capture-end", "", BYTES_NONE, 3, NULL));
    assert_true(capture_finish(&file, NULL));
    assert_int_equal(file.events, 2);
    capture_close(&file);
    free(event);
}

static void what_was_written_comes_back(void **state)
{
    (void)state;
    capture_file_t file;
    const record_t *record;
    error_t err = {0};
    write_two();
    assert_true(capture_open(&file, path, &err));
    assert_true(capture_next(&file, &record, &err));
    assert_int_equal(record->kind, RECORD_NOTE);
    assert_true(capture_next(&file, &record, &err));
    assert_int_equal(record->seq, 41);
    assert_int_equal(record->ingest_us, 1000);
    assert_true(bytes_eq_cstr(record->publish.bus, "b"));
    assert_memory_equal(record->publish.body.data, body, sizeof body);
    assert_true(capture_next(&file, &record, &err));
    assert_int_equal(record->seq, 44);
    assert_true(capture_next(&file, &record, &err));
    assert_true(bytes_eq_cstr(record->note.event, "capture-end"));
    assert_false(capture_next(&file, &record, &err));
    assert_int_equal(err.code, STATUS_OK);
    capture_close(&file);
}

static void an_existing_file_is_not_overwritten(void **state)
{
    (void)state;
    capture_file_t file;
    error_t err = {0};
    write_two();
    assert_false(capture_create(&file, path, false, &err));
    assert_int_equal(err.code, STATUS_ALREADY_EXISTS);
    capture_close(&file);
    assert_true(capture_create(&file, path, true, &err));
    capture_close(&file);
}

/* Reads all; the code of the error that ended it. */
static status_t read_all(void)
{
    capture_file_t file;
    const record_t *record;
    error_t err = {0};
    if (capture_open(&file, path, &err))
        while (capture_next(&file, &record, &err))
            ;
    capture_close(&file);
    return err.code;
}

static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    write_two();
    int fd = open(path, O_RDWR);
    off_t size = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < size; at++) {
        uint8_t byte, changed;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        changed = byte ^ 0x10;
        assert_int_equal(pwrite(fd, &changed, 1, at), 1);
        assert_int_not_equal(read_all(), STATUS_OK);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(read_all(), STATUS_OK);
    (void)close(fd);
}

static void a_cut_file_is_noticed_but_between_records(void **state)
{
    (void)state;
    write_two();
    int fd = open(path, O_RDWR), clean = 0;
    off_t size = lseek(fd, 0, SEEK_END);
    for (off_t at = size; at-- > 0;) {
        assert_int_equal(ftruncate(fd, at), 0);
        clean += read_all() == STATUS_OK;
    }
    assert_int_equal(clean, 4); /* behind the first line and behind each record but the last */
    (void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_comes_back),
        TEST(an_existing_file_is_not_overwritten),
        TEST(every_changed_byte_is_noticed),
        TEST(a_cut_file_is_noticed_but_between_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
