/* soap_request.h: a SOAP request of the ERP's inventory service, taken apart.
 *
 * Envelope of SOAP 1.1 or 1.2; one operation in the body, in the namespace SIM_INVENTORY_NS. Credentials stand in
 * the header: a WS-Security UsernameToken (text or digest) or the service's own AuthToken. */
#ifndef ERP_SIM_SOAP_REQUEST_H
#define ERP_SIM_SOAP_REQUEST_H

#include "tools/sims/erp-sim/legacy_text.h"

#define SIM_INVENTORY_NS "http://legacy-erp.manga-store.co.jp/inventory/v1"
#define SIM_SOAP_11_NS "http://schemas.xmlsoap.org/soap/envelope/"
#define SIM_SOAP_12_NS "http://www.w3.org/2003/05/soap-envelope"
#define SIM_BATCH_MAX 20 /* ISBNs in one GetBatchStockLevels */
#define SIM_PAGE_MAX 500 /* items in one GetCatalogPage */
#define SIM_SOAP_MAX_BYTES ((size_t)256 << 10)

typedef enum { SIM_SOAP_11, SIM_SOAP_12 } sim_soap_t;

/* A fault to be: `is_sender` the request's own (Client in 1.1), else the server's. */
typedef struct {
    bool is_sender;
    bool is_version_mismatch;
    char code[8];      /* E101, … */
    char message[160]; /* UTF-8; Japanese, as the real one */
} sim_fault_t;

typedef struct {
    char user[64], password[128], nonce[96], created[40], token[128];
    bool is_digest;
} sim_credentials_t;

typedef struct {
    sim_soap_t version;
    char operation[48];
    char isbns[SIM_BATCH_MAX][32];
    size_t isbn_count; /* as many as came; only the first SIM_BATCH_MAX are kept */
    char warehouse[16];
    char after_isbn[32];
    char changed_since[32];
    int64_t page_size; /* 0: not given */
    sim_credentials_t credentials;
} sim_soap_request_t;

/* False with `fault` when it is no such request. `out->version` is set as soon as it is known. */
MUST_USE bool sim_soap_parse(sim_text_t *text, bytes_t body, sim_soap_request_t *out, sim_fault_t *fault);

/* Fills `fault` and returns false. */
bool sim_fault_set(sim_fault_t *fault, bool is_sender, const char *code, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
