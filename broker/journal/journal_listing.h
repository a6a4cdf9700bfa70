/* journal_listing.h: which files of the journal's are in its folder. */
#ifndef BROKER_JOURNAL_JOURNAL_LISTING_H
#define BROKER_JOURNAL_JOURNAL_LISTING_H

#include "broker/journal/journal_file.h"

typedef struct {
    uint64_t *items;
    size_t count, cap;
} numbers_t;

typedef struct {
    numbers_t segments;   /* ascending, as the next two */
    numbers_t spares;     /* ids */
    numbers_t snapshots;  /* numbers */
    numbers_t kept_files; /* two each: snapshot, first record; in no order */
} listing_t;

/* On failure *listing is to be freed all the same. */
MUST_USE bool listing_read(listing_t *listing, const folder_t *folder, error_t *err);
void listing_free(listing_t *listing);

static inline uint64_t listing_newest_snapshot(const listing_t *listing)
{
    const numbers_t *all = &listing->snapshots;
    return all->count ? all->items[all->count - 1] : 0;
}

#endif
