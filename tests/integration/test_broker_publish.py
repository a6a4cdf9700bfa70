"""PUBLISH and SEND: routing, results entry by entry, deduplication, producers."""
import pytest
from lib.mangabus_client import STATUS, BusError, event, pack, unpack


def test_an_event_reaches_the_queue_of_the_rule_that_matches(client):
    body = event("work", {"n": 1})
    accepted = client.publish("demo", body, attrs={"traceparent": "00-1-2-03"})
    delivery = client.deliveries(client.consume("work"), 1)[0]
    assert delivery["record"] == accepted["record"]
    assert delivery["body"] == body, "its bytes are as they were published"
    assert delivery["source"] == "demo" and delivery["receives"] == 1
    assert delivery["attrs"]["traceparent"] == "00-1-2-03"


def test_an_event_that_matches_nothing_is_accepted(client):
    assert client.publish("demo", event("nobody.cares"))["record"] > 0
    assert client.queue_info("work")["visible"] == 0


def test_a_rule_selects_by_detail_and_its_targets_transform(client):
    client.publish("demo", event("order.placed", {"size": "small", "name": "no"}))
    client.publish("demo", event("order.placed", {"size": "big", "name": "yes"}))
    orders = client.deliveries(client.consume("orders"), 1)
    names = client.deliveries(client.consume("names"), 1)
    assert [unpack(d["body"])["detail"]["name"] for d in orders] == ["yes"]
    assert [unpack(d["body"]) for d in names] == ["yes"]


def test_a_refused_entry_does_not_hold_the_others_back(client):
    results = client.publish_many("demo", [event("work"), b"\xc0", event("work"), pack({"source": "test"})])
    assert [r["status"] == 0 for r in results] == [True, False, True, False]
    assert results[1]["aws"] and results[1]["message"]
    assert client.queue_info("work")["visible"] == 2


@pytest.mark.parametrize("body", [
    b"\xc1", pack("text"), pack([1]), pack({}), event("work") + b"\x00", event("work", "no map"), event("", {}),
    event("work", source=7), b"\x81\xa1a", event("x" * 129)])
def test_what_is_no_envelope_is_refused(client, body):
    result = client.publish_many("demo", [body])[0]
    assert STATUS[result["status"]] == "INVALID_ARGUMENT" and result["message"]


def test_an_event_over_one_mebibyte_is_refused_and_one_just_below_is_not(client):
    assert client.publish("demo", event("work", {"x": "a" * ((1 << 20) - 1000)}))
    result = client.publish_many("demo", [event("work", {"x": "a" * (1 << 20)})])[0]
    assert STATUS[result["status"]] == "INVALID_ARGUMENT"


def test_an_event_that_rules_would_take_too_long_over_is_refused_alone(client):
    many = event("order.placed", {"size": ["small"] * 100_000, "name": "no"})
    as_many_elsewhere = event("order.placed", {"sizes": ["small"] * 100_000, "size": "big", "name": "yes"})
    results = client.publish_many("demo", [event("work"), many, as_many_elsewhere])
    assert [STATUS[r["status"]] for r in results] == ["OK", "RESOURCE_EXHAUSTED", "OK"]
    assert results[1]["aws"] == "LimitExceededException" and "250000 steps" in results[1]["message"]
    assert len(client.deliveries(client.consume("orders"), 1)) == 1


def test_a_big_event_is_delivered_whole(client):
    body = event("work", {"x": "a" * 900_000})
    client.publish("demo", body)
    assert client.deliveries(client.consume("work", size=100), 1)[0]["body"] == body


def test_more_than_a_frame_of_big_messages_comes_in_several(client):
    for n in range(12):
        client.send("plain", [n, "a" * 900_000])
    found = client.deliveries(client.consume("plain", size=16 << 20), 12)
    assert [unpack(d["body"])[0] for d in found] == list(range(12))


def test_an_unknown_bus_or_queue_is_refused(client):
    with pytest.raises(BusError) as refused:
        client.publish("nowhere", event("work"))
    assert refused.value.status == "NOT_FOUND"
    with pytest.raises(BusError) as refused:
        client.send("nowhere", 1)
    assert refused.value.status == "NOT_FOUND" and refused.value.name == "QueueDoesNotExist"


