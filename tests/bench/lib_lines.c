/* lib_lines.c: prints a figure, and appends it to the file of figures. */
#include "tests/bench/lib_lines.h"

#include <stdio.h>
#include <stdlib.h>

void line_put(const char *what, double value, const char *unit)
{
    const char *path = getenv("BENCH_LINES");
    printf("  %-56s %12.1f %s\n", what, value, unit);
    (void)fflush(stdout);
    FILE *file = path ? fopen(path, "ae") : NULL;
    if (!file)
        return;
    (void)fprintf(file, "{\"what\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", what, value, unit);
    (void)fclose(file);
}
