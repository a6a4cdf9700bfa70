/* fuzz_eventstream.c: any bytes, cut anywhere, give the same messages as in one piece; what was read is written
 * back byte for byte. The first byte says how long the pieces are. */
#include <stdlib.h>

#include "kit/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Feeds in pieces of `step` bytes and appends every message, written again. */
static eventstream_next_t read_all(bytes_t input, size_t step, buf_t *out)
{
    eventstream_decoder_t decoder = {0};
    eventstream_message_t message;
    eventstream_next_t next = EVENTSTREAM_MORE;
    for (size_t at = 0; at < input.len && next != EVENTSTREAM_BROKEN; at += step) {
        eventstream_feed(&decoder, bytes_from(input.data + at, step < input.len - at ? step : input.len - at));
        while ((next = eventstream_next(&decoder, &message, NULL)) == EVENTSTREAM_MESSAGE)
            must(eventstream_write(out, &message, NULL));
    }
    must(out->len <= input.len && (out->len == 0 || memcmp(out->data, input.data, out->len) == 0));
    eventstream_free(&decoder);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bytes_t input = bytes_from(data + 1, size - 1);
    buf_t whole = {0}, pieces = {0};
    eventstream_next_t in_one = read_all(input, input.len + 1, &whole);
    must(read_all(input, (size_t)data[0] % 64 + 1, &pieces) == in_one);
    must(bytes_eq(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
