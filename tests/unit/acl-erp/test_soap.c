/* test_soap.c: envelopes as they are written, answers and faults as they are read, and everything that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "services/acl-erp/soap.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>\n"
#define ENVELOPE_11 "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:inv=\"urn:x\">"
#define ENVELOPE_12 "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:inv=\"urn:x\">"
#define BODY(inner) HEAD ENVELOPE_11 "<s:Body>" inner "</s:Body></s:Envelope>"

typedef struct {
    cp932_t *codec;
    arena_t arena;
    soap_reply_t reply;
    error_t err;
} fixture_t;

static int fixture_make(void **state)
{
    static fixture_t fixture;
    fixture = (fixture_t){.codec = cp932_new(NULL)};
    arena_init(&fixture.arena, SOAP_ARENA_MAX_BYTES);
    *state = &fixture;
    return fixture.codec ? 0 : -1;
}

static int fixture_end(void **state)
{
    fixture_t *f = *state;
    cp932_free(&f->codec);
    arena_free(&f->arena);
    return 0;
}

static bool reads(fixture_t *f, const char *body)
{
    return soap_read(f->codec, bytes_cstr(body), &f->arena, &f->reply, &f->err);
}

static bool field_is(const soap_item_t *item, const char *name, const char *value)
{
    return bytes_eq_cstr(soap_field(item, name), value);
}

static void an_answer_becomes_items_and_values(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(f, BODY("<inv:GetCatalogPageResponse>\n"
                              "<inv:CatalogItem><inv:ISBN>9784000000420</inv:ISBN><inv:Title> \x83\x5C\x81\x60\x87\x40 "
                              "</inv:Title><inv:Note/></inv:CatalogItem>\n"
                              "<inv:CatalogItem><inv:ISBN>9784000000437</inv:ISBN></inv:CatalogItem>\n"
                              "<inv:HasMore>1</inv:HasMore></inv:GetCatalogPageResponse>")));
    assert_false(f->reply.is_fault);
    assert_int_equal(f->reply.item_count, 2);
    assert_true(bytes_eq_cstr(f->reply.items[0].name, "CatalogItem"));
    assert_true(field_is(&f->reply.items[0], "Title", "ソ～①"));
    assert_true(field_is(&f->reply.items[0], "Note", ""));
    assert_true(field_is(&f->reply.items[1], "ISBN", "9784000000437"));
    assert_true(field_is(&f->reply.values, "HasMore", "1"));
}

static void the_declared_shift_jis_is_read_as_cp932(void **state)
{
    fixture_t *f = *state;
    assert_true(
        reads(f, BODY("<inv:R><inv:I><inv:T>\xFB\xFC\x8B\xB4 \x5C \x7E \x87\x8A \xED\x95</inv:T></inv:I></inv:R>")));
    assert_true(field_is(&f->reply.items[0], "T", "髙橋 \\ ~ ㈱ 﨑"));
}

static void references_and_cdata_are_text_and_entities_of_xml_too(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(
        f, BODY("<inv:R><inv:I><inv:T>a&#x2764;b&#10084;&lt;<![CDATA[<\x83\x5C>]]>&amp;</inv:T></inv:I></inv:R>")));
    assert_true(field_is(&f->reply.items[0], "T", "a❤b❤<<ソ>&"));
}

static void texts_are_nfc_but_for_the_ideographs_of_names(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(f, BODY("<inv:R><inv:I><inv:T>&#x304B;&#x3099;&#xFA19;</inv:T></inv:I></inv:R>")));
    assert_true(field_is(&f->reply.items[0], "T", "が\uFA19"));
}

static void utf8_is_read_where_the_document_says_so(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(f, "<?xml version='1.0' encoding='UTF-8'?>" ENVELOPE_11
                         "<s:Body><R><I><T>髙橋</T></I></R></s:Body></s:Envelope>"));
    assert_true(field_is(&f->reply.items[0], "T", "髙橋"));
    assert_false(reads(f, "<?xml version='1.0' encoding='UTF-8'?>" ENVELOPE_11
                          "<s:Body><R><I><T>\x83\x5C</T></I></R></s:Body></s:Envelope>"));
}

static void a_fault_of_soap_1_1_is_a_fault(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(f, BODY("<s:Fault><faultcode>s:Client</faultcode><faultstring>\x8A\x59\x93\x96</faultstring>"
                              "<detail><inv:ErrorCode>E101</inv:ErrorCode></detail></s:Fault>")));
    assert_true(f->reply.is_fault && f->reply.fault.is_sender);
    assert_true(bytes_eq_cstr(f->reply.fault.code, "E101"));
    assert_true(bytes_eq_cstr(f->reply.fault.message, "該当"));
    assert_int_equal(f->reply.item_count, 0);
}

static void a_fault_of_soap_1_2_is_a_fault(void **state)
{
    fixture_t *f = *state;
    assert_true(reads(f, HEAD ENVELOPE_12
                      "<s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>inv:Busy</s:Value>"
                      "</s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"ja\">busy</s:Text></s:Reason><s:Detail>"
                      "<inv:ErrorCode>E503</inv:ErrorCode></s:Detail></s:Fault></s:Body></s:Envelope>"));
    assert_true(f->reply.is_fault && !f->reply.fault.is_sender);
    assert_true(bytes_eq_cstr(f->reply.fault.code, "E503"));
    assert_true(bytes_eq_cstr(f->reply.fault.message, "busy"));
}

static void what_is_no_envelope_is_data_loss(void **state)
{
    fixture_t *f = *state;
    static const char *const wrong[] = {
        "",
        "<html><body>502 Bad Gateway</body></html>",
        HEAD ENVELOPE_11 "<s:Body><a>",
        BODY(""),
        BODY("<inv:R><inv:I><inv:T>\x85\x40</inv:T></inv:I></inv:R>"),
        HEAD "<!DOCTYPE s [<!ENTITY a \"aaaaaaaaaa\">]>" ENVELOPE_11
             "<s:Body><R><I><T>&a;</T></I></R></s:Body></s:Envelope>",
        "<!DOCTYPE s SYSTEM \"file:///etc/passwd\">" ENVELOPE_11 "<s:Body><R/></s:Body></s:Envelope>",
        BODY("<inv:R><inv:I><inv:T>&undeclared;</inv:T></inv:I></inv:R>"),
        "\xFF\xFE\x00\x00",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        arena_reset(&f->arena);
        if (reads(f, wrong[i]))
            fail_msg("case %zu was taken", i);
        assert_int_equal(f->err.code, STATUS_DATA_LOSS);
    }
}

static void repeat(buf_t *out, const char *text, unsigned times)
{
    while (times--)
        buf_append_cstr(out, text);
}

static void every_bound_is_held(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *open, *close;
        unsigned times;
    } cases[] = {
        {"<R><I><T>x</T></I></R>", "", 0}, /* the shape itself is fine */
        {"<I><T>x</T></I>", "", SOAP_ITEMS_MAX + 1},
        {"<V>x</V>", "", SOAP_FIELDS_MAX + 1},
        {"<N>", "</N>", SOAP_DEPTH_MAX + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t body = {0};
        arena_reset(&f->arena);
        buf_append_cstr(&body, HEAD ENVELOPE_11 "<s:Body><R>");
        repeat(&body, cases[i].open, cases[i].times);
        repeat(&body, cases[i].close, cases[i].times);
        buf_append_cstr(&body, "</R></s:Body></s:Envelope>");
        bool is_read = soap_read(f->codec, buf_bytes(&body), &f->arena, &f->reply, &f->err);
        assert_int_equal(is_read, cases[i].times == 0);
        if (!is_read)
            assert_int_equal(f->err.code, STATUS_RESOURCE_EXHAUSTED);
        buf_free(&body);
    }
}

