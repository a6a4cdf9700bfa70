/* test_core_random.c: thousands of random steps from one seed, with restarts and crashes, against recounts and
 * a simple model: what was acknowledged is delivered, waiting or dead-lettered, and an ack is final. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/session.h"
#include "tests/lib/core_life.h"
#include "tests/lib/journal_model.h"

#define SEEDS 24
#define STEPS 4000

/* -- time and restarts ----------------------------------------------------------------------------------------- */
static int64_t some_time_us(life_t *life)
{
    uint64_t kind = random_below(&life->random, 40);
    if (kind == 0)
        return (int64_t)random_below(&life->random, 200) * S;
    return kind < 5 ? (int64_t)random_below(&life->random, 9) * S : (int64_t)random_below(&life->random, 500000);
}

/* Lets time pass; clients say PING in between, but for one that has fallen silent. */
static void do_sleep(life_t *life)
{
    uint64_t silent = random_below(&life->random, 3 * LIFE_CLIENTS);
    for (int64_t left_us = some_time_us(life); left_us > 0; left_us -= 4 * S) {
        rig_sleep(&life->rig, left_us < 4 * S ? left_us : 4 * S);
        life_collect(life);
        for (uint64_t i = 0; i < LIFE_CLIENTS; i++) {
            if (i == silent || !life->clients[i].is_on)
                continue;
            rig_send(&life->rig, life->clients[i].peer, WIRE_PING, 0, &(wire_ping_t){0});
            life_collect(life);
        }
    }
    for (int i = 0; i < LIFE_CLIENTS; i++) {
        client_t *client = &life->clients[i];
        if (client->is_on && !session_by_peer(life->rig.core, client->peer))
            client->is_on = false;
    }
    if (!session_by_peer(life->rig.core, life->watch_peer))
        life_watch(life);
}

static void do_restart(life_t *life)
{
    rig_sleep(&life->rig, 0);
    life_collect(life);
    uint64_t keep = life->rig.core->must_sync, before = core_digest(life->rig.core);
    if (keep < life->synced)
        keep = life->synced;
    bool is_crash = random_below(&life->random, 2);
    if (is_crash) /* what nothing waited for may be lost */
        keep += random_below(&life->random, life->rig.records - keep + 1);
    if (is_crash && keep < life->rig.records) {
        rig_restart(&life->rig, keep);
        life->tally->crashes++;
    } else {
        rig_restart(&life->rig, 0);
        life->tally->restarts++;
        assert_int_equal(core_digest(life->rig.core), before);
    }
    life_collect(life);
    life->synced = life->rig.records;
    for (int i = 0; i < LIFE_CLIENTS; i++)
        life->clients[i].is_on = false;
    memset(life->receive_peer, 0, sizeof life->receive_peer);
    life_watch(life);
}

static void do_snapshot(life_t *life)
{
    rig_snapshot(&life->rig);
    life->synced = life->rig.records;
    life->tally->snapshots++;
}

static void one_step(life_t *life)
{
    uint64_t dice = random_below(&life->random, 200);
    if (dice < 1)
        do_restart(life);
    else if (dice < 2)
        do_snapshot(life);
    else if (dice < 12)
        life_connect(life);
    else if (dice < 15)
        life_leave(life);
    else if (dice < 50)
        life_send(life);
    else if (dice < 85)
        life_publish(life);
    else if (dice < 95)
        life_subscribe(life);
    else if (dice < 115)
        life_credit(life);
    else if (dice < 123)
        life_receive(life);
    else if (dice < 155)
        life_settle(life);
    else if (dice < 157)
        random_below(&life->random, 2) ? life_purge(life) : life_redrive(life);
    else if (dice < 165)
        life_watch_more(life, random_below(&life->random, 20));
    else
        do_sleep(life);
    life_check_receives(life);
}

static void life_run(uint64_t seed, life_tally_t *tally)
{
    life_t *life = calloc(1, sizeof *life);
    assert_non_null(life);
    life->tally = tally;
    life->acked = calloc(1, LIFE_ACKED_SLOTS);
    assert_non_null(life->acked);
    life->random.state = seed;
    rig_open(&life->rig, NULL);
    rig_topology(&life->rig, life_topology);
    for (int i = 0; i < LIFE_CLIENTS; i++)
        (void)snprintf(life->clients[i].name, sizeof life->clients[i].name, "client-%06d", i);
    life_watch(life);
    for (int step = 0; step < STEPS; step++) {
        one_step(life);
        if (step % 50 == 0)
            life_check_counts(life->rig.core);
        if (step % 500 == 0)
            life_check_account(life);
    }
    life_check_account(life);
    life_watch(life);
    life_watch_more(life, 100000);
    for (uint64_t seq = life->watched + 1; seq <= life->rig.records; seq++)
        assert_int_not_equal(rig_record(&life->rig, seq)->kind, RECORD_PUBLISH);
    life_tally_journal(life);
    life->tally->fifo_checks += journal_model_fifo_checks(&life->rig);
    rig_close(&life->rig);
    free(life->acked);
    free(life);
}

static void random_lives_keep_every_promise(void **state)
{
    (void)state;
    const char *only = getenv("CORE_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    life_tally_t t = {0};
    for (uint64_t seed = first; seed < first + (only ? 1 : SEEDS); seed++) {
        print_message("seed %llu (CORE_SEED repeats it alone)\n", (unsigned long long)seed);
        life_run(seed, &t);
    }
    if (only)
        return;
    assert_true(t.records > 40000 && t.acked > 4000 && t.moved > 1000 && t.dropped > 500 && t.released > 1000);
    assert_true(t.snapshots > 100 && t.restarts > 100 && t.crashes > 20 && t.resumed > 1000 && t.duplicates > 500);
    assert_true(t.fifo_sent > 3000 && t.fifo_duplicates > 150 && t.fifo_checks > 1000);
    assert_true(t.received > 1000 && t.received_none > 100 && t.redriven > 100 && t.purges_refused > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_lives_keep_every_promise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
