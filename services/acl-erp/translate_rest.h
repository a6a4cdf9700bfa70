/* translate_rest.h: documents of the order system and the payment gateway into the house's terms.
 *
 *   order    statusCode RCV PAI PCK SHP DLV CAN RTN -> placed paid packed shipped delivered cancelled returned, else
 *            unknown; amounts are texts of whole yen; times are Japan's; deliveryDate is 20251108
 *   payment  state created authorized captured failed partial_refund refunded -> pending authorized completed failed
 *            partially_refunded refunded, else unknown; currencies in small letters
 *
 * Slices point into the document (a msgpack map) or the arena. False with DATA_LOSS and the field. Pure. */
#ifndef ACL_ERP_TRANSLATE_REST_H
#define ACL_ERP_TRANSLATE_REST_H

#include "services/acl-erp/translate.h"

MUST_USE bool translate_order(bytes_t document, arena_t *arena, erp_order_t *out, error_t *err);
/* A page: {"orders": […], "nextPageToken": "…"}. */
MUST_USE bool translate_orders(bytes_t document, arena_t *arena, erp_order_list_response_t *out, error_t *err);
MUST_USE bool translate_payment(bytes_t document, arena_t *arena, erp_payment_t *out, error_t *err);
MUST_USE bool translate_refund(bytes_t document, arena_t *arena, erp_payment_refund_response_t *out, error_t *err);

#endif