static void a_body_over_the_bound_is_refused_unread(void **state)
{
    fixture_t *f = *state;
    buf_t body = {0};
    assert_true(buf_reserve(&body, SOAP_BODY_MAX_BYTES + 1));
    memset(body.data, ' ', SOAP_BODY_MAX_BYTES + 1);
    body.len = SOAP_BODY_MAX_BYTES + 1;
    assert_false(soap_read(f->codec, buf_bytes(&body), &f->arena, &f->reply, &f->err));
    assert_int_equal(f->err.code, STATUS_RESOURCE_EXHAUSTED);
    buf_free(&body);
}

/* -- writing ---------------------------------------------------------------------------------------------- */
static void write_request(fixture_t *f, const soap_account_t *account, buf_t *out)
{
    const soap_moment_t moment = {.nonce = "0123456789abcdef", .created_us = INT64_C(1770000000123000)};
    soap_writer_t writer;
    assert_true(soap_begin(&writer, f->codec, account, &moment, "GetStockLevel", out, &f->err));
    assert_true(soap_argument(&writer, "ISBN", BYTES_LIT("9784000000420"), &f->err));
    assert_true(soap_argument(&writer, "WarehouseCode", BYTES_LIT("ソ<❤"), &f->err));
    assert_true(soap_argument(&writer, "Empty", BYTES_NONE, &f->err));
    assert_true(soap_end(&writer, &f->err));
}