def test_the_same_deduplication_key_is_accepted_once(client):
    first = client.publish("demo", event("work"), dedup="k1")
    again = client.publish("demo", event("work"), dedup="k1")
    assert again["duplicate"] and again["record"] == first["record"]
    assert not client.publish("other", event("work"), dedup="k1")["duplicate"], "each bus has its own keys"
    assert client.queue_info("work")["visible"] == 1


def test_a_deduplication_key_holds_across_a_restart(broker):
    client = broker.client()
    first = client.publish("demo", event("work"), dedup="k1")
    broker.restart()
    client.reconnect()
    assert client.publish("demo", event("work"), dedup="k1")["record"] == first["record"]


def test_to_addresses_one_queue_alone(client):
    client.publish("demo", event("work"), to="queue:plain")
    assert client.queue_info("plain")["visible"] == 1
    assert client.queue_info("work")["visible"] == 0


def test_a_replay_name_comes_as_an_attribute(client):
    client.publish("demo", event("work"), replay_name="again")
    assert client.deliveries(client.consume("work"), 1)[0]["attrs"]["replay-name"] == "again"


# -- producers --
def test_a_producer_that_sends_again_is_answered_with_the_first_record(broker):
    producer = broker.client(producer="shop", epoch=1)
    first = producer.publish("demo", event("work"), producer_seq=1)
    again = producer.publish("demo", event("work"), producer_seq=1)
    assert again["duplicate"] and again["record"] == first["record"]
    assert producer.queue_info("work")["visible"] == 1


def test_a_producer_is_remembered_across_a_restart(broker):
    producer = broker.client(producer="shop", epoch=1)
    records = [producer.send("plain", n)["record"] for n in range(5)]
    broker.restart()
    assert producer.reconnect()["producer_seq"] == 5
    results = producer.send_many("plain", [pack(n) for n in range(5)], producer_seq=1)
    assert [r["record"] for r in results] == records and all(r["duplicate"] for r in results)
    assert producer.queue_info("plain")["visible"] == 5


def test_a_higher_epoch_fences_the_older_process(broker):
    old = broker.client(producer="shop", epoch=1)
    old.publish("demo", event("work"))
    new = broker.client(producer="shop", epoch=2)
    with pytest.raises(BusError) as refused:
        old.publish("demo", event("work"))
    assert refused.value.name == "PRODUCER_FENCED"
    new.publish("demo", event("work"))


def test_a_lower_epoch_is_refused(broker):
    broker.client(producer="shop", epoch=5)
    with pytest.raises(BusError) as refused:
        broker.client(producer="shop", epoch=4).publish("demo", event("work"))
    assert refused.value.name == "PRODUCER_FENCED"


def test_a_sequence_too_old_to_be_remembered_is_refused(broker):
    producer = broker.client(producer="shop", epoch=1)
    for _ in range(8):
        producer.send_many("plain", [pack(n) for n in range(256)])
    result = producer.send_many("plain", [pack(0)], producer_seq=1)[0]
    assert result["status"] and result["aws"] == "SEQUENCE_EXPIRED"


# -- SEND --
def test_a_message_is_one_msgpack_value(client):
    results = client.send_many("plain", [pack(1), b"", b"\xc1", pack(1) + pack(2)])
    assert [r["status"] == 0 for r in results] == [True, False, False, False]


def test_a_delayed_message_waits(client):
    sub = client.consume("plain")
    client.send("plain", "later", delay_ms=300)
    client.send("plain", "now")
    assert [unpack(d["body"]) for d in client.deliveries(sub, 2)] == ["now", "later"]


def test_message_attributes_and_group_travel(client):
    client.send("plain", 1, attrs={"kind": "a", "n": 7}, group="g")
    delivery = client.deliveries(client.consume("plain"), 1)[0]
    assert delivery["attrs"]["kind"] == "a" and delivery["attrs"]["n"] == 7 and delivery["group"] == "g"
    assert delivery["source"] == "plain"
