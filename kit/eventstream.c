/* eventstream.c: frames of application/vnd.amazon.eventstream, written and read piece by piece. */
#include "kit/eventstream.h"

#define PRELUDE_BYTES 12
#define CRC_BYTES 4
#define UUID_BYTES 16
/* Consumed bytes are moved out once they are this many, so that a long stream stays small. */
#define COMPACT_BYTES 65536

/* CRC-32 by half bytes: sixteen words of table, and fast enough for text. */
static uint32_t crc32_of(const uint8_t *data, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc = table[(crc ^ data[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (data[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}

static uint64_t be_read(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static void be_append(buf_t *out, uint64_t value, size_t bytes)
{
    while (bytes-- > 0)
        buf_append_byte(out, (uint8_t)(value >> (8 * bytes)));
}

/* Bytes of an integer of that type; 0 for the others. */
static size_t int_bytes(eventstream_type_t type)
{
    switch (type) {
    case EVENTSTREAM_I8:
        return 1;
    case EVENTSTREAM_I16:
        return 2;
    case EVENTSTREAM_I32:
        return 4;
    case EVENTSTREAM_I64:
    case EVENTSTREAM_TIME:
        return 8;
    default:
        return 0;
    }
}

static bool name_is_new(const eventstream_header_t *headers, size_t count, bytes_t name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_eq(headers[i].name, name))
            return false;
    return true;
}

/* -- writing ------------------------------------------------------------------------------------- */
static bool header_append(buf_t *out, const eventstream_header_t *header, error_t *err)
{
    if (header->name.len == 0 || header->name.len > EVENTSTREAM_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a header's name has 1 to 255 bytes, not %zu",
                         header->name.len);
    if (header->bytes.len > EVENTSTREAM_VALUE_MAX_BYTES ||
        (header->type == EVENTSTREAM_UUID && header->bytes.len != UUID_BYTES))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "header %.*s has a value of %zu bytes",
                         BYTES_FMT(header->name), header->bytes.len);
    buf_append_byte(out, (uint8_t)header->name.len);
    buf_append_bytes(out, header->name);
    buf_append_byte(out, (uint8_t)header->type);
    be_append(out, (uint64_t)header->i64, int_bytes(header->type));
    if (header->type == EVENTSTREAM_STR || header->type == EVENTSTREAM_BYTES)
        be_append(out, header->bytes.len, 2);
    if (header->type >= EVENTSTREAM_BYTES && header->type != EVENTSTREAM_TIME)
        buf_append_bytes(out, header->bytes);
    return true;
}

static bool headers_append(buf_t *out, const eventstream_message_t *message, error_t *err)
{
    if (message->header_count > EVENTSTREAM_HEADERS_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d headers", EVENTSTREAM_HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++) {
        if (!name_is_new(message->headers, i, message->headers[i].name))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "header %.*s is there twice",
                             BYTES_FMT(message->headers[i].name));
        if (!header_append(out, &message->headers[i], err))
            return false;
    }
    return out->len <= EVENTSTREAM_HEADERS_MAX_BYTES ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "headers of %zu bytes are too many", out->len);
}

bool eventstream_write(buf_t *out, const eventstream_message_t *message, error_t *err)
{
    buf_t headers = {0};
    size_t start = out->len;
    bool ok = headers_append(&headers, message, err);
    if (ok && message->payload.len > EVENTSTREAM_PAYLOAD_MAX_BYTES)
        ok = error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a payload of %zu bytes is too large", message->payload.len);
    if (ok) {
        be_append(out, EVENTSTREAM_OVERHEAD_BYTES + headers.len + message->payload.len, 4);
        be_append(out, headers.len, 4);
        if (!out->failed)
            be_append(out, crc32_of(out->data + start, 8), 4);
        buf_append_bytes(out, buf_bytes(&headers));
        buf_append_bytes(out, message->payload);
        if (!out->failed)
            be_append(out, crc32_of(out->data + start, out->len - start), 4);
        if (out->failed || headers.failed)
            ok = error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for an event-stream frame");
    }
    if (!ok)
        out->len = start;
    buf_free(&headers);
    return ok;
}

/* -- reading ------------------------------------------------------------------------------------- */
typedef struct {
    const uint8_t *pos, *end;
} cursor_t;

static bool take(cursor_t *cursor, size_t len, bytes_t *out)
{
    if ((size_t)(cursor->end - cursor->pos) < len)
        return false;
    *out = bytes_from(cursor->pos, len);
    cursor->pos += len;
    return true;
}

static bool take_int(cursor_t *cursor, size_t len, uint64_t *out)
{
    bytes_t raw;
    if (!take(cursor, len, &raw))
        return false;
    *out = be_read(raw.data, len);
    return true;
}

/* Two's complement of `bytes` bytes, widened. */
static int64_t sign_extended(uint64_t value, size_t bytes)
{
    unsigned shift = (unsigned)(64 - 8 * bytes);
    return (int64_t)(value << shift) >> shift;
}

static bool value_read(cursor_t *cursor, eventstream_header_t *out)
{
    uint64_t value;
    size_t width = int_bytes(out->type);
    if (width) {
        if (!take_int(cursor, width, &value))
            return false;
        out->i64 = sign_extended(value, width);
        return true;
    }
    switch (out->type) {
    case EVENTSTREAM_TRUE:
    case EVENTSTREAM_FALSE:
        return true;
    case EVENTSTREAM_BYTES:
    case EVENTSTREAM_STR:
        return take_int(cursor, 2, &value) && value <= EVENTSTREAM_VALUE_MAX_BYTES &&
               take(cursor, (size_t)value, &out->bytes);
    case EVENTSTREAM_UUID:
        return take(cursor, UUID_BYTES, &out->bytes);
    default:
        return false;
    }
}

static bool header_read(cursor_t *cursor, eventstream_header_t *out)
{
    uint64_t len, type;
    *out = (eventstream_header_t){0};
    if (!take_int(cursor, 1, &len) || len == 0 || !take(cursor, (size_t)len, &out->name) || !take_int(cursor, 1, &type))
        return false;
    out->type = (eventstream_type_t)type;
    return value_read(cursor, out);
}

static bool headers_read(eventstream_decoder_t *decoder, bytes_t raw, eventstream_message_t *out)
{
    cursor_t cursor = {raw.data, raw.data + raw.len};
    size_t count = 0;
    while (cursor.pos < cursor.end) {
        if (count == EVENTSTREAM_HEADERS_MAX || !header_read(&cursor, &decoder->headers[count]) ||
            !name_is_new(decoder->headers, count, decoder->headers[count].name))
            return false;
        count++;
    }
    out->headers = decoder->headers;
    out->header_count = count;
    return true;
}

static eventstream_next_t broken(eventstream_decoder_t *decoder, const char *what, error_t *err)
{
    if (!decoder->is_broken) {
        decoder->is_broken = true;
        (void)error_set(&decoder->error, STATUS_DATA_LOSS, NULL, "event stream: %s", what);
    }
    if (err)
        *err = decoder->error;
    return EVENTSTREAM_BROKEN;
}

void eventstream_feed(eventstream_decoder_t *decoder, bytes_t piece)
{
    if (decoder->is_broken)
        return;
    if (decoder->at == decoder->buf.len || decoder->at >= COMPACT_BYTES) {
        decoder->buf.len -= decoder->at;
        if (decoder->buf.len)
            memmove(decoder->buf.data, decoder->buf.data + decoder->at, decoder->buf.len);
        decoder->at = 0;
    }
    buf_append_bytes(&decoder->buf, piece);
}

eventstream_next_t eventstream_next(eventstream_decoder_t *decoder, eventstream_message_t *out, error_t *err)
{
    if (decoder->is_broken || decoder->buf.failed)
        return broken(decoder, "out of memory", err);
    const uint8_t *frame = decoder->buf.data + decoder->at;
    size_t left = decoder->buf.len - decoder->at;
    if (left < PRELUDE_BYTES)
        return EVENTSTREAM_MORE;
    size_t total = (size_t)be_read(frame, 4), headers = (size_t)be_read(frame + 4, 4);
    if (crc32_of(frame, 8) != be_read(frame + 8, CRC_BYTES))
        return broken(decoder, "the prelude's checksum is wrong", err);
    if (headers > EVENTSTREAM_HEADERS_MAX_BYTES || total < EVENTSTREAM_OVERHEAD_BYTES + headers ||
        total - headers > EVENTSTREAM_OVERHEAD_BYTES + EVENTSTREAM_PAYLOAD_MAX_BYTES)
        return broken(decoder, "a length is out of bounds", err);
    if (left < total)
        return EVENTSTREAM_MORE;
    if (crc32_of(frame, total - CRC_BYTES) != be_read(frame + total - CRC_BYTES, CRC_BYTES))
        return broken(decoder, "a message's checksum is wrong", err);
    *out = (eventstream_message_t){
        .payload = bytes_from(frame + PRELUDE_BYTES + headers, total - headers - EVENTSTREAM_OVERHEAD_BYTES)};
    if (!headers_read(decoder, bytes_from(frame + PRELUDE_BYTES, headers), out))
        return broken(decoder, "a header is out of form or there twice", err);
    decoder->at += total;
    return EVENTSTREAM_MESSAGE;
}

bool eventstream_is_between(const eventstream_decoder_t *decoder)
{
    return !decoder->is_broken && decoder->at == decoder->buf.len;
}

void eventstream_free(eventstream_decoder_t *decoder)
{
    buf_free(&decoder->buf);
    *decoder = (eventstream_decoder_t){0};
}

bytes_t eventstream_text(const eventstream_message_t *message, const char *name)
{
    for (size_t i = 0; i < message->header_count; i++)
        if (message->headers[i].type == EVENTSTREAM_STR && bytes_eq_cstr(message->headers[i].name, name))
            return message->headers[i].bytes;
    return BYTES_NONE;
}
