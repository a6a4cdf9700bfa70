/* json_text.c: quoting strings, and naming places in a document. */
#include <math.h>
#include <stdio.h>

#include "proto/decimal.h"
#include "proto/json.h"
#include "proto/json_internal.h"
#include "proto/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static void escape_append(buf_t *out, uint8_t c)
{
    static const char named[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    for (const char *n = named; *n; n += 2)
        if ((uint8_t)n[1] == c) {
            buf_append(out, (const char[]){'\\', n[0]}, 2);
            return;
        }
    buf_printf(out, "\\u%04x", c);
}

size_t json_quote(buf_t *out, bytes_t s, bool replace)
{
    const uint8_t *p = s.data, *run = p, *end = p + s.len;
    buf_append_byte(out, '"');
    while ((p = json_plain_end(p, end)) < end) {
        size_t n = *p < 0x80 ? 0 : utf8_sequence(p, (size_t)(end - p));
        if (n > 0) {
            p += n;
            continue;
        }
        buf_append(out, run, (size_t)(p - run));
        if (*p < 0x80)
            escape_append(out, *p);
        else if (replace)
            buf_append(out, REPLACEMENT, 3);
        else
            return (size_t)(p - s.data);
        run = ++p;
    }
    buf_append(out, run, (size_t)(p - run));
    buf_append_byte(out, '"');
    return s.len;
}

void json_string_append(buf_t *out, bytes_t s)
{
    (void)json_quote(out, s, true);
}

void json_double_append(buf_t *out, double v)
{
    if (!isfinite(v)) {
        buf_append_cstr(out, "null");
        return;
    }
    if (buf_reserve(out, DECIMAL_TEXT_BYTES))
        out->len += decimal_format(v, (char *)out->data + out->len);
}

/* -- paths -------------------------------------------------------------------------------------- */

#define ELLIPSIS "\xE2\x80\xA6" /* U+2026 */

void json_path_begin(json_path_t *path)
{
    path->at = sizeof path->text - 1;
    path->text[path->at] = '\0';
    path->full = false;
}

/* Room for an ellipsis always stays. */
static void prepend(json_path_t *path, const char *step)
{
    size_t n = strlen(step);
    path->full = path->full || n + strlen(ELLIPSIS) > path->at;
    if (path->full)
        return;
    path->at -= n;
    memcpy(path->text + path->at, step, n);
}

static bool is_name(bytes_t key)
{
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.data[i], letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return key.len > 0;
}

/* Made for eyes: what would break the message's line or quoting becomes '?'. */
static void defuse(char *s)
{
    for (; *s; s++)
        if ((uint8_t)*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7F)
            *s = '?';
}

void json_path_prepend_key(json_path_t *path, bytes_t key)
{
    char shown[JSON_PATH_KEY_BYTES + 1], step[JSON_PATH_KEY_BYTES + 16];
    bool whole = bytes_to_cstr(key, shown, sizeof shown);
    defuse(shown);
    if (whole && is_name(key))
        (void)snprintf(step, sizeof step, ".%s", shown);
    else
        (void)snprintf(step, sizeof step, "[\"%s%s\"]", shown, whole ? "" : ELLIPSIS);
    prepend(path, step);
}

void json_path_prepend_index(json_path_t *path, uint32_t index)
{
    char step[16];
    (void)snprintf(step, sizeof step, "[%u]", index);
    prepend(path, step);
}

const char *json_path_text(json_path_t *path)
{
    const char *head = path->full ? ELLIPSIS : "$";
    path->at -= strlen(head);
    memcpy(path->text + path->at, head, strlen(head));
    return path->text + path->at;
}
