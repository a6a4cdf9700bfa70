/* config_internal.h: what reading and describing the configuration share. */
#ifndef KIT_CONFIG_INTERNAL_H
#define KIT_CONFIG_INTERNAL_H

#include "kit/config.h"

/* Reads `text` as the row's type into its place in `settings`. On false `why` says what would be right, without
 * the value. Strings are malloc'd. */
MUST_USE bool config_value_read(const config_row_t *row, const char *text, void *settings, buf_t *why);

/* "text", "whole number", "duration", …; with bounds where the row has them. */
void config_type_describe(const config_row_t *row, buf_t *out);

/* Number of single-character edits between two names. */
unsigned config_distance(const char *a, const char *b);

#endif
