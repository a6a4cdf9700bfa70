"""mangactl replay start, ls, info, pause, resume and cancel, at a broker with an archive."""
import json
import signal

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import accepted, event, unpack
from lib.mangactl import at, begin
from lib.paths import patience
from lib.wait import wait_until

ARCHIVES = [{"ArchiveName": "demo-all", "EventSourceArn": "demo"}]


@pytest.fixture
def archiving(make_broker):
    return make_broker(topology={**TOPOLOGY, "Archives": ARCHIVES}).start()


@pytest.fixture
def ctl(archiving):
    return at(archiving.endpoint)


@pytest.fixture
def ids(archiving):
    """Of 60 events on bus demo, the first 40 of type work."""
    made = [event("work" if n < 40 else "note", {"n": n}) for n in range(60)]
    for result in archiving.client().publish_many("demo", made):
        accepted(result)
    return [unpack(one)["id"] for one in made]


def test_a_replay_is_watched_to_its_report(archiving, ctl, ids):
    done = ctl("replay", "start", "--archive", "demo-all", "--to-queue", "plain", "--name", "night")
    assert "night is COMPLETED: 60 events replayed, 60 deliveries, 0 refused" in done.stdout
    assert "60 to queue plain" in done.stdout
    client = archiving.client()
    got = client.deliveries(client.consume("plain"), 60)
    assert [unpack(one["body"])["id"] for one in got] == ids
    told = json.loads(ctl("replay", "info", "night", "--json").stdout)
    assert told["queues"] == {"plain": 60} and told["state"] == "COMPLETED"
    assert "night" in ctl("replay", "ls").stdout
    refused = ctl("replay", "start", "--bus", "demo", "--to-bus", "--name", "night", code=65)
    assert "another name" in refused.stderr


def test_a_dry_run_tells_what_would_be_delivered_where(archiving, ctl, ids):
    told = json.loads(ctl("replay", "start", "--bus", "demo", "--to-bus", "--dry-run", "--json").stdout)
    assert (told["replayed"], told["queues"], told["dry_run"]) == (60, {"work": 40}, True)
    assert archiving.client().admin("QUEUE", "info", "work")["visible"] == 40
    text = ctl("replay", "start", "--bus", "demo", "--to-bus", "--dry-run").stdout
    assert "60 events would be replayed" in text and "40 to queue work" in text


def test_window_pattern_ids_and_rules_choose(ctl, ids):
    def count(*options):
        return json.loads(ctl("replay", "start", "--bus", "demo", "--dry-run", "--json", *options).stdout)["replayed"]

    assert count("--to-bus", "--pattern", '{"detail-type":["note"]}') == 20
    assert count("--to-bus", "--id", f"{ids[3]},{ids[50]},nobody") == 2
    assert count("--to-rule", "to-work") == 40
    assert count("--to-bus", "--since", "1h") == 60
    assert count("--to-bus", "--until", "1h") == 0


def test_events_come_into_a_file_in_order_and_marked(ctl, ids, tmp_path):
    path = tmp_path / "events.jsonl"
    done = ctl("replay", "start", "--archive", "demo-all", "--to-file", path, "--name", "kept")
    assert "60 events replayed" in done.stdout
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"]["id"] for line in lines] == ids
    assert {line["replay_name"] for line in lines} == {"kept"}
    again = ctl("replay", "start", "--archive", "demo-all", "--to-file", path, code=65)
    assert "cannot create" in again.stderr
    out = ctl("replay", "start", "--bus", "demo", "--to-file", "-").stdout
    assert [json.loads(line)["event"]["id"] for line in out.splitlines()] == ids


def test_it_is_paused_resumed_and_cancelled(ctl, ids):
    ctl("replay", "start", "--bus", "demo", "--to-queue", "plain", "--rate", "5", "--name", "slow", "--detach")
    wait_until(lambda: json.loads(ctl("replay", "info", "slow", "--json").stdout)["replayed"] > 1, "some of it")
    assert "slow is PAUSED" in ctl("replay", "pause", "slow").stdout
    assert "slow is RUNNING" in ctl("replay", "resume", "slow").stdout
    assert "slow is CANCELLED" in ctl("replay", "cancel", "slow").stdout
    assert "CANCELLED" in ctl("replay", "cancel", "slow", code=65).stderr
    assert "no replay" in ctl("replay", "info", "nobody", code=1).stderr


def test_an_interrupt_ends_the_watching_alone(archiving, ctl, ids):
    watching = begin("replay", "start", "--bus", "demo", "--to-queue", "plain", "--rate", "1", "--name", "slow",
                     endpoint=archiving.endpoint)
    wait_until(lambda: "slow" in ctl("replay", "ls").stdout, "its begin")
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=patience(20))
    assert watching.returncode == 75 and "goes on" in err
    assert json.loads(ctl("replay", "info", "slow", "--json").stdout)["state"] != "CANCELLED"


@pytest.mark.parametrize("options, why", [
    ([], "--archive NAME, or --bus"),
    (["--bus", "demo"], "say where to"),
    (["--bus", "demo", "--to-bus", "--to-queue", "plain"], "say where to"),
    (["--bus", "demo", "--to-bus", "--speed", "fast"], "--speed"),
    (["--bus", "demo", "--to-bus", "--since", "yesterday-ish"], "--since"),
    (["--bus", "demo", "--to-file", "x", "--detach"], "--detach"),
])
def test_wrong_usage_is_told(ctl, options, why):
    assert why in ctl("replay", "start", *options, code=64).stderr
