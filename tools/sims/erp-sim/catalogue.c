/* catalogue.c: works in one array sorted by block; everything about a volume follows from its number. */
#include "tools/sims/erp-sim/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/timefmt.h"

#define US_PER_DAY INT64_C(86400000000)
#define S_PER_DAY INT64_C(86400)
#define VOLUME_INTERVAL_DAYS 120 /* between two volumes of a work of the file */
#define PREORDER_AHEAD_DAYS 200  /* from the newest volume to the next */
#define FIRST_ORDINARY_DAY 3652  /* 1980-01-01, for works whose date is unknown */
#define DISCONTINUED_PERCENT 6
/* What sim_mix is asked for; one number each, so that one answer says nothing about another. */
enum { MIX_VOLUMES = 1, MIX_PRICE, MIX_SALE, MIX_REVISION, MIX_UPDATED };

struct sim_catalogue {
    sim_work_t *works;
    size_t count, capacity;
    uint64_t *listed_before; /* volumes listed by the works before this one */
    uint64_t seed;
    buf_t text; /* the file; works point into it */
};

uint64_t sim_mix(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t x = seed + a * UINT64_C(0x9E3779B97F4A7C15) + b * UINT64_C(0xD1B54A32D192ED03);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

uint32_t sim_work_listed(const sim_work_t *work)
{
    return work->volumes + (work->is_ongoing ? 1u : 0u);
}

/* -- building ------------------------------------------------------------------------------------------ */
static int32_t day_of(bytes_t date, int32_t fallback)
{
    int64_t us;
    return timefmt_parse_date(date, &us) ? (int32_t)(us / US_PER_DAY) : fallback;
}

static sim_work_t *work_add(sim_catalogue_t *self)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity ? self->capacity * 2 : 1024;
        sim_work_t *grown = realloc(self->works, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        self->works = grown;
        self->capacity = capacity;
    }
    sim_work_t *work = &self->works[self->count++];
    *work = (sim_work_t){0};
    return work;
}

static bool builtin_add(sim_catalogue_t *self)
{
    size_t count;
    const sim_builtin_t *rows = sim_builtin_works(&count);
    for (size_t i = 0; i < count; i++) {
        sim_work_t *work = work_add(self);
        if (!work)
            return false;
        *work = (sim_work_t){
            .title = bytes_cstr(rows[i].title),
            .title_kana = bytes_cstr(rows[i].title_kana),
            .title_en = bytes_cstr(rows[i].title_en),
            .creators = bytes_cstr(rows[i].creators),
            .publisher = bytes_cstr(rows[i].publisher),
            .genres = bytes_cstr(rows[i].genres),
            .block = (uint32_t)i,
            .first_day = day_of(bytes_cstr(rows[i].first_date), FIRST_ORDINARY_DAY),
            .last_day = day_of(bytes_cstr(rows[i].last_date), FIRST_ORDINARY_DAY),
            .volumes = rows[i].volumes,
            .is_ongoing = rows[i].is_ongoing,
        };
    }
    return true;
}

static bool contains(bytes_t text, bytes_t part)
{
    return part.len && text.len >= part.len && memmem(text.data, text.len, part.data, part.len) != NULL;
}

static bool is_builtin(const sim_catalogue_t *self, const bytes_t columns[6])
{
    size_t builtin;
    (void)sim_builtin_works(&builtin);
    for (size_t i = 0; i < builtin; i++) {
        const sim_work_t *work = &self->works[i];
        bool same_name = bytes_eq(work->title, columns[1]) || bytes_eq(work->title_kana, columns[2]);
        if (same_name && contains(columns[3], work->creators))
            return true;
    }
    return false;
}

/* Most works are short: 55 % one volume, a few run to forty. */
static uint16_t volumes_of(uint64_t seed, uint32_t block)
{
    static const struct {
        uint8_t below_percent, least, spread;
    } steps[] = {{55, 1, 1}, {80, 2, 3}, {94, 5, 6}, {99, 11, 10}, {100, 21, 20}};
    uint64_t dice = sim_mix(seed, MIX_VOLUMES, block);
    for (size_t i = 0;; i++)
        if (dice % 100 < steps[i].below_percent)
            return (uint16_t)(steps[i].least + dice / 100 % steps[i].spread);
}

