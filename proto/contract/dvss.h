/* dvss.h: events of vendor ingestion and normalisation, bus dvss; camel case, as vendors' contracts have it. */
#ifndef PROTO_CONTRACT_DVSS_H
#define PROTO_CONTRACT_DVSS_H

#include "proto/contract/common.h"

#define DVSS_BUS "dvss"
#define DVSS_INGEST_SOURCE "dvss.ingest"
#define DVSS_NORMALIZE_SOURCE "dvss.normalize"
#define DVSS_INGEST_ACCEPTED "ingest.accepted"
#define DVSS_INVENTORY_UPDATED "InventoryUpdated"
#define DVSS_ORDER_UPDATED "OrderUpdated"
#define DVSS_NORMALIZE_FAILED "normalize.failed"
#define DVSS_SCHEMA_DRIFT "schema.drift"

/* clang-format off: one row, one member */

#define DVSS_KEY_ROWS(X, T)                                                                                            \
    X(T, ingest_id, "ingestId", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "joins all stages of one vendor event")           \
    X(T, vendor_id, "vendorId", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "who sent it")                                    \
    X(T, external_event_id, "externalEventId", STR, REQ, LEN(1, 256), "the vendor's number; one per vendor and event") \
    X(T, event_type, "eventType", STR, REQ, LEN(1, 128),                                                               \
      "inventory_update, … before; InventoryUpdated, … after normalisation")

#define INGEST_ACCEPTED_ROWS(X, T)                                                                                     \
    DVSS_KEY_ROWS(X, T)                                                                                                \
    X(T, schema_version, "schemaVersion", STR, OPT, LEN(1, 32), "as the vendor claims")                                \
    X(T, occurred_at, "occurredAt", STR, REQ, FORMAT(RFC3339), "when it happened at the vendor's")                     \
    X(T, received_at, "receivedAt", STR, REQ, FORMAT(RFC3339), "when it came in")                                      \
    X(T, raw_ref, "rawRef", OBJ(object_ref), REQ, NONE, "the payload as received, never changed")                      \
    X(T, raw_sha256, "rawSha256", STR, OPT, FORMAT(SHA256), "of that payload")

#define VENDOR_STOCK_ROWS(X, T)                                                                                        \
    X(T, warehouse_id, "warehouseId", STR, REQ, LEN(1, 64), "where")                                                   \
    X(T, sku, "sku", STR, REQ, LEN(1, 128), "the vendor's number of the article")                                      \
    X(T, isbn, "isbn", STR, OPT, FORMAT(ISBN13), "where the article is a known book")                                  \
    X(T, quantity_on_hand, "quantityOnHand", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "pieces")

#define VENDOR_ORDER_ROWS(X, T)                                                                                        \
    X(T, order_id, "orderId", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "the vendor's number of the order")                 \
    X(T, status, "status", STR, REQ, LEN(1, 64), "as normalised")                                                      \
    X(T, lines, "lines", OBJS(vendor_order_line), OPT, COUNT(0, 500), "positions")

#define VENDOR_ORDER_LINE_ROWS(X, T)                                                                                   \
    X(T, sku, "sku", STR, REQ, LEN(1, 128), "the vendor's number of the article")                                      \
    X(T, quantity, "quantity", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "pieces")

#define VENDOR_INVENTORY_UPDATED_ROWS(X, T)                                                                            \
    DVSS_KEY_ROWS(X, T)                                                                                                \
    X(T, schema_version, "schemaVersion", STR, REQ, LEN(1, 32), "of the normalised form: 1.0")                         \
    X(T, occurred_at, "occurredAt", STR, REQ, FORMAT(RFC3339), "when it happened at the vendor's")                     \
    X(T, data, "data", OBJ(vendor_stock), REQ, NONE, "the normalised change")                                          \
    X(T, raw_ref, "rawRef", OBJ(object_ref), REQ, NONE, "the payload as received")

