"""docs/operations.md: each night's trouble is made, and its commands are run as they stand on the page."""
import json
import re
import subprocess
import sys
import time

import pytest
from lib import mangactl
from lib.mangabus_broker import Broker
from lib.mangabus_client import BusError, event, unpack
from lib.paths import ROOT, patience
from lib.small_disk import SmallDisk, unmountable
from lib.wait import wait_until

PAGE = (ROOT / "docs/operations.md").read_text()
SHIPPED = json.loads((ROOT / "broker/topology.json").read_text())
AI = "MangaAssist-AI-Events"
DEFERRED = "manga-deferred-queue"
QUARTER_MIB = 1 << 18


class Night:
    """The blocks of one chapter, to be run one after the other in one folder."""

    def __init__(self, title, folder, broker):
        chapter = re.search(rf"^## \d\. {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S).group(1)
        self.blocks = re.findall(r"^```sh\n(.*?)^```", chapter, re.M | re.S)
        self.folder, self.broker = folder, broker

    def run_block(self, code=0, **variables):
        """The next block's output."""
        block = self.blocks.pop(0)
        env = mangactl.environment(MANGABUS_ENDPOINT=self.broker.endpoint, MANGABUS_STATE=str(self.broker.folder),
                                   **{name: str(value) for name, value in variables.items()})
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=env, text=True,
                              capture_output=True, timeout=patience(60), check=False)
        assert done.returncode == code, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def over(self):
        assert not self.blocks, f"not run: {self.blocks}"


@pytest.fixture
def night(tmp_path, make_broker):
    """night(title, broker=…) begins one."""

    def begin(title, broker=None):
        return Night(title, tmp_path, broker or make_broker(topology=SHIPPED).start())

    return begin


def announced(kind):
    return event(f"CatalogUpdate.{kind}", {"product_id": "p-1", "update_type": kind, "timestamp": "2026-01-30T02:00:00Z"},
                 source="mangaassist.catalog")


def drained(client, queue):
    """The details of all that waits there."""
    count = client.queue_info(queue)["visible"]
    deliveries = client.receive_all(queue, count) if count else []
    client.ack(*deliveries)
    return [unpack(delivery["body"]) for delivery in deliveries]


def test_an_event_that_went_missing(night):
    work = night("An event that went missing")
    client, queue = work.broker.client(), "MangaAssist-CatalogUpdate-embedding"
    client.publish(AI, announced("new_release"))
    record = client.publish(AI, announced("reissue"))["record"]
    assert [found["detail"]["update_type"] for found in drained(client, queue)] == ["new_release"]

    shown = work.run_block().splitlines()
    assert [line.split()[1] for line in shown if "CatalogUpdate.reissue" in line] == [str(record)]
    why = [line for line in work.run_block(RECORD=record).splitlines() if line.startswith("MangaAssist-CatalogUpdate ")]
    assert len(why) == 1 and "no match" in why[0] and 'found ["CatalogUpdate.reissue"]' in why[0]
    assert re.search(r"ENABLED +match", work.run_block(RECORD=record))
    assert "rule MangaAssist-CatalogUpdate changed" in work.run_block()
    assert [found["detail"]["update_type"] for found in drained(client, queue)] == ["reissue"]
    client.publish(AI, announced("reissue"))
    assert len(drained(client, queue)) == 1
    work.over()


def fail(client, queue, reason):
    """One receive that ends badly."""
    client.release(client.receive(queue)[0], 0, reason)


def test_a_poison_message(night):
    work = night("A poison message")
    client, queue, dead = work.broker.client(), "manga-fm-normal", "manga-fm-dlq"
    client.send(queue, {"jobType": "summary", "prompt": "no session"})
    for _ in range(3):
        fail(client, queue, "the worker died of it")
    assert not client.receive(queue)
    client.send(queue, {"jobType": "summary", "prompt": "no such model"})
    client.reject(client.receive(queue)[0], "ValidationException: no such model")

    peeked = work.run_block()
    assert peeked.count('"DeadLetterSource":"manga-fm-normal"') == 2
    assert '"DeadLetterReason":"max-receives"' in peeked and "no such model" in peeked
    sorted_out = work.run_block(code=1)  # one would stay
    assert re.search(r"permanent +1", sorted_out) and re.search(r"unknown +1", sorted_out)
    moved = work.run_block()
    assert "2 messages would move" in moved
    wait_until(lambda: client.queue_info(queue)["visible"] == 2, "both messages in their queue")
    assert "COMPLETED" in mangactl.at(work.broker.endpoint)("queue", "tasks", dead).stdout
    mended, poison = client.receive_all(queue, 2)
    client.ack(mended)
    client.reject(poison, "ValidationException: no such model")
    assert re.search(rf"{dead} +0 +0", work.run_block())
    kept = json.loads((work.folder / "poison.jsonl").read_text())
    assert kept["body"]["prompt"] == "no such model"
    work.over()


