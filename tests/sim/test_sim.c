/* test_sim.c: thousands of whole lives of a broker, crashes included, each from one seed; and that the judge of these
 * lives notices when something is wrong.
 *
 * SEED= runs that one alone, and SIM_TRACE=1 with it prints every event; SIM_RUNS= runs so many; SIM_SECONDS= runs for
 * so long, from a seed that the time gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit/log.h"
#include "tests/sim/sim.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUNS 600
#else
#define RUNS 20000
#endif
#define BUG_SEEDS 5000
#define PROCESSES_MAX 16
#define FAILURES_SHOWN 3

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* -- many runs ----------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t first, step, end; /* seeds */
    time_t until;              /* 0: no matter */
} share_t;

/* Runs in a process of its own; the tally goes back through the pipe. */
static void run_share(const share_t *share, int pipe_fd)
{
    sim_tally_t tally = {0};
    int failures = 0;
    for (uint64_t seed = share->first; seed < share->end && failures < FAILURES_SHOWN; seed += share->step) {
        if (share->until && time(NULL) >= share->until)
            break;
        failures += !sim_run(seed, BUG_NONE, &tally, stderr);
    }
    bool told = write(pipe_fd, &tally, sizeof tally) == (ssize_t)sizeof tally;
    _exit(failures || !told ? 1 : 0);
}

static void add(sim_tally_t *sum, const sim_tally_t *more)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static bool run_all(const share_t *all, sim_tally_t *sum)
{
    long processes = sysconf(_SC_NPROCESSORS_ONLN);
    processes = processes < 1 ? 1 : processes > PROCESSES_MAX ? PROCESSES_MAX : processes;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pids[PROCESSES_MAX];
    for (long i = 0; i < processes; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            run_share(&(share_t){all->first + (uint64_t)i, (uint64_t)processes, all->end, all->until}, fds[1]);
    }
    (void)close(fds[1]);
    sim_tally_t tally;
    while (read(fds[0], &tally, sizeof tally) == (ssize_t)sizeof tally)
        add(sum, &tally);
    (void)close(fds[0]);
    bool good = true;
    for (long i = 0; i < processes; i++) {
        int status = 0;
        good = waitpid(pids[i], &status, 0) == pids[i] && status == 0 && good;
    }
    return good;
}

static void print_tally(const sim_tally_t *t)
{
    print_message(
        "%lu runs: %lu crashes (%lu power cuts, %lu kills), %lu stops, %lu faults of the disk, %lu failed "
        "starts, %lu cut connections; %lu records, %lu frames, %lu published (%lu again), %lu acknowledged, "
        "%lu delivered again, %lu returned, %lu dead-lettered, %lu dropped, %lu events seen, %lu gaps, %lu "
        "calls answered, %lu failed, %lu received, %lu purged, %lu redriven by %lu tasks, %lu picked, %lu topologies, "
        "%lu refused "
        "for a full disk, %lu snapshots taken, %lu loaded, %lu given up, %lu turns of several frames, %lu commits "
        "written while more came, %lu scheduled, %lu events archived, %lu replayed by %lu replays "
        "that came to their end\n",
        t->runs, t->crashes, t->power_cuts, t->kills, t->stops, t->disk_faults, t->failed_starts, t->cut_connections,
        t->records, t->frames, t->published, t->duplicates, t->acked, t->redelivered, t->returned, t->dead_lettered,
        t->dropped, t->events_seen, t->gaps, t->calls_answered, t->calls_failed, t->received, t->purged, t->redriven,
        t->tasks, t->picked, t->topologies, t->disk_full, t->snapshots, t->snapshots_loaded, t->snapshots_given_up,
        t->turns, t->overlaps, t->scheduled, t->archived, t->replayed, t->replays);
}

static void every_run_keeps_every_promise(void **state)
{
    (void)state;
    sim_tally_t t = {0};
    uint64_t seed = from_environment("SEED", 0), seconds = from_environment("SIM_SECONDS", 0);
    if (seed) {
        assert_true(sim_run(seed, BUG_NONE, &t, stderr));
        return;
    }
    share_t all = {.first = 1, .end = 1 + from_environment("SIM_RUNS", RUNS)};
    if (seconds) {
        all.until = time(NULL) + (time_t)seconds;
        all.first = (uint64_t)time(NULL) << 24;
        all.end = UINT64_MAX / 2;
    }
    assert_true(run_all(&all, &t));
    print_tally(&t);
    if (t.runs < 500)
        return;
    assert_true(t.crashes > t.runs / 2 && t.stops && t.disk_faults && t.failed_starts && t.cut_connections);
    assert_true(t.duplicates && t.acked && t.redelivered && t.returned && t.dead_lettered && t.dropped);
    assert_true(t.events_seen && t.gaps && t.received && t.purged && t.redriven && t.tasks && t.topologies &&
                t.picked && t.disk_full && t.calls_answered && t.calls_failed);
    assert_true(t.turns > t.runs && t.overlaps > t.runs && t.wakes);
    assert_true(t.snapshots > t.runs / 4 && t.snapshots_loaded > t.runs / 8 && t.snapshots_given_up &&
                t.scheduled > t.runs / 4 && t.archived > t.runs && t.replayed > t.runs && t.replays > t.runs / 20);
}

