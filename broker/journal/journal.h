/* journal.h: the log that is the truth: append, group commit, recovery, and reading back.
 *
 * One owner thread calls everything here; a writer thread of the journal's own does the writing and the
 * syncing. Nothing blocks but journal_open, journal_close, the reading ones (disk reads, from
 * the page cache as a rule), and journal_commit and journal_poll when they sync in place. A callback may not call
 * the journal, but that journal_scan's may append and read one record: its own slices are gone then.
 *
 * Records are appended to an open batch. journal_commit hands the batch to the writer when the writer is
 * idle; what arrives meanwhile gathers in the next one (natural group commit, no timer). With little
 * outstanding the owner syncs in place instead, because the hand-over costs more than the sync.
 * journal_synced() then moves on, and whoever waits for a record may be answered.
 *
 * The first failed write or sync is the last: the journal refuses everything from then on and the process
 * must end (after a failed fsync the page cache lies; USENIX ATC'20, Rebello et al.).
 *
 * The files are described in docs/journal-format.md. */
#ifndef BROKER_JOURNAL_JOURNAL_H
#define BROKER_JOURNAL_JOURNAL_H

#include "broker/journal/journal_io.h"
#include "proto/record.h"

#define JOURNAL_FORMAT 1                              /* a newer one is refused by name */
#define JOURNAL_SEGMENT_BYTES ((uint64_t)64 << 20)    /* default size of a segment */
#define JOURNAL_SEGMENT_MIN_BYTES ((uint64_t)8 << 20) /* must hold the largest batch */
#define JOURNAL_BATCH_MAX_BYTES ((size_t)4 << 20)     /* a batch is closed before it grows past this */

typedef struct journal journal_t;

/* Called with the slices of the newest snapshot, in order, and at last with an empty one, before any record is applied.
 * False stops the opening with the error it set. */
typedef bool (*journal_load_fn)(void *ctx, bytes_t items, error_t *err);

typedef struct {
    const char *dir;         /* created (0700) if missing; locked against a second broker */
    const journal_io_t *io;  /* NULL for the real disk */
    uint64_t segment_bytes;  /* 0 for JOURNAL_SEGMENT_BYTES */
    size_t tail_cache_bytes; /* newest records kept in memory for reading back; 0 for 64 MiB */
    bool no_thread; /* sync in journal_commit always: for the simulator and for tests (also allows tiny segments) */
    bool by_hand;   /* with no_thread: what a thread would do waits for journal_work, so that the simulator says when */
    journal_load_fn load; /* with the context of journal_open; NULL is right only where no records are applied either */
    uint64_t salt;        /* random bits, so that no client can forge a batch inside a message; 0 in tests */
} journal_options_t;

typedef struct {
    uint64_t records; /* read back */
    uint64_t segments;
    uint64_t bytes;
    uint64_t cut_bytes;  /* unsynced tail that was cut; 0 after a clean stop */
    uint64_t snapshot;   /* newest record of the snapshot that it began with; 0 for none */
    int64_t duration_us; /* filled by the caller, who has the clock */
} journal_recovery_t;

typedef struct {
    uint64_t appended; /* records since open */
    uint64_t batches;  /* commits since open */
    uint64_t syncs;
    uint64_t bytes;      /* written since open */
    uint64_t disk_bytes; /* of segments, kept files and snapshot; spares not counted */
    uint64_t segments;
    uint64_t kept_files, kept_bytes;
    uint64_t snapshot;        /* newest record of the newest snapshot; 0 for none */
    uint64_t sealed_bytes;    /* of whole segments behind the newest snapshot: what a new one would take in */
    bool is_full;             /* the disk had no room for another segment when last looked */
    uint64_t sync_ns_last;    /* of the newest sync, monotonic */
    uint64_t pending_records; /* appended, not synced */
} journal_stats_t;

/* Called for every record behind the snapshot in order while opening; `raw` is the whole encoded record. The
 * slices die with the call. False stops the opening with the error it set. */
typedef bool (*journal_apply_fn)(void *ctx, const record_t *record, bytes_t raw, error_t *err);

/* Opens and recovers. An unsynced tail is cut (reported in *recovery); corruption before it, proven by a
 * later valid batch, is refused with DATA_LOSS, the file and the offset, and nothing is changed: the
 * message names `mangactl journal verify`. NULL on failure. */
MUST_USE journal_t *journal_open(const journal_options_t *options, journal_apply_fn apply, void *ctx,
                                 journal_recovery_t *recovery, error_t *err);

