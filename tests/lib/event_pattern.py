"""EventBridge's pattern language once more, slow and plain, and random patterns and events to compare with.

A pattern becomes a list of alternatives ($or multiplied out), each a map from path to match expressions. An event becomes
a list of leaves with their places in arrays of objects. A match is a choice of one leaf for each path such that no array
is entered at two places; absence is judged last, at the places chosen by then.
"""
import ipaddress
import json
import math
from decimal import Decimal
from fractions import Fraction


class Number:
    """A JSON number. Equal are two of one kind with one value: doubles (whose own value it is, or whose shortest text),
    integers of 64 bits that are none, and by their text all others."""

    def __init__(self, text):
        self.text = text
        self.value = Fraction(Decimal(text))
        nearest = float(text)
        is_integer = text.lstrip("-").isdigit()
        self.has_double = math.isfinite(nearest) and (Fraction(Decimal(repr(nearest))) == self.value or
                                                      is_integer and Fraction(nearest) == self.value)
        self.kind = "double" if self.has_double else "integer" if is_integer and -2**63 <= self.value < 2**64 else "text"

    def equals(self, other):
        return self.kind == other.kind and (self.text == other.text if self.kind == "text" else self.value == other.value)


def loads(text):
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Pairs)


class Pairs(list):
    """An object with its members in order, twice those that are there twice."""


# -- events --
def leaves(value, path=(), place=(), counter=None):
    """(path, scalar, {array: index}) of everything in the value; what holds more has a place in its array."""
    counter = [0] if counter is None else counter
    if isinstance(value, Pairs):
        for key, item in value:
            yield from leaves(item, path + tuple(key.split(".")), place, counter)
    elif isinstance(value, list):
        counter[0] += 1
        array = counter[0]
        for index, item in enumerate(value):
            inner = place + ((array, index),) if isinstance(item, list) else place
            yield from leaves(item, path, inner, counter)
    else:
        yield path, value, dict(place)


# -- patterns --
def alternatives(pattern, path=(), before=({},)):
    """The maps that the pattern's members make of each of those before."""
    now = list(before)
    for key, value in pattern:
        if key == "$or" and not isinstance(value, Pairs):
            now = [new for branch in value for new in alternatives(branch, path, now)]
        elif isinstance(value, Pairs):
            now = alternatives(value, path + tuple(key.split(".")), now)
        else:
            now = [{**fields, path + tuple(key.split(".")): value} for fields in now]
    return now


def combinations(pattern):
    return len(alternatives(loads(pattern)))


def fold(text):
    """Characters whose upper case has them as its lower case again; nothing that changes their number."""
    def one(c):
        lower = c.lower()
        return lower if len(lower) == 1 and lower.upper() == c else c
    return "".join(map(one, text))


def wildcard(pattern, text):
    """By a table of what matches what, pattern to the left, text to the right."""
    parts, at = [], 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
            parts.append(pattern[at])
        else:
            parts.append(None if pattern[at] == "*" else pattern[at])
        at += 1
    row = [True] + [False] * len(text)
    for part in parts:
        if part is None:
            first = row.index(True) if True in row else len(row)
            row = [at >= first for at in range(len(row))]
        else:
            row = [False] + [row[at] and text[at] == part for at in range(len(text))]
    return row[len(text)]


def address(text):
    """EventBridge takes leading zeros, which ipaddress does not."""
    parts = text.split(".")
    if len(parts) == 4 and all(part.isdigit() and part.isascii() and len(part) <= 3 for part in parts):
        text = ".".join(str(int(part)) for part in parts)
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def in_network(text, network):
    found = address(text)
    wanted = ipaddress.ip_network(network, strict=False)
    return found is not None and found.version == wanted.version and found in wanted


def is_text(value):
    return isinstance(value, str)


TEXT = {
    "prefix": lambda v, w: fold(v).startswith(fold(w[0][1])) if isinstance(w, Pairs) else v.startswith(w),
    "suffix": lambda v, w: fold(v).endswith(fold(w[0][1])) if isinstance(w, Pairs) else v.endswith(w),
    "equals-ignore-case": lambda v, w: fold(v) == fold(w),
    "wildcard": lambda v, w: wildcard(w, v),
    "exactly": lambda v, w: v == w,
    "cidr": in_network,
}
COMPARE = {"=": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b,
           ">=": lambda a, b: a >= b}


