/* journal_survey.h: reads all of a folder, past damage too: what holds, what does not, and what can be saved of it.
 *
 * journal_open stops at the first damage; this goes on behind it, for `mangactl journal verify, dump and repair`. It
 * changes nothing. What it calls whole, journal_open takes; what it calls damaged, journal_open refuses, but for what a
 * start does not read (survey_report_t.refused); journal_walk refuses that too. */
#ifndef BROKER_JOURNAL_JOURNAL_SURVEY_H
#define BROKER_JOURNAL_JOURNAL_SURVEY_H

#include "broker/journal/journal_base.h"
#include "broker/journal/journal_recover.h"

#define SURVEY_LOST_MAX 1000000   /* records that a repair notes in the place of a segment that is gone */
#define SEGMENTS_MISSING_MAX 4096 /* between two that are there; more are no accident */

typedef struct {
    char file[FILE_NAME_BYTES];
    uint64_t at, end;                 /* bytes that are not what they were; equal when the file is missing */
    uint64_t first_batch, next_batch; /* batches that were there: from first_batch to before next_batch */
    uint64_t first_seq, next_seq;     /* and their records; equal when there were none, or none can be told */
    const char *what;
    bool is_late;   /* a start does not notice it: somebody must ask for a record */
    bool is_sparse; /* of a kept file: not each of the sequences was there, and `lost` says how many are lost */
    uint64_t lost;
    const bytes_t *saved; /* records of them that hold by themselves, whole, ascending; they live until the call ends */
    size_t saved_count;
} damage_t;

typedef struct {
    char name[FILE_NAME_BYTES];
    bool is_segment;  /* or a snapshot, or a kept file */
    uint64_t bytes;   /* of the file */
    uint64_t used;    /* to the end of the last good batch */
    uint64_t batches; /* good ones */
    uint64_t records; /* in them, and saved ones */
    uint64_t first_seq;
    uint64_t cut_bytes; /* remains of an unfinished commit */
    uint64_t damages;
} surveyed_file_t;

/* What is found, in order: snapshots, kept files, segments; every member may be NULL. False ends the survey with the
 * error it set. */
typedef struct {
    void *ctx;
    /* A segment begins. Its header may have been damaged and be made up of what its batches say; `is_newest`: no other
     * follows. */
    bool (*segment)(void *ctx, const segment_header_t *header, bool is_newest, error_t *err);
    /* A good batch; its records hold. */
    bool (*batch)(void *ctx, const batch_header_t *header, const uint8_t *batch, error_t *err);
    bool (*damage)(void *ctx, const damage_t *damage, error_t *err);
    bool (*file)(void *ctx, const surveyed_file_t *file, error_t *err);
    journal_apply_fn record; /* each record, saved ones too */
} survey_sink_t;

typedef struct {
    journal_recovery_t total;
    uint64_t damages;
    uint64_t refused;        /* of them, those for which journal_open refuses */
    uint64_t lost;           /* records */
    uint64_t remains;        /* of the damages, those in segments that are released */
    uint64_t snapshots;      /* that do not hold */
    uint64_t kept;           /* kept files with damage */
    uint64_t released;       /* records up to here are in no segment: those that messages need are in kept files */
    const char *hopeless;    /* what is missing is in no file: why there is no repair; NULL */
    int64_t begin_us;        /* no record in segments has a lower ingest time */
    uint64_t next_seq;       /* behind the newest record that is known of */
    uint64_t max_generation; /* of segments */
} survey_report_t;

/* Also while a broker works in the folder: what was synced when the survey began is judged, and nothing else; a
 * segment that is given back meanwhile is left out. False when a file cannot be read, the sink said so, or a newer
 * program wrote the folder; damage is no failure. */
MUST_USE bool journal_survey(const folder_t *folder, const survey_sink_t *sink, survey_report_t *report, error_t *err);

/* Locks the folder of a stopped broker: JOURNAL_LOCKED when one is running. *fd is to be closed (file_close). */
MUST_USE bool journal_lock(const folder_t *folder, int flags, int *fd, error_t *err);

#endif
