/* soap_service.h: what the simulated ERP answers to its four operations, as bytes of CP932.
 *
 *   GetStockLevel        ISBN, WarehouseCode (empty: all)        -> StockItem, one a warehouse
 *   GetBatchStockLevels  up to SIM_BATCH_MAX ISBN, WarehouseCode -> StockItem of those that are known
 *   GetCatalogPage       AfterISBN, PageSize, ChangedSince       -> CatalogItem in ISBN order, TotalCount, HasMore
 *   GetProduct           ISBN                                    -> CatalogItem
 *
 * StockItem: ISBN Title Quantity WarehouseCode StatusCode LastRestockDate (2025/11/08) PriceJPY RestockETADays.
 * CatalogItem: ISBN Title TitleKana TitleEN VolumeNo VolumeLabel Authors Publisher Genre PriceJPY ReleaseDate
 * (20251108) SaleStatus (1 on sale, 2 to be ordered ahead, 9 out of print) Revision UpdatedAt (2025/11/08 09:30:00,
 * Japan's time). Errors are faults with HTTP 500, of a code Ennn in the detail. */
#ifndef ERP_SIM_SOAP_SERVICE_H
#define ERP_SIM_SOAP_SERVICE_H

#include "tools/sims/erp-sim/soap_request.h"
#include "tools/sims/erp-sim/stock.h"

typedef struct {
    const sim_catalogue_t *catalogue;
    const sim_stock_book_t *stock;
    sim_text_t *text;
} sim_shop_t;

/* Appends the whole answer. False with `fault` (and `out` as it was) when the operation cannot be done. */
MUST_USE bool sim_soap_answer(const sim_shop_t *shop, const sim_soap_request_t *request, buf_t *out,
                              sim_fault_t *fault);

void sim_soap_write_fault(const sim_shop_t *shop, sim_soap_t version, const sim_fault_t *fault, buf_t *out);

const char *sim_soap_content_type(sim_soap_t version);

#endif
