"""FIFO queues from outside: groups, deduplication, expired receipts, dead letters, events, crashes."""
import copy
import itertools

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import ACK, BusError, event, unpack

_ids = itertools.count(1)


def fifo(name, **attributes):
    return {"QueueName": name, "Attributes": {"FifoQueue": True, "VisibilityTimeout": 30, **attributes}}


@pytest.fixture
def fifo_broker(make_broker):
    topology = copy.deepcopy(TOPOLOGY)
    topology["Queues"] += [
        fifo("q.fifo"), fifo("late.fifo", DelaySeconds=1), fifo("content.fifo", ContentBasedDeduplication=True),
        fifo("retry.fifo", RedrivePolicy={"deadLetterTargetArn": "dead.fifo", "maxReceiveCount": 1}), fifo("dead.fifo"),
        fifo("events.fifo")]
    topology["Rules"].append({
        "Name": "to-fifo", "EventBusName": "demo", "State": "ENABLED", "EventPattern": {"detail-type": ["ordered"]},
        "Targets": [{"Id": "e", "Arn": "events.fifo", "SqsParameters": {"MessageGroupId": "events"}}]})
    return make_broker(topology=topology).start()


@pytest.fixture
def client(fifo_broker):
    return fifo_broker.client()


def send(client, queue, value, group="a", dedup=None):
    return client.send(queue, value, group=group, dedup=f"id-{next(_ids)}" if dedup is None else dedup)


def values(deliveries):
    return [unpack(d["body"]) for d in deliveries]


def test_a_group_comes_in_order_and_is_closed_until_all_of_it_is_settled(client):
    for n in range(4):
        send(client, "q.fifo", n)
    send(client, "q.fifo", "other", group="b")
    first = client.receive("q.fifo", 3)
    assert values(first) == [0, 1, 2] and [d["group"] for d in first] == ["a"] * 3
    assert values(client.receive("q.fifo", 10)) == ["other"]
    client.ack(first[0], first[2])
    assert client.receive("q.fifo", 10) == []
    client.ack(first[1])
    assert values(client.receive("q.fifo", 10)) == [3]


def test_what_is_extended_holds_back_what_is_behind_it_alone(client):
    for n in range(3):
        send(client, "q.fifo", n)
    first = client.receive("q.fifo", 10, visibility_ms=300)
    client.extend(first[1], 30_000)
    assert values(client.receive("q.fifo", 10, wait_ms=10_000)) == [0]
    assert client.receive("q.fifo", 10) == []


def test_a_delayed_message_blocks_nothing(client):
    send(client, "late.fifo", 1)
    assert values(client.receive("late.fifo", wait_ms=10_000)) == [1]
    assert client.receive("late.fifo") == []


def test_pushed_messages_keep_the_order_of_each_group(fifo_broker):
    producer, consumers = fifo_broker.client(), [fifo_broker.client() for _ in range(3)]
    subs = [c.consume("q.fifo", messages=5) for c in consumers]
    for n in range(60):
        send(producer, "q.fifo", n, group=f"g{n % 4}")
    seen = {f"g{g}": [] for g in range(4)}
    while sum(map(len, seen.values())) < 60:
        for consumer, sub in zip(consumers, subs):
            try:
                some = consumer.deliveries(sub, 1, timeout_s=0.05)
            except TimeoutError:
                continue
            for d in some:
                seen[d["group"]].append(unpack(d["body"]))
            consumer.ack(*some)
            consumer.credit(sub, len(some), 1000)
    assert all(found == list(range(g, 60, 4)) for g, found in enumerate(seen.values()))


def test_an_id_is_known_after_its_message_is_gone_and_after_a_crash(fifo_broker):
    client = fifo_broker.client()
    first = send(client, "q.fifo", 1, dedup="same")
    client.ack(*client.receive("q.fifo"))
    again = send(client, "q.fifo", 2, group="b", dedup="same")
    assert again["duplicate"] and again["record"] == first["record"]
    fifo_broker.restart()
    client = fifo_broker.client()
    assert send(client, "q.fifo", 3, dedup="same")["duplicate"]
    assert client.receive("q.fifo") == []


def test_by_content_equal_bodies_are_one(client):
    assert not client.send("content.fifo", "one", group="a")["duplicate"]
    assert client.send("content.fifo", "one", group="a", attrs={"k": "v"})["duplicate"]
    assert not client.send("content.fifo", "two", group="a")["duplicate"]
    assert values(client.receive("content.fifo", 10)) == ["one", "two"]


