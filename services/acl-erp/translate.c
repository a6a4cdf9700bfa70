/* translate.c: field by field; whatever the ERP calls a thing, here is where the name ends. */
#include "services/acl-erp/translate.h"

#include <stdio.h>

#include "proto/isbn.h"
#include "proto/timefmt.h"

#define JAPAN_OFFSET_US (INT64_C(9) * 3600 * 1000000)
#define WIDE_SLASH "\xEF\xBC\x8F"   /* ／ */
#define WIDE_SPACE "\xE3\x80\x80"   /* ideographic space */
#define COMPANY_MARK "\xE3\x88\xB1" /* ㈱ */
#define NAMES_MAX 32
#define CREATOR_MAX_BYTES 512
#define GENRE_MAX_BYTES 128
#define PUBLISHER_MAX_BYTES 256
#define LABEL_MAX_BYTES 64
#define WAREHOUSE_MAX_BYTES 16
#define ETA_DAYS_MAX 3650
#define VOLUME_MAX 9999

/* -- small parts ------------------------------------------------------------------------------------------- */
bool translate_number(bytes_t text, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static bytes_t kept(bytes_t text, arena_t *arena)
{
    uint8_t *copy = arena_alloc(arena, text.len + 1);
    if (!copy)
        return BYTES_NONE;
    memcpy(copy, text.data, text.len);
    return bytes_from(copy, text.len);
}

/* "20251108" or, with any of / and - between, "2025-11-08"; false when it has another shape. */
static bool date_spell(bytes_t text, char out[TRANSLATE_DATE_BYTES])
{
    const char *t = (const char *)text.data;
    bool is_compact = text.len == 8;
    bool is_divided = text.len == 10 && (t[4] == '/' || t[4] == '-') && t[7] == t[4];
    if (!is_compact && !is_divided)
        return false;
    const char *month = is_compact ? t + 4 : t + 5, *day = is_compact ? t + 6 : t + 8;
    (void)snprintf(out, TRANSLATE_DATE_BYTES, "%.4s-%.2s-%.2s", t, month, day);
    return true;
}

bytes_t translate_date(bytes_t text, arena_t *arena)
{
    char spelt[TRANSLATE_DATE_BYTES];
    if (!date_spell(text, spelt) || !timefmt_parse_date(bytes_cstr(spelt), NULL))
        return BYTES_NONE;
    return kept(bytes_cstr(spelt), arena);
}

bytes_t translate_time(bytes_t text, arena_t *arena)
{
    char date[TRANSLATE_DATE_BYTES], spelt[40], utc[TIMEFMT_S_BYTES];
    int64_t unix_us;
    if (text.len != 19 || text.data[10] != ' ' || !date_spell(bytes_from(text.data, 10), date))
        return BYTES_NONE;
    (void)snprintf(spelt, sizeof(spelt), "%sT%.8s+09:00", date, (const char *)text.data + 11);
    if (!timefmt_parse(bytes_cstr(spelt), &unix_us))
        return BYTES_NONE;
    timefmt_s(unix_us, utc);
    return kept(bytes_cstr(utc), arena);
}

bool translate_time_back(bytes_t rfc3339, arena_t *arena, bytes_t *out, error_t *err)
{
    char utc[TIMEFMT_S_BYTES], japan[40];
    int64_t unix_us;
    if (!timefmt_parse(rfc3339, &unix_us))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "expected a time as RFC 3339 has it");
    timefmt_s(unix_us + JAPAN_OFFSET_US, utc);
    (void)snprintf(japan, sizeof(japan), "%.4s/%.2s/%.2s %.8s", utc, utc + 5, utc + 8, utc + 11);
    *out = kept(bytes_cstr(japan), arena);
    return out->len > 0 || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

/* -- names ---------------------------------------------------------------------------------------------------- */
static bool starts_with(bytes_t text, const char *start)
{
    return bytes_has_prefix(text, bytes_cstr(start));
}

static bytes_t without_head(bytes_t text, size_t len)
{
    return bytes_from(text.data + len, text.len - len);
}

static bytes_t name_trim(bytes_t name)
{
    for (;;) {
        if (name.len && name.data[0] == ' ')
            name = without_head(name, 1);
        else if (starts_with(name, WIDE_SPACE))
            name = without_head(name, 3);
        else if (name.len && name.data[name.len - 1] == ' ')
            name.len--;
        else if (name.len >= 3 && memcmp(name.data + name.len - 3, WIDE_SPACE, 3) == 0)
            name.len -= 3;
        else
            return name;
    }
}

/* "[まんが]太田勝" is 太田勝. */
static bytes_t role_strip(bytes_t name)
{
    const uint8_t *end = name.len && name.data[0] == '[' ? memchr(name.data, ']', name.len) : NULL;
    return end ? name_trim(without_head(name, (size_t)(end - name.data) + 1)) : name;
}

/* Cuts off what stands before the next divider. */
static bytes_t name_cut(bytes_t *rest)
{
    for (size_t i = 0; i < rest->len; i++) {
        size_t divider = rest->data[i] == '/' ? 1 : starts_with(without_head(*rest, i), WIDE_SLASH) ? 3 : 0;
        if (divider) {
            bytes_t name = bytes_from(rest->data, i);
            *rest = without_head(*rest, i + divider);
            return name;
        }
    }
    bytes_t name = *rest;
    *rest = BYTES_NONE;
    return name;
}

bytes_list_t translate_names(bytes_t text, uint32_t max, size_t part_max_bytes, arena_t *arena)
{
    bytes_list_t list = {0};
    bytes_t *items = text.len ? arena_array(arena, max, sizeof(*items)) : NULL;
    while (items && text.len && list.count < max) {
        bytes_t name = role_strip(name_trim(name_cut(&text)));
        if (name.len && name.len <= part_max_bytes)
            items[list.count++] = name;
    }
    list.items = items;
    return list;
}

static bytes_t company_strip(bytes_t name)
{
    size_t mark = strlen(COMPANY_MARK);
    if (starts_with(name, COMPANY_MARK))
        name = without_head(name, mark);
    else if (name.len > mark && memcmp(name.data + name.len - mark, COMPANY_MARK, mark) == 0)
        name.len -= mark;
    return name_trim(name);
}

/* -- records ---------------------------------------------------------------------------------------------------- */
static bool isbn_take(const soap_item_t *item, arena_t *arena, bytes_t *out, error_t *err)
{
    char isbn[ISBN13_TEXT_BYTES];
    bytes_t text = soap_field(item, "ISBN");
    if (!isbn_normalize(text, isbn))
        return error_set(err, STATUS_DATA_LOSS, NULL, "isbn: not 13 digits with a valid check digit: '%.*s'",
                         (int)(text.len < 32 ? text.len : 32), text.len ? (const char *)text.data : "");
    *out = kept(bytes_cstr(isbn), arena);
    return out->len > 0 || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

static bool is_text(bytes_t text, size_t max_bytes)
{
    return text.len > 0 && text.len <= max_bytes;
}

static const char *stock_status(bytes_t code)
{
    static const char *const names[] = {"in_stock", "low_stock", "out_of_stock", "preorder"};
    bool is_known = code.len == 2 && code.data[0] == '0' && code.data[1] >= '1' && code.data[1] <= '4';
    return is_known ? names[code.data[1] - '1'] : "unknown";
}

static void stock_extras(const soap_item_t *item, arena_t *arena, stock_line_t *out)
{
    int64_t number;
    bytes_t title = soap_field(item, "Title"), date = translate_date(soap_field(item, "LastRestockDate"), arena);
    if (is_text(title, CONTRACT_TITLE_BYTES))
        SCHEMA_SET(out, title, title);
    if (translate_number(soap_field(item, "PriceJPY"), CONTRACT_AMOUNT_MAX, &number))
        SCHEMA_SET(out, price_jpy, number);
    if (date.len)
        SCHEMA_SET(out, last_restock_date, date);
    if (translate_number(soap_field(item, "RestockETADays"), ETA_DAYS_MAX, &number))
        SCHEMA_SET(out, eta_days, number);
}

bool translate_stock(const soap_item_t *item, bytes_t as_of, arena_t *arena, stock_line_t *out, error_t *err)
{
    *out = (stock_line_t){.as_of = as_of};
    if (!isbn_take(item, arena, &out->isbn, err))
        return false;
    out->warehouse_code = soap_field(item, "WarehouseCode");
    if (!is_text(out->warehouse_code, WAREHOUSE_MAX_BYTES))
        return error_set(err, STATUS_DATA_LOSS, NULL, "warehouse_code: 1 to %d bytes", WAREHOUSE_MAX_BYTES);
    if (!translate_number(soap_field(item, "Quantity"), CONTRACT_QUANTITY_MAX, &out->quantity))
        return error_set(err, STATUS_DATA_LOSS, NULL, "quantity: not a whole number up to %d", CONTRACT_QUANTITY_MAX);
    out->status = bytes_cstr(stock_status(soap_field(item, "StatusCode")));
    stock_extras(item, arena, out);
    return true;
}

static const char *sale_status(bytes_t code)
{
    if (bytes_eq_cstr(code, "2"))
        return "preorder";
    return bytes_eq_cstr(code, "9") ? "discontinued" : "active";
}

static void book_texts(const soap_item_t *item, arena_t *arena, book_t *out)
{
    bytes_t kana = soap_field(item, "TitleKana"), english = soap_field(item, "TitleEN");
    bytes_t label = soap_field(item, "VolumeLabel"), publisher = company_strip(soap_field(item, "Publisher"));
    bytes_list_t creators = translate_names(soap_field(item, "Authors"), NAMES_MAX, CREATOR_MAX_BYTES, arena);
    bytes_list_t genres = translate_names(soap_field(item, "Genre"), NAMES_MAX, GENRE_MAX_BYTES, arena);
    if (is_text(kana, CONTRACT_TITLE_BYTES))
        SCHEMA_SET(out, title_kana, kana);
    if (is_text(english, CONTRACT_TITLE_BYTES))
        SCHEMA_SET(out, title_en, english);
    if (is_text(label, LABEL_MAX_BYTES))
        SCHEMA_SET(out, volume_label, label);
    if (is_text(publisher, PUBLISHER_MAX_BYTES))
        SCHEMA_SET(out, publisher, publisher);
    if (creators.count)
        SCHEMA_SET(out, creators, creators);
    if (genres.count)
        SCHEMA_SET(out, genres, genres);
}

static void book_numbers(const soap_item_t *item, arena_t *arena, book_t *out)
{
    int64_t number;
    bytes_t released = translate_date(soap_field(item, "ReleaseDate"), arena);
    bytes_t updated = translate_time(soap_field(item, "UpdatedAt"), arena);
    if (translate_number(soap_field(item, "VolumeNo"), VOLUME_MAX, &number) && number > 0)
        SCHEMA_SET(out, volume, number);
    if (translate_number(soap_field(item, "PriceJPY"), CONTRACT_AMOUNT_MAX, &number))
        SCHEMA_SET(out, price_jpy, number);
    if (translate_number(soap_field(item, "Revision"), INT64_MAX / 100, &number))
        SCHEMA_SET(out, version, number);
    if (released.len)
        SCHEMA_SET(out, published_on, released);
    if (updated.len)
        SCHEMA_SET(out, updated_at, updated);
    SCHEMA_SET(out, status, bytes_cstr(sale_status(soap_field(item, "SaleStatus"))));
}

bool translate_book(const soap_item_t *item, arena_t *arena, book_t *out, error_t *err)
{
    *out = (book_t){0};
    if (!isbn_take(item, arena, &out->isbn, err))
        return false;
    out->title = soap_field(item, "Title");
    if (!is_text(out->title, CONTRACT_TITLE_BYTES))
        return error_set(err, STATUS_DATA_LOSS, NULL, "title: 1 to %d bytes", CONTRACT_TITLE_BYTES);
    book_texts(item, arena, out);
    book_numbers(item, arena, out);
    return true;
}

bool translate_raw(const soap_item_t *item, arena_t *arena, bytes_t *out)
{
    buf_t text = {0};
    for (uint32_t i = 0; i < item->count; i++) {
        buf_append_cstr(&text, i ? "; " : "");
        buf_append_bytes(&text, item->fields[i].name);
        buf_append_byte(&text, '=');
        buf_append_bytes(&text, item->fields[i].value);
    }
    *out = text.failed || text.len == 0 ? BYTES_NONE : kept(buf_bytes(&text), arena);
    buf_free(&text);
    return out->len > 0;
}
