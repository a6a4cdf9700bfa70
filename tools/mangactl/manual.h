/* manual.h: what the table of commands makes besides the help: the exit codes, and the page for man(1). */
#ifndef MANGACTL_MANUAL_H
#define MANGACTL_MANUAL_H

#include <stdio.h>

void manual_exit_codes(FILE *out);
/* roff, for mangactl.1 */
void manual_page(FILE *out);

#endif
