"""SQS's semantics through the protocol, point by point of the list in docs/aws-differences.md, against a running broker.

What only time can show (five minutes, twelve hours) is shown by the unit tests of the same names."""
import hashlib
import struct

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import ACK, BusError, pack, unpack
from lib.wait import wait_until

QUEUES = [
    {"QueueName": "q.fifo", "Attributes": {"VisibilityTimeout": 30}},
    {"QueueName": "late.fifo", "Attributes": {"DelaySeconds": 1, "VisibilityTimeout": 30}},
    {"QueueName": "content.fifo", "Attributes": {"ContentBasedDeduplication": True}},
    {"QueueName": "scoped.fifo", "Attributes": {"DeduplicationScope": "messageGroup",
                                                "FifoThroughputLimit": "perMessageGroupId"}},
    {"QueueName": "retry.fifo", "Attributes": {"RedrivePolicy": {"deadLetterTargetArn": "dead.fifo",
                                                                 "maxReceiveCount": 1}}},
    {"QueueName": "dead.fifo"},
]


@pytest.fixture
def client(make_broker):
    return make_broker(topology={**TOPOLOGY, "Queues": TOPOLOGY["Queues"] + QUEUES}).start().client()


@pytest.fixture(params=["push", "receive"])
def take(request, client):
    """take(queue, most) brings what there is of both ways to consume."""
    def push(queue, most):
        sub = client.consume(queue, messages=most)
        found = []
        while len(found) < most:
            try:
                found += client.next("DELIVER", timeout_s=0.5)["deliveries"]
            except TimeoutError:
                break
        client.ask("UNSUBSCRIBE", sub=sub)
        return found
    return push if request.param == "push" else lambda queue, most: client.receive(queue, most)


def values(deliveries):
    return [unpack(d["body"]) for d in deliveries]


def fill(client, queue, *texts, group="g"):
    for text in texts:
        client.send(queue, text, group=group, dedup=f"{group}-{text}")


def refusal(client, op, name, args=None):
    with pytest.raises(BusError) as refused:
        client.admin("QUEUE", op, name, args)
    return refused.value


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# -- FIFO queues --
def test_point_01_only_messages_in_flight_block_a_group(client, take):
    fill(client, "late.fifo", "first")
    held = client.receive("late.fifo", 1, wait_ms=5000)
    fill(client, "late.fifo", "second")
    wait_until(lambda: client.queue_info("late.fifo")["visible"] == 1, "the delay to end")
    assert take("late.fifo", 10) == [] and client.queue_info("late.fifo")["groups_blocked"] == 1
    client.ack(*held)
    assert values(take("late.fifo", 10)) == ["second"]


def test_point_02_several_of_a_group_come_together_and_then_none(client, take):
    fill(client, "q.fifo", "1", "2", "3")
    fill(client, "q.fifo", "x", group="h")
    first = take("q.fifo", 3)
    assert values(first) == ["1", "2", "3"]
    fill(client, "q.fifo", "4")
    assert values(take("q.fifo", 10)) == ["x"]
    client.ack(*first)
    assert values(take("q.fifo", 10)) == ["4"]


def test_point_03_a_partial_extension_returns_the_group_up_to_the_invisible_one(client, take):
    fill(client, "q.fifo", "1", "2", "3", "4")
    held = client.receive("q.fifo", 4)
    client.extend(held[2], 600_000)
    for delivery in (held[0], held[1], held[3]):
        client.release(delivery)
    assert values(take("q.fifo", 10)) == ["1", "2"]


def test_point_04_an_id_is_remembered_after_its_message_is_deleted(client):
    first = client.send("q.fifo", "one", group="g", dedup="id")
    client.ack(*client.receive("q.fifo", 1))
    again = client.send("q.fifo", "other", group="g", dedup="id")
    assert again["duplicate"] and again["record"] == first["record"]
    assert client.receive("q.fifo", 1) == []
    text = pack("by content")
    client.send_many("content.fifo", [{"body": text, "group": "g"}])
    given = client.send("content.fifo", "something else", group="g", dedup=hashlib.sha256(text).hexdigest())
    assert given["duplicate"]


def test_point_05_the_scope_of_deduplication_can_be_the_group(client):
    results = [client.send("scoped.fifo", "x", group=group, dedup="same")["duplicate"] for group in ("a", "b", "a")]
    assert results == [False, False, True]
    attributes = {"FifoThroughputLimit": "perMessageGroupId"}
    assert refusal(client, "create", "wrong.fifo", attributes).name == "InvalidAttributeValue"


