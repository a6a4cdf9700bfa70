/* test_config.c: the configuration table: what is read, what is refused and how, what is shown. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/config.h"

typedef struct {
    char *text, *url, *secret;
    int64_t count, wait_ms, size_bytes;
    double ratio;
    bool on;
} settings_t;

#define AT(member) offsetof(settings_t, member)
static const config_row_t rows[] = {
    {"MANGABUS_T_TEXT", CONFIG_STR, AT(text), "a|b", 0, 0, 0, "a text"},
    {"MANGABUS_T_URL", CONFIG_URL, AT(url), "", 0, 0, 0, "a URL"},
    {"MANGABUS_T_SECRET", CONFIG_STR, AT(secret), "", 0, 0, CONFIG_SECRET, "a secret"},
    {"MANGABUS_T_COUNT", CONFIG_I64, AT(count), "3", 1, 10, 0, "a count"},
    {"MANGABUS_T_WAIT", CONFIG_MS, AT(wait_ms), "5s", 100, 60000, 0, "a wait"},
    {"MANGABUS_T_SIZE", CONFIG_BYTES, AT(size_bytes), "64KiB", 0, 0, 0, "a size"},
    {"MANGABUS_T_RATIO", CONFIG_F64, AT(ratio), "0.5", 0, 1, 0, "a ratio"},
    {"MANGABUS_T_ON", CONFIG_BOOL, AT(on), "yes", 0, 0, 0, "a switch"},
};
static const config_table_t table = {rows, ARRAY_LEN(rows)};

static int setup(void **state)
{
    (void)state;
    char file_name[128];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsetenv(rows[i].name);
        (void)snprintf(file_name, sizeof file_name, "%s_FILE", rows[i].name);
        unsetenv(file_name);
    }
    return 0;
}

static bool load(settings_t *settings, error_t *err)
{
    *settings = (settings_t){0};
    return config_load(&table, (void *[]){settings}, 1, err);
}

static void unload(settings_t *settings)
{
    config_free(&table, (void *[]){settings}, 1);
    assert_null(settings->text);
}

static void without_environment_the_defaults_hold(void **state)
{
    (void)state;
    settings_t s;
    assert_true(load(&s, NULL));
    assert_string_equal(s.text, "a|b");
    assert_string_equal(s.url, "");
    assert_string_equal(s.secret, "");
    assert_int_equal(s.count, 3);
    assert_int_equal(s.wait_ms, 5000);
    assert_int_equal(s.size_bytes, 65536);
    assert_true(s.ratio == 0.5);
    assert_true(s.on);
    unload(&s);
}

static void the_environment_wins(void **state)
{
    (void)state;
    settings_t s;
    setenv("MANGABUS_T_TEXT", "", 1); /* empty is a text */
    setenv("MANGABUS_T_URL", "https://host:1/x", 1);
    setenv("MANGABUS_T_COUNT", "10", 1);
    setenv("MANGABUS_T_WAIT", "1m", 1);
    setenv("MANGABUS_T_SIZE", "1GiB", 1);
    setenv("MANGABUS_T_RATIO", "0.25", 1);
    setenv("MANGABUS_T_ON", "False", 1);
    assert_true(load(&s, NULL));
    assert_string_equal(s.text, "");
    assert_string_equal(s.url, "https://host:1/x");
    assert_int_equal(s.count, 10);
    assert_int_equal(s.wait_ms, 60000);
    assert_int_equal(s.size_bytes, 1 << 30);
    assert_true(s.ratio == 0.25);
    assert_false(s.on);
    unload(&s);
}

static void an_empty_number_is_not_set(void **state)
{
    (void)state;
    settings_t s;
    setenv("MANGABUS_T_COUNT", "", 1);
    assert_true(load(&s, NULL));
    assert_int_equal(s.count, 3);
    unload(&s);
}

static void refused(const char *name, const char *value, const char *part)
{
    settings_t s;
    error_t err = {0};
    setenv(name, value, 1);
    if (load(&s, &err))
        fail_msg("%s=%s was taken", name, value);
    if (!strstr(err.message, name) || !strstr(err.message, part))
        fail_msg("%s=%s: %s", name, value, err.message);
    assert_null(s.text); /* nothing is left to free */
    unsetenv(name);
}

