"""Replays by the broker: out of archives and the log, in order, each event once, over crashes, beside live work."""
import json

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, accepted, event, unpack
from lib.wait import wait_until

SEGMENT = 8 << 20
SMALL = {"MANGABUS_SEGMENT": SEGMENT, "MANGABUS_JOURNAL_CHECKPOINT_BYTES": SEGMENT, "MANGABUS_JOURNAL_RETAIN_BYTES": 0}
ARCHIVES = [{"ArchiveName": "demo-all", "EventSourceArn": "demo"}]


@pytest.fixture
def archiving(make_broker):
    return make_broker(topology={**TOPOLOGY, "Archives": ARCHIVES}, env=SMALL).start()


def publish(client, count, detail_type="work", first=0):
    made = [event(detail_type, {"n": first + n}, source="test") for n in range(count)]
    for at in range(0, count, 200):
        for result in client.publish_many("demo", made[at:at + 200]):
            accepted(result)
    return [unpack(one)["id"] for one in made]


def archived(broker):
    return sum(json.loads(line)["archived"] for line in broker.process.log().splitlines()
               if '"message":"snapshot taken"' in line)


def leave_the_log(broker, client, count):
    """Fills the log until so many events went out of it into archives."""
    while archived(broker) < count:
        for result in client.publish_many("other", [event("filling", {"text": "x" * 100_000})] * 10):
            accepted(result)


def ended(client, name, state="COMPLETED"):
    wait_until(lambda: client.admin("REPLAY", "info", name)["state"] not in ("RUNNING", "PAUSED"), "its end", 60)
    told = client.admin("REPLAY", "info", name)
    assert told["state"] == state, told
    return told


def received(client, queue, count):
    """Event ids of so many messages of a queue, in order, which are acknowledged."""
    got = []
    sub = client.consume(queue, messages=1000, size=64 << 20)
    while len(got) < count:
        some = client.deliveries(sub, 1)
        client.ack(*some)
        client.credit(sub, messages=len(some), size=sum(len(one["body"]) for one in some))
        got += some
    return got


def test_archive_and_log_are_one_history_up_to_the_last_event(archiving):
    broker = archiving
    client = broker.client()
    ids = publish(client, 1000)
    leave_the_log(broker, client, 1000)
    ids += publish(client, 500, first=1000)
    client.admin("REPLAY", "start", "all", {"archive": "demo-all", "to": "queue:plain"})
    told = ended(client, "all")
    assert told["replayed"] == told["deliveries"] == 1500 and told["queues"] == {"plain": 1500}
    got = received(client, "plain", 1500)
    assert [unpack(one["body"])["id"] for one in got] == ids
    assert {one["attrs"]["replay-name"] for one in got} == {"all"}


def test_a_replay_goes_on_after_a_kill_and_brings_each_event_once(archiving):
    broker = archiving
    client = broker.client()
    ids = publish(client, 3000)
    leave_the_log(broker, client, 3000)
    client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "queue:plain", "rate": 1000})
    for least in (300, 1000, 1800):
        wait_until(lambda: broker.client().admin("REPLAY", "info", "r")["replayed"] >= least, "some of it", 60)
        broker.kill()
        broker.start()
    client = broker.client()
    assert ended(client, "r")["replayed"] == 3000
    assert [unpack(one["body"])["id"] for one in received(client, "plain", 3000)] == ids
    assert client.admin("QUEUE", "info", "plain")["visible"] == 0


def test_a_paused_replay_waits_and_a_cancelled_one_ends(archiving):
    client = archiving.client()
    publish(client, 200)
    client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "queue:plain", "rate": 20})
    wait_until(lambda: client.admin("REPLAY", "info", "r")["replayed"] >= 3, "some of it")
    at = client.admin("REPLAY", "pause", "r")["replayed"]
    archiving.restart()
    client = archiving.client()
    paused = client.admin("REPLAY", "info", "r")
    assert paused["state"] == "PAUSED" and paused["replayed"] == at
    client.admin("REPLAY", "resume", "r")
    wait_until(lambda: client.admin("REPLAY", "info", "r")["replayed"] > at, "more of it")
    cancelled = client.admin("REPLAY", "cancel", "r")
    assert cancelled["state"] == "CANCELLED"
    assert client.admin("QUEUE", "info", "plain")["visible"] == cancelled["replayed"] < 200
    with pytest.raises(BusError) as refused:
        client.admin("REPLAY", "resume", "r")
    assert refused.value.name == "IllegalStatusException"


