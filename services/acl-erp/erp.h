/* erp.h: the ERP's four operations in the house's terms: stock through the coalescer, pages and products as calls.
 *
 * Source: docs/services/acl-erp.md. Callbacks run on the loop's thread. */
#ifndef ACL_ERP_ERP_H
#define ACL_ERP_ERP_H

#include "proto/contract.h"
#include "services/acl-erp/backend.h"
#include "services/acl-erp/coalescer.h"
#include "services/acl-erp/soap.h"

#define ERP_PAGE_MAX 500 /* items that the ERP puts into one page */

typedef struct erp erp_t;
typedef struct erp_reply erp_reply_t; /* the memory of one answer, counted */

/* One book's stock; what a coalescer_result_t's `answer` points to. Hold the reply to keep the lines. */
typedef struct {
    const stock_line_t *lines; /* one a warehouse */
    uint32_t count;            /* 0: the ERP has lines of it, and none of them can be read */
    erp_reply_t *reply;
} erp_stock_t;

void erp_reply_hold(erp_reply_t *reply);
void erp_reply_release(erp_reply_t *reply);

typedef struct {
    const book_t *books;
    uint32_t book_count;
    const erp_rejected_item_t *rejected;
    uint32_t rejected_count;
    bool has_more, has_total;
    int64_t total;
    bytes_t next_after; /* where the next page begins: the last entry, book or not, that erp_after_is_valid; or empty */
    erp_reply_t *reply; /* hold it to keep all of this */
} erp_books_t;

typedef struct {
    const erp_books_t *books; /* NULL when err is not; a product that is not known is NOT_FOUND */
    const error_t *err;
    int64_t sent_us, done_us;
} erp_books_result_t;

typedef void (*erp_books_fn)(void *ctx, const erp_books_result_t *result);

/* Told of every book's stock that the ERP answered, once, before those who asked. */
typedef void (*erp_seen_fn)(void *ctx, const char *isbn, const erp_stock_t *stock, int64_t as_of_us);

typedef struct {
    backend_options_t backend;
    soap_account_t account;
    coalescer_options_t gather;
    erp_seen_fn on_stock; /* may be NULL */
    void *ctx;
} erp_options_t;

MUST_USE erp_t *erp_new(loop_t *loop, http_client_t *http, metrics_t *metrics, const erp_options_t *options,
                        error_t *err);
void erp_free(erp_t **erp);

/* See coalescer_add; refused also while the breaker is open. `result->answer` is an erp_stock_t. */
MUST_USE coalescer_wait_t *erp_stock(erp_t *erp, bytes_t isbn, bool is_live, int64_t deadline_us, coalescer_fn fn,
                                     void *ctx, error_t *err);
void erp_stock_cancel(erp_t *erp, coalescer_wait_t *wait);

/* What a page can be asked for behind: what the ERP calls an ISBN, be its check digit wrong. */
bool erp_after_is_valid(bytes_t text);

typedef struct {
    bytes_t after_isbn;    /* empty: from the start */
    bytes_t changed_since; /* RFC 3339; empty: all */
    int64_t page_size;     /* 1 to ERP_PAGE_MAX */
    bool is_live;
    int64_t deadline_us;
} erp_page_t;

/* NULL when it could not be asked (then fn is not called). */
MUST_USE backend_job_t *erp_page(erp_t *erp, const erp_page_t *page, erp_books_fn fn, void *ctx, error_t *err);
MUST_USE backend_job_t *erp_product(erp_t *erp, bytes_t isbn, int64_t deadline_us, erp_books_fn fn, void *ctx,
                                    error_t *err);
void erp_cancel(erp_t *erp, backend_job_t *job);

bool erp_is_open(const erp_t *erp, error_t *err);

#endif
