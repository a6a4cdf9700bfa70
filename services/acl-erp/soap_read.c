/* soap_read.c: one pass over the document with libxml2's reader, after the bytes became UTF-8. */
#include <libxml/xmlreader.h>

#include "kit/text.h"
#include "services/acl-erp/soap.h"

#define PROLOG_BYTES 256 /* where an XML declaration may stand */
enum { DEPTH_ENVELOPE, DEPTH_PART, DEPTH_OPERATION, DEPTH_ITEM, DEPTH_FIELD };

typedef struct {
    arena_t *arena;
    soap_reply_t *out;
    error_t *err;
    buf_t text;   /* of the element that is open */
    buf_t normal; /* scratch */
    soap_item_t *items;
    uint32_t item_count;
    soap_field_t fields[SOAP_FIELDS_MAX]; /* of the item that is open */
    uint32_t field_count;
    soap_field_t values[SOAP_FIELDS_MAX];
    uint32_t value_count;
    bool is_envelope, is_in_body, has_answer;
} parse_t;

static bool broken(parse_t *parse, const char *why)
{
    return error_set(parse->err, STATUS_DATA_LOSS, NULL, "the ERP's answer is no SOAP envelope: %s", why);
}

static bool too_much(parse_t *parse, const char *what)
{
    return error_set(parse->err, STATUS_RESOURCE_EXHAUSTED, NULL, "the ERP's answer has too many %s", what);
}

/* -- texts ------------------------------------------------------------------------------------------------ */
static bool keep(parse_t *parse, bytes_t text, bytes_t *out)
{
    uint8_t *copy = arena_alloc(parse->arena, text.len + 1);
    if (!copy)
        return too_much(parse, "bytes");
    memcpy(copy, text.len ? text.data : (const uint8_t *)"", text.len);
    *out = bytes_from(copy, text.len);
    return true;
}

static bytes_t trimmed(bytes_t text)
{
    while (text.len && memchr(" \t\r\n", text.data[0], 4))
        text = bytes_from(text.data + 1, text.len - 1);
    while (text.len && memchr(" \t\r\n", text.data[text.len - 1], 4))
        text.len--;
    return text;
}

/* The text of the element that ends here. */
static bool text_take(parse_t *parse, bytes_t *out)
{
    buf_clear(&parse->normal);
    text_nfc(&parse->normal, trimmed(buf_bytes(&parse->text)));
    buf_clear(&parse->text);
    return keep(parse, buf_bytes(&parse->normal), out);
}

static bool field_add(parse_t *parse, soap_field_t *fields, uint32_t *count, const char *name)
{
    if (*count == SOAP_FIELDS_MAX)
        return too_much(parse, "fields");
    soap_field_t *field = &fields[(*count)++];
    return keep(parse, bytes_cstr(name), &field->name) && text_take(parse, &field->value);
}

/* -- items -------------------------------------------------------------------------------------------------- */
static bool item_end(parse_t *parse, const char *name)
{
    if (parse->field_count == 0)
        return field_add(parse, parse->values, &parse->value_count, name);
    if (parse->item_count == SOAP_ITEMS_MAX)
        return too_much(parse, "items");
    soap_item_t *item = &parse->items[parse->item_count++];
    soap_field_t *fields = arena_array(parse->arena, parse->field_count, sizeof(*fields));
    if (!fields)
        return too_much(parse, "bytes");
    memcpy(fields, parse->fields, parse->field_count * sizeof(*fields));
    item->fields = fields;
    item->count = parse->field_count;
    parse->field_count = 0;
    return keep(parse, bytes_cstr(name), &item->name);
}

/* -- faults ------------------------------------------------------------------------------------------------- */
static bool ends_with(bytes_t text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && memcmp(text.data + text.len - len, end, len) == 0;
}

/* By name, wherever it stands: 1.1 has faultcode and faultstring, 1.2 has Code/Value and Reason/Text. */
static bool fault_element_end(parse_t *parse, const char *name)
{
    soap_fault_t *fault = &parse->out->fault;
    bytes_t text;
    if (!text_take(parse, &text))
        return false;
    if (strcmp(name, "ErrorCode") == 0)
        fault->code = text;
    else if (strcmp(name, "faultstring") == 0 || strcmp(name, "Text") == 0)
        fault->message = text;
    else if (strcmp(name, "faultcode") == 0 || strcmp(name, "Value") == 0)
        fault->is_sender = fault->is_sender || ends_with(text, "Client") || ends_with(text, "Sender") ||
                           ends_with(text, "VersionMismatch") || ends_with(text, "MustUnderstand");
    return true;
}

/* -- the walk ------------------------------------------------------------------------------------------------ */
static bool element_start(parse_t *parse, int depth, const char *name)
{
    buf_clear(&parse->text);
    if (depth >= SOAP_DEPTH_MAX)
        return too_much(parse, "levels");
    if (depth == DEPTH_ENVELOPE && strcmp(name, "Envelope") != 0)
        return broken(parse, "the root is no Envelope");
    if (depth == DEPTH_PART)
        parse->is_in_body = strcmp(name, "Body") == 0;
    if (depth == DEPTH_OPERATION && parse->is_in_body) {
        parse->has_answer = true;
        parse->out->is_fault = parse->out->is_fault || strcmp(name, "Fault") == 0;
    }
    return true;
}

