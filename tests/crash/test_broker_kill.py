"""SIGKILL while events are published and consumed: nothing that was acknowledged is lost, nothing is doubled."""
import copy
import random
import threading
import time

import pytest
from lib.mangabus_broker import TOPOLOGY, Broker
from lib.mangabus_client import BusError, Client, event, unpack, zmq
from lib.paths import patience

BATCH = 8


class Publisher(threading.Thread):
    """An idempotent producer: sends again, with the same numbers, what was not answered. `ledger` is what was
    acknowledged: number -> record."""

    def __init__(self, endpoint, name):
        super().__init__(daemon=True)
        self.endpoint, self.client_name = endpoint, name
        self.ledger, self.asked = {}, 0
        self.stop_at = None
        self.error = None

    def run(self):
        try:
            with Client(self.endpoint, self.client_name, producer=self.client_name, epoch=1, timeout_s=20) as client:
                while self.stop_at is None or self.asked < self.stop_at:
                    self.publish(client)
        except Exception as error:  # shown by the test
            self.error = error

    def publish(self, client):
        first = self.asked + 1
        numbers = range(first, first + BATCH)
        bodies = [event("work", {"from": self.client_name, "n": n}) for n in numbers]
        self.asked += BATCH
        until = time.monotonic() + patience(30)
        while True:
            try:
                results = client.publish_many("demo", bodies, timeout_s=0.5, producer_seq=first)
                break
            except (TimeoutError, BusError, zmq.Again):
                assert time.monotonic() < until, "the broker does not come back"
                self.resume(client)
        for n, result in zip(numbers, results):
            assert result["status"] == 0, result
            self.ledger[n] = result["record"]

    @staticmethod
    def resume(client):
        try:
            client.reconnect(timeout_s=0.5)
        except (TimeoutError, BusError):
            pass

    def finish(self):
        self.stop_at = self.asked
        self.join(patience(60))
        assert not self.is_alive()
        if self.error:
            raise self.error