def same(value, wanted):
    if isinstance(wanted, Number):
        return isinstance(value, Number) and value.equals(wanted)
    if is_text(wanted):
        return value == wanted if is_text(value) else False
    return value is wanted


def meets(value, wanted):
    if not isinstance(wanted, Pairs):
        known = address(wanted) if is_text(wanted) else None
        return same(value, wanted) or (known is not None and is_text(value) and address(value) == known)
    (name, operand), = wanted
    if name in TEXT:
        return is_text(value) and TEXT[name](value, operand)
    if name == "numeric":
        return isinstance(value, Number) and value.has_double and all(
            COMPARE[operand[at]](value.value, operand[at + 1].value) for at in range(0, len(operand), 2))
    if name == "allOf":
        return all(meets(value, one) for one in operand)
    if name == "anything-but":
        if isinstance(operand, Pairs):
            (inner, texts), = operand
            return not any(is_text(value) and TEXT[inner](value, text) for text in many(texts))
        return not any(same(value, one) for one in many(operand))
    assert name == "exists", name
    return operand


def many(value):
    return value if isinstance(value, list) else [value]


def may_be_absent(conditions):
    return any(isinstance(c, Pairs) and c[0] == ("exists", False) for c in conditions)


# -- matching --
def agrees(place, other):
    return all(place.get(array, index) == index for array, index in other.items())


def fits(fields, found, place=None, absent=()):
    place = place or {}
    if not fields:
        return all(not any(leaf == path and agrees(place, at) for leaf, _, at in found) for path in absent)
    (path, conditions), rest = fields[0], fields[1:]
    for leaf, value, at in found:
        if leaf == path and agrees(place, at) and any(meets(value, c) for c in conditions):
            if fits(rest, found, {**place, **at}, absent):
                return True
    return may_be_absent(conditions) and fits(rest, found, place, (*absent, path))


def matches(pattern_json, event_json, replay_name=None):
    event = loads(event_json)
    found = list(leaves(event))
    if replay_name:
        found.append((("replay-name",), replay_name, {}))
    return any(fits(list(fields.items()), found) for fields in alternatives(loads(pattern_json)))


# -- random ones --
KEYS = ["a", "b", "c", "d"]
WORDS = ["", "x", "xy", "yx", "X", "Xy", "xyz", "é", "É", "ß", "SS", "k", "\u212a", "σ", "ς", "Σ", "ı", "I", "i", "日本", "日",
         "x*y", "x\\y", "300", "true", "null", "::1", "0:0:0:0:0:0:0:1", "10.0.0.1", "010.000.000.001", "10.0.0.9",
         "::ffff:10.0.0.1", "2001:db8::8a2e", "aaaa", "aaab", "ab" * 20]
NUMBERS = ["1", "1.0", "10e-1", "0", "-0", "-0.0", "2", "300", "3.0e2", "1.5", "-7", "9007199254740992", "9007199254740993",
           "9007199254740993.0", "18446744073709551615", "18446744073709551616", "1.12345678901234567890", "1e300", "0.1"]
