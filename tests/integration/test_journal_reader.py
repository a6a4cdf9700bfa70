"""A reader of the journal's files written from docs/journal-format.md alone: it takes even the records' fields
from the tables of the document, and finds what the broker's journal was given."""
import json
import re
import struct
import subprocess

import msgpack
import pytest
from lib.journal_records import ENTRIES, KINDS, crc, read_record
from lib.paths import build_dir

HELPER = build_dir() / "tests/helpers/journal_write"
FIRST_BATCH_AT = 4096


# ---- batches and segments ------------------------------------------------------------------------------
class Segment:
    def __init__(self, path):
        self.data = path.read_bytes()
        magic, version, checksum, *rest = struct.unpack_from("<8sIIQQQQQQ", self.data)
        self.number, self.generation, self.first_seq, self.first_batch, self.salt, self.bytes = rest
        assert magic == b"MANGAJNL" and version == 1
        assert crc(self.data[16:64]) == checksum
        assert self.bytes == len(self.data)
        assert path.name == f"{self.number:016d}.journal"

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


def read_folder(folder):
    """Every record, and (number, synced, records) of the last batch."""
    records, last, before = [], None, None
    for path in sorted(folder.glob("*.journal")):
        segment = Segment(path)
        assert before is None or segment.number == before.number + 1
        assert before is None or segment.generation > before.generation
        number = last[0] + 1 if last else segment.first_batch
        assert segment.first_batch == number
        for batch in segment.batches(number, segment.first_seq):
            records += batch[2]
            last = batch
        before = segment
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


def test_the_document_describes_every_part_of_the_folder(tmp_path):
    folder = tmp_path / "journal"
    subprocess.run([HELPER, folder, "4"], stdout=subprocess.DEVNULL, timeout=60, check=True)
    for path in folder.iterdir():
        assert re.fullmatch(r"\d{16}\.(journal|spare)|tail\.copy|lock", path.name), path.name
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
