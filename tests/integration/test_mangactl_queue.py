"""mangactl's view of queues: looking, making, changing, emptying, removing, and moving dead letters."""
import json

import pytest
from lib.mangactl import at
from lib.paths import ROOT
from lib.wait import wait_until


@pytest.fixture
def ctl(make_broker):
    """mangactl at a broker with the shipped topology."""
    return at(make_broker(topology=json.loads((ROOT / "broker" / "topology.json").read_text())).start().endpoint)


def test_queues_are_listed_shown_and_peeked_at(ctl):
    ctl("queue", "peek", "manga-deferred-queue", code=1)
    body = {"jobType": "deferred_inference", "prompt": "later"}
    record = json.loads(ctl("send", "manga-deferred-queue", json.dumps(body), "--json").stdout)["record"]
    listed = {q["name"]: q for q in json.loads(ctl("queue", "ls", "--json").stdout)}
    assert listed["manga-deferred-queue"]["visible"] == 1
    assert "manga-deferred-queue" in ctl("queue", "ls", "manga-def").stdout
    assert [q["name"] for q in json.loads(ctl("queue", "ls", "--busy", "--json").stdout)] == ["manga-deferred-queue"]
    assert len(ctl("queue", "ls", "--busy").stdout.splitlines()) == 2
    info = json.loads(ctl("queue", "info", "manga-deferred-queue", "--json").stdout)
    assert info["visible"] == 1 and "VisibilityTimeout" in info["attributes"]
    peeked = json.loads(ctl("queue", "peek", "manga-deferred-queue", "--json").stdout)
    assert peeked["record"] == record
    assert "later" in ctl("queue", "peek", "manga-deferred-queue").stdout
    assert "nosuch" in ctl("queue", "info", "nosuch", code=1).stderr


def test_who_holds_a_group_back_and_until_when_is_shown(broker):
    ctl, consumer = at(broker.endpoint), broker.client(name="packer-abc123")
    consumer.make_queue("orders.fifo", FifoQueue="true", VisibilityTimeout="600")
    for number, group in enumerate(("customer-7", "customer-7", "customer-8")):
        consumer.send("orders.fifo", {"number": number}, group=group, dedup=f"k{number}")
    held = consumer.receive("orders.fifo")[0]
    holder = json.loads(ctl("queue", "info", "orders.fifo", "--json").stdout)["holders"][0]
    assert (holder["record"], holder["group"], holder["name"]) == (held["record"], "customer-7", "packer-abc123")
    lines = ctl("queue", "info", "orders.fifo").stdout.splitlines()
    assert "groups held back               1" in lines
    record, received, group, name, until, left = lines[-1].split()
    assert (int(record), received, group, name) == (held["record"], "1", "customer-7", "packer-abc123")
    assert until.endswith("Z") and 500 < int(left) <= 600
    peeked = ctl("queue", "peek", "orders.fifo").stdout
    assert "received 0 times sent 20" in peeked and "group customer-7" in peeked and "group customer-8" in peeked
    other = ctl("queue", "info", "work").stdout
    assert "\nin flight\n" not in other and "standard" in other


def test_a_queue_is_made_changed_emptied_and_removed(ctl):
    assert "no queue reports" in ctl("queue", "create", "reports", "VisibilityTimeout=60", "--dry-run").stdout
    made = json.loads(ctl("queue", "create", "reports", "VisibilityTimeout=60", "--json").stdout)
    assert made["attributes"]["VisibilityTimeout"] == 60
    assert "QueueNameExists" in ctl("queue", "create", "reports", "VisibilityTimeout=61", code=65).stderr
    told = ctl("queue", "set", "reports", "VisibilityTimeout=90", "--dry-run").stdout
    assert told == "VisibilityTimeout would be 90; it is 60\n"
    ctl("queue", "set", "reports", "VisibilityTimeout=90")
    assert json.loads(ctl("queue", "info", "reports", "--json").stdout)["attributes"]["VisibilityTimeout"] == 90
    ctl("send", "reports", '"one"')
    assert ctl("queue", "purge", "reports", "--dry-run").stdout == "1 messages would be gone\n"
    assert json.loads(ctl("queue", "purge", "reports", "--json").stdout) == {"messages": 1, "dry_run": False}
    assert "PurgeQueueInProgress" in ctl("queue", "purge", "reports", code=65).stderr
    assert ctl("queue", "rm", "reports", "--dry-run").stdout == "0 messages would be gone\n"
    ctl("queue", "rm", "reports")
    assert "QueueDeletedRecently" in ctl("queue", "create", "reports", code=65).stderr
    ctl("queue", "create", "x", "VisibilityTimeout", code=65)
    assert "OWNED_BY_TOPOLOGY" in ctl("queue", "rm", "manga-deferred-queue", code=65).stderr


def test_dead_letters_are_moved_by_a_task(ctl):
    ctl("queue", "create", "dead")
    ctl("queue", "create", "work", 'RedrivePolicy={"deadLetterTargetArn": "dead", "maxReceiveCount": 3}')
    ctl("queue", "create", "other")
    for n in range(3):
        ctl("send", "dead", f'"{n}"')
    assert ctl("queue", "move", "dead", "other", "--dry-run").stdout == "3 messages would move from dead to other\n"
    task = json.loads(ctl("queue", "move", "dead", "other", "--rate", "1", "--json").stdout)
    assert task["task"] in ctl("queue", "tasks", "dead").stdout
    would = json.loads(ctl("queue", "cancel", task["task"], "--dry-run", "--json").stdout)
    assert (would["task"], would["state"]) == (task["task"], "RUNNING")
    assert "would end after" in ctl("queue", "cancel", task["task"], "--dry-run").stdout
    assert json.loads(ctl("queue", "tasks", "dead", "--json").stdout)[0]["state"] == "RUNNING"
    ended = json.loads(ctl("queue", "cancel", task["task"], "--json").stdout)
    assert ended["state"] == "CANCELLED" and ended["moved"] < 3
    ctl("queue", "redrive", "dead")
    wait_until(lambda: json.loads(ctl("queue", "tasks", "dead", "--json").stdout)[0]["state"] == "FAILED", "the task's end")
    assert "CouldNotDetermineMessageSource" in ctl("queue", "tasks", "dead").stdout
    assert "dead-letter queue" in ctl("queue", "redrive", "work", code=65).stderr


def test_a_message_is_held_against_its_queues_schema(ctl):
    assert "jobType" in ctl("send", "manga-deferred-queue", '{"jobType": 1}', code=65).stderr
    ctl("send", "nosuch", "{}", code=1)
