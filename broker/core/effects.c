/* effects.c: the list of effects and the bytes they point into. */
#include "broker/core/effects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/memory.h"

#define EFFECTS_FIRST 64
#define EFFECTS_LOG_BYTES 1024

void core_effects_clear(core_effects_t *effects)
{
    buf_clear(&effects->records);
    buf_clear(&effects->bytes);
    effects->record_count = 0;
    effects->out_count = 0;
    effects->item_count = 0;
}

void core_effects_free(core_effects_t *effects)
{
    buf_free(&effects->records);
    buf_free(&effects->bytes);
    free(effects->outs);
    free(effects->items);
    *effects = (core_effects_t){0};
}

core_out_t *effects_add(core_effects_t *out, core_out_kind_t kind)
{
    if (out->out_count == out->out_cap) {
        out->out_cap = out->out_cap ? out->out_cap * 2 : EFFECTS_FIRST;
        out->outs = memory_grow(out->outs, out->out_cap, sizeof *out->outs);
    }
    core_out_t *added = &out->outs[out->out_count++];
    *added = (core_out_t){.kind = kind};
    return added;
}

core_item_t *effects_item(core_effects_t *out)
{
    if (out->item_count == out->item_cap) {
        out->item_cap = out->item_cap ? out->item_cap * 2 : EFFECTS_FIRST;
        out->items = memory_grow(out->items, out->item_cap, sizeof *out->items);
    }
    core_item_t *added = &out->items[out->item_count++];
    *added = (core_item_t){.route = CORE_NO_ROUTE};
    return added;
}

void effects_frame(core_effects_t *out, uint64_t peer, uint64_t after, wire_verb_t verb, uint64_t seq,
                   const void *values)
{
    if (!peer)
        return;
    size_t at = out->bytes.len;
    wire_encode_verb(&out->bytes, verb, seq, values);
    core_out_t *frame = effects_add(out, CORE_OUT_FRAME);
    frame->peer = peer;
    frame->after = after;
    frame->frame.at = at;
    frame->frame.len = out->bytes.len - at;
}

void effects_raw(core_effects_t *out, uint64_t peer, uint64_t after, bytes_t encoded)
{
    if (!peer)
        return;
    core_out_t *frame = effects_add(out, CORE_OUT_FRAME);
    frame->peer = peer;
    frame->after = after;
    frame->frame.at = out->bytes.len;
    frame->frame.len = encoded.len;
    buf_append_bytes(&out->bytes, encoded);
}

void effects_log(core_effects_t *out, effects_level_t level, const char *fmt, ...)
{
    char text[EFFECTS_LOG_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    core_out_t *line = effects_add(out, CORE_OUT_LOG);
    line->log.level = (int)level;
    line->log.at = out->bytes.len;
    buf_append_cstr(&out->bytes, text);
    line->log.len = out->bytes.len - line->log.at;
}
