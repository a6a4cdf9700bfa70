"""The real broker on a disk that fails or is full: it stops at the first failure and says so, or refuses new messages and
still settles; and nothing that was acknowledged is lost."""
import os
import resource
import shutil
import subprocess

import pytest
from lib.mangabus_broker import Broker
from lib.mangabus_client import BusError, event, pack, unpack
from lib.paths import ROOT, is_sanitized, patience
from lib.small_disk import SmallDisk, unmountable
from lib.wait import wait_until

MIB = 1 << 20


# -- a disk that fails ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The library that makes one call fail."""
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library,
                    ROOT / "tests/crash/failing_disk.c", "-ldl"], check=True, timeout=patience(60))
    return library


def failing(shim, call, at, when=None):
    # A sanitizer wants to be the first library; it bears being the second.
    return {"LD_PRELOAD": shim, "FAIL_CALL": call, "FAIL_AT": at, "FAIL_WHEN": when,
            **({"ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")} if is_sanitized()
               else {})}


HEALTHY = {"LD_PRELOAD": None, "FAIL_CALL": None, "FAIL_AT": None, "FAIL_WHEN": None}


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
def test_the_first_failure_of_the_disk_is_the_brokers_end_and_a_restart_has_all(start, state_dir, shim, call):
    trigger = state_dir / "now"
    broker = Broker(start, state_dir, env=failing(shim, call, 2, trigger)).start()
    client = broker.client("producer-000001", producer="producer-000001", epoch=1, timeout_s=3)
    acknowledged = [client.publish("demo", event("work", {"n": n}))["record"] for n in range(10)]
    trigger.touch()
    for n in range(10, 200):
        try:
            acknowledged.append(client.publish("demo", event("work", {"n": n}), timeout_s=3)["record"])
        except (TimeoutError, BusError):
            break
    assert broker.process.wait() == 74
    log = broker.process.log()
    assert "Input/output error" in log and '"level":"error"' in log
    assert len(acknowledged) < 200, "nothing failed"
    broker.start(**HEALTHY)
    assert "cut_bytes" in broker.process.log()
    left = broker.client().receive_all("work", len(acknowledged))
    numbers = [unpack(delivery["body"])["detail"]["n"] for delivery in left]
    assert numbers[:len(acknowledged)] == list(range(len(acknowledged)))
    assert len(numbers) <= len(acknowledged) + 1  # one may have reached the disk unanswered
    broker.close()


def test_a_failure_at_any_call_of_the_start_ends_it_and_costs_nothing(start, state_dir, shim):
    broker = Broker(start, state_dir, env={"MANGABUS_SEGMENT": "8MiB"}).start()
    client = broker.client()
    records = [client.publish("demo", event("work", {"n": n}))["record"] for n in range(5)]
    endings = set()
    for call in ("fdatasync", "fsync", "pwrite"):
        for at in range(0, 40, 1 if call == "fsync" else 4):
            broker.kill()
            broker.env.update(failing(shim, call, at))
            broker.process = start("mangabus-broker", env=broker.env)
            broker.process.wait_for(
                lambda: '"message":"ready"' in broker.process.log() or not broker.process.running() or None, "an end")
            if not broker.process.running():
                endings.add(broker.process.popen.returncode)
                assert "Input/output error" in broker.process.log()
    assert endings == {74}
    broker.kill()
    broker.start(**HEALTHY)
    left = broker.client().receive_all("work", len(records))
    assert [unpack(delivery["body"])["detail"]["n"] for delivery in left] == list(range(5))
    broker.close()


# -- too many open files ----------------------------------------------------------------------------------------
def test_while_others_have_all_descriptors_the_journal_waits_for_one(start, state_dir):
    """Strangers may open connections until the process may open nothing more; what they do is no failure of the disk."""
    broker = Broker(start, state_dir, env={"MANGABUS_SEGMENT": "8MiB"}).start()
    client = broker.client()
    pid = broker.process.pid
    body = pack(b"x" * 900_000)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    seqs = [next(client.seqs) for _ in range(12)]  # more than a segment holds
    for seq in seqs:
        client.tell("SEND", seq, queue="plain", entries=[{"delay_ms": -1, "body": body}], producer_seq=0)
    with pytest.raises(TimeoutError):
        client.answer(seqs[-1], timeout_s=2)
    assert broker.process.running(), broker.process.log()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for seq in seqs:
        assert client.answer(seq, timeout_s=30)["results"][0]["aws"] == ""
    broker.restart()
    assert broker.client().queue_info("plain")["visible"] == len(seqs)
    broker.close()


