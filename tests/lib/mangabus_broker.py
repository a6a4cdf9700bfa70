"""A broker under test: its own state folder, a small topology, an ipc endpoint that outlives restarts."""
import json
import re

from lib.mangabus_client import Client

TOPOLOGY = {
    "Buses": [{"Name": "demo", "DeduplicationWindowSeconds": 300}, {"Name": "other", "DeduplicationWindowSeconds": 300}],
    "Archives": [],
    "Rules": [
        {"Name": "to-work", "EventBusName": "demo", "State": "ENABLED",
         "EventPattern": {"source": ["test"], "detail-type": ["work"]}, "Targets": [{"Id": "work", "Arn": "work"}]},
        {"Name": "big-orders", "EventBusName": "demo", "State": "ENABLED",
         "EventPattern": {"detail-type": [{"prefix": "order."}], "detail": {"size": ["big"]}},
         "Targets": [{"Id": "orders", "Arn": "orders"},
                     {"Id": "names", "Arn": "names", "InputPath": "$.detail.name"}]},
    ],
    "Schedules": [],
    "Queues": [
        {"QueueName": "work", "Attributes": {"VisibilityTimeout": 30, "RedrivePolicy": {
            "deadLetterTargetArn": "work-dlq", "maxReceiveCount": 3}}},
        {"QueueName": "work-dlq", "Attributes": {"VisibilityTimeout": 30}},
        {"QueueName": "orders", "Attributes": {"VisibilityTimeout": 30}},
        {"QueueName": "names", "Attributes": {"VisibilityTimeout": 30}},
        {"QueueName": "plain", "Attributes": {"VisibilityTimeout": 30}},
    ],
}


class Broker:
    """start() runs it, kill() and start() again is a crash; client(...) connects, and close() ends all of that."""

    def __init__(self, start, folder, topology=None, env=None, endpoint=None):
        self._start = start
        self.folder = folder
        self.asked_endpoint = endpoint or f"ipc://{folder}/bus"
        document = folder / "topology.json"
        document.write_text(topology if isinstance(topology, str) else json.dumps(topology or TOPOLOGY))
        self.env = {"MANGABUS_STATE": folder, "MANGABUS_ENDPOINT": self.asked_endpoint,
                    "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_TOPOLOGY": document, **(env or {})}
        self.process = None
        self.clients = []

    def start(self, timeout_s=20.0, **env):
        self.env.update(env)
        self.process = self._start("mangabus-broker", env=self.env)
        self.process.wait_for_line(r'"message":"ready"', timeout_s)
        return self

    @property
    def endpoint(self):
        """The main one; it is bound last."""
        return re.findall(r'"message":"listening".*?"endpoint":"([^"]+)"', self.process.log())[-1]

    @property
    def url(self):
        port = re.search(r'"message":"serving health and metrics".*?"port":(\d+)', self.process.log()).group(1)
        return f"http://127.0.0.1:{port}"

    def kill(self):
        self.process.kill()

    def restart(self):
        """A crash and a new start on the same journal."""
        self.kill()
        return self.start()

    def client(self, name=None, **options):
        self.clients.append(Client(self.endpoint, name, **options))
        return self.clients[-1]

    def close(self):
        for client in self.clients:
            client.close()
