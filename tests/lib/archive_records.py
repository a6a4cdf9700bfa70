"""Archive files, read after docs/archive-format.md alone."""
import re
import struct

from lib.journal_records import crc, read_record

NAME = re.compile(r"(\d{16})-(\d{16})\.archive")
HEADER = struct.Struct("<8sIIQQQQqqQQQQII24s")


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


class ArchiveFile:
    def __init__(self, path):
        self.data = path.read_bytes()
        (magic, version, checksum, self.begin, self.through, self.first, self.last, self.first_us, self.last_us,
         self.count, self.index_at, self.ids_at, size, index_crc, ids_crc, zero) = HEADER.unpack_from(self.data)
        assert magic == b"MANGAARC" and version == 1 and zero == bytes(24) and size == len(self.data)
        assert crc(self.data[16:128]) == checksum
        assert crc(self.data[self.index_at:self.ids_at]) == index_crc and crc(self.data[self.ids_at:]) == ids_crc
        assert tuple(map(int, NAME.fullmatch(path.name).groups())) == (self.begin, self.through)
        self.blocks = list(struct.iter_unpack("<QqQQ", self.data[self.index_at:self.ids_at]))
        self.ids = list(struct.iter_unpack("<QQ", self.data[self.ids_at:]))
        assert self.ids == sorted(self.ids) and len(self.ids) == self.count

    def records_at(self, at, end):
        while at < end:
            length, record = read_record(self.data[at:end])
            yield at, record
            at += length
        assert at == end

    def records(self):
        """All of them; every entry of both indexes must lead to one."""
        ends = [block[2] for block in self.blocks[1:]] + [self.index_at]
        offsets, found = [], []
        for (seq, ingest_us, offset, count), end in zip(self.blocks, ends):
            block = list(self.records_at(offset, end))
            assert len(block) == count
            assert (block[0][1]["seq"], block[0][1]["ingest_us"]) == (seq, ingest_us)
            assert end - offset <= 32768 or count == 1
            offsets += [at for at, _ in block]
            found += [record for _, record in block]
        assert self.blocks[0][2] == 128 and sorted(offset for _, offset in self.ids) == offsets
        assert (found[0]["seq"], found[-1]["seq"]) == (self.first, self.last)
        assert (found[0]["ingest_us"], found[-1]["ingest_us"]) == (self.first_us, self.last_us)
        return found

    def by_id(self, event_id):
        """The records whose event may have this id."""
        return [read_record(self.data[offset:self.index_at])[1] for hash_, offset in self.ids
                if hash_ == fnv1a(event_id.encode())]


def read_archive(folder):
    """Files of an archive, oldest first, without remains."""
    files = sorted((ArchiveFile(path) for path in folder.glob("*.archive") if NAME.fullmatch(path.name)),
                   key=lambda file: (file.begin, -file.through))
    kept, end = [], 0
    for file in files:
        if file.through > end:
            kept.append(file)
            end = file.through
    return kept
