"""Snapshots: the log is given back, one old message does not pin it, and a start does not read what is in them."""
import json
import re
import struct
import subprocess

import msgpack
import pytest
from lib.journal_records import DOCUMENT, crc, read_record
from lib.mangabus_client import event, pack, unpack
from lib.paths import bin_dir, patience
from lib.process import clean_environment
from lib.wait import http_get, wait_until

MIB = 1 << 20
SEGMENT = 8 * MIB
SMALL = {"MANGABUS_SEGMENT": SEGMENT, "MANGABUS_JOURNAL_CHECKPOINT_BYTES": SEGMENT, "MANGABUS_JOURNAL_RETAIN_BYTES": 0}
MESSAGE = pack("x" * 60_000)


def disk_bytes(broker):
    return sum(path.stat().st_size for path in (broker.folder / "journal").iterdir())


def lines(broker, message):
    return [json.loads(line) for line in broker.process.log().splitlines() if f'"message":"{message}"' in line]


def write_and_ack(client, sub, mebibytes):
    for _ in range(mebibytes // 2):
        client.send_many("plain", [MESSAGE] * 35)
        client.ack(*client.deliveries(sub, 35))
        client.credit(sub, messages=35, size=3 * MIB)


def newest(broker):
    return max((line["record"] for line in lines(broker, "snapshot taken")), default=0)


def wait_for_snapshot(broker, behind):
    wait_until(lambda: newest(broker) > behind, "a snapshot", 60)


@pytest.fixture
def small(make_broker):
    """A running broker with the smallest segments, and snapshots as often as they allow."""
    return make_broker(env=SMALL).start()


def test_one_old_message_does_not_pin_the_disk(small):
    broker = small
    client = broker.client()
    old = client.send("work", {"old": True})
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    for _ in range(3):
        before = newest(broker)
        write_and_ack(client, sub, 3 * SEGMENT // MIB)
        wait_for_snapshot(broker, before)
    # four spares, the open segment, what came behind the last snapshot
    wait_until(lambda: disk_bytes(broker) < 9 * SEGMENT, "the disk's being given back", 60)
    kept = [path for path in (broker.folder / "journal").iterdir() if path.suffix == ".kept"]
    # the old one, and what was on its way at that moment
    assert len(kept) == 1 and kept[0].stat().st_size < 36 * len(MESSAGE)

    taken = newest(broker)
    broker.restart()
    recovered = lines(broker, "journal recovered")[-1]
    assert recovered["snapshot"] >= taken > old["record"]
    client = broker.client()
    delivery = client.deliveries(client.consume("work"), 1)[0]
    assert delivery["record"] == old["record"] and unpack(delivery["body"]) == {"old": True}


def test_messages_dedup_keys_and_producers_are_what_they_were_after_a_start_from_a_snapshot(small):
    broker = small
    client = broker.client(producer="p", epoch=1)
    first = client.publish("demo", event("work", {"n": 1}), dedup="key")
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, first["record"])
    broker.restart()
    assert lines(broker, "journal recovered")[-1]["snapshot"] > first["record"]
    again = broker.client(producer="p", epoch=2)
    answer = again.publish("demo", event("work", {"n": 1}), dedup="key")
    assert answer["duplicate"] and answer["record"] == first["record"]
    found = again.deliveries(again.consume("work"), 1)
    assert [unpack(d["body"])["detail"]["n"] for d in found] == [1]


def test_a_listener_that_comes_back_for_what_is_gone_gets_a_gap(small):
    broker = small
    client = broker.client()
    first = client.publish("demo", event("tick", {"n": 1}))["record"]
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, first)
    assert lines(broker, "snapshot taken")[-1]["segments_released"] > 0
    listener = broker.client()
    live = listener.listen("demo", **{"from": first})
    gap = listener.next("GAP")
    assert gap["from"] == first and gap["next"] > first
    client.publish("demo", event("tick", {"n": 2}))
    assert [unpack(d["body"])["detail"]["n"] for d in listener.deliveries(live, 1)] == [2]


