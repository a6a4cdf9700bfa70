/* fm_tokens.c: one bound for all providers. */
#include "services/fm-invoker/fm_tokens.h"

#include "proto/msgpack.h"

bool fm_tokens_take(bytes_t map, const char *key, int64_t *tokens)
{
    int64_t number;
    if (!mp_map_i64(map, key, &number) || number < 0 || number > FM_TOKENS_MAX)
        return false;
    *tokens = number;
    return true;
}
