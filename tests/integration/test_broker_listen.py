"""Live subscriptions of a bus: cursors on the log."""
import json

import pytest
from lib.mangabus_client import BUS, BusError, event, unpack


def numbers(deliveries):
    return [unpack(d["body"])["detail"]["n"] for d in deliveries]


def publish(client, count, first=0, bus="demo", kind="tick", **fields):
    return client.publish_many(bus, [event(kind, {"n": n}) for n in range(first, first + count)], **fields)


def test_a_listener_sees_what_comes_from_now_on(client):
    publish(client, 3)
    sub = client.listen("demo")
    publish(client, 3, first=10)
    found = client.deliveries(sub, 3)
    assert numbers(found) == [10, 11, 12]
    assert all(d["receipt"] == b"" and d["receives"] == 0 and d["source"] == "demo" for d in found)


def test_a_listener_may_begin_in_the_past(client):
    records = [r["record"] for r in publish(client, 5)]
    sub = client.listen("demo", **{"from": records[2]})
    assert numbers(client.deliveries(sub, 3)) == [2, 3, 4]
    publish(client, 1, first=5)
    assert numbers(client.deliveries(sub, 1)) == [5]


def test_a_listener_may_begin_at_a_moment(client):
    publish(client, 2)
    middle = client.listen("demo", **{"from": publish(client, 1, first=2)[0]["record"]})
    since = client.deliveries(middle, 1)[0]["ingest_us"]
    publish(client, 2, first=3)
    found = numbers(client.deliveries(client.listen("demo", since_us=since), 3))
    assert found == [2, 3, 4]


def test_a_long_past_comes_whole_and_in_order(client):
    for at in range(0, 2000, 200):
        publish(client, 200, first=at)
    sub = client.listen("demo", messages=4096, size=16 << 20, **{"from": 1})
    publish(client, 5, first=2000)
    assert numbers(client.deliveries(sub, 2005)) == list(range(2005))


def test_only_the_bus_that_was_asked_for_or_all(client):
    one, every = client.listen("demo"), client.listen("*")
    publish(client, 1, first=1, bus="other")
    publish(client, 1, first=2, bus="demo")
    assert numbers(client.deliveries(every, 2)) == [1, 2]
    assert numbers(client.deliveries(one, 1)) == [2]


def test_a_pattern_selects(client):
    sub = client.listen("demo", pattern=json.dumps({"detail-type": [{"prefix": "a."}], "detail": {"n": [1, 3]}}))
    for kind in ("a.x", "b.x"):
        publish(client, 4, kind=kind)
    assert numbers(client.deliveries(sub, 2)) == [1, 3]
    client.nothing("DELIVER")


@pytest.mark.parametrize("pattern", ["{", "[]", '{"a":[{"regex":"x"}]}', '{"a":[{"allOf":[{"prefix":"x"},1]}]}'])
def test_a_bad_pattern_is_refused(client, pattern):
    with pytest.raises(BusError) as refused:
        client.listen("demo", pattern=pattern)
    assert refused.value.status == "INVALID_ARGUMENT" and refused.value.name == "InvalidEventPatternException"


def test_an_unknown_bus_is_refused(client):
    with pytest.raises(BusError) as refused:
        client.listen("nowhere")
    assert refused.value.status == "NOT_FOUND"


def test_a_listener_that_wants_no_replays_gets_none(client):
    live, all_of_them = client.listen("demo", live_only=True), client.listen("demo")
    publish(client, 1, first=1, replay_name="again")
    publish(client, 1, first=2)
    found = client.deliveries(all_of_them, 2)
    assert numbers(found) == [1, 2] and found[0]["attrs"]["replay-name"] == "again"
    assert numbers(client.deliveries(live, 1)) == [2]


def test_to_reaches_the_named_listener_alone(client):
    named, other = client.listen("demo", name="cache"), client.listen("demo")
    publish(client, 1, first=1, to="subscriber:cache")
    publish(client, 1, first=2)
    assert numbers(client.deliveries(named, 2)) == [1, 2]
    assert numbers(client.deliveries(other, 1)) == [2]


def test_credit_holds_a_listener_back_and_it_catches_up(client):
    sub = client.listen("demo", messages=2)
    publish(client, 10)
    assert numbers(client.deliveries(sub, 2)) == [0, 1]
    client.nothing("DELIVER")
    client.credit(sub, messages=100, size=1 << 20)
    assert numbers(client.deliveries(sub, 8)) == list(range(2, 10))


def test_who_lags_too_far_gets_a_gap_and_goes_on(make_broker):
    client = make_broker(env={"MANGABUS_LAG_RECORDS": "50"}).start().client()
    sub = client.listen("demo", messages=1)
    publish(client, 200)
    assert numbers(client.deliveries(sub, 1)) == [0]
    client.credit(sub, messages=1000, size=1 << 20)
    gap = client.next("GAP")
    assert gap["sub"] == sub and gap["next"] > gap["from"]
    publish(client, 1, first=1000)
    found = client.deliveries(sub, 1)
    while numbers(found)[-1] != 1000:
        found += client.deliveries(sub, 1)
    assert found[0]["record"] >= gap["next"]


def test_a_listener_resumes_after_a_restart_where_it_was(broker):
    client = broker.client()
    sub = client.listen("demo")
    publish(client, 3)
    last = client.deliveries(sub, 3)[-1]["record"]
    publish(client, 3, first=3)
    broker.restart()
    client.reconnect()
    assert numbers(client.deliveries(client.listen("demo", **{"from": last + 1}), 3)) == [3, 4, 5]


def test_a_listener_that_does_not_read_holds_nobody_up(broker):
    deaf, speaker = broker.client(), broker.client()
    deaf.tell("SUBSCRIBE", 1000, sub=1, kind=BUS, target="demo", messages=4096, bytes=16 << 20, visibility_ms=-1)
    sub = speaker.listen("demo", messages=4096, size=16 << 20)
    for at in range(0, 2000, 100):
        publish(speaker, 100, first=at)
    assert numbers(speaker.deliveries(sub, 2000)) == list(range(2000))
