/* soap_write.c: an envelope as a stream: header with credentials, one operation, its arguments. */
#include <inttypes.h>

#include <openssl/evp.h>

#include "proto/base64.h"
#include "proto/timefmt.h"
#include "services/acl-erp/soap.h"

#define NS_11 "http://schemas.xmlsoap.org/soap/envelope/"
#define NS_12 "http://www.w3.org/2003/05/soap-envelope"
#define NS_INVENTORY "http://legacy-erp.manga-store.co.jp/inventory/v1"
#define WSS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define NS_WSSE WSS "wssecurity-secext-1.0.xsd"
#define NS_WSU WSS "wssecurity-utility-1.0.xsd"
#define TYPE_DIGEST WSS "username-token-profile-1.0#PasswordDigest"
#define TYPE_BASE64 WSS "soap-message-security-1.0#Base64Binary"

const char *soap_content_type(soap_version_t version)
{
    return version == SOAP_12 ? "application/soap+xml; charset=Shift_JIS" : "text/xml; charset=Shift_JIS";
}

/* Base64(SHA-1(nonce + created + password)). */
static bool digest_write(const soap_account_t *account, const soap_moment_t *moment, const char *created, buf_t *out,
                         error_t *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    buf_t plain = {0};
    buf_append(&plain, moment->nonce, sizeof(moment->nonce));
    buf_append_cstr(&plain, created);
    buf_append_cstr(&plain, account->password);
    bool is_made = EVP_Digest(plain.data, plain.len, digest, &digest_bytes, EVP_sha1(), NULL) == 1;
    buf_free(&plain);
    if (!is_made)
        return error_set(err, STATUS_INTERNAL, NULL, "this system's libcrypto refuses SHA-1, which WS-Security needs");
    base64_encode(out, bytes_from(digest, digest_bytes));
    return true;
}

static bool user_write(soap_writer_t *writer, const soap_account_t *account, const soap_moment_t *moment, error_t *err)
{
    char created[TIMEFMT_MS_BYTES];
    timefmt_ms(moment->created_us, created);
    buf_append_cstr(writer->out, "<wsse:Security xmlns:wsse=\"" NS_WSSE "\" xmlns:wsu=\"" NS_WSU
                                 "\" soapenv:mustUnderstand=\"1\"><wsse:UsernameToken><wsse:Username>");
    if (!cp932_write_xml(writer->codec, bytes_cstr(account->user), writer->out, err))
        return error_prefix(err, "user");
    buf_append_cstr(writer->out, "</wsse:Username><wsse:Password Type=\"" TYPE_DIGEST "\">");
    if (!digest_write(account, moment, created, writer->out, err))
        return false;
    buf_append_cstr(writer->out, "</wsse:Password><wsse:Nonce EncodingType=\"" TYPE_BASE64 "\">");
    base64_encode(writer->out, bytes_from(moment->nonce, sizeof(moment->nonce)));
    buf_printf(writer->out, "</wsse:Nonce><wsu:Created>%s</wsu:Created></wsse:UsernameToken></wsse:Security>", created);
    return true;
}

static bool header_write(soap_writer_t *writer, const soap_account_t *account, const soap_moment_t *moment,
                         error_t *err)
{
    bool has_user = account->user && *account->user, has_token = account->token && *account->token;
    if (!has_user && !has_token)
        return true;
    buf_append_cstr(writer->out, "<soapenv:Header>");
    if (has_user ? !user_write(writer, account, moment, err)
                 : !soap_argument(writer, "AuthToken", bytes_cstr(account->token), err))
        return false;
    buf_append_cstr(writer->out, "</soapenv:Header>");
    return true;
}

bool soap_begin(soap_writer_t *writer, cp932_t *codec, const soap_account_t *account, const soap_moment_t *moment,
                const char *operation, buf_t *out, error_t *err)
{
    *writer = (soap_writer_t){.codec = codec, .out = out, .version = account->version, .operation = operation};
    buf_printf(
        out, "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>\n<soapenv:Envelope xmlns:soapenv=\"%s\" xmlns:inv=\"%s\">",
        account->version == SOAP_12 ? NS_12 : NS_11, NS_INVENTORY);
    if (!header_write(writer, account, moment, err))
        return false;
    buf_printf(out, "<soapenv:Body><inv:%s>", operation);
    return true;
}

bool soap_argument(soap_writer_t *writer, const char *name, bytes_t value, error_t *err)
{
    if (value.len == 0)
        return true;
    buf_printf(writer->out, "<inv:%s>", name);
    if (!cp932_write_xml(writer->codec, value, writer->out, err))
        return error_prefix(err, "%s", name);
    buf_printf(writer->out, "</inv:%s>", name);
    return true;
}

bool soap_end(soap_writer_t *writer, error_t *err)
{
    buf_printf(writer->out, "</inv:%s></soapenv:Body></soapenv:Envelope>\n", writer->operation);
    return !writer->out->failed || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}
