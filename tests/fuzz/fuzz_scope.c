/* fuzz_scope.c: any text as a query: what names a book exactly is taken out within bounds, and the rest stays text. */
#include <stdlib.h>

#include "services/embed-indexer/scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_t text = bytes_from(data, size);
    scope_t scope;
    if (!bytes_is_utf8(text, NULL))
        return 0;
    if (scope_read(text, &scope)) {
        bool holds = scope.volume >= -1 && scope.volume <= SCOPE_VOLUME_MAX && (!scope.is_bare || scope.volume >= 0) &&
                     (!scope.isbn[0] || isbn13_is_valid(bytes_cstr(scope.isbn))) &&
                     bytes_is_utf8(buf_bytes(&scope.rest), NULL);
        if (!holds)
            abort();
    }
    buf_free(&scope.rest);
    return 0;
}
