/* pick.c: first a look at all that waits, then, class by class, moves, or the archive and away. */
#include "tools/mangactl/pick.h"

#include <inttypes.h>
#include <stdlib.h>

#include "kit/objects.h"
#include "proto/msgpack.h"
#include "tools/mangactl/table.h"

#define REASONS_MAX 8 /* told apart in the summary */
#define REASON_BYTES 64
#define FLAGGED_SHOWN 20
#define PAUSES_A_SECOND 10
#define KEY_BYTES 512

typedef struct {
    char text[REASON_BYTES];
    uint64_t count;
} reason_t;

typedef struct {
    uint64_t *messages;
    size_t count, cap;
    uint64_t done, missing, refused;
    reason_t reasons[REASONS_MAX];
    size_t reason_count;
} pile_t;

typedef struct {
    ctl_t *ctl;
    const pick_options_t *options;
    objects_t *objects;
    pile_t piles[CLASS_COUNT];
    buf_t flagged; /* maps: message, record, reason, detail */
    uint32_t flagged_count;
    buf_t refused; /* maps, as the broker gives them */
    uint32_t refused_count;
    uint64_t looked;
    int code;
} pick_t;

bool pick_read_where(const char *text, pattern_t **out, error_t *err)
{
    buf_t json = {0};
    bool ok = ctl_read_document(text, &json, err);
    *out = ok ? pattern_compile(buf_bytes(&json), err) : NULL;
    buf_free(&json);
    return *out != NULL;
}

bool pick_matches(const pattern_t *where, bytes_t message)
{
    return !where || pattern_match(where, message, BYTES_NONE);
}

/* -- looking ------------------------------------------------------------------------------------------- */
static bool out_of_memory(pick_t *p)
{
    p->code = ctl_complain(p->ctl, CTL_TRY_AGAIN, "out of memory");
    return false;
}

static void reason_count(pile_t *pile, bytes_t reason)
{
    size_t i = 0;
    while (i < pile->reason_count && !bytes_eq_cstr(reason, pile->reasons[i].text))
        i++;
    if (i == REASONS_MAX)
        i = REASONS_MAX - 1; /* the last stands for the rest */
    if (i == pile->reason_count) {
        pile->reason_count++;
        (void)bytes_to_cstr(i == REASONS_MAX - 1 ? BYTES_LIT("others") : reason, pile->reasons[i].text, REASON_BYTES);
    }
    pile->reasons[i].count++;
}

static bool pile_add(pick_t *p, pile_t *pile, uint64_t message)
{
    if (pile->count == pile->cap) {
        size_t cap = pile->cap ? pile->cap * 2 : PICK_BATCH;
        uint64_t *messages = realloc(pile->messages, cap * sizeof *messages);
        if (!messages)
            return out_of_memory(p);
        pile->messages = messages;
        pile->cap = cap;
    }
    pile->messages[pile->count++] = message;
    return true;
}

static void flag(pick_t *p, bytes_t message, bytes_t reason, bytes_t detail)
{
    mp_put_map(&p->flagged, 4);
    mp_put_cstr(&p->flagged, "message");
    mp_put_u64(&p->flagged, ctl_map_number(message, "message"));
    mp_put_cstr(&p->flagged, "record");
    mp_put_u64(&p->flagged, ctl_map_number(message, "record"));
    mp_put_cstr(&p->flagged, "reason");
    mp_put_str(&p->flagged, reason);
    mp_put_cstr(&p->flagged, "detail");
    mp_put_str(&p->flagged, detail);
    p->flagged_count++;
}

static void on_archived(void *ctx, const error_t *err)
{
    pick_t *p = ctx;
    if (err)
        p->code = ctl_fail(p->ctl, err);
    ctl_done(p->ctl);
}

/* The message as `queue peek --json` shows it. Its name is its own, so that a second run writes the same object again.
 */
static bool archive(pick_t *p, bytes_t message)
{
    char key[KEY_BYTES];
    error_t err = {0};
    buf_t text = {0};
    (void)snprintf(key, sizeof key, "%s/%020" PRIu64 ".json", p->options->queue, ctl_map_number(message, "message"));
    bool ok = json_from_msgpack(message, JSON_PRETTY, &text, &err);
    p->ctl->done = false;
    if (ok)
        ok = objects_put(p->objects, key, buf_bytes(&text), "application/json", on_archived, p, &err);
    if (!ok)
        p->code = ctl_fail(p->ctl, &err);
    else if (!p->ctl->done)
        ctl_wait(p->ctl);
    buf_free(&text);
    return ok && p->code == CTL_OK && !p->ctl->interrupted;
}

