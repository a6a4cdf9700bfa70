/* pg_checks.c: the pool and the migrations against a real server, found by PG* variables; run by
 * tests/integration/test_pg.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/inbox.h"
#include "proto/attrs.h"

#define SCHEMA "checks"

typedef struct {
    loop_t *loop;
    pg_t *pg;
    loop_timer_t *timer;
    pg_tx_t *tx;
    int done, wanted;
    status_t last;
    char aws[64], message[ERROR_MESSAGE_BYTES], text[256];
    int rows;
    char order[64];
} fixture_t;

static const pg_migration_t migrations[] = {
    {1, "things", "CREATE TABLE things (id int PRIMARY KEY, body bytea, note text); INSERT INTO things VALUES (1)"},
    {2, "more", "ALTER TABLE things ADD COLUMN extra int DEFAULT 5; " INBOX_TABLE_SQL},
    {3, "broken", "CREATE TABLE half (id int); SELECT no_such_function()"},
};

static void seen(fixture_t *f)
{
    if (++f->done >= f->wanted)
        loop_stop(f->loop);
}

static void on_done(void *ctx, const PGresult *result, const error_t *err)
{
    fixture_t *f = ctx;
    assert_true((result == NULL) != (err == NULL));
    f->last = err ? err->code : STATUS_OK;
    f->rows = err ? -1 : PQntuples(result);
    (void)bytes_to_cstr(err ? bytes_cstr(err->aws) : BYTES_NONE, f->aws, sizeof f->aws);
    (void)bytes_to_cstr(err ? bytes_cstr(err->message) : BYTES_NONE, f->message, sizeof f->message);
    bytes_t text = f->rows > 0 && PQnfields(result) > 0 ? pg_text(result, 0, 0) : BYTES_NONE;
    (void)bytes_to_cstr(text, f->text, sizeof f->text);
    (void)snprintf(f->order + strlen(f->order), sizeof f->order - strlen(f->order), "%s", err ? "-" : "+");
    seen(f);
}

static void run(fixture_t *f, int wanted)
{
    f->wanted = f->done + wanted;
    f->order[0] = '\0';
    loop_run(f->loop);
}

static const char *ask(fixture_t *f, const char *sql)
{
    pg_query(f->pg, sql, NULL, 0, on_done, f);
    run(f, 1);
    return f->text;
}

static int group_setup(void **state)
{
    (void)state;
    error_t err = {0};
    if (!pg_migrate(SCHEMA, migrations, 2, 10000, &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    f->loop = loop_new(NULL);
    f->pg = pg_new(f->loop, &(pg_options_t){.connections = 2, .schema = SCHEMA, .statement_timeout_ms = 2000}, NULL);
    assert_non_null(f->pg);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    pg_free(&f->pg);
    loop_timer_end(&f->timer);
    loop_free(&f->loop);
    free(f);
    return 0;
}

/* -- queries ------------------------------------------------------------------------------------- */
static void a_query_that_was_asked_before_the_connection_is_up_is_answered(void **state)
{
    fixture_t *f = *state;
    assert_false(pg_is_ready(f->pg));
    assert_string_equal(ask(f, "SELECT current_schema()"), SCHEMA);
    assert_true(pg_is_ready(f->pg));
}

static void see_types(void *ctx, const PGresult *result, const error_t *err)
{
    fixture_t *f = ctx;
    buf_t bytes = {0};
    assert_null(err);
    assert_int_equal(pg_i64(result, 0, 0, -1), INT64_MIN);
    assert_true(pg_f64(result, 0, 1, -1) == 0.5);
    assert_true(pg_bool(result, 0, 2));
    assert_true(pg_bytea(result, 0, 3, &bytes));
    assert_int_equal(bytes.len, 4);
    assert_memory_equal(bytes.data, "\0\xff'\\", 4);
    assert_null(pg_text(result, 0, 4).data);
    assert_int_equal(pg_i64(result, 0, 4, 7), 7);
    assert_false(pg_bytea(result, 0, 4, &bytes));
    assert_true(bytes_eq_cstr(pg_text(result, 0, 5), "ワンピース'; --"));
    buf_free(&bytes);
    seen(f);
}

