/* output.c: line-buffers a test's stdout, so that what it printed survives its crash and is not doubled by fork. */
#include <stdio.h>

__attribute__((constructor)) static void output_by_line(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}