class Consumer(threading.Thread):
    """Takes what comes and acknowledges half of it at once, the rest when asked again."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.endpoint = endpoint
        self.acked, self.unsure = set(), set()
        self.running = True
        self.error = None

    def run(self):
        try:
            with Client(self.endpoint, "consumer-000001", timeout_s=0.5) as client:
                sub = client.consume("work", messages=64)
                while self.running:
                    sub = self.work(client, sub)
        except Exception as error:  # shown by the test
            self.error = error

    def work(self, client, sub):
        try:
            for delivery in client.deliveries(sub, 1):
                key = identity(delivery)
                client.credit(sub, messages=1, size=1000)
                if random.random() < 0.5:
                    self.unsure.add(key)
                    client.ack(delivery)
                    self.unsure.discard(key)
                    self.acked.add(key)
                else:
                    client.release(delivery)
            return sub
        except (TimeoutError, BusError, zmq.Again):
            return self.resume(client, sub)

    @staticmethod
    def resume(client, sub):
        try:
            client.ping()
            return sub
        except (TimeoutError, BusError, zmq.Again):
            pass
        try:
            client.reconnect(timeout_s=0.5)
            return client.consume("work", messages=64)
        except (TimeoutError, BusError):
            return sub

    def finish(self):
        self.running = False
        self.join(patience(60))
        assert not self.is_alive()
        if self.error:
            raise self.error


def identity(delivery):
    detail = unpack(delivery["body"])["detail"]
    return detail["from"], detail["n"]


SETTLE_MAX = 256  # entries of one frame


def everything(client):
    """All that is left in the queue, and how often each was there. Acknowledged as it comes: a queue lets 120,000 be in
    flight, and a hundred kills leave more."""
    sub = client.consume("work", messages=4096, size=16 << 20)
    left = {}
    while True:
        info = client.queue_info("work")
        if info["visible"] + info["delayed"] + info["in_flight"] == 0:
            return left
        deliveries = client.deliveries(sub, min(1000, info["visible"] or 1))
        for delivery in deliveries:
            left[identity(delivery)] = left.get(identity(delivery), 0) + 1
        for at in range(0, len(deliveries), SETTLE_MAX):
            client.ack(*deliveries[at:at + SETTLE_MAX])
        client.credit(sub, messages=len(deliveries), size=1000 * len(deliveries))


def everything_published(client, newest):
    """[(record, identity)] of every event from the first record on, as a live subscription sees them."""
    sub = client.listen("demo", messages=4096, size=64 << 20, **{"from": 1})
    seen = []
    while not seen or seen[-1][0] < newest:
        deliveries = client.deliveries(sub, 1)
        seen += [(delivery["record"], identity(delivery)) for delivery in deliveries]
        client.credit(sub, messages=len(deliveries), size=1000 * len(deliveries))
    return seen


def check_log(client, publishers):
    """The log has what was acknowledged under the record that the answer named, in the order in which each producer sent
    it, and no event twice; what is in it besides was sent, and its answer lost."""
    ledger = {(p.client_name, n): record for p in publishers for n, record in p.ledger.items()}
    seen = everything_published(client, max(ledger.values()))
    assert [record for record, _ in seen] == sorted({record for record, _ in seen})
    where = {key: record for record, key in seen}
    assert len(where) == len(seen), "an event is in the log twice"
    wrong = [key for key, record in ledger.items() if where.get(key) != record]
    assert not wrong, f"{len(wrong)} of {len(ledger)} events are not where the answer said: {wrong[:5]}"
    for p in publishers:
        numbers = [n for _, (name, n) in seen if name == p.client_name]
        assert numbers == list(range(1, len(numbers) + 1)), f"{p.client_name}'s events are out of order"
        assert len(numbers) <= p.asked


def kill_often(start, state_dir, kills):
    topology = copy.deepcopy(TOPOLOGY)
    for queue in topology["Queues"]:  # nothing is to be dead-lettered for having been released often
        queue["Attributes"].pop("RedrivePolicy", None)
        queue["Attributes"]["VisibilityTimeout"] = 2
    broker = Broker(start, state_dir, topology, env={"MANGABUS_GRACE": "3s", "MANGABUS_HEARTBEAT": "200ms"}).start()
    publishers = [Publisher(broker.endpoint, f"producer-00000{n}") for n in range(2)]
    consumer = Consumer(broker.endpoint)
    for thread in (*publishers, consumer):
        thread.start()
    for _ in range(kills):
        time.sleep(random.uniform(0.05, 0.5))
        broker.restart()
    for thread in (*publishers, consumer):
        thread.finish()
    check_log(broker.client(), publishers)
    check(broker, publishers, consumer)
    broker.close()


def check(broker, publishers, consumer):
    """Every acknowledged event was consumed and acknowledged, or is in the queue, once."""
    client = broker.client()
    left = everything(client)
    published = {(p.client_name, n): record for p in publishers for n, record in p.ledger.items()}
    assert len(published) > 100, "hardly anything happened"
    assert len(set(published.values())) == len(published), "two events have one record"
    lost = [key for key in published if key not in consumer.acked and key not in left and key not in consumer.unsure]
    assert not lost, f"{len(lost)} of {len(published)} acknowledged events are lost: {lost[:5]}"
    undead = [key for key in left if key in consumer.acked]
    assert not undead, f"{len(undead)} acknowledged deliveries came back: {undead[:5]}"
    doubled = [key for key, times in left.items() if times > 1]
    assert not doubled, f"{len(doubled)} events are there twice: {doubled[:5]}"
    assert consumer.acked, "nothing was consumed"


def test_ten_kills_lose_nothing(start, state_dir):
    kill_often(start, state_dir, 10)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_kills_lose_nothing(start, state_dir):
    kill_often(start, state_dir, 100)
