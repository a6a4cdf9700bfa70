/* top_view.c: the picture of a sample: for a terminal of so many columns and lines, or as one map. */
#include <stdlib.h>

#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/top.h"

#define US_PER_S 1000000
#define FOOT "q quits · a all queues · s sessions · order: r rate, d depth, o oldest, n name"

static const char *const rates[] = {"published", "sent",          "delivered", "acked",
                                    "released",  "dead_lettered", "calls",     "refused"};
static const char *const counts[] = {"sessions",         "subscriptions",      "services",         "queues",
                                     "messages_visible", "messages_in_flight", "messages_delayed", "calls_running"};

/* -- small texts --------------------------------------------------------------------------------------- */
/* "7s", "12m", "3h05m", "4d02h" */
static void put_age(buf_t *out, int64_t us)
{
    long long s = us / US_PER_S;
    if (s < 60)
        buf_printf(out, "%llds", s < 0 ? 0 : s);
    else if (s < 3600)
        buf_printf(out, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        buf_printf(out, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        buf_printf(out, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static void put_rate(buf_t *out, double rate)
{
    buf_printf(out, rate >= 100 || rate == 0 ? "%.0f" : "%.1f", rate);
}

static void add_rate(table_t *table, double rate)
{
    buf_t text = {0};
    put_rate(&text, rate);
    table_add_bytes(table, buf_bytes(&text));
    buf_free(&text);
}

/* A counter's name in words. */
static void put_words(buf_t *out, const char *name)
{
    for (; *name; name++)
        buf_append_byte(out, *name == '_' ? ' ' : (uint8_t)*name);
}

/* -- lines that fit ------------------------------------------------------------------------------------ */
typedef struct {
    const top_view_t *view;
    buf_t *out;
    unsigned lines;
} page_t;

static bool has_room(const page_t *page)
{
    return page->view->lines == 0 || page->lines < page->view->lines;
}

/* The text's first columns; a character is whole or not there. */
static bytes_t cut(bytes_t text, unsigned columns)
{
    size_t end = 0, width = 0;
    while (columns && end < text.len) {
        size_t step = 1;
        while (end + step < text.len && (text.data[end + step] & 0xc0) == 0x80)
            step++;
        width += table_width(bytes_from(text.data + end, step));
        if (width > columns)
            break;
        end += step;
    }
    return columns ? bytes_from(text.data, end) : text;
}

static void put_line(page_t *page, const char *before, bytes_t text)
{
    if (!has_room(page))
        return;
    buf_append_cstr(page->out, before);
    buf_append_bytes(page->out, cut(text, page->view->columns));
    if (before[0])
        buf_append_cstr(page->out, page->view->plain);
    buf_append_byte(page->out, '\n');
    page->lines++;
}

/* The table's text, line by line; its first is the titles. */
static void put_table(page_t *page, table_t *table, unsigned keep)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    if (!file)
        abort();
    table_end(table, file, "", "");
    if (fclose(file) != 0)
        abort();
    const char *before = page->view->bold;
    for (char *at = text, *end;
         at < text + len && page->lines + keep < page->view->lines + (page->view->lines ? 0 : UINT16_MAX);
         at = end + 1, before = "") {
        end = strchr(at, '\n');
        put_line(page, before, bytes_from(at, (size_t)(end - at)));
    }
    free(text);
}

/* -- head ---------------------------------------------------------------------------------------------- */
static void head_name(page_t *page, const top_sample_t *sample)
{
    bytes_t status = buf_bytes(&sample->status);
    char time[TIMEFMT_S_BYTES];
    buf_t line = {0};
    timefmt_s(sample->now_us, time);
    buf_printf(&line, "%.*s  %s  up ", BYTES_FMT(ctl_map_text(status, "broker", "?")), time);
    put_age(&line, sample->now_us - (int64_t)ctl_map_number(status, "started_us"));
    buf_printf(&line, "  head %llu  topology %llu", (unsigned long long)ctl_map_number(status, "head"),
               (unsigned long long)ctl_map_number(status, "topology_version"));
    put_line(page, page->view->bold, buf_bytes(&line));
    buf_free(&line);
}

static void head_rates(page_t *page, const top_sample_t *sample, const top_sample_t *before)
{
    buf_t line = {0};
    buf_append_cstr(&line, "a second:");
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        buf_append_cstr(&line, "  ");
        put_words(&line, rates[i]);
        buf_append_byte(&line, ' ');
        put_rate(&line, top_rate(sample, before, rates[i]));
    }
    put_line(page, "", buf_bytes(&line));
    buf_free(&line);
}

static void head_counts(page_t *page, const top_sample_t *sample)
{
    buf_t line = {0};
    buf_append_cstr(&line, "now:");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_append_cstr(&line, "  ");
        put_words(&line, counts[i]);
        buf_printf(&line, " %llu", (unsigned long long)ctl_map_number(buf_bytes(&sample->status), counts[i]));
    }
    put_line(page, "", buf_bytes(&line));
    buf_free(&line);
}

/* -- body ---------------------------------------------------------------------------------------------- */
static bool is_idle(const top_queue_t *row)
{
    return !row->visible && !row->in_flight && !row->delayed && row->in_rate == 0 && row->out_rate == 0;
}

static void add_queue(table_t *table, const top_sample_t *sample, const top_queue_t *row)
{
    buf_t age = {0};
    if (row->oldest_us)
        put_age(&age, sample->now_us - row->oldest_us);
    table_add_bytes(table, row->name);
    table_add(table, "%llu", (unsigned long long)row->visible);
    table_add(table, "%llu", (unsigned long long)row->in_flight);
    table_add(table, "%llu", (unsigned long long)row->delayed);
    table_add(table, "%s", age.len ? buf_cstr(&age) : "-");
    add_rate(table, row->in_rate);
    add_rate(table, row->out_rate);
    table_add(table, "%llu", (unsigned long long)row->consumers);
    buf_free(&age);
}

static void body_queues(page_t *page, const top_sample_t *sample, unsigned keep)
{
    static const char *const titles[] = {"<queue", "visible", "in flight", "delayed", "oldest",
                                         "in/s",   "out/s",   "consumers", NULL};
    table_t table;
    size_t idle = 0;
    table_begin(&table, titles);
    for (size_t i = 0; i < sample->row_count; i++) {
        bool hidden = !page->view->all && is_idle(&sample->rows[i]);
        idle += hidden;
        if (!hidden)
            add_queue(&table, sample, &sample->rows[i]);
    }
    put_table(page, &table, keep);
    buf_t rest = {0};
    buf_printf(&rest, "%zu more in which nothing is and nothing moves", idle);
    if (idle)
        put_line(page, page->view->dim, buf_bytes(&rest));
    buf_free(&rest);
}

static void add_session(table_t *table, const top_sample_t *sample, bytes_t session)
{
    static const char *const numbers[] = {"in_flight", "subscriptions", "services", "calls"};
    buf_t heard = {0};
    bool is_live = false;
    (void)!mp_map_bool(session, "live", &is_live);
    put_age(&heard, sample->now_us - (int64_t)ctl_map_number(session, "heard_us"));
    table_add_bytes(table, ctl_map_text(session, "name", "?"));
    table_add(table, "%s", is_live ? "live" : "lost");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        table_add(table, "%llu", (unsigned long long)ctl_map_number(session, numbers[i]));
    table_add_bytes(table, buf_bytes(&heard));
    buf_free(&heard);
}

static void body_sessions(page_t *page, const top_sample_t *sample, unsigned keep)
{
    static const char *const titles[] = {"<session", "<state", "in flight", "subscriptions",
                                         "services", "calls",  "heard",     NULL};
    mp_reader_t r = mp_reader(buf_bytes(&sample->sessions));
    uint32_t count = 0;
    bytes_t session;
    table_t table;
    table_begin(&table, titles);
    if (!mp_get_array(&r, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &session); i++)
        add_session(&table, sample, session);
    put_table(page, &table, keep);
}

void top_draw(const top_sample_t *sample, const top_sample_t *before, const top_view_t *view, buf_t *out)
{
    page_t page = {view, out, 0};
    unsigned keep = view->lines > 8 ? 2 : 0; /* for what stands below the table */
    head_name(&page, sample);
    head_rates(&page, sample, before);
    head_counts(&page, sample);
    put_line(&page, "", BYTES_NONE);
    if (view->sessions)
        body_sessions(&page, sample, keep);
    else
        body_queues(&page, sample, keep);
    if (view->lines)
        put_line(&page, view->dim, BYTES_LIT(FOOT));
}

/* -- as a map ------------------------------------------------------------------------------------------ */
static void put_queue(const top_queue_t *row, const top_sample_t *sample, buf_t *out)
{
    mp_put_map(out, 8);
    mp_put_cstr(out, "name");
    mp_put_str(out, row->name);
    mp_put_cstr(out, "visible");
    mp_put_u64(out, row->visible);
    mp_put_cstr(out, "in_flight");
    mp_put_u64(out, row->in_flight);
    mp_put_cstr(out, "delayed");
    mp_put_u64(out, row->delayed);
    mp_put_cstr(out, "oldest_age_ms");
    mp_put_i64(out, row->oldest_us ? (sample->now_us - row->oldest_us) / 1000 : 0);
    mp_put_cstr(out, "in_per_second");
    mp_put_double(out, row->in_rate);
    mp_put_cstr(out, "out_per_second");
    mp_put_double(out, row->out_rate);
    mp_put_cstr(out, "consumers");
    mp_put_u64(out, row->consumers);
}

void top_put(const top_sample_t *sample, const top_sample_t *before, buf_t *out)
{
    mp_put_map(out, 4);
    mp_put_cstr(out, "status");
    mp_put_raw(out, buf_bytes(&sample->status));
    mp_put_cstr(out, "per_second");
    mp_put_map(out, ARRAY_LEN(rates));
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        mp_put_cstr(out, rates[i]);
        mp_put_double(out, top_rate(sample, before, rates[i]));
    }
    mp_put_cstr(out, "queues");
    mp_put_array(out, (uint32_t)sample->row_count);
    for (size_t i = 0; i < sample->row_count; i++)
        put_queue(&sample->rows[i], sample, out);
    mp_put_cstr(out, "sessions");
    mp_put_raw(out, buf_bytes(&sample->sessions));
}
