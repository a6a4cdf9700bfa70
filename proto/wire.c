/* wire.c: the verbs' tables, and frames to and from structs. */
#include "proto/wire.h"

#include <stdio.h>

#define WIRE_ROW_LIST(entry, member, text) FIELDS_ROW_LIST(layout_##entry, member, text)
#define WIRE_ENTRY_LAYOUT(name, ROWS) FIELDS_LAYOUT(layout_##name, wire_##name##_t, 0, #name, "", ROWS, WIRE_ROW_LIST)
#define WIRE_VERB_LAYOUT(number, NAME, name, dir, ROWS, text)                                                          \
    FIELDS_LAYOUT(layout_##name, wire_##name##_t, number, #NAME, text, ROWS, WIRE_ROW_LIST)

WIRE_ENTRIES(WIRE_ENTRY_LAYOUT)
WIRE_VERBS(WIRE_VERB_LAYOUT)

const fields_layout_t *wire_layout(uint64_t verb)
{
    switch (verb) {
#define WIRE_CASE(number, NAME, name, dir, ROWS, text)                                                                 \
    case number:                                                                                                       \
        return layout_##name();
        WIRE_VERBS(WIRE_CASE)
    default:
        return NULL;
    }
}

const char *wire_verb_name(uint64_t verb)
{
    const fields_layout_t *layout = wire_layout(verb);
    return layout ? layout->name : "?";
}

const char *wire_verb_direction(uint64_t verb)
{
    switch (verb) {
#define WIRE_DIRECTION(number, NAME, name, dir, ROWS, text)                                                            \
    case number:                                                                                                       \
        return dir;
        WIRE_VERBS(WIRE_DIRECTION)
    default:
        return "?";
    }
}

/* Every member of the union begins where the union does. */
static const void *const_values(const wire_msg_t *msg)
{
    return &msg->hello;
}

void wire_encode(buf_t *out, const wire_msg_t *msg)
{
    wire_encode_verb(out, msg->verb, msg->seq, const_values(msg));
}

void wire_encode_verb(buf_t *out, wire_verb_t verb, uint64_t seq, const void *values)
{
    fields_encode(out, wire_layout((uint64_t)verb), true, seq, values);
}

static bool malformed(error_t *err)
{
    if (err)
        (void)snprintf(err->aws, sizeof err->aws, "MALFORMED_FRAME");
    return false;
}

bool wire_decode(bytes_t frame, wire_msg_t *out, error_t *err)
{
    uint64_t verb;
    bool readable = fields_peek(frame, true, &verb, &out->seq, err);
    out->verb = (wire_verb_t)(verb <= INT32_MAX ? verb : 0); /* also when it is none of ours: for the refusal */
    if (!readable)
        return malformed(err);
    const fields_layout_t *layout = wire_layout(verb);
    if (!layout)
        return error_set(err, STATUS_UNIMPLEMENTED, "UNKNOWN_VERB", "verb %llu is not one of this protocol's",
                         (unsigned long long)verb);
    return fields_decode(frame, layout, true, &out->hello, err) ? true : malformed(err);
}

bool wire_peek(bytes_t frame, uint64_t *verb, uint64_t *seq)
{
    return fields_peek(frame, true, verb, seq, NULL);
}
