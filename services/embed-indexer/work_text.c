/* work_text.c: the template, and identities made of SHA-256. */
#include "services/embed-indexer/work_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "kit/text.h"

#define NO_VOLUME 99999 /* behind every number */

static void line_append(buf_t *out, bool has, bytes_t text)
{
    if (!has || text.len == 0)
        return;
    buf_append_bytes(out, text);
    buf_append_byte(out, '\n');
}

static void list_append(buf_t *out, bool has, bytes_list_t list)
{
    for (uint32_t i = 0; has && i < list.count; i++) {
        buf_append_cstr(out, i ? ", " : "");
        buf_append_bytes(out, list.items[i]);
    }
    if (has && list.count)
        buf_append_byte(out, '\n');
}

/* Cuts between characters. */
static void cut(buf_t *out, size_t from)
{
    if (out->failed || out->len - from <= WORK_TEXT_MAX_BYTES)
        return;
    size_t len = from + WORK_TEXT_MAX_BYTES;
    while (len > from && (out->data[len] & 0xC0) == 0x80)
        len--;
    out->len = len;
}

void work_text_write(buf_t *out, const book_t *book)
{
    size_t from = out->len;
    line_append(out, true, book->title);
    line_append(out, book->has_title_kana, book->title_kana);
    line_append(out, book->has_title_en, book->title_en);
    list_append(out, book->has_creators, book->creators);
    list_append(out, book->has_genres, book->genres);
    line_append(out, book->has_synopsis, book->synopsis);
    cut(out, from);
}

void work_text_hash(const book_t *book, char out[SIGV4_HEX_CHARS + 1])
{
    buf_t text = {0};
    buf_printf(&text, "template %d\n", WORK_TEXT_TEMPLATE);
    work_text_write(&text, book);
    sigv4_sha256_hex(buf_bytes(&text), out);
    buf_free(&text);
}

int64_t work_text_id(const book_t *book)
{
    buf_t names = {0};
    char hex[SIGV4_HEX_CHARS + 1], half[17];
    text_key(&names, book->title);
    for (uint32_t i = 0; book->has_creators && i < book->creators.count; i++) {
        buf_append_byte(&names, '\n');
        text_key(&names, book->creators.items[i]);
    }
    sigv4_sha256_hex(buf_bytes(&names), hex);
    buf_free(&names);
    (void)snprintf(half, sizeof half, "%.16s", hex);
    uint64_t id = 0;
    (void)sscanf(half, "%" SCNx64, &id);
    return (int64_t)id;
}

void work_text_speaker(const book_t *book, char out[WORK_TEXT_SPEAKER_BYTES])
{
    int volume = book->has_volume ? (int)book->volume : NO_VOLUME;
    (void)snprintf(out, WORK_TEXT_SPEAKER_BYTES, "%05d%.*s", volume, BYTES_FMT(book->isbn));
}