static bool look_at(pick_t *p, bytes_t message)
{
    bytes_t attrs = BYTES_NONE;
    (void)!mp_map_find(message, "attrs", &attrs);
    p->looked++;
    if (!pick_matches(p->options->where, message))
        return true;
    class_t class = p->options->classify ? classify(attrs, &p->options->rules) : CLASS_TRANSIENT;
    bytes_t reason = ctl_map_text(attrs, "DeadLetterReason", "none"),
            detail = ctl_map_text(attrs, "DeadLetterDetail", "");
    reason_count(&p->piles[class], reason);
    if (class == CLASS_UNKNOWN)
        flag(p, message, reason, detail);
    if (class == CLASS_PERMANENT && !p->options->is_dry && !archive(p, message))
        return false;
    return pile_add(p, &p->piles[class], ctl_map_number(message, "message"));
}

static bool ask_page(pick_t *p, uint64_t after, buf_t *page)
{
    buf_t args = {0};
    mp_put_map(&args, 2);
    mp_put_cstr(&args, "max");
    mp_put_u64(&args, PICK_BATCH);
    mp_put_cstr(&args, "after_message");
    mp_put_u64(&args, after);
    bool ok = ctl_ask(p->ctl, WIRE_QUEUE, "peek", p->options->queue, buf_bytes(&args), BYTES_NONE, page, &p->code);
    buf_free(&args);
    return ok;
}

/* False when there is nothing behind this page, or something failed (p->code). */
static bool look_at_page(pick_t *p, bytes_t page, uint64_t *after)
{
    mp_reader_t r = mp_reader(page);
    uint32_t count = 0;
    bytes_t message;
    if (!mp_get_array(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &message); i++) {
        if (!look_at(p, message))
            return false;
        *after = ctl_map_number(message, "message");
    }
    return count > 0;
}

/* No further than to what was there when it began: others may be dying meanwhile. */
static bool look(pick_t *p)
{
    buf_t info = {0}, page = {0};
    uint64_t after = 0;
    bool more = ctl_ask(p->ctl, WIRE_QUEUE, "info", p->options->queue, BYTES_NONE, BYTES_NONE, &info, &p->code);
    uint64_t most = more ? ctl_map_number(buf_bytes(&info), "visible") : 0;
    while (more && p->looked < most) {
        buf_clear(&page);
        more = ask_page(p, after, &page) && look_at_page(p, buf_bytes(&page), &after);
    }
    buf_free(&info);
    buf_free(&page);
    return p->code == CTL_OK;
}

/* -- acting -------------------------------------------------------------------------------------------- */
static void put_batch(const pick_t *p, class_t class, const uint64_t *messages, size_t count, buf_t *args)
{
    bool is_late = class == CLASS_THROTTLE || !p->options->classify;
    mp_put_map(args, 4);
    mp_put_cstr(args, "messages");
    mp_put_array(args, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        mp_put_u64(args, messages[i]);
    mp_put_cstr(args, "to");
    mp_put_cstr(args, p->options->to);
    mp_put_cstr(args, "delay_ms");
    mp_put_u64(args, is_late ? (uint64_t)p->options->delay_ms : 0);
    mp_put_cstr(args, "detail");
    mp_put_cstr(args, class == CLASS_PERMANENT ? p->options->archive : "");
}

static void take_refused(pick_t *p, pile_t *pile, bytes_t result)
{
    bytes_t list, one;
    uint32_t count = 0;
    mp_reader_t r = mp_reader(mp_map_find(result, "refused", &list) ? list : BYTES_NONE);
    if (!mp_left(&r) || !mp_get_array(&r, &count))
        return;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &one); i++)
        mp_put_raw(&p->refused, one);
    pile->refused += count;
    p->refused_count += count;
}

