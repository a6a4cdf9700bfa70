"""Queues: credit, settling, visibility, dead letters, administration."""
import pytest
from lib.mangabus_client import ACK, BusError, event, pack, unpack
from lib.wait import http_get, wait_until


def values(deliveries):
    return [unpack(d["body"]) for d in deliveries]


def test_messages_come_in_order_and_are_forgotten_when_acknowledged(client):
    client.send_many("plain", [pack(n) for n in range(50)])
    found = client.deliveries(client.consume("plain"), 50)
    assert values(found) == list(range(50))
    client.ack(*found)
    info = client.queue_info("plain")
    assert (info["visible"], info["in_flight"], info["delayed"]) == (0, 0, 0)


def test_no_more_is_delivered_than_there_is_credit(client):
    client.send_many("plain", [pack(n) for n in range(10)])
    sub = client.consume("plain", messages=3)
    assert len(client.deliveries(sub, 3)) == 3
    client.nothing("DELIVER")
    client.credit(sub, messages=2, size=1 << 20)
    assert len(client.deliveries(sub, 2)) == 2
    assert client.queue_info("plain")["visible"] == 5


def test_credit_in_bytes_holds_back_but_one_message_may_overdraw(client):
    client.send_many("plain", [pack("a" * 1000) for _ in range(5)])
    sub = client.consume("plain", messages=100, size=100)
    assert len(client.deliveries(sub, 1)) == 1
    client.nothing("DELIVER")
    client.credit(sub, messages=0, size=2000)
    assert client.deliveries(sub, 1)


def test_consumers_of_one_queue_take_turns(broker):
    clients = [broker.client() for _ in range(3)]
    subs = [c.consume("plain") for c in clients]
    clients[0].send_many("plain", [pack(n) for n in range(30)])
    shares = [len(c.deliveries(s, 5)) for c, s in zip(clients, subs)]
    assert all(share >= 5 for share in shares)


def test_a_message_not_settled_in_time_comes_again(client):
    client.send("plain", "one")
    sub = client.consume("plain", visibility_ms=300)
    first = client.deliveries(sub, 1)[0]
    again = client.deliveries(sub, 1)[0]
    assert (first["receives"], again["receives"]) == (1, 2)
    assert again["first_receive_us"] == first["first_receive_us"] and again["receipt"] != first["receipt"]
    client.ack(again)


def test_an_old_receipt_settles_nothing(client):
    client.send("plain", "one")
    sub = client.consume("plain", visibility_ms=200)
    old = client.deliveries(sub, 1)[0]
    client.deliveries(sub, 1)
    result = client.settle([{"receipt": old["receipt"], "action": ACK}])[0]
    assert result["status"] == 0 and "received again" in result["message"]
    assert client.queue_info("plain")["in_flight"] == 1


@pytest.mark.parametrize("receipt", [b"", b"x", b"\0" * 28, b"\xff" * 28, b"\0" * 1000])
def test_a_forged_receipt_is_refused(client, receipt):
    client.send("plain", "one")
    client.deliveries(client.consume("plain"), 1)
    result = client.settle([{"receipt": receipt, "action": ACK}])[0]
    assert result["aws"] == "ReceiptHandleIsInvalid"


def test_an_unknown_action_is_refused(client):
    client.send("plain", "one")
    delivery = client.deliveries(client.consume("plain"), 1)[0]
    assert client.settle([{"receipt": delivery["receipt"], "action": 9}])[0]["status"] == 3
    client.ack(delivery)


def test_acknowledging_again_is_harmless(client):
    client.send_many("plain", [pack("one"), pack("two")])
    delivery = client.deliveries(client.consume("plain"), 2)[0]
    client.ack(delivery)
    client.settle([{"receipt": delivery["receipt"], "action": ACK}])
    info = client.queue_info("plain")
    assert (info["visible"], info["in_flight"]) == (0, 1)


def test_a_released_message_comes_after_its_delay(client):
    client.send("plain", "one")
    sub = client.consume("plain")
    client.release(client.deliveries(sub, 1)[0], delay_ms=200, reason="not now")
    client.credit(sub, messages=1, size=1000)
    assert client.deliveries(sub, 1)[0]["receives"] == 2


def test_extending_keeps_a_message(client):
    client.send("plain", "one")
    sub = client.consume("plain", visibility_ms=400)
    delivery = client.deliveries(sub, 1)[0]
    client.extend(delivery, 30_000)
    client.nothing("DELIVER", within_s=0.8)
    client.ack(delivery)


def test_a_message_received_too_often_is_dead_lettered_with_the_reason(client):
    client.publish("demo", event("work", {"n": 1}), attrs={"traceparent": "00-1-2-03"})
    sub = client.consume("work", visibility_ms=100)
    assert [client.deliveries(sub, 1)[0]["receives"] for _ in range(3)] == [1, 2, 3]
    dead = client.deliveries(client.consume("work-dlq"), 1)[0]
    assert unpack(dead["body"])["detail"] == {"n": 1}
    assert dead["attrs"]["DeadLetterReason"] == "max-receives"
    assert dead["attrs"]["traceparent"] == "00-1-2-03"
    assert client.queue_info("work")["visible"] == 0


