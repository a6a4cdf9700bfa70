"""Sessions: HELLO, resume, grace, heartbeats, BYE; and what happens to those who do not keep to the protocol."""
import time

import msgpack
import pytest
from lib.mangabus_client import NUMBERS, VERBS, BusError, Client, encode, event, pack, unpack


def test_welcome_tells_windows_and_times(client):
    welcome = client.welcome
    assert welcome["protocol"] == 1
    assert welcome["broker"].startswith("mangabus-broker-")
    assert len(welcome["resume"]) == 16 and not welcome["resumed"]
    assert welcome["heartbeat_ms"] == 2000 and welcome["grace_ms"] == 30000
    assert welcome["max_frame_bytes"] == 8 << 20
    assert abs(welcome["time_us"] / 1e6 - time.time()) < 60
    for window in ("publish_window", "publish_window_bytes", "delivery_window", "delivery_window_bytes", "call_window",
                   "reply_window_bytes"):
        assert welcome[window] > 0, window


def test_a_frame_without_a_session_is_refused_and_does_nothing(broker):
    stranger = broker.client(hello=False)
    with pytest.raises(BusError) as refused:
        stranger.publish("demo", event("work"))
    assert refused.value.name == "NO_SESSION" and refused.value.status == "UNAUTHENTICATED"
    stranger.hello()
    assert stranger.queue_info("work")["visible"] == 0


def test_every_verb_without_a_session_is_answered_or_ignored(broker):
    stranger = broker.client(hello=False)
    for verb in VERBS:
        if verb not in ("HELLO", "PONG"):
            stranger.tell(verb, 5)
    for _ in range(3):
        assert stranger.next("ERROR")["name"] in ("NO_SESSION", "UNKNOWN_VERB", "MALFORMED_FRAME")
    stranger.kept.clear()
    stranger.hello()


def test_hello_with_another_protocol_version_is_refused(broker):
    stranger = broker.client(hello=False)
    with pytest.raises(BusError) as refused:
        stranger.ask("HELLO", protocol=99, name="test-aaaaaa")
    assert refused.value.name == "PROTOCOL_VERSION"


def test_two_live_sessions_cannot_have_one_name(broker):
    broker.client("test-abcdef")
    with pytest.raises(BusError) as refused:
        broker.client("test-abcdef")
    assert refused.value.status == "ALREADY_EXISTS"


def test_ping_is_answered(client):
    assert client.ping(4711)["number"] == 4711


def test_who_is_silent_for_three_heartbeats_loses_the_connection_but_not_the_session(make_broker):
    broker = make_broker(env={"MANGABUS_HEARTBEAT": "100ms"}).start()
    client = broker.client()
    broker.process.wait_for_line("is lost: silent")
    with pytest.raises(BusError) as refused:
        client.ping()
    assert refused.value.name == "NO_SESSION"
    assert client.reconnect()["resumed"]


def test_pings_keep_a_session_alive(make_broker):
    broker = make_broker(env={"MANGABUS_HEARTBEAT": "100ms"}).start()
    client = broker.client()
    client.nothing("ERROR", within_s=1)
    assert "is lost" not in broker.process.log()


