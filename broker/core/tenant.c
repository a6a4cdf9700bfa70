/* tenant.c: who is noisy, and two heaps of those who wait. */
#include "broker/core/tenant.h"

#include "broker/core/age.h"
#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"

#define KEY_BACK (UINT64_C(1) << 63)
#define BUSY_SHIFT_MAX 63

/* -- order --------------------------------------------------------------------------------------------- */
/* By age, but for what was received so often that it stands behind all others. */
static uint64_t key_of(const core_t *core, uint32_t message)
{
    const message_t *m = message_at(core, message);
    return m->record | (m->receives < MESSAGE_RECEIVES_TO_BACK ? 0 : KEY_BACK);
}

static bool quiet_before(const void *ctx, uint32_t a, uint32_t b)
{
    const group_t *x = group_at(ctx, a), *y = group_at(ctx, b);
    return x->first_key != y->first_key ? x->first_key < y->first_key : a < b;
}

static bool noisy_before(const void *ctx, uint32_t a, uint32_t b)
{
    const group_t *x = group_at(ctx, a), *y = group_at(ctx, b);
    return x->in_flight != y->in_flight ? x->in_flight < y->in_flight : quiet_before(ctx, a, b);
}

static uint32_t *tenant_place(void *ctx, uint32_t id)
{
    return &group_at(ctx, id)->heap_at;
}

void tenants_init(queue_t *queue)
{
    static const heap_kind_t quiet = {quiet_before, tenant_place}, noisy = {noisy_before, tenant_place};
    heap_init(&queue->quiet, &quiet, queue);
    heap_init(&queue->noisy, &noisy, queue);
}

void tenants_free(queue_t *queue)
{
    heap_free(&queue->quiet);
    heap_free(&queue->noisy);
}

uint32_t tenants_first(const core_t *core, const queue_t *queue)
{
    const group_t *quiet = group_at(queue, heap_top(&queue->quiet));
    uint32_t alone = queue->visible.head;
    if (quiet && (!alone || quiet->first_key < key_of(core, alone)))
        return quiet->visible.head;
    if (alone)
        return alone;
    const group_t *noisy = group_at(queue, heap_top(&queue->noisy));
    return noisy ? noisy->visible.head : 0;
}

/* -- who is noisy -------------------------------------------------------------------------------------- */
static void busy_fade(busy_t *busy, int64_t now_us)
{
    int64_t halves = (now_us - busy->since_us) / TENANT_RECENT_US;
    if (halves <= 0)
        return;
    busy->busy_ms = halves <= BUSY_SHIFT_MAX ? busy->busy_ms >> halves : 0;
    busy->since_us += halves * TENANT_RECENT_US;
}

static void busy_add(busy_t *busy, uint64_t ms, int64_t now_us)
{
    busy_fade(busy, now_us);
    busy->busy_ms += ms;
}

static bool is_loud(const core_t *core, const queue_t *queue, const group_t *tenant)
{
    busy_t own = tenant->busy, all = queue->busy;
    if (tenant->sent_us + TENANT_SILENCE_US <= core->now_us)
        return false;
    if (tenant->in_flight >= TENANT_NOISY_IN_FLIGHT && (uint64_t)tenant->in_flight * TENANT_SHARE > queue->in_flight)
        return true;
    busy_fade(&own, core->now_us);
    busy_fade(&all, core->now_us);
    return all.busy_ms >= TENANT_BUSY_LEAST_MS && own.busy_ms * TENANT_SHARE > all.busy_ms;
}

static void noise_set(queue_t *queue, group_t *tenant, bool is_noisy)
{
    if (tenant->is_noisy == is_noisy)
        return;
    heap_drop(tenant->is_noisy ? &queue->noisy : &queue->quiet, tenant->id);
    if (is_noisy)
        group_line_join(queue, tenant);
    else
        group_line_leave(queue, tenant);
    tenant->is_noisy = is_noisy;
}

void tenant_refresh(core_t *core, queue_t *queue, group_t *tenant)
{
    uint32_t first = tenant->visible.head;
    if (!first)
        noise_set(queue, tenant, false);
    else if (!tenant->is_noisy && is_loud(core, queue, tenant))
        noise_set(queue, tenant, true);
    heap_t *heap = tenant->is_noisy ? &queue->noisy : &queue->quiet;
    if (!first) {
        heap_drop(heap, tenant->id);
        return;
    }
    tenant->first_key = key_of(core, first);
    heap_set(heap, tenant->id);
    queue_touch(core, queue);
}

void tenant_heard(core_t *core, queue_t *queue, group_t *tenant)
{
    tenant->sent_us = core->now_us;
    if (!tenant->is_noisy)
        return;
    group_line_leave(queue, tenant);
    group_line_join(queue, tenant);
}

void tenants_calm(core_t *core, queue_t *queue)
{
    group_t *tenant;
    while ((tenant = group_at(queue, queue->ready.head)) != NULL &&
           tenant->sent_us + TENANT_SILENCE_US <= core->now_us) {
        noise_set(queue, tenant, false);
        tenant_refresh(core, queue, tenant);
    }
}

/* -- changes of state ---------------------------------------------------------------------------------- */
static group_t *tenant_of(const core_t *core, const queue_t *queue, uint32_t message)
{
    return group_at(queue, message_group(core, message_at(core, message)));
}

void tenant_show(core_t *core, queue_t *queue, uint32_t message, bool at_front)
{
    chain_t *visible = &tenant_of(core, queue, message)->visible;
    message_link(core, visible, message, at_front ? visible->head : 0);
    queue->visible.count++;
}

void tenant_hide(core_t *core, queue_t *queue, uint32_t message)
{
    message_unlink(core, &tenant_of(core, queue, message)->visible, message);
    queue->visible.count--;
}

void tenant_hold(const core_t *core, queue_t *queue, uint32_t message)
{
    if (message_at(core, message)->state == MESSAGE_IN_FLIGHT)
        tenant_of(core, queue, message)->in_flight++;
}

void tenant_unhold(const core_t *core, queue_t *queue, uint32_t message)
{
    const message_t *m = message_at(core, message);
    group_t *tenant = tenant_of(core, queue, message);
    if (m->state != MESSAGE_IN_FLIGHT)
        return;
    uint32_t spent_ms = message_age_ms(m, core->now_us) - message_side(core, m)->received_ms;
    tenant->in_flight--;
    busy_add(&tenant->busy, spent_ms, core->now_us);
    busy_add(&queue->busy, spent_ms, core->now_us);
}
