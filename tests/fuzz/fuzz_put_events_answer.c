/* fuzz_put_events_answer.c: whatever comes back for a PutEvents request, each entry is accepted, to be sent again or
 * refused with a code, or it is no answer at all. The first byte says how many entries were sent. */
#include <stdlib.h>

#include "services/bridge/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    entry_answer_t answers[ENTRY_BATCH_MAX];
    size_t count = (size_t)data[0] % ENTRY_BATCH_MAX + 1;
    error_t err = {0};
    if (!entry_answers_read(bytes_from(data + 1, size - 1), count, answers, &err)) {
        must(err.code != STATUS_OK && err.message[0]);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        must(answers[i].outcome == ENTRY_REFUSED || (answers[i].outcome == ENTRY_ACCEPTED) == !answers[i].code[0]);
    return 0;
}
