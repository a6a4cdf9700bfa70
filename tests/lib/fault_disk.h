/* fault_disk.h: a disk in memory that loses power, fails and fills up on demand, as a journal_io_t.
 *
 * What is written is seen at once by readers, but is safe only after datasync; a name is safe only after
 * sync_dir. A power cut keeps, drops, tears or trashes each unsynced write: torn, each sector (of 512 bytes, or of
 * 4 KiB) is old or new; trashed, it may be rubbish too. It keeps or drops each unsynced change of a name. A failed
 * datasync loses its writes for good while readers still see them, as Linux does (Rebello et al., USENIX ATC'20). One
 * seed, always the same run. */
#ifndef TESTS_LIB_FAULT_DISK_H
#define TESTS_LIB_FAULT_DISK_H

#include "broker/journal/journal_io.h"
#include "proto/bytes.h"
#include "tests/lib/random.h"

typedef struct fault_disk fault_disk_t;

typedef enum {
    FAULT_NONE,
    FAULT_DEAD, /* from that operation on nothing works: the machine stopped */
    FAULT_ONCE, /* that operation alone fails */
} fault_kind_t;

fault_disk_t *fault_disk_new(uint64_t seed);
void fault_disk_free(fault_disk_t *disk);
const journal_io_t *fault_disk_io(fault_disk_t *disk);

/* The operation number `at` (0: the next one) that changes or syncs something fails with `error` (an errno). */
void fault_disk_arm(fault_disk_t *disk, fault_kind_t kind, uint64_t at, int error);
void fault_disk_disarm(fault_disk_t *disk);
bool fault_disk_struck(const fault_disk_t *disk); /* the armed operation was reached */
uint64_t fault_disk_operations(const fault_disk_t *disk);

/* Power goes and comes back: open descriptors and locks are gone, unsynced things as described above. With
 * `harsh` every unsynced thing is lost. */
void fault_disk_cut_power(fault_disk_t *disk, bool harsh);

/* The process is gone, the machine goes on: open descriptors and locks are gone, all that was written is still seen,
 * and as safe or unsafe as it was. */
void fault_disk_kill(fault_disk_t *disk);

/* Bytes that files may hold together; UINT64_MAX at first. */
void fault_disk_limit(fault_disk_t *disk, uint64_t bytes);

/* The content of a file, to be changed in place; NULL when there is none. *bytes may be lowered to cut it. */
uint8_t *fault_disk_file(fault_disk_t *disk, const char *path, uint64_t **bytes);
/* Calls `each` with every path. */
void fault_disk_each(fault_disk_t *disk, void (*each)(void *ctx, const char *path), void *ctx);

#endif