def test_the_metrics_tell_of_snapshots(small):
    broker = small
    client = broker.client()
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, 0)
    _, text = http_get(broker.url + "/metrics")
    assert float(re.search(r"^mangabus_broker_snapshots_total (\S+)$", text, re.MULTILINE)[1]) >= 1
    for name in ("snapshot_last_seconds", "snapshot_last_bytes", "journal_kept_bytes", "journal_kept_live_ratio",
                 "journal_recovery_seconds", "journal_unsnapshotted_bytes", "journal_kept_files"):
        assert re.search(rf"^mangabus_broker_{name} \S+$", text, re.MULTILINE), name


def test_a_damaged_snapshot_is_refused_by_file_and_offset_and_left_alone(small):
    broker = small
    client = broker.client()
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, 0)
    wait_until(lambda: len(lines(broker, "snapshot begins")) == len(lines(broker, "snapshot taken")), "its end", 60)
    broker.kill()
    path = sorted((broker.folder / "journal").glob("*.snapshot"))[-1]
    good = path.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 8
    path.write_bytes(bad)
    files = sorted(p.name for p in (broker.folder / "journal").iterdir())
    with pytest.raises(Exception):
        broker.start()
    assert re.search(rf"{path.name} is damaged at offset \d+", broker.process.log())
    assert sorted(p.name for p in (broker.folder / "journal").iterdir()) == files
    path.write_bytes(good)
    broker.start()


# ---- mangactl on such a folder ---------------------------------------------------------------------------
def mangactl(*arguments):
    return subprocess.run([str(bin_dir() / "mangactl"), "journal", *map(str, arguments)], env=clean_environment({}),
                          text=True, capture_output=True, timeout=patience(60), check=False)


def with_kept_file(broker):
    """Three old messages whose segment is given back; returns their records. The broker is stopped."""
    client = broker.client()
    old = [client.send("work", {"old": n, "mark": f"marked-{n}-"})["record"] for n in range(3)]
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, old[-1])
    wait_until(lambda: len(lines(broker, "snapshot begins")) == len(lines(broker, "snapshot taken")), "its end", 60)
    broker.kill()
    return old


def flip(path, marker):
    data = bytearray(path.read_bytes())
    data[data.index(marker)] ^= 4
    path.write_bytes(data)


def test_verify_and_dump_tell_of_snapshots_and_kept_records(small):
    broker = small
    old = with_kept_file(broker)
    folder = broker.folder / "journal"
    found = json.loads(mangactl("verify", folder, "--json").stdout)
    assert found["damage"] == [] and found["snapshot"] >= found["released"] > old[-1]
    names = {path.name for path in folder.iterdir() if path.suffix in (".journal", ".snapshot", ".kept")}
    assert {file["file"] for file in found["files"]} == names
    assert {file["is"] for file in found["files"]} == {"segment", "snapshot", "kept"}
    plain = mangactl("verify", folder)
    assert plain.returncode == 0 and all(name in plain.stdout for name in names)
    dumped = mangactl("dump", folder)
    records = [json.loads(line)["record"] for line in dumped.stdout.splitlines()]
    assert records == sorted(records) and records[:3] == old and len(records) == found["records"]
    assert f"the log begins with record {found['released'] + 1}" in dumped.stderr