static void parameters_and_results_keep_every_byte(void **state)
{
    fixture_t *f = *state;
    const pg_param_t params[] = {
        PG_TEXT("-9223372036854775808"),  PG_TEXT("0.5"), PG_TEXT("true"),
        PG_BYTES(BYTES_LIT("\0\xff'\\")), PG_NULL,        PG_STR(BYTES_LIT("ワンピース'; --")),
    };
    pg_query(f->pg, "SELECT $1::int8, $2::float8, $3::bool, $4::bytea, $5::text, $6::text", params, ARRAY_LEN(params),
             see_types, f);
    run(f, 1);
}

static void see_kinds_of_nothing(void *ctx, const PGresult *result, const error_t *err)
{
    assert_null(err);
    assert_int_equal(pg_i64(result, 0, 0, 0), INT64_MIN);
    assert_int_equal(pg_i64(result, 0, 1, 0), 42);
    assert_true(pg_bool(result, 0, 2));
    assert_true(pg_bool(result, 0, 3));
    assert_true(pg_bool(result, 0, 4));
    seen(ctx);
}

static void an_empty_text_and_null_are_told_apart(void **state)
{
    fixture_t *f = *state;
    const pg_param_t params[] = {PG_I64(INT64_MIN), PG_I64(42), pg_param_text(BYTES_NONE),
                                 pg_param_text_or_null(BYTES_LIT("")), pg_param_text_or_null(BYTES_LIT("x"))};
    pg_query(f->pg, "SELECT $1::int8, $2::int8, $3::text = '', $4::text IS NULL, $5::text = 'x'", params,
             ARRAY_LEN(params), see_kinds_of_nothing, f);
    run(f, 1);
}

static void an_error_has_its_sqlstate_and_our_code(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *sql, *sqlstate;
        status_t code;
    } cases[] = {
        {"INSERT INTO things (id) VALUES (1)", "23505", STATUS_ALREADY_EXISTS},
        {"INSERT INTO things (id) VALUES (NULL)", "23502", STATUS_FAILED_PRECONDITION},
        {"SELECT 'x'::int", "22P02", STATUS_INVALID_ARGUMENT},
        {"SELEKT", "42601", STATUS_INTERNAL},
        {"SELECT pg_sleep(60)", "57014", STATUS_DEADLINE_EXCEEDED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)ask(f, cases[i].sql);
        assert_string_equal(f->aws, cases[i].sqlstate);
        assert_int_equal(f->last, cases[i].code);
    }
    assert_string_equal(ask(f, "SELECT 'well'"), "well");
}

static void text_with_a_nul_is_refused_and_never_inside_the_call(void **state)
{
    fixture_t *f = *state;
    const pg_param_t param = PG_STR(BYTES_LIT("a\0b"));
    pg_query(f->pg, "SELECT $1::text", &param, 1, on_done, f);
    assert_int_equal(f->done, 0);
    run(f, 1);
    assert_int_equal(f->last, STATUS_INVALID_ARGUMENT);
}

static void text_that_is_no_utf8_is_refused_by_the_server(void **state)
{
    fixture_t *f = *state;
    const pg_param_t param = PG_STR(BYTES_LIT("\x83\x8f"));
    pg_query(f->pg, "SELECT $1::text", &param, 1, on_done, f);
    run(f, 1);
    assert_int_equal(f->last, STATUS_INVALID_ARGUMENT);
}

static void many_queries_are_all_answered(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 5000; i++)
        pg_query(f->pg, "SELECT 1", NULL, 0, on_done, f);
    run(f, 5000);
    assert_int_equal(f->last, STATUS_OK);
}

static void the_queue_is_bounded(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < PG_QUEUE_MAX + 1; i++)
        pg_query(f->pg, "SELECT 1", NULL, 0, on_done, f);
    run(f, 1);
    assert_int_equal(f->last, STATUS_RESOURCE_EXHAUSTED);
}

static void a_large_value_goes_there_and_back(void **state)
{
    fixture_t *f = *state;
    static uint8_t big[8 << 20];
    const pg_param_t param = PG_BYTES(bytes_from(big, sizeof big));
    pg_query(f->pg, "SELECT length($1::bytea)::text || substr(encode($1::bytea, 'hex'), 1, 0)", &param, 1, on_done, f);
    run(f, 1);
    assert_string_equal(f->text, "8388608");
}

static void copy_is_refused_and_the_pool_recovers(void **state)
{
    fixture_t *f = *state;
    (void)ask(f, "COPY things TO STDOUT");
    assert_int_equal(f->last, STATUS_UNAVAILABLE);
    assert_string_equal(ask(f, "SELECT 'again'"), "again");
}

