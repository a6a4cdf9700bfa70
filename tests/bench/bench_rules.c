/* bench_rules.c: what rules cost: nanoseconds an event for each operator and for sets of 1 to 100,000 rules, memory of
 * a rule, time to compile.
 *
 *     bench_rules [FILE [SET RULES]]    all sets, or one, or `hostile`; figures go to FILE too (build/bench/rules.json)
 *     bench_rules --write FOLDER        the events and rules as JSON Lines, for other matchers (rule_peers.py)
 *
 * Events have some 800 bytes of msgpack. The floor beside each figure is one mp_skip over the same events: nothing that
 * reads an event to its end can be faster. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "broker/rules/ruleset.h"
#include "gen/version.h"
#include "proto/json.h"

#define EVENTS 512
#define RUN_NS 4e7
#define ROUNDS 5
#define IDS 64
#define EVENT_NUMBER(i) ((i)*197 + 11)

typedef struct {
    buf_t events[EVENTS];
    size_t bytes;
    FILE *json;
    bool first;
} bench_t;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may use the machine */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench_rules: %s\n", what);
    exit(EXIT_FAILURE);
}

/* -- events ------------------------------------------------------------------------------------------ */
static const char *const words[] = {"apple", "drift", "media", "dude",  "hidden",
                                    "wood",  "lodge", "dandy", "abide", "zed"};

static void event_json(buf_t *out, uint32_t n)
{
    buf_clear(out);
    buf_printf(out,
               "{\"version\":\"0\",\"id\":\"0190163d-8694-739b-aea5-%012u\",\"detail-type\":\"inventory.updated\","
               "\"source\":\"manga-assist.inventory\",\"account\":\"000000000000\",\"time\":\"2026-01-30T20:15:12Z\","
               "\"region\":\"local\",\"resources\":[\"erp:stock\",\"warehouse:%u\"],\"detail\":{",
               n, n % 40);
    buf_printf(out, "\"isbn\":\"978%010u\",\"sku\":\"sku-%u\",\"title\":\"One Piece, volume %u\",\"tier\":\"%s-%s\",",
               n * 7919, n * 31 % 200000, n % 110, words[n % 10], words[n / 10 % 10]);
    buf_printf(out, "\"quantity\":%u,\"price\":%u.5,\"address\":\"10.%u.%u.%u\",\"path\":\"/shelf/%s/%u/%s.json\",",
               n % 500, 300 + n % 900, n % 7, n % 200, n % 250, words[n % 7], n % 1000, words[n / 7 % 10]);
    buf_append_cstr(out, "\"customer_note\":\"deliver in the afternoon, please, and ring twice at the back door\",");
    for (int i = 0; i < 6; i++)
        buf_printf(out, "\"attribute_%d\":\"value number %u of a customer's field\",", i, n % (10 + (uint32_t)i));
    buf_printf(out, "\"lines\":[{\"code\":\"TYO\",\"n\":%u},{\"code\":\"OSA\",\"n\":%u}],\"new\":%s}}", n % 3, n % 5,
               n % 2 ? "true" : "false");
}

static void make_events(bench_t *b)
{
    buf_t json = {0};
    for (uint32_t i = 0; i < EVENTS; i++) {
        event_json(&json, EVENT_NUMBER(i));
        check(json_to_msgpack(buf_bytes(&json), NULL, &b->events[i], NULL), "an event is no JSON");
        b->bytes += b->events[i].len;
    }
    buf_free(&json);
}

/* -- sets of rules ------------------------------------------------------------------------------------ */
typedef void pattern_t_of(buf_t *out, uint32_t n);

static void exact(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"source\":[\"manga-assist.inventory\"],\"detail\":{\"isbn\":[\"978%010u\"]}}", n * 7919);
}

static void prefix(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail-type\":[\"inventory.updated\"],\"detail\":{\"isbn\":[{\"prefix\":\"978%07u\"}]}}",
               n * 31 % 9999999);
}

static void exact_and_prefix(buf_t *out, uint32_t n)
{
    (n % 2 ? exact : prefix)(out, n);
}

static void suffix(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"sku\":[{\"suffix\":\"-%u\"}]}}", n);
}

static void ignore_case(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"sku\":[{\"equals-ignore-case\":\"SKU-%u\"}]}}", n);
}

static void wildcard(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"path\":[{\"wildcard\":\"*%s*%u*\"}]}}", words[n % 10], n);
}

static void wildcard_begun(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"path\":[{\"wildcard\":\"/shelf/%s/%u*.json\"}]}}", words[n % 10], n);
}

