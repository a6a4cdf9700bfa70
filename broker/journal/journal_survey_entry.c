/* journal_survey_entry.c: headers of segments and batches, believed or made up. */
#include "broker/journal/journal_survey_entry.h"

bool entry_batch_at(const entry_t *entry, window_t *window, uint64_t at, batch_header_t *header, error_t *err)
{
    const segment_header_t *segment = &entry->header;
    const uint8_t *bytes = window_view(window, at, BATCH_HEADER_BYTES, err);
    if (!bytes)
        return false;
    return entry->saltless ? batch_header_guess(bytes, segment->generation, header)
                           : batch_header_decode(bytes, segment->generation, segment->salt, header);
}

bool entry_search(const entry_t *entry, window_t *window, uint64_t *at, batch_header_t *header, error_t *err)
{
    for (; !entry->saltless && *at + BATCH_HEADER_BYTES <= window->file_bytes; *at += BATCH_ALIGN_BYTES) {
        if (entry_batch_at(entry, window, *at, header, err))
            return true;
        if (err->code != STATUS_OK)
            return false;
    }
    return false;
}

/* By its first batch, which names the generation, and proves the salt or one that differs in a bit. */
static bool rebuild_by_batch(window_t *window, entry_t *entry, const segment_header_t *guess)
{
    batch_header_t first, proof;
    error_t ignored = {0};
    const uint8_t *bytes = window_view(window, SEGMENT_BLOCK_BYTES, BATCH_HEADER_BYTES, &ignored);
    if (!bytes || !batch_header_guess(bytes, 0, &first))
        return false;
    const uint8_t *batch = window_view(window, SEGMENT_BLOCK_BYTES, first.length, &ignored);
    if (!batch || !batch_records_hold(batch, &first))
        return false;
    entry->header = (segment_header_t){.number = entry->number,
                                       .generation = first.generation,
                                       .first_seq = first.first_seq,
                                       .first_batch = first.number,
                                       .salt = guess->salt,
                                       .bytes = entry->file_bytes};
    entry->saltless = !batch_header_decode(batch, first.generation, guess->salt, &proof);
    for (int bit = 0; bit < 64 && entry->saltless; bit++) {
        uint64_t salt = guess->salt ^ UINT64_C(1) << bit;
        if (!batch_header_decode(batch, first.generation, salt, &proof))
            continue;
        entry->header.salt = salt;
        entry->saltless = false;
    }
    return true;
}

/* By what is left of it, if any batch proves that to be right. */
static bool rebuild_by_guess(window_t *window, entry_t *entry, const segment_header_t *guess)
{
    uint64_t at = SEGMENT_BLOCK_BYTES;
    batch_header_t found;
    error_t ignored = {0};
    entry->header = *guess;
    entry->header.number = entry->number;
    entry->header.bytes = entry->file_bytes;
    entry->header.first_batch = entry->header.first_seq = 0;
    if (!entry_search(entry, window, &at, &found, &ignored))
        return false;
    entry->least_batch = found.number;
    entry->least_seq = found.first_seq;
    return true;
}

bool entry_read_header(entry_t *entry, window_t *window, error_t *err)
{
    error_t why = {0};
    segment_header_t guess = {0};
    const uint8_t *bytes = window_view(window, 0, SEGMENT_BLOCK_BYTES, &why);
    if (!bytes && why.code != STATUS_OK)
        return pass_on(&why, err);
    entry->lost = !bytes;
    entry->why = bytes ? NULL : "the file ends inside its header";
    if (!bytes)
        return true;
    if (segment_header_decode(bytes, &entry->header, &why)) {
        bool own = entry->header.number == entry->number;
        entry->why = own ? NULL : "the header is that of another segment";
        entry->lost = !own;
        return true;
    }
    if (why.code != STATUS_DATA_LOSS)
        return pass_on(&why, err);
    entry->why = "the segment header is damaged";
    segment_header_guess(bytes, &guess);
    entry->lost = !rebuild_by_batch(window, entry, &guess) && !rebuild_by_guess(window, entry, &guess);
    return true;
}