def test_a_rejected_message_is_dead_lettered_at_once_with_the_words(client):
    client.publish("demo", event("work"))
    client.reject(client.deliveries(client.consume("work"), 1)[0], "it has no price")
    dead = client.deliveries(client.consume("work-dlq"), 1)[0]
    assert dead["attrs"]["DeadLetterReason"] == "rejected"
    assert dead["attrs"]["DeadLetterDetail"] == "it has no price"
    assert dead["attrs"]["DeadLetterSource"] == "work"


def test_dead_letters_survive_a_restart(broker):
    client = broker.client()
    client.publish("demo", event("work", {"n": 9}))
    client.reject(client.deliveries(client.consume("work"), 1)[0], "no")
    broker.restart()
    client.reconnect()
    dead = client.deliveries(client.consume("work-dlq"), 1)[0]
    assert unpack(dead["body"])["detail"] == {"n": 9} and dead["attrs"]["DeadLetterReason"] == "rejected"


def test_unsubscribe_ends_deliveries_and_leaves_what_is_in_flight(client):
    client.send_many("plain", [pack(n) for n in range(4)])
    sub = client.consume("plain", messages=2)
    held = client.deliveries(sub, 2)
    client.ask("UNSUBSCRIBE", sub=sub)
    client.nothing("DELIVER")
    client.ack(*held)
    assert client.queue_info("plain")["visible"] == 2


def test_a_slow_consumer_slows_only_itself(broker):
    """One that never reads its socket, with much credit; another works on."""
    slow, quick, sender = broker.client(), broker.client(), broker.client()
    slow.tell("SUBSCRIBE", 900, sub=1, kind=1, target="plain", messages=4096, bytes=16 << 20, visibility_ms=-1)
    sub = quick.consume("work", messages=4096, size=16 << 20)
    for n in range(20):
        sender.send_many("plain", [pack("a" * 4000) for _ in range(100)])
        sender.publish_many("demo", [event("work", {"n": n, "x": "b" * 4000}) for _ in range(50)])
        found = quick.deliveries(sub, 50)
        quick.ack(*found)
        quick.credit(sub, messages=len(found), size=len(found) * 5000)
    assert sender.queue_info("work")["visible"] == 0


def test_a_subscription_to_nothing_is_refused(client):
    with pytest.raises(BusError) as refused:
        client.consume("nowhere")
    assert refused.value.name == "QueueDoesNotExist"


def test_a_second_subscription_under_one_number_is_refused(client):
    client.consume("plain")
    with pytest.raises(BusError):
        client.ask("SUBSCRIBE", sub=1, kind=1, target="plain", messages=1, bytes=1)


def test_credit_for_no_subscription_does_no_harm(client):
    client.credit(99, messages=1, size=1)
    client.ping()


def test_peek_shows_messages_and_takes_none(client):
    client.send_many("plain", [pack(n) for n in range(3)])
    seen = client.admin("QUEUE", "peek", "plain", {"max": 2})
    assert [m["body"] for m in seen] == [0, 1]
    assert client.queue_info("plain")["visible"] == 3


def test_queues_can_be_made_listed_changed_purged_and_deleted(client):
    client.make_queue("extra", VisibilityTimeout=5)
    assert "extra" in [q["name"] for q in client.admin("QUEUE", "list")]
    client.send("extra", 1)
    client.admin("QUEUE", "set", "extra", {"VisibilityTimeout": "7"})
    assert str(client.queue_info("extra")["attributes"]["VisibilityTimeout"]) == "7"
    client.admin("QUEUE", "purge", "extra")
    assert client.queue_info("extra")["visible"] == 0
    client.admin("QUEUE", "delete", "extra")
    with pytest.raises(BusError) as refused:
        client.queue_info("extra")
    assert refused.value.name == "QueueDoesNotExist"


def test_a_queue_made_at_run_time_survives_a_restart_with_its_messages(broker):
    client = broker.client()
    client.make_queue("extra", VisibilityTimeout=5)
    client.send("extra", "kept")
    broker.restart()
    client.reconnect()
    assert values(client.deliveries(client.consume("extra"), 1)) == ["kept"]


def test_an_unknown_operation_is_refused(client):
    with pytest.raises(BusError) as refused:
        client.admin("QUEUE", "frobnicate")
    assert (refused.value.name, refused.value.status) == ("InvalidAction", "INVALID_ARGUMENT")


def test_visibility_runs_on_across_a_restart(broker):
    client = broker.client()
    client.send("plain", "one")
    client.deliveries(client.consume("plain", visibility_ms=6000), 1)  # longer than any restart takes
    client.send("work", "two")  # acknowledged, so the record of the delivery before it is on disk too
    broker.restart()
    client.reconnect()
    assert client.queue_info("plain")["in_flight"] == 1
    sub = client.consume("plain")
    assert client.deliveries(sub, 1)[0]["receives"] == 2


def test_metrics_show_each_queue(broker, client):
    client.send_many("plain", [pack(n) for n in range(3)])
    wait_until(lambda: 'mangabus_broker_queue_messages{queue="plain",state="visible"} 3' in
               http_get(f"{broker.url}/metrics")[1], "the gauge of the queue")
