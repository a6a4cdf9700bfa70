/* redrive.c: reading, writing and asking the redrive policies. */
#include "broker/core/redrive.h"

#include "broker/core/attributes.h"
#include "proto/json.h"
#include "proto/msgpack.h"

#define RECEIVES_MAX 1000
#define POLICY_MAX_BYTES 4096

static const char *const permissions[] = {"allowAll", "denyAll", "byQueue"}; /* redrive_permission_t */

bytes_t redrive_name(bytes_t arn)
{
    for (size_t i = arn.len; i > 0; i--)
        if (arn.data[i - 1] == ':' || arn.data[i - 1] == '/')
            return bytes_from(arn.data + i, arn.len - i);
    return arn;
}

/* -- reading ------------------------------------------------------------------------------------------- */
typedef bool (*policy_fn)(bytes_t map, queue_attributes_t *out, error_t *err);

/* A map as it is, or made of JSON text. */
static bool policy_read(bytes_t value, const char *name, policy_fn take, queue_attributes_t *out, error_t *err)
{
    mp_reader_t r = mp_reader(value);
    bytes_t text;
    if (!mp_get_str(&r, &text))
        return take(value, out, err);
    buf_t map = {0};
    json_limits_t limits = {.max_bytes = POLICY_MAX_BYTES};
    bool ok =
        json_to_msgpack(text, &limits, &map, err) ? take(buf_bytes(&map), out, err) : error_prefix(err, "%s", name);
    buf_free(&map);
    return ok;
}

static bool redrive_map(bytes_t map, queue_attributes_t *out, error_t *err)
{
    bytes_t arn, count;
    int64_t receives;
    if (!mp_map_str(map, "deadLetterTargetArn", &arn) || !queue_name_check(redrive_name(arn), NULL))
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                         "RedrivePolicy.deadLetterTargetArn must name a queue.");
    if (!mp_map_find(map, "maxReceiveCount", &count) || !attribute_number(count, &receives) || receives < 1 ||
        receives > RECEIVES_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                         "RedrivePolicy.maxReceiveCount must be an integer from 1 to %d.", RECEIVES_MAX);
    out->max_receives = (uint32_t)receives;
    return bytes_to_cstr(redrive_name(arn), out->dead_letters, sizeof out->dead_letters);
}

bool redrive_read(bytes_t value, queue_attributes_t *out, error_t *err)
{
    return policy_read(value, "RedrivePolicy", redrive_map, out, err);
}

static bool sources_read(bytes_t list, queue_attributes_t *out)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count;
    bytes_t arn;
    if (!mp_get_array(&r, &count) || count < 1 || count > REDRIVE_SOURCES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        char *to = out->redrive_sources[i];
        if (!mp_get_str(&r, &arn) || !queue_name_check(redrive_name(arn), NULL) ||
            !bytes_to_cstr(redrive_name(arn), to, sizeof(queue_name_t)))
            return false;
    }
    out->redrive_source_count = count;
    return true;
}

static bool allow_map(bytes_t map, queue_attributes_t *out, error_t *err)
{
    bytes_t word, list;
    uint32_t permission = 0;
    if (!mp_map_str(map, "redrivePermission", &word))
        word = BYTES_NONE;
    while (permission < ARRAY_LEN(permissions) && !bytes_eq_cstr(word, permissions[permission]))
        permission++;
    if (permission == ARRAY_LEN(permissions))
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                         "RedriveAllowPolicy.redrivePermission must be allowAll, denyAll or byQueue.");
    bool has_list = mp_map_find(map, "sourceQueueArns", &list), by_queue = permission == REDRIVE_BY_QUEUE;
    if (has_list != by_queue || (by_queue && !sources_read(list, out)))
        return error_set(err, STATUS_INVALID_ARGUMENT, ATTRIBUTE_BAD_VALUE,
                         "RedriveAllowPolicy.sourceQueueArns must name 1 to %d queues, with byQueue and only there.",
                         REDRIVE_SOURCES_MAX);
    out->redrive_permission = (redrive_permission_t)permission;
    return true;
}

bool redrive_allow_read(bytes_t value, queue_attributes_t *out, error_t *err)
{
    return policy_read(value, "RedriveAllowPolicy", allow_map, out, err);
}

/* -- writing ------------------------------------------------------------------------------------------- */
static void allow_write(buf_t *out, const queue_attributes_t *attributes)
{
    bool by_queue = attributes->redrive_permission == REDRIVE_BY_QUEUE;
    mp_put_cstr(out, "RedriveAllowPolicy");
    mp_put_map(out, by_queue ? 2 : 1);
    mp_put_cstr(out, "redrivePermission");
    mp_put_cstr(out, permissions[attributes->redrive_permission]);
    if (!by_queue)
        return;
    mp_put_cstr(out, "sourceQueueArns");
    mp_put_array(out, attributes->redrive_source_count);
    for (uint32_t i = 0; i < attributes->redrive_source_count; i++)
        mp_put_cstr(out, attributes->redrive_sources[i]);
}

uint32_t redrive_write(buf_t *out, const queue_attributes_t *attributes)
{
    bool has_policy = attributes->max_receives != 0, has_allow = attributes->redrive_permission != REDRIVE_ALLOW_ALL;
    if (has_policy) {
        mp_put_cstr(out, "RedrivePolicy");
        mp_put_map(out, 2);
        mp_put_cstr(out, "deadLetterTargetArn");
        mp_put_cstr(out, attributes->dead_letters);
        mp_put_cstr(out, "maxReceiveCount");
        mp_put_u64(out, attributes->max_receives);
    }
    if (has_allow)
        allow_write(out, attributes);
    return (uint32_t)has_policy + has_allow;
}

/* -- asking -------------------------------------------------------------------------------------------- */
bool redrive_allows(const queue_attributes_t *dead, bytes_t source)
{
    if (dead->redrive_permission != REDRIVE_BY_QUEUE)
        return dead->redrive_permission == REDRIVE_ALLOW_ALL;
    for (uint32_t i = 0; i < dead->redrive_source_count; i++)
        if (bytes_eq_cstr(source, dead->redrive_sources[i]))
            return true;
    return false;
}
