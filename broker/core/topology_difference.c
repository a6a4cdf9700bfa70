/* topology_difference.c: two documents side by side. */
#include "broker/core/topology_difference.h"

#include <stdlib.h>

#include "broker/core/map.h"
#include "broker/core/memory.h"
#include "proto/msgpack.h"

/* -- members ------------------------------------------------------------------------------------------- */
static bool member_find(bytes_t map, bytes_t name, bytes_t *value)
{
    mp_reader_t r = mp_reader(map);
    bytes_t key;
    uint32_t pairs;
    if (!map.len || !mp_get_map(&r, &pairs))
        return false;
    for (uint32_t i = 0; i < pairs && mp_get_str(&r, &key) && mp_get_raw(&r, value); i++)
        if (bytes_eq(key, name))
            return true;
    return false;
}

/* Names the members of `map` that `other` lacks, and with `differing` those that it has differently. */
static void members_name(bytes_t map, bytes_t other, bool differing, buf_t *names)
{
    mp_reader_t r = mp_reader(map);
    bytes_t key, value, found;
    uint32_t pairs;
    if (!map.len || !mp_get_map(&r, &pairs))
        return;
    for (uint32_t i = 0; i < pairs && mp_get_str(&r, &key) && mp_get_raw(&r, &value); i++) {
        bool has = member_find(other, key, &found);
        if (!has || (differing && !bytes_eq(value, found)))
            buf_printf(names, "%s%.*s", names->len ? ", " : "", BYTES_FMT(key));
    }
}

void topology_members_differ(bytes_t from, bytes_t to, buf_t *names)
{
    members_name(to, from, true, names);
    members_name(from, to, false, names);
}

/* -- entries ------------------------------------------------------------------------------------------- */
typedef struct {
    const char *kind;
    const char *list, *name, *scope; /* members; scope: NULL where a name is unique by itself */
} section_t;

static const section_t sections[] = {
    {"bus", "Buses", "Name", NULL},
    {"archive", "Archives", "ArchiveName", NULL},
    {"rule", "Rules", "Name", "EventBusName"},
    {"schedule", "Schedules", "Name", NULL},
    {"permit bucket", "PermitBuckets", "BucketName", NULL},
};

/* A document's entries of one kind; those without a name, which no checked document has, are left out. */
typedef struct {
    const section_t *section;
    bytes_t *entries;
    uint32_t count;
    map_t by_name; /* place + 1 */
} entries_t;

static bytes_t entry_text(bytes_t entry, const char *member)
{
    bytes_t text = BYTES_NONE;
    return member && mp_map_str(entry, member, &text) ? text : BYTES_NONE;
}

static uint32_t entry_hash(const section_t *section, bytes_t entry)
{
    return map_hash_pair(map_hash_bytes(entry_text(entry, section->name)),
                         map_hash_bytes(entry_text(entry, section->scope)));
}

static bool entry_is(const void *ctx, uint32_t value, const void *key)
{
    const entries_t *entries = ctx;
    const section_t *section = entries->section;
    bytes_t a = entries->entries[value - 1], b = *(const bytes_t *)key;
    return bytes_eq(entry_text(a, section->name), entry_text(b, section->name)) &&
           bytes_eq(entry_text(a, section->scope), entry_text(b, section->scope));
}

static const bytes_t *entry_find(const entries_t *entries, bytes_t entry)
{
    uint32_t at = map_find(&entries->by_name, entry_hash(entries->section, entry), entry_is, entries, &entry);
    return at ? &entries->entries[at - 1] : NULL;
}

static void entries_read(entries_t *out, const section_t *section, bytes_t document)
{
    bytes_t list, entry;
    uint32_t count = 0;
    *out = (entries_t){.section = section};
    mp_reader_t r = mp_reader(document.len && mp_map_find(document, section->list, &list) ? list : BYTES_NONE);
    if (!mp_left(&r) || !mp_get_array(&r, &count) || !count)
        return;
    out->entries = memory_new(count, sizeof *out->entries);
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &entry); i++) {
        if (!entry_text(entry, section->name).len || entry_find(out, entry))
            continue;
        out->entries[out->count++] = entry;
        map_add(&out->by_name, entry_hash(section, entry), out->count);
    }
}

static void entries_free(entries_t *entries)
{
    free(entries->entries);
    map_free(&entries->by_name);
}

static void change_tell(const section_t *section, bytes_t from, bytes_t to, topology_tell_fn tell, void *ctx)
{
    buf_t names = {0}, what = {0};
    topology_members_differ(from, to, &names);
    if (names.len) {
        buf_printf(&what, "changed: %s", buf_cstr(&names));
        tell(ctx, section->kind, entry_text(to, section->name), buf_cstr(&what));
    }
    buf_free(&names);
    buf_free(&what);
}

static void section_differ(const section_t *section, bytes_t from, bytes_t to, topology_tell_fn tell, void *ctx)
{
    entries_t before, after;
    entries_read(&before, section, from);
    entries_read(&after, section, to);
    for (uint32_t i = 0; i < after.count; i++) {
        const bytes_t *known = entry_find(&before, after.entries[i]);
        if (known)
            change_tell(section, *known, after.entries[i], tell, ctx);
        else
            tell(ctx, section->kind, entry_text(after.entries[i], section->name), "added");
    }
    for (uint32_t i = 0; i < before.count; i++)
        if (!entry_find(&after, before.entries[i]))
            tell(ctx, section->kind, entry_text(before.entries[i], section->name), "removed");
    entries_free(&before);
    entries_free(&after);
}

void topology_differ(bytes_t from, bytes_t to, topology_tell_fn tell, void *ctx)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        section_differ(&sections[i], from, to, tell, ctx);
}