EXACT_NUMBERS = [n for n in NUMBERS if Number(n).has_double]
OTHERS = ["true", "false", "null"]
NETWORKS = ["10.0.0.0/24", "10.0.0.1/31", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/127", "10.0.0.0/8"]
GLOBS = ["*", "x*", "*y", "x*y", "*x*y*", "x\\*y", "x\\\\y", "*a*b", "xy", "", "日*", "*aa*", "*本"]


def text(chance):
    return json.dumps(chance.choice(WORDS), ensure_ascii=chance.random() < 0.3)


def glob(chance):
    return json.dumps(chance.choice(GLOBS))


def listed(chance, make):
    return make(chance) if chance.random() < 0.5 else f"[{', '.join(make(chance) for _ in range(chance.randint(1, 3)))}]"


def number(chance):
    return chance.choice(NUMBERS)


def scalar(chance):
    kind = chance.random()
    return text(chance) if kind < 0.55 else number(chance) if kind < 0.8 else chance.choice(OTHERS)


def word(chance):
    return json.dumps(chance.choice(WORDS[1:]))


def numeric(chance):
    low, high = chance.choice(EXACT_NUMBERS), chance.choice(EXACT_NUMBERS)
    if Number(low).value < Number(high).value and chance.random() < 0.6:
        return f'["{chance.choice([">", ">="])}", {low}, "{chance.choice(["<", "<="])}", {high}]'
    return f'["{chance.choice(list(COMPARE))}", {low}]'


def nothing_but(chance):
    kind = chance.randint(0, 5)
    if kind < 2:
        return listed(chance, [text, number][kind])
    make = [word, word, text, glob][kind - 2]
    return f'{{"{["prefix", "suffix", "equals-ignore-case", "wildcard"][kind - 2]}": {listed(chance, make)}}}'


OPERATORS = {
    "prefix": lambda c: f'{{"equals-ignore-case": {text(c)}}}' if c.random() < 0.4 else text(c),
    "suffix": lambda c: f'{{"equals-ignore-case": {text(c)}}}' if c.random() < 0.4 else text(c),
    "equals-ignore-case": text,
    "wildcard": glob,
    "anything-but": nothing_but,
    "numeric": numeric,
    "exists": lambda c: c.choice(["true", "false"]),
    "cidr": lambda c: f'"{c.choice(NETWORKS)}"',
    "exactly": text,
}


def condition(chance):
    if chance.random() < 0.35:
        return scalar(chance)
    name = chance.choice(list(OPERATORS))
    return f'{{"{name}": {OPERATORS[name](chance)}}}'


def random_pattern(chance, depth=2, ors=2):
    members = []
    for key in chance.sample(KEYS, chance.randint(1, 2)):
        if depth and chance.random() < 0.4:
            members.append(f'"{key}": {random_pattern(chance, depth - 1, ors)}')
        else:
            members.append(f'"{key}": [{", ".join(condition(chance) for _ in range(chance.choice([1, 1, 2])))}]')
    if ors and chance.random() < 0.25:
        branches = ", ".join(random_pattern(chance, max(depth - 1, 0), ors - 1) for _ in range(chance.randint(2, 3)))
        members.insert(chance.randint(0, len(members)), f'"$or": [{branches}]')
    return "{" + ", ".join(members) + "}"


def random_value(chance, depth):
    kind = chance.random()
    if depth and kind < 0.3:
        return random_event(chance, depth - 1)
    if depth and kind < 0.55:
        return f'[{", ".join(random_value(chance, depth - 1) for _ in range(chance.randint(0, 3)))}]'
    return scalar(chance)


def random_event(chance, depth=4):
    keys = chance.sample(KEYS, chance.randint(0 if depth < 4 else 2, 4))
    return "{" + ", ".join(f'"{key}": {random_value(chance, depth)}' for key in keys) + "}"


def likely_event(chance, pattern_json):
    """One that has the paths of an alternative, with values near to what it asks."""
    fields = chance.choice(alternatives(loads(pattern_json)))
    event = {}
    for path, conditions in fields.items():
        at = event
        for step in path[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                break
        if isinstance(at, dict):
            at[path[-1]] = near(chance, chance.choice(conditions))
    return dumps(event, chance)


def near(chance, wanted):
    if not isinstance(wanted, Pairs):
        return wanted if chance.random() < 0.8 else Raw(scalar(chance))
    operand = wanted[0][1]
    while isinstance(operand, list) and operand and not isinstance(operand, Number):
        operand = chance.choice(operand)
        operand = operand[1] if isinstance(operand, tuple) else operand
    if isinstance(operand, Number) or chance.random() < 0.4:
        return operand if isinstance(operand, Number) and chance.random() < 0.4 else Raw(scalar(chance))
    return operand + chance.choice(["", "x", "y"]) if is_text(operand) else operand


class Raw(str):
    """JSON as it stands."""


def dumps(value, chance):
    """As JSON; now and then wrapped into an array, with something beside it."""
    if isinstance(value, dict):
        body = "{" + ", ".join(f"{json.dumps(key)}: {dumps(item, chance)}" for key, item in value.items()) + "}"
    elif isinstance(value, Number):
        body = value.text
    elif isinstance(value, Raw):
        body = str(value)
    else:
        body = json.dumps(value if not isinstance(value, list) else [])
    if chance.random() < 0.15:
        return f"[{body}, {random_value(chance, 1)}]" if chance.random() < 0.5 else f"[{random_value(chance, 1)}, {body}]"
    return body
