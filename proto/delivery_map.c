/* delivery_map.c: the pairs, in the order in which people read them. */
#include "proto/delivery_map.h"

#include "proto/msgpack.h"

void delivery_map_put(buf_t *out, const wire_delivery_t *m)
{
    mp_put_cstr(out, "record");
    mp_put_u64(out, m->record);
    mp_put_cstr(out, "message");
    mp_put_u64(out, m->message);
    mp_put_cstr(out, "sent_us");
    mp_put_i64(out, m->sent_us);
    mp_put_cstr(out, "ingest_us");
    mp_put_i64(out, m->ingest_us);
    mp_put_cstr(out, "receives");
    mp_put_u64(out, m->receives);
    mp_put_cstr(out, "first_receive_us");
    mp_put_i64(out, m->first_receive_us);
    mp_put_cstr(out, "source");
    mp_put_str(out, m->source);
    mp_put_cstr(out, "group");
    mp_put_str(out, m->group);
    mp_put_cstr(out, "attrs");
    if (m->attrs.len)
        mp_put_raw(out, m->attrs);
    else
        mp_put_map(out, 0);
    mp_put_cstr(out, "body");
    mp_put_raw(out, m->body);
}
