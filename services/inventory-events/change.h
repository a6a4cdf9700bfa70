/* change.h: reads one change record of AWS DMS, and says what it means for a stock. Pure.
 *
 * What the format leaves out is not invented: control records and other tables carry no stock; a column that
 * is missing (DMS leaves null columns out by default) is unknown, not zero; a delete empties the stock of the
 * row that its key names. Order is the source's: a version is made of the commit time and the record's place
 * in its transaction, so that redelivery and reordering on the way change nothing. A `load` record is the
 * state before all changes and has the lowest version: it never overwrites one.
 *
 * Source of the format: AWS DMS user guide, "Using Amazon Kinesis Data Streams as a target". */
#ifndef INVENTORY_EVENTS_CHANGE_H
#define INVENTORY_EVENTS_CHANGE_H

#include "proto/contract.h"
#include "proto/isbn.h"

#define CHANGE_WAREHOUSE_BYTES 17
#define CHANGE_VERSION_LOAD 1
#define CHANGE_VERSION_STEP 1000 /* records of one transaction that are told apart */

typedef struct {
    const char *table;     /* stock table; other tables are passed over; "" takes any */
    const char *warehouse; /* of rows that name none */
} change_rules_t;

typedef enum {
    CHANGE_STOCK,   /* a stock is known */
    CHANGE_NOTHING, /* nothing about stock: `why` says what it was */
    CHANGE_BROKEN,  /* cannot be understood, and will not be: `err` says where */
} change_verdict_t;

typedef struct {
    char isbn[ISBN13_TEXT_BYTES];
    char warehouse[CHANGE_WAREHOUSE_BYTES];
    int64_t quantity;
    int64_t version;
    int64_t at_us; /* when it changed at its source */
    bytes_t title; /* empty when not said */
    bytes_t operation, table, written_at;
    const char *why;
} change_t;

/* Slices point into `body`, one msgpack map; `arena` is for unpacking. */
MUST_USE change_verdict_t change_read(bytes_t body, const change_rules_t *rules, arena_t *arena, change_t *out,
                                      error_t *err);

/* The detail-type that a change from `previous` (-1: not known) to `now` is told under. */
const char *change_event_type(int64_t previous, int64_t now);

/* The customer's word for a quantity: in_stock, low_stock (1 to 5), out_of_stock. */
const char *change_stock_status(int64_t quantity);

#endif
