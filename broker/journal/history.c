/* history.c: which file or segment comes next, and the records in it. */
#include "broker/journal/history.h"

#include <stdlib.h>

#include "broker/journal/journal_checkpoint.h"

#define TRIES 3 /* files go while they are looked for */

struct history {
    journal_t *journal;
    char name[ARCHIVE_NAME_MAX_BYTES + 1]; /* of the archive that is listed; empty: none */
    folder_t folder;
    archive_list_t list;
    archive_t *file; /* the one read last */
    record_t *record;
};

history_t *history_new(journal_t *journal)
{
    history_t *h = calloc(1, sizeof *h);
    record_t *record = malloc(sizeof *record);
    if (!h || !record) {
        free(h);
        free(record);
        return NULL;
    }
    h->journal = journal;
    h->record = record;
    return h;
}

void history_free(history_t **history)
{
    history_t *h = *history;
    *history = NULL;
    if (!h)
        return;
    archive_close(&h->file);
    archive_list_free(&h->list);
    free(h->record);
    free(h);
}

void history_changed(history_t *h)
{
    h->name[0] = '\0';
}

/* -- files --------------------------------------------------------------------------------------- */
static bool take_list(history_t *h, bytes_t archive, error_t *err)
{
    if (bytes_eq_cstr(archive, h->name))
        return true;
    archive_close(&h->file);
    archive_list_free(&h->list);
    h->name[0] = '\0';
    if (!archive_folder(&h->folder, journal_folder(h->journal), archive, err) ||
        !archive_list(&h->list, &h->folder, err))
        return false;
    return bytes_to_cstr(archive, h->name, sizeof h->name) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "an archive's name has at most %d bytes",
                     ARCHIVE_NAME_MAX_BYTES);
}

static void file_name(const history_t *h, size_t i, char out[FILE_NAME_BYTES])
{
    archive_file_name(h->list.files[i].from, h->list.files[i].through, out);
}

static bool open_nth(history_t *h, size_t i, error_t *err)
{
    char name[FILE_NAME_BYTES];
    file_name(h, i, name);
    if (h->file && strcmp(h->file->name, name) == 0)
        return true;
    archive_close(&h->file);
    h->file = archive_open(&h->folder, name, NULL, err);
    return h->file != NULL;
}

/* The file with records from `seq` on; *found false when there is none. One that retention took meanwhile is passed. */
static bool open_from(history_t *h, bytes_t archive, uint64_t seq, bool *found, error_t *err)
{
    *found = false;
    for (int i = 0; i < TRIES && archive.len; i++) {
        if (!take_list(h, archive, err))
            return false;
        size_t nth = archive_list_from(&h->list, seq);
        *found = nth < h->list.count;
        if (!*found || open_nth(h, nth, err))
            return true;
        if (err->code != STATUS_NOT_FOUND)
            return false;
        history_changed(h);
    }
    return !archive.len;
}

/* False when `fn` said so; *failed when it could not be read. */
static bool give(history_t *h, bytes_t raw, history_fn fn, void *ctx, uint64_t *next, bool *failed, error_t *err)
{
    *failed = !record_decode(raw, h->record, err);
    if (*failed)
        return false;
    if (h->record->kind == RECORD_PUBLISH && !fn(ctx, h->record)) {
        *next = h->record->seq;
        return false;
    }
    *next = h->record->seq + 1;
    return true;
}

static bool read_all(history_t *h, uint64_t from, size_t max_bytes, history_fn fn, void *ctx, uint64_t *next,
                     error_t *err)
{
    bytes_t raw;
    bool failed = false;
    *next = from;
    for (size_t bytes = 0; bytes < max_bytes; bytes += raw.len) {
        if (!archive_seek(h->file, *next, &raw, err))
            return false;
        if (!raw.len) {
            *next = h->file->header.through + 1;
            return true;
        }
        if (!give(h, raw, fn, ctx, next, &failed, err))
            return !failed;
    }
    return true;
}

/* The first record from `from` on that may be one of these; 0 for none. */
static bool first_with_id(history_t *h, const history_source_t *source, uint64_t from, uint64_t *first, error_t *err)
{
    *first = 0;
    for (size_t i = 0; i < source->id_count; i++) {
        bytes_t raw;
        for (size_t nth = 0;; nth++) {
            uint32_t length;
            uint64_t seq;
            int64_t ingest_us;
            if (!archive_find(h->file, source->ids[i], nth, &raw, err))
                return false;
            if (!raw.len)
                break;
            if (record_peek(raw, &length, &seq, &ingest_us) && seq >= from && (!*first || seq < *first))
                *first = seq;
        }
    }
    return true;
}

