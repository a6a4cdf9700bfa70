/* link.h: one connection: two lines of frames, each in order, each late; cut at any moment, and gone for good then. */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include "proto/bytes.h"
#include "tests/lib/random.h"

typedef struct frame {
    struct frame *next;
    int64_t at_us;
    size_t len;
    uint8_t data[];
} frame_t;

typedef struct {
    frame_t *head, **tail;
    int64_t last_us;
} line_t;

typedef struct {
    uint64_t peer;   /* 0: no connection */
    line_t up, down; /* to the broker, to the client */
} link_t;

void link_open(link_t *link, uint64_t peer);
/* What was on its way is lost. */
void link_cut(link_t *link);
/* Arrives at `at_us`, and never before what was sent earlier. */
void line_put(line_t *line, bytes_t frame, int64_t at_us);
int64_t line_next_us(const line_t *line); /* INT64_MAX: nothing under way */
/* The oldest; the caller frees it. */
frame_t *line_take(line_t *line);

#endif
