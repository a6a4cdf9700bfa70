"""Bits flipped and files cut under the real broker: it starts and is right, or refuses, names file and offset, and leaves
every file as it was. A sample; tests/unit/test_journal_crash.c and test_journal_repair.c have every bit."""
import random
import re
import shutil

import pytest
from lib.mangabus_broker import Broker
from lib.mangabus_client import event, pack, unpack
from lib.wait import wait_until

MESSAGES = 40
SAMPLES = 24


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def written(start, state_dir):
    """(broker, stopped; its journal, kept aside; what is in the queue)."""
    broker = Broker(start, state_dir, env={"MANGABUS_SEGMENT": "8MiB"}).start()
    client = broker.client()
    for n in range(MESSAGES):
        client.publish("demo", event("work", {"n": n}))
    client.ack(*client.receive_all("work", 10))
    wait_until(lambda: ends_with_proof(state_dir / "journal"), "the proof that an idle broker writes")
    broker.kill()
    kept = state_dir / "kept"
    shutil.copytree(state_dir / "journal", kept)
    yield broker, kept, list(range(10, MESSAGES))
    broker.close()


def batches(data):
    """(offset, end) of each."""
    at = 4096
    while data[at:at + 4] == b"MBBT":
        end = at + int.from_bytes(data[at + 44:at + 48], "little")
        yield at, end
        at = (end + 7) // 8 * 8


def ends_with_proof(folder):
    """True when the newest batch holds no records."""
    data = max(folder.glob("*.journal")).read_bytes()
    *_, (at, _) = batches(data)
    return int.from_bytes(data[at + 40:at + 44], "little") == 0


def used_bytes(data):
    *_, (_, end) = batches(data)
    return (end + 7) // 8 * 8


def lay_out(folder, kept):
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def check(broker, expected):
    """Starts it; True when it came up (then its queue is right), False when it refused as it should."""
    folder = broker.folder / "journal"
    before = contents(folder)
    broker.process = broker._start("mangabus-broker", env=broker.env)
    broker.process.wait_for(lambda: '"message":"ready"' in broker.process.log() or not broker.process.running() or None,
                            "an end")
    if not broker.process.running():
        assert broker.process.popen.returncode == 74
        log = broker.process.log()
        assert re.search(r"\.(journal|snapshot|kept) is damaged at offset \d+|\.journal: .*offset", log)
        assert "mangactl journal repair" in log
        after = contents(folder)
        assert all(after[name] == data for name, data in before.items()), "a refused journal was changed"
        return False
    deliveries = broker.client().receive_all("work", len(expected))
    assert [unpack(delivery["body"])["detail"]["n"] for delivery in deliveries] == expected
    broker.kill()
    return True


def test_a_flipped_bit_is_harmless_or_refused(written):
    broker, kept, expected = written
    folder = broker.folder / "journal"
    name = max(path.name for path in kept.glob("*.journal"))
    data = (kept / name).read_bytes()
    chance = random.Random(4)
    places = [chance.randrange(0, 64) for _ in range(4)] + [chance.randrange(4096, used_bytes(data) - 56)
                                                         for _ in range(SAMPLES)]
    came_up = []
    for place in places + [used_bytes(data) + 100, len(data) - 1]:
        lay_out(folder, kept)
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(changed)
        if check(broker, expected):
            came_up.append(place)
    assert came_up and all(place >= used_bytes(data) or is_padding(data, place) for place in came_up), came_up


def is_padding(data, place):
    """Between two batches, where nothing is."""
    return any(end <= place < (end + 7) // 8 * 8 for _, end in batches(data))


def test_a_file_cut_short_is_refused_and_left(written):
    broker, kept, expected = written
    folder = broker.folder / "journal"
    name = max(path.name for path in kept.glob("*.journal"))
    data = (kept / name).read_bytes()
    chance = random.Random(5)
    for length in [0, 1, 63, 4096, used_bytes(data), len(data) - 1] + [chance.randrange(len(data)) for _ in range(6)]:
        lay_out(folder, kept)
        (folder / name).write_bytes(data[:length])
        assert not check(broker, expected)


def test_the_last_commit_alone_may_be_cut_and_only_where_nothing_proves_it(written):
    broker, kept, expected = written
    folder = broker.folder / "journal"
    name = max(path.name for path in kept.glob("*.journal"))
    data = bytearray((kept / name).read_bytes())
    end = used_bytes(data)
    lay_out(folder, kept)
    data[end - 56 + 20] ^= 1  # the proof itself: nothing is lost with it
    (folder / name).write_bytes(data)
    assert check(broker, expected)


# ---- with a snapshot and a kept file ---------------------------------------------------------------------
@pytest.fixture
def folded(start, state_dir):
    """As `written`, of a broker that has given most of its log back."""
    small = {"MANGABUS_SEGMENT": "8MiB", "MANGABUS_JOURNAL_CHECKPOINT_BYTES": "8MiB",
             "MANGABUS_JOURNAL_RETAIN_BYTES": "0"}
    broker = Broker(start, state_dir, env=small).start()
    client = broker.client()
    for n in range(MESSAGES):
        client.publish("demo", event("work", {"n": n}))
    for _ in range(10):
        client.send_many("plain", [pack("x" * 60_000)] * 35)
        client.ack(*client.receive_all("plain", 35))
    wait_until(lambda: list((state_dir / "journal").glob("*.kept")), "a kept file", 60)
    wait_until(lambda: broker.process.log().count('"snapshot begins"') == broker.process.log().count('"snapshot taken"'),
               "the end of its checkpoint", 60)
    broker.kill()
    kept = state_dir / "kept"
    shutil.copytree(state_dir / "journal", kept)
    yield broker, kept, list(range(MESSAGES))
    broker.close()


@pytest.mark.parametrize("kind", ["snapshot", "kept"])
def test_a_damaged_snapshot_or_index_is_refused_and_left(folded, kind):
    broker, kept, expected = folded
    folder = broker.folder / "journal"
    name = max(path.name for path in kept.glob(f"*.{kind}"))
    data = (kept / name).read_bytes()
    index = int.from_bytes(data[40:48], "little") if kind == "kept" else 64
    chance = random.Random(6)
    for place in [2, 12, 16, 50] + [chance.randrange(index, len(data)) for _ in range(6)]:
        lay_out(folder, kept)
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(changed)
        assert not check(broker, expected), place
    for length in [0, 63, len(data) - 1, chance.randrange(len(data))]:
        lay_out(folder, kept)
        (folder / name).write_bytes(data[:length])
        assert not check(broker, expected), length
    lay_out(folder, kept)
    assert check(broker, expected)
