/* table.h: rows of cells, printed in columns that line up also where characters are two columns wide. */
#ifndef MANGACTL_TABLE_H
#define MANGACTL_TABLE_H

#include <stdio.h>

#include "proto/bytes.h"

#define TABLE_COLUMNS_MAX 16

typedef struct {
    const char *titles[TABLE_COLUMNS_MAX]; /* with "<" before: aligned left; else right */
    int columns;
    char **cells; /* row by row; owned */
    size_t count, cap;
} table_t;

/* `titles` ends with NULL. */
void table_begin(table_t *table, const char *const *titles);
/* The next cell, row by row. */
void table_add(table_t *table, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_add_bytes(table_t *table, bytes_t text);
/* Prints and frees. `bold` and `plain` surround the titles (escape sequences, or ""). */
void table_end(table_t *table, FILE *out, const char *bold, const char *plain);
/* Instead of table_end: prints nothing. */
void table_free(table_t *table);

/* Columns that the text takes on a terminal. Control characters count as one. */
size_t table_width(bytes_t text);

#endif
