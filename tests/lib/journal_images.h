/* journal_images.h: a journal's files as they were, to be laid out on a disk again and again, and damaged. */
#ifndef TESTS_LIB_JOURNAL_IMAGES_H
#define TESTS_LIB_JOURNAL_IMAGES_H

#include "tests/lib/fault_disk.h"

#define IMAGES_MAX 64

typedef struct {
    char path[96];
    uint8_t *data;
    uint64_t bytes; /* may be lowered for a while, to cut the file */
    bool missing;   /* left out when laid out */
} image_t;

typedef struct {
    image_t items[IMAGES_MAX]; /* by path */
    size_t count;
} images_t;

/* Segments, snapshots and kept files. */
void images_take(images_t *images, fault_disk_t *disk);
/* A new disk with these files in `dir`, all of them safe. */
fault_disk_t *images_disk(const images_t *images, const char *dir);
void images_free(images_t *images);

#endif
