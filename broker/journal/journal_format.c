/* journal_format.c: segment and batch headers to and from bytes, and the names of the files. */
#include "broker/journal/journal_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/journal/journal_bytes.h"

#define SEGMENT_MAGIC "MANGAJNL"
#define SEGMENT_MAGIC_BYTES 8
#define SEGMENT_FORMAT_AT 8
#define SEGMENT_CRC_AT 12
#define SEGMENT_CONTENT_AT 16
#define BATCH_CRC_AT 4
#define BATCH_CONTENT_AT 8
#define COPY_MAGIC "MANGACPY"
#define NAME_DIGITS 16

/* Of a segment's header, and of the copy file's, which is built alike. */
static uint32_t segment_crc(const uint8_t *header)
{
    return crc32c(0, header + SEGMENT_CONTENT_AT, SEGMENT_HEADER_BYTES - SEGMENT_CONTENT_AT);
}

void segment_header_encode(const segment_header_t *header, uint8_t *out)
{
    memcpy(out, SEGMENT_MAGIC, SEGMENT_MAGIC_BYTES);
    put32(out + SEGMENT_FORMAT_AT, JOURNAL_FORMAT);
    put64(out + 16, header->number);
    put64(out + 24, header->generation);
    put64(out + 32, header->first_seq);
    put64(out + 40, header->first_batch);
    put64(out + 48, header->salt);
    put64(out + 56, header->bytes);
    put32(out + SEGMENT_CRC_AT, segment_crc(out));
}

static bool counts(uint64_t number)
{
    return number >= 1 && number <= INT64_MAX;
}

void segment_header_guess(const uint8_t *in, segment_header_t *out)
{
    *out = (segment_header_t){.number = get64(in + 16),
                              .generation = get64(in + 24),
                              .first_seq = get64(in + 32),
                              .first_batch = get64(in + 40),
                              .salt = get64(in + 48),
                              .bytes = get64(in + 56)};
}

bool segment_header_decode(const uint8_t *in, segment_header_t *out, error_t *err)
{
    if (memcmp(in, SEGMENT_MAGIC, SEGMENT_MAGIC_BYTES) != 0)
        return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "offset 0 holds no segment header");
    /* Not covered by the checksum, so that a format of tomorrow is recognised whatever else it changes. */
    uint32_t format = get32(in + SEGMENT_FORMAT_AT);
    if (format > JOURNAL_FORMAT)
        return error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_TOO_NEW",
                         "its format is %u, this program reads up to %u: start a newer one", format, JOURNAL_FORMAT);
    if (format != JOURNAL_FORMAT || get32(in + SEGMENT_CRC_AT) != segment_crc(in))
        return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "the segment header at offset 0 is damaged");
    segment_header_guess(in, out);
    /* No file of ours counts from 0, and none gets so far that a number could overflow. */
    if (!counts(out->number) || !counts(out->generation) || !counts(out->first_seq) || !counts(out->first_batch))
        return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "the segment header at offset 0 cannot be");
    return true;
}

static uint32_t batch_crc(const uint8_t *header, uint64_t salt)
{
    uint8_t salted[8];
    put64(salted, salt);
    return crc32c(crc32c(0, salted, sizeof salted), header + BATCH_CONTENT_AT, BATCH_HEADER_BYTES - BATCH_CONTENT_AT);
}

void batch_seal(uint8_t *batch, batch_header_t *header, uint64_t salt)
{
    header->records_crc = crc32c(0, batch + BATCH_HEADER_BYTES, header->length - BATCH_HEADER_BYTES);
    put32(batch, BATCH_MAGIC);
    put64(batch + 8, header->generation);
    put64(batch + 16, header->number);
    put64(batch + 24, header->synced);
    put64(batch + 32, header->first_seq);
    put32(batch + 40, header->count);
    put32(batch + 44, header->length);
    put32(batch + 48, header->records_crc);
    put32(batch + 52, 0);
    put32(batch + BATCH_CRC_AT, batch_crc(batch, salt));
}