/* -- transactions -------------------------------------------------------------------------------- */
static void a_transaction_runs_in_order_and_commits(void **state)
{
    fixture_t *f = *state;
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "DELETE FROM things", NULL, 0, on_done, f);
    pg_tx_query(f->tx, "INSERT INTO things (id) VALUES (1), (2)", NULL, 0, on_done, f);
    pg_tx_query(f->tx, "SELECT count(*) FROM things", NULL, 0, on_done, f);
    pg_tx_commit(f->tx, on_done, f);
    run(f, 4);
    assert_string_equal(f->order, "++++");
    assert_string_equal(ask(f, "SELECT count(*) FROM things"), "2");
}

static void a_failed_statement_rolls_back_and_fails_what_follows(void **state)
{
    fixture_t *f = *state;
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "DELETE FROM things", NULL, 0, on_done, f);
    pg_tx_query(f->tx, "SELECT 1/0", NULL, 0, on_done, f);
    pg_tx_query(f->tx, "SELECT 1", NULL, 0, on_done, f);
    pg_tx_commit(f->tx, on_done, f);
    run(f, 4);
    assert_string_equal(f->order, "+---");
    assert_string_equal(f->aws, "22012");
    assert_string_equal(ask(f, "SELECT count(*) > 0 FROM things"), "t");
}

static void add_later(void *ctx)
{
    fixture_t *f = ctx;
    pg_tx_query(f->tx, "SELECT 'second'", NULL, 0, on_done, f);
    pg_tx_commit(f->tx, on_done, f);
}

static void a_transaction_waits_for_its_handler(void **state)
{
    fixture_t *f = *state;
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1", NULL, 0, on_done, f);
    f->timer = loop_timer_new(f->loop, add_later, f);
    loop_timer_in(f->timer, 30);
    pg_query(f->pg, "SELECT 'others pass'", NULL, 0, on_done, f);
    run(f, 4);
    assert_string_equal(f->order, "++++");
}

static void rolling_back_undoes_and_cancels_what_waits(void **state)
{
    fixture_t *f = *state;
    assert_string_equal(ask(f, "SELECT 'up'"), "up");
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "DELETE FROM things", NULL, 0, on_done, f);
    pg_tx_rollback(f->tx);
    run(f, 1);
    assert_int_equal(f->last, STATUS_CANCELLED);
    assert_string_equal(ask(f, "SELECT count(*) > 0 FROM things"), "t");
}

static void more_transactions_than_connections_take_turns(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 20; i++) {
        pg_tx_t *tx = pg_begin(f->pg);
        pg_tx_query(tx, "UPDATE things SET extra = extra + 1 WHERE id = 1", NULL, 0, on_done, f);
        pg_tx_commit(tx, on_done, f);
    }
    run(f, 40);
    assert_null(strchr(f->order, '-'));
}

/* -- trouble ------------------------------------------------------------------------------------- */
#define KILL_OTHERS                                                                                                    \
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "                     \
    "AND datname = current_database()"

static void lost_connections_come_back_by_themselves(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 3; i++) {
        (void)ask(f, KILL_OTHERS);
        /* One that is sent before the loss is noticed may fail, and says so. */
        while (strcmp(ask(f, "SELECT 'alive'"), "alive") != 0)
            assert_int_equal(f->last, STATUS_UNAVAILABLE);
    }
}

static void a_statement_whose_connection_dies_ends_with_unavailable(void **state)
{
    fixture_t *f = *state;
    pg_query(f->pg, "SELECT pg_sleep(1.5)", NULL, 0, on_done, f);
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "SELECT pg_sleep(0.2)", NULL, 0, on_done, f);
    pg_tx_query(f->tx, KILL_OTHERS, NULL, 0, on_done, f);
    pg_tx_commit(f->tx, on_done, f);
    run(f, 4);
    assert_int_equal(strlen(f->order), 4);
    int failures = 0;
    for (const char *p = f->order; *p; p++)
        failures += *p == '-';
    assert_int_equal(failures, 1);
}

