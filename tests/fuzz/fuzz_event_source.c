/* fuzz_event_source.c: any bytes as a file of events: a capture or lines; what is given can be published and redacted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tools/mangactl/event_source.h"
#include "tools/mangactl/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void redact_one(redact_t *redact, bytes_t body)
{
    bytes_t out;
    error_t err = {0};
    uint64_t before = redact->paths[0].replaced;
    if (redact_event(redact, body, &out, &err)) {
        check(mp_validate(out, &err));
        check(redact->paths[0].replaced > before || bytes_eq(out, body));
    } else {
        check(err.message[0] && !mp_validate(body, NULL));
    }
}

static void read_all(event_source_t *source, bool is_capture, redact_t *redact)
{
    source_event_t event;
    envelope_t envelope;
    error_t err = {0};
    for (uint64_t count = 0; source->next(source->self, &event, &err);) {
        check(event.number == ++count);
        check(is_capture || (envelope_read(event.body, &envelope, NULL) && event.bus.len));
        check(is_capture || event.attrs.len == 0 || attrs_check(event.attrs, NULL));
        redact_one(redact, event.body);
    }
    check(err.code == STATUS_OK || err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    event_source_t source;
    redact_t redact;
    error_t err = {0};
    int fd = memfd_create("events", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    check(redact_init(&redact, "detail.a.b", &err));
    check(event_source_file(path, "bus", &source, &err));
    read_all(&source, bytes_has_prefix(bytes_from(data, size), BYTES_LIT("mangabus-capture ")), &redact);
    event_source_close(&source);
    redact_free(&redact);
    (void)close(fd);
    return 0;
}
