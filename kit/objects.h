/* objects.h: an object store behind one interface: a directory, or a bucket of S3.
 *
 * "file:///path" or "/path" is a directory, made when it is missing (0700); "s3://bucket" or "s3://bucket/prefix" a
 * bucket, with the credentials, region and endpoint of kit/aws.h (AWS_ENDPOINT_URL_S3 for stores that speak S3
 * elsewhere; always addressed by path). An object that is put is whole or not there, and on disk (or S3's) before that
 * is said. One loop's thread. */
#ifndef KIT_OBJECTS_H
#define KIT_OBJECTS_H

#include "kit/loop.h"
#include "proto/bytes.h"
#include "proto/status.h"

#define OBJECTS_KEY_MAX_BYTES 1024 /* S3's */
#define OBJECTS_TIMEOUT_MS 30000

typedef struct objects objects_t;

MUST_USE objects_t *objects_open(loop_t *loop, const char *url, error_t *err);
void objects_close(objects_t **objects); /* ends what runs with CANCELLED */

/* `err` is NULL when the object is kept. Exactly once; for a directory before objects_put returns. */
typedef void (*objects_put_fn)(void *ctx, const error_t *err);

/* Keys are paths of parts between slashes; letters, digits and "-._" alone, no part of dots alone. An object of this
 * key is replaced. False when it was not begun (then `fn` is not called). A directory blocks for as long as its disk
 * takes. */
MUST_USE bool objects_put(objects_t *objects, const char *key, bytes_t body, const char *type, objects_put_fn fn,
                          void *ctx, error_t *err);

#endif
