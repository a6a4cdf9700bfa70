"""A reader of the journal's files written from docs/journal-format.md alone: it takes even the records' fields
from the tables of the document, and finds what the broker's journal was given."""
import json
import re
import struct
import subprocess

import msgpack
import pytest
from lib.journal_records import ENTRIES, KINDS, crc, read_record
from lib.paths import bin_dir, build_dir

HELPER = build_dir() / "tests/helpers/journal_write"
FIRST_BATCH_AT = 4096


# ---- batches and segments ------------------------------------------------------------------------------
class Damage(Exception):
    """Something that had been synced is not there."""


def read_copy(folder):
    """(segment, generation, offset, content) of the copy of a tail; None when there is none that holds."""
    path = folder / "tail.copy"
    data = path.read_bytes() if path.exists() else b""
    if len(data) < FIRST_BATCH_AT:
        return None
    magic, version, checksum, segment, generation, offset, length, content_crc = \
        struct.unpack_from("<8sIIQQQQI", data)
    content = data[4096:4096 + length]
    if magic != b"MANGACPY" or version != 1 or crc(data[16:64]) != checksum or len(content) != length:
        return None
    return (segment, generation, offset, content) if crc(content) == content_crc else None


class Segment:
    def __init__(self, path, copy=None):
        self.data = path.read_bytes()
        magic, version, checksum, *rest = struct.unpack_from("<8sIIQQQQQQ", self.data)
        self.number, self.generation, self.first_seq, self.first_batch, self.salt, self.bytes = rest
        assert magic == b"MANGAJNL" and version == 1
        assert crc(self.data[16:64]) == checksum
        assert self.bytes == len(self.data)
        assert path.name == f"{self.number:016d}.journal"
        if copy and copy[:2] == (self.number, self.generation):
            self.data = self.data[:copy[2]] + copy[3] + self.data[copy[2] + len(copy[3]):]
            assert len(self.data) == self.bytes

    def headers(self, at):
        """(number, synced) of each batch header that holds at or behind an offset."""
        while 0 <= (at := self.data.find(b"MBBT", at)) <= self.bytes - 56:
            _, checksum, generation, number, synced = struct.unpack_from("<4sIQQQ", self.data, at)
            salted = crc(struct.pack("<Q", self.salt), self.data[at + 8:at + 56])
            if at % 8 == 0 and checksum == salted and generation == self.generation:
                yield number, synced
            at += 1

    def batches(self, number, seq):
        """(header, records) of each good batch, the first of which must have this number and sequence."""
        at = FIRST_BATCH_AT
        while at + 56 <= self.bytes:
            magic, checksum, generation, found, synced, first, count, length, records_crc, zero = \
                struct.unpack_from("<4sIQQQQIIII", self.data, at)
            salted = crc(struct.pack("<Q", self.salt), self.data[at + 8:at + 56])
            if magic != b"MBBT" or checksum != salted or generation != self.generation:
                return
            if found != number or first != seq or crc(self.data[at + 56:at + length]) != records_crc:
                return
            assert zero == 0 and synced < number
            records, done = [], at + 56
            for _ in range(count):
                size, record = read_record(self.data[done:at + length])
                records.append(record)
                done += size
            assert done == at + length
            yield number, synced, records
            number, seq, at = number + 1, seq + count, (at + length + 7) // 8 * 8


def check_end(segment, missing):
    """Batch `missing` is not in the newest segment: raises Damage when anything proves that it had been synced."""
    for number, synced in segment.headers(FIRST_BATCH_AT):
        if number > missing and synced >= missing:
            raise Damage(f"batch {missing} of segment {segment.number}")


def read_folder(folder):
    """Every record, and (number, synced, records) of the last batch."""
    records, last, before, copy = [], None, None, read_copy(folder)
    for path in sorted(folder.glob("*.journal")):
        segment = Segment(path, copy)
        assert before is None or segment.number == before.number + 1
        assert before is None or segment.generation > before.generation
        number = last[0] + 1 if last else segment.first_batch
        if segment.first_batch != number:
            raise Damage(f"batch {number} before segment {segment.number}")
        for batch in segment.batches(number, segment.first_seq):
            records += batch[2]
            last = batch
        before = segment
    check_end(before, last[0] + 1 if last else before.first_batch)
    return records, last