static bool read_by_id(history_t *h, const history_source_t *source, uint64_t from, history_fn fn, void *ctx,
                       uint64_t *next, error_t *err)
{
    bytes_t raw;
    uint64_t seq;
    bool failed = false;
    if (!first_with_id(h, source, from, &seq, err))
        return false;
    *next = h->file->header.through + 1;
    if (!seq)
        return true;
    if (!archive_seek(h->file, seq, &raw, err))
        return false;
    return give(h, raw, fn, ctx, next, &failed, err) || !failed;
}

/* -- the log ------------------------------------------------------------------------------------- */
typedef struct {
    history_fn fn;
    void *ctx;
    uint64_t stopped_at; /* 0: it was not stopped */
} log_reader_t;

static bool log_record(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err)
{
    log_reader_t *reader = ctx;
    if (record->kind != RECORD_PUBLISH || reader->fn(reader->ctx, record))
        return true;
    reader->stopped_at = record->seq;
    return error_set(err, STATUS_CANCELLED, NULL, "stopped");
}

static bool read_log(history_t *h, uint64_t from, size_t max_bytes, history_fn fn, void *ctx, uint64_t *next,
                     error_t *err)
{
    log_reader_t reader = {.fn = fn, .ctx = ctx};
    uint64_t oldest = journal_first_seq(h->journal);
    *next = from < oldest ? oldest : from;
    if (*next >= journal_next_seq(h->journal) ||
        journal_scan(h->journal, *next, max_bytes, log_record, &reader, next, err))
        return true;
    if (reader.stopped_at) {
        *next = reader.stopped_at;
        error_clear(err);
    }
    return reader.stopped_at != 0;
}

/* -- both ---------------------------------------------------------------------------------------- */
bool history_read(history_t *h, const history_source_t *source, uint64_t from, size_t max_bytes, history_fn fn,
                  void *ctx, uint64_t *next, error_t *err)
{
    bool in_file;
    *next = from;
    if (!open_from(h, source->archive, from, &in_file, err))
        return false;
    if (!in_file)
        return read_log(h, from, max_bytes, fn, ctx, next, err);
    return source->id_count ? read_by_id(h, source, from, fn, ctx, next, err)
                            : read_all(h, from, max_bytes, fn, ctx, next, err);
}

/* The first file whose newest record is not older; list.count for none. */
static bool file_at(history_t *h, int64_t us, size_t *nth, error_t *err)
{
    size_t low = 0, high = h->list.count;
    while (low < high) {
        char name[FILE_NAME_BYTES];
        archive_header_t header;
        size_t middle = low + (high - low) / 2;
        file_name(h, middle, name);
        if (!archive_peek(&h->folder, name, &header, err))
            return false;
        if (header.last_us < us)
            low = middle + 1;
        else
            high = middle;
    }
    *nth = low;
    return true;
}

static bool find_in_files(history_t *h, bytes_t archive, int64_t us, uint64_t *seq, error_t *err)
{
    size_t nth;
    *seq = 0;
    if (!take_list(h, archive, err) || !file_at(h, us, &nth, err))
        return false;
    if (nth == h->list.count)
        return true;
    if (!open_nth(h, nth, err))
        return false;
    *seq = archive_seq_at(h->file, us);
    return true;
}

bool history_find_time(history_t *h, const history_source_t *source, int64_t us, uint64_t *seq, error_t *err)
{
    *seq = 0;
    for (int i = 0; i < TRIES && source->archive.len && !*seq; i++) {
        if (find_in_files(h, source->archive, us, seq, err))
            break;
        if (err->code != STATUS_NOT_FOUND || i + 1 == TRIES)
            return false;
        history_changed(h);
    }
    if (*seq)
        return true;
    if (!journal_find_time(h->journal, us, seq, err))
        return false;
    uint64_t behind = source->archive.len && h->list.count ? h->list.files[h->list.count - 1].through + 1 : 0;
    *seq = *seq < behind ? behind : *seq;
    return true;
}
