/* template.c: fills templates with values of events. */
#include "broker/rules/template.h"

#include <stdlib.h>

#include "broker/rules/path.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define VALIDATION "ValidationException"
#define NAME_FMT 64

typedef struct {
    bytes_t name; /* in the given map */
    path_t *path;
} variable_t;

/* Those that need no path, by the place in `predefined`. */
enum { OF_RULE_ARN, OF_RULE_NAME, OF_INGESTION_TIME, OF_EVENT_JSON, OF_EVENT, PREDEFINED };

typedef struct {
    uint32_t end;      /* of the literal text before it, in `text` */
    uint32_t variable; /* below PREDEFINED, or PREDEFINED + the index in `variables` */
    bool in_quotes;
} place_t;

struct template
{
    buf_t given; /* the transformer: holds names */
    buf_t text;  /* the template without its placeholders */
    variable_t *variables;
    uint32_t variable_count;
    place_t *places;
    uint32_t place_count;
};

static const char *const predefined[PREDEFINED] = {"aws.events.rule-arn", "aws.events.rule-name",
                                                   "aws.events.event.ingestion-time", "aws.events.event.json",
                                                   "aws.events.event"};

static bool refuse_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling InputTransformer.");
}

static int shown(bytes_t text)
{
    return (int)(text.len < NAME_FMT ? text.len : NAME_FMT);
}

/* -- variables ------------------------------------------------------------------------------------- */
static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool check_name(bytes_t name, error_t *err)
{
    bool ok = name.len > 0 && name.len <= TEMPLATE_NAME_MAX_BYTES;
    for (size_t i = 0; ok && i < name.len; i++)
        ok = is_name_byte(name.data[i]);
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                           "InputPathsMap: \"%.*s\" is no name: use 1 to %d of A-Z, a-z, 0-9, _ and -.", shown(name),
                           name.data, TEMPLATE_NAME_MAX_BYTES);
}

static bool read_variable(template_t *t, mp_reader_t *r, error_t *err)
{
    bytes_t name, text;
    if (!mp_get_str(r, &name) || !mp_get_str(r, &text))
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "InputPathsMap must map names to paths.");
    if (!check_name(name, err))
        return false;
    path_t *path = path_compile(text, "InputPathsMap: the path", err);
    if (path)
        t->variables[t->variable_count++] = (variable_t){.name = name, .path = path};
    return path != NULL;
}

