/* Any bytes as a frame: refused by name, or read; and what was read can be written and means the same. */
#include <stdlib.h>

#include "proto/wire.h"
#include "tests/lib/fields_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    wire_msg_t first, second;
} work_t;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void write_and_read_again(work_t *work)
{
    buf_t frame = {0};
    wire_encode(&frame, &work->first);
    check(!frame.failed && wire_decode(buf_bytes(&frame), &work->second, NULL));
    check(work->first.verb == work->second.verb && work->first.seq == work->second.seq);
    check(fields_equal(wire_layout((uint64_t)work->first.verb), &work->first.hello, &work->second.hello));
    buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static work_t work; /* a quarter of a megabyte: not worth making anew for every input */
    error_t err = {0};
    if (wire_decode(bytes_from(data, size), &work.first, &err))
        write_and_read_again(&work);
    else
        check(err.code != STATUS_OK && err.aws[0] && err.message[0]);
    return 0;
}
