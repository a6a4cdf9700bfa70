/* soap_request.c: decodes CP932 first, then reads the small document as a tree. */
#include "tools/sims/erp-sim/soap_request.h"

#include <libxml/parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGEST_SUFFIX "#PasswordDigest"

bool sim_fault_set(sim_fault_t *fault, bool is_sender, const char *code, const char *fmt, ...)
{
    va_list args;
    *fault = (sim_fault_t){.is_sender = is_sender};
    (void)snprintf(fault->code, sizeof(fault->code), "%s", code);
    va_start(args, fmt);
    (void)vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
    return false;
}

static bool is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, (const xmlChar *)name);
}

static bool is_in(const xmlNode *node, const char *ns)
{
    return node->ns && xmlStrEqual(node->ns->href, (const xmlChar *)ns);
}

static xmlNode *child(const xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
        if (is_named(node, name))
            return node;
    return NULL;
}

static void copy_text(const xmlNode *node, char *out, size_t cap)
{
    xmlChar *content = node ? xmlNodeGetContent(node) : NULL;
    const char *start = content ? (const char *)content : "";
    start += strspn(start, " \t\r\n");
    size_t len = strlen(start);
    while (len && strchr(" \t\r\n", start[len - 1]))
        len--;
    (void)snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), start);
    xmlFree(content);
}

static bool digest_wanted(const xmlNode *password)
{
    xmlChar *type = password ? xmlGetProp(password, (const xmlChar *)"Type") : NULL;
    size_t len = type ? strlen((const char *)type) : 0, suffix = strlen(DIGEST_SUFFIX);
    bool is_digest = len >= suffix && strcmp((const char *)type + len - suffix, DIGEST_SUFFIX) == 0;
    xmlFree(type);
    return is_digest;
}

static void credentials_read(const xmlNode *header, sim_credentials_t *out)
{
    copy_text(child(header, "AuthToken"), out->token, sizeof(out->token));
    const xmlNode *user_token = child(child(header, "Security"), "UsernameToken");
    const xmlNode *password = child(user_token, "Password");
    copy_text(child(user_token, "Username"), out->user, sizeof(out->user));
    copy_text(password, out->password, sizeof(out->password));
    copy_text(child(user_token, "Nonce"), out->nonce, sizeof(out->nonce));
    copy_text(child(user_token, "Created"), out->created, sizeof(out->created));
    out->is_digest = digest_wanted(password);
}

static void argument_read(const xmlNode *node, sim_soap_request_t *out)
{
    char number[16];
    if (is_named(node, "ISBN") && out->isbn_count++ < SIM_BATCH_MAX)
        copy_text(node, out->isbns[out->isbn_count - 1], sizeof(out->isbns[0]));
    else if (is_named(node, "WarehouseCode"))
        copy_text(node, out->warehouse, sizeof(out->warehouse));
    else if (is_named(node, "AfterISBN"))
        copy_text(node, out->after_isbn, sizeof(out->after_isbn));
    else if (is_named(node, "ChangedSince"))
        copy_text(node, out->changed_since, sizeof(out->changed_since));
    else if (is_named(node, "PageSize")) {
        copy_text(node, number, sizeof(number));
        out->page_size = strtoll(number, NULL, 10);
        out->page_size = out->page_size > 0 ? out->page_size : -1;
    }
}

static bool operation_read(const xmlNode *body, sim_soap_request_t *out, sim_fault_t *fault)
{
    const xmlNode *operation = body ? body->children : NULL;
    while (operation && operation->type != XML_ELEMENT_NODE)
        operation = operation->next;
    if (!operation)
        return sim_fault_set(fault, true, "E001", "Body に操作がありません");
    if (!is_in(operation, SIM_INVENTORY_NS))
        return sim_fault_set(fault, true, "E003", "名前空間が不正です: %.80s", (const char *)operation->name);
    (void)snprintf(out->operation, sizeof(out->operation), "%s", (const char *)operation->name);
    for (const xmlNode *node = operation->children; node; node = node->next)
        argument_read(node, out);
    return true;
}

static bool envelope_read(const xmlNode *root, sim_soap_request_t *out, sim_fault_t *fault)
{
    if (!root || !is_named(root, "Envelope"))
        return sim_fault_set(fault, true, "E001", "SOAP Envelope ではありません");
    if (!is_in(root, SIM_SOAP_11_NS) && !is_in(root, SIM_SOAP_12_NS)) {
        (void)sim_fault_set(fault, true, "E001", "SOAP の版が不正です");
        fault->is_version_mismatch = true;
        return false;
    }
    out->version = is_in(root, SIM_SOAP_12_NS) ? SIM_SOAP_12 : SIM_SOAP_11;
    credentials_read(child(root, "Header"), &out->credentials);
    return operation_read(child(root, "Body"), out, fault);
}

static bool has_document_type(bytes_t xml)
{
    return memmem(xml.data, xml.len, "<!DOCTYPE", 9) != NULL;
}

bool sim_soap_parse(sim_text_t *text, bytes_t body, sim_soap_request_t *out, sim_fault_t *fault)
{
    *out = (sim_soap_request_t){0};
    size_t bad_at = 0;
    buf_t utf8 = {0};
    bool is_read = false;
    xmlDoc *document = NULL;
    if (body.len == 0 || body.len > SIM_SOAP_MAX_BYTES)
        (void)sim_fault_set(fault, true, "E001", "電文長が不正です: %zu バイト", body.len);
    else if (!sim_text_read(text, body, &utf8, &bad_at))
        (void)sim_fault_set(fault, true, "E002", "文字コードが不正です (Shift_JIS): 位置 %zu", bad_at);
    else if (has_document_type(buf_bytes(&utf8)))
        (void)sim_fault_set(fault, true, "E001", "DOCTYPE は使用できません");
    else if (!(document = xmlReadMemory((const char *)utf8.data, (int)utf8.len, NULL, "UTF-8",
                                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)))
        (void)sim_fault_set(fault, true, "E001", "XML の形式が不正です");
    else
        is_read = envelope_read(xmlDocGetRootElement(document), out, fault);
    xmlFreeDoc(document);
    buf_free(&utf8);
    return is_read;
}
