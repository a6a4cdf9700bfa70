/* checkpoint.c: the phases of a checkpoint, one function each. */
#include "broker/checkpoint.h"

#include <stdlib.h>

#include "broker/core/snapshot.h"

#define SLICE_BYTES ((size_t)256 << 10) /* of a snapshot */

typedef enum {
    PHASE_LOAD,
    PHASE_FOLD,
    PHASE_ARCHIVE,
    PHASE_NEED,
    PHASE_COPY,
    PHASE_SAVE,
    PHASE_READY,
    PHASE_RELEASE,
    PHASE_DONE
} phase_t;

struct checkpoint {
    journal_checkpoint_t *files;
    checkpoint_loader_t loader;
    core_t *core;
    snapshot_save_t *save;
    buf_t slice;
    distil_t *distil;
    int64_t now_us;
    phase_t phase;
    checkpoint_state_t state;
    error_t err;
};

/* -- a snapshot into a core ------------------------------------------------------------------------------ */
bool checkpoint_load(checkpoint_loader_t *loader, bytes_t items, error_t *err)
{
    if (!loader->load)
        loader->load = snapshot_load_new(loader->core, err);
    if (!loader->load)
        return false;
    if (items.len)
        return snapshot_load_slice(loader->load, items, err);
    bool good = snapshot_load_end(loader->load, err);
    checkpoint_loader_end(loader);
    return good;
}

void checkpoint_loader_end(checkpoint_loader_t *loader)
{
    if (loader->load)
        snapshot_load_free(&loader->load);
}

/* -- beginning and end ------------------------------------------------------------------------------------ */
static checkpoint_t *no_memory(checkpoint_t *c, error_t *err)
{
    error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a checkpoint.");
    checkpoint_free(&c);
    return NULL;
}

checkpoint_t *checkpoint_begin(journal_t *journal, const checkpoint_options_t *options, error_t *err)
{
    journal_checkpoint_t *files = journal_checkpoint_begin(journal, &options->retain, err);
    if (!files)
        return NULL;
    checkpoint_t *c = calloc(1, sizeof *c);
    if (!c) {
        journal_checkpoint_free(&files);
        return no_memory(c, err);
    }
    c->files = files;
    c->now_us = options->now_us;
    c->core = core_new(&options->core, err);
    c->distil =
        distil_new(journal_checkpoint_folder(files), options->archive_file_bytes, journal_checkpoint_newest(files));
    if (!c->core || !c->distil)
        return no_memory(c, err);
    c->loader.core = c->core;
    return c;
}

static void core_end(checkpoint_t *c)
{
    if (c->save)
        snapshot_save_free(&c->save);
    checkpoint_loader_end(&c->loader);
    core_free(&c->core);
}

void checkpoint_free(checkpoint_t **checkpoint)
{
    checkpoint_t *c = *checkpoint;
    if (!c)
        return;
    core_end(c);
    distil_free(&c->distil);
    journal_checkpoint_free(&c->files);
    buf_free(&c->slice);
    free(c);
    *checkpoint = NULL;
}

/* -- phases ----------------------------------------------------------------------------------------------- */
static bool load_slice(void *ctx, bytes_t items, error_t *err)
{
    checkpoint_t *c = ctx;
    return checkpoint_load(&c->loader, items, err);
}

static bool fold_record(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    checkpoint_t *c = ctx;
    return core_apply(c->core, record, err) && distil_record(c->distil, c->core, record, err);
}

static bool tell_need(checkpoint_t *c, error_t *err)
{
    uint64_t *records;
    size_t count;
    return core_needed_records(c->core, journal_checkpoint_released(c->files), &records, &count, err) &&
           journal_checkpoint_need(c->files, records, count, err);
}

static bool save_some(checkpoint_t *c, size_t max_bytes, bool *done, error_t *err)
{
    if (!c->save && !(c->save = snapshot_save_new(c->core, err)))
        return false;
    for (size_t bytes = 0; !*done && bytes < max_bytes; bytes += c->slice.len) {
        buf_clear(&c->slice);
        *done = !snapshot_save_next(c->save, &c->slice, SLICE_BYTES);
        if (c->slice.failed)
            return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a slice of a snapshot.");
        if (!journal_checkpoint_write(c->files, buf_bytes(&c->slice), err))
            return false;
    }
    return true;
}

static bool publish(checkpoint_t *c, error_t *err)
{
    if (!journal_checkpoint_publish(c->files, err))
        return false;
    core_end(c); /* its memory is not needed to release files */
    return true;
}

/* One step of the phase; *done when the next one may begin. */
static bool phase_step(checkpoint_t *c, size_t max_bytes, bool *done, error_t *err)
{
    switch (c->phase) {
    case PHASE_LOAD:
        return journal_checkpoint_load(c->files, load_slice, c, max_bytes, done, err);
    case PHASE_FOLD:
        return journal_checkpoint_fold(c->files, fold_record, c, max_bytes, done, err);
    case PHASE_ARCHIVE:
        return distil_end(c->distil, c->core, c->now_us, done, err);
    case PHASE_NEED:
        *done = true;
        return tell_need(c, err);
    case PHASE_COPY:
        return journal_checkpoint_copy(c->files, max_bytes, done, err);
    case PHASE_SAVE:
        return save_some(c, max_bytes, done, err) && (!*done || publish(c, err));
    case PHASE_RELEASE:
        return journal_checkpoint_release(c->files, done, err);
    case PHASE_READY:
    case PHASE_DONE:
        break;
    }
    return true;
}

static checkpoint_state_t give_up(checkpoint_t *c)
{
    error_t why;
    core_end(c);
    bool may_go_on = c->phase < PHASE_READY && journal_checkpoint_may_go_on(&c->err);
    if (may_go_on && (!distil_abandon(c->distil, &why) || !journal_checkpoint_abandon(c->files, &why))) {
        c->err = why;
        may_go_on = false;
    }
    return may_go_on ? CHECKPOINT_GIVEN_UP : CHECKPOINT_BROKEN;
}

checkpoint_state_t checkpoint_step(checkpoint_t *c, size_t max_bytes)
{
    bool done = false;
    if (c->state != CHECKPOINT_WORKING)
        return c->state;
    if (!phase_step(c, max_bytes, &done, &c->err))
        c->state = give_up(c);
    else if (done)
        c->phase++;
    if (c->phase == PHASE_READY)
        c->state = CHECKPOINT_READY;
    if (c->phase == PHASE_DONE)
        c->state = CHECKPOINT_DONE;
    return c->state;
}

bool checkpoint_adopt(checkpoint_t *c, journal_t *journal, error_t *err)
{
    if (!journal_checkpoint_adopt(journal, c->files, err))
        return false;
    c->phase = PHASE_RELEASE;
    c->state = CHECKPOINT_WORKING;
    return true;
}

/* -- looking in ------------------------------------------------------------------------------------------- */
const error_t *checkpoint_error(const checkpoint_t *c)
{
    return &c->err;
}

core_t *checkpoint_core(const checkpoint_t *c)
{
    return c->core;
}

void checkpoint_distilled(const checkpoint_t *c, distil_stats_t *out)
{
    distil_stats(c->distil, out);
}

void checkpoint_stats(const checkpoint_t *c, journal_checkpoint_stats_t *out)
{
    journal_checkpoint_stats(c->files, out);
}
