/* clock.h: the process's two clocks. Only kit and the processes' edges read them; logic gets numbers. */
#ifndef KIT_CLOCK_H
#define KIT_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_us(void); /* Unix microseconds */
/* Fills `out` with random bytes from the kernel; ends the process where there are none. */
void clock_random(void *out, uint64_t bytes);

#endif
