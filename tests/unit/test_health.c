/* An address of MANGABUS_HTTP is a host and a port, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kit/health.h"

static void an_address_is_host_and_port(void **state)
{
    (void)state;
    health_address_t address;
    error_t err = {0};
    assert_true(health_address_parse("127.0.0.1:7480", &address, &err));
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(address.port, 7480);
    assert_true(health_address_parse("[::1]:0", &address, &err));
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 0);
}

static void anything_else_is_refused_and_the_variable_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "7480",
        "host",       ":80",
        "host:",      "host:x",
        "host:70000", "host:1x",
        "host:-1",    "host: 80",
        "[]:80",      "a.name.that.is.far.longer.than.any.host.that.we.would.ever.listen.at.in.all.our.lives:80"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        health_address_t address;
        error_t err = {0};
        assert_false(health_address_parse(bad[i], &address, &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "MANGABUS_HTTP"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_host_and_port),
        cmocka_unit_test(anything_else_is_refused_and_the_variable_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
