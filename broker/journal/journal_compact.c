/* journal_compact.c: copying needed records forward. */
#include "broker/journal/journal_compact.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_kept_note.h"

#define GROWTH 2 /* a file stays when it is more than so many times as large as what is written behind it */
#define WASTE 2  /* and at least one part in so many of it is needed */

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to copy records");
}

/* -- planning ------------------------------------------------------------------------------------- */

/* Needed records from needed[*at] on that are below `end`; *at moves behind them. */
static uint64_t needed_below(const compact_t *c, size_t *at, uint64_t end)
{
    size_t begin = *at;
    while (*at < c->needed_count && c->needed[*at] < end)
        (*at)++;
    return *at - begin;
}

/* Bytes of a file that are needed: block by block, as if a block's records were of one size. */
static uint64_t needed_of_file(const compact_t *c, const kept_t *kept, size_t *at)
{
    uint64_t bytes = 0;
    (void)needed_below(c, at, kept->ref.first);
    for (size_t i = 0; i < kept->count; i++) {
        uint64_t end = i + 1 < kept->count ? kept->blocks[i + 1].seq : kept->ref.last + 1;
        bytes +=
            needed_below(c, at, end) * kept_block_bytes(kept, i) / (kept->blocks[i].count ? kept->blocks[i].count : 1);
    }
    return bytes;
}

static uint64_t needed_of_segments(const compact_t *c, size_t *at)
{
    if (!c->segment_count)
        return 0;
    uint64_t first = c->segments[0].header.first_seq, end = c->segments[c->segment_count - 1].last_seq + 1, bytes = 0;
    for (size_t i = 0; i < c->segment_count; i++)
        bytes += c->segments[i].header.bytes;
    (void)needed_below(c, at, first);
    uint64_t count = needed_below(c, at, end);
    return end > first ? count * (bytes / (end - first) + 1) : 0;
}

static void add_group(compact_t *c, const compact_group_t *group)
{
    if (group->count || group->has_segments)
        c->groups[c->group_count++] = *group;
}

/* From the newest to the oldest; then the groups stand the wrong way round. */
static void make_groups(compact_t *c, const uint64_t *bytes, uint64_t behind)
{
    compact_group_t open = {.first = c->sources.count, .has_segments = behind > 0};
    for (size_t i = c->sources.count; i-- > 0;) {
        const kept_t *kept = c->sources.items[i];
        uint64_t data = kept->data_end - KEPT_HEADER_BYTES;
        bool anew = bytes[i] * WASTE < data || (behind > 0 && bytes[i] <= GROWTH * behind);
        if (anew) {
            open.first = i;
            open.count++;
            behind += bytes[i];
            continue;
        }
        add_group(c, &open);
        add_group(c, &(compact_group_t){.first = i, .count = 1, .stays = true});
        open = (compact_group_t){.first = i};
        behind = 0;
    }
    add_group(c, &open);
    for (size_t i = 0, j = c->group_count; i + 1 < j; i++, j--) {
        compact_group_t group = c->groups[i];
        c->groups[i] = c->groups[j - 1];
        c->groups[j - 1] = group;
    }
}

bool compact_plan(compact_t *c, error_t *err)
{
    size_t most = 2 * c->sources.count + 1, at = 0;
    uint64_t *bytes = calloc(c->sources.count + 1, sizeof *bytes);
    c->groups = calloc(most, sizeof *c->groups);
    c->result = calloc(most, sizeof *c->result);
    if (!bytes || !c->groups || !c->result) {
        free(bytes);
        return no_memory(err);
    }
    for (size_t i = 0; i < c->sources.count; i++) {
        bytes[i] = needed_of_file(c, c->sources.items[i], &at);
        c->needed_bytes += bytes[i];
    }
    uint64_t behind = needed_of_segments(c, &at);
    c->needed_bytes += behind;
    make_groups(c, bytes, behind);
    free(bytes);
    return true;
}

/* -- copying -------------------------------------------------------------------------------------- */

static bool missing(const compact_t *c, error_t *err)
{
    return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                     "%s: record %" PRIu64 " is needed by a message and is in no file", c->folder->path,
                     c->needed[c->needed_at]);
}

/* A repair's note stands for all that it lost between two records: it goes on as long as one of these is needed. */
static bool copy_note(compact_t *c, uint64_t seq, bytes_t raw, error_t *err)
{
    return !needed_below(c, &c->needed_at, kept_note_through(raw) + 1) ||
           (record_verify(raw, err) && kept_add(&c->writer, seq, raw, err));
}

static bool copy_record(compact_t *c, uint64_t seq, bytes_t raw, error_t *err)
{
    if (c->needed_at < c->needed_count && c->needed[c->needed_at] < seq)
        return missing(c, err);
    if (kept_note_through(raw))
        return copy_note(c, seq, raw, err);
    if (c->needed_at == c->needed_count || c->needed[c->needed_at] > seq)
        return true;
    c->needed_at++;
    c->copied++;
    c->copied_bytes += raw.len;
    return record_verify(raw, err) && kept_add(&c->writer, seq, raw, err);
}

