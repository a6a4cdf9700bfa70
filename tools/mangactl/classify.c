/* classify.c: from the broker's reason and the consumer's code to a class. */
#include "tools/mangactl/classify.h"

#include "kit/aws.h"
#include "proto/msgpack.h"

#define CODE_BYTES 64

static const char *const names[CLASS_COUNT] = {
    [CLASS_TRANSIENT] = "transient",
    [CLASS_THROTTLE] = "throttle",
    [CLASS_PERMANENT] = "permanent",
    [CLASS_UNKNOWN] = "unknown",
};

static const struct {
    const char *reason;
    class_t class;
} defaults[] = {
    {"rejected", CLASS_PERMANENT},
    {"expired", CLASS_TRANSIENT},
    {"max-age", CLASS_TRANSIENT},
    {"max-receives", CLASS_UNKNOWN},
};

const char *class_name(class_t class)
{
    return names[class];
}

static bool class_find(bytes_t text, class_t *out)
{
    for (int i = 0; i < CLASS_COUNT; i++)
        if (bytes_eq_cstr(text, names[i])) {
            *out = (class_t)i;
            return true;
        }
    return false;
}

/* -- the operator's rules -------------------------------------------------------------------------------- */
/* One "reason=class" of the list; *text moves behind it. */
static bool rule_next(const char **text, bytes_t *reason, class_t *class)
{
    size_t len = strcspn(*text, ","), equals = strcspn(*text, "=,");
    *reason = bytes_from(*text, equals);
    bytes_t right = equals < len ? bytes_from(*text + equals + 1, len - equals - 1) : BYTES_NONE;
    *text += len + ((*text)[len] == ',');
    return class_find(right, class);
}

static bool is_reason(bytes_t text)
{
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (bytes_eq_cstr(text, defaults[i].reason))
            return true;
    return false;
}

bool classify_read(const char *text, classify_rules_t *out, error_t *err)
{
    bytes_t reason;
    class_t class;
    *out = (classify_rules_t){text};
    for (const char *at = text; at && *at;)
        if (!rule_next(&at, &reason, &class) || !is_reason(reason))
            return error_set(
                err, STATUS_INVALID_ARGUMENT, NULL,
                "\"%s\": write REASON=CLASS,… with the reasons rejected, expired, max-age and max-receives, "
                "and the classes transient, throttle, permanent and unknown",
                text);
    return true;
}

static class_t by_reason(bytes_t reason, const classify_rules_t *rules)
{
    bytes_t name;
    class_t class;
    for (const char *at = rules->text; at && *at;)
        if (rule_next(&at, &name, &class) && bytes_eq(name, reason))
            return class;
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (bytes_eq_cstr(reason, defaults[i].reason))
            return defaults[i].class;
    return CLASS_UNKNOWN;
}

/* -- codes ------------------------------------------------------------------------------------------------ */
static class_t by_code(status_t code)
{
    switch (code) {
    case STATUS_RESOURCE_EXHAUSTED:
        return CLASS_THROTTLE;
    case STATUS_UNAVAILABLE:
    case STATUS_DEADLINE_EXCEEDED:
    case STATUS_ABORTED:
    case STATUS_CANCELLED:
        return CLASS_TRANSIENT;
    case STATUS_INTERNAL:
    case STATUS_UNKNOWN:
    case STATUS_OK:
        return CLASS_UNKNOWN;
    default:
        return CLASS_PERMANENT;
    }
}

static bool is_word(const char *text)
{
    for (; *text; text++)
        if (!(*text >= 'A' && *text <= 'Z') && !(*text >= 'a' && *text <= 'z') && *text != '_')
            return false;
    return true;
}

/* The code that the words begin with: "UNAVAILABLE: …", "ThrottlingException". */
static bool code_read(bytes_t words, status_t *code)
{
    char name[CODE_BYTES];
    const uint8_t *colon = words.len ? memchr(words.data, ':', words.len) : NULL;
    bytes_t first = colon ? bytes_from(words.data, (size_t)(colon - words.data)) : words;
    if (!first.len || !bytes_to_cstr(first, name, sizeof name) || !is_word(name))
        return false;
    *code = status_from_name(name);
    if (*code != STATUS_UNKNOWN || strcmp(name, status_name(STATUS_UNKNOWN)) == 0)
        return true;
    *code = aws_code(name);
    return *code != STATUS_UNKNOWN;
}

class_t classify(bytes_t attrs, const classify_rules_t *rules)
{
    bytes_t reason, detail;
    status_t code;
    if (!mp_map_str(attrs, "DeadLetterReason", &reason))
        return CLASS_UNKNOWN;
    if (mp_map_str(attrs, "DeadLetterDetail", &detail) && code_read(detail, &code))
        return by_code(code);
    return by_reason(reason, rules);
}
