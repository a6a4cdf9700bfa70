"""mangactl journal: verify, dump and repair, on journals of real brokers and of a writer of every kind of record."""
import base64
import json
import subprocess

import msgpack
import pytest
from lib.mangabus_broker import Broker
from lib.mangabus_client import event, unpack
from lib.paths import bin_dir, build_dir, patience
from lib.process import clean_environment

WRITER = build_dir() / "tests/helpers/journal_write"


def mangactl(*arguments, **env):
    return subprocess.run([str(bin_dir() / "mangactl"), *map(str, arguments)], env=clean_environment(env), text=True,
                          capture_output=True, timeout=patience(60), check=False)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def broker(start, state_dir):
    made = Broker(start, state_dir).start()
    yield made
    made.close()


@pytest.fixture
def written(tmp_path):
    """(folder, what the writer says it wrote): records of every kind in several segments."""
    folder = tmp_path / "journal"
    done = subprocess.run([WRITER, folder, "3"], stdout=subprocess.PIPE, timeout=patience(60), check=True, text=True)
    return folder, lines(done.stdout)


def flip(path, offset, bit=4):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def flip_a_record(path):
    """A bit in the payload of the first record of the file; returns where its batch begins."""
    data, at = path.read_bytes(), 4096
    while int.from_bytes(data[at + 40:at + 44], "little") == 0:  # a proof
        at = (at + int.from_bytes(data[at + 44:at + 48], "little") + 7) // 8 * 8
    flip(path, at + 56 + 24)
    return at


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- verify ----------------------------------------------------------------------------------------------------
def test_a_whole_journal_is_told_file_by_file_and_in_sum(written):
    folder, records = written
    before = contents(folder)
    done = mangactl("journal", "verify", folder)
    assert done.returncode == 0 and "every checksum right" in done.stdout
    for path in folder.glob("*.journal"):
        assert path.name in done.stdout
    found = json.loads(mangactl("journal", "verify", folder, "--json").stdout)
    assert found["records"] == len(records) == sum(file["records"] for file in found["files"])
    assert found["segments"] == len(found["files"]) == len(list(folder.glob("*.journal")))
    assert found["damage"] == [] and found["lost"] == 0
    assert contents(folder) == before


def test_damage_is_told_with_file_offset_and_records_and_everything_behind_it_is_read(written):
    folder, records = written
    at = flip_a_record(folder / "0000000000000001.journal")
    flip_a_record(folder / "0000000000000003.journal")
    done = mangactl("journal", "verify", folder, "--json")
    assert done.returncode == 65
    found = json.loads(done.stdout)
    assert [damage["file"] for damage in found["damage"]] == ["0000000000000001.journal", "0000000000000003.journal"]
    assert found["damage"][0]["offset"] == at and found["damage"][0]["lost"] == [[1, 1]]
    assert found["records"] + found["lost"] == len(records)
    plain = mangactl("journal", "verify", folder)
    assert plain.returncode == 65 and f"0000000000000001.journal: offset {at}" in plain.stdout
    assert "mangactl journal repair" in plain.stderr
    assert mangactl("journal", "verify", "/nonexistent").returncode == 74


def test_a_running_brokers_journal_is_read_only_when_asked_so(broker):
    folder = broker.folder / "journal"
    client = broker.client()
    refused = mangactl("journal", "verify", folder)
    assert refused.returncode == 75 and "stop it first" in refused.stderr
    assert mangactl("journal", "repair", folder, "--yes").returncode == 75
    for n in range(20):
        client.publish("demo", event("work", {"n": n}))
        found = json.loads(mangactl("journal", "verify", folder, "--running", "--json").stdout)
        assert found["damage"] == [] and found["records"] > n
    shown = lines(mangactl("journal", "dump", folder, "--running", "--kind", "publish").stdout)
    assert [line["fields"]["body"]["detail"]["n"] for line in shown] == list(range(20))


# -- dump ------------------------------------------------------------------------------------------------------
def raw(value):
    """The bytes behind a body as the dump shows it."""
    if value is None:
        return b""
    if isinstance(value, dict) and set(value) == {"$text"}:
        return value["$text"].encode()
    if isinstance(value, dict) and set(value) == {"$bytes"}:
        return base64.b64decode(value["$bytes"])
    return None


def test_every_kind_of_record_is_shown_and_nothing_of_it_is_lost(written):
    folder, records = written
    shown = lines(mangactl("journal", "dump", folder).stdout)
    assert [line["record"] for line in shown] == [record["seq"] for record in records]
    assert [line["kind"] for line in shown] == [record["kind"] for record in records]
    assert len({line["kind"] for line in shown}) == 17
    for line, record in zip(shown, records):
        for name, wanted in record["fields"].items():
            value = line["fields"][name]
            if isinstance(wanted, (int, bool)):
                assert value == wanted
            elif isinstance(wanted, list):
                assert len(value) == len(wanted)
            elif isinstance(value, str):
                assert value.encode().hex() == wanted
            elif raw(value) is not None:
                assert raw(value).hex() == wanted
            elif isinstance(value, dict) and set(value) == {"$binary"}:
                assert base64.b64decode(value["$binary"]).hex() == wanted
            else:  # msgpack, as JSON
                assert msgpack.unpackb(bytes.fromhex(wanted), strict_map_key=False) is not None or wanted == "c0"