HANGING = """
import sys, time
from lib.mangabus_client import Client
client = Client(sys.argv[1], "fm-invoker-abc123")
[message] = client.receive(sys.argv[2])
print("hangs", flush=True)
while True:  # as the client library does while a handler runs
    client.extend(message, 300000)
    time.sleep(0.5)
"""


def test_a_stuck_fifo_group(night, start, make_broker):
    work = night("A stuck FIFO group", make_broker(topology=SHIPPED, env={"MANGABUS_GRACE": "2s"}).start())
    client, queue = work.broker.client(), "manga-enrichment-queue.fifo"
    records = [client.send(queue, {"number": number}, group=group, dedup=f"k{number}")["record"]
               for number, group in enumerate(("work-7", "work-7", "work-8"))]
    holder = start(sys.executable, "-c", HANGING, work.broker.endpoint, queue, env={"PYTHONPATH": ROOT / "tests"})
    holder.wait_for_line("hangs")

    shown = work.run_block()
    assert re.search(r"^groups held back +1$", shown, re.M)
    assert re.search(rf"^ *{records[0]} +1  work-7  fm-invoker-abc123 ", shown, re.M)
    work.run_block(HOLDER_PID=holder.pid)
    assert holder.wait() < 0
    wait_until(lambda: client.queue_info(queue)["in_flight"] == 0, "the message given back")
    assert re.search(r"^groups held back +0$", work.run_block(), re.M)
    given = [delivery["record"] for delivery in client.receive_all(queue, 3)]
    assert sorted(given) == records and given.index(records[0]) < given.index(records[1])
    work.over()


def inference(number):
    return event("InferenceCompleted", {"request_id": f"r-{number}", "status": "success", "model_id": "anthropic.claude-3",
                                        "cost_usd": 0.01 * number}, source="mangaassist.ai")


def test_a_bad_deploy_replayed_against_the_fix(night):
    work = night("A bad deploy, replayed against the fix")
    client, queue = work.broker.client(), "MangaAssist-CallLedger"

    def now():
        time.sleep(0.01)  # so that a bound lies between two events
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at := time.time())) + f"{at % 1:.6f}Z"[1:]

    client.publish(AI, inference(0))
    begin = now()
    for number in range(1, 6):
        client.publish(AI, inference(number))
    client.publish(AI, announced("discontinued"))
    end = now()
    client.publish(AI, inference(6))
    assert len(drained(client, queue)) == 7  # booked at no cost
    other = client.queue_info("MangaAssist-CatalogUpdate-embedding")["visible"]

    assert re.search(r"\b5 events", work.run_block(BEGIN=begin, END=end))
    assert re.search(r"^visible +5$", work.run_block(BEGIN=begin, END=end), re.M)
    again = client.receive_all(queue, 5)
    assert [unpack(delivery["body"])["detail"]["request_id"] for delivery in again] == [f"r-{n}" for n in range(1, 6)]
    assert {delivery["attrs"]["replay-name"] for delivery in again} == {"ledger-fix-1"}
    assert client.queue_info("MangaAssist-CatalogUpdate-embedding")["visible"] == other
    work.over()


@pytest.fixture
def small_disk_broker(start, state_dir):
    reason = unmountable()
    if reason:
        pytest.skip(reason)
    journal = state_dir / "journal"
    journal.mkdir(mode=0o700)
    broker = Broker(SmallDisk(start, journal, "40m"), state_dir, topology=SHIPPED, env={"MANGABUS_SEGMENT": "8MiB"})
    yield broker.start()
    broker.close()


def test_a_full_disk(night, small_disk_broker):
    work = night("A full disk", small_disk_broker)
    client = work.broker.client()
    with pytest.raises(BusError, match="DISK_FULL"):
        for _ in range(400):
            client.send(DEFERRED, {"jobType": "deferred_inference", "prompt": "x" * QUARTER_MIB})

    shown = work.run_block(code=1)
    assert re.search(r"FAIL +broker disk +full", shown) and re.search(rf"^{DEFERRED} +[1-9]", shown, re.M)
    count = client.queue_info(DEFERRED)["visible"]
    assert f"{count} messages would be gone" in work.run_block()
    wait_until(lambda: sends(client), "room after a checkpoint", 60)
    work.run_block()
    assert client.queue_info(DEFERRED)["visible"] == 2
    work.over()


def sends(client):
    try:
        return client.send(DEFERRED, {"jobType": "deferred_inference", "prompt": "again?"})
    except BusError as refusal:
        assert refusal.name == "DISK_FULL"
        return None
