/* fuzz_config.c: texts from the environment and from headers: refused or taken, never worse. */
#include <stdlib.h>

#include "kit/config_internal.h"
#include "kit/health.h"
#include "kit/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef union {
    char *text;
    int64_t i64;
    double f64;
    bool truth;
} value_t;

static void try_value(config_type_t type, const char *text)
{
    config_row_t row = {.name = "X", .type = type, .min = -5, .max = 1e9};
    const config_table_t table = {&row, 1};
    value_t value = {0};
    buf_t why = {0};
    bool taken = config_value_read(&row, text, &value, &why);
    if (taken == (why.len > 0))
        abort(); /* a refusal has a reason, and nothing else has */
    if (taken)
        config_free(&table, (void *[]){&value}, 1);
    buf_free(&why);
}

/* What is taken as a trace context is written as it came, as far as version 00 goes. */
static void try_trace(bytes_t text)
{
    trace_t trace;
    char out[TRACE_PARENT_BYTES + 1];
    if (!trace_parse(text, &trace))
        return;
    trace_format(&trace, out);
    if (memcmp(out + 2, text.data + 2, TRACE_PARENT_BYTES - 2) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = bytes_dup(bytes_from(data, size));
    health_address_t address;
    error_t err;
    if (!text)
        return 0;
    for (int type = CONFIG_STR; type <= CONFIG_URL; type++)
        try_value((config_type_t)type, text);
    if (health_address_parse(text, &address, &err) && strlen(address.host) == 0)
        abort();
    (void)config_distance(text, "MANGABUS_ENDPOINT");
    try_trace(bytes_from(data, size));
    free(text);
    return 0;
}
