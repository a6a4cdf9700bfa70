/* journal_folder.c: finding, locking, and words for damage. */
#include "tools/mangactl/journal_folder.h"

#include <fcntl.h>
#include <inttypes.h>

#define RANGES_SHOWN 12 /* of lost sequences in a line for people */

void journal_folder_default(char *out, size_t cap)
{
    ctl_state_dir(out, cap);
    size_t len = strlen(out);
    (void)snprintf(out + len, cap - len, "/journal");
}

bool journal_folder_open(journal_folder_t *journal, const args_t *args, bool running, error_t *err)
{
    char path[CTL_PATH_BYTES];
    const char *dir = args->count > 0 ? args->positional[0] : path;
    journal->lock_fd = -1;
    if (args->count == 0)
        journal_folder_default(path, sizeof path);
    return folder_init(&journal->folder, dir, NULL, err) &&
           (running || journal_lock(&journal->folder, O_RDONLY, &journal->lock_fd, err));
}

void journal_folder_close(journal_folder_t *journal)
{
    file_close(&journal->folder, &journal->lock_fd);
}

int journal_folder_fail(ctl_t *ctl, const error_t *err)
{
    int code = ctl_fail(ctl, err);
    if (strcmp(err->aws, "JOURNAL_LOCKED") == 0)
        return CTL_TRY_AGAIN;
    return strcmp(err->aws, "JOURNAL_IO") == 0 || strcmp(err->aws, "JOURNAL_FULL") == 0 ? CTL_DISK : code;
}

int journal_folder_damaged(ctl_t *ctl, const journal_folder_t *journal, const survey_report_t *report)
{
    fflush(ctl->out);
    if (!ctl->json)
        ctl_note(ctl,
                 "%llu places are damaged, %llu records are lost; `mangactl journal repair %s` shows what can be done",
                 (unsigned long long)report->damages, (unsigned long long)report->lost, journal->folder.path);
    return CTL_DATA;
}

/* -- what is lost ------------------------------------------------------------------------------------ */
typedef void (*range_fn)(buf_t *out, uint64_t first, uint64_t last, size_t nth);

static uint64_t seq_of(bytes_t record)
{
    uint32_t length;
    uint64_t seq = 0;
    int64_t ingest_us;
    return record_peek(record, &length, &seq, &ingest_us) ? seq : 0;
}

/* Runs of sequences between those that are saved. */
static void each_lost(const damage_t *damage, range_fn each, buf_t *out)
{
    uint64_t next = damage->first_seq;
    size_t nth = 0;
    for (size_t i = 0; i <= damage->saved_count; i++) {
        uint64_t saved = i < damage->saved_count ? seq_of(damage->saved[i]) : damage->next_seq;
        if (saved > next)
            each(out, next, saved - 1, nth++);
        next = saved + 1;
    }
}

static void range_text(buf_t *out, uint64_t first, uint64_t last, size_t nth)
{
    if (nth > RANGES_SHOWN)
        return;
    if (nth == RANGES_SHOWN)
        buf_append_cstr(out, ", …");
    else if (first == last)
        buf_printf(out, "%s%" PRIu64, nth ? ", " : " ", first);
    else
        buf_printf(out, "%s%" PRIu64 " to %" PRIu64, nth ? ", " : " ", first, last);
}

static void range_json(buf_t *out, uint64_t first, uint64_t last, size_t nth)
{
    buf_printf(out, "%s[%" PRIu64 ",%" PRIu64 "]", nth ? "," : "", first, last);
}

void journal_damage_text(const damage_t *damage, buf_t *out)
{
    uint64_t records = damage->next_seq - damage->first_seq;
    buf_printf(out, "%s: offset %" PRIu64 " to %" PRIu64 ": %s", damage->file, damage->at, damage->end, damage->what);
    if (damage->is_sparse)
        buf_printf(out, "; %" PRIu64 " records are lost, of those from %" PRIu64 " to %" PRIu64, damage->lost,
                   damage->first_seq, damage->next_seq - 1);
    else if (records == 0)
        buf_append_cstr(out, damage->next_batch && damage->end > SEGMENT_BLOCK_BYTES ? "; what was there cannot be told"
                                                                                     : "; no record is lost");
    else if (records == damage->saved_count)
        buf_printf(out, "; records %" PRIu64 " to %" PRIu64 " were there, all can be saved", damage->first_seq,
                   damage->next_seq - 1);
    else {
        buf_printf(out, "; records %" PRIu64 " to %" PRIu64 " were there, %zu can be saved, lost:", damage->first_seq,
                   damage->next_seq - 1, damage->saved_count);
        each_lost(damage, range_text, out);
    }
}

void journal_damage_json(const damage_t *damage, buf_t *out)
{
    buf_printf(out,
               "{\"file\":\"%s\",\"offset\":%" PRIu64 ",\"end\":%" PRIu64 ",\"what\":\"%s\",\"first\":%" PRIu64
               ",\"next\":%" PRIu64 ",\"saved\":%zu,\"lost\":[",
               damage->file, damage->at, damage->end, damage->what, damage->first_seq, damage->next_seq,
               damage->saved_count);
    each_lost(damage, range_json, out);
    buf_printf(out, "],\"lost_records\":%" PRIu64 ",\"refused\":%s}", damage->lost, damage->is_late ? "false" : "true");
}
