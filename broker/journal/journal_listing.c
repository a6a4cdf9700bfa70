/* journal_listing.c: the folder's names, sorted by what they are. */
#include "broker/journal/journal_listing.h"

#include <errno.h>
#include <stdlib.h>

#define NUMBERS_FIRST 16

static bool numbers_push(numbers_t *numbers, uint64_t number)
{
    if (numbers->count == numbers->cap) {
        size_t cap = numbers->cap ? numbers->cap * 2 : NUMBERS_FIRST;
        uint64_t *items = realloc(numbers->items, cap * sizeof(uint64_t));
        if (!items)
            return false;
        numbers->items = items;
        numbers->cap = cap;
    }
    numbers->items[numbers->count++] = number;
    return true;
}

static int numbers_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int list_one(void *ctx, const char *name)
{
    listing_t *listing = ctx;
    uint64_t number, first;
    bool good = true;
    if (segment_name_parse(name, &number))
        good = numbers_push(&listing->segments, number);
    else if (spare_name_parse(name, &number))
        good = numbers_push(&listing->spares, number);
    else if (snapshot_name_parse(name, &number))
        good = numbers_push(&listing->snapshots, number);
    else if (kept_name_parse(name, &number, &first))
        good = numbers_push(&listing->kept_files, number) && numbers_push(&listing->kept_files, first);
    return good ? 0 : -ENOMEM;
}

static void numbers_sort(numbers_t *numbers)
{
    if (numbers->count)
        qsort(numbers->items, numbers->count, sizeof(uint64_t), numbers_order);
}

bool listing_read(listing_t *listing, const folder_t *folder, error_t *err)
{
    *listing = (listing_t){0};
    int result = folder->io->list_dir(folder->io->ctx, folder->path, list_one, listing);
    if (result < 0)
        return error_set(err, STATUS_INTERNAL, "JOURNAL_IO", "%s: cannot list the folder: %s", folder->path,
                         strerrordesc_np(-result));
    numbers_sort(&listing->segments);
    numbers_sort(&listing->spares);
    numbers_sort(&listing->snapshots);
    return true;
}

void listing_free(listing_t *listing)
{
    free(listing->segments.items);
    free(listing->spares.items);
    free(listing->snapshots.items);
    free(listing->kept_files.items);
    *listing = (listing_t){0};
}
