"""JSON to msgpack and back, held against Python's own json and msgpack, byte for byte."""
import base64
import decimal
import json
import math
import random
import re
import struct
import subprocess
import sys

import msgpack
import pytest
from lib.paths import ROOT, build_dir

HELPER = build_dir() / "tests/helpers/json_roundtrip"
SEED = 20240607
decimal.getcontext().prec = 2000
sys.setrecursionlimit(20000)  # this side of the comparison does recurse


# ---- the converter under test --------------------------------------------------------------------
def convert(requests):
    """[(direction, document)] -> [(good, bytes)], all in one process."""
    asked = b"".join(d.encode() + struct.pack(">I", len(document)) + document for d, document in requests)
    run = subprocess.run([HELPER], input=asked, stdout=subprocess.PIPE, timeout=300, check=True)
    answers, at = [], 0
    while at < len(run.stdout):
        good, size = struct.unpack_from(">BI", run.stdout, at)
        answers.append((bool(good), run.stdout[at + 5:at + 5 + size]))
        at += 5 + size
    assert len(answers) == len(requests)
    return answers


# ---- the mapping of docs/json-msgpack.md, said again in Python -----------------------------------
class Text(str):
    """A number that travels as its text."""


class Pairs(list):
    """An object: its pairs in order, duplicates and all."""


class Refused(Exception):
    pass


def integer(text):
    if text == "-0":
        return -0.0
    return int(text) if len(text) <= 20 and -2**63 <= int(text) < 2**64 else Text(text)


def fraction(text):
    digits, _, exponent = text.lower().partition("e")
    if not re.search("[1-9]", digits):
        return float(digits)
    if len(exponent.lstrip("+-0")) > 6:
        return Text(text)
    value = float(text)
    same = math.isfinite(value) and decimal.Decimal(repr(value)) == decimal.Decimal(text)
    return value if same else Text(text)


def no_constant(name):
    raise Refused(name)


def model(document):
    """What a document means; Refused when it is none."""
    try:
        value = json.loads(document.decode("utf-8"), object_pairs_hook=Pairs, parse_int=integer,
                           parse_float=fraction, parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # lone surrogates do not get through
        return value
    except ValueError as error:
        raise Refused(str(error)) from error


def is_base64(text):
    return isinstance(text, str) and not isinstance(text, Text) and \
        bool(re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?",
                          text, re.ASCII)) and not text.endswith("\n")


def binary_of(pairs):
    """(ext type or None, bytes) of an object that stands for binary, else None."""
    keys = [k for k, _ in pairs]
    if keys == ["$binary"] and is_base64(pairs[0][1]):
        return None, base64.b64decode(pairs[0][1])
    if keys == ["$ext", "data"] and is_base64(pairs[1][1]):
        kind = pairs[0][1]
        if isinstance(kind, int) and not isinstance(kind, bool) and -128 <= kind <= 127 and kind != 1:
            return kind, base64.b64decode(pairs[1][1])
    return None


def pack(value, packer):
    if isinstance(value, Text):
        packer.pack_ext_type(1, value.encode())
    elif isinstance(value, Pairs) and (binary := binary_of(value)):
        kind, data = binary
        packer.pack(data) if kind is None else packer.pack_ext_type(kind, data)
    elif isinstance(value, Pairs):
        packer.pack_map_header(len(value))
        for key, item in value:
            packer.pack(key)
            pack(item, packer)
    elif isinstance(value, list):
        packer.pack_array_header(len(value))
        for item in value:
            pack(item, packer)
    else:
        packer.pack(value)


def wire(value):
    packer = msgpack.Packer(use_bin_type=True, autoreset=False)
    pack(value, packer)
    return packer.bytes()


