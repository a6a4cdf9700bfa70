/* lib_bare.h: what bench_bare and its load generator agree on. */
#ifndef TESTS_BENCH_LIB_BARE_H
#define TESTS_BENCH_LIB_BARE_H

#define BARE_ID_BYTES 5      /* libzmq's automatic routing id; a call begins with room for it */
#define BARE_ANSWER_BYTES 24 /* about what a PUBLISHED has */

/* The way to settling: frames of these begin with a tag, which no frame of mangabus has, and a count, little-endian.
 * What was taken of one peer in one turn is delivered to it in one frame, as mangabus does, and settled by one. */
#define BARE_DELIVERY 0xd0 /* so many events behind it */
#define BARE_SETTLE 0xd1   /* so many receipts behind it */
#define BARE_SETTLED 0xd2  /* so many bytes behind it */
#define BARE_TAG_BYTES 5
#define BARE_RECEIPT_BYTES 28
#define BARE_DELIVERY_MAX 64 /* events in a frame */

#endif
