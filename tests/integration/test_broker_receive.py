"""RECEIVE: asking a queue once, with and without a wait, and with attribute selectors."""
import signal
import time

import pytest
from lib.mangabus_client import ACK, BusError, event, pack, unpack


def values(deliveries):
    return [unpack(d["body"]) for d in deliveries]


def test_receive_brings_what_is_there_in_order_and_an_empty_list_when_nothing_is(client):
    client.send_many("plain", [pack(n) for n in range(12)])
    first = client.receive("plain", 10)
    assert values(first) == list(range(10)) and all(d["receives"] == 1 for d in first)
    second = client.receive("plain", 10)
    assert values(second) == [10, 11]
    assert client.receive("plain", 10) == []
    client.ack(*first, *second)
    info = client.queue_info("plain")
    assert (info["visible"], info["in_flight"]) == (0, 0)


def test_a_waiting_receive_is_answered_when_a_message_comes(broker):
    asking, sending = broker.client(), broker.client()
    seq = next(asking.seqs)
    asking.tell("RECEIVE", seq, queue="plain", max=10, wait_ms=20_000, visibility_ms=-1)
    asking.nothing("RECEIVED")
    sending.send("plain", "late")
    assert values(asking.answer(seq)["deliveries"]) == ["late"]


def test_a_wait_ends_with_nothing_when_its_time_is_over(client):
    began = time.monotonic()
    assert client.receive("plain", 1, wait_ms=300) == []
    assert time.monotonic() - began >= 0.3


def test_the_visibility_asked_for_holds_for_this_receive(client):
    client.send("plain", "one")
    first = client.receive("plain", visibility_ms=200)[0]
    again = client.receive("plain", wait_ms=20_000)[0]
    assert again["receives"] == 2 and again["first_receive_us"] == first["first_receive_us"]
    late = client.settle([{"receipt": first["receipt"], "action": ACK}])[0]
    assert late["status"] == 0 and late["message"] and client.queue_info("plain")["in_flight"] == 1
    client.ack(again)


ATTRS = {"origin": "here", "trace.id": "1", "trace.flags": 2, "other": True}


@pytest.mark.parametrize("names,expected", [
    (["origin"], ["origin"]),
    (["trace.*"], ["trace.flags", "trace.id"]),
    (["origin", "nobody", "oth.*"], ["origin", "other"]),
    (["All"], sorted(ATTRS)),
    ([".*"], sorted(ATTRS)),
    ([], []),
])
def test_selectors_choose_the_attributes_that_come_along(client, names, expected):
    client.send("plain", "one", attrs=ATTRS)
    delivery = client.receive("plain", attributes={"MessageAttributeNames": names})[0]
    assert sorted(delivery["attrs"] or {}) == expected
    assert all(delivery["attrs"][name] == ATTRS[name] for name in expected)


def test_without_selectors_all_attributes_come(client):
    client.send("plain", "one", attrs=ATTRS)
    assert client.receive("plain")[0]["attrs"] == ATTRS


def test_selectors_choose_among_what_a_dead_letter_carries_too(client):
    client.publish("demo", event("work"), attrs={"origin": "here"})
    client.reject(client.receive("work")[0], "broken")
    dead = client.receive("work-dlq", attributes={"MessageAttributeNames": ["DeadLetter.*"]})[0]
    assert dead["attrs"]["DeadLetterDetail"] == "broken" and "origin" not in dead["attrs"]


def test_the_messages_of_one_answer_fit_one_frame(client):
    for n in range(10):
        client.send("plain", bytes([n]) * 1_000_000)
    found = []
    while len(found) < 10:
        some = client.receive("plain", 10, wait_ms=5000)
        assert some and sum(len(d["body"]) for d in some) < client.welcome["max_frame_bytes"]
        found += some
    assert [v[0] for v in values(found)] == list(range(10))


def test_a_lost_connection_loses_no_message(broker):
    gone, other = broker.client(), broker.client()
    gone.tell("RECEIVE", next(gone.seqs), queue="plain", max=1, wait_ms=20_000, visibility_ms=-1)
    gone.ping()
    gone.reconnect()
    other.send("plain", "kept")
    assert values(other.receive("plain", wait_ms=5000)) == ["kept"]
    gone.nothing("RECEIVED")


def test_received_messages_survive_a_crash_with_their_receipts(broker):
    client = broker.client()
    client.send("plain", "one")
    delivery = client.receive("plain")[0]
    client.ping()
    broker.kill()
    broker.start()
    other = broker.client()
    other.ack(delivery)
    info = other.queue_info("plain")
    assert (info["visible"], info["in_flight"]) == (0, 0)


@pytest.mark.parametrize("wrong", [
    {"max": 0}, {"max": 11}, {"wait_ms": 20_001}, {"visibility_ms": -2}, {"visibility_ms": 43_200_001},
    {"attempt": "x"}, {"attributes": {"Names": ["x"]}}, {"attributes": {"MessageAttributeNames": "x"}},
])
def test_a_receive_out_of_bounds_is_refused(client, wrong):
    fields = {"queue": "plain", "max": 1, "wait_ms": 0, "visibility_ms": -1, **wrong}
    with pytest.raises(BusError) as refused:
        client.ask("RECEIVE", **fields)
    assert (refused.value.status, refused.value.name) == ("INVALID_ARGUMENT", "InvalidParameterValue")


def test_a_broker_that_stops_answers_those_who_wait(broker):
    client = broker.client()
    seq = next(client.seqs)
    client.tell("RECEIVE", seq, queue="plain", max=1, wait_ms=20_000, visibility_ms=-1)
    client.ping()
    broker.process.signal(signal.SIGTERM)
    assert client.answer(seq)["deliveries"] == []