static void wildcard_dd(buf_t *out, uint32_t n)
{
    static const char letters[] = "abdeimoprtwz";
    buf_printf(out, "{\"detail\":{\"tier\":[{\"wildcard\":\"*%c*%c*\"}]}}", letters[n % 12], letters[n / 12 % 12]);
}

static void anything_but(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"isbn\":[\"978%010u\"],\"tier\":[{\"anything-but\":[\"apple-%u\",\"dude-wood\"]}]}}",
               n * 7919, n);
}

static void numeric(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"price\":[{\"numeric\":[\">\",%u.25,\"<\",%u.75]}]}}", n, n);
}

static void cidr(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"address\":[{\"cidr\":\"10.%u.%u.0/%u\"}]}}", n % 256, n / 256 % 256, 20 + n % 10);
}

static void array_of_objects(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"isbn\":[\"978%010u\"],\"lines\":{\"code\":[\"TYO\"],\"n\":[%u]}}}", n * 7919,
               n % 3);
}

static void either(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"$or\":[{\"detail\":{\"isbn\":[\"978%010u\"]}},{\"detail\":{\"sku\":[\"sku-%u\"]}}]}", n * 7919,
               n);
}

static void absent_key(buf_t *out, uint32_t n)
{
    buf_printf(out, "{\"detail\":{\"absent_%u\":[\"x\"]}}", n);
}

static void mixed(buf_t *out, uint32_t n)
{
    static pattern_t_of *const kinds[] = {exact, prefix,  exact,  suffix, ignore_case, wildcard_begun, anything_but,
                                          exact, numeric, prefix, cidr,   exact,       either,         exact};
    kinds[n % ARRAY_LEN(kinds)](out, n);
}

#define RULE_NUMBER(i) ((i)*197 % 99991 + 11)

/* -- measuring ---------------------------------------------------------------------------------------- */
static double floor_ns(const bench_t *b)
{
    size_t rounds = 0;
    double begun = now_ns(), spent;
    do {
        for (size_t i = 0; i < EVENTS; i++, rounds++) {
            mp_reader_t r = mp_reader(buf_bytes(&b->events[i]));
            check(mp_skip(&r), "an event is broken");
            __asm__ volatile("" ::: "memory");
        }
        spent = now_ns() - begun;
    } while (spent < RUN_NS);
    return spent / (double)rounds;
}

