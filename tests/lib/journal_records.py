"""Records of the journal's files, read after docs/journal-format.md alone: the tables of the document are the code."""
import re
import struct

import msgpack
from lib.paths import ROOT

DOCUMENT = ROOT / "docs/journal-format.md"


# ---- CRC-32C ---------------------------------------------------------------------------------------
def make_crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = make_crc_table()


def crc(*parts):
    value = 0xFFFFFFFF
    for byte in b"".join(parts):
        value = (value >> 8) ^ CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


# ---- the tables of the document ---------------------------------------------------------------------
def layouts():
    """({number: (kind, fields)}, {entry: fields}); a field is (name, type)."""
    text = DOCUMENT.read_text()
    text = text[text.index("<!-- records:begin -->"):text.index("<!-- records:end -->")]
    kinds, entries = {}, {}
    for section in text.split("\n### ")[1:]:
        title = section.split("\n", 1)[0]
        fields = re.findall(r"^\| `(\w+)` \| (.+?) \| ", section, re.MULTILINE)
        number = re.search(r"^`\[(\d+), …\]`", section, re.MULTILINE)
        if number:
            kinds[int(number[1])] = (title, fields)
        else:
            entries[re.fullmatch(r"Entry `(\w+)`", title)[1]] = fields
    return kinds, entries


KINDS, ENTRIES = layouts()


# ---- records -----------------------------------------------------------------------------------------
class Payload:
    """One record's payload: the array, then the bodies."""

    def __init__(self, data):
        unpacker = msgpack.Unpacker(strict_map_key=False, raw=False)
        unpacker.feed(data)
        self.array = unpacker.unpack()
        self.bodies = data[unpacker.tell():]

    def value(self, kind, value):
        if kind.startswith("list of "):
            fields = ENTRIES[re.fullmatch(r"list of `(\w+)`", kind)[1]]
            return [self.fields(fields, entry) for entry in value]
        if kind == "body":
            body, self.bodies = self.bodies[:value], self.bodies[value:]
            assert len(body) == value
            return body.hex()
        return {"unsigned": lambda v: v, "integer": lambda v: v, "boolean": lambda v: v,
                "string": lambda v: v.encode().hex(), "binary": bytes.hex, "map or nil": lambda v: v}[kind](value)

    def fields(self, fields, values):
        assert len(values) == len(fields)
        return {name: self.value(kind, value) for (name, kind), value in zip(fields, values)}

    def read(self):
        kind, fields = KINDS[self.array[0]]
        read = self.fields(fields, self.array[1:])
        assert self.bodies == b""
        return kind, read


def read_record(data):
    length, checksum, seq, ingest_us = struct.unpack_from("<IIQq", data)
    assert crc(data[8:length]) == checksum
    kind, fields = Payload(data[24:length]).read()
    return length, {"seq": seq, "ingest_us": ingest_us, "kind": kind, "fields": fields}