static void tsv_row(void *ctx, uint32_t row, const bytes_t columns[6])
{
    sim_catalogue_t *self = ctx;
    uint32_t block = SIM_BUILTIN_BLOCKS + row;
    if (columns[1].len == 0 || block >= SIM_BLOCKS_MAX || is_builtin(self, columns))
        return;
    sim_work_t *work = work_add(self);
    if (!work)
        return; /* noticed by listed_sum, which needs memory too */
    work->title = columns[1];
    work->title_kana = columns[2];
    work->creators = columns[3];
    work->block = block;
    work->first_day = day_of(columns[5], FIRST_ORDINARY_DAY);
    work->volumes = volumes_of(self->seed, block);
    work->last_day = work->first_day + VOLUME_INTERVAL_DAYS * (work->volumes - 1);
}

static bool file_read(const char *path, buf_t *out, error_t *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(err, STATUS_NOT_FOUND, NULL, "catalogue %s: %s", path, strerror(errno));
    char block[65536];
    size_t got;
    while ((got = fread(block, 1, sizeof(block), file)) > 0 && out->len <= SIM_TSV_MAX_BYTES)
        buf_append(out, block, got);
    bool is_whole = !ferror(file) && !out->failed && out->len <= SIM_TSV_MAX_BYTES;
    (void)fclose(file);
    return is_whole || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "catalogue %s: unreadable, or over %zu bytes",
                                 path, SIM_TSV_MAX_BYTES);
}

static bool tsv_add(sim_catalogue_t *self, const char *path, error_t *err)
{
    if (!path || !*path)
        return true;
    return file_read(path, &self->text, err) &&
           (sim_tsv_read(buf_bytes(&self->text), tsv_row, self, err) || error_prefix(err, "catalogue %s", path));
}

static bool listed_sum(sim_catalogue_t *self, error_t *err)
{
    self->listed_before = calloc(self->count + 1, sizeof(*self->listed_before));
    if (!self->listed_before)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for the catalogue");
    for (size_t i = 0; i < self->count; i++)
        self->listed_before[i + 1] = self->listed_before[i] + sim_work_listed(&self->works[i]);
    return true;
}

sim_catalogue_t *sim_catalogue_new(const char *tsv_path, uint64_t seed, error_t *err)
{
    sim_catalogue_t *self = calloc(1, sizeof(*self));
    if (self) {
        self->seed = seed;
        if (builtin_add(self) && tsv_add(self, tsv_path, err) && listed_sum(self, err))
            return self;
    }
    sim_catalogue_free(&self);
    return NULL;
}

void sim_catalogue_free(sim_catalogue_t **catalogue)
{
    if (!*catalogue)
        return;
    free((*catalogue)->works);
    free((*catalogue)->listed_before);
    buf_free(&(*catalogue)->text);
    free(*catalogue);
    *catalogue = NULL;
}

/* -- looking ------------------------------------------------------------------------------------------- */
size_t sim_catalogue_works(const sim_catalogue_t *catalogue)
{
    return catalogue->count;
}

uint64_t sim_catalogue_volumes(const sim_catalogue_t *catalogue)
{
    return catalogue->listed_before[catalogue->count];
}

const sim_work_t *sim_catalogue_work(const sim_catalogue_t *catalogue, size_t index)
{
    return &catalogue->works[index];
}

static const char *label_of(const sim_work_t *work, uint32_t number)
{
    static const char *const labels[2][3] = {{"上", "下", ""}, {"上", "中", "下"}};
    bool has_labels = (work->volumes == 2 || work->volumes == 3) && !work->is_ongoing && work->block % 3 == 0;
    return has_labels ? labels[work->volumes - 2][number - 1] : "";
}

