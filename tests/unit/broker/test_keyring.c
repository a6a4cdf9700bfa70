/* test_keyring.c: which keys are known, and when the folder is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/keyring.h"

#define PATH_BYTES 256

typedef struct {
    char dir[64];
    char server_secret[KEYRING_Z85_BYTES];
    char public_key[KEYRING_Z85_BYTES];
    uint8_t key[KEYRING_KEY_BYTES];
} fixture_t;

static void write_file(const fixture_t *f, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void forget(const fixture_t *f, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    (void)remove(path);
}

static int set_up(void **state)
{
    static fixture_t f;
    char secret[KEYRING_Z85_BYTES], server_public[KEYRING_Z85_BYTES];
    snprintf(f.dir, sizeof f.dir, "/tmp/mb-keys-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    assert_int_equal(zmq_curve_keypair(server_public, f.server_secret), 0);
    assert_int_equal(zmq_curve_keypair(f.public_key, secret), 0);
    assert_non_null(zmq_z85_decode(f.key, f.public_key));
    write_file(&f, "server.key", f.server_secret);
    write_file(&f, "server.pub", server_public);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    const fixture_t *f = *state;
    static const char *const names[] = {"clients/shop.pub", "clients/bad.pub", "clients", "shop.pub",
                                        "server.key",       "server.pub",      ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        forget(f, names[i]);
    return 0;
}

static void make_clients_folder(const fixture_t *f)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/clients", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
}

static keyring_t *open_ring(const fixture_t *f)
{
    error_t err = {0};
    keyring_t *k = keyring_open(f->dir, &err);
    if (!k)
        fail_msg("%s", err.message);
    return k;
}

static void a_key_of_the_clients_folder_is_known_by_its_name(void **state)
{
    fixture_t *f = *state;
    make_clients_folder(f);
    write_file(f, "clients/shop.pub", f->public_key);
    keyring_t *k = open_ring(f);
    assert_string_equal(keyring_name_of(k, bytes_from(f->key, sizeof f->key)), "shop");
    assert_string_equal(keyring_server_key(k), f->server_secret);
    assert_string_equal(keyring_name_of_text(k, f->public_key), "shop");
    f->key[0] ^= 1;
    assert_null(keyring_name_of(k, bytes_from(f->key, sizeof f->key)));
    assert_null(keyring_name_of(k, bytes_from(f->key, 31)));
    f->key[0] ^= 1;
    keyring_free(&k);
}

static void without_a_clients_folder_keys_lie_beside_the_servers(void **state)
{
    fixture_t *f = *state;
    write_file(f, "shop.pub", f->public_key);
    keyring_t *k = open_ring(f);
    assert_string_equal(keyring_name_of(k, bytes_from(f->key, sizeof f->key)), "shop");
    keyring_free(&k);
}

static void a_file_without_a_key_is_left_out(void **state)
{
    fixture_t *f = *state;
    make_clients_folder(f);
    write_file(f, "clients/bad.pub", "this is no key");
    write_file(f, "clients/shop.pub", f->public_key);
    keyring_t *k = open_ring(f);
    assert_string_equal(keyring_name_of_text(k, f->public_key), "shop");
    keyring_free(&k);
}

static void a_change_of_the_folder_is_noticed_once(void **state)
{
    fixture_t *f = *state;
    make_clients_folder(f);
    keyring_t *k = open_ring(f);
    assert_false(keyring_refresh(k));
    write_file(f, "clients/shop.pub", f->public_key);
    assert_true(keyring_refresh(k));
    assert_string_equal(keyring_name_of_text(k, f->public_key), "shop");
    assert_false(keyring_refresh(k));
    forget(f, "clients/shop.pub");
    assert_true(keyring_refresh(k));
    assert_null(keyring_name_of_text(k, f->public_key));
    keyring_free(&k);
}

/* By the same name, of the same size, in the same file, within the same tick of the disk's clock. */
static void a_key_file_that_is_written_anew_in_place_is_noticed(void **state)
{
    fixture_t *f = *state;
    char other[KEYRING_Z85_BYTES], secret[KEYRING_Z85_BYTES];
    make_clients_folder(f);
    write_file(f, "clients/shop.pub", f->public_key);
    keyring_t *k = open_ring(f);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(zmq_curve_keypair(other, secret), 0);
        write_file(f, "clients/shop.pub", other);
        assert_true(keyring_refresh(k));
        assert_string_equal(keyring_name_of_text(k, other), "shop");
        assert_null(keyring_name_of_text(k, f->public_key));
        assert_false(keyring_refresh(k));
        memcpy(f->public_key, other, sizeof other);
    }
    keyring_free(&k);
}

static bool set_times(const fixture_t *f, const char *name, time_t at_s)
{
    char path[PATH_BYTES];
    const struct timespec times[2] = {{.tv_sec = at_s}, {.tv_sec = at_s}};
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return utimensat(AT_FDCWD, path, times, 0) == 0;
}

/* Whoever sets the file's time back does not hide that it changed. */
static void an_old_time_of_a_file_hides_nothing(void **state)
{
    fixture_t *f = *state;
    make_clients_folder(f);
    write_file(f, "clients/shop.pub", f->public_key);
    assert_true(set_times(f, "clients/shop.pub", 1000000000));
    keyring_t *k = open_ring(f);
    write_file(f, "clients/shop.pub", "this is no key, and has forty characters");
    assert_true(set_times(f, "clients/shop.pub", 1000000000));
    assert_true(keyring_refresh(k));
    assert_null(keyring_name_of_text(k, f->public_key));
    keyring_free(&k);
}

static void without_the_servers_secret_key_nothing_opens(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    write_file(f, "server.key", "too short");
    assert_null(keyring_open(f->dir, &err));
    assert_non_null(strstr(err.message, "server.key"));
    assert_null(strstr(err.message, "too short"));
    forget(f, "server.key");
    assert_null(keyring_open(f->dir, &err));
    assert_null(keyring_open("/nonexistent", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_of_the_clients_folder_is_known_by_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_clients_folder_keys_lie_beside_the_servers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_a_key_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_of_the_folder_is_noticed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_file_that_is_written_anew_in_place_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_old_time_of_a_file_hides_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_servers_secret_key_nothing_opens, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
