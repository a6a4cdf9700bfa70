/* translate.h: the ERP's records into the house's terms, and no legacy name, code or spelling past here.
 *
 *   StockItem   -> stock_line_t   status 01 02 03 04 -> in_stock low_stock out_of_stock preorder, else unknown
 *   CatalogItem -> book_t         dates 20251108 and 2025/11/08 -> 2025-11-08; times of Japan -> RFC 3339 in UTC;
 *                                 authors divided at ／ and /, without [roles]; ㈱ taken off publishers
 *
 * A value that cannot be read is left out where the contract lets it be absent; where it does not, the whole record is
 * refused with the field's name. Texts lie in the arena or point into the item. Pure. */
#ifndef ACL_ERP_TRANSLATE_H
#define ACL_ERP_TRANSLATE_H

#include "proto/contract.h"
#include "services/acl-erp/soap.h"

#define TRANSLATE_DATE_BYTES 11 /* "2025-11-08" and NUL */

/* `as_of` is the moment of the answer (RFC 3339). False with the reason in `err`. */
MUST_USE bool translate_stock(const soap_item_t *item, bytes_t as_of, arena_t *arena, stock_line_t *out, error_t *err);
MUST_USE bool translate_book(const soap_item_t *item, arena_t *arena, book_t *out, error_t *err);

/* The item as readable text, for a quarantine: "ISBN=…; Title=…". */
MUST_USE bool translate_raw(const soap_item_t *item, arena_t *arena, bytes_t *out);

/* "20251108", "2025/11/08" or "2025-11-08" of an existing day to "2025-11-08"; BYTES_NONE for anything else, or when
 * the arena is full. */
bytes_t translate_date(bytes_t text, arena_t *arena);
/* "2025/11/08 09:30:00" or "2025-11-08 09:30:00" of Japan to "2025-11-08T00:30:00Z"; BYTES_NONE as above. */
bytes_t translate_time(bytes_t text, arena_t *arena);
/* And back: RFC 3339 to "2025/11/08 09:30:00" of Japan. */
MUST_USE bool translate_time_back(bytes_t rfc3339, arena_t *arena, bytes_t *out, error_t *err);

/* A whole number of digits alone, 0 to `max`. */
MUST_USE bool translate_number(bytes_t text, int64_t max, int64_t *out);

/* Divides at '/' and '／', trims, takes [roles] off; up to `max` parts of up to `part_max_bytes`. */
bytes_list_t translate_names(bytes_t text, uint32_t max, size_t part_max_bytes, arena_t *arena);

#endif
