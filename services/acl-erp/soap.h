/* soap.h: SOAP envelopes of the ERP's inventory service: written as a stream in CP932, read with every bound.
 *
 * Reading decodes the bytes as CP932 whatever the document declares (UTF-8 only where it says UTF-8), refuses a
 * DOCTYPE, loads nothing, expands no entity of the document's, and takes a fault for a fault whatever the HTTP status.
 * The result is the body's flat shape: records (StockItem, CatalogItem) with fields, and single values. Texts are
 * UTF-8 in the arena, trimmed, in NFC as text_nfc has it.
 *
 * Source: W3C SOAP 1.1 §4, 1.2 part 1 §5; OASIS WSS UsernameToken profile 1.0. Nothing here blocks. */
#ifndef ACL_ERP_SOAP_H
#define ACL_ERP_SOAP_H

#include "proto/arena.h"
#include "services/acl-erp/cp932.h"

#define SOAP_BODY_MAX_BYTES ((size_t)4 << 20) /* of an answer, as it came */
#define SOAP_ARENA_MAX_BYTES ((size_t)24 << 20)
#define SOAP_ITEMS_MAX 2000
#define SOAP_FIELDS_MAX 32 /* of one item, and single values of a body */
#define SOAP_DEPTH_MAX 16
#define SOAP_NONCE_BYTES 16

typedef enum { SOAP_11, SOAP_12 } soap_version_t;

/* Who asks: user and password as a UsernameToken with digest, or else the service's own token, or else nobody. */
typedef struct {
    soap_version_t version;
    const char *user, *password, *token; /* may be "" */
} soap_account_t;

/* What makes one request's digest unlike any other's. */
typedef struct {
    uint8_t nonce[SOAP_NONCE_BYTES];
    int64_t created_us; /* Unix */
} soap_moment_t;

/* -- writing ------------------------------------------------------------------------------------------- */
typedef struct {
    cp932_t *codec;
    buf_t *out;
    soap_version_t version;
    const char *operation;
} soap_writer_t;

MUST_USE bool soap_begin(soap_writer_t *writer, cp932_t *codec, const soap_account_t *account,
                         const soap_moment_t *moment, const char *operation, buf_t *out, error_t *err);
/* One argument; nothing is written for an empty value. */
MUST_USE bool soap_argument(soap_writer_t *writer, const char *name, bytes_t value, error_t *err);
/* False when memory ran out on the way. */
MUST_USE bool soap_end(soap_writer_t *writer, error_t *err);

const char *soap_content_type(soap_version_t version);

/* -- reading ------------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t name, value;
} soap_field_t;

typedef struct {
    bytes_t name; /* StockItem, … */
    const soap_field_t *fields;
    uint32_t count;
} soap_item_t;

typedef struct {
    bool is_sender;  /* Client or Sender: sending it again cannot help */
    bytes_t code;    /* the detail's ErrorCode: E101, …; empty when there is none */
    bytes_t message; /* for the log: the ERP's own words */
} soap_fault_t;

typedef struct {
    bool is_fault;
    soap_fault_t fault;
    const soap_item_t *items;
    uint32_t item_count;
    soap_item_t values; /* single values of the body, as one item without a name */
} soap_reply_t;

/* False: DATA_LOSS (it is no such envelope, or broken), RESOURCE_EXHAUSTED (a bound is reached). */
MUST_USE bool soap_read(cp932_t *codec, bytes_t body, arena_t *arena, soap_reply_t *out, error_t *err);

/* The field's value; empty when there is none such. */
bytes_t soap_field(const soap_item_t *item, const char *name);

#endif
