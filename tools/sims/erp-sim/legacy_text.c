/* legacy_text.c: iconv for whole runs, one character at a time only where something must be replaced. */
#include "tools/sims/erp-sim/legacy_text.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "proto/utf8.h"

struct sim_text {
    iconv_t to_cp932, to_utf8;
};

#define NO_ICONV ((iconv_t)-1)

sim_text_t *sim_text_new(void)
{
    sim_text_t *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->to_cp932 = iconv_open("CP932", "UTF-8");
    self->to_utf8 = iconv_open("UTF-8", "CP932");
    if (self->to_cp932 == NO_ICONV || self->to_utf8 == NO_ICONV)
        sim_text_free(&self);
    return self;
}

void sim_text_free(sim_text_t **text)
{
    if (!*text)
        return;
    if ((*text)->to_cp932 != NO_ICONV)
        (void)iconv_close((*text)->to_cp932);
    if ((*text)->to_utf8 != NO_ICONV)
        (void)iconv_close((*text)->to_utf8);
    free(*text);
    *text = NULL;
}

static uint32_t code_point(bytes_t sequence)
{
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = sequence.data[0] & lead_mask[sequence.len];
    for (size_t i = 1; i < sequence.len; i++)
        c = c << 6 | (sequence.data[i] & 0x3F);
    return c;
}

static void wide_write(sim_text_t *text, buf_t *out, bytes_t sequence)
{
    char *in = (char *)(uintptr_t)sequence.data, cp932[4], *end = cp932;
    size_t in_left = sequence.len, out_left = sizeof(cp932);
    if (iconv(text->to_cp932, &in, &in_left, &end, &out_left) == (size_t)-1)
        buf_printf(out, "&#x%X;", code_point(sequence));
    else
        buf_append(out, cp932, sizeof(cp932) - out_left);
}

static void ascii_write(buf_t *out, uint8_t c)
{
    if (c == '&')
        buf_append_cstr(out, "&amp;");
    else if (c == '<')
        buf_append_cstr(out, "&lt;");
    else if (c == '>')
        buf_append_cstr(out, "&gt;");
    else if (c == '"')
        buf_append_cstr(out, "&quot;");
    else
        buf_append_byte(out, c < 0x20 && c != '\t' && c != '\n' ? '?' : c);
}

void sim_text_write(sim_text_t *text, buf_t *out, bytes_t utf8)
{
    for (size_t i = 0, n; i < utf8.len; i += n) {
        n = utf8_sequence(utf8.data + i, utf8.len - i);
        if (n > 1)
            wide_write(text, out, bytes_from(utf8.data + i, n));
        else
            ascii_write(out, n ? utf8.data[i] : '?');
        n = n ? n : 1;
    }
}

bool sim_text_read(sim_text_t *text, bytes_t cp932, buf_t *out, size_t *bad_at)
{
    char *in = (char *)(uintptr_t)cp932.data, room[4096];
    size_t left = cp932.len;
    (void)iconv(text->to_utf8, NULL, NULL, NULL, NULL);
    while (left) {
        char *end = room;
        size_t free_bytes = sizeof(room);
        bool is_done = iconv(text->to_utf8, &in, &left, &end, &free_bytes) != (size_t)-1;
        buf_append(out, room, sizeof(room) - free_bytes);
        if (!is_done && errno != E2BIG) {
            if (bad_at)
                *bad_at = cp932.len - left;
            return false;
        }
    }
    return !out->failed;
}

void sim_element(sim_text_t *text, buf_t *out, const char *name, bytes_t value)
{
    if (value.len == 0)
        return;
    buf_printf(out, "<inv:%s>", name);
    sim_text_write(text, out, value);
    buf_printf(out, "</inv:%s>", name);
}

void sim_element_i64(buf_t *out, const char *name, int64_t value)
{
    buf_printf(out, "<inv:%s>%lld</inv:%s>", name, (long long)value, name);
}
