/* journal_images.c: copies of files, and copies of these. */
#include "tests/lib/journal_images.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    images_t *images;
    fault_disk_t *disk;
} taking_t;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_of_journal(const char *path)
{
    static const char *const ends[] = {".journal", ".snapshot", ".kept"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (strlen(path) > strlen(ends[i]) && strcmp(path + strlen(path) - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static void take_image(void *ctx, const char *path)
{
    const taking_t *taking = ctx;
    uint64_t *bytes;
    if (!is_of_journal(path))
        return;
    check(taking->images->count < IMAGES_MAX);
    image_t *image = &taking->images->items[taking->images->count++];
    const uint8_t *content = fault_disk_file(taking->disk, path, &bytes);
    (void)snprintf(image->path, sizeof image->path, "%s", path);
    image->bytes = *bytes;
    image->data = malloc(*bytes + 1);
    check(image->data != NULL);
    memcpy(image->data, content, *bytes);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const image_t *)a)->path, ((const image_t *)b)->path);
}

void images_take(images_t *images, fault_disk_t *disk)
{
    taking_t taking = {images, disk};
    images->count = 0;
    fault_disk_each(disk, take_image, &taking);
    qsort(images->items, images->count, sizeof images->items[0], by_path);
}

static void put_image(const journal_io_t *io, const image_t *image)
{
    int fd = io->open(io->ctx, image->path, O_CREAT | O_RDWR, 0600);
    for (uint64_t at = 0; at < image->bytes;)
        at += (uint64_t)io->pwrite(io->ctx, fd, image->data + at, image->bytes - at, at);
    check(io->datasync(io->ctx, fd) == 0);
    (void)io->close(io->ctx, fd);
}

fault_disk_t *images_disk(const images_t *images, const char *dir)
{
    char lock[128];
    fault_disk_t *disk = fault_disk_new(1);
    const journal_io_t *io = fault_disk_io(disk);
    check(io->make_dir(io->ctx, dir, 0700) == 0);
    (void)snprintf(lock, sizeof lock, "%s/lock", dir);
    (void)io->close(io->ctx, io->open(io->ctx, lock, O_CREAT | O_RDWR, 0600));
    for (size_t i = 0; i < images->count; i++)
        if (!images->items[i].missing)
            put_image(io, &images->items[i]);
    check(io->sync_dir(io->ctx, dir) == 0);
    return disk;
}

void images_free(images_t *images)
{
    for (size_t i = 0; i < images->count; i++)
        free(images->items[i].data);
    images->count = 0;
}