/* Commits what is appended, stops the writer, closes the files; sets *journal to NULL. False when the last
 * commit failed. */
MUST_USE bool journal_close(journal_t **journal, error_t *err);

/* Sequence that the next record must carry. */
uint64_t journal_next_seq(const journal_t *journal);
/* Ingest time of the newest record; 0 when there is none. The clock must never go below it. */
int64_t journal_last_ingest_us(const journal_t *journal);

/* Takes one whole record (record_encode), whose sequence must be journal_next_seq(). False when the journal
 * has failed, or RESOURCE_EXHAUSTED when the disk is so full that not even the reserve has room for it. */
MUST_USE bool journal_append(journal_t *journal, bytes_t record, error_t *err);

/* True when new work of this size may be taken in. False when the journal has failed, or the disk is full and only
 * the reserve is left: a quarter of a segment, kept for records that end something (settles, moves), which are
 * appended without asking. Costs nothing while there is room, one statvfs while there is none. */
MUST_USE bool journal_has_room(journal_t *journal, uint64_t bytes);

/* Starts a commit if there is something to commit and the writer is idle. False when the journal failed. */
MUST_USE bool journal_commit(journal_t *journal, error_t *err);

/* Between two pieces of work, as often as one likes: when at least `bytes` have gathered and the writer is idle or
 * done, takes in what it did and gives it these; never syncs in place. Next to nothing otherwise: each commit costs
 * some switches of threads, so small ones wait for journal_commit. False when the journal failed. */
MUST_USE bool journal_advance(journal_t *journal, size_t bytes, error_t *err);

/* For the owner to call when nothing was committed for about a second: writes, once, an empty batch that proves the
 * last commit synced, so that damage to it is told from an unsynced tail. Does nothing when that is proven or
 * something is under way. False when the journal failed. */
MUST_USE bool journal_idle(journal_t *journal, error_t *err);

/* Readable when the writer has finished something: then call journal_poll. -1 with no_thread. */
int journal_fd(const journal_t *journal);
/* Takes the writer's results in and starts the next commit. False when the journal failed. */
MUST_USE bool journal_poll(journal_t *journal, error_t *err);

/* Opened by hand only: does the commit that was handed over, as the thread would; then call journal_poll. False when
 * there is none. */
bool journal_work(journal_t *journal);

/* All records up to this sequence are on disk. */
uint64_t journal_synced(const journal_t *journal);

/* Finds one record; the slice lives until the next call of any journal function. False with NOT_FOUND when
 * it is not (or no longer) there, DATA_LOSS when its checksum does not hold. */
MUST_USE bool journal_read(journal_t *journal, uint64_t seq, bytes_t *raw, error_t *err);

/* Reads on from sequence `from` (from the oldest record, when `from` is before it): calls `apply` for each record until
 * `max_bytes` of records were seen or the newest is reached; *next is where to go on. Records not yet synced are
 * included: the caller holds them back by its output rule. False when `apply` said so or a record could not be read. */
MUST_USE bool journal_scan(journal_t *journal, uint64_t from, size_t max_bytes, journal_apply_fn apply, void *ctx,
                           uint64_t *next, error_t *err);

/* First record whose ingest time is not before `us`; journal_next_seq() when there is none. */
MUST_USE bool journal_find_time(journal_t *journal, int64_t us, uint64_t *seq, error_t *err);

/* Calls `each` with the sequences that a repair had to give up among kept records, range by range, in order: none of
 * them is in any file. Reads the files that have such, which few have. False when one could not be read. */
typedef void (*journal_lost_fn)(void *ctx, uint64_t first, uint64_t through);
MUST_USE bool journal_each_lost(journal_t *journal, journal_lost_fn each, void *ctx, error_t *err);

/* From here on every record can be read; before it those that were kept (journal_checkpoint.h). */
uint64_t journal_first_seq(const journal_t *journal);

void journal_stats(const journal_t *journal, journal_stats_t *out);
/* Room on the disk for this user; negative errno when it does not say. One statvfs. */
int64_t journal_free_bytes(const journal_t *journal);

/* Walks a stopped broker's files without changing anything, calling `apply` for each record there is: kept ones first,
 * then those of the segments. Snapshots are checked too. The error
 * names file and offset. */
MUST_USE bool journal_walk(const char *dir, const journal_io_t *io, journal_apply_fn apply, void *ctx,
                           journal_recovery_t *found, error_t *err);

#endif
