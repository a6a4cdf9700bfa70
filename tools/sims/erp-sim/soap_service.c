/* soap_service.c: one function an operation, writing straight into the answer. */
#include "tools/sims/erp-sim/soap_service.h"

#include <stdio.h>
#include <time.h>

#include "tools/sims/erp-sim/legacy_time.h"

#define JAPAN_OFFSET_S 32400
#define PAGE_DEFAULT 100

typedef struct {
    const sim_shop_t *shop;
    const sim_soap_request_t *request;
    buf_t *out;
    sim_fault_t *fault;
} task_t;

/* -- items --------------------------------------------------------------------------------------------- */
static void element(task_t *task, const char *name, bytes_t value)
{
    sim_element(task->shop->text, task->out, name, value);
}

static void element_day(task_t *task, const char *name, int32_t day, sim_time_style_t style)
{
    char text[SIM_TIME_BYTES];
    sim_day_format(day, style, text);
    element(task, name, bytes_cstr(text));
}

/* The ERP's own title has the volume behind it. */
static void stock_title(task_t *task, const sim_volume_t *volume)
{
    buf_t title = {0};
    buf_append_bytes(&title, volume->work->title);
    if (*volume->label)
        buf_printf(&title, " %s", volume->label);
    else if (sim_work_listed(volume->work) > 1)
        buf_printf(&title, " %u", volume->number);
    element(task, "Title", buf_bytes(&title));
    buf_free(&title);
}

static void stock_item(task_t *task, const sim_volume_t *volume, const sim_stock_t *line)
{
    buf_append_cstr(task->out, "<inv:StockItem>");
    element(task, "ISBN", bytes_cstr(volume->isbn));
    stock_title(task, volume);
    sim_element_i64(task->out, "Quantity", line->quantity);
    element(task, "WarehouseCode", bytes_cstr(line->warehouse));
    element(task, "StatusCode", bytes_cstr(line->status));
    element_day(task, "LastRestockDate", line->restocked_day, SIM_DATE_SLASHES);
    sim_element_i64(task->out, "PriceJPY", volume->price_jpy);
    if (line->eta_days >= 0)
        sim_element_i64(task->out, "RestockETADays", line->eta_days);
    buf_append_cstr(task->out, "</inv:StockItem>\n");
}

static size_t stock_items(task_t *task, const sim_volume_t *volume)
{
    sim_stock_t lines[SIM_WAREHOUSES];
    size_t count = sim_stock_lines(task->shop->stock, volume, bytes_cstr(task->request->warehouse), lines);
    for (size_t i = 0; i < count; i++)
        stock_item(task, volume, &lines[i]);
    return count;
}

static void catalog_item(task_t *task, const sim_volume_t *volume)
{
    const sim_work_t *work = volume->work;
    bool has_number = sim_work_listed(work) > 1 && !*volume->label;
    char updated[SIM_TIME_BYTES];
    sim_time_format(volume->updated_s, SIM_TIME_SLASHES, updated);
    buf_append_cstr(task->out, "<inv:CatalogItem>");
    element(task, "ISBN", bytes_cstr(volume->isbn));
    element(task, "Title", work->title);
    element(task, "TitleKana", work->title_kana);
    element(task, "TitleEN", work->title_en);
    sim_element_i64(task->out, "VolumeNo", has_number ? volume->number : 0);
    element(task, "VolumeLabel", bytes_cstr(volume->label));
    element(task, "Authors", work->creators);
    element(task, "Publisher", work->publisher);
    element(task, "Genre", work->genres);
    sim_element_i64(task->out, "PriceJPY", volume->price_jpy);
    element_day(task, "ReleaseDate", volume->released_day, SIM_DATE_COMPACT);
    sim_element_i64(task->out, "SaleStatus", volume->sale);
    sim_element_i64(task->out, "Revision", volume->revision);
    element(task, "UpdatedAt", bytes_cstr(updated));
    buf_append_cstr(task->out, "</inv:CatalogItem>\n");
}

