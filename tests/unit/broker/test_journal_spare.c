/* test_journal_spare.c: files of segments to come, where two threads make them: the writer fills one while the
 * checkpointer brings old ones back. Their steps are taken here in the order that is to be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>

#include "broker/journal/journal_spare.h"
#include "tests/lib/fault_disk.h"

#define SEGMENT_BYTES ((uint64_t)16 << 10) /* one slice */

static void make_segment(const folder_t *folder, uint64_t number)
{
    char name[FILE_NAME_BYTES];
    int fd = -1;
    error_t err;
    segment_name(number, name);
    assert_true(file_open(folder, name, O_RDWR | O_CREAT, &fd, &err));
    file_close(folder, &fd);
}

static void count_one(void *ctx, const char *path)
{
    (void)path;
    ++*(size_t *)ctx;
}

static void a_spare_that_is_filled_while_others_come_back_is_one_too_many(void **state)
{
    (void)state;
    fault_disk_t *disk = fault_disk_new(1);
    folder_t folder;
    spares_t spares;
    error_t err;
    bool full;
    size_t files = 0;
    assert_true(folder_init(&folder, "/journal", fault_disk_io(disk), &err));
    assert_true(spares_init(&spares, &folder, SEGMENT_BYTES, &err));
    assert_true(spares_wanted(&spares));
    spares_fill_slice(&spares); /* begun; the next slice is the last */
    for (uint64_t number = 1; number <= SPARES_MAX; number++) {
        const segment_header_t old = {.number = number, .bytes = SEGMENT_BYTES};
        make_segment(&folder, number);
        assert_true(spares_recycle(&spares, &old, &err));
    }
    assert_int_equal(spares_ready(&spares, &full), SPARES_MAX);
    spares_fill_slice(&spares);
    assert_true(spares_healthy(&spares, &err));
    assert_int_equal(spares_ready(&spares, &full), SPARES_MAX);
    fault_disk_each(disk, count_one, &files);
    assert_int_equal(files, SPARES_MAX);
    spares_free(&spares);
    fault_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spare_that_is_filled_while_others_come_back_is_one_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