#define VENDOR_ORDER_UPDATED_ROWS(X, T)                                                                                \
    DVSS_KEY_ROWS(X, T)                                                                                                \
    X(T, schema_version, "schemaVersion", STR, REQ, LEN(1, 32), "of the normalised form: 1.0")                         \
    X(T, occurred_at, "occurredAt", STR, REQ, FORMAT(RFC3339), "when it happened at the vendor's")                     \
    X(T, data, "data", OBJ(vendor_order), REQ, NONE, "the normalised change")                                          \
    X(T, raw_ref, "rawRef", OBJ(object_ref), REQ, NONE, "the payload as received")

#define NORMALIZE_FAILED_ROWS(X, T)                                                                                    \
    DVSS_KEY_ROWS(X, T)                                                                                                \
    X(T, reason, "reason", STR, REQ, LEN(1, 128), "a word to count by")                                                \
    X(T, errors, "errors", STRS, OPT, EACH(0, 100, 1, 512), "each with the path of what was wrong")                    \
    X(T, raw_ref, "rawRef", OBJ(object_ref), REQ, NONE, "the payload, for replay once the mapping is mended")          \
    X(T, failed_at, "failedAt", STR, REQ, FORMAT(RFC3339), "when")

#define SCHEMA_DRIFT_ROWS(X, T)                                                                                        \
    X(T, vendor_id, "vendorId", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "whose payloads changed")                         \
    X(T, event_type, "eventType", STR, REQ, LEN(1, 128), "of which kind")                                              \
    X(T, change, "change", STR, REQ, ENUM("field_added", "field_removed", "field_renamed", "type_changed"),            \
      "what changed")                                                                                                  \
    X(T, path, "path", STR, REQ, LEN(1, 512), "where in the payload")                                                  \
    X(T, classification, "classification", STR, REQ, ENUM("breaking", "non_breaking"), "can it still be normalised")   \
    X(T, confidence, "confidence", F64, OPT, FRANGE(0.0, 1.0), "how sure")                                             \
    X(T, sample_ingest_id, "sampleIngestId", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "an event that shows it")            \
    X(T, detected_at, "detectedAt", STR, REQ, FORMAT(RFC3339), "when")

#define DVSS_SCHEMAS(S)                                                                                                \
    S(ingest_accepted, INGEST_ACCEPTED_ROWS, "detail", "a vendor's event was taken in and stored")                     \
    S(vendor_stock, VENDOR_STOCK_ROWS, "data", "a vendor's stock, normalised")                                         \
    S(vendor_order_line, VENDOR_ORDER_LINE_ROWS, "line", "a position of a vendor's order")                             \
    S(vendor_order, VENDOR_ORDER_ROWS, "data", "a vendor's order, normalised")                                         \
    S(vendor_inventory_updated, VENDOR_INVENTORY_UPDATED_ROWS, "detail", "a vendor's stock changed")                   \
    S(vendor_order_updated, VENDOR_ORDER_UPDATED_ROWS, "detail", "a vendor's order changed")                           \
    S(normalize_failed, NORMALIZE_FAILED_ROWS, "detail", "a vendor's payload could not be normalised")                 \
    S(schema_drift, SCHEMA_DRIFT_ROWS, "detail", "a vendor's payloads changed their shape")

#define DVSS_EVENTS(E)                                                                                                 \
    E(DVSS_BUS, DVSS_INGEST_SOURCE, DVSS_INGEST_ACCEPTED, ingest_accepted, "a vendor's event was taken in and stored") \
    E(DVSS_BUS, DVSS_NORMALIZE_SOURCE, DVSS_INVENTORY_UPDATED, vendor_inventory_updated, "a vendor's stock changed")   \
    E(DVSS_BUS, DVSS_NORMALIZE_SOURCE, DVSS_ORDER_UPDATED, vendor_order_updated, "a vendor's order changed")           \
    E(DVSS_BUS, DVSS_NORMALIZE_SOURCE, DVSS_NORMALIZE_FAILED, normalize_failed,                                        \
      "a vendor's payload could not be normalised")                                                                    \
    E(DVSS_BUS, DVSS_NORMALIZE_SOURCE, DVSS_SCHEMA_DRIFT, schema_drift, "a vendor's payloads changed their shape")

/* clang-format on */

DVSS_SCHEMAS(SCHEMA_DECLARE)

#endif
