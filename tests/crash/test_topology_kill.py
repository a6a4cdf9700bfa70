"""SIGKILL while topologies are applied: each version is in effect whole or not at all, and none that was answered is lost."""
import copy
import json
import random
import threading
import time

from lib.mangabus_broker import TOPOLOGY, Broker
from lib.mangabus_client import BusError, Client, pack, zmq
from lib.paths import patience

KILLS = 8
QUEUES = 40


def document(number):
    """Each names its own queues besides, so that what is in effect can be told from what there is."""
    made = copy.deepcopy(TOPOLOGY)
    made["Queues"] += [{"QueueName": f"v{number}-{n}"} for n in range(QUEUES)]
    made["Buses"][0]["Description"] = str(number)
    return json.dumps(made)


class Applier(threading.Thread):
    """Applies one after the other until it is stopped; `answered` is the newest (version, number) that was answered."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.endpoint, self.answered, self.error = endpoint, (0, 0), None
        self.stop = threading.Event()

    def run(self):
        try:
            with Client(self.endpoint, "applier-000001", timeout_s=20) as client:
                number = 0
                while not self.stop.is_set():
                    number += 1
                    self.apply(client, number)
        except Exception as error:  # shown by the test
            self.error = error

    def apply(self, client, number):
        body = pack(document(number))
        until = time.monotonic() + patience(30)
        while True:
            try:
                version = client.admin("TOPOLOGY", "apply", body=body, timeout_s=0.5)["version"]
                self.answered = (version, number)
                return
            except (TimeoutError, BusError, zmq.Again):
                assert time.monotonic() < until, "the broker does not come back"
                try:
                    client.reconnect(timeout_s=0.5)
                except (TimeoutError, BusError):
                    pass


def check(broker, answered):
    """The document in effect and the queues there are say the same, and it is none older than was answered."""
    client = broker.client()
    shown = client.admin("TOPOLOGY", "show")
    wanted = {queue["QueueName"] for queue in json.loads(shown["document"])["Queues"]}
    made = {queue["name"] for queue in client.admin("QUEUE", "list", "")}
    assert made == wanted, f"version {shown['version']} is in effect by half"
    number = int(json.loads(shown["document"])["Buses"][0].get("Description", "0"))
    assert (shown["version"], number) >= answered
    client.close()


def test_a_version_is_in_effect_whole_or_not_at_all(start, state_dir):
    broker = Broker(start, state_dir).start()
    for _ in range(KILLS):
        applier = Applier(broker.endpoint)
        applier.start()
        time.sleep(random.uniform(0.05, 0.5))  # a kill at any moment
        broker.kill()
        answered = applier.answered
        applier.stop.set()
        broker.start()
        applier.join(patience(60))
        assert not applier.error
        check(broker, answered)
    assert broker.client().admin("TOPOLOGY", "show")["version"] > KILLS
    broker.close()
