"""The C client under a broker that is killed: nothing acknowledged is lost, nothing is accepted twice, calls go on."""
import re

import msgpack
import pytest
from lib.mangabus_broker import TOPOLOGY, Broker
from lib.paths import build_dir, patience
from lib.wait import wait_until

SLICE = 1000
PROBE = build_dir() / "tests" / "helpers" / "bus_probe"
VISIBILITY_S = 4  # what was on its way to the consumer when the broker died comes again after this
ALL_TO_WORK = {**TOPOLOGY, "Queues": [{"QueueName": "plain", "Attributes": {"VisibilityTimeout": VISIBILITY_S}}],
               "Rules": [{"Name": "numbers", "EventBusName": "demo", "State": "ENABLED",
                          "EventPattern": {"source": ["probe"]}, "Targets": [{"Id": "plain", "Arn": "plain"}]}]}


@pytest.fixture
def make_broker(start, state_dir):
    """make_broker(topology=…) gives a Broker that is not started yet."""
    made = []

    def make(**options):
        made.append(Broker(start, state_dir, **options))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


def numbers(process):
    return [int(line) for line in process.log().splitlines() if re.fullmatch(r"\d+", line)]


def numbers_on_the_bus(broker, count):
    with broker.client() as reader:
        found = []
        sub = reader.listen("demo", messages=SLICE, size=16 << 20, **{"from": 1})
        while len(found) < count:
            events = reader.deliveries(sub, min(SLICE, count - len(found)))
            found += [msgpack.unpackb(event["body"])["detail"]["n"] for event in events]
            reader.credit(sub, messages=SLICE, size=1 << 20)
        return found


def sessions_of(process):
    return process.log().count("the bus is up")


def test_publishing_through_kills_loses_and_doubles_nothing(make_broker, start):
    count = 30000
    broker = make_broker().start()
    probe = start(PROBE, broker.endpoint, "publish", "demo", count)
    for kills in range(3):
        probe.wait_for(lambda sessions=kills + 1: sessions_of(probe) >= sessions, "a session")
        broker.restart()
    assert probe.wait(120) == 0, probe.tail()
    assert sessions_of(probe) == 4, "it was done before the last kill"
    assert re.search(rf"ok {count} failed 0", probe.log())
    assert numbers_on_the_bus(broker, count) == list(range(count))


def test_a_consumer_goes_on_after_a_kill(make_broker, start):
    count = 1000
    broker = make_broker(topology=ALL_TO_WORK).start()
    assert start(PROBE, broker.endpoint, "publish", "demo", count).wait(60) == 0
    consumer = start(PROBE, broker.endpoint, "consume", "plain", count)
    consumer.wait_for(lambda: len(numbers(consumer)) > 50, "some deliveries")
    broker.restart()
    assert consumer.wait(90) == 0, consumer.tail()
    assert set(numbers(consumer)) == set(range(count))
    with broker.client() as client:
        wait_until(lambda: client.queue_info("plain")["visible"] == client.queue_info("plain")["in_flight"] == 0,
                   "an empty queue", 40)


def test_a_stream_survives_the_restart_of_the_broker(make_broker, start):
    count = 100
    broker = make_broker().start()
    start(PROBE, broker.endpoint, "serve").wait_for_line(r"the bus is up")
    asker = start(PROBE, broker.endpoint, "ask", count)
    asker.wait_for(lambda: len(numbers(asker)) > 20, "some pieces")
    broker.restart()
    assert asker.wait(patience(60)) == 0, asker.tail()
    assert numbers(asker) == list(range(count))
    assert asker.log().splitlines()[-1] == "done"
