/* wake.c: timers of single messages, lines of FIFO queues, and the slices of both. */
#include "broker/core/wake.h"

#include "broker/core/condemned.h"
#include "broker/core/late.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/slice.h"
#include "proto/msgpack.h"

#define WAKE_EVENT "wake"
#define WAKE_UNTIL "until_us"

/* The one that is due first; 0 for none. */
static uint32_t first(const core_t *core)
{
    uint32_t one = heap_top(&core->messages.delayed), other = late_first(core);
    return one && (!other || message_due_before(core, one, other)) ? one : other;
}

static bool is_due(const core_t *core, uint32_t id, int64_t now_us)
{
    return id && message_timer_us(core, message_at(core, id)) <= now_us;
}

static void wake(core_t *core, uint32_t id)
{
    if (condemned_has(core, message_at(core, id)))
        message_remove(core, id);
    else
        message_wake(core, id);
}

void wake_all(core_t *core, int64_t now_us)
{
    int64_t until_us = now_us < core->wake_until_us ? now_us : core->wake_until_us;
    for (uint32_t id = first(core); is_due(core, id, until_us); id = first(core))
        wake(core, id);
}

int64_t wake_next_us(const core_t *core)
{
    uint32_t id = first(core);
    return id ? slice_next_us(&core->wake_slice, message_timer_us(core, message_at(core, id))) : INT64_MAX;
}

/* -- slices ---------------------------------------------------------------------------------------------- */
static void note(core_t *core, int64_t until_us)
{
    buf_t fields = {0};
    if (until_us == core->wake_until_us)
        return;
    core->wake_until_us = until_us;
    mp_put_map(&fields, 1);
    mp_put_cstr(&fields, WAKE_UNTIL);
    mp_put_i64(&fields, until_us == INT64_MAX ? 0 : until_us);
    core->record->note = (record_note_t){
        .event = BYTES_LIT(WAKE_EVENT), .text = BYTES_LIT("many messages are due"), .fields = buf_bytes(&fields)};
    (void)ledger_write_applied(core, RECORD_NOTE);
    buf_free(&fields);
}

/* Those of one moment are not parted: the bound is a moment. */
void wake_due(core_t *core)
{
    int64_t until_us = INT64_MAX, last_us = INT64_MIN;
    slice_begin(&core->wake_slice, core->now_us, core->limits.slice_messages);
    for (uint32_t id = first(core); is_due(core, id, core->now_us); id = first(core)) {
        int64_t at_us = message_timer_us(core, message_at(core, id));
        if (at_us != last_us && !slice_take(&core->wake_slice, core->now_us)) {
            until_us = at_us - 1;
            break;
        }
        last_us = at_us;
        wake(core, id);
    }
    note(core, until_us);
}

bool wake_notes(const record_t *record)
{
    return record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, WAKE_EVENT);
}

void wake_apply(core_t *core, const record_t *record)
{
    uint64_t until_us = 0;
    (void)!mp_map_u64(record->note.fields, WAKE_UNTIL, &until_us);
    core->wake_until_us = until_us && until_us < (uint64_t)INT64_MAX ? (int64_t)until_us : INT64_MAX;
    wake_all(core, record->ingest_us);
}