def test_a_dump_is_filtered_by_place_time_kind_bus_and_queue(broker):
    client = broker.client()
    for n in range(5):
        client.publish("demo", event("work", {"n": n}))
        client.publish("other", event("work", {"n": n}))
    client.send("plain", {"a": 1})
    broker.process.stop()
    folder = broker.folder / "journal"

    def dump(*options):
        done = mangactl("journal", "dump", folder, *options)
        assert done.returncode == 0, done.stderr
        return lines(done.stdout)

    everything = dump()
    assert len(dump("--bus", "demo")) == len(dump("--bus", "other")) == 5
    published = dump("--kind", "PUBLISH")
    assert len(published) == 10
    assert dump("--from", published[3]["record"], "--to", published[3]["record"]) == [published[3]]
    assert dump("--from", published[3]["ingest_time"], "--count", 1)[0]["ingest_time"] >= published[3]["ingest_time"]
    assert dump("--to", "1h") == [] and dump("--from", "1h") == everything
    spoken = dump("--queue", "plain")
    assert [line["kind"] for line in spoken] == ["TOPOLOGY", "SEND"] and spoken[1]["fields"]["body"] == {"a": 1}
    number = spoken[0]["fields"]["queues"]["plain"][1]
    assert dump("--queue", number) == spoken
    routed = dump("--queue", "work", "--kind", "publish")
    assert len(routed) == 5 and all(line["fields"]["bus"] == "demo" for line in routed)
    assert mangactl("journal", "dump", folder, "--kind", "nosuch").returncode == 64
    assert mangactl("journal", "dump", folder, "--from", "yesterday").returncode == 64


def test_a_dump_goes_on_behind_damage_and_says_so(written):
    folder, records = written
    at = flip_a_record(folder / "0000000000000002.journal")
    done = mangactl("journal", "dump", folder)
    assert done.returncode == 65 and f"0000000000000002.journal: offset {at}" in done.stderr
    assert len(records) - 1 == len(done.stdout.splitlines())


# -- repair ----------------------------------------------------------------------------------------------------
def published_offset(folder, marker):
    """Where in which file the bytes stand."""
    for path in sorted(folder.glob("*.journal")):
        at = path.read_bytes().find(marker)
        if at >= 0:
            return path, at
    raise AssertionError("not in the journal")


def test_a_broker_that_refuses_a_damaged_journal_starts_after_a_repair(broker, state_dir):
    client = broker.client()
    numbers = {n: client.publish("demo", event("work", {"n": n, "mark": f"marked-{n}-"}))["record"] for n in range(30)}
    sub = client.consume("work", messages=10)
    for delivery in client.deliveries(sub, 10):
        client.ack(delivery)
    broker.process.stop()
    folder = state_dir / "journal"
    path, at = published_offset(folder, b"marked-20-")
    flip(path, at)
    before = contents(folder)
    broker.process = broker._start("mangabus-broker", env=broker.env)
    assert broker.process.wait() == 74
    log = broker.process.log()
    assert f"{path.name} is damaged at offset" in log
    assert "mangactl journal verify" in log and "mangactl journal repair" in log
    assert contents(folder) == before

    dry = mangactl("journal", "repair", folder, "--dry-run", "--json")
    assert dry.returncode == 0 and json.loads(dry.stdout)["repaired"] is False
    assert mangactl("journal", "repair", folder).returncode == 65
    assert mangactl("journal", "repair", folder, "--yes", "--dry-run").returncode == 64
    assert contents(folder) == before
    done = json.loads(mangactl("journal", "repair", folder, "--yes", "--json").stdout)
    assert done["repaired"] and done["lost"] == 1
    assert done["damage"][0]["lost"] == [[numbers[20], numbers[20]]]
    assert (folder / "attic/1" / path.name).read_bytes() == before[path.relative_to(folder)]
    assert mangactl("journal", "verify", folder).returncode == 0
    assert "nothing is damaged" in mangactl("journal", "repair", folder, "--yes").stdout

    broker.start()
    assert "the journal was repaired: 1 records are lost" in broker.process.log()
    again = broker.client()
    left = again.deliveries(again.consume("work", messages=100), 19)
    assert {unpack(d["body"])["detail"]["n"] for d in left} == set(range(10, 30)) - {20}
    assert again.publish("demo", event("work", {"n": 31}))["record"] > max(numbers.values())
    broker.restart()
    assert mangactl("journal", "dump", folder, "--running", "--from", numbers[20], "--to", numbers[20]).returncode == 0


@pytest.mark.parametrize("damage", ["header", "cut", "missing"])
def test_damage_to_a_whole_file_is_repaired_too(written, damage):
    folder, records = written
    path = folder / "0000000000000002.journal"
    data = path.read_bytes()
    if damage == "header":
        flip(path, 50)
    elif damage == "cut":
        path.write_bytes(data[:8000])
    else:
        path.rename(folder / "elsewhere")
    assert mangactl("journal", "verify", folder).returncode == 65
    done = json.loads(mangactl("journal", "repair", folder, "--yes", "--json").stdout)
    assert (done["lost"] == 0) == (damage == "header")
    found = json.loads(mangactl("journal", "verify", folder, "--json").stdout)
    assert found["damage"] == [] and found["records"] == len(records)
    kept = folder / "attic/1" / path.name
    assert kept.exists() == (damage != "missing")
    notes = [line for line in lines(mangactl("journal", "dump", folder, "--kind", "note").stdout)
             if line["fields"]["event"] == "lost"]
    assert len(notes) == done["lost"]
