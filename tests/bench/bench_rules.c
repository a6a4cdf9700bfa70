/* bench_rules.c: what rules cost: nanoseconds an event for each operator and for sets of 1 to 100,000 rules, memory of
 * a rule, time to compile. Writes build/bench/rules.json, or the file named as first argument.
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
        event_json(&json, i * 197 + 11);
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
        make(&patterns[i], i * 197 % 99991 + 11);
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
static void hostile(bench_t *b, const char *name, const char *const *patterns, size_t count, const buf_t *event)
{
    error_t err = {0};
    uint32_t ids[IDS];
    ruleset_t *rules = ruleset_new();
    double worst[ROUNDS * 4];
    check(rules != NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        check(ruleset_add(rules, (uint32_t)i, bytes_cstr(patterns[i]), &err), err.message);
    check(ruleset_compile(rules, &err), err.message);
    for (size_t i = 0; i < ARRAY_LEN(worst); i++) {
        double begun = now_ns();
        (void)!ruleset_match(rules, buf_bytes(event), BYTES_NONE, ids, IDS);
        worst[i] = now_ns() - begun;
    }
    qsort(worst, ARRAY_LEN(worst), sizeof *worst, by_value);
    double median = worst[ARRAY_LEN(worst) / 2];
    printf("hostile: %-44s event of %7zu B  %9.1f us\n", name, event->len, median / 1e3);
    fprintf(b->json, ",\n    {\"set\": \"hostile: %s\", \"rules\": %zu, \"event_bytes\": %zu, \"ns_per_event\": %.1f}",
            name, count, event->len, median);
    ruleset_free(&rules);
}

static void detail_of(buf_t *out, const char *head, const char *item, size_t times, const char *tail)
{
    buf_t json = {0};
    buf_clear(out);
    buf_printf(&json, "{\"detail\":%s", head);
    for (size_t i = 0; i < times; i++)
        buf_printf(&json, "%s", item);
    buf_printf(&json, "%s}", tail);
    check(json_to_msgpack(buf_bytes(&json), NULL, out, NULL), "a hostile event is no JSON");
    buf_free(&json);
}

static void hostiles(bench_t *b)
{
    buf_t event = {0}, wide = {0};
    const char *const stars[] = {"{\"detail\":{\"a\":[{\"wildcard\":\"*a*a*b*\"},{\"wildcard\":\"*ab*c\"}]}}"};
    const char *const pair[] = {"{\"detail\":{\"a\":{\"x\":[1],\"y\":[2]}}}"};
    const char *const none[] = {"{\"source\":[\"x\"]}"};
    detail_of(&event, "{\"a\":\"", "aaaaaaaaaaaaaaaa", 4096, "\"}");
    hostile(b, "stars against 64 KiB of a", stars, 1, &event);
    detail_of(&event, "{\"a\":[", "{\"x\":1},{\"y\":2},", 2048, "{}]}");
    hostile(b, "4096 elements none of which has both", pair, 1, &event);
    detail_of(&event, "{\"z\":[", "1,", 32768, "1]}");
    hostile(b, "an array of 32 Ki numbers, skipped", none, 1, &event);
    for (int level = 0; level < 3; level++) {
        buf_printf(&wide, "%s\"n%d\":{\"$or\":[", level ? "," : "{", level);
        for (int i = 0; i < 10; i++)
            buf_printf(&wide, "%s{\"%d\":[1]}", i ? "," : "", i);
        buf_append_cstr(&wide, "]}");
    }
    buf_append_cstr(&wide, "}");
    const char *const branches[] = {buf_cstr(&wide)};
    hostile(b, "1000 combinations of $or", branches, 1, &b->events[0]);
    buf_free(&wide);
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
        "  \"results\": [",
        MANGABUS_VERSION, __VERSION__, system.release, cpu, b->bytes / EVENTS);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        pattern_t_of *make;
    } operators[] = {{"exact", exact},
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
                     {"absent keys", absent_key}};
    static bench_t b = {.first = true};
    b.json = fopen(argc > 1 ? argv[1] : "build/bench/rules.json", "we");
    check(b.json != NULL, "cannot write build/bench/rules.json");
    make_events(&b);
    head(&b);
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        run(&b, operators[i].name, operators[i].make, 30);
        run(&b, operators[i].name, operators[i].make, 1000);
    }
    for (uint32_t count = 1; count <= RULESET_RULES_MAX; count *= 10)
        run(&b, "exact", exact, count);
    run(&b, "exact and prefix", exact_and_prefix, 10000);
    for (uint32_t count = 1; count <= RULESET_RULES_MAX; count *= 10)
        run(&b, "mixed", mixed, count);
    hostiles(&b);
    fprintf(b.json, "\n  ]\n}\n");
    check(fclose(b.json) == 0, "cannot write the results");
    for (size_t i = 0; i < EVENTS; i++)
        buf_free(&b.events[i]);
    return 0;
}