def test_point_06_the_same_attempt_gets_the_same_receipts_until_one_is_settled(client):
    fill(client, "q.fifo", "1", "2")
    first = client.receive("q.fifo", 2, attempt="try")
    assert client.receive("q.fifo", 2, attempt="try") == first
    client.ack(first[0])
    assert client.receive("q.fifo", 2, attempt="try") == []


def test_point_15_sequence_numbers_grow_in_a_group(client, take):
    fill(client, "q.fifo", "1", "2", "3")
    numbers = [d["attrs"]["SequenceNumber"] for d in take("q.fifo", 3)]
    assert numbers == sorted(set(numbers)) and all(len(n) == 20 for n in numbers)


# -- receipts and visibility --
def test_point_07_an_old_receipt_deletes_nothing_and_a_late_one_fails_on_a_fifo_queue(client):
    client.send("plain", "one")
    old = client.receive("plain", visibility_ms=100)[0]
    newer = client.receive("plain", wait_ms=20_000)[0]
    assert newer["receipt"] != old["receipt"]
    assert client.settle([{"receipt": old["receipt"], "action": ACK}])[0]["status"] == 0
    assert client.queue_info("plain")["in_flight"] == 1
    client.ack(newer)
    fill(client, "q.fifo", "1")
    late = client.receive("q.fifo", visibility_ms=100)[0]
    wait_until(lambda: client.queue_info("q.fifo")["visible"] == 1, "the visibility to end")
    assert client.settle([{"receipt": late["receipt"], "action": ACK}])[0]["aws"] == "InvalidParameterValue"


def test_point_08_a_change_of_visibility_holds_for_one_receive_and_has_an_end(client):
    client.send("plain", "one")
    delivery = client.receive("plain")[0]
    with pytest.raises(BusError) as refused:
        client.extend(delivery, 43_200_000 + 1)
    assert refused.value.name == "InvalidParameterValue"
    client.extend(delivery, 100)
    again = client.receive("plain", wait_ms=20_000)[0]
    assert 25_000_000 < client.queue_info("plain")["holders"][0]["until_us"] - again["sent_us"]
    client.ack(again)
    with pytest.raises(BusError) as refused:
        client.extend(again, 1000)
    assert refused.value.name == "MessageNotInflight"


# -- dead letters --
def test_point_09_a_message_moves_when_it_would_be_received_once_too_often(client, take):
    client.send("work", "poison")
    sent_us = None
    for n in range(3):
        delivery = take("work", 1)[0]
        sent_us = delivery["sent_us"]
        assert delivery["receives"] == n + 1
        client.release(delivery)
    assert client.queue_info("work")["visible"] == 1
    assert take("work", 1) == []
    dead = client.receive("work-dlq")[0]
    assert dead["attrs"]["DeadLetterQueueSourceArn"] == "work" and dead["sent_us"] == sent_us
    fill(client, "retry.fifo", "1")
    delivery = client.receive("retry.fifo")[0]
    client.release(delivery)
    assert client.receive("retry.fifo") == []
    dead = client.receive("dead.fifo")[0]
    assert dead["attrs"]["MessageDeduplicationId"] == str(delivery["record"]) and dead["sent_us"] > delivery["sent_us"]
    assert dead["group"] == "g"


def test_point_09_types_must_agree_and_a_queue_may_refuse_dead_letters(client):
    policy = {"RedrivePolicy": {"deadLetterTargetArn": "dead.fifo", "maxReceiveCount": 1}}
    assert refusal(client, "create", "standard", policy).name == "InvalidParameterValue"
    client.admin("QUEUE", "create", "closed", {"RedriveAllowPolicy": '{"redrivePermission": "denyAll"}'})
    policy["RedrivePolicy"]["deadLetterTargetArn"] = "arn:aws:sqs:eu-west-1:123456789012:closed"
    assert refusal(client, "create", "standard", policy).name == "InvalidParameterValue"


def test_point_10_after_three_unfinished_receives_it_goes_behind_and_out_of_the_age(client):
    client.send("plain", "poison")
    younger = client.send("plain", "good")
    for _ in range(3):
        client.release(client.receive("plain")[0])
    good = client.receive("plain")[0]
    assert good["record"] == younger["record"]
    client.release(good)
    assert client.queue_info("plain")["oldest_us"] == good["sent_us"]


# -- move tasks --
def bury(client, *texts):
    for text in texts:
        client.send("work", text)
        client.reject(client.receive("work")[0], "no")


def newest(client):
    return client.admin("QUEUE", "tasks", "work-dlq")[0]


