/* sha256.h: SHA-256 of a whole text, for the name of a topology document. Source: FIPS 180-4 §6.2. Pure.
 *
 * Not for secrets and not for speed: the core may reach no library, and hashes a document now and then. */
#ifndef BROKER_CORE_SHA256_H
#define BROKER_CORE_SHA256_H

#include "proto/bytes.h"

#define SHA256_HEX_BYTES 65 /* 64 lower-case digits and NUL */

void sha256_hex(bytes_t text, char out[SHA256_HEX_BYTES]);

#endif
