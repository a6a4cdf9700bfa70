/* json_roundtrip.c: converts documents from stdin to stdout, so that tests in another language can compare.
 *
 * Input: any number of requests: direction (1 byte: 'r' JSON to msgpack, 'c' msgpack to compact JSON, 'p' to pretty
 * JSON), length (4 bytes, big-endian), document. Output for each: 1 and the result, or 0 and the message; the text
 * after a length of 4 bytes, big-endian. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"

static bool read_all(void *to, size_t len)
{
    return fread(to, 1, len, stdin) == len;
}

static void answer(uint8_t good, bytes_t text)
{
    uint32_t len = htobe32((uint32_t)text.len);
    (void)fwrite(&good, 1, 1, stdout);
    (void)fwrite(&len, 1, sizeof len, stdout);
    (void)fwrite(text.data ? (const void *)text.data : "", 1, text.len, stdout);
}

static void convert(char direction, bytes_t document)
{
    static const json_limits_t limits = {0};
    buf_t out = {0};
    error_t err = {0};
    bool good = direction == 'r'
                    ? json_to_msgpack(document, &limits, &out, &err)
                    : json_from_msgpack(document, direction == 'p' ? JSON_PRETTY : JSON_COMPACT, &out, &err);
    answer(good, good ? buf_bytes(&out) : bytes_cstr(err.message));
    buf_free(&out);
}

int main(void)
{
    char direction;
    uint32_t len;
    while (read_all(&direction, 1)) {
        if (!read_all(&len, sizeof len))
            return EXIT_FAILURE;
        len = be32toh(len);
        /* Of its exact size, so that a sanitizer sees a read past its end. */
        uint8_t *document = malloc(len ? len : 1);
        if (!document || !read_all(document, len))
            return EXIT_FAILURE;
        convert(direction, bytes_from(document, len));
        free(document);
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
