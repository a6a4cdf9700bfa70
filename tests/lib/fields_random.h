/* fields_random.h: fills and compares any struct that a table of proto/fields.h describes, so that one test
 * covers every verb and every record kind. */
#ifndef TESTS_LIB_FIELDS_RANDOM_H
#define TESTS_LIB_FIELDS_RANDOM_H

#include "proto/fields.h"
#include "tests/lib/random.h"

/* Random values for every field; slices point into constant memory of this module. Integers are often at a
 * border of their encoding; lists are short, at times full, never longer than `list_max`. */
void fields_randomize(random_t *random, const fields_layout_t *layout, uint32_t list_max, void *values);

/* True when every field is equal (list items beyond the count do not matter). */
bool fields_equal(const fields_layout_t *layout, const void *a, const void *b);

#endif
