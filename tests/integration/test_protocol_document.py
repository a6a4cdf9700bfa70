"""docs/protocol.md: what stands there is what travels."""
import re

import pytest
from lib.mangabus_client import LAYOUTS, NUMBERS, decode, msgpack
from lib.paths import ROOT

DOCUMENT = (ROOT / "docs/protocol.md").read_text()
KINDS = {"U64": "u", "I64": "i", "BOOL": "t", "STR": "s", "BIN": "x", "MAP": "m", "BODY": "b"}


def documented_frames():
    section = DOCUMENT.split("## A session in bytes")[1].split("```")[1]
    for block in re.split(r"^(?=[CB] [A-Z])", section, flags=re.MULTILINE)[1:]:
        head, _, rest = block.partition("\n")
        yield head.split()[1], bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", rest, re.MULTILINE)))


@pytest.mark.parametrize("verb,data", documented_frames())
def test_the_documented_bytes_say_what_they_claim(verb, data):
    frame = decode(data)
    assert frame.verb == verb
    if frame.get("entries"):
        assert msgpack.unpackb(frame["entries"][0]["body"])["detail"] == {"to": "you"}


def rows_of(text, name):
    """[(field, type or [rows of its entry])] as proto/wire.h defines them."""
    body = re.search(rf"#define {name}\(F, L\)((?:.*\\\n)*.*)", text).group(1)
    rows = []
    for kind, rest in re.findall(r"\b([FL])\(((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*)\)", body):
        parts = [part.strip() for part in rest.split(",")]
        entry = f"WIRE_{parts[0].upper()}"
        rows.append((parts[1], KINDS[parts[0]] if kind == "F" else rows_of(text, entry)))
    return rows


def test_the_client_that_shares_no_code_knows_the_same_verbs_and_fields():
    text = (ROOT / "proto/wire.h").read_text()
    verbs = re.findall(r"V\((\d+), ([A-Z_]+), [a-z_]+, \"[CBX]\", (\w+),", text)
    assert {name: int(number) for number, name, _ in verbs} == NUMBERS
    for _, name, rows in verbs:
        assert rows_of(text, rows) == LAYOUTS[name], name


def test_every_verb_has_its_row_in_the_document():
    for verb in NUMBERS:
        assert re.search(rf"\b{verb}\b", DOCUMENT), verb
