/* link.c: frames under way. */
#include "tests/sim/link.h"

#include <stdlib.h>

void link_open(link_t *link, uint64_t peer)
{
    *link = (link_t){.peer = peer};
    link->up.tail = &link->up.head;
    link->down.tail = &link->down.head;
}

static void line_clear(line_t *line)
{
    while (line->head)
        free(line_take(line));
}

void link_cut(link_t *link)
{
    line_clear(&link->up);
    line_clear(&link->down);
    link->peer = 0;
}

void line_put(line_t *line, bytes_t frame, int64_t at_us)
{
    frame_t *f = malloc(sizeof *f + frame.len);
    if (!f)
        abort();
    f->next = NULL;
    f->at_us = at_us > line->last_us ? at_us : line->last_us;
    f->len = frame.len;
    memcpy(f->data, frame.data, frame.len);
    line->last_us = f->at_us;
    *line->tail = f;
    line->tail = &f->next;
}

int64_t line_next_us(const line_t *line)
{
    return line->head ? line->head->at_us : INT64_MAX;
}

frame_t *line_take(line_t *line)
{
    frame_t *f = line->head;
    line->head = f->next;
    if (!line->head)
        line->tail = &line->head;
    return f;
}