static sim_sale_t sale_of(const sim_catalogue_t *self, const sim_work_t *work, uint32_t body, uint32_t number)
{
    if (number > work->volumes)
        return SIM_SALE_PREORDER;
    bool is_old = work->block >= SIM_BUILTIN_BLOCKS && sim_mix(self->seed, MIX_SALE, body) % 100 < DISCONTINUED_PERCENT;
    return is_old ? SIM_SALE_DISCONTINUED : SIM_SALE_ACTIVE;
}

static int32_t released_on(const sim_work_t *work, uint32_t number)
{
    if (number > work->volumes)
        return work->last_day + PREORDER_AHEAD_DAYS;
    if (work->volumes <= 1)
        return work->first_day;
    int64_t span = work->last_day - work->first_day;
    return work->first_day + (int32_t)(span * (number - 1) / (work->volumes - 1));
}

static void isbn_of(uint32_t body, char out[ISBN13_TEXT_BYTES])
{
    (void)snprintf(out, ISBN13_TEXT_BYTES, "9784%08u", body % 100000000u);
    out[12] = isbn13_check_digit(out);
    out[13] = '\0';
}

/* 2025, a second of it: changes lie in the past of every clock that this runs on. */
static int64_t updated_at(uint64_t seed, uint32_t body)
{
    static const int64_t year_start_s = INT64_C(1735689600);
    return year_start_s + (int64_t)(sim_mix(seed, MIX_UPDATED, body) % (uint64_t)(365 * S_PER_DAY));
}

void sim_catalogue_volume(const sim_catalogue_t *catalogue, size_t index, uint32_t number, sim_volume_t *out)
{
    const sim_work_t *work = &catalogue->works[index];
    uint32_t body = work->block * SIM_BLOCK_ISBNS + number;
    *out = (sim_volume_t){
        .work = work,
        .body = body,
        .number = number,
        .label = label_of(work, number),
        .sale = sale_of(catalogue, work, body, number),
        .price_jpy = 484 + 22 * (int64_t)(sim_mix(catalogue->seed, MIX_PRICE, work->block) % 16),
        .released_day = released_on(work, number),
        .updated_s = updated_at(catalogue->seed, body),
        .revision = 1 + (int64_t)(sim_mix(catalogue->seed, MIX_REVISION, body) % 9),
    };
    isbn_of(body, out->isbn);
}

/* The body of an ISBN of ours; false for one that cannot be. */
static bool body_of(bytes_t isbn, uint32_t *body)
{
    if (!isbn13_is_valid(isbn) || memcmp(isbn.data, "9784", 4) != 0)
        return false;
    *body = 0;
    for (size_t i = 4; i < 12; i++)
        *body = *body * 10 + (uint32_t)(isbn.data[i] - '0');
    return true;
}

/* Index of the first work whose block is at least `block`; the count when there is none. */
static size_t work_at(const sim_catalogue_t *self, uint32_t block)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->works[middle].block < block)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool sim_catalogue_find(const sim_catalogue_t *catalogue, bytes_t isbn, sim_volume_t *out)
{
    uint32_t body;
    if (!body_of(isbn, &body))
        return false;
    size_t index = work_at(catalogue, body / SIM_BLOCK_ISBNS);
    uint32_t number = body % SIM_BLOCK_ISBNS;
    if (index == catalogue->count || catalogue->works[index].block != body / SIM_BLOCK_ISBNS || number == 0 ||
        number > sim_work_listed(&catalogue->works[index]))
        return false;
    sim_catalogue_volume(catalogue, index, number, out);
    return true;
}

bool sim_catalogue_after(const sim_catalogue_t *catalogue, bytes_t isbn, sim_volume_t *out)
{
    uint32_t body = 0;
    if (isbn.len && !body_of(isbn, &body))
        return false;
    size_t index = work_at(catalogue, body / SIM_BLOCK_ISBNS);
    if (index == catalogue->count)
        return false;
    uint32_t number = catalogue->works[index].block == body / SIM_BLOCK_ISBNS ? body % SIM_BLOCK_ISBNS + 1 : 1;
    if (number > sim_work_listed(&catalogue->works[index])) {
        index++;
        number = 1;
    }
    if (index == catalogue->count)
        return false;
    sim_catalogue_volume(catalogue, index, number, out);
    return true;
}
