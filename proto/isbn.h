/* isbn.h: ISBN-13 and ISBN-10: check digits, and one spelling for all of them.
 *
 * Inside the house an ISBN is 13 digits without hyphens and with a valid check digit; whatever a person, a
 * vendor or the ERP wrote goes through isbn_normalize first. Source: ISO 2108; ISBN Users' Manual. */
#ifndef PROTO_ISBN_H
#define PROTO_ISBN_H

#include "proto/bytes.h"

#define ISBN13_DIGITS 13
#define ISBN13_TEXT_BYTES 14 /* and NUL */

/* The check digit ('0'..'9') for 12 digits, of which only the first 12 bytes are read; 0 if one is no digit. */
char isbn13_check_digit(const char digits[12]);

/* The check digit ('0'..'9' or 'X') for the first 9 digits of an ISBN-10; 0 if one is no digit. */
char isbn10_check_digit(const char digits[9]);

/* Exactly 13 ASCII digits, prefix 978 or 979, valid check digit: the form that contracts demand. */
MUST_USE bool isbn13_is_valid(bytes_t text);

/* Reads an ISBN as people write it: 10 or 13 digits, spaces and hyphens anywhere (ASCII, U+2010..U+2015,
 * U+2212, U+30FC, U+FF0D), full-width digits, an "ISBN" in front with or without colon. Writes 13 digits. False when
 * the count, the prefix or the check digit is wrong. */
MUST_USE bool isbn_normalize(bytes_t text, char out[ISBN13_TEXT_BYTES]);

/* Finds the first ISBN in running text: the first stretch that isbn_normalize takes. *at and *len (may be
 * NULL) say where. */
MUST_USE bool isbn_find(bytes_t text, char out[ISBN13_TEXT_BYTES], size_t *at, size_t *len);

#endif
