/* crc32c.h: the two ways by which crc32c() (record.h) computes, each by itself, so that tests can hold one
 * against the other.
 *
 * CRC-32C is the Castagnoli polynomial, reflected, as RFC 3720 appendix B.4 defines it. Pure; nothing blocks. */
#ifndef PROTO_CRC32C_H
#define PROTO_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By tables, on any machine. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

/* True when this processor has the instruction. */
bool crc32c_has_hardware(void);

/* By the instruction; only where crc32c_has_hardware(). */
uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t len);

#endif