static void without_a_server_a_query_waits_no_longer_than_its_time(void **state)
{
    fixture_t *f = *state;
    char *port = strdup(getenv("PGPORT"));
    pg_free(&f->pg);
    setenv("PGPORT", "1", 1);
    f->pg = pg_new(f->loop, &(pg_options_t){.schema = SCHEMA, .statement_timeout_ms = 100}, NULL);
    (void)ask(f, "SELECT 1");
    assert_int_equal(f->last, STATUS_UNAVAILABLE);
    assert_false(pg_is_ready(f->pg));
    f->tx = pg_begin(f->pg);
    pg_tx_query(f->tx, "SELECT 1", NULL, 0, on_done, f);
    pg_tx_commit(f->tx, on_done, f);
    run(f, 2);
    assert_string_equal(f->order, "--");
    setenv("PGPORT", port, 1);
    free(port);
}

static void a_host_name_is_resolved(void **state)
{
    fixture_t *f = *state;
    char *host = strdup(getenv("PGHOST"));
    pg_free(&f->pg);
    setenv("PGHOST", "no-such-host.invalid,localhost", 1);
    f->pg = pg_new(f->loop, &(pg_options_t){.schema = SCHEMA, .statement_timeout_ms = 10000}, NULL);
    assert_string_equal(ask(f, "SELECT 'found'"), "found");
    setenv("PGHOST", host, 1);
    free(host);
}

static void the_pool_ends_everything_once_and_transactions_may_outlive_it(void **state)
{
    fixture_t *f = *state;
    assert_string_equal(ask(f, "SELECT 'up'"), "up");
    f->wanted = 100;
    f->done = 0;
    pg_tx_t *waiting = pg_begin(f->pg), *idle = pg_begin(f->pg);
    pg_tx_query(waiting, "SELECT pg_sleep(5)", NULL, 0, on_done, f);
    pg_query(f->pg, "SELECT pg_sleep(5)", NULL, 0, on_done, f);
    pg_query(f->pg, "SELECT 1", NULL, 0, on_done, f);
    pg_free(&f->pg);
    assert_int_equal(f->done, 3);
    assert_int_equal(f->last, STATUS_CANCELLED);
    pg_tx_query(idle, "SELECT 1", NULL, 0, on_done, f);
    pg_tx_commit(idle, on_done, f);
    pg_tx_rollback(waiting);
    assert_int_equal(f->done, 5);
}

/* -- inbox ---------------------------------------------------------------------------------------- */
static void on_noted(void *ctx, bool first, const error_t *err)
{
    fixture_t *f = ctx;
    assert_null(err);
    (void)snprintf(f->order + strlen(f->order), sizeof f->order - strlen(f->order), "%s", first ? "1" : "0");
    seen(f);
}

/* Notes the delivery in a transaction of its own. */
static void note(fixture_t *f, const char *consumer, const bus_delivery_t *delivery, bool commit)
{
    pg_tx_t *tx = pg_begin(f->pg);
    inbox_note(tx, consumer, delivery, on_noted, f);
    if (commit) {
        pg_tx_commit(tx, on_done, f);
        run(f, 2);
    } else {
        run(f, 1);
        pg_tx_rollback(tx);
    }
}

static void a_message_is_first_once(void **state)
{
    fixture_t *f = *state;
    const bus_delivery_t delivery = {.record = 42, .ingest_us = 1700000000000000};
    note(f, "a", &delivery, true);
    assert_string_equal(f->order, "1+");
    note(f, "a", &delivery, true);
    assert_string_equal(f->order, "0+");
    note(f, "b", &delivery, true); /* another consumer */
    assert_string_equal(f->order, "1+");
    note(f, "a", &(bus_delivery_t){.record = 42, .ingest_us = 1800000000000000}, true); /* a journal begun anew */
    assert_string_equal(f->order, "1+");
}

static void a_replay_is_first_again(void **state)
{
    fixture_t *f = *state;
    buf_t attrs = {0};
    attrs_writer_t writer = attrs_begin(&attrs);
    attrs_put_str(&writer, ATTR_REPLAY_NAME, BYTES_LIT("monday"));
    assert_true(attrs_end(&writer, NULL));
    bus_delivery_t delivery = {.record = 43, .ingest_us = 1};
    note(f, "a", &delivery, true);
    delivery.attrs = buf_bytes(&attrs);
    note(f, "a", &delivery, true);
    assert_string_equal(f->order, "1+");
    note(f, "a", &delivery, true);
    assert_string_equal(f->order, "0+");
    buf_free(&attrs);
}

