/* keyring.c: reads the folder of keys; a change is noticed by the folders' modification times. */
#include "broker/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zmq.h>

#include "kit/log.h"

#define PATH_BYTES 1024
#define SUFFIX ".pub"
#define SUFFIX_BYTES (sizeof SUFFIX - 1)

typedef struct {
    uint8_t key[KEYRING_KEY_BYTES];
    char name[KEYRING_NAME_BYTES];
} client_key_t;

struct keyring {
    char dir[PATH_BYTES];
    char server_key[KEYRING_Z85_BYTES];
    client_key_t *keys;
    size_t count;
    struct timespec changed[2]; /* DIR, DIR/clients */
};

static bool join(char out[PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(out, PATH_BYTES, "%s/%s", dir, name);
    return len > 0 && len < PATH_BYTES;
}

/* One line of Z85. */
static bool read_key(const char *path, char out[KEYRING_Z85_BYTES], uint8_t key[KEYRING_KEY_BYTES])
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(out, 1, KEYRING_Z85_BYTES - 1, file);
    fclose(file);
    out[len] = '\0';
    return len == KEYRING_Z85_BYTES - 1 && zmq_z85_decode(key, out) != NULL;
}

static struct timespec changed_at(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mtim : (struct timespec){0};
}

static void clients_dir(const keyring_t *k, char out[PATH_BYTES], bool *has_folder)
{
    struct stat info;
    *has_folder = join(out, k->dir, "clients") && stat(out, &info) == 0 && S_ISDIR(info.st_mode);
    if (!*has_folder)
        snprintf(out, PATH_BYTES, "%s", k->dir);
}

static bool name_of_file(const char *file, char name[KEYRING_NAME_BYTES])
{
    size_t len = strlen(file);
    if (len <= SUFFIX_BYTES || len - SUFFIX_BYTES >= KEYRING_NAME_BYTES ||
        strcmp(file + len - SUFFIX_BYTES, SUFFIX) != 0 || strcmp(file, "server" SUFFIX) == 0)
        return false;
    memcpy(name, file, len - SUFFIX_BYTES);
    name[len - SUFFIX_BYTES] = '\0';
    return true;
}

static void take_file(keyring_t *k, const char *dir, const char *file)
{
    char path[PATH_BYTES], text[KEYRING_Z85_BYTES];
    client_key_t *entry = &k->keys[k->count];
    if (k->count == KEYRING_KEYS_MAX || !name_of_file(file, entry->name) || !join(path, dir, file))
        return;
    if (read_key(path, text, entry->key))
        k->count++;
    else
        log_warn("a key file holds no key and is left out", LOG_S("file", path));
}

static bool read_clients(keyring_t *k)
{
    char dir[PATH_BYTES];
    bool has_folder;
    clients_dir(k, dir, &has_folder);
    k->changed[0] = changed_at(k->dir);
    k->changed[1] = changed_at(dir);
    DIR *folder = opendir(dir);
    if (!folder)
        return false;
    k->count = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        take_file(k, dir, entry->d_name);
    closedir(folder);
    return true;
}

static bool open_keys(keyring_t *k, const char *dir, error_t *err)
{
    char path[PATH_BYTES];
    uint8_t secret[KEYRING_KEY_BYTES];
    if (!join(k->dir, dir, ""))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_CURVE_DIR: the path is too long.");
    if (!join(path, dir, "server.key") || !read_key(path, k->server_key, secret))
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL,
                         "MANGABUS_CURVE_DIR: %s holds no secret key (make one with `mangactl keygen --server`).",
                         path);
    explicit_bzero(secret, sizeof secret);
    if (!read_clients(k))
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL, "MANGABUS_CURVE_DIR: %s cannot be read: %s.", dir,
                         strerror(errno));
    return true;
}

keyring_t *keyring_open(const char *dir, error_t *err)
{
    keyring_t *k = calloc(1, sizeof *k);
    if (k)
        k->keys = calloc(KEYRING_KEYS_MAX, sizeof *k->keys);
    if (!k || !k->keys) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for keys.");
        keyring_free(&k);
    } else if (!open_keys(k, dir, err)) {
        keyring_free(&k);
    }
    return k;
}

void keyring_free(keyring_t **keyring)
{
    keyring_t *k = *keyring;
    *keyring = NULL;
    if (!k)
        return;
    explicit_bzero(k->server_key, sizeof k->server_key);
    free(k->keys);
    free(k);
}

const char *keyring_server_key(const keyring_t *keyring)
{
    return keyring->server_key;
}

static bool is_same(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool keyring_refresh(keyring_t *keyring)
{
    char dir[PATH_BYTES];
    bool has_folder;
    clients_dir(keyring, dir, &has_folder);
    if (is_same(keyring->changed[0], changed_at(keyring->dir)) && is_same(keyring->changed[1], changed_at(dir)))
        return false;
    if (!read_clients(keyring))
        return false; /* unreadable for the moment: the keys of before count */
    log_info("keys read again", LOG_I("count", keyring->count));
    return true;
}

const char *keyring_name_of(const keyring_t *keyring, bytes_t key)
{
    for (size_t i = 0; key.len == KEYRING_KEY_BYTES && i < keyring->count; i++)
        if (memcmp(keyring->keys[i].key, key.data, KEYRING_KEY_BYTES) == 0)
            return keyring->keys[i].name;
    return NULL;
}

bool keyring_has_name(const keyring_t *keyring, const char *name)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (strcmp(keyring->keys[i].name, name) == 0)
            return true;
    return false;
}