static bool element_end(parse_t *parse, int depth, const char *name)
{
    if (!parse->is_in_body || depth < DEPTH_ITEM)
        return true;
    if (parse->out->is_fault)
        return fault_element_end(parse, name);
    if (depth == DEPTH_ITEM)
        return item_end(parse, name);
    if (depth == DEPTH_FIELD)
        return field_add(parse, parse->fields, &parse->field_count, name);
    buf_clear(&parse->text); /* deeper than anything that we know: skipped */
    return true;
}

static bool node_read(parse_t *parse, xmlTextReader *reader)
{
    const char *name = (const char *)xmlTextReaderConstLocalName(reader);
    int depth = xmlTextReaderDepth(reader);
    switch (xmlTextReaderNodeType(reader)) {
    case XML_READER_TYPE_DOCUMENT_TYPE:
        return broken(parse, "it has a DOCTYPE");
    case XML_READER_TYPE_ELEMENT:
        return element_start(parse, depth, name) &&
               (!xmlTextReaderIsEmptyElement(reader) || element_end(parse, depth, name));
    case XML_READER_TYPE_END_ELEMENT:
        return element_end(parse, depth, name);
    case XML_READER_TYPE_TEXT:
    case XML_READER_TYPE_CDATA:
        buf_append_bytes(&parse->text, bytes_cstr((const char *)xmlTextReaderConstValue(reader)));
        return true;
    default:
        return true;
    }
}

static bool document_walk(parse_t *parse, xmlTextReader *reader)
{
    int more;
    while ((more = xmlTextReaderRead(reader)) == 1)
        if (!node_read(parse, reader))
            return false;
    if (more != 0)
        return broken(parse, "malformed XML");
    return parse->has_answer || broken(parse, "its body is empty");
}

/* The declaration still says Shift_JIS, and libxml2 would believe it. */
static bytes_t without_declaration(bytes_t utf8)
{
    if (bytes_has_prefix(utf8, BYTES_LIT("\xEF\xBB\xBF")))
        utf8 = bytes_from(utf8.data + 3, utf8.len - 3);
    const uint8_t *end = memmem(utf8.data, utf8.len, "?>", 2);
    if (!bytes_has_prefix(utf8, BYTES_LIT("<?xml ")) || !end)
        return utf8;
    size_t skip = (size_t)(end - utf8.data) + 2;
    return bytes_from(utf8.data + skip, utf8.len - skip);
}

static bool document_read(parse_t *parse, bytes_t utf8)
{
    xmlTextReader *reader = xmlReaderForMemory((const char *)utf8.data, (int)utf8.len, NULL, "UTF-8",
                                               XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!reader)
        return error_set(parse->err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    bool is_read = document_walk(parse, reader);
    xmlFreeTextReader(reader);
    return is_read;
}

/* -- encoding ------------------------------------------------------------------------------------------------ */
static bool declares_utf8(bytes_t body)
{
    static const char *const names[] = {"\"UTF-8\"", "'UTF-8'", "\"utf-8\"", "'utf-8'"};
    size_t look = body.len < PROLOG_BYTES ? body.len : PROLOG_BYTES;
    const uint8_t *end = memmem(body.data, look, "?>", 2);
    if (body.len >= 3 && memcmp(body.data, "\xEF\xBB\xBF", 3) == 0)
        return true;
    for (size_t i = 0; end && i < ARRAY_LEN(names); i++)
        if (memmem(body.data, (size_t)(end - body.data), names[i], strlen(names[i])))
            return true;
    return false;
}

static bool to_utf8(cp932_t *codec, bytes_t body, buf_t *out, error_t *err)
{
    size_t bad_at = 0;
    if (!declares_utf8(body))
        return cp932_read(codec, body, out, err);
    if (!bytes_is_utf8(body, &bad_at))
        return error_set(err, STATUS_DATA_LOSS, NULL, "the ERP sent what is no UTF-8, at byte %zu", bad_at);
    buf_append_bytes(out, body);
    return true;
}

bool soap_read(cp932_t *codec, bytes_t body, arena_t *arena, soap_reply_t *out, error_t *err)
{
    *out = (soap_reply_t){0};
    if (body.len > SOAP_BODY_MAX_BYTES)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the ERP's answer has over %zu bytes",
                         SOAP_BODY_MAX_BYTES);
    parse_t *parse = arena_alloc(arena, sizeof(*parse));
    soap_item_t *items = arena_array(arena, SOAP_ITEMS_MAX, sizeof(*items));
    if (!parse || !items)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    *parse = (parse_t){.arena = arena, .out = out, .err = err, .items = items};
    buf_t utf8 = {0};
    bool is_read = (body.len || broken(parse, "nothing came")) && to_utf8(codec, body, &utf8, err) &&
                   document_read(parse, without_declaration(buf_bytes(&utf8)));
    buf_free(&utf8);
    buf_free(&parse->text);
    buf_free(&parse->normal);
    out->items = items;
    out->item_count = parse->item_count;
    out->values = (soap_item_t){.fields = parse->values, .count = parse->value_count};
    return is_read;
}

bytes_t soap_field(const soap_item_t *item, const char *name)
{
    for (uint32_t i = 0; i < item->count; i++)
        if (bytes_eq_cstr(item->fields[i].name, name))
            return item->fields[i].value;
    return BYTES_NONE;
}
