/* lib_measure.h: what every benchmark measures with: the clock, a process's CPU time and memory. The histogram is
 * kit's. */
#ifndef TESTS_BENCH_LIB_MEASURE_H
#define TESTS_BENCH_LIB_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

#include "kit/histogram.h"
#include "proto/compiler.h"

uint64_t measure_now_ns(void);
/* CPU time of this process: what others on the machine do disturbs it least. */
uint64_t measure_own_cpu_ns(void);
/* User and system time of all threads of a process so far, in seconds; 0 when there is none. */
double measure_cpu_s(pid_t pid);
/* Resident memory of this process, in bytes. */
uint64_t measure_resident_bytes(void);

/* Prints and ends the process: a benchmark has nobody to hand a failure to. */
_Noreturn void measure_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
