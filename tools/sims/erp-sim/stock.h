/* stock.h: how many pieces of a volume lie in which warehouse: derived from the seed, unless it was set.
 *
 * Status codes are the ERP's: 01 in stock, 02 low (five or fewer), 03 out of stock, 04 to be ordered ahead. */
#ifndef ERP_SIM_STOCK_H
#define ERP_SIM_STOCK_H

#include "tools/sims/erp-sim/catalogue.h"

#define SIM_WAREHOUSES 3 /* TK01 Tokyo, OS01 Osaka, FK01 Fukuoka */
#define SIM_WAREHOUSE_BYTES 5
#define SIM_STOCK_LOW_MAX 5
#define SIM_STOCK_SET_MAX 4096 /* quantities that can be set beside the derived ones */
#define SIM_STOCK_QUANTITY_MAX 99999999

typedef struct {
    char warehouse[SIM_WAREHOUSE_BYTES];
    char status[3];
    int64_t quantity;
    int32_t restocked_day; /* days since 1970 */
    int32_t eta_days;      /* -1: nothing is on its way */
} sim_stock_t;

typedef struct sim_stock_book sim_stock_book_t;

MUST_USE sim_stock_book_t *sim_stock_book_new(uint64_t seed);
void sim_stock_book_free(sim_stock_book_t **book);

/* The warehouses that carry the volume (at least TK01), or only `warehouse` when it is not empty. Returns how many. */
size_t sim_stock_lines(const sim_stock_book_t *book, const sim_volume_t *volume, bytes_t warehouse,
                       sim_stock_t out[SIM_WAREHOUSES]);

/* From now on this quantity. False: no such warehouse, a quantity out of range, or SIM_STOCK_SET_MAX are set. */
MUST_USE bool sim_stock_set(sim_stock_book_t *book, const sim_volume_t *volume, bytes_t warehouse, int64_t quantity,
                            error_t *err);

#endif
