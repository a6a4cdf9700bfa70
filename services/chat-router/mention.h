/* mention.h: what a text speaks of: ISBN, order number, title and volume.
 *
 * Input is NFKC text (wording_plain). Slices of the result lie in the arena. Pure but for memory. What comes out of the
 * title is a guess, to be held against the catalogue; ISBN and volume are exact. */
#ifndef CHAT_ROUTER_MENTION_H
#define CHAT_ROUTER_MENTION_H

#include "proto/arena.h"
#include "proto/bytes.h"
#include "proto/isbn.h"

#define MENTION_TITLE_MAX_CHARS 80 /* longer is a sentence, not a title */

typedef struct {
    char isbn[ISBN13_TEXT_BYTES]; /* "" for none */
    bytes_t order_id;             /* empty for none */
    bytes_t title;                /* without the volume; empty for none */
    bytes_t whole_title; /* "エリア88" when `title` is "エリア" and the volume a mere number; else empty */
    bool has_volume;
    int64_t volume;
    bool wants_latest; /* 最新刊, "the latest volume" */
    bool refers_back;  /* それ, "that one": the title is what was spoken of before */
} mention_t;

/* False only when the arena is full. */
MUST_USE bool mention_find(bytes_t plain, arena_t *arena, mention_t *out);

#endif
