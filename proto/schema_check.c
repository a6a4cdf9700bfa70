/* schema_check.c: judges one value by its row. */
#include "proto/schema_check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/isbn.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "proto/uuid.h"

#define PATH_TEXT_BYTES 160
#define WHAT_TEXT_BYTES 160

/* Appends the steps from the root on; what does not fit is cut. */
static void path_text(const schema_path_t *path, char *out, size_t cap)
{
    if (path->parent)
        path_text(path->parent, out, cap);
    size_t len = strlen(out);
    if (path->name)
        snprintf(out + len, cap - len, "%s%s", path->parent ? "." : "", path->name);
    else
        snprintf(out + len, cap - len, "[%u]", path->index);
}

bool schema_refuse(error_t *err, const schema_path_t *path, const char *fmt, ...)
{
    char where[PATH_TEXT_BYTES] = "";
    char what[WHAT_TEXT_BYTES];
    path_text(path, where, sizeof where);
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "%s: %s", where, what);
}

uint32_t schema_count_max(const schema_field_t *f)
{
    return f->count_max ? f->count_max : SCHEMA_COUNT_DEFAULT;
}

int64_t schema_len_max(const schema_field_t *f)
{
    return f->bounded ? f->max : SCHEMA_LEN_DEFAULT_BYTES;
}

/* -- texts ---------------------------------------------------------------------------------------- */

static bool is_currency(bytes_t v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.data[i] < 'A' || v.data[i] > 'Z')
            return false;
    return v.len == 3;
}

static bool is_sha256(bytes_t v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!((v.data[i] >= '0' && v.data[i] <= '9') || (v.data[i] >= 'a' && v.data[i] <= 'f')))
            return false;
    return v.len == 64;
}

/* An http or https URL with a host, and nothing in it that would end or split a header line. Whether one may
 * call it is another question, for whoever does. */
static bool is_uri(bytes_t v)
{
    size_t scheme = bytes_has_prefix(v, BYTES_LIT("https://")) ? 8 : bytes_has_prefix(v, BYTES_LIT("http://")) ? 7 : 0;
    if (scheme == 0 || v.len == scheme || v.data[scheme] == '/')
        return false;
    for (size_t i = 0; i < v.len; i++)
        if (v.data[i] <= ' ' || v.data[i] >= 0x7f || strchr("\"<>\\^`{|}", v.data[i]))
            return false;
    return true;
}

static bool is_rfc3339(bytes_t v)
{
    int64_t us;
    return timefmt_parse(v, &us);
}

/* What a text of the format must be when this one is not; NULL when all is well. */
static const char *format_problem(schema_format_t format, bytes_t v)
{
    switch (format) {
    case SCHEMA_FORMAT_ISBN13:
        return isbn13_is_valid(v) ? NULL : "expected 13 digits with a valid check digit";
    case SCHEMA_FORMAT_RFC3339:
        return is_rfc3339(v) ? NULL : "expected a time such as 2026-01-30T20:15:12Z";
    case SCHEMA_FORMAT_DATE:
        return timefmt_parse_date(v, NULL) ? NULL : "expected a date such as 2026-01-30";
    case SCHEMA_FORMAT_UUID:
        return uuid_parse(v, NULL) ? NULL : "expected a UUID";
    case SCHEMA_FORMAT_URI:
        return is_uri(v) ? NULL : "expected an http or https URL";
    case SCHEMA_FORMAT_CURRENCY:
        return is_currency(v) ? NULL : "expected a currency such as JPY";
    case SCHEMA_FORMAT_SHA256:
        return is_sha256(v) ? NULL : "expected 64 lower-case hex digits";
    case SCHEMA_FORMAT_NONE:
        break;
    }
    return NULL;
}

static bool refuse_enum(const schema_field_t *f, const schema_path_t *path, error_t *err)
{
    char allowed[WHAT_TEXT_BYTES] = "";
    for (const char *const *v = f->enum_values; *v; v++) {
        size_t len = strlen(allowed);
        snprintf(allowed + len, sizeof allowed - len, "%s%s", v == f->enum_values ? "" : ", ", *v);
    }
    return schema_refuse(err, path, "expected one of %s", allowed);
}