static bool read_variables(template_t *t, error_t *err)
{
    bytes_t map;
    uint32_t count = 0;
    if (!mp_map_find(buf_bytes(&t->given), "InputPathsMap", &map))
        return true;
    mp_reader_t r = mp_reader(map);
    if (!mp_get_map(&r, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "InputPathsMap must map names to paths.");
    if (count > TEMPLATE_PATHS_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "InputPathsMap has %u entries, and %d are allowed.",
                         count, TEMPLATE_PATHS_MAX);
    t->variables = calloc(count ? count : 1, sizeof *t->variables);
    if (!t->variables)
        return refuse_memory(err);
    for (uint32_t i = 0; i < count; i++)
        if (!read_variable(t, &r, err))
            return false;
    return true;
}

static bool find_variable(const template_t *t, bytes_t name, uint32_t *out)
{
    for (uint32_t i = 0; i < PREDEFINED; i++)
        if (bytes_eq_cstr(name, predefined[i])) {
            *out = i;
            return true;
        }
    for (uint32_t i = t->variable_count; i-- > 0;) /* of two of one name the last */
        if (bytes_eq(name, t->variables[i].name)) {
            *out = PREDEFINED + i;
            return true;
        }
    return false;
}

/* -- the template ---------------------------------------------------------------------------------- */
/* The name between < and > at the head of `text`; false when there is none, and the < is a mere character. */
static bool placeholder(bytes_t text, bytes_t *name)
{
    size_t len = 1;
    while (len < text.len && (is_name_byte(text.data[len]) || text.data[len] == '.'))
        len++;
    *name = bytes_from(text.data + 1, len - 1);
    return len > 1 && len < text.len && text.data[len] == '>';
}

/* In a template that is to become a JSON object or array: what stands before a colon is a key. */
static bool is_key(bytes_t text, size_t at)
{
    size_t begin = 0;
    while (begin < text.len && memchr(" \t\r\n", text.data[begin], 4))
        begin++;
    if (begin == text.len || (text.data[begin] != '{' && text.data[begin] != '['))
        return false;
    while (at < text.len && memchr(" \t\r\n", text.data[at], 4))
        at++;
    return at < text.len && text.data[at] == ':';
}

typedef struct {
    template_t *template;
    bytes_t target, text;
    size_t at;
    bool in_quotes, has_place; /* has_place: in these quotes */
    error_t *err;
} parse_t;

static bool parse_place(parse_t *p, bytes_t name)
{
    template_t *t = p->template;
    uint32_t variable;
    if (!find_variable(t, name, &variable))
        return error_set(p->err, STATUS_INVALID_ARGUMENT, VALIDATION,
                         "InputTemplate for target %.*s contains invalid placeholder %.*s.", shown(p->target),
                         p->target.data, shown(name), name.data);
    if (t->place_count == TEMPLATE_PLACES_MAX)
        return error_set(p->err, STATUS_INVALID_ARGUMENT, VALIDATION, "InputTemplate has more than %d placeholders.",
                         TEMPLATE_PLACES_MAX);
    t->places[t->place_count++] =
        (place_t){.end = (uint32_t)t->text.len, .variable = variable, .in_quotes = p->in_quotes};
    p->has_place = true;
    p->at += name.len + 2;
    return p->in_quotes || !is_key(p->text, p->at) ||
           error_set(p->err, STATUS_INVALID_ARGUMENT, VALIDATION,
                     "InputTemplate: the placeholder %.*s cannot be a key.", shown(name), name.data);
}

static bool parse_quote(parse_t *p)
{
    p->in_quotes = !p->in_quotes;
    if (!p->in_quotes && p->has_place && is_key(p->text, p->at))
        return error_set(p->err, STATUS_INVALID_ARGUMENT, VALIDATION,
                         "InputTemplate: a placeholder cannot be part of a key (at offset %zu).", p->at);
    p->has_place = false;
    return true;
}

static bool parse_template(parse_t *p)
{
    bytes_t name;
    while (p->at < p->text.len) {
        uint8_t c = p->text.data[p->at];
        if (c == '<' && placeholder(bytes_from(p->text.data + p->at, p->text.len - p->at), &name)) {
            if (!parse_place(p, name))
                return false;
            continue;
        }
        buf_append_byte(&p->template->text, c);
        p->at++;
        if (c == '\\' && p->in_quotes && p->at < p->text.len)
            buf_append_byte(&p->template->text, p->text.data[p->at++]);
        if (c == '"' && !parse_quote(p))
            return false;
    }
    return !p->template->text.failed || refuse_memory(p->err);
}

/* No more than there are "<". */
static size_t places_in(bytes_t text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '<';
    return count;
}

static bool read_template(template_t *t, bytes_t target, error_t *err)
{
    parse_t p = {.template = t, .target = target, .err = err};
    if (!mp_map_str(buf_bytes(&t->given), "InputTemplate", &p.text))
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                         "InputTransformer needs an InputTemplate, a string.");
    if (p.text.len == 0 || p.text.len > TEMPLATE_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION,
                         "InputTemplate is %zu bytes long, and 1 to %d are allowed.", p.text.len, TEMPLATE_MAX_BYTES);
    t->places = calloc(places_in(p.text), sizeof *t->places);
    if (!t->places)
        return refuse_memory(err);
    return parse_template(&p);
}

template_t *template_compile(bytes_t transformer, bytes_t target, error_t *err)
{
    template_t *t = calloc(1, sizeof *t);
    if (!t) {
        refuse_memory(err);
        return NULL;
    }
    buf_append_bytes(&t->given, transformer);
    if (t->given.failed)
        refuse_memory(err);
    if (t->given.failed || !read_variables(t, err) || !read_template(t, target, err))
        template_free(&t);
    return t;
}

void template_free(template_t **template)
{
    template_t *t = *template;
    *template = NULL;
    if (!t)
        return;
    for (uint32_t i = 0; i < t->variable_count; i++)
        path_free(&t->variables[i].path);
    free(t->variables);
    free(t->places);
    buf_free(&t->given);
    buf_free(&t->text);
    free(t);
}

/* -- filling --------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t event;
    const template_facts_t *facts;
    buf_t json; /* of one value */
    buf_t out;
} fill_t;

static void put_text(fill_t *f, bytes_t text, bool in_quotes)
{
    if (in_quotes)
        buf_append_bytes(&f->out, text);
    else
        json_string_append(&f->out, text);
}

/* JSON: as it stands, or without any quote. */
static void put_json(fill_t *f, bytes_t json, bool in_quotes)
{
    for (size_t i = 0; in_quotes && i < json.len; i++)
        if (json.data[i] != '"')
            buf_append_byte(&f->out, json.data[i]);
    if (!in_quotes)
        buf_append_bytes(&f->out, json);
}