static void a_request_is_written_in_cp932_under_the_label_shift_jis(void **state)
{
    fixture_t *f = *state;
    buf_t out = {0};
    write_request(f, &(soap_account_t){.version = SOAP_11}, &out);
    const char *text = buf_cstr(&out);
    assert_ptr_equal(strstr(text, "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>"), text);
    assert_non_null(strstr(text, "http://schemas.xmlsoap.org/soap/envelope/"));
    assert_non_null(strstr(text, "<inv:ISBN>9784000000420</inv:ISBN>"));
    assert_non_null(strstr(text, "<inv:WarehouseCode>\x83\x5C&lt;&#x2764;</inv:WarehouseCode>"));
    assert_null(strstr(text, "Empty"));
    assert_null(strstr(text, "Header"));
    buf_free(&out);
}

static void what_is_written_can_be_read(void **state)
{
    fixture_t *f = *state;
    buf_t out = {0};
    write_request(f, &(soap_account_t){.version = SOAP_12, .token = "secret"}, &out);
    assert_non_null(strstr(buf_cstr(&out), "<inv:AuthToken>secret</inv:AuthToken>"));
    assert_true(soap_read(f->codec, buf_bytes(&out), &f->arena, &f->reply, &f->err));
    assert_true(field_is(&f->reply.values, "WarehouseCode", "ソ<❤"));
    buf_free(&out);
}

/* nonce "0123456789abcdef", created 2026-02-02T02:40:00.123Z, password "pass": computed with Python's hashlib. */
static void a_password_travels_as_a_digest_only(void **state)
{
    fixture_t *f = *state;
    buf_t out = {0};
    write_request(f, &(soap_account_t){.user = "manga", .password = "pass"}, &out);
    const char *text = buf_cstr(&out);
    assert_non_null(strstr(text, "<wsse:Username>manga</wsse:Username>"));
    assert_non_null(strstr(text, "#PasswordDigest\">vxi+YBmjq1svta9wkP5sK5qTTcA=</wsse:Password>"));
    assert_non_null(strstr(text, "MDEyMzQ1Njc4OWFiY2RlZg=="));
    assert_non_null(strstr(text, "<wsu:Created>2026-02-02T02:40:00.123Z</wsu:Created>"));
    assert_null(strstr(text, ">pass<"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_becomes_items_and_values, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(the_declared_shift_jis_is_read_as_cp932, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(references_and_cdata_are_text_and_entities_of_xml_too, fixture_make,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(texts_are_nfc_but_for_the_ideographs_of_names, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(utf8_is_read_where_the_document_says_so, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_fault_of_soap_1_1_is_a_fault, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_fault_of_soap_1_2_is_a_fault, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(what_is_no_envelope_is_data_loss, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(every_bound_is_held, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_body_over_the_bound_is_refused_unread, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_request_is_written_in_cp932_under_the_label_shift_jis, fixture_make,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(what_is_written_can_be_read, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_password_travels_as_a_digest_only, fixture_make, fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
