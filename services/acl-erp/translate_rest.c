/* translate_rest.c: two tables of words, and amounts that are texts. */
#include "services/acl-erp/translate_rest.h"

#include "proto/isbn.h"
#include "proto/msgpack.h"

#define ORDERS_PAGE_MAX 100
#define LINES_MAX 500

typedef struct {
    const char *theirs, *ours;
} word_t;

static const word_t order_words[] = {{"RCV", "placed"},    {"PAI", "paid"},      {"PCK", "packed"},  {"SHP", "shipped"},
                                     {"DLV", "delivered"}, {"CAN", "cancelled"}, {"RTN", "returned"}};
static const word_t payment_words[] = {{"created", "pending"},
                                       {"authorized", "authorized"},
                                       {"captured", "completed"},
                                       {"failed", "failed"},
                                       {"partial_refund", "partially_refunded"},
                                       {"refunded", "refunded"}};
static const word_t refund_words[] = {{"created", "pending"}, {"done", "completed"}, {"failed", "failed"}};

static bytes_t word_of(const word_t *words, size_t count, bytes_t theirs, const char *otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_eq_cstr(theirs, words[i].theirs))
            return bytes_cstr(words[i].ours);
    return bytes_cstr(otherwise);
}

static bool wrong(error_t *err, const char *field)
{
    return error_set(err, STATUS_DATA_LOSS, NULL, "%s: missing, or not as agreed", field);
}

static bool text_take(bytes_t map, const char *key, size_t max_bytes, bytes_t *out, error_t *err)
{
    return (mp_map_str(map, key, out) && out->len > 0 && out->len <= max_bytes) || wrong(err, key);
}

/* "1430" or 1430. */
static bool amount_take(bytes_t map, const char *key, int64_t *out, error_t *err)
{
    bytes_t text;
    bool is_number = mp_map_i64(map, key, out) && *out >= 0 && *out <= CONTRACT_AMOUNT_MAX;
    return is_number || (mp_map_str(map, key, &text) && translate_number(text, CONTRACT_AMOUNT_MAX, out)) ||
           wrong(err, key);
}

static bool currency_take(bytes_t map, arena_t *arena, bytes_t *out, error_t *err)
{
    bytes_t text;
    uint8_t *upper = arena_alloc(arena, 4);
    if (!upper || !mp_map_str(map, "currency", &text) || text.len != 3)
        return wrong(err, "currency");
    for (size_t i = 0; i < 3; i++)
        upper[i] = text.data[i] >= 'a' && text.data[i] <= 'z' ? (uint8_t)(text.data[i] - 'a' + 'A') : text.data[i];
    *out = bytes_from(upper, 3);
    return true;
}

/* -- orders ---------------------------------------------------------------------------------------------------- */
static bool line_read(bytes_t map, arena_t *arena, order_line_t *out, error_t *err)
{
    bytes_t isbn, title;
    char digits[ISBN13_TEXT_BYTES];
    *out = (order_line_t){0};
    uint8_t *copy = arena_alloc(arena, ISBN13_DIGITS);
    if (!copy || !mp_map_str(map, "isbn", &isbn) || !isbn_normalize(isbn, digits))
        return wrong(err, "isbn");
    out->isbn = bytes_from(memcpy(copy, digits, ISBN13_DIGITS), ISBN13_DIGITS);
    if (!mp_map_i64(map, "qty", &out->quantity) || out->quantity < 1 || out->quantity > 9999)
        return wrong(err, "qty");
    if (mp_map_str(map, "title", &title) && title.len && title.len <= CONTRACT_TITLE_BYTES)
        SCHEMA_SET(out, title, title);
    return amount_take(map, "unitPrice", &out->unit_amount, err);
}

static bool lines_read(bytes_t map, arena_t *arena, order_line_list_t *out, error_t *err)
{
    bytes_t list, entry;
    uint32_t count;
    mp_reader_t reader;
    if (!mp_map_find(map, "lines", &list))
        return wrong(err, "lines");
    reader = mp_reader(list);
    order_line_t *lines = NULL;
    if (!mp_get_array(&reader, &count) || count > LINES_MAX || !(lines = arena_array(arena, count + 1, sizeof(*lines))))
        return wrong(err, "lines");
    for (uint32_t i = 0; i < count; i++)
        if (!mp_get_raw(&reader, &entry) || !line_read(entry, arena, &lines[i], err))
            return error_prefix(err, "lines[%u]", i);
    *out = (order_line_list_t){.items = lines, .count = count};
    return true;
}