def test_a_running_brokers_journal_verifies_while_checkpoints_come_and_go(small):
    broker = small
    client = broker.client()
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    seen = set()
    for _ in range(80):
        client.send("work", {"a": 1})
        write_and_ack(client, sub, SEGMENT // MIB)
        done = mangactl("verify", broker.folder / "journal", "--running", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        seen.add(json.loads(done.stdout)["snapshot"])
        if len(seen) > 4:
            return
    pytest.fail(f"too few checkpoints: {seen}")


def test_a_damaged_kept_record_costs_its_message_alone_and_is_told(small):
    broker = small
    old = with_kept_file(broker)
    folder = broker.folder / "journal"
    kept, = folder.glob("*.kept")
    flip(kept, b"marked-1-")
    damaged = kept.read_bytes()
    done = mangactl("verify", folder, "--json")
    damage, = json.loads(done.stdout)["damage"]
    assert done.returncode == 65 and damage["file"] == kept.name and damage["lost_records"] == 1
    assert damage["first"] == old[1] and not damage["refused"]
    repaired = mangactl("repair", folder, "--yes", "--json")
    assert repaired.returncode == 0 and json.loads(repaired.stdout)["lost"] == 1
    assert (folder / "attic/1" / kept.name).read_bytes() == damaged
    assert mangactl("verify", folder).returncode == 0
    for _ in range(2):  # from the repaired file, and from one that a checkpoint made of it
        broker.start()
        assert "the bytes of 1 messages" in broker.process.log()
        client = broker.client()
        assert client.queue_info("work")["lost"] == 1 and client.queue_info("plain")["lost"] == 0
        assert 'mangabus_broker_queue_lost_messages{queue="work"} 1' in http_get(broker.url + "/metrics")[1]
        told = subprocess.run([str(bin_dir() / "mangactl"), "doctor", "--no-disk", "--json"], text=True,
                              capture_output=True, timeout=patience(60), check=False,
                              env=clean_environment({"MANGABUS_ENDPOINT": broker.endpoint,
                                                     "MANGABUS_STATE": broker.folder}))
        line, = [json.loads(line) for line in told.stdout.splitlines() if '"check":"messages"' in line]
        assert told.returncode == 1 and line["verdict"] == "FAIL" and "1 messages in queue work" in line["text"]
        behind = newest(broker)
        write_and_ack(client, client.consume("plain", messages=1000, size=64 * MIB), 3 * SEGMENT // MIB)
        wait_for_snapshot(broker, behind)
        broker.process.stop()
    broker.start()
    client = broker.client()
    found = client.deliveries(client.consume("work"), 2)
    assert [d["record"] for d in found] == [old[0], old[2]]
    wait_until(lambda: f'"record":{old[1]}' in broker.process.log(), "a word about the lost one")
    client.admin("QUEUE", "purge", "work")
    assert client.queue_info("work")["lost"] == 0


def test_a_damaged_snapshot_is_made_good_by_the_log_while_that_is_there(make_broker):
    broker = make_broker(env=SMALL | {"MANGABUS_JOURNAL_RETAIN_BYTES": 1024 * MIB}).start()
    old = with_kept_file(broker)
    folder = broker.folder / "journal"
    snapshot, = folder.glob("*.snapshot")
    snapshot.write_bytes(snapshot.read_bytes()[:-5])
    assert mangactl("verify", folder).returncode == 65
    repaired = mangactl("repair", folder, "--yes", "--json")
    assert repaired.returncode == 0 and json.loads(repaired.stdout)["lost"] == 0
    assert (folder / "attic/1" / snapshot.name).exists() and not snapshot.exists()
    broker.start()
    client = broker.client()
    assert [d["record"] for d in client.deliveries(client.consume("work"), 3)] == old


def test_a_damaged_snapshot_whose_log_is_gone_is_beyond_repair_by_name(small):
    broker = small
    with_kept_file(broker)
    folder = broker.folder / "journal"
    snapshot, = folder.glob("*.snapshot")
    snapshot.write_bytes(snapshot.read_bytes()[:-5])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = mangactl("repair", folder, "--yes")
    assert done.returncode != 0 and "cannot be repaired" in done.stderr and "snapshot" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# ---- a stranger reads the files, from docs/journal-format.md alone -------------------------------------
def item_layouts():
    """{number: (item, [(field, type)])} of the document's table of snapshot items."""
    text = DOCUMENT.read_text()
    text = text[text.index("<!-- items:begin -->"):text.index("<!-- items:end -->")]
    return {int(re.search(r"^`\[(\d+), …\]`", section, re.MULTILINE)[1]):
            (section.split("\n", 1)[0], re.findall(r"^\| `(\w+)` \| (.+?) \| ", section, re.MULTILINE))
            for section in text.split("\n### Item ")[1:]}


def read_items(data, layouts):
    while data:
        length = struct.unpack_from("<I", data)[0]
        unpacker = msgpack.Unpacker(strict_map_key=False, raw=False)
        unpacker.feed(data[4:4 + length])
        kind, *values = unpacker.unpack()
        name, fields = layouts[kind]
        assert len(values) == len(fields)
        yield name, dict(zip((field for field, _ in fields), values))
        data = data[4 + length:]


def read_snapshot(path):
    """(newest record, released, [items], [kept files])"""
    data, items, kept, at, place = path.read_bytes(), [], [], 64, 0
    magic, version, checksum, newest, released, _, _, size, number = struct.unpack_from("<8sIIQQqQQQ", data)
    assert magic == b"MANGASNP" and version == 1 and checksum == crc(data[16:64]) and size == len(data)
    assert path.name == f"{number:016d}.snapshot"
    kind = 0
    while kind != 3:
        kind, length, found, checksum = struct.unpack_from("<IIII", data, at)
        content = data[at + 16:at + 16 + length]
        assert found == place and checksum == crc(data[at:at + 12], content)
        if kind == 1:
            items += read_items(content, item_layouts())
        elif kind == 2:
            kept = [struct.unpack_from("<QQQQQ", content, n) for n in range(0, length, 40)]
        at, place = at + 16 + length, place + 1
    assert at == len(data)
    return newest, released, items, kept


def read_kept(path):
    """The records of a kept file, found by its index."""
    data = path.read_bytes()
    magic, version, checksum, first, last, count, end, size, index_crc, zero = struct.unpack_from("<8sIIQQQQQII", data)
    assert magic == b"MANGAKPT" and version == 1 and checksum == crc(data[16:64]) and size == len(data) and zero == 0
    assert index_crc == crc(data[end:])
    index = [struct.unpack_from("<QQQ", data, at) for at in range(end, size, 24)]
    records = []
    for n, (seq, at, in_block) in enumerate(index):
        block = []
        while at < (index[n + 1][1] if n + 1 < len(index) else end):
            length, record = read_record(data[at:end])
            block.append(record)
            at += length
        assert len(block) == in_block and block[0]["seq"] == seq
        records += block
    assert len(records) == count and (records[0]["seq"], records[-1]["seq"]) == (first, last)
    return records


def test_a_reader_made_of_the_document_finds_what_a_snapshot_and_its_kept_files_hold(small):
    broker = small
    client = broker.client()
    old = [client.send("work", {"old": n})["record"] for n in range(3)]
    sub = client.consume("plain", messages=1000, size=64 * MIB)
    write_and_ack(client, sub, 2 * SEGMENT // MIB)
    wait_for_snapshot(broker, old[-1])
    wait_until(lambda: len(lines(broker, "snapshot begins")) == len(lines(broker, "snapshot taken")), "its end", 60)
    broker.kill()
    folder = broker.folder / "journal"
    newest_record, released, items, kept = read_snapshot(*folder.glob("*.snapshot"))
    assert newest_record == newest(broker) >= released > old[-1]
    kinds = [kind for kind, _ in items]
    assert kinds[0] == "CORE" and kinds[-1] == "END" and items[-1][1]["items"] == len(items) - 1
    queues = {fields["name"]: fields["queue"] for kind, fields in items if kind == "QUEUE"}
    messages = [fields for kind, fields in items if kind == "MESSAGE" and fields["queue"] == queues["work"]]
    assert [message["record"] for message in messages] == old
    records = {}
    for made, first, _, count, size in kept:
        path = folder / f"{made:016d}-{first:016d}.kept"
        found = read_kept(path)
        assert len(found) == count and path.stat().st_size == size
        records.update((record["seq"], record) for record in found)
    assert [unpack(bytes.fromhex(records[seq]["fields"]["body"])) for seq in old] == [{"old": n} for n in range(3)]
