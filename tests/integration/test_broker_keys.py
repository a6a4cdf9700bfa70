"""CURVE: who has a known key may do what the role of its name allows, and nobody else anything."""
import json
import re
import time

import pytest
import zmq
from lib.mangabus_client import BusError, Client, event
from lib.wait import http_get, wait_until

ROLES = {
    "writer": {"publish": ["demo"], "sources": ["test"], "send": ["pla*"], "call": ["echo"]},
    "reader": {"consume": ["work"], "subscribe": ["demo"], "serve": ["echo"], "observe": True},
    "boss": {"publish": ["*"], "sources": ["*"], "send": ["*"], "consume": ["*"], "subscribe": ["*"], "call": ["*"],
             "serve": ["*"], "permits": ["*"], "admin": True, "observe": True},
}


class Keys:
    """A folder of keys as the broker wants it, and the pairs of the clients."""

    def __init__(self, folder, *names):
        self.folder = folder
        (folder / "clients").mkdir(parents=True)
        self.server, secret = zmq.curve_keypair()
        (folder / "server.key").write_bytes(secret)
        self.pairs = {}
        for name in names:
            self.add(name)

    def add(self, name):
        self.pairs[name] = zmq.curve_keypair()
        (self.folder / "clients" / f"{name}.pub").write_bytes(self.pairs[name][0])

    def remove(self, name):
        (self.folder / "clients" / f"{name}.pub").unlink()

    def of(self, name):
        return (self.server, *self.pairs[name])


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "keys", "writer", "reader", "boss", "guest")


@pytest.fixture
def locked(make_broker, keys, tmp_path):
    (tmp_path / "roles.json").write_text(json.dumps(ROLES))
    return make_broker(endpoint="tcp://127.0.0.1:*", env={"MANGABUS_CURVE_DIR": keys.folder,
                                                          "MANGABUS_ROLES": tmp_path / "roles.json"}).start()


def denied(action, *arguments, **fields):
    with pytest.raises(BusError) as refused:
        action(*arguments, **fields)
    assert (refused.value.status, refused.value.name) == ("PERMISSION_DENIED", "AccessDeniedException")


def test_a_known_key_opens_a_session(locked, keys):
    locked.client(curve=keys.of("writer")).ping()


def test_a_client_without_a_key_is_not_answered(locked):
    with pytest.raises(TimeoutError):
        locked.client(timeout_s=1)


def test_an_unknown_key_is_not_answered_and_told_to_the_log(locked, keys):
    with pytest.raises(TimeoutError):
        locked.client(curve=(keys.server, *zmq.curve_keypair()), timeout_s=1)
    locked.process.wait_for_line("its key is not known")


def test_a_wrong_server_key_is_not_answered(locked, keys):
    with pytest.raises(TimeoutError):
        locked.client(curve=(zmq.curve_keypair()[0], *keys.pairs["writer"]), timeout_s=1)
    locked.client(curve=keys.of("writer")).ping()


def test_a_role_that_the_key_does_not_have_is_refused(locked, keys):
    with pytest.raises(BusError) as refused:
        locked.client(curve=keys.of("writer"), role="boss")
    assert refused.value.status == "PERMISSION_DENIED"


def test_a_role_allows_what_it_lists_and_nothing_else(locked, keys):
    writer, reader = locked.client(curve=keys.of("writer")), locked.client(curve=keys.of("reader"))
    writer.publish("demo", event("work"))
    writer.send("plain", 1)
    denied(writer.publish, "other", event("work"))
    denied(writer.publish, "demo", event("work", source="someone.else"))
    denied(writer.send, "work", 1)
    denied(writer.consume, "work")
    denied(writer.listen, "demo")
    denied(writer.serve, "echo")
    denied(writer.admin, "QUEUE", "list")
    reader.ack(*reader.deliveries(reader.consume("work"), 1))
    reader.serve("echo")
    assert reader.admin("QUEUE", "list")
    denied(reader.consume, "plain")
    denied(reader.publish, "demo", event("work"))
    denied(reader.admin, "QUEUE", "create", "mine")


