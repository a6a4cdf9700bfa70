/* cp932.c: iconv with glibc's table, and the few characters that it maps one way only. */
#include "services/acl-erp/cp932.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "proto/utf8.h"

#define NO_ICONV ((iconv_t)-1)
#define SEQUENCE_MAX_BYTES 4

struct cp932 {
    iconv_t to_cp932, to_utf8;
};

/* Characters that the writing table takes for another one: what CP932 gives back is not what was put in. All of them:
 * a test asks every character of the basic plane. */
static const uint32_t one_way[] = {0xA2, 0xA3, 0xA5, 0xAC, 0x2014, 0x2016, 0x203E, 0x2212, 0x301C};

cp932_t *cp932_new(error_t *err)
{
    cp932_t *self = calloc(1, sizeof(*self));
    if (self) {
        self->to_cp932 = iconv_open("CP932", "UTF-8");
        self->to_utf8 = iconv_open("UTF-8", "CP932");
        if (self->to_cp932 != NO_ICONV && self->to_utf8 != NO_ICONV)
            return self;
    }
    (void)error_set(err, STATUS_INTERNAL, NULL,
                    "this system's C library cannot convert CP932: install its gconv modules");
    cp932_free(&self);
    return NULL;
}

void cp932_free(cp932_t **codec)
{
    if (!*codec)
        return;
    if ((*codec)->to_cp932 != NO_ICONV)
        (void)iconv_close((*codec)->to_cp932);
    if ((*codec)->to_utf8 != NO_ICONV)
        (void)iconv_close((*codec)->to_utf8);
    free(*codec);
    *codec = NULL;
}

/* -- writing ------------------------------------------------------------------------------------------- */
static uint32_t code_point(const uint8_t *sequence, size_t len)
{
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = sequence[0] & lead_mask[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (sequence[i] & 0x3F);
    return c;
}

static bool is_xml_character(uint32_t c)
{
    return c >= 0x20 ? c != 0xFFFE && c != 0xFFFF : c == '\t' || c == '\n' || c == '\r';
}

static bool is_one_way(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(one_way); i++)
        if (one_way[i] == c)
            return true;
    return false;
}

static void wide_write(cp932_t *codec, const uint8_t *sequence, size_t len, uint32_t c, buf_t *out)
{
    char *in = (char *)(uintptr_t)sequence, room[SEQUENCE_MAX_BYTES], *end = room;
    size_t left = len, free_bytes = sizeof(room);
    if (is_one_way(c) || iconv(codec->to_cp932, &in, &left, &end, &free_bytes) == (size_t)-1)
        buf_printf(out, "&#x%X;", c);
    else
        buf_append(out, room, sizeof(room) - free_bytes);
}

static void ascii_write(uint8_t c, buf_t *out)
{
    switch (c) {
    case '&':
        buf_append_cstr(out, "&amp;");
        break;
    case '<':
        buf_append_cstr(out, "&lt;");
        break;
    case '>':
        buf_append_cstr(out, "&gt;");
        break;
    case '"':
        buf_append_cstr(out, "&quot;");
        break;
    case '\r': /* a parser would make a line feed of it */
        buf_append_cstr(out, "&#xD;");
        break;
    default:
        buf_append_byte(out, c);
    }
}

bool cp932_write_xml(cp932_t *codec, bytes_t utf8, buf_t *out, error_t *err)
{
    size_t start = out->len;
    for (size_t i = 0, n; i < utf8.len; i += n) {
        n = utf8_sequence(utf8.data + i, utf8.len - i);
        uint32_t c = n ? code_point(utf8.data + i, n) : 0;
        if (!is_xml_character(c)) {
            out->len = start;
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "text holds what XML cannot carry, at byte %zu", i);
        }
        if (n == 1)
            ascii_write(utf8.data[i], out);
        else
            wide_write(codec, utf8.data + i, n, c, out);
    }
    return true;
}

/* -- reading ------------------------------------------------------------------------------------------- */
bool cp932_read(cp932_t *codec, bytes_t cp932, buf_t *out, error_t *err)
{
    char *in = (char *)(uintptr_t)cp932.data, room[4096];
    size_t left = cp932.len, start = out->len;
    (void)iconv(codec->to_utf8, NULL, NULL, NULL, NULL);
    while (left) {
        char *end = room;
        size_t free_bytes = sizeof(room);
        bool is_done = iconv(codec->to_utf8, &in, &left, &end, &free_bytes) != (size_t)-1;
        buf_append(out, room, sizeof(room) - free_bytes);
        if (!is_done && errno != E2BIG) {
            out->len = start;
            return error_set(err, STATUS_DATA_LOSS, NULL, "the ERP sent what is no CP932, at byte %zu",
                             cp932.len - left);
        }
    }
    return true;
}