# -- bad frames --
BAD_FRAMES = {
    "empty": b"",
    "no msgpack": b"\xc1\xc1\xc1",
    "no array": b"\x81\x01\x02",
    "an empty array": b"\x90",
    "no seq": b"\x91\x01",
    "a verb that is text": msgpack.packb(["PING", 1, 2]),
    "a negative verb": msgpack.packb([-1, 1, 2]),
    "a huge array": b"\xdd\xff\xff\xff\xff\x01\x01",
    "a string that claims too much": b"\x93\x01\x01\xdb\xff\xff\xff\xff",
    "a wrong type": msgpack.packb([NUMBERS["PING"], 1, "seven"]),
    "a negative unsigned": msgpack.packb([NUMBERS["PING"], 1, -7]),
    "a map that is text": msgpack.packb([NUMBERS["QUEUE"], 1, "list", "", "args", 0]),
    "text that is not UTF-8": b"\x94\x21\x01\xa2\xff\xfe\x00",
    "text with a NUL": msgpack.packb([NUMBERS["HELLO"], 1, 1, "test-\0"]),
    "a body longer than the frame": msgpack.packb([NUMBERS["QUEUE"], 1, "list", "", None, 1000]),
    "bytes behind the last body": encode("PING", 1, number=7) + b"x",
    "a list with too many entries": msgpack.packb([NUMBERS["SETTLE"], 1, [[b"", 1, 0, ""]] * 257]),
    "an entry that is no list": msgpack.packb([NUMBERS["SETTLE"], 1, [7]]),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_a_malformed_frame_is_refused_by_name_and_ends_nothing(client, what):
    client.write(BAD_FRAMES[what])
    assert client.next("ERROR")["name"] in ("MALFORMED_FRAME", "UNKNOWN_VERB")
    client.ping()


def test_an_unknown_verb_is_refused_with_its_seq(client):
    client.write(msgpack.packb([999, 77]))
    refusal = client.next("ERROR")
    assert refusal.seq == 77 and refusal["name"] == "UNKNOWN_VERB"


@pytest.mark.parametrize("verb", ["WELCOME", "PUBLISHED", "DELIVER", "RESULT", "ERROR", "GAP"])
def test_a_verb_that_only_the_broker_sends_is_refused(client, verb):
    client.tell(verb, 78)
    refusal = client.next("ERROR")
    assert refusal.seq == 78 and refusal["status"] == 3
    client.ping()


def test_a_message_of_several_frames_is_refused(client):
    client.socket.send_multipart([encode("PING", 3, number=1), b"more", b"and more"])
    assert client.next("ERROR")["name"] == "MALFORMED_FRAME"
    client.ping()


def test_deep_nesting_is_refused(client):
    client.write(bytes([0x96, NUMBERS["QUEUE"], 1]) + pack("list") + pack("") + b"\x81\xa1a" + b"\x91" * 100000)
    assert client.next("ERROR")["name"] == "MALFORMED_FRAME"
    client.ping()


def test_an_oversized_frame_costs_its_sender_the_connection_and_nobody_else_anything(make_broker):
    broker = make_broker(env={"MANGABUS_MAX_FRAME": "2MiB"}).start()
    sender, other = broker.client(), broker.client()
    sender.write(encode("QUEUE", 9, op="list", body=pack(b"x" * (3 << 20))))
    other.ping()
    with pytest.raises((BusError, TimeoutError)):  # libzmq reconnects by itself: the broker knows it no more
        sender.ask("PING", number=1, timeout_s=3)
    sender.reconnect()
    sender.ping()
    other.ping()


def test_a_fuzz_of_bytes_leaves_the_broker_standing(client):
    good = encode("PUBLISH", 5, bus="demo", entries=[{"body": event("work"), "attrs": {"a": 1}}])
    for at in range(len(good)):
        client.write(good[:at])
        client.write(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1:])
    client.write(encode("PING", 0xFFFF, number=1))
    client.take(lambda f: f.verb == "PONG", "the PONG behind all refusals", 20)


# -- resume, BYE, grace --
def test_a_session_resumes_and_its_receipts_stay_valid(broker):
    consumer = broker.client()
    consumer.send("plain", "one")
    sub = consumer.consume("plain")
    delivery = consumer.deliveries(sub, 1)[0]
    before = consumer.welcome
    after = consumer.reconnect()
    assert after["resumed"] and after["session"] == before["session"]
    consumer.ack(delivery)
    assert consumer.queue_info("plain")["in_flight"] == 0


def test_a_resume_token_of_nobody_gives_a_new_session(broker):
    stranger = broker.client(hello=False)
    assert not stranger.hello(resume=b"0123456789abcdef")["resumed"]


def test_bye_returns_what_was_in_flight_at_once(broker):
    first, second = broker.client(), broker.client()
    first.send("plain", "one")
    first.deliveries(first.consume("plain"), 1)
    sub = second.consume("plain")
    first.close()
    delivery = second.deliveries(sub, 1)[0]
    assert delivery["receives"] == 2 and unpack(delivery["body"]) == "one"


def test_a_client_that_vanishes_gives_back_its_messages_after_the_grace(make_broker):
    broker = make_broker(env={"MANGABUS_GRACE": "500ms", "MANGABUS_HEARTBEAT": "100ms"}).start()
    first, second = broker.client(), broker.client()
    first.send("plain", "one")
    first.deliveries(first.consume("plain"), 1)
    sub = second.consume("plain")
    first.vanish()
    assert second.deliveries(sub, 1)[0]["receives"] == 2


def test_a_session_resumes_across_a_restart_of_the_broker(broker):
    consumer = broker.client()
    consumer.send("plain", "one")
    delivery = consumer.deliveries(consumer.consume("plain"), 1)[0]
    before = consumer.welcome["broker"]
    broker.restart()
    welcome = consumer.reconnect()
    assert welcome["resumed"] and welcome["broker"] != before
    consumer.ack(delivery)
    info = consumer.queue_info("plain")
    assert info["visible"] == 0 and info["in_flight"] == 0


def test_after_bye_the_connection_has_no_session(client):
    client.tell("BYE", reason="test")
    with pytest.raises(BusError) as refused:
        client.ping()
    assert refused.value.name == "NO_SESSION"
    client.welcome = None


def test_a_hundred_clients_come_and_go(broker):
    for _ in range(100):
        Client(broker.endpoint).close()
    survivor = broker.client()
    survivor.ping()
