/* access.h: which role a connection has: by its key's name where there are keys, the role for everything else.
 *
 * Roles come from a document, read once. A name that is no role has one that allows nothing. */
#ifndef BROKER_ACCESS_H
#define BROKER_ACCESS_H

#include "broker/core/role.h"
#include "broker/keyring.h"

#define ACCESS_DOCUMENT_MAX_BYTES ((size_t)1 << 20)

typedef struct access access_t;

/* `keyring` may be NULL: nobody has a key. */
MUST_USE access_t *access_open(const char *roles_path, const keyring_t *keyring, error_t *err);
void access_close(access_t **access);

/* `key` is the connection's, in Z85; NULL for one without. NULL when it is not known any more: another key of the same
 * name does not count. *name gets the key's name, NULL without a key. */
const role_t *access_role(const access_t *access, const char *key, const char **name);

/* Reads a whole file of at most `max` bytes. */
MUST_USE bool access_read_file(const char *path, size_t max, buf_t *out, error_t *err);

#endif
