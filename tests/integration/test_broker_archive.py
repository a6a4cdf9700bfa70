"""Archives: what a broker's log loses is in them, once and in order, for a reader written from the document alone."""
import json
import uuid

import pytest
from lib.archive_records import read_archive
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import accepted, event, unpack
from lib.mangactl import mangactl
from lib.wait import http_get, wait_until

SEGMENT = 8 << 20
SMALL = {"MANGABUS_SEGMENT": SEGMENT, "MANGABUS_JOURNAL_CHECKPOINT_BYTES": SEGMENT, "MANGABUS_JOURNAL_RETAIN_BYTES": 0}
ARCHIVES = [{"ArchiveName": "demo-all", "EventSourceArn": "demo"},
            {"ArchiveName": "demo-big", "EventSourceArn": "demo", "EventPattern": {"detail": {"size": ["big"]}}},
            {"ArchiveName": "demo-few-bytes", "EventSourceArn": "demo", "RetentionBytes": 1 << 20}]


@pytest.fixture
def archiving(make_broker):
    return make_broker(topology={**TOPOLOGY, "Archives": ARCHIVES}, env=SMALL).start()


def publish(client, count, **more):
    """So many events on bus demo; returns their ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    made = [event("note", {"size": "small" if nth % 5 else "big", "text": "x" * 2000}, id=ids[nth])
            for nth in range(count)]
    for at in range(0, count, 100):
        for result in client.publish_many("demo", made[at:at + 100], **more):
            accepted(result)
    return ids


def archived_by(broker):
    return sum(json.loads(line)["archived"] for line in broker.process.log().splitlines()
               if '"message":"snapshot taken"' in line)


def archived(broker, client, count):
    """Publishes, and fills the log until snapshots have taken all of it into archives; returns the ids in order."""
    before = archived_by(broker)
    ids = publish(client, count)
    while archived_by(broker) < before + 2 * count + len(ids[::5]):
        for result in client.publish_many("other", [event("filling", {"text": "x" * 100_000})] * 10):
            accepted(result)
    return ids


def folder_of(broker, archive):
    return broker.folder / "journal" / "archive" / archive


def events_of(broker, archive):
    return [record for file in read_archive(folder_of(broker, archive)) for record in file.records()]


def event_of(record):
    return unpack(bytes.fromhex(record["fields"]["body"]))


def test_a_stranger_reads_every_event_that_the_log_lost(archiving):
    broker = archiving
    client = broker.client()
    ids = archived(broker, client, 400)
    broker.process.stop()
    records = events_of(broker, "demo-all")
    assert [event_of(record)["id"] for record in records] == ids[:len(records)]
    assert len(records) == 400
    assert [r["seq"] for r in records] == sorted({r["seq"] for r in records})
    assert [r["ingest_us"] for r in records] == sorted(r["ingest_us"] for r in records)
    big = events_of(broker, "demo-big")
    assert [r["seq"] for r in big] == [r["seq"] for r in records if event_of(r)["detail"]["size"] == "big"]
    files = read_archive(folder_of(broker, "demo-all"))
    wanted = event_of(records[123])["id"]
    assert [event_of(r)["id"] for file in files for r in file.by_id(wanted)] == [wanted]


def test_a_restart_goes_on_with_an_archive_and_takes_nothing_twice(archiving):
    broker = archiving
    ids = archived(broker, broker.client(), 300)
    broker.kill()
    broker.start()
    ids += archived(broker, broker.client(), 300)
    broker.process.stop()
    found = [event_of(record)["id"] for record in events_of(broker, "demo-all")]
    assert found == ids


def test_what_a_replay_brought_and_what_was_addressed_is_not_archived(archiving):
    broker = archiving
    client = broker.client()
    again = publish(client, 20, replay_name="again")
    alone = publish(client, 20, to="queue:plain")
    ids = archived(broker, client, 300)
    found = {event_of(record)["id"] for record in events_of(broker, "demo-all")}
    assert found == set(ids) and not found & {*again, *alone}


def test_the_oldest_files_go_when_an_archive_has_its_bytes(archiving):
    broker = archiving
    ids = archived(broker, broker.client(), 1000)
    broker.process.stop()
    files = read_archive(folder_of(broker, "demo-few-bytes"))
    assert sum(len(file.data) for file in files) <= 1 << 20
    found = [event_of(record)["id"] for file in files for record in file.records()]
    assert found and found[0] != ids[0]
    assert found == ids[ids.index(found[0]):][:len(found)]


def test_mangactl_lists_reads_and_verifies_archives_beside_the_broker(archiving):
    broker = archiving
    ids = archived(broker, broker.client(), 300)
    state = {"MANGABUS_STATE": broker.folder}
    listed = {row["archive"]: row for row in json.loads(mangactl("archive", "ls", "--json", **state).stdout)}
    assert set(listed) == {"demo-all", "demo-big", "demo-few-bytes"}
    assert listed["demo-all"]["events"] > listed["demo-big"]["events"] > 0
    assert "demo-big" in mangactl("archive", "ls", **state).stdout
    info = json.loads(mangactl("archive", "info", "demo-all", "--json", **state).stdout)
    assert sum(row["events"] for row in info) == listed["demo-all"]["events"]
    read = mangactl("archive", "read", "demo-all", "--json", **state)
    lines = [json.loads(line) for line in read.stdout.splitlines()]
    assert [line["event"]["id"] for line in lines] == ids[:len(lines)]
    one = mangactl("archive", "read", "demo-all", "--id", ids[7], "--json", **state)
    assert [json.loads(line)["event"]["id"] for line in one.stdout.splitlines()] == [ids[7]]
    begin, end = lines[150]["ingest_time"], lines[250]["ingest_time"]
    some = mangactl("archive", "read", "demo-all", "--since", begin, "--until", end, "--json", **state)
    wanted = [line["record"] for line in lines if begin <= line["ingest_time"] < end]
    assert wanted and [json.loads(line)["record"] for line in some.stdout.splitlines()] == wanted
    few = mangactl("archive", "read", "demo-all", "--pattern", '{"detail":{"size":["big"]}}', "--count", "3", **state)
    assert few.returncode == 0 and len(few.stdout.splitlines()) == 3
    assert mangactl("archive", "read", "demo-all", "--id", "nobody", **state).returncode == 1
    assert mangactl("archive", "read", "no-such", **state).returncode == 1
    verified = mangactl("journal", "verify", "--running", "--json", **state)
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["archived"] >= sum(row["events"] for row in listed.values())


def test_a_changed_topology_is_held_against_archived_traffic(archiving, tmp_path):
    broker = archiving
    archived(broker, broker.client(), 300)
    state = {"MANGABUS_STATE": broker.folder}
    rule = {"Name": "big", "EventBusName": "demo", "EventPattern": {"detail": {"size": ["big"]}},
            "Targets": [{"Id": "t", "Arn": "plain"}]}
    for name, rules in (("before", []), ("after", [rule])):
        (tmp_path / f"{name}.json").write_text(json.dumps({**TOPOLOGY, "Rules": rules}))
    read = mangactl("archive", "read", "demo-all", "--json", **state).stdout
    times = [(line["ingest_time"], line["event"]["detail"]["size"]) for line in map(json.loads, read.splitlines())]
    begin, end = times[100][0], times[200][0]
    wanted = [size for at, size in times if begin <= at < end]
    files = ("rules", "diff", tmp_path / "before.json", tmp_path / "after.json")
    told = mangactl(*files, "--archive", "demo-all", "--from", begin, "--to", end, **state)
    assert told.returncode == 1 and f"{wanted.count('big')} of {len(wanted)} events" in told.stderr, told.stderr
    assert mangactl(*files, "--archive", "no-such", **state).returncode == 1
    assert mangactl(*files, "--archive", "demo-all", "--from", "soon", **state).returncode == 65
    assert mangactl(*files, "--archive", "demo-all", "--events", "x", **state).returncode == 65
    newest = mangactl("replay", "start", "--bus", "demo", "--to-file", "-", endpoint=broker.endpoint).stdout
    told = mangactl(*files, "--events", "-", stdin=newest)
    assert told.returncode == 1 and "60 of 300 events" in told.stderr, told.stderr


def test_an_archived_event_is_explained_by_its_id_or_record(archiving):
    broker = archiving
    ids = archived(broker, broker.client(), 300)
    state = {"MANGABUS_STATE": broker.folder, "endpoint": broker.endpoint}
    line = json.loads(mangactl("archive", "read", "demo-all", "--id", ids[5], "--json", **state).stdout)
    for words in (("--id", ids[5]), ("--record", line["record"])):
        done = mangactl("rule", "explain", *words, "--archive", "demo-all", **state)
        assert done.returncode == 1 and 'detail-type: wanted ["work"], found ["note"]' in done.stdout, done
    nobody = mangactl("rule", "explain", "--id", "nobody", "--archive", "demo-all", **state)
    assert nobody.returncode == 1 and "no such event" in nobody.stderr
    assert "no-such" in mangactl("rule", "explain", "--id", "x", "--archive", "no-such", **state).stderr


def test_a_damaged_archive_is_told_by_file_and_offset_and_the_broker_starts(archiving):
    broker = archiving
    archived(broker, broker.client(), 300)
    broker.process.stop()
    path = sorted(folder_of(broker, "demo-big").glob("*.archive"))[0]
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    state = {"MANGABUS_STATE": broker.folder}
    verified = mangactl("journal", "verify", **state)
    assert verified.returncode == 65 and f"demo-big/{path.name} is damaged at offset" in verified.stdout
    damage = json.loads(mangactl("journal", "verify", "--json", **state).stdout)["damage"]
    assert [d["file"] for d in damage] == [f"archive/demo-big/{path.name}"]
    read = mangactl("archive", "read", "demo-big", **state)
    assert read.returncode == 65 and path.name in read.stderr
    broker.start()
    broker.client().publish("demo", event("note", {"n": 1}))


def test_archived_events_are_counted(archiving):
    broker = archiving
    archived(broker, broker.client(), 100)
    wait_until(lambda: any(line.startswith("mangabus_broker_archived_total") and not line.endswith(" 0")
                           for line in http_get(broker.url + "/metrics")[1].splitlines()), "the metric")
