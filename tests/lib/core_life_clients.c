/* core_life_clients.c: what clients do to the core, at random. */
#include "tests/lib/core_life.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/group.h"
#include "broker/core/queue.h"
#include "broker/core/session.h"

/* -- what clients do ------------------------------------------------------------------------------------------- */
static client_t *some_client(life_t *life)
{
    client_t *client = &life->clients[random_below(&life->random, LIFE_CLIENTS)];
    return client->is_on ? client : NULL;
}

void life_connect(life_t *life)
{
    client_t *client = &life->clients[random_below(&life->random, LIFE_CLIENTS)];
    bool resume = client->has_resume && random_below(&life->random, 4) > 0;
    uint64_t peer = ++life->next_peer;
    const wire_hello_t hello = {
        .protocol = WIRE_PROTOCOL,
        .name = bytes_cstr(client->name),
        .resume = resume ? bytes_from(client->resume, CORE_RESUME_BYTES) : BYTES_NONE,
        .producer = client == life->clients ? BYTES_LIT("producer") : BYTES_NONE,
        .epoch = 1,
    };
    rig_send(&life->rig, peer, WIRE_HELLO, 1, &hello);
    life_collect(life);
    const wire_msg_t *msg = rig_take(&life->rig, peer);
    assert_non_null(msg);
    if (msg->verb == WIRE_ERROR) {
        assert_false(resume && client->is_on);
        return;
    }
    assert_int_equal(msg->verb, WIRE_WELCOME);
    client->is_on = true;
    client->peer = peer;
    life->tally->resumed += msg->welcome.resumed;
    memcpy(client->resume, msg->welcome.resume.data, CORE_RESUME_BYTES);
    client->has_resume = true;
}

void life_leave(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    if (random_below(&life->random, 2))
        rig_gone(&life->rig, client->peer);
    else
        rig_send(&life->rig, client->peer, WIRE_BYE, 0, &(wire_bye_t){0});
    client->is_on = false;
    life_collect(life);
}

/* A group's or a queue's ids are known for five minutes, whatever became of the messages. */
static void do_send_fifo(life_t *life, const client_t *client)
{
    bool by_group = random_below(&life->random, 3) == 0;
    uint64_t group = random_below(&life->random, 4), id = random_below(&life->random, LIFE_FIFO_IDS);
    char group_id[16], dedup[16];
    uint8_t body[] = {0xcd, 0, (uint8_t)id};
    (void)snprintf(group_id, sizeof group_id, "group-%d", (int)group);
    (void)snprintf(dedup, sizeof dedup, "id-%d", (int)id);
    wire_send_t *send = calloc(1, sizeof *send);
    send->queue = by_group ? BYTES_LIT("slow.fifo") : BYTES_LIT("line.fifo");
    send->entries.count = 1;
    send->entries.items[0] = (wire_send_entry_t){.group = bytes_cstr(group_id),
                                                 .dedup = by_group ? BYTES_NONE : bytes_cstr(dedup),
                                                 .delay_ms = -1,
                                                 .body = bytes_from(body, sizeof body)};
    uint64_t *known = &life->fifo_record[by_group ? 1 + group : 0][id];
    int64_t *known_us = &life->fifo_us[by_group ? 1 + group : 0][id];
    rig_send(&life->rig, client->peer, WIRE_SEND, 8, send);
    const wire_result_entry_t *result = &rig_expect(&life->rig, client->peer, WIRE_SENT)->sent.results.items[0];
    assert_int_equal(result->status, 0);
    bool is_known = *known && life->rig.now_us - *known_us <= 300 * S;
    assert_int_equal(result->duplicate, is_known);
    if (is_known)
        assert_int_equal(result->record, *known);
    else
        *known = result->record, *known_us = life->rig.now_us;
    life->tally->fifo_sent += !is_known;
    life->tally->fifo_duplicates += is_known;
    life_collect(life);
    free(send);
}

/* Half of them for some tenant, the first of which sends most. */
static void do_send_standard(life_t *life, const client_t *client)
{
    static const char *const tenants[] = {"", "", "", "loud", "loud", "quiet", "calm"};
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    send->queue = bytes_cstr(life_queues[random_below(&life->random, 4)]);
    send->entries.count = 1;
    send->entries.items[0] =
        (wire_send_entry_t){.group = bytes_cstr(tenants[random_below(&life->random, ARRAY_LEN(tenants))]),
                            .delay_ms = -1,
                            .body = BYTES_LIT("\xa4text")};
    rig_send(&life->rig, client->peer, WIRE_SEND, 8, send);
    assert_int_equal(rig_expect(&life->rig, client->peer, WIRE_SENT)->sent.results.items[0].status, 0);
    life_collect(life);
    free(send);
}