static double match_ns(const bench_t *b, const ruleset_t *rules, double *matched)
{
    uint32_t ids[IDS];
    size_t rounds = 0, hits = 0;
    double begun = now_ns(), spent;
    do {
        for (size_t i = 0; i < EVENTS; i++, rounds++)
            hits += ruleset_match(rules, buf_bytes(&b->events[i]), BYTES_NONE, ids, IDS);
        spent = now_ns() - begun;
    } while (spent < RUN_NS);
    *matched = (double)hits / (double)rounds;
    return spent / (double)rounds;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians: others may use the machine. */
static void measure(bench_t *b, const ruleset_t *rules, double *ns, double *floor, double *matched)
{
    double all[ROUNDS], floors[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        floors[i] = floor_ns(b);
        all[i] = match_ns(b, rules, matched);
    }
    qsort(all, ROUNDS, sizeof *all, by_value);
    qsort(floors, ROUNDS, sizeof *floors, by_value);
    *ns = all[ROUNDS / 2];
    *floor = floors[ROUNDS / 2];
}

static void run(bench_t *b, const char *name, pattern_t_of *make, uint32_t count)
{
    error_t err = {0};
    buf_t *patterns = calloc(count, sizeof *patterns);
    ruleset_t *rules = ruleset_new();
    check(patterns && rules, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        make(&patterns[i], RULE_NUMBER(i));
    double begun = now_ns();
    for (uint32_t i = 0; i < count; i++)
        check(ruleset_add(rules, i, buf_bytes(&patterns[i]), &err), err.message);
    check(ruleset_compile(rules, &err), err.message);
    double compile_ns = now_ns() - begun, ns, floor, matched, bytes = (double)ruleset_bytes(rules) / count;
    measure(b, rules, &ns, &floor, &matched);
    printf("%-18s %7u rules  %8.0f ns/event (floor %4.0f)  %9.0f events/s  %6.2f matches  %6.0f B/rule  compiled in "
           "%8.2f ms\n",
           name, count, ns, floor, 1e9 / ns, matched, bytes, compile_ns / 1e6);
    fprintf(b->json,
            "%s\n    {\"set\": \"%s\", \"rules\": %u, \"ns_per_event\": %.1f, \"floor_ns\": %.1f, "
            "\"matches_per_event\": %.3f, "
            "\"bytes_per_rule\": %.0f, \"compile_ms\": %.3f}",
            b->first ? "" : ",", name, count, ns, floor, matched, bytes, compile_ns / 1e6);
    b->first = false;
    fflush(stdout);
    ruleset_free(&rules);
    for (uint32_t i = 0; i < count; i++)
        buf_free(&patterns[i]);
    free(patterns);
}

/* -- what is made to be slow -------------------------------------------------------------------------- */
#define HOSTILE_BYTES ((size_t)1 << 20) /* the largest event */

static void hostile(bench_t *b, const char *name, const buf_t *patterns, size_t count, const buf_t *event)
{
    error_t err = {0};
    uint32_t ids[IDS];
    ruleset_t *rules = ruleset_new();
    double all[ROUNDS * 4];
    size_t matched = 0;
    check(rules != NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        check(ruleset_add(rules, (uint32_t)i, buf_bytes(&patterns[i]), &err), err.message);
    check(ruleset_compile(rules, &err), err.message);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        double begun = now_ns();
        matched = ruleset_match(rules, buf_bytes(event), BYTES_NONE, ids, IDS);
        all[i] = now_ns() - begun;
    }
    qsort(all, ARRAY_LEN(all), sizeof *all, by_value);
    double median = all[ARRAY_LEN(all) / 2];
    const char *said = matched == RULESET_TOO_COSTLY ? "refused" : matched > 0 ? "match" : "no match";
    printf("hostile: %-48s event of %7zu B  %8.1f us  %s\n", name, event->len, median / 1e3, said);
    fprintf(b->json,
            "%s\n    {\"set\": \"hostile: %s\", \"rules\": %zu, \"event_bytes\": %zu, \"ns_per_event\": %.1f, "
            "\"said\": \"%s\"}",
            b->first ? "" : ",", name, count, event->len, median, said);
    b->first = false;
    ruleset_free(&rules);
}

/* {"detail":HEAD ITEM ITEM … TAIL} of so many bytes in JSON. */
static void detail_of(buf_t *out, const char *head, const char *item, size_t bytes, const char *tail)
{
    buf_t json = {0};
    buf_clear(out);
    buf_printf(&json, "{\"detail\":%s", head);
    while (json.len < bytes)
        buf_append_cstr(&json, item);
    buf_printf(&json, "%s}", tail);
    check(json_to_msgpack(buf_bytes(&json), NULL, out, NULL), "a hostile event is no JSON");
    buf_free(&json);
}

/* HEAD ITEM,ITEM,… TAIL; # in an item is its number. */
static void one_of_many(buf_t *out, const char *head, const char *item, int count, const char *tail)
{
    buf_clear(out);
    buf_append_cstr(out, head);
    for (int i = 0; i < count; i++) {
        buf_append_cstr(out, i ? "," : "");
        for (const char *c = item; *c; c++)
            if (*c == '#')
                buf_printf(out, "%d", i);
            else
                buf_append_byte(out, (uint8_t)*c);
    }
    buf_append_cstr(out, tail);
}

typedef struct {
    const char *name, *pattern;
    const char *head, *item, *tail;
} hostile_t;

static const hostile_t hostile_events[] = {
    {"numbers, skipped", "{\"source\":[\"x\"]}", "{\"z\":[", "1,", "1]}"},
    {"empty objects, skipped", "{\"source\":[\"x\"]}", "{\"z\":[", "{},", "{}]}"},
    {"numbers, asked for", "{\"detail\":{\"a\":[7]}}", "{\"a\":[", "1,", "1]}"},
    {"texts, asked for", "{\"detail\":{\"a\":[{\"suffix\":\"x\"}]}}", "{\"a\":[", "\"abc\",", "1]}"},
    {"numbers where objects are asked for", "{\"detail\":{\"a\":{\"x\":[1]}}}", "{\"a\":[", "1,", "1]}"},
    {"stars against the letter a", "{\"detail\":{\"a\":[{\"wildcard\":\"*a*a*b*\"},{\"wildcard\":\"*ab*c\"}]}}",
     "{\"a\":\"", "aaaaaaaaaaaaaaaa", "\"}"},
    {"texts without case", "{\"detail\":{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"\u00e9\u00e9\u00e9\u00e9x\"}}]}}",
     "{\"a\":[", "\"\u00c9\u00c9\u00c9\u00c9\",", "1]}"},
    {"addresses", "{\"detail\":{\"a\":[{\"cidr\":\"10.0.0.0/8\"},{\"cidr\":\"10.0.0.0/20\"}]}}", "{\"a\":[",
     "\"10.1.1.1\",", "1]}"},
    {"elements none of which has both", "{\"detail\":{\"a\":{\"x\":[1],\"y\":[2]}}}", "{\"a\":[",
     "{\"x\":1},{\"y\":2},", "{}]}"},
    {"keys that nearly lead somewhere", "{\"detail\":{\"ab\":[1],\"ac\":[1]}}", "{", "\"abc\":1,", "\"z\":1}"},
};

static void hostile_patterns(bench_t *b)
{
    buf_t event = {0}, many[30] = {0};
    one_of_many(&many[0], "{\"detail\":{\"a\":{", "\"k#\":[#]", 300, "}}}");
    detail_of(&event, "{\"a\":[", "{\"k7\":7},", 65536, "{}]}");
    hostile(b, "300 fields asked of each element", many, 1, &event);
    buf_clear(&many[0]);
    for (int level = 0; level < 3; level++) {
        buf_printf(&many[0], "%s\"n%d\":{\"$or\":[", level ? "," : "{\"detail\":{\"a\":{", level);
        for (int i = 0; i < 10; i++)
            buf_printf(&many[0], "%s{\"%d\":[1]}", i ? "," : "", i);
        buf_append_cstr(&many[0], "]}");
    }
    buf_append_cstr(&many[0], "}}}");
    hostile(b, "1000 combinations of $or, none there", many, 1, &b->events[0]);
    one_of_many(&event, "{\"a\":[", "{\"n0\":{\"#\":1}},{\"n1\":{\"#\":1}}", 10, "]}");
    char *spread = strdup(buf_cstr(&event));
    spread[strlen(spread) - 2] = '\0'; /* the list goes on */
    detail_of(&event, spread, ",{\"n2\":{\"1\":1}}", 8192, "]}");
    hostile(b, "1000 combinations, no element has all", many, 1, &event);
    free(spread);
    for (int i = 0; i < 30; i++) {
        buf_clear(&many[i]);
        buf_printf(&many[i], "{\"detail\":{\"a\":[{\"wildcard\":\"*a*ab%d*\"}]}}", i);
    }
    detail_of(&event, "{\"a\":\"", "aaaaaaab", 65536, "\"}");
    hostile(b, "30 wildcards against one long text", many, 30, &event);
    for (int i = 0; i < 30; i++)
        buf_free(&many[i]);
    buf_free(&event);
}

static void hostiles(bench_t *b)
{
    buf_t event = {0}, pattern = {0};
    for (size_t i = 0; i < ARRAY_LEN(hostile_events); i++) {
        const hostile_t *h = &hostile_events[i];
        buf_clear(&pattern);
        buf_append_cstr(&pattern, h->pattern);
        for (size_t bytes = HOSTILE_BYTES / 64; bytes <= HOSTILE_BYTES; bytes *= 8) {
            detail_of(&event, h->head, h->item, bytes, h->tail);
            hostile(b, h->name, &pattern, 1, &event);
        }
    }
    hostile_patterns(b);
    buf_free(&pattern);
    buf_free(&event);
}

/* -- all of it ----------------------------------------------------------------------------------------- */
static void cpu_name(char *out, size_t cap)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    (void)snprintf(out, cap, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[strcspn(colon, "\n")] = '\0';
            (void)snprintf(out, cap, "%s", colon + 2);
            break;
        }
    }
    if (file)
        (void)fclose(file);
}