static bool copy_block(compact_t *c, kept_t *kept, size_t i, error_t *err)
{
    char name[FILE_NAME_BYTES];
    if (!kept_read_block(kept, c->folder, i, &c->block, err))
        return false;
    kept_name(kept->ref.made, kept->ref.first, name);
    for (bytes_t left = buf_bytes(&c->block); left.len;) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(left, &length, &seq, &ingest_us) || length > left.len)
            return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "%s/%s is damaged at offset %" PRIu64,
                             c->folder->path, name, kept->blocks[i].offset + (uint64_t)(left.data - c->block.data));
        if (!copy_record(c, seq, bytes_from(left.data, length), err))
            return error_prefix(err, "%s/%s", c->folder->path, name);
        left = bytes_from(left.data + length, left.len - length);
    }
    return true;
}

/* One block of a kept file; *bytes were read. */
static bool copy_kept(compact_t *c, kept_t *kept, size_t *bytes, error_t *err)
{
    size_t i = c->block_at;
    bool is_last = i + 1 == kept->count;
    uint64_t end = is_last ? kept->ref.last + 1 : kept->blocks[i + 1].seq;
    bool is_needed = c->needed_at < c->needed_count && c->needed[c->needed_at] < end;
    *bytes = is_needed ? (size_t)kept_block_bytes(kept, i) : 0;
    if (is_needed && !copy_block(c, kept, i, err))
        return false;
    c->source_at += is_last;
    c->block_at = is_last ? 0 : i + 1;
    return true;
}

/* One record of a segment; *bytes were read. */
static bool copy_segment(compact_t *c, const compact_group_t *group, size_t *bytes, error_t *err)
{
    bytes_t raw;
    uint64_t offset;
    size_t segment = c->source_at - group->count;
    if (!c->is_reading && !sealed_open(&c->sealed, c->folder, &c->segments[segment], err)) {
        sealed_close(&c->sealed);
        return false;
    }
    c->is_reading = true;
    uint64_t seq = c->sealed.next_seq;
    if (!sealed_next(&c->sealed, &raw, &offset, err) || (raw.len && !copy_record(c, seq, raw, err)))
        return false;
    *bytes = raw.len;
    if (!raw.len) {
        sealed_close(&c->sealed);
        c->is_reading = false;
        c->source_at++;
    }
    return true;
}

static bool is_copied(const compact_t *c, const compact_group_t *group)
{
    return c->source_at == group->count + (group->has_segments ? c->segment_count : 0);
}

static bool end_group(compact_t *c, error_t *err)
{
    kept_ref_t ref;
    bool good = kept_end(&c->writer, &ref, err);
    c->is_writing = false;
    if (ref.records) { /* also when its name could not be synced */
        c->result[c->result_count++] = ref;
        c->made_count++;
    }
    c->group_at++;
    c->source_at = c->block_at = 0;
    return good;
}

static void leave_group(compact_t *c, const compact_group_t *group)
{
    const kept_ref_t *ref = &c->sources.items[group->first]->ref;
    c->result[c->result_count++] = *ref;
    (void)needed_below(c, &c->needed_at, ref->last + 1);
    c->group_at++;
}

bool compact_step(compact_t *c, size_t max_bytes, bool *done, error_t *err)
{
    for (size_t spent = 0; c->group_at < c->group_count && spent < max_bytes;) {
        const compact_group_t *group = &c->groups[c->group_at];
        size_t bytes = 0;
        if (group->stays) {
            leave_group(c, group);
            continue;
        }
        if (!c->is_writing && !kept_begin(&c->writer, c->folder, c->made, err))
            return false;
        c->is_writing = true;
        bool is_kept = c->source_at < group->count;
        if (is_copied(c, group) ? !end_group(c, err)
            : is_kept           ? !copy_kept(c, c->sources.items[group->first + c->source_at], &bytes, err)
                                : !copy_segment(c, group, &bytes, err))
            return false;
        spent += bytes;
    }
    *done = c->group_at == c->group_count;
    if (*done && c->needed_at < c->needed_count)
        return missing(c, err);
    return true;
}

bool compact_abandon(compact_t *c, error_t *err)
{
    char name[FILE_NAME_BYTES];
    kept_abandon(&c->writer);
    for (size_t i = 0; i < c->result_count; i++) {
        if (c->result[i].made != c->made)
            continue;
        kept_name(c->made, c->result[i].first, name);
        if (!file_remove(c->folder, name, err))
            return false;
    }
    return file_remove(c->folder, KEPT_FILLING_NAME, err);
}

void compact_free(compact_t *c)
{
    kept_abandon(&c->writer);
    sealed_close(&c->sealed);
    kepts_free(&c->sources, c->folder);
    buf_free(&c->block);
    free(c->groups);
    free(c->result);
}
