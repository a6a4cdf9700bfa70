"""The client library keeps what a handler holds invisible, and a dead process's message comes back."""
import copy
import re

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import unpack
from lib.paths import build_dir
from lib.wait import wait_until

BRIEF_S = 1  # a third of what the probe takes for a slow message


@pytest.fixture
def broker(make_broker):
    topology = copy.deepcopy(TOPOLOGY)
    next(q for q in topology["Queues"] if q["QueueName"] == "plain")["Attributes"]["VisibilityTimeout"] = BRIEF_S
    return make_broker(topology=topology).start()


@pytest.fixture
def probe(start, broker):
    process = start(build_dir() / "tests/helpers/service_probe",
                    env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": broker.endpoint, "PROBE_QUEUE": "1"})
    process.wait_for_line("the bus is up")
    return process


def begun(probe):
    return re.findall(r'"message":"slow message begun".*?"count":(\d+)', probe.log())


def test_a_handler_slower_than_the_visibility_gets_no_second_delivery(broker, probe):
    client = broker.client()
    client.send("plain", "slow")
    probe.wait_for_line("slow message begun")
    sub = client.consume("plain")
    probe.wait_for_line("slow message done")
    wait_until(lambda: client.queue_info("plain")["in_flight"] == 0, "the message to be settled")
    assert begun(probe) == ["1"]
    assert not [f for f in client.kept if f.verb == "DELIVER" and f["sub"] == sub]
    info = client.queue_info("plain")
    assert info["visible"] == 0 and info["delayed"] == 0


def test_the_message_of_a_process_that_died_comes_back_when_its_visibility_is_over(broker, probe):
    client = broker.client()
    client.send("plain", "slow")
    probe.wait_for_line("slow message begun")
    probe.kill()
    delivery = client.deliveries(client.consume("plain"), 1)[0]
    assert unpack(delivery["body"]) == "slow" and delivery["receives"] == 2


def test_a_message_is_held_across_a_restart_of_the_broker(broker, probe):
    client = broker.client()
    client.send("plain", "slow")
    probe.wait_for_line("slow message begun")
    broker.restart()
    probe.wait_for_line("slow message done")
    client.reconnect()
    wait_until(lambda: client.queue_info("plain")["in_flight"] == client.queue_info("plain")["visible"] == 0,
               "the message to be settled")