static bool put_value(fill_t *f, bytes_t value, bool in_quotes, error_t *err)
{
    mp_reader_t r = mp_reader(value);
    bytes_t text;
    if (mp_get_str(&r, &text)) {
        put_text(f, text, in_quotes);
        return true;
    }
    buf_clear(&f->json);
    if (!json_from_msgpack(value, JSON_COMPACT, &f->json, err))
        return false;
    put_json(f, buf_bytes(&f->json), in_quotes);
    return true;
}

/* The event but its detail, with a key that is written as AWS writes it there. */
static bool put_event(fill_t *f, bool in_quotes, error_t *err)
{
    mp_reader_t r = mp_reader(f->event);
    buf_t short_event = {0};
    uint32_t count, kept = 0;
    bytes_t key, value;
    if (!mp_get_map(&r, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "The event is no map.");
    size_t at = mp_map_begin(&short_event);
    for (uint32_t i = 0; i < count && mp_get_str(&r, &key) && mp_get_raw(&r, &value); i++) {
        if (bytes_eq_cstr(key, "detail"))
            continue;
        mp_put_str(&short_event, bytes_eq_cstr(key, "detail-type") ? BYTES_LIT("detailType") : key);
        mp_put_raw(&short_event, value);
        kept++;
    }
    mp_map_end(&short_event, at, kept);
    bool ok = put_value(f, buf_bytes(&short_event), in_quotes, err);
    buf_free(&short_event);
    return ok;
}

static void put_rule_arn(fill_t *f, bool in_quotes)
{
    bytes_t region = BYTES_NONE, account = BYTES_NONE;
    buf_t arn = {0};
    (void)!mp_map_str(f->event, "region", &region);
    (void)!mp_map_str(f->event, "account", &account);
    buf_append_cstr(&arn, "arn:aws:events:");
    buf_append_bytes(&arn, region);
    buf_append_byte(&arn, ':');
    buf_append_bytes(&arn, account);
    buf_append_cstr(&arn, ":rule/");
    buf_append_bytes(&arn, f->facts->bus);
    buf_append_byte(&arn, '/');
    buf_append_bytes(&arn, f->facts->rule);
    put_text(f, buf_bytes(&arn), in_quotes);
    buf_free(&arn);
}

static bool put_place(const template_t *t, fill_t *f, const place_t *place, error_t *err)
{
    char time[TIMEFMT_S_BYTES];
    bytes_t value;
    switch (place->variable) {
    case OF_RULE_ARN:
        put_rule_arn(f, place->in_quotes);
        return true;
    case OF_RULE_NAME:
        put_text(f, f->facts->rule, place->in_quotes);
        return true;
    case OF_INGESTION_TIME:
        timefmt_s(f->facts->ingest_us, time);
        put_text(f, bytes_cstr(time), place->in_quotes);
        return true;
    case OF_EVENT_JSON:
        return put_value(f, f->event, place->in_quotes, err);
    case OF_EVENT:
        return put_event(f, place->in_quotes, err);
    default:
        break;
    }
    if (path_follow(t->variables[place->variable - PREDEFINED].path, f->event, &value))
        return put_value(f, value, place->in_quotes, err);
    put_text(f, BYTES_NONE, place->in_quotes);
    return true;
}

static bool fill(const template_t *t, fill_t *f, error_t *err)
{
    size_t done = 0;
    for (uint32_t i = 0; i < t->place_count; i++) {
        buf_append(&f->out, t->text.data + done, t->places[i].end - done);
        done = t->places[i].end;
        if (!put_place(t, f, &t->places[i], err))
            return false;
        if (f->out.len > TEMPLATE_OUTPUT_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, VALIDATION, "The transformed event is over %zu bytes.",
                             TEMPLATE_OUTPUT_MAX);
    }
    buf_append(&f->out, t->text.data + done, t->text.len - done);
    return !f->out.failed || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while transforming.");
}

bool template_apply(const template_t *template, bytes_t event, const template_facts_t *facts, buf_t *out, error_t *err)
{
    fill_t f = {.event = event, .facts = facts};
    bool ok = fill(template, &f, err);
    if (ok && !json_to_msgpack(buf_bytes(&f.out), NULL, out, NULL))
        mp_put_str(out, buf_bytes(&f.out));
    buf_free(&f.json);
    buf_free(&f.out);
    return ok && !out->failed;
}