static void what_is_rolled_back_was_not_there(void **state)
{
    fixture_t *f = *state;
    const bus_delivery_t delivery = {.record = 44, .ingest_us = 1};
    note(f, "a", &delivery, false);
    assert_string_equal(f->order, "1");
    note(f, "a", &delivery, true);
    assert_string_equal(f->order, "1+");
}

static void old_notes_are_forgotten(void **state)
{
    fixture_t *f = *state;
    (void)ask(f, "INSERT INTO inbox VALUES ('old', 1, 1, '', now() - interval '31 days')");
    inbox_prune(f->pg, 30, on_done, f);
    run(f, 1);
    assert_string_equal(ask(f, "SELECT count(*) FROM inbox WHERE consumer = 'old'"), "0");
    assert_string_equal(ask(f, "SELECT count(*) > 0 FROM inbox"), "t");
}

/* -- migrations ---------------------------------------------------------------------------------- */
static void migrating_again_changes_nothing(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    assert_true(pg_migrate(SCHEMA, migrations, 2, 1000, &err));
    assert_string_equal(ask(f, "SELECT string_agg(version || name, ',' ORDER BY version) FROM migrations"),
                        "1things,2more");
}

static void a_broken_migration_leaves_nothing_behind(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    assert_false(pg_migrate(SCHEMA, migrations, 3, 1000, &err));
    assert_non_null(strstr(err.message, "migration 3 (broken): "));
    assert_string_equal(ask(f, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'"), "0");
}

static void an_older_program_is_refused(void **state)
{
    (void)state;
    error_t err = {0};
    assert_false(pg_migrate(SCHEMA, migrations, 1, 1000, &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "is at version 2, this program knows 1"));
}

static void another_program_s_schema_is_refused(void **state)
{
    (void)state;
    error_t err = {0};
    const pg_migration_t others[] = {{1, "things", ""}, {2, "less", ""}};
    assert_false(pg_migrate(SCHEMA, others, 2, 1000, &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
}

static void a_server_that_is_not_there_is_waited_for_and_named(void **state)
{
    (void)state;
    error_t err = {0};
    char *port = strdup(getenv("PGPORT"));
    setenv("PGPORT", "1", 1);
    int64_t begin_ms = clock_mono_ms();
    assert_false(pg_migrate(SCHEMA, migrations, 2, 300, &err));
    assert_true(clock_mono_ms() - begin_ms >= 300);
    assert_int_equal(err.code, STATUS_UNAVAILABLE);
    setenv("PGPORT", port, 1);
    free(port);
}

#define PG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PG_TEST(a_query_that_was_asked_before_the_connection_is_up_is_answered),
        PG_TEST(parameters_and_results_keep_every_byte),
        PG_TEST(an_empty_text_and_null_are_told_apart),
        PG_TEST(an_error_has_its_sqlstate_and_our_code),
        PG_TEST(text_with_a_nul_is_refused_and_never_inside_the_call),
        PG_TEST(text_that_is_no_utf8_is_refused_by_the_server),
        PG_TEST(many_queries_are_all_answered),
        PG_TEST(the_queue_is_bounded),
        PG_TEST(a_large_value_goes_there_and_back),
        PG_TEST(copy_is_refused_and_the_pool_recovers),
        PG_TEST(a_transaction_runs_in_order_and_commits),
        PG_TEST(a_failed_statement_rolls_back_and_fails_what_follows),
        PG_TEST(a_transaction_waits_for_its_handler),
        PG_TEST(rolling_back_undoes_and_cancels_what_waits),
        PG_TEST(more_transactions_than_connections_take_turns),
        PG_TEST(lost_connections_come_back_by_themselves),
        PG_TEST(a_statement_whose_connection_dies_ends_with_unavailable),
        PG_TEST(without_a_server_a_query_waits_no_longer_than_its_time),
        PG_TEST(a_host_name_is_resolved),
        PG_TEST(the_pool_ends_everything_once_and_transactions_may_outlive_it),
        PG_TEST(a_message_is_first_once),
        PG_TEST(a_replay_is_first_again),
        PG_TEST(what_is_rolled_back_was_not_there),
        PG_TEST(old_notes_are_forgotten),
        PG_TEST(migrating_again_changes_nothing),
        PG_TEST(a_broken_migration_leaves_nothing_behind),
        PG_TEST(an_older_program_is_refused),
        PG_TEST(another_program_s_schema_is_refused),
        PG_TEST(a_server_that_is_not_there_is_waited_for_and_named),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