static bool check_enum(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    for (const char *const *v = f->enum_values; *v; v++)
        if (bytes_eq_cstr(value, *v))
            return true;
    return refuse_enum(f, path, err);
}

static bool check_len(const schema_field_t *f, const schema_path_t *path, size_t len, error_t *err)
{
    int64_t min = f->bounded ? f->min : 0;
    int64_t max = schema_len_max(f);
    if (len > (size_t)max)
        return schema_refuse(err, path, "%zu bytes, at most %" PRId64 " are allowed", len, max);
    if (len < (size_t)min)
        return len == 0 ? schema_refuse(err, path, "must not be empty")
                        : schema_refuse(err, path, "%zu bytes, at least %" PRId64 " are needed", len, min);
    return true;
}

bool schema_check_text(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    if (!check_len(f, path, value.len, err))
        return false;
    size_t bad_at = 0;
    if (!bytes_is_utf8(value, &bad_at))
        return schema_refuse(err, path, "is not UTF-8 at byte %zu", bad_at);
    if (f->enum_values && !check_enum(f, path, value, err))
        return false;
    const char *problem = format_problem(f->format, value);
    return problem ? schema_refuse(err, path, "%s", problem) : true;
}

bool schema_check_bin(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    return check_len(f, path, value.len, err);
}

/* -- numbers and counts --------------------------------------------------------------------------- */

bool schema_check_i64(const schema_field_t *f, const schema_path_t *path, int64_t value, error_t *err)
{
    if (f->bounded && value < f->min)
        return schema_refuse(err, path, "%" PRId64 " is less than %" PRId64, value, f->min);
    if (f->bounded && value > f->max)
        return schema_refuse(err, path, "%" PRId64 " is more than %" PRId64, value, f->max);
    return true;
}

bool schema_check_u64(const schema_field_t *f, const schema_path_t *path, uint64_t value, error_t *err)
{
    if (f->bounded && value < (uint64_t)f->min)
        return schema_refuse(err, path, "%" PRIu64 " is less than %" PRId64, value, f->min);
    if (f->bounded && value > (uint64_t)f->max)
        return schema_refuse(err, path, "%" PRIu64 " is more than %" PRId64, value, f->max);
    return true;
}

bool schema_check_f64(const schema_field_t *f, const schema_path_t *path, double value, error_t *err)
{
    if (!isfinite(value))
        return schema_refuse(err, path, "is not a finite number");
    if (f->bounded && (value < f->fmin || value > f->fmax))
        return schema_refuse(err, path, "%g is not between %g and %g", value, f->fmin, f->fmax);
    return true;
}

bool schema_check_count(const schema_field_t *f, const schema_path_t *path, uint64_t count, error_t *err)
{
    if (count > schema_count_max(f))
        return schema_refuse(err, path, "%" PRIu64 " entries, at most %u are allowed", count, schema_count_max(f));
    if (count < f->count_min)
        return schema_refuse(err, path, "%" PRIu64 " entries, at least %u are needed", count, f->count_min);
    return true;
}

/* -- raw values ----------------------------------------------------------------------------------- */

static bool check_map(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    mp_reader_t r = mp_reader(value);
    uint32_t count;
    if (!mp_get_map(&r, &count))
        return schema_refuse(err, path, "expected a map");
    if (!schema_check_count(f, path, count, err))
        return false;
    bytes_t key;
    for (uint32_t i = 0; i < count; i++)
        if (!mp_get_str(&r, &key) || !mp_skip(&r))
            return schema_refuse(err, path, "expected text keys");
    return true;
}

bool schema_check_raw(const schema_field_t *f, const schema_path_t *path, bytes_t value, error_t *err)
{
    error_t why;
    if (!mp_validate(value, &why))
        return schema_refuse(err, path, "%s", why.message);
    return f->kind == SCHEMA_ANY || check_map(f, path, value, err);
}
