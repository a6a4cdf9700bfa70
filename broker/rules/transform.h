/* transform.h: what a rule's target receives: Input, InputPath or InputTransformer, as EventBridge has them.
 *
 * At most one of the three is set; none of them means the event itself. Pure, see pattern.h. */
#ifndef BROKER_RULES_TRANSFORM_H
#define BROKER_RULES_TRANSFORM_H

#include "broker/rules/template.h"

typedef struct transform transform_t;

/* `target` is the target's msgpack map in the topology document's shape (Input, InputPath,
 * InputTransformer). *out is NULL when the target asks for none. */
MUST_USE bool transform_compile(bytes_t target, transform_t **out, error_t *err);
void transform_free(transform_t **transform);

/* Appends the body for the target, msgpack. False when the event does not fit the transformer. */
MUST_USE bool transform_apply(const transform_t *transform, bytes_t event, const template_facts_t *facts, buf_t *out,
                              error_t *err);

#endif