/* An event that comes as JSON costs this besides. */
static double convert_ns(const bench_t *b)
{
    buf_t json[EVENTS] = {0}, out = {0};
    size_t rounds = 0;
    for (uint32_t i = 0; i < EVENTS; i++)
        check(json_from_msgpack(buf_bytes(&b->events[i]), JSON_COMPACT, &json[i], NULL), "an event is no JSON");
    double begun = now_ns(), spent;
    do {
        for (size_t i = 0; i < EVENTS; i++, rounds++) {
            buf_clear(&out);
            check(json_to_msgpack(buf_bytes(&json[i]), NULL, &out, NULL), "an event is no JSON");
        }
        spent = now_ns() - begun;
    } while (spent < RUN_NS);
    for (size_t i = 0; i < EVENTS; i++)
        buf_free(&json[i]);
    buf_free(&out);
    return spent / (double)rounds;
}

static void head(bench_t *b)
{
    struct utsname system;
    char cpu[128];
    cpu_name(cpu, sizeof cpu);
    check(uname(&system) == 0, "uname");
    printf("mangabus %s, gcc %s, %s %s, %s; events of %zu bytes\n", MANGABUS_VERSION, __VERSION__, system.sysname,
           system.release, cpu, b->bytes / EVENTS);
    fprintf(
        b->json,
        "{\n  \"version\": \"%s\", \"compiler\": \"%s\", \"kernel\": \"%s\", \"cpu\": \"%s\", \"event_bytes\": %zu,\n"
        "  \"from_json_ns\": %.1f,\n"
        "  \"results\": [",
        MANGABUS_VERSION, __VERSION__, system.release, cpu, b->bytes / EVENTS, convert_ns(b));
}

