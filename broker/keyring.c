/* keyring.c: reads the folder of keys; a change is noticed by what the disk says of its files. */
#include "broker/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <zmq.h>

#include "kit/log.h"

#define PATH_BYTES 1024
#define SUFFIX ".pub"
#define SUFFIX_BYTES (sizeof SUFFIX - 1)
#define SETTLED_S 2 /* a file that changed longer ago cannot change again under the same time */

typedef struct {
    uint8_t key[KEYRING_KEY_BYTES];
    char text[KEYRING_Z85_BYTES];
    char name[KEYRING_NAME_BYTES];
} client_key_t;

typedef struct {
    client_key_t *keys; /* KEYRING_KEYS_MAX of them */
    size_t count;
} key_set_t;

/* Of all key files, in whatever order. */
typedef struct {
    uint64_t sum;
    time_t newest_s; /* when the newest was changed */
} mark_t;

struct keyring {
    char dir[PATH_BYTES];
    char server_key[KEYRING_Z85_BYTES];
    key_set_t known, other; /* `other` is for reading into */
    mark_t mark;
    bool is_settled; /* all files of `mark` had rested when they were read */
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

static void clients_dir(const keyring_t *k, char out[PATH_BYTES])
{
    struct stat info;
    bool has_folder = join(out, k->dir, "clients") && stat(out, &info) == 0 && S_ISDIR(info.st_mode);
    if (!has_folder)
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

static void take_file(key_set_t *set, const char *dir, const char *file)
{
    char path[PATH_BYTES];
    client_key_t *entry = &set->keys[set->count];
    if (set->count == KEYRING_KEYS_MAX)
        return;
    memset(entry, 0, sizeof *entry);
    if (!name_of_file(file, entry->name) || !join(path, dir, file))
        return;
    if (read_key(path, entry->text, entry->key))
        set->count++;
    else
        log_warn("a key file holds no key and is left out", LOG_S("file", path));
}

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return sum;
}

static void mark_file(mark_t *mark, int folder, const char *file)
{
    struct stat info;
    char name[KEYRING_NAME_BYTES] = "";
    if (!name_of_file(file, name) || fstatat(folder, file, &info, 0) != 0)
        return;
    const int64_t about[] = {(int64_t)info.st_ino, info.st_size,        info.st_mtim.tv_sec,
                             info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
    mark->sum += mix(mix(UINT64_C(0xcbf29ce484222325), name, strlen(name)), about, sizeof about);
    if (info.st_ctim.tv_sec > mark->newest_s)
        mark->newest_s = info.st_ctim.tv_sec;
}

/* What the files are like, and their keys when `set` is not NULL. */
static bool look(const keyring_t *k, mark_t *mark, key_set_t *set)
{
    char dir[PATH_BYTES];
    clients_dir(k, dir);
    DIR *folder = opendir(dir);
    if (!folder)
        return false;
    *mark = (mark_t){0};
    if (set)
        set->count = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        mark_file(mark, dirfd(folder), entry->d_name); /* before it is read: what changes in between is read again */
        if (set)
            take_file(set, dir, entry->d_name);
    }
    closedir(folder);
    return true;
}

static bool read_clients(keyring_t *k)
{
    mark_t mark;
    struct timespec now;
    if (!look(k, &mark, &k->other))
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    k->mark = mark;
    k->is_settled = mark.newest_s + SETTLED_S <= now.tv_sec;
    key_set_t before = k->known;
    k->known = k->other;
    k->other = before;
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
    if (k) {
        k->known.keys = calloc(KEYRING_KEYS_MAX, sizeof(client_key_t));
        k->other.keys = calloc(KEYRING_KEYS_MAX, sizeof(client_key_t));
    }
    if (!k || !k->known.keys || !k->other.keys) {
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
    free(k->known.keys);
    free(k->other.keys);
    free(k);
}

const char *keyring_server_key(const keyring_t *keyring)
{
    return keyring->server_key;
}

static bool is_same(const key_set_t *a, const key_set_t *b)
{
    return a->count == b->count && memcmp(a->keys, b->keys, a->count * sizeof(client_key_t)) == 0;
}

bool keyring_refresh(keyring_t *keyring)
{
    mark_t mark;
    if (!look(keyring, &mark, NULL))
        return false; /* unreadable for the moment: the keys of before count */
    if (keyring->is_settled && mark.sum == keyring->mark.sum)
        return false;
    if (!read_clients(keyring) || is_same(&keyring->known, &keyring->other))
        return false;
    log_info("keys read again", LOG_I("count", keyring->known.count));
    return true;
}

const char *keyring_name_of(const keyring_t *keyring, bytes_t key)
{
    const key_set_t *known = &keyring->known;
    for (size_t i = 0; key.len == KEYRING_KEY_BYTES && i < known->count; i++)
        if (memcmp(known->keys[i].key, key.data, KEYRING_KEY_BYTES) == 0)
            return known->keys[i].name;
    return NULL;
}

const char *keyring_name_of_text(const keyring_t *keyring, const char *key)
{
    const key_set_t *known = &keyring->known;
    for (size_t i = 0; i < known->count; i++)
        if (strcmp(known->keys[i].text, key) == 0)
            return known->keys[i].name;
    return NULL;
}