static bool batch_fields(const uint8_t *in, batch_header_t *out)
{
    *out = (batch_header_t){.generation = get64(in + 8),
                            .number = get64(in + 16),
                            .synced = get64(in + 24),
                            .first_seq = get64(in + 32),
                            .count = get32(in + 40),
                            .length = get32(in + 44),
                            .records_crc = get32(in + 48)};
    return out->length >= BATCH_HEADER_BYTES && out->length <= BATCH_LIMIT_BYTES;
}

bool batch_header_decode(const uint8_t *in, uint64_t generation, uint64_t salt, batch_header_t *out)
{
    /* The cheap checks first: a search for batches asks this of every eighth byte. */
    if (get32(in) != BATCH_MAGIC || get64(in + 8) != generation || get32(in + BATCH_CRC_AT) != batch_crc(in, salt))
        return false;
    return batch_fields(in, out);
}

bool batch_header_guess(const uint8_t *in, uint64_t generation, batch_header_t *out)
{
    return get32(in) == BATCH_MAGIC && (generation == 0 || get64(in + 8) == generation) && batch_fields(in, out);
}

bool batch_records_hold(const uint8_t *batch, const batch_header_t *header)
{
    return crc32c(0, batch + BATCH_HEADER_BYTES, header->length - BATCH_HEADER_BYTES) == header->records_crc;
}

void copy_header_encode(const copy_header_t *header, uint8_t *out)
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, COPY_MAGIC, SEGMENT_MAGIC_BYTES);
    put32(out + SEGMENT_FORMAT_AT, JOURNAL_FORMAT);
    put64(out + 16, header->segment);
    put64(out + 24, header->generation);
    put64(out + 32, header->at);
    put64(out + 40, header->bytes);
    put32(out + 48, header->content_crc);
    put32(out + SEGMENT_CRC_AT, segment_crc(out));
}

bool copy_header_decode(const uint8_t *in, copy_header_t *out)
{
    if (memcmp(in, COPY_MAGIC, SEGMENT_MAGIC_BYTES) != 0 || get32(in + SEGMENT_FORMAT_AT) != JOURNAL_FORMAT ||
        get32(in + SEGMENT_CRC_AT) != segment_crc(in))
        return false;
    *out = (copy_header_t){.segment = get64(in + 16),
                           .generation = get64(in + 24),
                           .at = get64(in + 32),
                           .bytes = get64(in + 40),
                           .content_crc = get32(in + 48)};
    return out->bytes > 0 && out->bytes <= SEGMENT_MAX_BYTES && out->at >= SEGMENT_BLOCK_BYTES &&
           out->at <= SEGMENT_MAX_BYTES;
}

/* -- names in the folder ---------------------------------------------------------------------------- */

void segment_name(uint64_t number, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 ".journal", number);
}

void spare_name(uint64_t id, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 ".spare", id);
}

void snapshot_name(uint64_t number, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 ".snapshot", number);
}

void kept_name(uint64_t made, uint64_t first, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 "-%016" PRIu64 ".kept", made, first);
}

/* NULL when there are no sixteen digits. */
static const char *digits_parse(const char *name, uint64_t *number)
{
    uint64_t v = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NULL;
        v = v * 10 + (uint64_t)(name[i] - '0');
    }
    *number = v;
    return name + NAME_DIGITS;
}

static bool name_parse(const char *name, const char *suffix, uint64_t *number)
{
    const char *rest = digits_parse(name, number);
    return rest && strcmp(rest, suffix) == 0;
}

bool segment_name_parse(const char *name, uint64_t *number)
{
    return name_parse(name, ".journal", number);
}

bool spare_name_parse(const char *name, uint64_t *id)
{
    return name_parse(name, ".spare", id);
}

bool snapshot_name_parse(const char *name, uint64_t *number)
{
    return name_parse(name, ".snapshot", number);
}

bool kept_name_parse(const char *name, uint64_t *made, uint64_t *first)
{
    const char *rest = digits_parse(name, made);
    return rest && *rest == '-' && name_parse(rest + 1, ".kept", first);
}