static void a_wrong_value_is_refused_with_its_name_the_value_and_what_is_right(void **state)
{
    (void)state;
    refused("MANGABUS_T_COUNT", "11", "must be between 1 and 10, not '11'");
    refused("MANGABUS_T_COUNT", "0", "between");
    refused("MANGABUS_T_COUNT", "3x", "must be a whole number, not '3x'");
    refused("MANGABUS_T_COUNT", "99999999999999999999", "whole number");
    refused("MANGABUS_T_WAIT", "50", "must be between 100ms and 1m, not '50'");
    refused("MANGABUS_T_WAIT", "3 s", "duration such as");
    refused("MANGABUS_T_WAIT", "-3s", "duration such as");
    refused("MANGABUS_T_WAIT", "999999999999999999d", "duration such as");
    refused("MANGABUS_T_SIZE", "64KB", "64KiB");
    refused("MANGABUS_T_RATIO", "nan", "number");
    refused("MANGABUS_T_RATIO", "1.5", "between 0 and 1");
    refused("MANGABUS_T_ON", "maybe", "true");
    refused("MANGABUS_T_URL", "ftp://x", "http://");
    refused("MANGABUS_T_URL", "http:///x", "names a host");
    refused("MANGABUS_T_URL", "http://a b", "without spaces");
}

static void all_complaints_are_counted(void **state)
{
    (void)state;
    settings_t s;
    error_t err = {0};
    setenv("MANGABUS_T_COUNT", "x", 1);
    setenv("MANGABUS_T_ON", "x", 1);
    assert_false(load(&s, &err));
    assert_non_null(strstr(err.message, "2 variables are wrong, the first: MANGABUS_T_COUNT"));
}

static void write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void a_secret_may_come_from_a_file(void **state)
{
    (void)state;
    settings_t s;
    error_t err = {0};
    char path[] = "/tmp/test_config.XXXXXX", big[CONFIG_VALUE_MAX_BYTES + 1];
    close(mkstemp(path));
    setenv("MANGABUS_T_SECRET_FILE", path, 1);
    write_file(path, "s3cret\n", 7);
    assert_true(load(&s, &err));
    assert_string_equal(s.secret, "s3cret");
    unload(&s);
    setenv("MANGABUS_T_SECRET", "other", 1);
    assert_false(load(&s, &err));
    assert_non_null(strstr(err.message, "both set"));
    assert_null(strstr(err.message, "other"));
    unsetenv("MANGABUS_T_SECRET");
    write_file(path, "a\0b", 3);
    assert_false(load(&s, &err));
    memset(big, 'x', sizeof big);
    write_file(path, big, sizeof big);
    assert_false(load(&s, &err));
    unlink(path);
    assert_false(load(&s, &err));
    assert_non_null(strstr(err.message, "No such file"));
}

typedef struct {
    char *must;
    int64_t secret;
} required_t;

static void what_is_required_must_be_there_and_a_secret_is_never_shown(void **state)
{
    (void)state;
    static const config_row_t required_rows[] = {
        {"MANGABUS_R_MUST", CONFIG_STR, offsetof(required_t, must), NULL, 0, 0, CONFIG_REQUIRED, "m"},
        {"MANGABUS_R_PIN", CONFIG_I64, offsetof(required_t, secret), "1", 0, 0, CONFIG_SECRET, "p"},
    };
    const config_table_t required = {required_rows, 2};
    required_t s = {0};
    error_t err = {0};
    setenv("MANGABUS_R_MUST", "", 1);
    assert_false(config_load(&required, (void *[]){&s}, 1, &err));
    assert_string_equal(err.message, "MANGABUS_R_MUST must be set");
    setenv("MANGABUS_R_MUST", "here", 1);
    setenv("MANGABUS_R_PIN", "12z4", 1);
    assert_false(config_load(&required, (void *[]){&s}, 1, &err));
    assert_string_equal(err.message, "MANGABUS_R_PIN must be a whole number");
    unsetenv("MANGABUS_R_PIN");
    unsetenv("MANGABUS_R_MUST");
}

