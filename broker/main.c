/* main.c: the broker's command line: run, or say what it can be told, or ask the one that runs whether it is well. */
#include <czmq.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/front.h"
#include "gen/version.h"
#include "kit/health.h"
#include "kit/loop.h"

#define PROGRAM "mangabus-broker"
#define EXIT_USAGE 64

static int print_help(FILE *to, int status)
{
    buf_t text = {0};
    config_table_t table = options_table();
    buf_append_cstr(&text, "mangabus-broker: the message backbone: buses, queues and calls over ZeroMQ, on disk.\n\n"
                           "  mangabus-broker               run until SIGTERM\n"
                           "  mangabus-broker healthcheck   exit 0 when the one that runs here is ready\n"
                           "  mangabus-broker --help | --version\n\n"
                           "It is told everything by the environment:\n\n");
    config_help(&table, 1, &text);
    buf_append_cstr(&text, "\nExit codes: 0 stopped as asked, 64 wrong usage, 69 cannot listen, 74 the disk failed,\n"
                           "75 another broker has the journal, 78 wrong configuration.\n");
    fputs(buf_cstr(&text), to);
    buf_free(&text);
    return status;
}

static int print_section(void)
{
    buf_t text = {0};
    config_table_t table = options_table();
    config_section(PROGRAM, "The message backbone.", &table, 1, &text);
    fputs(buf_cstr(&text), stdout);
    buf_free(&text);
    return 0;
}

/* Every connection is a file. The soft limit is often 1,024 for the sake of select(2), which nothing here uses. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* mangactl doctor tells of one that is low */
}

static int run(void)
{
    options_t options = {0};
    error_t err = {0};
    if (!options_load(&options, &err)) {
        fprintf(stderr, "%s: %s\n", PROGRAM, err.message);
        options_free(&options);
        return FRONT_CONFIG;
    }
    raise_file_limit();
    int status = front_run(&options);
    options_free(&options);
    return status;
}

int main(int argc, char **argv)
{
    zsys_handler_set(NULL); /* czmq's own signal handlers stay off; kit/loop has ours */
    loop_signals_early();
    if (argc == 1)
        return run();
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help(stdout, 0);
    if (argc == 2 && strcmp(argv[1], "--config-markdown") == 0)
        return print_section();
    if (argc == 2 && strcmp(argv[1], "healthcheck") == 0)
        return health_check(PROGRAM, OPTIONS_HTTP_DEFAULT);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts(PROGRAM " " MANGABUS_VERSION) < 0;
    return print_help(stderr, EXIT_USAGE);
}
