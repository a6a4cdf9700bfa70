/* inventory.h: events of the bus manga-assist-inventory, and the call that adjusts stock. */
#ifndef PROTO_CONTRACT_INVENTORY_H
#define PROTO_CONTRACT_INVENTORY_H

#include "proto/contract/common.h"

#define INVENTORY_BUS "manga-assist-inventory"
#define INVENTORY_SOURCE "manga-assist.inventory"
#define INVENTORY_UPDATED "inventory.updated"
#define INVENTORY_RESTOCKED "inventory.restocked" /* from nothing to something, in this warehouse */
#define INVENTORY_DEPLETED "inventory.depleted"   /* to nothing, in this warehouse */
#define INVENTORY_CDC_QUEUE "manga-inventory-cdc"

/* clang-format off: one row, one member */

#define INVENTORY_CHANGE_ROWS(X, T)                                                                                    \
    X(T, event_type, "event_type", STR, REQ, ENUM(INVENTORY_UPDATED, INVENTORY_RESTOCKED, INVENTORY_DEPLETED),         \
      "as the detail-type")                                                                                            \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, warehouse_code, "warehouse_code", STR, REQ, LEN(1, 16), "stock is kept per book and warehouse")               \
    X(T, title, "title", STR, OPT, LEN(1, CONTRACT_TITLE_BYTES), "absent when the change record had none")             \
    X(T, previous_quantity, "previous_quantity", I64, OPT, RANGE(0, CONTRACT_QUANTITY_MAX),                            \
      "absent when none was known")                                                                                    \
    X(T, new_quantity, "new_quantity", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "in this warehouse")                 \
    X(T, total_quantity, "total_quantity", I64, OPT, RANGE(0, CONTRACT_QUANTITY_MAX), "over all warehouses")           \
    X(T, stock_status, "stock_status", STR, OPT, ENUM(CONTRACT_STOCK_STATUS), "of new_quantity: 0 out, 1 to 5 low")    \
    X(T, version, "version", I64, REQ, RANGE(1, INT64_MAX),                                                            \
      "rises with every change of this book and warehouse: an older one never overwrites")                             \
    X(T, change_source, "change_source", STR, REQ, ENUM("erp_cdc", "manual_adjustment", "order_fulfillment"),          \
      "what changed it")                                                                                               \
    X(T, timestamp_utc, "timestamp_utc", STR, REQ, FORMAT(RFC3339), "when it changed at its source")                   \
    X(T, correlation_id, "correlation_id", STR, REQ, LEN(1, CONTRACT_ID_BYTES),                                        \
      "follows the change through all services")                                                                       \
    X(T, metadata, "metadata", MAP, OPT, COUNT(0, 32),                                                                 \
      "cdc_operation, cdc_timestamp, table_name and what else the source said")

#define INVENTORY_ADJUST_REQUEST_ROWS(X, T)                                                                            \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, warehouse_code, "warehouse_code", STR, REQ, LEN(1, 16), "where")                                              \
    X(T, delta, "delta", I64, OPT, RANGE(-CONTRACT_QUANTITY_MAX, CONTRACT_QUANTITY_MAX),                               \
      "change by; either this or quantity")                                                                            \
    X(T, quantity, "quantity", I64, OPT, RANGE(0, CONTRACT_QUANTITY_MAX), "set to")                                    \
    X(T, change_source, "change_source", STR, OPT, ENUM("manual_adjustment", "order_fulfillment"),                     \
      "absent: manual_adjustment")                                                                                     \
    X(T, reason, "reason", STR, OPT, LEN(1, 512), "for the people who read the history")                               \
    X(T, idempotency_key, "idempotency_key", STR, REQ, LEN(1, CONTRACT_ID_BYTES), "the same key is applied once")

