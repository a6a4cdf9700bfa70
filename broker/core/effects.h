/* effects.h: writes what a step wants to happen into core_effects_t.
 *
 * Slices passed in are copied (encoded) at once. `after` is decided by the caller, see log.h. */
#ifndef BROKER_CORE_EFFECTS_H
#define BROKER_CORE_EFFECTS_H

#include "broker/core/core.h"

typedef enum { LOG_DEBUG = 0, LOG_INFO = 1, LOG_WARNING = 2, LOG_ERROR = 3 } effects_level_t;

/* A frame of `verb` from the verb's own struct. Peer 0 (a session without a connection) gets nothing. */
void effects_frame(core_effects_t *out, uint64_t peer, uint64_t after, wire_verb_t verb, uint64_t seq,
                   const void *values);
/* The same from a frame already encoded. */
void effects_raw(core_effects_t *out, uint64_t peer, uint64_t after, bytes_t frame);
void effects_log(core_effects_t *out, effects_level_t level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A place for one more effect, zeroed but for its kind. Lives until the next call. */
core_out_t *effects_add(core_effects_t *out, core_out_kind_t kind);
/* A place for one more item, zeroed. Lives until the next call. */
core_item_t *effects_item(core_effects_t *out);

#endif
