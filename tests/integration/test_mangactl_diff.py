"""`mangactl rules diff`: what a changed topology would deliver otherwise, over a capture or lines of events."""
import json
import random

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import event, pack, unpack
from lib.mangactl import at, mangactl

QUEUES = ["work", "orders", "names", "plain"]


def rule(name, pattern, *targets, bus="demo", **more):
    return {"Name": name, "EventBusName": bus, "EventPattern": pattern, "Targets": list(targets), **more}


def target(arn, **more):
    return {"Id": arn.rpartition("/")[2], "Arn": arn, **more}


def document(*rules):
    return {**TOPOLOGY, "Rules": list(rules)}


BEFORE = document(rule("work", {"detail-type": ["work"]}, target("work")),
                  rule("names", {"detail-type": ["order"]}, target("names", InputPath="$.detail.name")))
AFTER = document(rule("work", {"detail-type": ["work"], "detail": {"n": [{"numeric": [">", 1]}]}}, target("work")),
                 rule("all", {"source": ["test"]}, target("event-bus/other")),
                 rule("names", {"detail-type": ["order"]}, target("names", InputPath="$.detail")),
                 rule("there", {"source": ["test"]}, target("plain"), target("event-bus/demo"), bus="other"))
EVENTS = [("work", {"n": 1}), ("work", {"n": 2}), ("order", {"name": "x"}), ("other", {})]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "before.json").write_text(json.dumps(BEFORE))
    (tmp_path / "after.json").write_text(json.dumps(AFTER))
    (tmp_path / "events.jsonl").write_text("".join(
        json.dumps(unpack(event(kind, detail))) + "\n\n" for kind, detail in EVENTS))
    return tmp_path


def diff(files, before, after, *words, code=1, **options):
    done = mangactl("rules", "diff", before, after, *words, cwd=files, **options)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_delivery_that_differs_is_told(files):
    told = lines(diff(files, "before.json", "after.json", "--events", "events.jsonl", "--bus", "demo", "--json"))
    assert {(t["event"], t["change"], t["queue"]) for t in told} == {
        (1, "dropped", "work"), (1, "added", "plain"), (2, "added", "plain"), (3, "changed", "names"),
        (3, "added", "plain"), (4, "added", "plain")}
    changed, = [t for t in told if t["change"] == "changed"]
    assert changed["before"] == changed["after"] == "demo/names/names"
    assert {t["after"] for t in told if t["change"] == "added"} == {"other/there/plain"}


def test_a_table_counts_them(files):
    done = diff(files, "before.json", "after.json", "--events", "events.jsonl", "--bus", "demo")
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in done.stdout.splitlines()[1:]}
    assert rows == {("dropped", "work"): ["demo/work/work", "-", "1", "1"],
                    ("changed", "names"): ["demo/names/names", "demo/names/names", "1", "3"],
                    ("added", "plain"): ["-", "other/there/plain", "4", "1"]}
    assert "4 of 4 events would be delivered otherwise" in done.stderr


def test_what_says_the_same_has_no_difference(files):
    done = diff(files, "before.json", "before.json", "--events", "-", "--bus", "demo", code=0,
                stdin=(files / "events.jsonl").read_text())
    assert done.stdout == "" and "0 of 4 events" in done.stderr


def test_an_event_that_no_longer_fits_is_a_change(files):
    (files / "unfit.json").write_text(json.dumps(document(
        BEFORE["Rules"][0], rule("names", {"detail-type": ["order"]}, target("names", InputPath="$.detail.nowhere")))))
    told = lines(diff(files, "before.json", "unfit.json", "--events", "events.jsonl", "--bus", "demo", "--json"))
    assert [(t["change"], t["after"]) for t in told] == [("changed", "demo/names/names (does not fit)")]


@pytest.mark.parametrize("words,code,said", [
    (["before.json", "after.json"], 65, "--events FILE"),
    (["before.json", "nowhere.json", "--events", "events.jsonl"], 65, "nowhere.json"),
    (["before.json", "after.json", "--events", "nowhere"], 1, "nowhere"),
    (["before.json", "after.json", "--events", "events.jsonl"], 65, "line 1: the event names no bus"),
    (["before.json", "after.json", "--events", "before.json", "--bus", "demo"], 65, "before.json, line 1"),
    (["before.json"], 64, ""),
])
def test_what_cannot_be_compared_is_refused(files, words, code, said):
    done = mangactl("rules", "diff", *words, cwd=files)
    assert done.returncode == code and said in done.stderr, (done.returncode, done.stderr)


def test_a_broken_line_is_named(files):
    (files / "broken.jsonl").write_text((files / "events.jsonl").read_text() + "{\n")
    done = diff(files, "before.json", "after.json", "--events", "broken.jsonl", "--bus", "demo", code=65)
    assert "broken.jsonl, line 9" in done.stderr


def test_it_foretells_what_the_broker_then_does(files, make_broker):
    """Random events are captured from a broker without rules; then one with the changed rules gets them."""
    chance = random.Random(5)
    events = [event(chance.choice(["work", "order", "other"]), {"n": chance.randrange(4), "name": "x"},
                    source=chance.choice(["test", "else"])) for _ in range(60)]
    broker = make_broker(topology=document()).start()
    client = broker.client()
    records = [client.publish("demo", body)["record"] for body in events]
    at(broker.endpoint)("capture", "demo", "--since", "1h", "--until", "0s", "--out", "out.capture", cwd=files)
    (files / "empty.json").write_text(json.dumps(document()))
    told = lines(diff(files, "empty.json", "after.json", "--events", "out.capture", "--json"))
    foretold = sorted((records.index(t["record"]), t["queue"]) for t in told)
    client.admin("TOPOLOGY", "apply", body=pack(json.dumps(AFTER)))
    numbers = {client.publish("demo", body)["record"]: n for n, body in enumerate(events)}
    done = []
    for queue in QUEUES:
        while batch := client.receive(queue, most=10):
            done += [(numbers[message["record"]], queue) for message in batch]
            client.ack(*batch)
    assert sorted(done) == foretold and len(done) > 60