static void a_default_may_name_the_user(void **state)
{
    (void)state;
    static const config_row_t user_row = {"MANGABUS_U", CONFIG_STR, 0, "/var/tmp/mangabus-$USER", 0, 0, 0, "u"};
    const config_table_t user = {&user_row, 1};
    char *s = NULL;
    setenv("USER", "ada", 1);
    assert_true(config_load(&user, (void *[]){&s}, 1, NULL));
    assert_string_equal(s, "/var/tmp/mangabus-ada");
    config_free(&user, (void *[]){&s}, 1);
    unsetenv("USER");
    assert_true(config_load(&user, (void *[]){&s}, 1, NULL));
    assert_null(strchr(s, '$'));
    config_free(&user, (void *[]){&s}, 1);
}

static const char *stderr_of_load(char *text, size_t cap)
{
    settings_t s;
    int fds[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    assert_true(load(&s, NULL));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    ssize_t n = read(fds[0], text, cap - 1);
    text[n < 0 ? 0 : n] = '\0';
    close(fds[0]);
    unload(&s);
    return text;
}

static void a_misspelt_name_is_reported_with_the_known_one_and_anothers_is_not(void **state)
{
    (void)state;
    static char text[8192];
    setenv("MANGABUS_T_CUONT", "3", 1);
    setenv("MANGABUS_T_SECRET_FIEL", "x", 1);
    setenv("MANGABUS_ENTIRELY_DIFFERENT", "x", 1);
    setenv("MANGABUS_T_COUNTERS", "x", 1); /* three edits away */
    (void)stderr_of_load(text, sizeof text);
    assert_non_null(strstr(text, "\"variable\":\"MANGABUS_T_CUONT\",\"did_you_mean\":\"MANGABUS_T_COUNT\""));
    assert_non_null(strstr(text, "\"did_you_mean\":\"MANGABUS_T_SECRET_FILE\""));
    assert_null(strstr(text, "MANGABUS_ENTIRELY_DIFFERENT"));
    assert_null(strstr(text, "MANGABUS_T_COUNTERS"));
    unsetenv("MANGABUS_T_CUONT");
    unsetenv("MANGABUS_T_SECRET_FIEL");
    unsetenv("MANGABUS_ENTIRELY_DIFFERENT");
    unsetenv("MANGABUS_T_COUNTERS");
}

static void help_and_markdown_show_every_row(void **state)
{
    (void)state;
    buf_t out = {0};
    config_help(&table, 1, &out);
    assert_non_null(strstr(buf_cstr(&out), "  MANGABUS_T_WAIT (duration, 100ms to 1m; default 5s)\n      a wait\n"));
    assert_non_null(strstr(buf_cstr(&out), "  MANGABUS_T_SECRET[_FILE] (text; default empty)\n"));
    buf_clear(&out);
    config_markdown(&table, 1, &out);
    assert_non_null(strstr(buf_cstr(&out), "\n| `MANGABUS_T_TEXT` | text | `a\\|b` | a text |\n"));
    assert_non_null(strstr(buf_cstr(&out), "\n| `MANGABUS_T_COUNT` | whole number, 1 to 10 | `3` | a count |\n"));
    assert_non_null(strstr(buf_cstr(&out), "\n| `MANGABUS_T_SECRET` (or `_FILE`) | text | empty | a secret |\n"));
    buf_free(&out);
}

#define CONFIG_TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(without_environment_the_defaults_hold),
        CONFIG_TEST(the_environment_wins),
        CONFIG_TEST(an_empty_number_is_not_set),
        CONFIG_TEST(a_wrong_value_is_refused_with_its_name_the_value_and_what_is_right),
        CONFIG_TEST(all_complaints_are_counted),
        CONFIG_TEST(a_secret_may_come_from_a_file),
        CONFIG_TEST(what_is_required_must_be_there_and_a_secret_is_never_shown),
        CONFIG_TEST(a_default_may_name_the_user),
        CONFIG_TEST(a_misspelt_name_is_reported_with_the_known_one_and_anothers_is_not),
        CONFIG_TEST(help_and_markdown_show_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