def plain(wanted, fields):
    """The helper's words in the reader's: maps travel as bytes, and are compared by meaning."""
    said = {}
    for name, kind in fields:
        value = wanted[name]
        if kind.startswith("list of "):
            entry = ENTRIES[re.fullmatch(r"list of `(\w+)`", kind)[1]]
            value = [plain(v, entry) for v in value]
        elif kind == "map or nil":
            value = msgpack.unpackb(bytes.fromhex(value), strict_map_key=False) if value else None
        said[name] = value
    return said


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_reader_made_of_the_document_finds_every_record(tmp_path, seed):
    folder = tmp_path / "journal"
    run = subprocess.run([HELPER, folder, str(seed)], stdout=subprocess.PIPE, timeout=60, check=True, text=True)
    wanted = [json.loads(line) for line in run.stdout.splitlines()]
    fields_of = {kind: fields for kind, fields in KINDS.values()}
    for record in wanted:
        record["fields"] = plain(record["fields"], fields_of[record["kind"]])
    records, (number, synced, rest) = read_folder(folder)
    assert {record["kind"] for record in wanted} == {kind for kind, _ in KINDS.values()}
    assert records == wanted
    assert len(list(folder.glob("*.journal"))) > 2
    # Closed in peace: the last batch is a proof of the one before it.
    assert rest == [] and synced == number - 1


# ---- tail, damage and copy -------------------------------------------------------------------------------
@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "journal"
    subprocess.run([HELPER, folder, "5"], stdout=subprocess.DEVNULL, timeout=60, check=True)
    return folder


def places(path):
    """(offset, end, number of records) of each batch of a file."""
    data, at, found = path.read_bytes(), FIRST_BATCH_AT, []
    while data[at:at + 4] == b"MBBT":
        count, length = struct.unpack_from("<II", data, at + 40)
        found.append((at, at + length, count))
        at = (at + length + 7) // 8 * 8
    return found


def overwrite(path, at, content):
    data = path.read_bytes()
    path.write_bytes(data[:at] + content + data[at + len(content):])


def verify(folder):
    return subprocess.run([bin_dir() / "mangactl", "journal", "verify", folder, "--json"], stdout=subprocess.PIPE,
                          timeout=60, check=False, text=True)


def test_a_reader_tells_a_commit_that_was_not_ended_from_damage_as_the_program_does(written):
    records, (number, _, _) = read_folder(written)
    newest = max(written.glob("*.journal"))
    whole = newest.read_bytes()
    (proof, _, none), (_, end, count) = places(newest)[-1], places(newest)[-2]
    assert none == 0 and count > 0
    overwrite(newest, proof + 20, b"\xff")  # the proof alone: the batch before it is there all the same
    assert read_folder(written)[0] == records and read_folder(written)[1][0] == number - 1
    assert verify(written).returncode == 0
    newest.write_bytes(whole)
    overwrite(newest, end - 1, bytes([whole[end - 1] ^ 1]))  # a batch that the proof says was synced
    with pytest.raises(Damage):
        read_folder(written)
    assert verify(written).returncode == 65
    overwrite(newest, proof, bytes(56))  # and nothing says so any more
    assert len(read_folder(written)[0]) == len(records) - count
    assert json.loads(verify(written).stdout)["records"] == len(records) - count
    newest.write_bytes(whole)
    first = min(written.glob("*.journal"))
    overwrite(first, places(first)[-1][0] + 16, b"\xff\xff")  # the next segment's header is the proof
    with pytest.raises(Damage):
        read_folder(written)


def test_a_reader_takes_from_the_copy_what_a_start_was_writing_anew(written):
    records, last = read_folder(written)
    newest = max(written.glob("*.journal"))
    at, _, _ = places(newest)[-2]
    content = newest.read_bytes()[at:places(newest)[-1][1]]
    number, generation = struct.unpack_from("<QQ", newest.read_bytes(), 16)
    rest = struct.pack("<QQQQI", number, generation, at, len(content), crc(content)) + bytes(12)
    copy = b"MANGACPY" + struct.pack("<II", 1, crc(rest)) + rest
    (written / "tail.copy").write_bytes(copy.ljust(4096, b"\0") + content + bytes(100))
    overwrite(newest, at, b"\xa5" * len(content))  # rubbish, as of a power cut
    assert read_folder(written) == (records, last)
    found = json.loads(verify(written).stdout)
    assert found["records"] == len(records) and found["damage"] == []
    overwrite(written / "tail.copy", 4096 + 60, b"\xff\xff\xff")  # a copy that does not hold is none
    assert len(read_folder(written)[0]) < len(records)


def test_the_document_describes_every_part_of_the_folder(tmp_path):
    folder = tmp_path / "journal"
    subprocess.run([HELPER, folder, "4"], stdout=subprocess.DEVNULL, timeout=60, check=True)
    for path in folder.iterdir():
        assert re.fullmatch(r"\d{16}\.(journal|spare)|tail\.copy|lock", path.name), path.name
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
