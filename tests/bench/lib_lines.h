/* lib_lines.h: one figure as a line for people, and one of JSON in the file that BENCH_LINES names, for programs. */
#ifndef TESTS_BENCH_LIB_LINES_H
#define TESTS_BENCH_LIB_LINES_H

void line_put(const char *what, double value, const char *unit);

#endif
