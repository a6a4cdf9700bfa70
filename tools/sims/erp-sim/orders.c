/* orders.c: orders derived from customer and number; only refunds are state. */
#include "tools/sims/erp-sim/orders.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tools/sims/erp-sim/legacy_time.h"

#define LINES_MAX 4
#define KEY_BYTES 129
#define FIRST_ORDER_S INT64_C(1735700000) /* New Year 2025 */
#define ORDER_SPREAD_S (300 * INT64_C(86400))
enum { MIX_ORDERS = 48, MIX_LINES, MIX_STATUS, MIX_BOOK, MIX_WHEN };

/* The order system's own words; what they mean is in docs/services/erp-sim.md. */
static const char *const statuses[] = {"RCV", "PAI", "PCK", "SHP", "DLV", "DLV", "DLV", "CAN", "RTN"};

typedef struct {
    sim_volume_t volume;
    int64_t quantity;
} line_t;

typedef struct {
    unsigned customer, number; /* number: 1, … */
    const char *status;
    line_t lines[LINES_MAX];
    size_t line_count;
    int64_t total, placed_s, updated_s;
} order_t;

typedef struct {
    char key[KEY_BYTES];
    unsigned customer, number;
    int64_t amount;
    uint64_t request_hash;
} refund_t;

struct sim_orders {
    const sim_catalogue_t *catalogue;
    uint64_t seed;
    size_t refund_count;
    refund_t refunds[SIM_REFUNDS_MAX];
};

sim_orders_t *sim_orders_new(const sim_catalogue_t *catalogue, uint64_t seed)
{
    sim_orders_t *self = calloc(1, sizeof(*self));
    if (self) {
        self->catalogue = catalogue;
        self->seed = seed;
    }
    return self;
}

void sim_orders_free(sim_orders_t **orders)
{
    free(*orders);
    *orders = NULL;
}

/* -- deriving ------------------------------------------------------------------------------------------ */
static unsigned orders_of(const sim_orders_t *self, unsigned customer)
{
    /* The first customer always has some, for whoever tries things out. */
    return customer == 1 ? SIM_ORDERS_PER_CUSTOMER
                         : (unsigned)(sim_mix(self->seed, MIX_ORDERS, customer) % (SIM_ORDERS_PER_CUSTOMER + 1));
}

static void line_derive(const sim_orders_t *self, uint64_t key, line_t *out)
{
    uint64_t dice = sim_mix(self->seed, MIX_BOOK, key);
    size_t index = (size_t)(dice % sim_catalogue_works(self->catalogue));
    uint32_t listed = sim_work_listed(sim_catalogue_work(self->catalogue, index));
    sim_catalogue_volume(self->catalogue, index, 1 + (uint32_t)(dice / 1000003 % listed), &out->volume);
    out->quantity = 1 + (int64_t)(dice >> 60) % 3;
}

static void order_derive(const sim_orders_t *self, unsigned customer, unsigned number, order_t *out)
{
    uint64_t key = (uint64_t)customer * 100 + number;
    uint64_t dice = sim_mix(self->seed, MIX_STATUS, key);
    *out = (order_t){.customer = customer, .number = number, .status = statuses[dice % ARRAY_LEN(statuses)]};
    out->line_count = 1 + (size_t)(sim_mix(self->seed, MIX_LINES, key) % LINES_MAX);
    for (size_t i = 0; i < out->line_count; i++) {
        line_derive(self, key * LINES_MAX + i, &out->lines[i]);
        out->total += out->lines[i].quantity * out->lines[i].volume.price_jpy;
    }
    int64_t slot_s = ORDER_SPREAD_S / (SIM_ORDERS_PER_CUSTOMER + 1); /* later numbers are later orders */
    out->placed_s = FIRST_ORDER_S + slot_s * number + (int64_t)(sim_mix(self->seed, MIX_WHEN, key) % (uint64_t)slot_s);
    out->updated_s = out->placed_s + 3600 + (int64_t)(dice % 400000);
}

/* "PREFIX-0001-03" that exists. */
static bool order_find(const sim_orders_t *self, const char *prefix, const char *text, order_t *out)
{
    unsigned customer, number;
    char again[32];
    size_t skip = strlen(prefix);
    if (strncmp(text, prefix, skip) != 0 || sscanf(text + skip, "%4u-%2u", &customer, &number) != 2)
        return false;
    (void)snprintf(again, sizeof(again), "%s%04u-%02u", prefix, customer, number);
    if (strcmp(again, text) != 0 || customer == 0 || number == 0 || number > orders_of(self, customer))
        return false;
    order_derive(self, customer, number, out);
    return true;
}

