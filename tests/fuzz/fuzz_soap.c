/* fuzz_soap.c: no answer of the ERP, however broken, does more than fail; what is read is UTF-8, and what becomes of it
 * keeps the contract. */
#include <libxml/xmlerror.h>
#include <stdlib.h>

#include "services/acl-erp/soap.h"
#include "services/acl-erp/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void quiet(void *ctx, const char *message, ...)
{
    (void)ctx;
    (void)message;
}

static void item_check(const soap_item_t *item, arena_t *arena)
{
    stock_line_t line;
    book_t book;
    bytes_t raw;
    error_t err = {0};
    buf_t packed = {0};
    must(item->count <= SOAP_FIELDS_MAX && bytes_is_utf8(item->name, NULL));
    for (uint32_t i = 0; i < item->count; i++)
        must(bytes_is_utf8(item->fields[i].name, NULL) && bytes_is_utf8(item->fields[i].value, NULL));
    if (translate_stock(item, BYTES_LIT("2026-01-30T20:15:12Z"), arena, &line, &err))
        must(stock_line_pack(&packed, &line, &err));
    if (translate_book(item, arena, &book, &err))
        must(book_pack(&packed, &book, &err));
    (void)translate_raw(item, arena, &raw);
    buf_free(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cp932_t *codec;
    arena_t arena;
    soap_reply_t reply;
    error_t err = {0};
    if (!codec) {
        codec = cp932_new(NULL);
        must(codec != NULL);
        xmlSetGenericErrorFunc(NULL, quiet);
    }
    arena_init(&arena, SOAP_ARENA_MAX_BYTES);
    if (soap_read(codec, bytes_from(data, size), &arena, &reply, &err)) {
        must(!reply.is_fault || reply.item_count == 0);
        must(bytes_is_utf8(reply.fault.code, NULL) && bytes_is_utf8(reply.fault.message, NULL));
        item_check(&reply.values, &arena);
        for (uint32_t i = 0; i < reply.item_count; i++)
            item_check(&reply.items[i], &arena);
    } else {
        must(err.code == STATUS_DATA_LOSS || err.code == STATUS_RESOURCE_EXHAUSTED);
    }
    arena_free(&arena);
    return 0;
}
