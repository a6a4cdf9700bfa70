/* lib_bare.h: what bench_bare and its load generator agree on. */
#ifndef TESTS_BENCH_LIB_BARE_H
#define TESTS_BENCH_LIB_BARE_H

#define BARE_ID_BYTES 5      /* libzmq's automatic routing id; a call begins with room for it */
#define BARE_ANSWER_BYTES 24 /* about what a PUBLISHED has */

#endif
