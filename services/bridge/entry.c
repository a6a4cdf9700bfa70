/* entry.c: envelopes to PutEvents entries, and answers back. */
#include "services/bridge/entry.h"

#include "kit/trace.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/json.h"
#include "proto/msgpack.h"

static const char origin_aws[] = "aws:";

static void member(buf_t *out, const char *name, bytes_t value)
{
    buf_printf(out, "\"%s\":", name);
    json_string_append(out, value);
    buf_append_byte(out, ',');
}

/* X-Ray's header, from a W3C traceparent. What is none is left out: attributes are anybody's. */
static void trace_header(buf_t *out, bytes_t parent)
{
    trace_t trace;
    char text[TRACE_PARENT_BYTES + 1];
    if (!trace_parse(parent, &trace))
        return;
    trace_format(&trace, text);
    buf_printf(out, "\"TraceHeader\":\"Root=1-%.8s-%.24s;Parent=%.16s;Sampled=%d\",", text + 3, text + 11, text + 36,
               trace.flags & 1);
}

static void resources(buf_t *out, const envelope_t *e)
{
    size_t at = 0;
    bytes_t resource;
    buf_append_cstr(out, "\"Resources\":[\"" ENTRY_ORIGIN_RESOURCE "\"");
    while (envelope_next_resource(e, &at, &resource)) {
        buf_append_byte(out, ',');
        json_string_append(out, resource);
    }
    buf_append_cstr(out, "]}");
}

bool entry_write(buf_t *out, const entry_t *entry, size_t *size, error_t *err)
{
    envelope_t e;
    buf_t detail = {0};
    if (!envelope_read(entry->envelope, &e, err))
        return false;
    if (!json_from_msgpack(e.detail, JSON_COMPACT, &detail, err)) {
        buf_free(&detail);
        return false;
    }
    *size = envelope_size_bytes(&e, detail.len) + sizeof ENTRY_ORIGIN_RESOURCE - 1;
    bool fits = *size <= ENTRY_REQUEST_MAX_BYTES;
    if (fits) {
        buf_append_byte(out, '{');
        member(out, "Source", e.source);
        member(out, "DetailType", e.detail_type);
        member(out, "Detail", buf_bytes(&detail));
        member(out, "EventBusName", entry->bus);
        buf_printf(out, "\"Time\":%lld.%06lld,", (long long)(e.time_us / 1000000), (long long)(e.time_us % 1000000));
        trace_header(out, entry->trace_id);
        resources(out, &e);
    }
    buf_free(&detail);
    return fits ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "RequestEntityTooLarge",
                     "the event has %zu bytes by EventBridge's formula; it takes %zu", *size, ENTRY_REQUEST_MAX_BYTES);
}

bool entry_is_foreign(bytes_t envelope, bytes_t attrs)
{
    bytes_t origin, resource;
    envelope_t e;
    size_t at = 0;
    if (attrs_str(attrs, ATTR_ORIGIN, &origin) && bytes_has_prefix(origin, bytes_cstr(origin_aws)))
        return true;
    if (!envelope_read(envelope, &e, NULL))
        return false;
    while (envelope_next_resource(&e, &at, &resource))
        if (bytes_eq_cstr(resource, ENTRY_ORIGIN_RESOURCE))
            return true;
    return false;
}

/* PutEvents API reference: of its entry errors these two are worth trying again. */
static entry_outcome_t outcome_of(const char *code)
{
    return strcmp(code, "InternalFailure") == 0 || strcmp(code, "ThrottlingException") == 0 ? ENTRY_AGAIN
                                                                                            : ENTRY_REFUSED;
}

/* One entry's answer: an error code, or the id under which the event was accepted. */
static bool answer_read(bytes_t entry, entry_answer_t *out)
{
    bytes_t text;
    *out = (entry_answer_t){.outcome = ENTRY_ACCEPTED};
    if (mp_map_str(entry, "ErrorCode", &text) && text.len) {
        (void)bytes_to_cstr(text, out->code, sizeof out->code);
        out->outcome = outcome_of(out->code);
    } else if (!mp_map_str(entry, "EventId", &text) || text.len == 0) {
        return false;
    }
    if (mp_map_str(entry, "ErrorMessage", &text))
        (void)bytes_to_cstr(text, out->message, sizeof out->message);
    return true;
}

static bool answers_walk(bytes_t answer, size_t count, entry_answer_t *out)
{
    bytes_t entries, entry;
    uint32_t n;
    if (!mp_map_find(answer, "Entries", &entries))
        return false;
    mp_reader_t r = mp_reader(entries);
    if (!mp_get_array(&r, &n) || n != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!mp_get_raw(&r, &entry) || !answer_read(entry, &out[i]))
            return false;
    return true;
}

bool entry_answers_read(bytes_t json, size_t count, entry_answer_t *out, error_t *err)
{
    buf_t answer = {0};
    /* What is not even JSON came from somebody in between, and says nothing about the entries. */
    bool ok = json_to_msgpack(json, NULL, &answer, NULL) && answers_walk(buf_bytes(&answer), count, out);
    if (!ok)
        (void)error_set(err, STATUS_UNAVAILABLE, NULL,
                        "the answer is not PutEvents': it lacks Entries, one for each of the %zu sent", count);
    buf_free(&answer);
    return ok;
}
