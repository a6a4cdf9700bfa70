/* table.c: rows of cells, printed in columns. */
#include "tools/mangactl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistr.h>
#include <uniwidth.h>

#define GAP 2

void table_begin(table_t *table, const char *const *titles)
{
    *table = (table_t){0};
    while (titles[table->columns] && table->columns < TABLE_COLUMNS_MAX) {
        table->titles[table->columns] = titles[table->columns];
        table->columns++;
    }
}

/* What would move the cursor is not for a cell: it becomes a space. */
static void add(table_t *table, char *cell)
{
    if (!cell)
        abort();
    for (char *at = cell; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    if (table->count == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 64;
        table->cells = realloc(table->cells, table->cap * sizeof *table->cells);
        if (!table->cells)
            abort();
    }
    table->cells[table->count++] = cell;
}

void table_add(table_t *table, const char *fmt, ...)
{
    va_list args;
    char *cell = NULL;
    va_start(args, fmt);
    if (vasprintf(&cell, fmt, args) < 0)
        abort();
    va_end(args);
    add(table, cell);
}

void table_add_bytes(table_t *table, bytes_t text)
{
    add(table, bytes_dup(text));
}

size_t table_width(bytes_t text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        ucs4_t character;
        int step = u8_mbtoucr(&character, text.data + at, text.len - at);
        int columns = step > 0 ? uc_width(character, "UTF-8") : 1;
        width += columns > 0 ? (size_t)columns : columns < 0;
        at += step > 0 ? (size_t)step : 1;
    }
    return width;
}

static bool is_left(const table_t *table, int column)
{
    return table->titles[column][0] == '<';
}

static const char *title(const table_t *table, int column)
{
    return table->titles[column] + is_left(table, column);
}

static size_t column_width(const table_t *table, int column)
{
    size_t width = table_width(bytes_cstr(title(table, column)));
    for (size_t i = (size_t)column; i < table->count; i += (size_t)table->columns) {
        size_t cell = table_width(bytes_cstr(table->cells[i]));
        width = cell > width ? cell : width;
    }
    return width;
}

static void print_cell(FILE *out, const char *text, size_t width, bool left, bool last)
{
    size_t own = table_width(bytes_cstr(text));
    int pad = (int)(width > own ? width - own : 0);
    fprintf(out, "%*s%s%*s", left ? 0 : pad, "", text, left && !last ? pad : 0, "");
    if (!last)
        fprintf(out, "%*s", GAP, "");
}

void table_end(table_t *table, FILE *out, const char *bold, const char *plain)
{
    size_t widths[TABLE_COLUMNS_MAX];
    for (int c = 0; c < table->columns; c++)
        widths[c] = column_width(table, c);
    fputs(bold, out);
    for (int c = 0; c < table->columns; c++)
        print_cell(out, title(table, c), widths[c], is_left(table, c), c + 1 == table->columns);
    fprintf(out, "%s\n", plain);
    for (size_t i = 0; i < table->count; i++) {
        int c = (int)(i % (size_t)table->columns);
        bool last = c + 1 == table->columns;
        print_cell(out, table->cells[i], widths[c], is_left(table, c), last);
        if (last)
            fputc('\n', out);
    }
    table_free(table);
}

void table_free(table_t *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (table_t){0};
}