void life_send(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    if (random_below(&life->random, 2)) {
        do_send_fifo(life, client);
        return;
    }
    do_send_standard(life, client);
}

static void check_dedup(life_t *life, uint64_t key, const wire_result_entry_t *result)
{
    bool known = life->key_record[key] && life->rig.now_us - life->key_us[key] <= LIFE_DEDUP_WINDOW_US;
    assert_int_equal(result->duplicate, known);
    if (known)
        assert_int_equal(result->record, life->key_record[key]);
    life->key_us[key] = known ? life->key_us[key] : life->rig.now_us;
    life->key_record[key] = result->record;
}

static void check_producer(life_t *life, uint64_t seq, const wire_result_entry_t *result)
{
    assert_int_equal(result->duplicate, seq <= life->producer_seq);
    if (seq <= life->producer_seq)
        assert_int_equal(result->record, life->producer_record[seq % 8]);
    else
        life->producer_seq = seq;
    life->producer_record[seq % 8] = result->record;
}

void life_publish(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    bool numbered = client == life->clients && random_below(&life->random, 2);
    uint64_t key = random_below(&life->random, numbered ? 1 : 2 * LIFE_KEYS);
    uint64_t again = random_below(&life->random, 4);
    uint64_t seq =
        numbered ? (again && life->producer_seq > 4 ? life->producer_seq - 2 + again : life->producer_seq + 1) : 0;
    if (seq > life->producer_seq + 1)
        seq = life->producer_seq + 1;
    char dedup[16] = "";
    if (!numbered && key < LIFE_KEYS)
        (void)snprintf(dedup, sizeof dedup, "key-%llu", (unsigned long long)key);
    buf_t envelope = {0};
    rig_envelope(&envelope, random_below(&life->random, 2) ? "a" : "b", life->rig.random);
    wire_publish_t *publish = calloc(1, sizeof *publish);
    publish->bus = BYTES_LIT("shop");
    publish->producer_seq = seq;
    publish->entries.count = 1;
    publish->entries.items[0] = (wire_publish_entry_t){.dedup = bytes_cstr(dedup), .body = buf_bytes(&envelope)};
    rig_send(&life->rig, client->peer, WIRE_PUBLISH, 2, publish);
    life_collect(life);
    const wire_msg_t *msg = rig_expect(&life->rig, client->peer, WIRE_PUBLISHED);
    const wire_result_entry_t *result = &msg->published.results.items[0];
    assert_int_equal(result->status, 0);
    assert_int_equal(rig_record(&life->rig, result->record)->kind, RECORD_PUBLISH);
    life->tally->duplicates += result->duplicate;
    if (dedup[0])
        check_dedup(life, key, result);
    if (seq)
        check_producer(life, seq, result);
    free(publish);
    buf_free(&envelope);
}

void life_subscribe(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    const wire_subscribe_t subscribe = {
        .sub = 1 + random_below(&life->random, 6),
        .kind = WIRE_SUBSCRIBE_QUEUE,
        .target = bytes_cstr(life_queues[random_below(&life->random, ARRAY_LEN(life_queues))]),
        .visibility_ms = random_below(&life->random, 3) ? -1 : (int64_t)random_below(&life->random, 30000),
        .messages = random_below(&life->random, 50),
        .bytes = random_below(&life->random, 100000),
    };
    rig_send(&life->rig, client->peer, WIRE_SUBSCRIBE, 3, &subscribe); /* a number taken is refused: fine */
    life_collect(life);
}

void life_credit(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    uint64_t sub = 1 + random_below(&life->random, 6);
    if (random_below(&life->random, 10) == 0)
        rig_send(&life->rig, client->peer, WIRE_UNSUBSCRIBE, 4, &(wire_unsubscribe_t){.sub = sub});
    else
        rig_send(&life->rig, client->peer, WIRE_CREDIT, 0,
                 &(wire_credit_t){.sub = sub, .messages = random_below(&life->random, 40), .bytes = 100000});
    life_collect(life);
}

void life_receive(life_t *life)
{
    client_t *client = some_client(life);
    if (!client)
        return;
    wire_receive_t receive = {
        .queue = bytes_cstr(life_queues[random_below(&life->random, ARRAY_LEN(life_queues))]),
        .max = 1 + random_below(&life->random, 10),
        .wait_ms = random_below(&life->random, 2) ? 0 : random_below(&life->random, 20001),
        .visibility_ms = random_below(&life->random, 3) ? -1 : (int64_t)random_below(&life->random, 30000),
    };
    static const char *const attempts[] = {"one", "two", "three"};
    if (random_below(&life->random, 3) == 0 && bytes_eq_cstr(receive.queue, "line.fifo"))
        receive.attempt = bytes_cstr(attempts[random_below(&life->random, ARRAY_LEN(attempts))]);
    uint64_t *waits = &life->receive_peer[++life->receive_seq % LIFE_RECEIVES];
    *waits = client->peer;
    life->receive_until_us[life->receive_seq % LIFE_RECEIVES] = life->rig.now_us + (int64_t)receive.wait_ms * 1000;
    rig_send(&life->rig, client->peer, WIRE_RECEIVE, life->receive_seq, &receive);
    life_collect(life);
    assert_true(receive.wait_ms || !*waits);
}