/* -- it can fail ----------------------------------------------------------------------------------------- */
/* True when the run was judged wrong in these words. */
static bool is_noticed(uint64_t seed, node_bug_t bug, const char *words)
{
    sim_tally_t tally = {0};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    bool good = sim_run(seed, bug, &tally, out);
    (void)fclose(out);
    bool noticed = !good && strstr(text, words);
    free(text);
    return noticed;
}

static void assert_noticed(node_bug_t bug, const char *words)
{
    if (from_environment("SEED", 0) || from_environment("SIM_SECONDS", 0))
        skip();
    for (uint64_t seed = 1; seed <= BUG_SEEDS; seed++) {
        if (!is_noticed(seed, bug, words))
            continue;
        print_message("noticed by seed %lu\n", seed);
        return;
    }
    fail_msg("no seed up to %d noticed it", BUG_SEEDS);
}

#define NOTICES(name, bug, words)                                                                                      \
    static void the_simulator_notices_when_##name(void **state)                                                        \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        assert_noticed(bug, words);                                                                                    \
    }
NOTICES(the_directory_is_not_synced, BUG_SKIP_DIR_SYNC, "was acknowledged and is lost")
NOTICES(an_answer_leaves_before_the_sync, BUG_ANSWER_EARLY, "was acknowledged and is lost")
NOTICES(a_delivery_leaves_before_an_earlier_settlement_is_on_disk, BUG_DELIVER_EARLY, "(SETTLED), and only")
NOTICES(deduplication_keys_are_forgotten_at_a_restart, BUG_FORGET_KEYS, "again within its window")
NOTICES(answers_to_producers_are_forgotten_at_a_restart, BUG_FORGET_PRODUCERS, "'s sequence")
NOTICES(recovery_matches_rules_again, BUG_ROUTE_AGAIN, "a recount says")
NOTICES(a_failed_sync_is_taken_for_a_good_one, BUG_HIDE_SYNC_FAILURE, "was acknowledged and is lost")
NOTICES(a_snapshot_lacks_deduplication_keys, BUG_SNAPSHOT_NO_KEYS, "again within its window")
NOTICES(segments_are_released_before_the_snapshot_is_synced, BUG_RELEASE_EARLY, "does not come up again")
NOTICES(schedules_forget_what_they_have_sent, BUG_FORGET_FIRINGS, "had been seen to before")
NOTICES(what_came_due_while_the_broker_was_away_is_skipped, BUG_SKIP_FIRINGS, "skipped one")
NOTICES(events_are_released_before_their_archive_is_synced, BUG_ARCHIVE_LATE, "archive ")
NOTICES(a_replay_forgets_how_far_it_was, BUG_REPLAY_AGAIN, " again")
NOTICES(receive_counts_are_lost_at_a_restart, BUG_LOSE_RECEIVES, "has another receive count")

static void a_seed_always_makes_the_same_run(void **state)
{
    (void)state;
    if (from_environment("SEED", 0))
        skip();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_tally_t once = {0}, again = {0};
        assert_int_equal(sim_run(seed, BUG_NONE, &once, stderr), sim_run(seed, BUG_NONE, &again, NULL));
        assert_memory_equal(&once, &again, sizeof once);
    }
}

int main(void)
{
    log_start("simulator", "", (log_level_t)(LOG_ERROR + 1)); /* failing disks are what happens here all the time */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_keeps_every_promise),
        cmocka_unit_test(a_seed_always_makes_the_same_run),
        cmocka_unit_test(the_simulator_notices_when_the_directory_is_not_synced),
        cmocka_unit_test(the_simulator_notices_when_an_answer_leaves_before_the_sync),
        cmocka_unit_test(the_simulator_notices_when_a_delivery_leaves_before_an_earlier_settlement_is_on_disk),
        cmocka_unit_test(the_simulator_notices_when_deduplication_keys_are_forgotten_at_a_restart),
        cmocka_unit_test(the_simulator_notices_when_answers_to_producers_are_forgotten_at_a_restart),
        cmocka_unit_test(the_simulator_notices_when_recovery_matches_rules_again),
        cmocka_unit_test(the_simulator_notices_when_a_failed_sync_is_taken_for_a_good_one),
        cmocka_unit_test(the_simulator_notices_when_a_snapshot_lacks_deduplication_keys),
        cmocka_unit_test(the_simulator_notices_when_segments_are_released_before_the_snapshot_is_synced),
        cmocka_unit_test(the_simulator_notices_when_schedules_forget_what_they_have_sent),
        cmocka_unit_test(the_simulator_notices_when_what_came_due_while_the_broker_was_away_is_skipped),
        cmocka_unit_test(the_simulator_notices_when_events_are_released_before_their_archive_is_synced),
        cmocka_unit_test(the_simulator_notices_when_a_replay_forgets_how_far_it_was),
        cmocka_unit_test(the_simulator_notices_when_receive_counts_are_lost_at_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
