/* stock.c: a dice for each volume and warehouse; what was set by hand lies in a small table before it. */
#include "tools/sims/erp-sim/stock.h"

#include <stdio.h>
#include <stdlib.h>

#define NEWEST_RESTOCK_DAY 20400 /* 2025-11-08: dates stay in the past of every clock that this runs on */
#define RESTOCK_SPREAD_DAYS 240
#define CARRIED_PERCENT 80 /* chance that a warehouse other than the first carries a volume */
#define LOW_BELOW_PERCENT 15
#define OUT_BELOW_PERCENT 27
enum { MIX_STOCK = 16, MIX_QUANTITY, MIX_RESTOCK, MIX_ETA };

static const char *const codes[SIM_WAREHOUSES] = {"TK01", "OS01", "FK01"};

/* The question the house is asked first must have an answer: block 0 is ONE PIECE. */
static const struct {
    uint32_t body;
    int64_t quantity;
} pinned[] = {{42, 27}};

typedef struct {
    uint32_t body, warehouse;
    int64_t quantity;
} entry_t;

struct sim_stock_book {
    uint64_t seed;
    size_t set_count;
    entry_t set[SIM_STOCK_SET_MAX];
};

sim_stock_book_t *sim_stock_book_new(uint64_t seed)
{
    sim_stock_book_t *self = calloc(1, sizeof(*self));
    if (self)
        self->seed = seed;
    return self;
}

void sim_stock_book_free(sim_stock_book_t **book)
{
    free(*book);
    *book = NULL;
}

static const entry_t *set_find(const sim_stock_book_t *self, uint32_t body, uint32_t warehouse)
{
    for (size_t i = 0; i < self->set_count; i++)
        if (self->set[i].body == body && self->set[i].warehouse == warehouse)
            return &self->set[i];
    return NULL;
}

static int64_t derived_quantity(const sim_stock_book_t *self, uint32_t body, uint32_t warehouse)
{
    for (size_t i = 0; i < ARRAY_LEN(pinned); i++)
        if (pinned[i].body == body && warehouse == 0)
            return pinned[i].quantity;
    uint64_t key = (uint64_t)body * SIM_WAREHOUSES + warehouse;
    uint64_t percent = sim_mix(self->seed, MIX_STOCK, key) % 100;
    uint64_t dice = sim_mix(self->seed, MIX_QUANTITY, key);
    if (percent < LOW_BELOW_PERCENT)
        return 1 + (int64_t)(dice % SIM_STOCK_LOW_MAX);
    return percent < OUT_BELOW_PERCENT ? 0 : SIM_STOCK_LOW_MAX + 1 + (int64_t)(dice % 180);
}

static const char *status_of(const sim_volume_t *volume, int64_t quantity)
{
    if (volume->sale == SIM_SALE_PREORDER)
        return "04";
    return quantity == 0 ? "03" : quantity <= SIM_STOCK_LOW_MAX ? "02" : "01";
}

static void line_of(const sim_stock_book_t *self, const sim_volume_t *volume, uint32_t warehouse, sim_stock_t *out)
{
    const entry_t *set = set_find(self, volume->body, warehouse);
    uint64_t key = (uint64_t)volume->body * SIM_WAREHOUSES + warehouse;
    int64_t quantity = set ? set->quantity : derived_quantity(self, volume->body, warehouse);
    bool is_preorder = volume->sale == SIM_SALE_PREORDER;
    *out = (sim_stock_t){
        .quantity = is_preorder ? 0 : quantity,
        .restocked_day = NEWEST_RESTOCK_DAY - (int32_t)(sim_mix(self->seed, MIX_RESTOCK, key) % RESTOCK_SPREAD_DAYS),
        .eta_days = quantity == 0 || is_preorder ? 2 + (int32_t)(sim_mix(self->seed, MIX_ETA, key) % 28) : -1,
    };
    (void)snprintf(out->warehouse, sizeof(out->warehouse), "%s", codes[warehouse]);
    (void)snprintf(out->status, sizeof(out->status), "%s", status_of(volume, quantity));
}

static bool carries(const sim_stock_book_t *self, uint32_t body, uint32_t warehouse)
{
    return warehouse == 0 || set_find(self, body, warehouse) ||
           sim_mix(self->seed, MIX_STOCK + 64 * (uint64_t)warehouse, body) % 100 < CARRIED_PERCENT;
}

size_t sim_stock_lines(const sim_stock_book_t *book, const sim_volume_t *volume, bytes_t warehouse,
                       sim_stock_t out[SIM_WAREHOUSES])
{
    size_t count = 0;
    for (uint32_t i = 0; i < SIM_WAREHOUSES; i++)
        if ((warehouse.len == 0 || bytes_eq_cstr(warehouse, codes[i])) && carries(book, volume->body, i))
            line_of(book, volume, i, &out[count++]);
    return count;
}

static bool warehouse_find(bytes_t code, uint32_t *out)
{
    for (*out = 0; *out < SIM_WAREHOUSES; ++*out)
        if (bytes_eq_cstr(code, codes[*out]))
            return true;
    return false;
}

bool sim_stock_set(sim_stock_book_t *book, const sim_volume_t *volume, bytes_t warehouse, int64_t quantity,
                   error_t *err)
{
    uint32_t index;
    if (!warehouse_find(warehouse, &index))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "warehouse: one of TK01, OS01, FK01");
    if (quantity < 0 || quantity > SIM_STOCK_QUANTITY_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "quantity: 0 to %d", SIM_STOCK_QUANTITY_MAX);
    entry_t *entry = (entry_t *)(uintptr_t)set_find(book, volume->body, index);
    if (!entry && book->set_count == SIM_STOCK_SET_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "%d quantities are set already", SIM_STOCK_SET_MAX);
    if (!entry)
        entry = &book->set[book->set_count++];
    *entry = (entry_t){.body = volume->body, .warehouse = index, .quantity = quantity};
    return true;
}
