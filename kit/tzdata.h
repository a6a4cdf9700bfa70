/* tzdata.h: the files of the machine's time zone database, by the zones' names.
 *
 * Debian's tzdata puts them under TZDATA_FOLDER; programs take another one from TZDIR, as the C library does. What is
 * in them is for broker/rules/zone.h to read. */
#ifndef KIT_TZDATA_H
#define KIT_TZDATA_H

#include "proto/bytes.h"
#include "proto/status.h"

#define TZDATA_FOLDER "/usr/share/zoneinfo"
#define TZDATA_NAME_MAX_BYTES 64
#define TZDATA_FILE_MAX_BYTES ((size_t)64 << 10)

/* Appends the bytes of the zone's file. False (INVALID_ARGUMENT) for a name that is none; no name leaves the folder. */
MUST_USE bool tzdata_read(const char *folder, bytes_t name, buf_t *out, error_t *err);

/* Calls `each` for every zone, in no order. Returns how many there were: 0 where no database is installed. Reads files:
 * blocks for some milliseconds. */
size_t tzdata_each(const char *folder, void (*each)(void *ctx, bytes_t name, bytes_t tzif), void *ctx);

#endif
