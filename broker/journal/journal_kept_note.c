/* journal_kept_note.c: writing and knowing it. */
#include "broker/journal/journal_kept_note.h"

#include <stdlib.h>

#include "proto/msgpack.h"

#define KIND_AT (RECORD_HEADER_BYTES + 1) /* behind the mark of a short array */

void kept_note_encode(buf_t *out, uint64_t first, uint64_t through, int64_t ingest_us, const char *text)
{
    buf_t fields = {0};
    mp_put_map(&fields, 1);
    mp_put_cstr(&fields, KEPT_NOTE_THROUGH);
    mp_put_u64(&fields, through);
    const record_note_t note = {
        .event = bytes_cstr(KEPT_NOTE_EVENT), .text = bytes_cstr(text), .fields = buf_bytes(&fields)};
    record_encode(out, first, ingest_us, RECORD_NOTE, &note);
    out->failed |= fields.failed;
    buf_free(&fields);
}

uint64_t kept_note_through(bytes_t raw)
{
    uint64_t through = 0;
    if (raw.len <= KIND_AT || raw.data[KIND_AT] != RECORD_NOTE)
        return 0; /* the usual case, and cheap */
    record_t *record = malloc(sizeof *record);
    bool is_note = record && record_decode(raw, record, NULL) && record->kind == RECORD_NOTE &&
                   bytes_eq_cstr(record->note.event, KEPT_NOTE_EVENT) &&
                   mp_map_u64(record->note.fields, KEPT_NOTE_THROUGH, &through);
    free(record);
    return is_note ? through : 0;
}