def test_the_same_attempt_gets_the_same_answer_until_a_message_is_settled(client):
    for n in range(3):
        send(client, "q.fifo", n)
    first = client.receive("q.fifo", 2, attempt="try-1")
    again = client.receive("q.fifo", 2, attempt="try-1")
    assert [d["receipt"] for d in again] == [d["receipt"] for d in first] and values(again) == [0, 1]
    assert [d["receives"] for d in again] == [1, 1]
    client.ack(first[0])
    assert client.receive("q.fifo", 10, attempt="try-1") == []
    with pytest.raises(BusError) as refused:
        client.receive("q.fifo", attempt="x" * 129)
    assert refused.value.name == "InvalidParameterValue"


def test_a_receipt_is_worth_nothing_after_its_visibility(client):
    send(client, "q.fifo", 1)
    late = client.receive("q.fifo", visibility_ms=100)[0]
    client.nothing("RECEIVED", within_s=0.3)
    result = client.settle([{"receipt": late["receipt"], "action": ACK}])[0]
    assert result["aws"] == "InvalidParameterValue" and "expired" in result["message"]
    assert values(client.receive("q.fifo")) == [1]


def test_a_dead_letter_keeps_group_and_order_and_gets_the_id_of_its_record(client):
    records = [send(client, "retry.fifo", n)["record"] for n in range(2)]
    for _ in range(2):
        client.release(client.receive("retry.fifo")[0])
    assert client.receive("retry.fifo") == []
    dead = client.receive("dead.fifo", 10)
    assert values(dead) == [0, 1] and {d["group"] for d in dead} == {"a"}
    assert [d["attrs"]["MessageDeduplicationId"] for d in dead] == [str(r) for r in records]
    assert {d["attrs"]["DeadLetterQueueSourceArn"] for d in dead} == {"retry.fifo"}


def test_sequence_numbers_grow_and_come_along(client):
    for n in range(3):
        send(client, "q.fifo", n)
    numbers = [d["attrs"]["SequenceNumber"] for d in client.receive("q.fifo", 10)]
    assert numbers == sorted(set(numbers)) and all(len(n) == 20 for n in numbers)


def test_events_reach_a_fifo_target_in_its_group_and_once(client):
    same = event("ordered", {"n": 1})
    client.publish("demo", same)
    client.publish("demo", same)
    client.publish("demo", event("ordered", {"n": 2}))
    found = client.receive("events.fifo", 10)
    assert [v["detail"]["n"] for v in values(found)] == [1, 2] and {d["group"] for d in found} == {"events"}


@pytest.mark.parametrize("entry,name", [
    ({"dedup": "d"}, "MissingParameter"), ({"group": "a"}, "InvalidParameterValue"),
    ({"group": "a", "dedup": "d", "delay_ms": 0}, "InvalidParameterValue"),
    ({"group": "a b", "dedup": "d"}, "InvalidParameterValue"), ({"group": "a", "dedup": "x" * 129}, "InvalidParameterValue"),
])
def test_what_a_fifo_queue_needs_is_asked_for(client, entry, name):
    with pytest.raises(BusError) as refused:
        client.send("q.fifo", 1, **entry)
    assert refused.value.name == name


def test_groups_survive_a_crash_in_order(fifo_broker):
    client = fifo_broker.client()
    for n in range(20):
        send(client, "q.fifo", n, group=f"g{n % 2}")
    held = client.receive("q.fifo", 2)
    client.release(client.receive("q.fifo", 1)[0])
    fifo_broker.restart()
    client = fifo_broker.client()
    client.settle([{"receipt": d["receipt"], "action": ACK} for d in held])
    seen = {"g0": [], "g1": []}
    while sum(map(len, seen.values())) < 18:
        some = client.receive("q.fifo", 10, wait_ms=5000)
        assert some
        for d in some:
            seen[d["group"]].append(unpack(d["body"]))
        client.ack(*some)
    assert seen["g0"] == list(range(4, 20, 2)) and seen["g1"] == list(range(1, 20, 2))


def test_a_peek_shows_the_messages_of_all_groups(client):
    for n in range(3):
        send(client, "q.fifo", n, group=f"g{n}")
    shown = client.admin("QUEUE", "peek", "q.fifo", {"max": 10})
    assert sorted(m["body"] for m in shown) == [0, 1, 2]
    info = client.queue_info("q.fifo")
    assert info["fifo"] and info["visible"] == 3 and info["attributes"]["DeduplicationScope"] == "queue"