/* -- writing ------------------------------------------------------------------------------------------- */
static void put_time(buf_t *out, const char *name, int64_t unix_s, sim_time_style_t style)
{
    char text[SIM_TIME_BYTES];
    sim_time_format(unix_s, style, text);
    buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void put_line(buf_t *out, const line_t *line)
{
    buf_printf(out, "{\"isbn\":\"%s\",\"qty\":%lld,\"unitPrice\":\"%lld\",\"title\":", line->volume.isbn,
               (long long)line->quantity, (long long)line->volume.price_jpy);
    json_string_append(out, line->volume.work->title);
    buf_append_byte(out, '}');
}

static bool has_parcel(const order_t *order)
{
    return strcmp(order->status, "SHP") == 0 || strcmp(order->status, "DLV") == 0;
}

static void put_order(buf_t *out, const order_t *order)
{
    buf_printf(out, "{\"orderNo\":\"MB-%04u-%02u\",\"customerNo\":\"cust-%04u\",\"statusCode\":\"%s\",\"lines\":[",
               order->customer, order->number, order->customer, order->status);
    for (size_t i = 0; i < order->line_count; i++) {
        buf_append_cstr(out, i ? "," : "");
        put_line(out, &order->lines[i]);
    }
    buf_printf(out, "],\"total\":\"%lld\",\"currency\":\"JPY\"", (long long)order->total);
    put_time(out, "orderedAt", order->placed_s, SIM_TIME_DASHES);
    put_time(out, "updatedAt", order->updated_s, SIM_TIME_DASHES);
    if (has_parcel(order)) {
        buf_printf(out, ",\"parcelNo\":\"4%04u%02u%05u\"", order->customer, order->number,
                   order->customer * 7 % 100000);
        put_time(out, "deliveryDate", order->updated_s + 2 * INT64_C(86400), SIM_DATE_COMPACT);
    }
    buf_append_byte(out, '}');
}

static unsigned refuse(buf_t *out, unsigned status, const char *code, const char *message)
{
    buf_printf(out, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, message);
    return status;
}

/* -- orders ---------------------------------------------------------------------------------------------- */
static bool number_of(const char *text, unsigned long fallback, unsigned long max, unsigned long *out)
{
    char *end = NULL;
    *out = text && *text ? strtoul(text, &end, 10) : fallback;
    return (!end || !*end) && *out >= 1 && *out <= max;
}

unsigned sim_orders_list(const sim_orders_t *orders, const char *customer, const char *limit, const char *page_token,
                         buf_t *out)
{
    unsigned long count, from;
    unsigned who = 0;
    if (!customer || !*customer)
        return refuse(out, 400, "MISSING_CUSTOMER", "customer is required");
    if (!number_of(limit, 20, SIM_ORDER_LIMIT_MAX, &count) || !number_of(page_token, 1, 1000000, &from))
        return refuse(out, 400, "BAD_PAGE", "limit is 1 to 100, pageToken comes from nextPageToken");
    bool is_known = sscanf(customer, "cust-%4u", &who) == 1 && who >= 1 && who <= SIM_CUSTOMERS;
    unsigned long total = is_known ? orders_of(orders, who) : 0,
                  last = from + count - 1 < total ? from + count - 1 : total;
    buf_append_cstr(out, "{\"orders\":[");
    for (unsigned long i = from; i <= last; i++) {
        order_t order;
        order_derive(orders, who, (unsigned)(total - i + 1), &order);
        buf_append_cstr(out, i > from ? "," : "");
        put_order(out, &order);
    }
    buf_append_byte(out, ']');
    if (last < total)
        buf_printf(out, ",\"nextPageToken\":\"%lu\"", last + 1);
    buf_append_byte(out, '}');
    return 200;
}

unsigned sim_orders_get(const sim_orders_t *orders, const char *order_no, buf_t *out)
{
    order_t order;
    if (!order_find(orders, "MB-", order_no, &order))
        return refuse(out, 404, "ORDER_NOT_FOUND", "no such order");
    put_order(out, &order);
    return 200;
}

/* -- payments -------------------------------------------------------------------------------------------- */
static bool is_paid(const order_t *order)
{
    return strcmp(order->status, "RCV") != 0 && strcmp(order->status, "CAN") != 0;
}

static int64_t refunded(const sim_orders_t *self, const order_t *order)
{
    int64_t sum = strcmp(order->status, "RTN") == 0 ? order->total : 0;
    for (size_t i = 0; i < self->refund_count; i++)
        if (self->refunds[i].customer == order->customer && self->refunds[i].number == order->number)
            sum += self->refunds[i].amount;
    return sum;
}

static void put_payment(const sim_orders_t *self, const order_t *order, buf_t *out)
{
    int64_t back = refunded(self, order);
    const char *state = back == 0 ? "captured" : back < order->total ? "partial_refund" : "refunded";
    buf_printf(out,
               "{\"id\":\"PAY-%04u-%02u\",\"order\":\"MB-%04u-%02u\",\"state\":\"%s\",\"amount\":\"%lld\","
               "\"refunded\":\"%lld\",\"currency\":\"jpy\"}",
               order->customer, order->number, order->customer, order->number, is_paid(order) ? state : "created",
               (long long)order->total, (long long)back);
}

unsigned sim_payment_get(const sim_orders_t *orders, const char *payment_id, buf_t *out)
{
    order_t order;
    if (!order_find(orders, "PAY-", payment_id, &order))
        return refuse(out, 404, "payment_not_found", "no such payment");
    put_payment(orders, &order, out);
    return 200;
}

static unsigned put_refund(const sim_orders_t *self, const order_t *order, size_t index, buf_t *out)
{
    buf_printf(out, "{\"id\":\"RF-%06zu\",\"state\":\"done\",\"amount\":\"%lld\",\"payment\":", index + 1,
               (long long)self->refunds[index].amount);
    put_payment(self, order, out);
    buf_append_byte(out, '}');
    return 200;
}

static uint64_t hash_of(const char *payment_id, bytes_t body)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (; *payment_id; payment_id++)
        hash = (hash ^ (uint8_t)*payment_id) * UINT64_C(0x100000001B3);
    for (size_t i = 0; i < body.len; i++)
        hash = (hash ^ body.data[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* What the body asks for; 0 for "the rest", -1 for nonsense. */
static int64_t amount_of(bytes_t body)
{
    buf_t packed = {0};
    bytes_t value;
    int64_t amount = 0;
    const json_limits_t limits = {.max_bytes = SIM_REST_BODY_MAX_BYTES, .max_depth = 16};
    mp_type_t type;
    bool is_object = json_to_msgpack(body, &limits, &packed, NULL);
    mp_reader_t reader = mp_reader(buf_bytes(&packed));
    is_object = is_object && mp_peek(&reader, &type) && type == MP_MAP;
    if (body.len && !is_object)
        amount = -1;
    else if (body.len && mp_map_find(buf_bytes(&packed), "amount", &value))
        amount = mp_map_i64(buf_bytes(&packed), "amount", &amount) && amount > 0 ? amount : -1;
    buf_free(&packed);
    return amount;
}

static unsigned refund_new(sim_orders_t *self, const order_t *order, const refund_t *wanted, buf_t *out)
{
    int64_t left = order->total - refunded(self, order);
    if (wanted->amount < 0)
        return refuse(out, 400, "bad_amount", "amount is a positive whole number of yen");
    if (!is_paid(order) || left == 0 || wanted->amount > left)
        return refuse(out, 422, "not_refundable", "more than is left of this payment");
    if (self->refund_count == SIM_REFUNDS_MAX)
        return refuse(out, 503, "busy", "no room for another refund");
    refund_t *refund = &self->refunds[self->refund_count++];
    *refund = *wanted;
    refund->amount = wanted->amount ? wanted->amount : left;
    return put_refund(self, order, self->refund_count - 1, out);
}

unsigned sim_payment_refund(sim_orders_t *orders, const char *payment_id, const char *idempotency_key, bytes_t body,
                            buf_t *out)
{
    order_t order;
    if (!order_find(orders, "PAY-", payment_id, &order))
        return refuse(out, 404, "payment_not_found", "no such payment");
    if (!idempotency_key || !*idempotency_key || strlen(idempotency_key) >= KEY_BYTES)
        return refuse(out, 400, "idempotency_key_missing", "Idempotency-Key of 1 to 128 bytes is required");
    refund_t wanted = {.customer = order.customer, .number = order.number, .amount = amount_of(body)};
    wanted.request_hash = hash_of(payment_id, body);
    (void)snprintf(wanted.key, sizeof(wanted.key), "%s", idempotency_key);
    for (size_t i = 0; i < orders->refund_count; i++)
        if (strcmp(orders->refunds[i].key, wanted.key) == 0)
            return orders->refunds[i].request_hash == wanted.request_hash
                       ? put_refund(orders, &order, i, out)
                       : refuse(out, 422, "idempotency_key_reused", "this key came with another request");
    return refund_new(orders, &order, &wanted, out);
}