static void order_extras(bytes_t map, arena_t *arena, erp_order_t *out)
{
    bytes_t text;
    bytes_t updated = mp_map_str(map, "updatedAt", &text) ? translate_time(text, arena) : BYTES_NONE;
    bytes_t expected = mp_map_str(map, "deliveryDate", &text) ? translate_date(text, arena) : BYTES_NONE;
    if (updated.len)
        SCHEMA_SET(out, updated_at, updated);
    if (expected.len)
        SCHEMA_SET(out, expected_on, expected);
    if (mp_map_str(map, "parcelNo", &text) && text.len && text.len <= 128)
        SCHEMA_SET(out, tracking_number, text);
}

bool translate_order(bytes_t document, arena_t *arena, erp_order_t *out, error_t *err)
{
    bytes_t status, placed;
    *out = (erp_order_t){0};
    if (!text_take(document, "orderNo", CONTRACT_ID_BYTES, &out->order_id, err) ||
        !text_take(document, "customerNo", CONTRACT_ID_BYTES, &out->customer_id, err) ||
        !text_take(document, "statusCode", CONTRACT_ID_BYTES, &status, err) ||
        !lines_read(document, arena, &out->items, err) || !amount_take(document, "total", &out->total_amount, err) ||
        !currency_take(document, arena, &out->currency, err) ||
        !text_take(document, "orderedAt", CONTRACT_ID_BYTES, &placed, err))
        return false;
    out->status = word_of(order_words, ARRAY_LEN(order_words), status, "unknown");
    out->placed_at = translate_time(placed, arena);
    order_extras(document, arena, out);
    return out->placed_at.len > 0 || wrong(err, "orderedAt");
}

bool translate_orders(bytes_t document, arena_t *arena, erp_order_list_response_t *out, error_t *err)
{
    bytes_t list, entry;
    uint32_t count;
    *out = (erp_order_list_response_t){0};
    if (!mp_map_find(document, "orders", &list))
        return wrong(err, "orders");
    mp_reader_t reader = mp_reader(list);
    erp_order_t *orders = NULL;
    if (!mp_get_array(&reader, &count) || count > ORDERS_PAGE_MAX ||
        !(orders = arena_array(arena, count + 1, sizeof(*orders))))
        return wrong(err, "orders");
    for (uint32_t i = 0; i < count; i++)
        if (!mp_get_raw(&reader, &entry) || !translate_order(entry, arena, &orders[i], err))
            return error_prefix(err, "orders[%u]", i);
    out->orders = (erp_order_list_t){.items = orders, .count = count};
    if (mp_map_str(document, "nextPageToken", &entry) && entry.len && entry.len <= 256)
        SCHEMA_SET(out, next_cursor, entry);
    return true;
}

/* -- payments ---------------------------------------------------------------------------------------------------- */
bool translate_payment(bytes_t document, arena_t *arena, erp_payment_t *out, error_t *err)
{
    bytes_t state, text;
    int64_t refunded;
    *out = (erp_payment_t){0};
    if (!text_take(document, "id", CONTRACT_ID_BYTES, &out->payment_id, err) ||
        !text_take(document, "state", CONTRACT_ID_BYTES, &state, err) ||
        !amount_take(document, "amount", &out->amount, err) || !currency_take(document, arena, &out->currency, err))
        return false;
    out->status = word_of(payment_words, ARRAY_LEN(payment_words), state, "unknown");
    if (mp_map_str(document, "order", &text) && text.len && text.len <= CONTRACT_ID_BYTES)
        SCHEMA_SET(out, order_id, text);
    if (amount_take(document, "refunded", &refunded, NULL))
        SCHEMA_SET(out, refunded_amount, refunded);
    return true;
}

bool translate_refund(bytes_t document, arena_t *arena, erp_payment_refund_response_t *out, error_t *err)
{
    bytes_t state, payment;
    *out = (erp_payment_refund_response_t){0};
    if (!text_take(document, "id", CONTRACT_ID_BYTES, &out->refund_id, err) ||
        !text_take(document, "state", CONTRACT_ID_BYTES, &state, err) ||
        !amount_take(document, "amount", &out->amount, err))
        return false;
    out->status = word_of(refund_words, ARRAY_LEN(refund_words), state, "pending");
    return (mp_map_find(document, "payment", &payment) || wrong(err, "payment")) &&
           translate_payment(payment, arena, &out->payment, err);
}
