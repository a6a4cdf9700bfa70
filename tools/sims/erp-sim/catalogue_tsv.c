/* catalogue_tsv.c: splits the file of works into rows and columns, in place. */
#include "tools/sims/erp-sim/catalogue.h"

#define COLUMNS 6

static const char header[] = "madb_id\ttitle\ttitle_kana\tcreators\tcreators_kana\tfirst_published";

/* Cuts off what stands before the next `separator` (or the end). */
static bytes_t cut(bytes_t *rest, uint8_t separator)
{
    const uint8_t *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    bytes_t piece = *rest;
    if (at) {
        piece.len = (size_t)(at - rest->data);
        *rest = bytes_from(at + 1, rest->len - piece.len - 1);
    } else {
        *rest = BYTES_NONE;
    }
    return piece;
}

static bytes_t line_of(bytes_t *rest)
{
    bytes_t line = cut(rest, '\n');
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

bool sim_tsv_read(bytes_t text, sim_tsv_fn each, void *ctx, error_t *err)
{
    if (!bytes_eq_cstr(line_of(&text), header))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "line 1: expected the columns madb_id to first_published");
    for (uint32_t row = 0; text.len; row++) {
        bytes_t line = line_of(&text), columns[COLUMNS];
        size_t bad_at = 0;
        if (!bytes_is_utf8(line, &bad_at))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "line %u: no UTF-8 at byte %zu", row + 2, bad_at);
        for (size_t i = 0; i < COLUMNS; i++)
            columns[i] = cut(&line, '\t');
        each(ctx, row, columns);
    }
    return true;
}
