/* Any bytes as a snapshot of the core, as one slice and in many: refused with words, or loaded, and then the core can
 * be saved again, an equal one comes of that, and time can pass in it. */
#include <stdlib.h>

#include "broker/core/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LATER_US (INT64_C(1) << 61)

static void check(bool holds)
{
    if (!holds)
        abort();
}

static core_t *load(bytes_t snapshot)
{
    const core_config_t config = {.limits = {.producer_window = 8, .producers = 4}, .broker_name = "f", .version = "0"};
    error_t err = {0};
    core_t *core = core_new(&config, &err);
    snapshot_load_t *loading = core ? snapshot_load_new(core, &err) : NULL;
    check(loading != NULL);
    bool good = snapshot_load_slice(loading, snapshot, &err) && snapshot_load_end(loading, &err);
    check(good || (err.code != STATUS_OK && err.message[0]));
    snapshot_load_free(&loading);
    if (!good)
        core_free(&core);
    return core;
}

static void use(core_t *core)
{
    core_effects_t out = {0};
    buf_t again = {0};
    error_t err = {0};
    uint64_t *records;
    size_t count;
    snapshot_save_t *save = snapshot_save_new(core, &err);
    while (snapshot_save_next(save, &again, 64))
        continue;
    snapshot_save_free(&save);
    core_t *second = load(buf_bytes(&again));
    check(second && core_digest(second) == core_digest(core));
    check(core_needed_records(core, UINT64_MAX - 1, &records, &count, &err));
    free(records);
    core_start(core, 0, core_newest_record(core) + 1, &out);
    core_step(core, LATER_US, &(core_input_t){.kind = CORE_IN_TIMER}, &out);
    core_free(&second);
    core_effects_free(&out);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    core_t *core = load(bytes_from(data, size));
    if (core)
        use(core);
    core_free(&core);
    return 0;
}
