"""`mangactl topology`: what is in effect, how a file differs, and applying one while traffic goes on."""
import copy
import json
import re
import threading

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import Client, event
from lib.mangactl import at
from lib.paths import patience


@pytest.fixture
def ctl(broker):
    return at(broker.endpoint)


@pytest.fixture
def file(tmp_path):
    """file(change) writes the broker's topology, changed by the function, and gives its path."""

    def write(change=lambda _: None, name="T.json"):
        document = copy.deepcopy(TOPOLOGY)
        change(document)
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return write


def changed(document):
    document["Rules"][0]["EventPattern"] = {"source": ["test"], "detail-type": ["chore"]}
    document["Queues"][0]["Attributes"]["VisibilityTimeout"] = 60
    document["Queues"].append({"QueueName": "extra", "Attributes": {"VisibilityTimeout": 30}})
    document["Buses"].append({"Name": "third"})


def without_plain(document):
    document["Queues"] = [queue for queue in document["Queues"] if queue["QueueName"] != "plain"]


CHANGES = ["bus third added", "rule to-work changed: EventPattern", "queue work changed: VisibilityTimeout",
           "queue extra created"]


def test_a_file_is_compared_tried_and_applied(ctl, file):
    path = file(changed)
    assert "no difference" in ctl("topology", "show", "--diff", file(name="same.json")).stderr
    assert ctl("topology", "show", "--diff", path, code=1).stdout.splitlines() == CHANGES
    tried = ctl("topology", "apply", path, "--dry-run")
    assert tried.stdout.splitlines() == CHANGES
    assert tried.stderr == "4 changes to version 1; nothing is applied\n"
    applied = ctl("topology", "apply", path)
    assert applied.stdout.splitlines() == CHANGES
    assert applied.stderr == "version 2 applied: 4 changes\n"
    assert "version 2 stays" in ctl("topology", "apply", path).stderr
    assert json.loads(ctl("topology", "show", "--diff", path, "--json").stdout)["changes"] == []


def test_the_version_tells_when_and_by_whom(ctl, file):
    assert re.match(r"version 1, applied \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by the start\n", ctl("topology", "show").stderr)
    path = file(changed)
    assert json.loads(ctl("topology", "apply", path, "--json").stdout) == {
        "version": 2, "dry_run": False, "changes": CHANGES, "messages": 0}
    shown = ctl("topology", "show")
    assert re.search(r"^version 2, applied \S+Z by \S+@\S+, session mangactl-[0-9a-f]{6}\n", shown.stderr)
    assert shown.stdout.rstrip("\n") == path.read_text()
    assert json.loads(ctl("topology", "show", "--json").stdout)["version"] == 2


def test_what_would_drop_messages_needs_force_and_says_how_many(ctl, file):
    path = file(without_plain)
    for n in range(3):
        ctl("send", "plain", str(n))
    tried = ctl("topology", "apply", path, "--dry-run", code=1)
    assert tried.stdout == "queue plain dropped with its 3 messages\n"
    assert "3 messages would be dropped" in tried.stderr
    assert "QUEUE_NOT_EMPTY" in ctl("topology", "apply", path, code=65).stderr
    assert json.loads(ctl("queue", "info", "plain", "--json").stdout)["visible"] == 3
    ctl("topology", "apply", path, "--force")
    ctl("queue", "info", "plain", code=1)


def test_queues_made_at_run_time_are_left_alone_or_adopted(ctl, file):
    ctl("queue", "create", "mine", "VisibilityTimeout=7")
    ctl("send", "mine", "1")
    ctl("topology", "apply", file(changed))
    assert json.loads(ctl("queue", "info", "mine", "--json").stdout)["visible"] == 1

    def adopt(document):
        changed(document)
        document["Queues"].append({"QueueName": "mine", "Attributes": {"VisibilityTimeout": 8}})

    assert ctl("topology", "apply", file(adopt)).stdout == "queue mine adopted: VisibilityTimeout\n"
    info = json.loads(ctl("queue", "info", "mine", "--json").stdout)
    assert (info["visible"], info["from_topology"], info["attributes"]["VisibilityTimeout"]) == (1, True, 8)


@pytest.mark.parametrize("text", ["{", "[]", '{"Buses": [], "Colour": 1}', '{"Buses": [{"Name": "a"}, {"Name": "a"}]}'])
def test_a_wrong_file_is_refused_and_changes_nothing(ctl, tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    ctl("topology", "apply", path, code=65)
    ctl("topology", "show", "--diff", path, code=65)
    assert "cannot open" in ctl("topology", "apply", tmp_path / "absent.json", code=65).stderr
    assert json.loads(ctl("topology", "show", "--json").stdout)["version"] == 1


def test_it_is_read_from_standard_input(ctl, file):
    assert ctl("topology", "apply", "-", stdin=file(changed).read_text()).stdout.splitlines() == CHANGES


def test_what_was_applied_outlives_a_crash_and_the_file_of_the_start_comes_back_only_when_it_changed(broker, ctl, file):
    ctl("topology", "apply", file(changed))
    broker.restart()
    assert json.loads(ctl("topology", "show", "--json").stdout)["version"] == 2
    assert "version 2, applied by " in broker.process.log()
    broker.env["MANGABUS_TOPOLOGY"].write_text(file(without_plain).read_text())
    broker.restart()
    shown = json.loads(ctl("topology", "show", "--json").stdout)
    assert (shown["version"], shown["by"]) == (3, "the start")
    ctl("queue", "info", "extra", code=1)


def test_traffic_goes_on_while_topologies_change_and_each_event_follows_one_of_them(broker, ctl, file):
    """Everything published is in exactly one of two queues: the one of the topology that its moment had."""

    def to(queue):
        def change(document):
            document["Rules"] = [{"Name": "r", "EventBusName": "demo", "EventPattern": {"source": ["test"]},
                                  "Targets": [{"Id": "t", "Arn": queue}]}]
        return change

    paths = [file(to("orders"), "orders.json"), file(to("names"), "names.json")]
    ctl("topology", "apply", paths[0])
    stop, sent = threading.Event(), []

    def publish():
        with Client(broker.endpoint) as client:
            while not stop.is_set():
                sent.append(client.publish("demo", event("work"))["record"])

    thread = threading.Thread(target=publish)
    thread.start()
    for turn in range(10):
        ctl("topology", "apply", paths[(turn + 1) % 2])
    stop.set()
    thread.join(patience(20))
    held = {queue: json.loads(ctl("queue", "info", queue, "--json").stdout)["visible"] for queue in ("orders", "names")}
    assert sum(held.values()) == len(sent) and all(held.values())
