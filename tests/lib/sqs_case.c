/* sqs_case.c: the queues, and the verbs of tests. */
#include "tests/lib/sqs_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "proto/msgpack.h"

#define FIFO_QUEUE(name, more) "{\"QueueName\":\"" name "\",\"Attributes\":{\"FifoQueue\":true" more "}}"
#define BY_GROUP ",\"DeduplicationScope\":\"messageGroup\",\"FifoThroughputLimit\":\"perMessageGroupId\""
#define REDRIVE ",\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead.fifo\",\"maxReceiveCount\":2}"

/* clang-format off */
const char sqs_topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"}],"
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"t\",\"Arn\":\"events.fifo\",\"SqsParameters\":{\"MessageGroupId\":\"all\"}}]}],"
    "\"Queues\":["
    FIFO_QUEUE("q.fifo", ",\"VisibilityTimeout\":10") ","
    FIFO_QUEUE("late.fifo", ",\"DelaySeconds\":5,\"VisibilityTimeout\":60") ","
    FIFO_QUEUE("content.fifo", ",\"ContentBasedDeduplication\":true") ","
    FIFO_QUEUE("scoped.fifo", BY_GROUP) ","
    FIFO_QUEUE("retry.fifo", ",\"VisibilityTimeout\":1" REDRIVE) ","
    FIFO_QUEUE("dead.fifo", "") ","
    FIFO_QUEUE("events.fifo", "") ","
    "{\"QueueName\":\"plain\",\"Attributes\":{\"VisibilityTimeout\":10}},"
    "{\"QueueName\":\"retry\",\"Attributes\":{\"VisibilityTimeout\":1,\"RedrivePolicy\":"
    "{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":2}}},"
    "{\"QueueName\":\"dead\"}]}";
/* clang-format on */

int sqs_open(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, &(core_limits_t){.in_flight = SQS_IN_FLIGHT, .grace_ms = 600000, .heartbeat_ms = 600000});
    rig_topology(rig, sqs_topology);
    rig_hello(rig, 1, "one-000001", NULL);
    rig_hello(rig, 2, "two-000002", NULL);
    *state = rig;
    return 0;
}

int sqs_close(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* -- doing ------------------------------------------------------------------------------------------------ */
wire_result_entry_t sqs_try_send(rig_t *rig, const char *queue, const wire_send_entry_t *entry)
{
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    send->queue = bytes_cstr(queue);
    send->entries.count = 1;
    send->entries.items[0] = *entry;
    rig_send(rig, 1, WIRE_SEND, 8, send);
    free(send);
    wire_result_entry_t result = rig_expect(rig, 1, WIRE_SENT)->sent.results.items[0];
    rig->taken = 0;
    return result;
}

wire_send_entry_t sqs_entry(const char *group, const char *dedup)
{
    return (wire_send_entry_t){
        .group = bytes_cstr(group), .dedup = bytes_cstr(dedup), .delay_ms = -1, .body = BYTES_LIT("\xa1x")};
}

static bool is_fifo(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".fifo") == 0;
}

uint64_t sqs_send(rig_t *rig, const char *queue, const char *group)
{
    char dedup[24] = "";
    if (is_fifo(queue))
        (void)snprintf(dedup, sizeof dedup, "id-%llu", (unsigned long long)rig->records);
    wire_send_entry_t entry = sqs_entry(group, dedup);
    wire_result_entry_t result = sqs_try_send(rig, queue, &entry);
    if (result.status)
        fail_msg("%.*s", BYTES_FMT(result.message));
    assert_false(result.duplicate);
    return result.record;
}

sqs_got_t sqs_receive_attempt(rig_t *rig, const char *queue, uint64_t max, const char *attempt)
{
    sqs_got_t got = {0};
    rig_send(
        rig, 2, WIRE_RECEIVE, 5,
        &(wire_receive_t){.queue = bytes_cstr(queue), .max = max, .visibility_ms = -1, .attempt = bytes_cstr(attempt)});
    const core_out_t *out = rig_deliver(rig, 2);
    assert_non_null(out);
    assert_int_equal(out->deliver.verb, WIRE_RECEIVED);
    for (; got.count < out->deliver.count; got.count++)
        got.items[got.count] = rig->out.items[out->deliver.first + got.count];
    assert_null(rig_deliver(rig, 2));
    return got;
}

sqs_got_t sqs_receive(rig_t *rig, const char *queue, uint64_t max)
{
    return sqs_receive_attempt(rig, queue, max, "");
}

void sqs_expect(const sqs_got_t *got, const uint64_t *records, size_t count)
{
    assert_int_equal(got->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got->items[i].record, records[i]);
}

void sqs_ack(rig_t *rig, const core_item_t *item)
{
    assert_int_equal(rig_settle(rig, 2, item, WIRE_ACK, 0), 0);
}

/* -- administering ------------------------------------------------------------------------------------------ */
static void ask(rig_t *rig, const char *op, const char *name, const char *args)
{
    const json_limits_t limits = {.max_bytes = 4096};
    buf_t map = {0};
    if (args)
        assert_true(json_to_msgpack(bytes_cstr(args), &limits, &map, NULL));
    rig_send(rig, 1, WIRE_QUEUE, 3,
             &(wire_queue_t){.op = bytes_cstr(op), .name = bytes_cstr(name), .args = buf_bytes(&map)});
    buf_free(&map);
}

bytes_t sqs_ask(rig_t *rig, const char *op, const char *name, const char *args)
{
    ask(rig, op, name, args);
    return rig_expect(rig, 1, WIRE_RESULT)->result.body;
}

const char *sqs_refused(rig_t *rig, const char *op, const char *name, const char *args)
{
    static char text[64];
    ask(rig, op, name, args);
    assert_true(bytes_to_cstr(rig_expect(rig, 1, WIRE_ERROR)->error.name, text, sizeof text));
    return text;
}

uint64_t sqs_number(rig_t *rig, const char *queue, const char *key)
{
    uint64_t number;
    assert_true(mp_map_u64(sqs_ask(rig, "info", queue, NULL), key, &number));
    return number;
}
