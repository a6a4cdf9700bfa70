"""A thousand clients at once: nobody is refused, and the broker stays small and quick."""
import copy
import json
import re
import subprocess
import sys

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.paths import ROOT, is_sanitized, patience
from lib.process import clean_environment
from lib.wait import http_get, wait_until

QUEUES = 10
CLIENT_KIB_MAX = 256  # of the broker's memory for each client, ZeroMQ's buffers included


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def metric(broker, name):
    return float(re.search(rf"^{name} (\S+)$", http_get(f"{broker.url}/metrics")[1], re.MULTILINE)[1])


def gather(make_broker, clients):
    topology = copy.deepcopy(TOPOLOGY)
    topology["Queues"] += [{"QueueName": f"crowd-{n}"} for n in range(QUEUES)]
    broker = make_broker(topology=topology, env={"MANGABUS_HEARTBEAT": "30s"}).start()
    before_kib = rss_kib(broker.process.pid)
    crowd = subprocess.Popen([sys.executable, ROOT / "tests/lib/crowd.py", broker.endpoint, str(clients), str(QUEUES)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        line = crowd.stdout.readline()
        assert line, f"the crowd ended with {crowd.wait()}"
        result = json.loads(line)
        assert metric(broker, "mangabus_broker_sessions") == clients
        grown_kib = rss_kib(broker.process.pid) - before_kib
        crowd.stdin.close()
        assert crowd.wait(patience(60)) == 0
    finally:
        crowd.kill()
        crowd.wait()
    print(f"\n{clients} clients: {grown_kib / clients:.0f} KiB each; {json.dumps(result['latencies_ms'])}")
    assert result["errors"] == []
    assert metric(broker, "mangabus_broker_refused_total") == 0
    if not is_sanitized():
        assert grown_kib / clients < CLIENT_KIB_MAX
    wait_until(lambda: metric(broker, "mangabus_broker_sessions") == 0, "everybody to be gone")


def test_a_thousand_clients_publish_consume_and_call(make_broker):
    gather(make_broker, 1000)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_four_thousand_clients_publish_consume_and_call(make_broker):
    gather(make_broker, 4000)