def test_point_11_a_move_task_makes_new_messages_of_dead_letters(client, take):
    bury(client, "one")
    old = client.receive("work-dlq")[0]
    client.release(old)
    task = client.admin("QUEUE", "redrive", "work-dlq", {"rate": 500})
    assert task["state"] == "RUNNING" and task["task"] and task["wanted"] == 1
    wait_until(lambda: newest(client)["state"] == "COMPLETED", "the task to complete")
    assert newest(client)["moved"] == 1 and newest(client)["task"] == ""
    new = take("work", 1)[0]
    assert new["record"] == old["record"] and new["message"] > old["message"] and new["sent_us"] > old["sent_us"]
    assert new["receives"] == 1 and not new["attrs"]


def test_point_11_one_task_at_a_time_and_cancel_keeps_what_moved(client):
    bury(client, *"abcd")
    task = client.admin("QUEUE", "redrive", "work-dlq", {"to": "plain", "rate": 1})
    assert refusal(client, "redrive", "work-dlq").name == "InvalidParameterValue"
    wait_until(lambda: newest(client)["moved"] >= 1, "a message to move")
    ended = client.admin("QUEUE", "cancel", task["task"])
    assert ended["state"] == "CANCELLED" and ended["moved"] < 4
    assert client.queue_info("plain")["visible"] == ended["moved"]
    assert client.queue_info("work-dlq")["visible"] == 4 - ended["moved"]
    assert refusal(client, "cancel", task["task"]).name == "InvalidParameterValue"
    assert refusal(client, "redrive", "plain").name == "InvalidParameterValue"


def test_point_11_a_task_survives_a_crash(make_broker):
    broker = make_broker().start()
    client = broker.client()
    bury(client, *"abc")
    client.admin("QUEUE", "redrive", "work-dlq", {"rate": 2})
    broker.restart()
    client = broker.client()
    wait_until(lambda: newest(client)["state"] == "COMPLETED", "the task to complete")
    assert newest(client)["moved"] == 3 and client.queue_info("work")["visible"] == 3


def test_point_11_a_task_whose_target_is_gone_fails_and_loses_nothing(client):
    bury(client, "a", "b")
    client.make_queue("gone")
    client.admin("QUEUE", "redrive", "work-dlq", {"to": "gone", "rate": 1})
    wait_until(lambda: newest(client)["moved"] == 1, "the first to move")
    client.admin("QUEUE", "delete", "gone")
    wait_until(lambda: newest(client)["state"] == "FAILED", "the task to fail")
    assert "deleted" in newest(client)["why"] and client.queue_info("work-dlq")["visible"] == 1


# -- queues themselves --
def test_point_12_purge_takes_what_is_in_flight_and_both_it_and_a_name_rest_for_a_minute(client):
    client.send("plain", "one")
    client.send("plain", "two")
    client.receive("plain")
    assert client.admin("QUEUE", "purge", "plain")["count"] == 2
    error = refusal(client, "purge", "plain")
    assert error.name == "PurgeQueueInProgress" and 0 < error.retry_after_ms <= 60_000
    client.make_queue("brief")
    client.admin("QUEUE", "delete", "brief")
    assert refusal(client, "create", "brief").name == "QueueDeletedRecently"


def test_point_13_create_is_idempotent_with_the_same_attributes_alone(client):
    first = client.make_queue("new", VisibilityTimeout=7)
    assert client.make_queue("new", VisibilityTimeout=7)["incarnation"] == first["incarnation"]
    assert refusal(client, "create", "new", {"VisibilityTimeout": "8"}).name == "QueueNameExists"


# -- fair queues --
def test_point_14_a_loud_tenant_does_not_keep_others_waiting(client, take):
    client.send_many("plain", [{"body": pack(n), "group": "loud"} for n in range(100)])
    held = [d for _ in range(3) for d in client.receive("plain", 10)]
    assert len(held) == 30 and client.queue_info("plain")["groups_noisy"] == 1
    client.send("plain", "quiet one", group="quiet")
    client.send("plain", "alone")
    assert values(take("plain", 3)) == ["quiet one", "alone", 30]


# -- sums and selectors --
def attribute_sum(attrs):
    """The AWS SDKs' digest: by name; each part behind its length, the value behind its form."""
    out = b""
    for name, value in sorted(attrs.items()):
        kind, form, content = {str: ("String", 1, str(value).encode()), int: ("Number", 1, str(value).encode()),
                               bytes: ("Binary", 2, value)}[type(value)]
        for part in (name.encode(), kind.encode()):
            out += struct.pack(">I", len(part)) + part
        out += bytes([form]) + struct.pack(">I", len(content)) + content
    return md5(out)