static bool act_on(pick_t *p, class_t class, const uint64_t *messages, size_t count)
{
    buf_t args = {0}, result = {0};
    pile_t *pile = &p->piles[class];
    put_batch(p, class, messages, count, &args);
    bool ok = ctl_ask(p->ctl, WIRE_QUEUE, class == CLASS_PERMANENT ? "discard" : "move", p->options->queue,
                      buf_bytes(&args), BYTES_NONE, &result, &p->code);
    if (ok) {
        pile->done += ctl_map_number(buf_bytes(&result), "moved");
        pile->missing += ctl_map_number(buf_bytes(&result), "missing");
        take_refused(p, pile, buf_bytes(&result));
    }
    buf_free(&args);
    buf_free(&result);
    return ok;
}

/* So that those who consume are not run over. */
static void pause_a_while(ctl_t *ctl)
{
    ctl_limit(ctl, 1000 / PAUSES_A_SECOND);
    ctl_wait(ctl);
    ctl->timed_out = false;
}

static bool act(pick_t *p, class_t class)
{
    const pile_t *pile = &p->piles[class];
    size_t step = (size_t)(p->options->rate + PAUSES_A_SECOND - 1) / PAUSES_A_SECOND;
    step = step > PICK_BATCH ? PICK_BATCH : step;
    for (size_t at = 0; at < pile->count; at += step) {
        size_t left = pile->count - at;
        if (at > 0)
            pause_a_while(p->ctl);
        if (p->ctl->interrupted || !act_on(p, class, pile->messages + at, left < step ? left : step))
            return false;
    }
    return true;
}

/* -- saying -------------------------------------------------------------------------------------------- */
static void put_action(const pick_t *p, class_t class, buf_t *out)
{
    const pick_options_t *o = p->options;
    bool is_late = (class == CLASS_THROTTLE || !o->classify) && o->delay_ms > 0;
    if (class == CLASS_UNKNOWN)
        buf_append_cstr(out, "kept, and listed");
    else if (class == CLASS_PERMANENT)
        buf_printf(out, "archived to %s", o->archive);
    else
        buf_printf(out, "back to %s", o->to[0] ? o->to : "where it came from");
    if (is_late && class != CLASS_PERMANENT && class != CLASS_UNKNOWN)
        buf_printf(out, ", in %g s", (double)o->delay_ms / 1000);
}

static void put_reasons(const pile_t *pile, buf_t *out)
{
    for (size_t i = 0; i < pile->reason_count; i++)
        buf_printf(out, "%s%s %" PRIu64, i ? ", " : "", pile->reasons[i].text, pile->reasons[i].count);
}

static class_t last_class(const pick_t *p)
{
    return p->options->classify ? CLASS_COUNT : CLASS_THROTTLE; /* without classes there is one pile */
}

static void print_table(const pick_t *p)
{
    static const char *const dry[] = {"<class", "messages", "<would be", "<reasons", NULL};
    static const char *const wet[] = {"<class", "messages", "done", "missing", "refused", "<what", "<reasons", NULL};
    table_t table;
    table_begin(&table, p->options->is_dry ? dry : wet);
    for (class_t class = 0; class < last_class(p); class ++) {
        const pile_t *pile = &p->piles[class];
        buf_t action = {0}, reasons = {0};
        put_action(p, class, &action);
        put_reasons(pile, &reasons);
        table_add(&table, "%s", p->options->classify ? class_name(class) : "all");
        table_add(&table, "%zu", pile->count);
        if (!p->options->is_dry) {
            table_add(&table, "%" PRIu64, pile->done);
            table_add(&table, "%" PRIu64, pile->missing);
            table_add(&table, "%" PRIu64, pile->refused);
        }
        table_add_bytes(&table, buf_bytes(&action));
        table_add_bytes(&table, buf_bytes(&reasons));
        buf_free(&action);
        buf_free(&reasons);
    }
    table_end(&table, p->ctl->out, ctl_bold(p->ctl), ctl_plain(p->ctl));
}

static void print_list(ctl_t *ctl, bytes_t maps, uint32_t count, const char *what, const char *key)
{
    mp_reader_t r = mp_reader(maps);
    bytes_t one;
    for (uint32_t i = 0; i < count && i < FLAGGED_SHOWN && mp_get_raw(&r, &one); i++) {
        fprintf(ctl->out, "%s message %" PRIu64 ": ", what, ctl_map_number(one, "message"));
        ctl_print_text(ctl->out, ctl_map_text(one, key, ""));
        bytes_t detail = ctl_map_text(one, "detail", "");
        if (detail.len) {
            fputs(", ", ctl->out);
            ctl_print_text(ctl->out, detail);
        }
        fputc('\n', ctl->out);
    }
    if (count > FLAGGED_SHOWN)
        fprintf(ctl->out, "… and %u more; --json has them all\n", count - FLAGGED_SHOWN);
}

