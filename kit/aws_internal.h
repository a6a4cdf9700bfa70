/* aws_internal.h: parts of aws.c that are tested by themselves. */
#ifndef KIT_AWS_INTERNAL_H
#define KIT_AWS_INTERNAL_H

#include "proto/bytes.h"

typedef struct {
    bytes_t id, secret, token;
    int64_t expires_us; /* INT64_MAX: does not say */
} aws_container_answer_t;

/* Slices live in `scratch`. */
MUST_USE bool aws_container_answer_read(bytes_t json, aws_container_answer_t *out, buf_t *scratch);
MUST_USE bool aws_container_url_is_allowed(const char *url);

#endif