# -- a disk that is full -----------------------------------------------------------------------------------------
@pytest.fixture
def full(start, state_dir):
    """A broker on a small disk."""
    reason = unmountable()
    if reason:
        pytest.skip(reason)
    journal = state_dir / "journal"
    journal.mkdir(mode=0o700)
    disk = SmallDisk(start, journal, "40m")
    broker = Broker(disk, state_dir, env={"MANGABUS_SEGMENT": "8MiB"}).start()
    broker.disk = disk
    yield broker
    broker.close()


def send_until_full(client, sent, limit=200, size=MIB // 4):
    """Messages of 256 KiB, or of `size`, numbered on; returns the refusal."""
    for _ in range(limit):
        number = len(sent)
        try:
            client.send("plain", {"n": number, "text": "x" * size})
        except BusError as refusal:
            return refusal
        sent.append(number)
    raise AssertionError("the disk does not get full")


def numbers_of(deliveries):
    return [unpack(delivery["body"])["n"] for delivery in deliveries]


def test_a_full_disk_refuses_messages_takes_settlements_and_goes_on_by_itself(full):
    client = full.client()
    sent = []
    refusal = send_until_full(client, sent)
    assert (refusal.status, refusal.name) == ("RESOURCE_EXHAUSTED", "DISK_FULL")
    with pytest.raises(BusError, match="DISK_FULL"):
        client.publish("demo", event("work", {"text": "x" * (MIB // 4)}))
    with pytest.raises(BusError, match="DISK_FULL"):
        client.send("plain", {"n": -1, "text": "x" * (MIB // 4)})
    free = full.disk.run("df", "--output=avail", "-B1", full.disk.folder).split()[-1]
    assert int(free) < 10 * MIB, "it is not full at all"

    # What ends something still works, and is kept.
    taken = client.receive_all("plain", 10)
    assert numbers_of(taken) == sent[:10]
    client.ack(*taken[:8])
    client.release(taken[8])
    client.reject(taken[9], "no")
    full.restart()  # also a restart needs no room
    again = full.client()
    with pytest.raises(BusError, match="DISK_FULL"):
        again.send("plain", {"n": -1, "text": "x" * (MIB // 4)})

    full.disk.grow("200m")
    wait_until(lambda: sends(again, sent), "a message to be taken again")
    send_more = [again.send("plain", {"n": n})["record"] for n in range(1000, 1010)]
    assert send_more == sorted(send_more)
    left = numbers_of(again.receive_all("plain", len(sent) - 9 + 10))
    assert sorted(left) == sorted(sent[8:9] + sent[10:] + list(range(1000, 1010)))


def test_a_move_task_waits_while_the_disk_is_full_and_goes_on_by_itself(full):
    client = full.client()
    count = 200
    client.send_many("work", [pack(n) for n in range(count)])
    for _ in range(count // 10):
        for delivery in client.receive("work", 10):
            client.reject(delivery, "no")
    assert client.queue_info("work-dlq")["visible"] == count
    sent = []
    send_until_full(client, sent)
    send_until_full(client, sent, size=MIB // 64)
    client.admin("QUEUE", "redrive", "work-dlq", {"to": "orders", "rate": 500})
    full.process.wait_for_line("waits: the disk is full", 20)
    [task] = client.admin("QUEUE", "tasks", "work-dlq")
    assert (task["state"], task["moved"], task["why"]) == ("RUNNING", 0, "waits: the disk is full")
    client.ack(*client.receive("plain"))  # what ends something goes on meanwhile
    full.disk.grow("200m")
    wait_until(lambda: client.admin("QUEUE", "tasks", "work-dlq")[0]["state"] == "COMPLETED", "the task's end")
    assert client.queue_info("orders")["visible"] == count
    assert "goes on" in full.process.log()


def sends(client, sent):
    """True when one more was taken."""
    try:
        client.send("plain", {"n": len(sent), "text": "x"})
    except BusError as refusal:
        assert refusal.name == "DISK_FULL"
        return False
    sent.append(len(sent))
    return True


def test_a_broker_killed_on_a_full_disk_loses_nothing_however_often(full):
    client = full.client()
    sent = []
    send_until_full(client, sent)
    acked = set()
    for _ in range(5):
        taken = full.client().receive_all("plain", 4)
        full.clients[-1].ack(*taken)
        acked |= set(numbers_of(taken))
        full.restart()
    left = numbers_of(full.client().receive_all("plain", len(sent) - len(acked)))
    assert sorted(left + list(acked)) == sent