static void put_pile(const pick_t *p, class_t class, buf_t *out)
{
    const pile_t *pile = &p->piles[class];
    buf_t action = {0};
    put_action(p, class, &action);
    mp_put_map(out, 6);
    mp_put_cstr(out, "messages");
    mp_put_u64(out, pile->count);
    mp_put_cstr(out, "action");
    mp_put_str(out, buf_bytes(&action));
    mp_put_cstr(out, "done");
    mp_put_u64(out, pile->done);
    mp_put_cstr(out, "missing");
    mp_put_u64(out, pile->missing);
    mp_put_cstr(out, "refused");
    mp_put_u64(out, pile->refused);
    mp_put_cstr(out, "reasons");
    mp_put_map(out, (uint32_t)pile->reason_count);
    for (size_t i = 0; i < pile->reason_count; i++) {
        mp_put_cstr(out, pile->reasons[i].text);
        mp_put_u64(out, pile->reasons[i].count);
    }
    buf_free(&action);
}

static int print_json(const pick_t *p)
{
    buf_t out = {0};
    mp_put_map(&out, 6);
    mp_put_cstr(&out, "queue");
    mp_put_cstr(&out, p->options->queue);
    mp_put_cstr(&out, "dry_run");
    mp_put_bool(&out, p->options->is_dry);
    mp_put_cstr(&out, "looked");
    mp_put_u64(&out, p->looked);
    mp_put_cstr(&out, "classes");
    mp_put_map(&out, (uint32_t)last_class(p));
    for (class_t class = 0; class < last_class(p); class ++) {
        mp_put_cstr(&out, p->options->classify ? class_name(class) : "all");
        put_pile(p, class, &out);
    }
    mp_put_cstr(&out, "flagged");
    mp_put_array(&out, p->flagged_count);
    buf_append_bytes(&out, buf_bytes(&p->flagged));
    mp_put_cstr(&out, "refused");
    mp_put_array(&out, p->refused_count);
    buf_append_bytes(&out, buf_bytes(&p->refused));
    int code = ctl_print_json(p->ctl, buf_bytes(&out), JSON_COMPACT);
    buf_free(&out);
    return code;
}

static int say(const pick_t *p)
{
    size_t chosen = 0;
    int code = CTL_OK;
    for (class_t class = 0; class < CLASS_COUNT; class ++)
        chosen += p->piles[class].count;
    if (p->ctl->json) {
        code = print_json(p);
    } else {
        print_table(p);
        print_list(p->ctl, buf_bytes(&p->flagged), p->flagged_count, "unknown:", "reason");
        print_list(p->ctl, buf_bytes(&p->refused), p->refused_count, "refused:", "why");
    }
    return code == CTL_OK && (chosen == 0 || p->refused_count || p->flagged_count) ? CTL_NO : code;
}

/* -- all of it ----------------------------------------------------------------------------------------- */
static bool store_open(pick_t *p)
{
    error_t err = {0};
    if (!p->options->classify || p->options->is_dry)
        return true;
    if (!p->ctl->bus && !ctl_connect(p->ctl, &p->code))
        return false;
    p->objects = objects_open(p->ctl->loop, p->options->archive, &err);
    if (!p->objects)
        p->code = ctl_complain(p->ctl, CTL_CONFIG, "%s", err.message);
    return p->objects != NULL;
}

int pick_run(ctl_t *ctl, const pick_options_t *options)
{
    pick_t p = {.ctl = ctl, .options = options};
    bool ok = store_open(&p) && look(&p);
    for (class_t class = 0; ok && !options->is_dry && class < CLASS_UNKNOWN; class ++)
        ok = act(&p, class);
    int said = ok || p.looked ? say(&p) : CTL_OK;
    int code = p.code != CTL_OK ? p.code : ctl->interrupted ? CTL_TRY_AGAIN : said;
    for (class_t class = 0; class < CLASS_COUNT; class ++)
        free(p.piles[class].messages);
    buf_free(&p.flagged);
    buf_free(&p.refused);
    objects_close(&p.objects);
    return code;
}