def text_of(value):
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(json.dumps(k, ensure_ascii=False) + ":" + text_of(v) for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def verdict(document):
    try:
        return wire(model(document))
    except Refused:
        return None


# ---- documents -----------------------------------------------------------------------------------
GOOD = [rb'{}', rb'[]', rb'""', rb'0', rb'-0', rb'-0.0', rb'0e1', rb'0E+1', rb'1E22', rb'1e-2', rb'20e1', rb'123e45',
        rb'1.5e+9999', rb'-1e+9999', rb'1e-9999', rb'0.4e006699999999999999', rb'123.456e-789',
        rb'-237462374673276894279832749832423479823246327846',
        rb'100000000000000000000', rb'9223372036854775808', rb'-9223372036854775808', rb'-9223372036854775809',
        rb'18446744073709551615', rb'18446744073709551616', rb'1.12345678901234567890', rb'1.7976931348623157e308',
        rb'1.7976931348623158e308', rb'1.7976931348623159e308', rb'4.9406564584124654e-324', rb'5e-324', rb'2e-324',
        rb'2.2250738585072011e-308', rb'2.2250738585072014e-308', rb'0.1', rb'0.10', rb'0.10000000000000001',
        rb'9007199254740993', rb'9007199254740993.0', rb'9007199254740992.0', rb'123456789012345680.0', rb'1e23',
        rb'8.41e21', rb'9.5e-323', rb'-0.00000000000000000000000000000000000000000000000000000000000000000000000001',
        b'0.' + b'0' * 400 + b'1e401', b'1' + b'0' * 400 + b'e-400', b'1' + b'0' * 400, b'1.' + b'0' * 5000,
        b'1.' + b'0' * 5000 + b'1', rb'"\u0000\u001f\u007f\u0080\u07ff\u0800\uffff\ud800\udc00\udbff\udfff"',
        rb'"\"\\\/\b\f\n\r\t"', '"\x7f\u2028\u2029\ufeff\uffff\U0010ffff日本語"'.encode(), rb'{"a":1,"a":2,"a":1}',
        rb'{"":{"":[]}}', b' \t\r\n[ 1 ,\n{ "a" : null } ]\r\n', rb'[[[[[[[[]]]]]]]]', rb'{"b":0,"a":1,"c":2}',
        rb'[true,false,null]', rb'{"$binary":"aGk="}', rb'{"$binary":"aGk"}', rb'{"$binary":""}',
        rb'{"$binary":1e400}',
        rb'{"$binary":"aGl="}', rb'{"$binary":"\u0061Gk="}', rb'{"$ext":5,"data":"aGk="}',
        rb'{"$ext":1,"data":"aGk="}',
        rb'{"$ext":-128,"data":"AAAA"}', rb'{"$ext":128,"data":"AAAA"}', rb'{"$ext":5.0,"data":"AAAA"}',
        rb'{"$ext":-0,"data":"AAAA"}', rb'{"$ext":true,"data":"AAAA"}', rb'{"data":"AAAA","$ext":5}',
        rb'{"$ext":5,"data":{"$binary":"AAAA"}}', rb'{"$binary":{"$binary":"AAAA"}}', rb'[{"$binary":"AAAA"},1]',
        b'[' * 900 + b']' * 900, b'[' + b'[],' * 70000 + b'0]', b'"' + b'\\n' * 40000 + b'"',
        b'{"k":"' + b'x' * 70000 + b'"}']

BAD = [rb'', rb' ', rb'[', rb']', rb'{', rb'}', rb'[1', rb'[1,', rb'[1,]', rb'[,1]', rb'[1,,2]', rb'[1 2]',
       rb'["a" "b"]', rb'[1:2]',
       rb'{"a"}', rb'{"a":}', rb'{"a":1,}', rb'{,"a":1}', rb'{"a" 1}', rb'{"a"::1}', rb'{a:1}', rb"{'a':1}",
       rb'{1:1}', rb'{null:1}',
       rb'{"a":1 "b":2}', rb'{"a":1}}', rb'[1]x', rb'1 1', rb'tru', rb'True', rb'nul', rb'nulll', rb'NaN',
       rb'Infinity', rb'-Infinity',
       rb'01', rb'-01', rb'00', rb'+1', rb'.5', rb'5.', rb'-', rb'-.5', rb'1.e1', rb'1e', rb'1e+', rb'1e1.5',
       rb'0x1', rb'1_0', rb'--1', rb'1-',
       rb'"', rb'"a', rb'"\"', rb'"\x"', rb'"\u"', rb'"\u12"', rb'"\u12g4"', rb'"\U0041"', rb'"\ud800"',
       rb'"\ud800\u0041"', rb'"\ud800x"',
       rb'"\ud800\ud800\udc00"', rb'"\udc00"', rb'"\uDFAA\ud800"', b'"\n"', b'"\t"', b'"\x00"', b'"\x1f"', b'"\xff"',
       b'"\xc0\xaf"', b'"\xe0\x80\x80"',
       b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf0\x82\x82\xac"', b'"\x80"', b'"\xe3\x81"', b'\xef\xbb\xbf[]',
       b'\xff\xfe[\x00]\x00', b'[\x0c]',
       b'[\xa0]', b'[\xe2\x80\xa8]', b'\x00', b'[]\x00', rb'[1]//', rb'/**/1', rb"'a'", rb'[undefined]', rb'["\a"]',
       b'[1e\xef\xbc\x91]', b'\xef\xbc\x91',
       b'{"\\ud800":1}', b'[' * 1001 + b']' * 1001, b'[' * 100000, b'{"a":' * 100000]

NUMBERS = ["0", "-0", "1", "-1", "255", "256", "65536", "4294967296", "9223372036854775807", "-9223372036854775808",
           "18446744073709551615", "18446744073709551616", "0.1", "-0.0", "1.50", "1e5", "1E-5", "123456.789",
           "1e400",
           "0.30000000000000004", "1.12345678901234567890"]


def any_number(dice):
    kind = dice.randrange(6)
    if kind == 0:
        return dice.choice(NUMBERS)
    if kind == 1:
        return str(dice.randrange(-2**dice.randrange(1, 80), 2**dice.randrange(1, 80)))
    if kind == 2:
        value = struct.unpack(">d", dice.randbytes(8))[0]
        return repr(value) if math.isfinite(value) else "0.5"
    if kind == 3:
        return repr(round(dice.uniform(-10**6, 10**6), dice.randrange(1, 12)))
    whole = "".join(dice.choices("0123456789", k=dice.randrange(1, 22))).lstrip("0") or "0"
    part = "." + "".join(dice.choices("0012345678900", k=dice.randrange(1, 25))) if dice.random() < .8 else ""
    power = dice.choice("eE") + dice.choice(["", "+", "-"]) + str(dice.randrange(0,
    345)) if dice.random() < .6 else ""
    return dice.choice(["", "-"]) + whole + part + power


def any_string(dice):
    pieces = ["a", "key", "ワンピース", "é", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u0000", "\\u3042", "\\ud83d\\ude00",
    "\x7f",
              "0123456789abcdef", "$binary", " ", "한국어"]
    return '"' + "".join(dice.choices(pieces, k=dice.choice([0, 1, 1, 2, 3, 8]))) + '"'


def any_value(dice, depth):
    space = dice.choice(["", "", "", " ", "\n", "\t \r\n"])
    kind = dice.randrange(9 if depth else 6)
    if kind >= 6:
        count = dice.choice([0, 1, 2, 3, 5, 17])
        if dice.random() < .5:
            return "[" + space + ("," + space).join(any_value(dice, depth - 1) for _ in range(count)) + "]"
        pairs = (any_string(dice) + space + ":" + any_value(dice, depth - 1) for _ in range(count))
        return "{" + space + ("," + space).join(pairs) + "}"
    return space + (any_number(dice) if kind < 3 else any_string(dice) if kind < 5 else
                    dice.choice(["true", "false", "null"])) + space


def any_documents(count):
    dice = random.Random(SEED)
    return [any_value(dice, dice.randrange(5)).encode() for _ in range(count)]


def spoiled(documents, count):
    dice = random.Random(SEED + 1)
    for _ in range(count):
        document = bytearray(dice.choice(documents)[:2000])
        for _ in range(dice.choice([1, 1, 2, 4])):
            at = dice.randrange(len(document) + 1)
            document[at:at + dice.randrange(3)] = dice.choice(
                [b"", b"\x00", b'"', b"\\", b"\\u", b"d800", b",", b":", b"]", b"}", b"[", b"{", b"0", b"-", b".",
                b"e",
                 b"\xff", b"\xe3", b"\x81", b" ", bytes([dice.randrange(256)])])
        yield bytes(document)


# ---- tests ---------------------------------------------------------------------------------------
def assert_agree(documents):
    """Ours takes what Python takes, makes the same msgpack of it, and the same text of that. Returns how many."""
    first = convert([("r", document) for document in documents])
    taken = []
    for document, (good, got) in zip(documents, first):
        wanted = verdict(document)
        assert good == (wanted is not None), (document[:300], got[:300], wanted)
        if good:
            assert got == wanted, document[:300]
            taken.append((document, got))
    for direction in "cp":
        texts = convert([(direction, value) for _, value in taken])
        for (document, value), (good, text) in zip(taken, texts):
            assert good, (document[:300], text)
            assert direction == "p" or text.decode() == text_of(model(document)), document[:300]
        again = convert([("r", text) for _, text in texts])
        assert [value for _, value in again] == [value for _, value in taken]
    return len(taken)


def test_awkward_documents_mean_what_they_mean_to_python():
    assert assert_agree(GOOD) == len(GOOD)


@pytest.mark.parametrize("document", BAD, ids=lambda d: repr(d[:16]))
def test_what_is_no_json_is_refused_with_its_place(document):
    (good, message), = convert([("r", document)])
    assert not good
    assert re.match(r"JSON is broken at line \d+, column \d+ \(byte \d+\), in ", message.decode())
    if len(document) < 1000:
        assert verdict(document) is None


def test_generated_documents_mean_what_they_mean_to_python():
    documents = any_documents(4000)
    assert assert_agree(documents) == len(documents)


def test_spoiled_documents_are_taken_or_refused_as_python_does():
    documents = list(spoiled(any_documents(1500) + GOOD[:60], 12000))
    taken = assert_agree(documents)
    assert 0 < taken < len(documents)


def test_every_number_is_kept_as_python_would_keep_it():
    dice = random.Random(SEED + 2)
    numbers = [any_number(dice).encode() for _ in range(40000)]
    assert assert_agree(numbers) == len(numbers)


def test_any_double_is_written_as_python_writes_it():
    dice = random.Random(SEED + 3)
    edges = [m * 2.0**e for e in range(-1074, 1024) for m in (1.0, 1.0 - 2**-53,
    1.0 + 2**-52) if 0 < m * 2.0**e < math.inf]
    tens = [float(f"1e{e}") for e in range(-323, 309)]
    doubles = [d for d in edges + tens + [struct.unpack(">d", dice.randbytes(8))[0] for _ in range(40000)]
               if math.isfinite(d)]
    texts = convert([("c", msgpack.packb(d)) for d in doubles])
    assert [text.decode() for _, text in texts] == [repr(d) for d in doubles]


def test_pretty_text_is_what_python_prints_with_indent_two():
    documents = [d for d in any_documents(3000) if isinstance(json.loads(d), (dict, list))]
    kept = []
    for document in documents:
        value = model(document)
        if not has_text_number(value) and no_duplicates(value):
            kept.append((wire(value), json.dumps(plain(value), indent=2, ensure_ascii=False)))
    assert len(kept) > 100
    assert [text.decode() for _, text in convert([("p", value) for value, _ in kept])] == [text for _, text in kept]


def has_text_number(value):
    if isinstance(value, list):
        return any(has_text_number(v[1] if isinstance(value, Pairs) else v) for v in value)
    return isinstance(value, Text)


def no_duplicates(value):
    if isinstance(value, Pairs):
        return len({k for k, _ in value}) == len(value) and all(no_duplicates(v) for _, v in value)
    return all(map(no_duplicates, value)) if isinstance(value, list) else True


def plain(value):
    if isinstance(value, Pairs):
        return {k: plain(v) for k, v in value}
    return [plain(v) for v in value] if isinstance(value, list) else value


def test_the_table_of_powers_is_what_its_generator_makes():
    made = subprocess.run([ROOT / "tools/make-decimal-powers"], stdout=subprocess.PIPE, check=True).stdout
    assert made == (ROOT / "proto/decimal_powers.c").read_bytes()
