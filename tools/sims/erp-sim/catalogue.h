/* catalogue.h: what the simulated ERP sells: works, and their volumes derived on demand, always the same.
 *
 * Works come from a built-in table of real manga and, where one is given, from a TSV of works (columns
 * madb_id, title, title_kana, creators, creators_kana, first_published; UTF-8, one header line). A work of
 * the file that the table already has (same creator, same title or reading) is left out.
 *
 * A work owns a block of SIM_BLOCK_ISBNS numbers; a volume's ISBN is 978-4, block and volume in eight digits,
 * and the check digit: synthetic, valid, unique, rising with work and volume, and independent of the seed. The
 * seed decides prices, volume counts of the file's works and revisions. Only works are held in memory. */
#ifndef ERP_SIM_CATALOGUE_H
#define ERP_SIM_CATALOGUE_H

#include "proto/bytes.h"
#include "proto/isbn.h"
#include "proto/status.h"

#define SIM_BLOCK_ISBNS 250u     /* of a work: volumes 1 to 249 */
#define SIM_BUILTIN_BLOCKS 1000u /* the file's first work has this block, its second the next, … */
#define SIM_BLOCKS_MAX 400000u   /* 8 digits / SIM_BLOCK_ISBNS */
#define SIM_TSV_MAX_BYTES ((size_t)64 << 20)

typedef struct {
    bytes_t title, title_kana, title_en, creators, publisher, genres; /* genres by '/'; empty where unknown */
    uint32_t block;
    int32_t first_day; /* volume 1's first day of sale, in days since 1970 */
    int32_t last_day;  /* of the newest volume that is out */
    uint16_t volumes;  /* that are out */
    bool is_ongoing;   /* one more volume can be ordered ahead */
} sim_work_t;

typedef enum { SIM_SALE_ACTIVE = 1, SIM_SALE_PREORDER = 2, SIM_SALE_DISCONTINUED = 9 } sim_sale_t;

typedef struct {
    const sim_work_t *work;
    uint32_t body;     /* the eight digits: identity of the volume */
    uint32_t number;   /* from 1 */
    const char *label; /* 上, 中, 下 instead of a number; "" for none; a work of one volume has neither */
    char isbn[ISBN13_TEXT_BYTES];
    sim_sale_t sale;
    int64_t price_jpy;
    int32_t released_day; /* days since 1970 */
    int64_t updated_s;    /* Unix seconds */
    int64_t revision;
} sim_volume_t;

typedef struct sim_catalogue sim_catalogue_t;

/* `tsv_path` NULL or "": the built-in works alone. NULL with `err` when the file cannot be read or is none. */
MUST_USE sim_catalogue_t *sim_catalogue_new(const char *tsv_path, uint64_t seed, error_t *err);
void sim_catalogue_free(sim_catalogue_t **catalogue);

size_t sim_catalogue_works(const sim_catalogue_t *catalogue);
uint64_t sim_catalogue_volumes(const sim_catalogue_t *catalogue);
const sim_work_t *sim_catalogue_work(const sim_catalogue_t *catalogue, size_t index);

/* Volumes of a work that the catalogue lists, the one to be ordered ahead included. */
uint32_t sim_work_listed(const sim_work_t *work);

/* The volume with this ISBN (13 digits); false when there is none. */
MUST_USE bool sim_catalogue_find(const sim_catalogue_t *catalogue, bytes_t isbn, sim_volume_t *out);

/* The first volume whose ISBN is greater than `isbn` (empty: the very first); false at the end. */
MUST_USE bool sim_catalogue_after(const sim_catalogue_t *catalogue, bytes_t isbn, sim_volume_t *out);

/* Volume `number` of the work at `index`, 1 <= number <= sim_work_listed. */
void sim_catalogue_volume(const sim_catalogue_t *catalogue, size_t index, uint32_t number, sim_volume_t *out);

/* A number that `seed` and two others decide alone, evenly spread. */
uint64_t sim_mix(uint64_t seed, uint64_t a, uint64_t b);

/* -- for use by the sources of the catalogue ----------------------------------------------------------- */
typedef struct {
    const char *title, *title_kana, *title_en, *creators, *publisher, *genres, *first_date, *last_date;
    uint16_t volumes;
    bool is_ongoing;
} sim_builtin_t;

const sim_builtin_t *sim_builtin_works(size_t *count);

/* Reads the TSV's rows; `each` gets row numbers from 0. False when the file is unreadable or has another header. */
typedef void (*sim_tsv_fn)(void *ctx, uint32_t row, const bytes_t columns[6]);
MUST_USE bool sim_tsv_read(bytes_t text, sim_tsv_fn each, void *ctx, error_t *err);

#endif