/* -- operations ------------------------------------------------------------------------------------------ */
static bool is_isbn(task_t *task, const char *isbn)
{
    return isbn13_is_valid(bytes_cstr(isbn)) || sim_fault_set(task->fault, true, "E103", "ISBN が不正です: %s", isbn);
}

static bool find_one(task_t *task, sim_volume_t *volume)
{
    const sim_soap_request_t *request = task->request;
    if (request->isbn_count != 1)
        return sim_fault_set(task->fault, true, "E104", "ISBN は 1 件指定してください: %zu 件", request->isbn_count);
    if (!is_isbn(task, request->isbns[0]))
        return false;
    return sim_catalogue_find(task->shop->catalogue, bytes_cstr(request->isbns[0]), volume) ||
           sim_fault_set(task->fault, true, "E101", "該当商品がありません: %s", request->isbns[0]);
}

static bool get_stock_level(task_t *task)
{
    sim_volume_t volume;
    if (!find_one(task, &volume))
        return false;
    return stock_items(task, &volume) > 0 ||
           sim_fault_set(task->fault, true, "E105", "倉庫に取扱いがありません: %s", task->request->warehouse);
}

static bool get_batch_stock_levels(task_t *task)
{
    const sim_soap_request_t *request = task->request;
    sim_volume_t volume;
    if (request->isbn_count == 0 || request->isbn_count > SIM_BATCH_MAX)
        return sim_fault_set(task->fault, true, "E102", "ISBN は 1～%d 件です: %zu 件", SIM_BATCH_MAX,
                             request->isbn_count);
    for (size_t i = 0; i < request->isbn_count; i++)
        if (!is_isbn(task, request->isbns[i]))
            return false;
    for (size_t i = 0; i < request->isbn_count; i++)
        if (sim_catalogue_find(task->shop->catalogue, bytes_cstr(request->isbns[i]), &volume))
            (void)stock_items(task, &volume);
    return true;
}

/* "2025/11/08 09:30:00" of Japan, as UpdatedAt has it; 0 for none given. */
static bool changed_since(task_t *task, int64_t *unix_s)
{
    struct tm parts = {0};
    const char *text = task->request->changed_since;
    *unix_s = 0;
    if (!*text)
        return true;
    const char *end = strptime(text, "%Y/%m/%d %H:%M:%S", &parts);
    if (!end || *end)
        return sim_fault_set(task->fault, true, "E106", "日時が不正です: %s", text);
    *unix_s = (int64_t)timegm(&parts) - JAPAN_OFFSET_S;
    return true;
}

static bool page_size(task_t *task, int64_t *size)
{
    *size = task->request->page_size ? task->request->page_size : PAGE_DEFAULT;
    return (*size >= 1 && *size <= SIM_PAGE_MAX) ||
           sim_fault_set(task->fault, true, "E107", "PageSize は 1～%d です", SIM_PAGE_MAX);
}

static bool get_catalog_page(task_t *task)
{
    int64_t since_s, size;
    const char *after = task->request->after_isbn;
    if (!changed_since(task, &since_s) || !page_size(task, &size) || (*after && !is_isbn(task, after)))
        return false;
    sim_volume_t volume;
    char isbn[ISBN13_TEXT_BYTES];
    (void)bytes_to_cstr(bytes_cstr(after), isbn, sizeof(isbn));
    int64_t written = 0;
    bool has_more = false;
    while (!has_more && sim_catalogue_after(task->shop->catalogue, bytes_cstr(isbn), &volume)) {
        memcpy(isbn, volume.isbn, sizeof(isbn));
        if (volume.updated_s < since_s)
            continue;
        has_more = written == size;
        if (!has_more)
            catalog_item(task, &volume);
        written++;
    }
    if (!since_s)
        sim_element_i64(task->out, "TotalCount", (int64_t)sim_catalogue_volumes(task->shop->catalogue));
    sim_element_i64(task->out, "HasMore", has_more);
    return true;
}

static bool get_product(task_t *task)
{
    sim_volume_t volume;
    if (!find_one(task, &volume))
        return false;
    catalog_item(task, &volume);
    return true;
}