static const struct {
    const char *name;
    pattern_t_of *make;
} sets[] = {{"exact", exact},
            {"prefix", prefix},
            {"suffix", suffix},
            {"ignore-case", ignore_case},
            {"wildcard", wildcard_begun},
            {"wildcard *x*n*", wildcard},
            {"wildcard *d*d*", wildcard_dd},
            {"anything-but", anything_but},
            {"numeric", numeric},
            {"cidr", cidr},
            {"$or", either},
            {"array of objects", array_of_objects},
            {"absent keys", absent_key},
            {"exact and prefix", exact_and_prefix},
            {"mixed", mixed}};

#define OPERATORS 13 /* so many of them are about one operator */

static void run_all(bench_t *b)
{
    for (size_t i = 0; i < OPERATORS; i++) {
        run(b, sets[i].name, sets[i].make, 30);
        run(b, sets[i].name, sets[i].make, 1000);
    }
    for (uint32_t count = 1; count <= RULESET_RULES_MAX; count *= 10)
        run(b, "exact", exact, count);
    run(b, "exact and prefix", exact_and_prefix, 10000);
    for (uint32_t count = 1; count <= RULESET_RULES_MAX; count *= 10)
        run(b, "mixed", mixed, count);
    hostiles(b);
}

static pattern_t_of *set_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        if (strcmp(sets[i].name, name) == 0)
            return sets[i].make;
    check(false, "there is no set of that name");
    return NULL;
}

/* -- for other matchers -------------------------------------------------------------------------------- */
static FILE *create(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    check(file != NULL, path);
    return file;
}

static void write_set(const char *folder, FILE *index, const char *name, uint32_t count)
{
    static int number;
    char file_name[32];
    buf_t pattern = {0};
    (void)snprintf(file_name, sizeof file_name, "rules-%d.jsonl", number++);
    FILE *file = create(folder, file_name);
    for (uint32_t i = 0; i < count; i++) {
        buf_clear(&pattern);
        set_named(name)(&pattern, RULE_NUMBER(i));
        fprintf(file, "%s\n", buf_cstr(&pattern));
    }
    check(fclose(file) == 0, "cannot write rules");
    fprintf(index, "%s\t%s\t%u\n", file_name, name, count);
    buf_free(&pattern);
}

static void write_events(const char *folder)
{
    buf_t json = {0};
    FILE *file = create(folder, "events.jsonl");
    for (uint32_t i = 0; i < EVENTS; i++) {
        event_json(&json, EVENT_NUMBER(i));
        fprintf(file, "%s\n", buf_cstr(&json));
    }
    check(fclose(file) == 0, "cannot write events");
    buf_free(&json);
}

/* And the index: lines of file, set and number of rules, with tabs between. */
static int write_all(const char *folder)
{
    FILE *index = create(folder, "sets.tsv");
    write_events(folder);
    for (uint32_t count = 10; count <= RULESET_RULES_MAX; count *= 100)
        write_set(folder, index, "exact", count);
    write_set(folder, index, "exact and prefix", 10000);
    for (size_t i = 1; i < OPERATORS; i++) /* the first is exact */
        write_set(folder, index, sets[i].name, strncmp(sets[i].name, "wildcard", 8) == 0 ? 30 : 1000);
    for (uint32_t count = 1; count <= RULESET_RULES_MAX; count *= 10)
        write_set(folder, index, "mixed", count);
    check(fclose(index) == 0, "cannot write the index");
    return 0;
}

int main(int argc, char **argv)
{
    static bench_t b = {.first = true};
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_all(argv[2]);
    b.json = fopen(argc > 1 ? argv[1] : "build/bench/rules.json", "we");
    check(b.json != NULL, "cannot write build/bench/rules.json");
    make_events(&b);
    head(&b);
    if (argc > 2 && strcmp(argv[2], "hostile") == 0)
        hostiles(&b);
    else if (argc > 3)
        run(&b, argv[2], set_named(argv[2]), (uint32_t)strtoul(argv[3], NULL, 10));
    else
        run_all(&b);
    fprintf(b.json, "\n  ]\n}\n");
    check(fclose(b.json) == 0, "cannot write the results");
    for (size_t i = 0; i < EVENTS; i++)
        buf_free(&b.events[i]);
    return 0;
}
