/* keyring.h: the public keys that may connect, each with a name; read from a folder, and again when it changes.
 *
 *     DIR/server.key        the broker's secret key, Z85, one line
 *     DIR/clients/NAME.pub  a client's public key, Z85, one line; NAME is its role
 *
 * Where there is no folder clients/, every DIR/NAME.pub but server.pub counts. A file that holds no key is left
 * out and logged; the others count. */
#ifndef BROKER_KEYRING_H
#define BROKER_KEYRING_H

#include "proto/bytes.h"
#include "proto/status.h"

#define KEYRING_KEYS_MAX 4096
#define KEYRING_NAME_BYTES 64
#define KEYRING_KEY_BYTES 32
#define KEYRING_Z85_BYTES 41

typedef struct keyring keyring_t;

MUST_USE keyring_t *keyring_open(const char *dir, error_t *err);
void keyring_free(keyring_t **keyring);

/* The broker's secret key as text; lives as long as the keyring. */
const char *keyring_server_key(const keyring_t *keyring);

/* Looks whether a key file has come, gone or changed since (its name, place, size and times), and if so reads them all
 * again; those that changed a moment ago it reads in any case, for a file can change twice within one tick of the
 * disk's clock. Returns true when other keys are known now. */
bool keyring_refresh(keyring_t *keyring);

/* The name under which `key` (32 bytes) is known; NULL when it is not. */
const char *keyring_name_of(const keyring_t *keyring, bytes_t key);
/* The same of a key in Z85. */
const char *keyring_name_of_text(const keyring_t *keyring, const char *key);

#endif