#define INVENTORY_ADJUST_RESPONSE_ROWS(X, T)                                                                           \
    X(T, isbn, "isbn", STR, REQ, FORMAT(ISBN13), "which book")                                                         \
    X(T, warehouse_code, "warehouse_code", STR, REQ, LEN(1, 16), "where")                                              \
    X(T, previous_quantity, "previous_quantity", I64, OPT, RANGE(0, CONTRACT_QUANTITY_MAX),                            \
      "absent when none was known")                                                                                    \
    X(T, new_quantity, "new_quantity", I64, REQ, RANGE(0, CONTRACT_QUANTITY_MAX), "now")                               \
    X(T, version, "version", I64, REQ, RANGE(1, INT64_MAX), "as in the event that follows")                            \
    X(T, applied, "applied", BOOL, REQ, NONE, "false: the key had been applied before, this is its answer again")      \
    HOPS_ROW(X, T)

/* A change record as AWS DMS writes it for streams. */
#define DMS_METADATA_ROWS(X, T)                                                                                        \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when DMS wrote the record")                               \
    X(T, record_type, "record-type", STR, REQ, ENUM("data", "control"), "control records carry no data")               \
    X(T, operation, "operation", STR, REQ, LEN(1, 64),                                                                 \
      "load, insert, update, delete; create-table and others of control")                                              \
    X(T, schema_name, "schema-name", STR, OPT, LEN(0, 256), "may be empty in control records")                         \
    X(T, table_name, "table-name", STR, OPT, LEN(0, 256), "may be empty in control records")                           \
    X(T, transaction_id, "transaction-id", I64, OPT, NONE, "absent in load records")                                   \
    X(T, transaction_record_id, "transaction-record-id", I64, OPT, NONE, "order inside the transaction")               \
    X(T, commit_timestamp, "commit-timestamp", STR, OPT, FORMAT(RFC3339), "only with IncludeTransactionDetails")       \
    X(T, stream_position, "stream-position", STR, OPT, LEN(1, 512), "only with IncludeTransactionDetails")

#define DMS_RECORD_ROWS(X, T)                                                                                          \
    X(T, data, "data", MAP, OPT, COUNT(0, 1000), "the row after the change; columns that are null may be left out")    \
    X(T, before_image, "before-image", MAP, OPT, COUNT(0, 1000), "the row before, where DMS was told to send it")      \
    X(T, control, "control", MAP, OPT, COUNT(0, 1000), "of control records")                                           \
    X(T, metadata, "metadata", OBJ(dms_metadata), REQ, NONE, "what happened, and where in the stream")

#define INVENTORY_SCHEMAS(S)                                                                                           \
    S(inventory_change, INVENTORY_CHANGE_ROWS, "detail", "stock of one book in one warehouse changed")                 \
    S(inventory_adjust_request, INVENTORY_ADJUST_REQUEST_ROWS, "request", "change a stock by hand or for an order")    \
    S(inventory_adjust_response, INVENTORY_ADJUST_RESPONSE_ROWS, "response", "the stock after it")                     \
    S(dms_metadata, DMS_METADATA_ROWS, "metadata", "what a DMS record says of itself")                                 \
    S(dms_record, DMS_RECORD_ROWS, "body", "one change record of AWS DMS")

#define INVENTORY_EVENTS(E)                                                                                            \
    E(INVENTORY_BUS, INVENTORY_SOURCE, INVENTORY_UPDATED, inventory_change,                                            \
      "a stock changed, and was and is more than nothing")                                                             \
    E(INVENTORY_BUS, INVENTORY_SOURCE, INVENTORY_RESTOCKED, inventory_change, "a stock rose from nothing")             \
    E(INVENTORY_BUS, INVENTORY_SOURCE, INVENTORY_DEPLETED, inventory_change, "a stock fell to nothing")

#define INVENTORY_CALLS(C, S)                                                                                          \
    C("inventory.adjust", inventory_adjust_request, inventory_adjust_response, true,                                   \
      "change a stock by hand or for an order")

#define INVENTORY_MESSAGES(M)                                                                                          \
    M(INVENTORY_CDC_QUEUE, dms_record,                                                                                 \
      "change records of the ERP's stock table, in stream order as far as DMS keeps it")

/* clang-format on */

INVENTORY_SCHEMAS(SCHEMA_DECLARE)

#endif