/* Every RECEIVE is answered once and in time, unless its connection was lost. */
void life_check_receives(life_t *life)
{
    for (int i = 0; i < LIFE_RECEIVES; i++)
        if (life->receive_peer[i] && session_by_peer(life->rig.core, life->receive_peer[i]))
            assert_true(life->receive_until_us[i] > life->rig.now_us);
}

void life_settle(life_t *life)
{
    client_t *client = some_client(life);
    if (!client || !life->held_count)
        return;
    wire_settle_t *settle = calloc(1, sizeof *settle);
    core_item_t items[8];
    settle->entries.count = 1 + (uint32_t)random_below(&life->random, ARRAY_LEN(items));
    for (uint32_t i = 0; i < settle->entries.count; i++) {
        items[i] = life->held[random_below(&life->random, life->held_count)];
        settle->entries.items[i] = (wire_settle_entry_t){
            .receipt = bytes_from(items[i].receipt, CORE_RECEIPT_BYTES),
            .action = random_below(&life->random, 3) ? WIRE_ACK : WIRE_ACK + random_below(&life->random, 4),
            .delay_ms = (int64_t)random_below(&life->random, 3) * 7000,
            .reason = BYTES_LIT("no"),
        };
    }
    rig_send(&life->rig, client->peer, WIRE_SETTLE, 5, settle);
    const wire_msg_t *msg = rig_expect(&life->rig, client->peer, WIRE_SETTLED);
    assert_int_equal(msg->settled.results.count, settle->entries.count);
    for (uint32_t i = 0; i < settle->entries.count; i++)
        if (settle->entries.items[i].action == WIRE_ACK && msg->settled.results.items[i].status == 0 &&
            !msg->settled.results.items[i].message.len) /* else another one has it: it stays */
            *life_acked_at(life, &items[i]) = 1;
    life_collect(life);
    free(settle);
}

static void purge_one(life_t *life, const client_t *client, uint64_t queue)
{
    rig_send(&life->rig, client->peer, WIRE_QUEUE, 6,
             &(wire_queue_t){.op = BYTES_LIT("purge"), .name = bytes_cstr(life_queues[queue])});
    bool is_early = life->purged_us[queue] && life->rig.now_us < life->purged_us[queue] + 60 * S;
    (void)rig_expect(&life->rig, client->peer, is_early ? WIRE_ERROR : WIRE_RESULT);
    life->purged_us[queue] = is_early ? life->purged_us[queue] : life->rig.now_us;
    life->tally->purges_refused += is_early;
    life_collect(life);
}

void life_purge(life_t *life)
{
    client_t *client = some_client(life);
    uint64_t queue = random_below(&life->random, ARRAY_LEN(life_queues));
    if (!client || random_below(&life->random, 20))
        return;
    purge_one(life, client, queue);
    if (random_below(&life->random, 2))
        purge_one(life, client, queue);
}

/* Refused while another one runs. */
void life_redrive(life_t *life)
{
    client_t *client = some_client(life);
    if (!client || random_below(&life->random, 4))
        return;
    rig_send(&life->rig, client->peer, WIRE_QUEUE, 7,
             &(wire_queue_t){.op = BYTES_LIT("redrive"),
                             .name = bytes_cstr(random_below(&life->random, 2) ? "dead" : "dead.fifo")});
    life_collect(life);
}

/* -- the watcher of the bus ------------------------------------------------------------------------------------ */
void life_watch(life_t *life)
{
    life->watch_peer = ++life->next_peer;
    life->watch_credit = random_below(&life->random, 30);
    char name[32];
    (void)snprintf(name, sizeof name, "watch-%06llx", (unsigned long long)life->watch_peer);
    rig_hello(&life->rig, life->watch_peer, name, NULL);
    rig_subscribe_bus(&life->rig, life->watch_peer, 1, random_below(&life->random, 2) ? "shop" : "*", life->watched + 1,
                      life->watch_credit);
    life_collect(life);
}

void life_watch_more(life_t *life, uint64_t credit)
{
    life->watch_credit += credit;
    rig_send(&life->rig, life->watch_peer, WIRE_CREDIT, 0,
             &(wire_credit_t){.sub = 1, .messages = credit, .bytes = UINT64_C(1) << 30});
    life_collect(life);
}
