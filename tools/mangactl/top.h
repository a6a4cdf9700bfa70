/* top.h: a broker at two moments: what there is, and how fast it flows; and the picture of it for a terminal.
 *
 * A sample is what the broker answered (msgpack); rows point into it. Rates are differences of counters over the
 * broker's own clock; with one sample alone they are 0. */
#ifndef MANGACTL_TOP_H
#define MANGACTL_TOP_H

#include "tools/mangactl/ctl.h"

typedef struct {
    bytes_t name;
    uint64_t incarnation, visible, in_flight, delayed, consumers, entered, left;
    int64_t oldest_us;
    double in_rate, out_rate; /* messages a second */
} top_queue_t;

typedef struct {
    buf_t status, queues, sessions; /* the broker's answers */
    int64_t now_us;                 /* its clock */
    top_queue_t *rows;
    size_t row_count;
    double seconds; /* since the sample before; 0: there is none */
} top_sample_t;

typedef enum { TOP_BY_RATE, TOP_BY_DEPTH, TOP_BY_AGE, TOP_BY_NAME } top_order_t;

typedef struct {
    unsigned columns, lines; /* of the terminal; 0: as much as there is */
    top_order_t order;
    bool all;      /* also queues in which nothing is and nothing moves */
    bool sessions; /* the sessions instead of the queues */
    const char *bold, *dim, *plain;
} top_view_t;

/* Reads `sample`'s answers, which the caller filled, and compares with `before` (NULL for none). False (INTERNAL) when
 * they are not what a broker answers. */
MUST_USE bool top_read(top_sample_t *sample, const top_sample_t *before, error_t *err);
/* A counter of BROKER status, a second. */
double top_rate(const top_sample_t *sample, const top_sample_t *before, const char *counter);
void top_sort(top_sample_t *sample, top_order_t order);
void top_free(top_sample_t *sample);

/* Appends the picture: lines that fit the columns, no more than fit the terminal, each ended by a newline. */
void top_draw(const top_sample_t *sample, const top_sample_t *before, const top_view_t *view, buf_t *out);
/* Appends one msgpack map of all of it. */
void top_put(const top_sample_t *sample, const top_sample_t *before, buf_t *out);

#endif