def test_point_16_sums_of_body_and_attributes(client):
    attrs = {"name": "value", "count": 42, "blob": b"\x00\x01"}
    extra = {"traceparent": "00-1-2-01", "AWSTraceHeader": "Root=1-2-3"}
    sent = client.send_many("plain", [{"body": pack("hello"), "attrs": {**attrs, **extra}}], digests=True)[0]
    assert sent["md5_body"] == md5(b"hello") and sent["md5_attributes"] == attribute_sum(attrs)
    assert sent["md5_system_attributes"] == attribute_sum({"AWSTraceHeader": "Root=1-2-3"})
    got = client.receive("plain", digests=True)[0]
    assert (got["md5_body"], got["md5_attributes"]) == (sent["md5_body"], sent["md5_attributes"])
    client.release(got)
    some = client.receive("plain", digests=True, attributes={"MessageAttributeNames": ["name"]})[0]
    assert some["md5_attributes"] == attribute_sum({"name": "value"})
    client.release(some)
    none = client.receive("plain", digests=True, attributes={"MessageAttributeNames": []})[0]
    assert none["md5_attributes"] == "" and none["md5_body"] == sent["md5_body"]
    client.release(none)
    assert client.receive("plain")[0]["md5_body"] == ""


def test_point_16_the_known_answer(client):
    sent = client.send_many("plain", [{"body": pack("x"), "attrs": {"attribName1": "attribValue 1"}}], digests=True)[0]
    assert sent["md5_attributes"] == "19e27d4e946b072f3f58da80d94fd778"


@pytest.mark.parametrize("names,expected", [
    (["bar.*"], ["bar.one", "bar.two"]), (["All"], ["bar.one", "bar.two", "foo"]), ([".*"], ["bar.one", "bar.two", "foo"]),
    (["foo", "nobody"], ["foo"]), ([], []),
])
def test_point_17_names_all_and_prefixes_choose_attributes(client, names, expected):
    client.send("plain", "x", attrs={"bar.one": "1", "bar.two": 2, "foo": True})
    got = client.receive("plain", attributes={"MessageAttributeNames": names})[0]
    assert sorted(got["attrs"] or {}) == expected


# -- limits --
@pytest.mark.parametrize("attrs", [
    {"AWS.x": "1"}, {"amazon.x": "1"}, {".x": "1"}, {"x.": "1"}, {"x..y": "1"}, {"x y": "1"}, {"x": ""},
    {f"a{n}": n for n in range(11)},
])
def test_message_attributes_follow_sqs(client, attrs):
    with pytest.raises(BusError) as refused:
        client.send("plain", "x", attrs=attrs)
    assert refused.value.name == "InvalidParameterValue"


@pytest.mark.parametrize("text", ["\x00", "\x0b", "\ufffe", "\uffff"])
def test_a_text_has_no_character_that_sqs_refuses(client, text):
    with pytest.raises(BusError) as refused:
        client.send("plain", "ok" + text)
    assert refused.value.name == "InvalidMessageContents"


def test_a_message_of_one_mebibyte_passes_and_a_larger_one_does_not(client):
    def send(size, **attrs):
        return client.send_many("plain", [{"body": pack(b"x" * (size - 5)), "attrs": attrs or None}])[0]["aws"]
    assert send(1 << 20) == "" and send((1 << 20) + 1) == "MessageTooLong"
    assert send(1 << 20, AWSTraceHeader="R" * 150) == ""  # a system attribute does not count
    assert send((1 << 20) + 1, AWSTraceHeader="R" * 150) == "MessageTooLong"
    assert send((1 << 20) - 8, own="12", AWSTraceHeader="R" * 150) == ""
    assert send((1 << 20) - 7, own="12", AWSTraceHeader="R" * 150) == "MessageTooLong"


def test_a_receive_may_wait_as_long_as_its_queue_says(client):
    client.make_queue("patient", ReceiveMessageWaitTimeSeconds=3)  # longer than nothing() looks, stretched too
    client.ping()
    assert client.receive("patient", queue_wait=True, timeout_s=20) == []
    seq = next(client.seqs)
    client.tell("RECEIVE", seq, queue="patient", max=1, visibility_ms=-1, queue_wait=True)
    client.nothing("RECEIVED", within_s=0.3)
    client.answer(seq)


def test_the_broker_counts_again_and_finds_nothing(client):
    client.send_many("plain", [{"body": pack(n), "group": "g" if n % 2 else ""} for n in range(50)])
    client.receive("plain", 10)
    fill(client, "q.fifo", "1", "2")
    found = client.admin("BROKER", "check")
    assert found["ok"] and found["problem"] == "" and found["checked"] == found["messages"] == 52 and found["next"] == 0