/* -- envelopes --------------------------------------------------------------------------------------------- */
static const struct {
    const char *name;
    bool (*fn)(task_t *task);
} operations[] = {
    {"GetStockLevel", get_stock_level},
    {"GetBatchStockLevels", get_batch_stock_levels},
    {"GetCatalogPage", get_catalog_page},
    {"GetProduct", get_product},
};

static void envelope_begin(sim_soap_t version, buf_t *out)
{
    buf_printf(out,
               "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>\n<soapenv:Envelope xmlns:soapenv=\"%s\" "
               "xmlns:inv=\"" SIM_INVENTORY_NS "\">\n<soapenv:Body>\n",
               version == SIM_SOAP_12 ? SIM_SOAP_12_NS : SIM_SOAP_11_NS);
}

static void envelope_end(buf_t *out)
{
    buf_append_cstr(out, "</soapenv:Body>\n</soapenv:Envelope>\n");
}

bool sim_soap_answer(const sim_shop_t *shop, const sim_soap_request_t *request, buf_t *out, sim_fault_t *fault)
{
    task_t task = {.shop = shop, .request = request, .out = out, .fault = fault};
    size_t start = out->len, which = 0;
    while (which < ARRAY_LEN(operations) && strcmp(operations[which].name, request->operation) != 0)
        which++;
    if (which == ARRAY_LEN(operations))
        return sim_fault_set(fault, true, "E003", "操作がありません: %s", request->operation);
    envelope_begin(request->version, out);
    buf_printf(out, "<inv:%sResponse>\n", request->operation);
    if (!operations[which].fn(&task)) {
        out->len = start;
        return false;
    }
    buf_printf(out, "</inv:%sResponse>\n", request->operation);
    envelope_end(out);
    return !out->failed || sim_fault_set(fault, false, "E900", "メモリ不足です");
}

static void fault_detail(const sim_shop_t *shop, const sim_fault_t *fault, buf_t *out)
{
    sim_element(shop->text, out, "ErrorCode", bytes_cstr(fault->code));
    sim_element(shop->text, out, "ErrorMessage", bytes_cstr(fault->message));
}

static void fault_11(const sim_shop_t *shop, const sim_fault_t *fault, buf_t *out)
{
    const char *code = fault->is_version_mismatch ? "VersionMismatch" : fault->is_sender ? "Client" : "Server";
    buf_printf(out, "<soapenv:Fault><faultcode>soapenv:%s</faultcode><faultstring>", code);
    sim_text_write(shop->text, out, bytes_cstr(fault->message));
    buf_append_cstr(out, "</faultstring><detail>");
    fault_detail(shop, fault, out);
    buf_append_cstr(out, "</detail></soapenv:Fault>\n");
}

static void fault_12(const sim_shop_t *shop, const sim_fault_t *fault, buf_t *out)
{
    const char *code = fault->is_version_mismatch ? "VersionMismatch" : fault->is_sender ? "Sender" : "Receiver";
    buf_printf(out,
               "<soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:%s</soapenv:Value></soapenv:Code>"
               "<soapenv:Reason><soapenv:Text xml:lang=\"ja\">",
               code);
    sim_text_write(shop->text, out, bytes_cstr(fault->message));
    buf_append_cstr(out, "</soapenv:Text></soapenv:Reason><soapenv:Detail>");
    fault_detail(shop, fault, out);
    buf_append_cstr(out, "</soapenv:Detail></soapenv:Fault>\n");
}

void sim_soap_write_fault(const sim_shop_t *shop, sim_soap_t version, const sim_fault_t *fault, buf_t *out)
{
    envelope_begin(version, out);
    if (version == SIM_SOAP_12)
        fault_12(shop, fault, out);
    else
        fault_11(shop, fault, out);
    envelope_end(out);
}

const char *sim_soap_content_type(sim_soap_t version)
{
    return version == SIM_SOAP_12 ? "application/soap+xml; charset=Shift_JIS" : "text/xml; charset=Shift_JIS";
}
