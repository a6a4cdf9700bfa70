/* fuzz_cp932.c: what is read from CP932 is UTF-8; what is written as XML in CP932 reads back as the text it was. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/utf8.h"
#include "services/acl-erp/cp932.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool take(const char **at, const char *entity, char character, buf_t *out)
{
    size_t len = strlen(entity);
    if (strncmp(*at, entity, len) != 0)
        return false;
    buf_append_byte(out, (uint8_t)character);
    *at += len;
    return true;
}

static bool take_reference(const char **at, buf_t *out)
{
    unsigned c;
    int used = 0;
    uint8_t sequence[4];
    if (strncmp(*at, "&#x", 3) != 0 || sscanf(*at, "&#x%X;%n", &c, &used) != 1 || used == 0)
        return false;
    buf_append(out, sequence, utf8_put(c, sequence));
    *at += used;
    return true;
}

/* What an XML parser makes of character data. */
static void unescape(const char *at, buf_t *out)
{
    while (*at)
        if (!take(&at, "&amp;", '&', out) && !take(&at, "&lt;", '<', out) && !take(&at, "&gt;", '>', out) &&
            !take(&at, "&quot;", '"', out) && !take_reference(&at, out))
            buf_append_byte(out, (uint8_t)*at++);
}

static void round_trip(cp932_t *codec, bytes_t utf8)
{
    buf_t wire = {0}, back = {0}, text = {0};
    if (cp932_write_xml(codec, utf8, &wire, NULL)) {
        must(cp932_read(codec, buf_bytes(&wire), &back, NULL));
        unescape(buf_cstr(&back), &text);
        must(bytes_eq(buf_bytes(&text), utf8));
    } else {
        must(wire.len == 0);
    }
    buf_free(&wire);
    buf_free(&back);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cp932_t *codec;
    buf_t text = {0};
    codec = codec ? codec : cp932_new(NULL);
    must(codec != NULL);
    if (cp932_read(codec, bytes_from(data, size), &text, NULL)) {
        must(bytes_is_utf8(buf_bytes(&text), NULL));
        round_trip(codec, buf_bytes(&text));
    } else {
        must(text.len == 0);
    }
    round_trip(codec, bytes_from(data, size));
    buf_free(&text);
    return 0;
}
