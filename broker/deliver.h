/* deliver.h: makes the frames that carry messages: finds their records, and puts content and facts together.
 *
 * The core names records; this reads them from the journal (its tail cache as a rule), decodes, and encodes DELIVER,
 * RECEIVED or the RESULT of a peek. What does not fit one frame leaves in several DELIVERs. A record that cannot be
 * read is logged and left out: a message comes again when its visibility ends, in place of an event goes a GAP. */
#ifndef BROKER_DELIVER_H
#define BROKER_DELIVER_H

#include "broker/core/core.h"
#include "broker/journal/journal.h"

typedef struct deliver deliver_t;

typedef struct {
    uint64_t peer;
    wire_verb_t verb; /* WIRE_DELIVER, WIRE_RECEIVED, WIRE_RESULT */
    uint64_t seq;     /* RECEIVED, RESULT */
    uint64_t sub;     /* DELIVER */
    const core_item_t *items;
    size_t count;
    const uint8_t *extras; /* what the items' extra_at counts from */
    bool digests;          /* RECEIVED: with MD5 sums */
    bytes_t select;        /* RECEIVED: attributes wanted, as core_out_t has them; empty: all */
} deliver_request_t;

typedef void (*deliver_emit_fn)(void *ctx, uint64_t peer, bytes_t frame);

/* `core` and `journal` outlive it. NULL when out of memory. */
MUST_USE deliver_t *deliver_new(const core_t *core, journal_t *journal, size_t max_frame_bytes);
void deliver_free(deliver_t **deliver);

/* Calls `emit` for every frame that comes of the request. Reads the disk where the tail cache does not reach. */
void deliver_compose(deliver_t *deliver, const deliver_request_t *request, deliver_emit_fn emit, void *ctx);

uint64_t deliver_unreadable(const deliver_t *deliver); /* records left out so far */

#endif
