/* credentials.c: compares in constant time; remembers nonces in a ring. */
#include "tools/sims/erp-sim/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "proto/base64.h"
#include "proto/timefmt.h"

#define S_US INT64_C(1000000)

typedef struct {
    uint64_t hash;
    int64_t created_us;
} nonce_t;

struct sim_guard {
    const char *user, *password, *token;
    size_t next;
    nonce_t nonces[SIM_NONCES_MAX];
};

sim_guard_t *sim_guard_new(const char *user, const char *password, const char *token)
{
    sim_guard_t *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->user = user ? user : "";
    self->password = password ? password : "";
    self->token = token ? token : "";
    return self;
}

void sim_guard_free(sim_guard_t **guard)
{
    free(*guard);
    *guard = NULL;
}

static bool same(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

static uint64_t hash_of(const char *nonce)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (; *nonce; nonce++)
        hash = (hash ^ (uint8_t)*nonce) * UINT64_C(0x100000001B3);
    return hash;
}

static bool nonce_is_fresh(sim_guard_t *self, const char *nonce, int64_t created_us)
{
    uint64_t hash = hash_of(nonce);
    for (size_t i = 0; i < SIM_NONCES_MAX; i++)
        if (self->nonces[i].hash == hash && self->nonces[i].created_us == created_us)
            return false;
    self->nonces[self->next] = (nonce_t){hash, created_us};
    self->next = (self->next + 1) % SIM_NONCES_MAX;
    return true;
}

static bool digest_matches(const sim_guard_t *self, const sim_credentials_t *credentials)
{
    buf_t plain = {0}, text = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    bool is_same = false;
    if (base64_decode(&plain, bytes_cstr(credentials->nonce), NULL)) {
        buf_append_cstr(&plain, credentials->created);
        buf_append_cstr(&plain, self->password);
        if (EVP_Digest(plain.data, plain.len, digest, &digest_bytes, EVP_sha1(), NULL) == 1) {
            base64_encode(&text, bytes_from(digest, digest_bytes));
            is_same = same(buf_cstr(&text), credentials->password);
        }
    }
    buf_free(&plain);
    buf_free(&text);
    return is_same;
}

static bool token_admits(sim_guard_t *self, const sim_credentials_t *credentials, int64_t now_wall_us)
{
    int64_t created_us;
    if (!same(self->user, credentials->user))
        return false;
    if (!credentials->is_digest)
        return same(self->password, credentials->password);
    return timefmt_parse(bytes_cstr(credentials->created), &created_us) &&
           llabs(now_wall_us - created_us) <= SIM_CREATED_WINDOW_S * S_US && digest_matches(self, credentials) &&
           nonce_is_fresh(self, credentials->nonce, created_us);
}

bool sim_guard_admit(sim_guard_t *guard, const sim_credentials_t *credentials, int64_t now_wall_us, sim_fault_t *fault)
{
    bool is_open = !*guard->user && !*guard->token;
    bool by_token = *guard->token && same(guard->token, credentials->token);
    bool by_user = *guard->user && token_admits(guard, credentials, now_wall_us);
    return is_open || by_token || by_user || sim_fault_set(fault, true, "E010", "認証に失敗しました");
}
