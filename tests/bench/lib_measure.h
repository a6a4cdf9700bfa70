/* lib_measure.h: what every benchmark measures with: the clock, a process's CPU time and memory, a histogram. */
#ifndef TESTS_BENCH_LIB_MEASURE_H
#define TESTS_BENCH_LIB_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

#include "proto/compiler.h"

/* Steps within a power of two: a value is told to 1.6 %. */
#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_STEP_BITS) << HISTOGRAM_STEP_BITS)

typedef struct {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
} histogram_t;

uint64_t measure_now_ns(void);
/* CPU time of this process: what others on the machine do disturbs it least. */
uint64_t measure_own_cpu_ns(void);
/* User and system time of all threads of a process so far, in seconds; 0 when there is none. */
double measure_cpu_s(pid_t pid);
/* Resident memory of this process, in bytes. */
uint64_t measure_resident_bytes(void);

void histogram_add(histogram_t *histogram, uint64_t ns);
/* `part` of 0.5 is the median; 0 when nothing was added. In microseconds. */
double histogram_at_us(const histogram_t *histogram, double part);

/* Prints and ends the process: a benchmark has nobody to hand a failure to. */
_Noreturn void measure_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
