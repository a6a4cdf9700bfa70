/* template.h: EventBridge's InputTransformer: a text with places for values of the event.
 *
 * Source: the PutTargets reference (InputTransformer) and the user guide, "Input transformation"; what they leave open
 * is as AWS was recorded: outside quotes a value stands as JSON, and where nothing was found as an empty text; inside
 * quotes a text stands as it is, unescaped, and an object or array as its JSON without any quote. A result that is no
 * JSON is a text. Pure, see pattern.h. */
#ifndef BROKER_RULES_TEMPLATE_H
#define BROKER_RULES_TEMPLATE_H

#include "proto/bytes.h"
#include "proto/status.h"

#define TEMPLATE_MAX_BYTES 8192               /* InputTemplate in the service model */
#define TEMPLATE_PATHS_MAX 100                /* InputPathsMap */
#define TEMPLATE_NAME_MAX_BYTES 256           /* a key of it */
#define TEMPLATE_PLACES_MAX 1024              /* ours: placeholders in one template */
#define TEMPLATE_OUTPUT_MAX ((size_t)1 << 20) /* of the text; what is longer does not fit the target */

typedef struct template template_t;

typedef struct {
    int64_t ingest_us;
    bytes_t rule, bus;
} template_facts_t;

/* `transformer` is the msgpack map with InputPathsMap and InputTemplate; `target` is named in messages. */
MUST_USE template_t *template_compile(bytes_t transformer, bytes_t target, error_t *err);
void template_free(template_t **template);

/* Appends what becomes of the event, msgpack. */
MUST_USE bool template_apply(const template_t *template, bytes_t event, const template_facts_t *facts, buf_t *out,
                             error_t *err);

#endif