def test_a_dry_run_counts_by_queue_and_changes_nothing(archiving):
    client = archiving.client()
    publish(client, 50)
    publish(client, 25, "order.new")
    before = client.admin("BROKER", "status")["head"]
    client.admin("REPLAY", "start", "dry", {"bus": "demo", "dry_run": True})
    told = ended(client, "dry")
    assert (told["replayed"], told["queues"]) == (75, {"work": 50})
    assert client.admin("BROKER", "status")["head"] == before


def test_rules_and_subscribers_see_a_replay_and_it_is_not_archived_again(archiving):
    broker = archiving
    client = broker.client()
    ids = publish(client, 100)
    seen = client.listen("demo", messages=10_000, size=64 << 20, name="eye")
    client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "subscriber:eye"})
    got = client.deliveries(seen, 100)
    assert [unpack(one["body"])["id"] for one in got] == ids
    assert client.admin("QUEUE", "info", "work")["visible"] == 100  # rules did not see it
    client.admin("REPLAY", "start", "rules", {"bus": "demo", "to": "rule:to-work"})
    assert ended(client, "rules")["queues"] == {"work": 100}
    leave_the_log(broker, client, 100)
    client.admin("REPLAY", "start", "again", {"archive": "demo-all", "to": "queue:plain"})
    assert ended(client, "again")["replayed"] == 100


def test_a_damaged_archive_ends_a_replay_with_file_and_offset(archiving):
    broker = archiving
    client = broker.client()
    publish(client, 300)
    leave_the_log(broker, client, 300)
    broker.process.stop()
    path = sorted((broker.folder / "journal/archive/demo-all").glob("*.archive"))[0]
    data = bytearray(path.read_bytes())
    data[10_000] ^= 1
    path.write_bytes(data)
    broker.start()
    client = broker.client()
    client.admin("REPLAY", "start", "r", {"archive": "demo-all", "to": "queue:plain"})
    told = ended(client, "r", "FAILED")
    assert path.name in told["why"] and "offset" in told["why"]
    client.publish("demo", event("work", {"n": 1}))


def test_without_an_archive_a_replay_reads_the_log(make_broker):
    broker = make_broker(env=SMALL).start()
    client = broker.client()
    ids = publish(client, 100)
    client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "queue:plain"})
    assert ended(client, "r")["replayed"] == 100
    assert [unpack(one["body"])["id"] for one in received(client, "plain", 100)] == ids


def test_what_left_the_log_of_a_bus_without_an_archive_ends_a_replay_by_name(make_broker):
    broker = make_broker(env=SMALL).start()
    client = broker.client()
    publish(client, 100)
    client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "queue:plain", "rate": 1})
    wait_until(lambda: client.admin("REPLAY", "info", "r")["replayed"] > 0, "its begin")
    client.admin("REPLAY", "pause", "r")
    while '"segments_released":0' in (broker.process.log().split('"snapshot taken"') + ["0"])[-1] or \
            '"snapshot taken"' not in broker.process.log():
        for result in client.publish_many("other", [event("filling", {"text": "x" * 100_000})] * 10):
            accepted(result)
    client.admin("REPLAY", "resume", "r")
    assert "have left the log" in ended(client, "r", "FAILED")["why"]


def test_what_cannot_be_is_refused_by_name(archiving):
    client = archiving.client()
    with pytest.raises(BusError) as refused:
        client.admin("REPLAY", "start", "r", {"bus": "demo", "to": "queue:nowhere"})
    assert refused.value.name == "QueueDoesNotExist"
    with pytest.raises(BusError) as refused:
        client.admin("REPLAY", "info", "nobody")
    assert refused.value.name == "ResourceNotFoundException"
    with pytest.raises(BusError) as refused:
        client.admin("REPLAY", "rewind", "nobody")
    assert refused.value.name == "InvalidAction"