def test_calls_are_held_to_the_role(locked, keys):
    writer, reader = locked.client(curve=keys.of("writer")), locked.client(curve=keys.of("reader"))
    reader.serve("echo")
    number = writer.call_begin("echo", 1)
    reader.reply(reader.next_call(), 2)
    assert writer.call_end(number)[0] == [2]
    denied(writer.call, "fm.invoke")


def test_a_key_without_a_role_may_only_say_hello(locked, keys):
    guest = locked.client(curve=keys.of("guest"))
    guest.ping()
    denied(guest.publish, "demo", event("work"))
    denied(guest.listen, "demo")
    denied(guest.admin, "BROKER", "status")


def test_one_client_cannot_settle_for_another(locked, keys):
    boss, reader = locked.client(curve=keys.of("boss")), locked.client(curve=keys.of("reader"))
    boss.send("plain", "secret")
    delivery = boss.deliveries(boss.consume("plain"), 1)[0]
    result = reader.settle([{"receipt": delivery["receipt"], "action": 1}])[0]
    assert result["status"]
    assert boss.queue_info("plain")["in_flight"] == 1


def test_a_key_that_is_added_may_come_in(locked, keys):
    keys.add("reader2")
    wait_until(lambda: "keys read again" in locked.process.log(), "the folder to be read again")
    locked.client(curve=keys.of("reader2")).ping()


def test_a_key_that_is_taken_out_is_refused_even_on_a_connection_that_stands(locked, keys):
    writer, boss = locked.client(curve=keys.of("writer")), locked.client(curve=keys.of("boss"))
    keys.remove("writer")
    wait_until(lambda: "keys read again" in locked.process.log(), "the folder to be read again")
    with pytest.raises(BusError) as refused:
        writer.publish("demo", event("work"))
    assert refused.value.status == "UNAUTHENTICATED"
    with pytest.raises(TimeoutError):
        locked.client(curve=keys.of("writer"), timeout_s=1)
    assert boss.queue_info("work")["visible"] == 0


def test_a_key_that_is_replaced_is_refused_even_on_a_connection_that_stands(locked, keys):
    writer, boss = locked.client(curve=keys.of("writer")), locked.client(curve=keys.of("boss"))
    keys.add("writer")  # another pair, written over the file of the first
    wait_until(lambda: "keys read again" in locked.process.log(), "the changed file to be read")
    with pytest.raises(BusError) as refused:
        writer.publish("demo", event("work"))
    assert refused.value.status == "UNAUTHENTICATED"
    locked.client(curve=keys.of("writer")).publish("demo", event("work"))
    assert boss.queue_info("work")["visible"] == 1


def test_strangers_do_not_fill_the_log(locked, keys):
    def refused():
        return float(re.search(r"^mangabus_broker_keys_refused_total (\S+)$", http_get(f"{locked.url}/metrics")[1],
                               re.MULTILINE)[1])

    def told():
        lines = [json.loads(line) for line in locked.process.log().splitlines()]
        return [line["count"] for line in lines if line["message"].startswith("a connection was refused")]

    public, secret = zmq.curve_keypair()
    began, context = time.monotonic(), zmq.Context()
    strangers = [context.socket(zmq.DEALER) for _ in range(60)]
    for stranger in strangers:
        stranger.curve_serverkey, stranger.curve_publickey, stranger.curve_secretkey = keys.server, public, secret
        stranger.linger = 0
        stranger.connect(locked.endpoint)
    wait_until(lambda: refused() >= 60, "the strangers to be refused")
    context.destroy()
    wait_until(lambda: sum(told()) == refused(), "all of them to be told")
    assert len(told()) <= time.monotonic() - began + 1


def test_a_local_endpoint_beside_needs_no_key(make_broker, keys):
    broker = make_broker(endpoint="tcp://127.0.0.1:*", env={"MANGABUS_CURVE_DIR": keys.folder})
    broker.env["MANGABUS_ENDPOINT_LOCAL"] = f"ipc://{broker.folder}/local"
    broker.start()
    with Client(broker.env["MANGABUS_ENDPOINT_LOCAL"]) as local:
        local.ping()
    with pytest.raises(TimeoutError):
        broker.client(timeout_s=1)


def test_secrets_do_not_reach_the_log(locked, keys):
    locked.client(curve=keys.of("writer")).ping()
    assert (keys.folder / "server.key").read_text() not in locked.process.log()
