/* fuzz_envelope.c: any bytes as envelope and as attribute map; what is taken can be written and is read back the same.
 */
#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_resources(const envelope_t *e, bytes_t input)
{
    size_t at = 0;
    int count = 0;
    for (bytes_t resource; envelope_next_resource(e, &at, &resource); count++)
        check(resource.data + resource.len <= input.data + input.len);
    check(count <= ENVELOPE_RESOURCES_MAX);
}

static void as_envelope(bytes_t input)
{
    envelope_t e, again;
    error_t err = {0};
    if (!envelope_read(input, &e, &err)) {
        check(err.code != STATUS_OK && err.message[0]);
        return;
    }
    check_resources(&e, input);
    buf_t out = {0};
    check(envelope_write(&out, &e, &err));
    check(envelope_read(buf_bytes(&out), &again, &err));
    check(bytes_eq(e.detail, again.detail) && bytes_eq(e.source, again.source) && e.time_us == again.time_us);
    check(envelope_size_bytes(&e, e.detail.len) == envelope_size_bytes(&again, again.detail.len));
    buf_free(&out);
}

/* Reading an unchecked map must be safe too: the broker's peers may be anyone. */
static uint32_t walk(bytes_t input)
{
    size_t at = 0;
    uint32_t count = 0;
    bytes_t name;
    attr_value_t value;
    while (attrs_next(input, &at, &name, &value)) {
        check(name.len <= input.len && at <= input.len);
        count++;
    }
    (void)attrs_find(input, ATTR_TRACEPARENT, &value);
    return count;
}

static void as_attrs(bytes_t input)
{
    uint32_t count = walk(input);
    error_t err = {0};
    if (!attrs_check(input, &err)) {
        check(err.message[0]);
        return;
    }
    check(count == attrs_count(input) && count <= ATTRS_MAX);
    buf_t out = {0};
    check(attrs_merge(&out, input, input, &err));
    check(attrs_check(buf_bytes(&out), &err) && attrs_count(buf_bytes(&out)) == count);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_envelope(bytes_from(data, size));
    as_attrs(bytes_from(data, size));
    return 0;
}
