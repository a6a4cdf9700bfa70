"""mangactl queue receive and settle: messages taken by the operator's hand."""
import json
import time
from datetime import datetime

import pytest
from lib.mangactl import at, begin
from lib.paths import patience

TOPOLOGY = {"Buses": [], "Archives": [], "Rules": [], "Schedules": [], "Queues": [
    {"QueueName": "dead", "Attributes": {}},
    {"QueueName": "work", "Attributes": {"VisibilityTimeout": 600,
                                         "RedrivePolicy": {"deadLetterTargetArn": "dead", "maxReceiveCount": 5}}},
    {"QueueName": "line.fifo", "Attributes": {"FifoQueue": True, "VisibilityTimeout": 600}}]}


@pytest.fixture
def house(make_broker):
    return make_broker(topology=TOPOLOGY).start()


@pytest.fixture
def ctl(house):
    """mangactl at that broker; fails the test unless the exit code is the one expected."""
    return at(house.endpoint)


def fill(ctl, count):
    for n in range(count):
        ctl("send", "work", json.dumps({"n": n}))


def received(ctl, *words, code=0):
    return [json.loads(line) for line in ctl("queue", "receive", *words, "--json", code=code).stdout.splitlines()]


def info(ctl, queue="work"):
    return json.loads(ctl("queue", "info", queue, "--json").stdout)


def test_what_was_received_stays_invisible_when_the_program_has_ended(ctl):
    fill(ctl, 1)
    before_us = time.time() * 1e6
    [message] = received(ctl, "work")
    assert message["body"] == {"n": 0} and message["receives"] == 1 and message["source"] == "work"
    assert message["first_receive_us"] >= before_us - 1e6
    assert (info(ctl)["visible"], info(ctl)["in_flight"] + info(ctl)["delayed"]) == (0, 1)
    assert received(ctl, "work", code=1) == []
    until = datetime.fromisoformat(message["invisible_until"].replace("Z", "+00:00"))
    assert before_us / 1e6 + 598 < until.timestamp() <= time.time() + 602


def test_people_see_the_body_the_receipt_and_until_when(ctl):
    fill(ctl, 1)
    done = ctl("queue", "receive", "work")
    assert '"n":0' in done.stdout and "received 1 times" in done.stdout and "  receipt " in done.stdout
    assert "1 invisible until 20" in done.stderr


def test_a_receipt_acknowledges_afterwards(ctl):
    fill(ctl, 2)
    taken = received(ctl, "work", "--max", "10")
    assert len(taken) == 2
    assert "2 acknowledged" in ctl("queue", "settle", *[m["receipt"] for m in taken]).stderr
    now = info(ctl)
    assert now["visible"] + now["in_flight"] + now["delayed"] == 0


def test_a_receipt_rejects_to_the_dead_letters_with_the_reason(ctl):
    fill(ctl, 1)
    [message] = received(ctl, "work")
    ctl("queue", "settle", message["receipt"], "--reject", "nobody can read it")
    [dead] = received(ctl, "dead", "--ack")
    assert "nobody can read it" in json.dumps(dead["attrs"])


def test_with_ack_it_is_gone_once_it_is_printed(ctl):
    fill(ctl, 3)
    taken = received(ctl, "work", "--max", "2", "--ack")
    assert [m["body"]["n"] for m in taken] == [0, 1]
    assert all("receipt" not in m and "invisible_until" not in m for m in taken)
    now = info(ctl)
    assert (now["visible"], now["in_flight"], now["delayed"]) == (1, 0, 0)


def test_what_could_not_be_printed_returns_to_its_queue(ctl):
    fill(ctl, 1)
    with open("/dev/full", "w") as full:
        ctl("queue", "receive", "work", "--ack", "--json", stdout=full, code=74)
    assert info(ctl)["visible"] == 1


def test_a_short_visibility_lets_it_come_again_and_the_old_receipt_deletes_nothing(ctl):
    fill(ctl, 1)
    [first] = received(ctl, "work", "--visibility", "0s")
    again = received(ctl, "work", "--wait", "5s")
    assert again[0]["receives"] == 2
    assert "received again" in ctl("queue", "settle", first["receipt"], code=1).stderr
    ctl("queue", "settle", again[0]["receipt"])


def test_it_waits_for_a_message(house):
    waiting = begin("queue", "receive", "work", "--wait", "20s", "--ack", "--json", "--visibility", "5s",
                    endpoint=house.endpoint)
    house.process.wait_for_line(r"of mangactl-\w+ begins", 20)
    with house.client() as sender:
        sender.send("work", {"n": 0})
    out, errors = waiting.communicate(timeout=patience(30))
    assert waiting.returncode == 0 and json.loads(out)["body"] == {"n": 0}, errors


def test_a_group_waits_for_what_was_received_of_it(ctl):
    for n in range(2):
        ctl("send", "line.fifo", str(n), "--group", "a", "--dedup", str(n))
    [first] = received(ctl, "line.fifo", "--attempt", "try-1")
    assert first["body"] == 0
    assert received(ctl, "line.fifo", code=1) == []
    ctl("queue", "settle", first["receipt"])
    assert received(ctl, "line.fifo", "--ack")[0]["body"] == 1


def test_attributes_can_be_selected(house, ctl):
    with house.client() as sender:
        sender.send("work", {"n": 0}, attrs={"app.color": "red", "app.size": "l", "other": "x"})
    [message] = received(ctl, "work", "--select", "app.*,nothing", "--ack")
    assert message["attrs"] == {"app.color": "red", "app.size": "l"}


@pytest.mark.parametrize("words, code, text", [
    (["queue", "receive", "nosuch"], 1, "nosuch"),
    (["queue", "receive", "work", "--max", "11"], 65, "max must be from 1 to 10"),
    (["queue", "receive", "work", "--wait", "21s"], 65, "wait_ms must be"),
    (["queue", "receive", "work", "--visibility", "13h"], 65, "visibility_ms must be"),
    (["queue", "receive", "work", "--attempt", "a"], 65, "belongs to FIFO queues"),
    (["queue", "settle", "nonsense"], 65, "no receipt"),
    (["queue", "settle", "bm9uc2Vuc2U="], 65, "ReceiptHandleIsInvalid"),
])
def test_what_is_wrong_is_told_and_takes_nothing(ctl, words, code, text):
    fill(ctl, 1)
    assert text in ctl(*words, code=code).stderr
    assert info(ctl)["visible"] == 1
