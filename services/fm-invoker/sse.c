/* sse.c: lines, and events of lines. */
#include "services/fm-invoker/sse.h"

static void data_take(sse_t *sse, bytes_t value)
{
    if (value.len && value.data[0] == ' ')
        value = bytes_from(value.data + 1, value.len - 1);
    if (sse->has_data)
        buf_append_byte(&sse->data, '\n');
    buf_append_bytes(&sse->data, value);
    sse->has_data = true;
}

static bool event_end(sse_t *sse, bool (*each)(void *ctx, bytes_t data), void *ctx)
{
    bool go_on = !sse->has_data || each(ctx, buf_bytes(&sse->data));
    buf_clear(&sse->data);
    sse->has_data = false;
    return go_on;
}

static bool line_end(sse_t *sse, bool (*each)(void *ctx, bytes_t data), void *ctx)
{
    static const uint8_t bom[] = {0xEF, 0xBB, 0xBF};
    bytes_t line = buf_bytes(&sse->line);
    if (!sse->begun && bytes_has_prefix(line, bytes_from(bom, sizeof bom)))
        line = bytes_from(line.data + sizeof bom, line.len - sizeof bom);
    sse->begun = true;
    bool go_on = true;
    if (line.len == 0)
        go_on = event_end(sse, each, ctx);
    else if (bytes_has_prefix(line, BYTES_LIT("data:")))
        data_take(sse, bytes_from(line.data + 5, line.len - 5));
    else if (bytes_eq_cstr(line, "data"))
        data_take(sse, BYTES_NONE);
    buf_clear(&sse->line);
    return go_on;
}

bool sse_feed(sse_t *sse, bytes_t piece, bool (*each)(void *ctx, bytes_t data), void *ctx)
{
    for (size_t i = 0; i < piece.len && !sse->too_large; i++) {
        uint8_t c = piece.data[i];
        bool is_end = c == '\r' || (c == '\n' && !sse->after_cr);
        bool is_rest = c == '\n' && sse->after_cr;
        sse->after_cr = c == '\r';
        if (is_end && !line_end(sse, each, ctx))
            return false;
        if (!is_end && !is_rest)
            buf_append_byte(&sse->line, c);
        sse->too_large = sse->line.len + sse->data.len > SSE_EVENT_MAX_BYTES || sse->line.failed || sse->data.failed;
    }
    return !sse->too_large;
}

void sse_free(sse_t *sse)
{
    buf_free(&sse->line);
    buf_free(&sse->data);
    *sse = (sse_t){0};
}
