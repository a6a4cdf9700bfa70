/* arena.h: memory for what one unpacked message needs, freed in one go.
 *
 * A bump allocator with a ceiling: whoever unpacks input from outside bounds beforehand what it may cost.
 * A zeroed arena_t with max_bytes set is ready to use. Nothing is freed singly; pointers stay valid until
 * arena_reset or arena_free. Not thread-safe. Never blocks. */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H

#include <stddef.h>

#include "proto/compiler.h"

#define ARENA_DEFAULT_MAX_BYTES ((size_t)16 << 20) /* what arena_init(a, 0) allows */
#define ARENA_BLOCK_BYTES 4096                     /* least that is taken from the heap at once */

typedef struct arena_block arena_block_t;

typedef struct {
    arena_block_t *blocks; /* newest first */
    size_t used_bytes;     /* taken from the heap, which is what max_bytes bounds */
    size_t max_bytes;
} arena_t;

/* An empty arena; max_bytes 0 means ARENA_DEFAULT_MAX_BYTES. Allocates nothing yet. */
void arena_init(arena_t *a, size_t max_bytes);

/* `size` zeroed bytes, aligned for any type; NULL when the ceiling or the heap's end is reached. */
MUST_USE void *arena_alloc(arena_t *a, size_t size);

/* As arena_alloc for an array; NULL also when count * size overflows. */
MUST_USE void *arena_array(arena_t *a, size_t count, size_t size);

void arena_reset(arena_t *a); /* keeps one block for the next message */
void arena_free(arena_t *a);  /* leaves it empty and usable */

#endif
