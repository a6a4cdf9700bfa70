"""Event patterns against a matcher written anew in Python, in another way: leaves with their places in arrays."""
import json
import random

from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import event

RULES = 80
EVENTS = 400
KEYS = ["a", "b", "c", "d", "a.b"]
SCALARS = ["x", "xy", "", 1, 1.0, 2, True, False, None]


# -- the other matcher --
def leaves(value, path=(), place=(), counter=None):
    """(path, scalar, {array: index}) of everything in the value; what holds more has a place in its array."""
    counter = [0] if counter is None else counter
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, path + tuple(key.split(".")), place, counter)
    elif isinstance(value, list):
        counter[0] += 1
        array = counter[0]
        for index, item in enumerate(value):
            inner = place + ((array, index),) if isinstance(item, (dict, list)) else place
            yield from leaves(item, path, inner, counter)
    else:
        yield path, value, dict(place)


def fields(pattern, path=()):
    for key, value in pattern.items():
        here = path + tuple(key.split("."))
        if isinstance(value, dict):
            yield from fields(value, here)
        else:
            yield here, value


def meets(value, condition):
    if isinstance(condition, dict):
        if "prefix" in condition:
            return isinstance(value, str) and value.startswith(condition["prefix"])
        return condition["exists"]
    if isinstance(value, bool) or isinstance(condition, bool) or value is None or condition is None:
        return value is condition
    return isinstance(value, str) == isinstance(condition, str) and value == condition


def agrees(place, other):
    return all(place.get(array, index) == index for array, index in other.items())


def matches(wanted, found, place=None):
    """Backtracks over the leaves that meet each field; absence is judged last, at the place chosen by then."""
    place = place or {}
    positive = [field for field in wanted if {"exists": False} not in field[1]]
    if positive:
        (path, conditions), rest = positive[0], [f for f in wanted if f is not positive[0]]
        return any(matches(rest, found, {**place, **at}) for leaf, value, at in found
                   if leaf == path and agrees(place, at) and any(meets(value, c) for c in conditions))
    return all(not any(leaf == path and agrees(place, at) and not any(meets(value, c) for c in conditions)
                       for leaf, value, at in found) for path, conditions in wanted)


# -- what is compared --
def random_conditions(chance):
    kind = chance.random()
    if kind < 0.15:
        return [{"prefix": chance.choice(["", "x"])}]
    if kind < 0.25:
        return [{"exists": True}]
    if kind < 0.4:
        return [{"exists": False}]
    return chance.sample(SCALARS, chance.randint(1, 2))


def random_pattern(chance, depth):
    keys = chance.sample(KEYS[:4] if depth else KEYS, chance.randint(1, 2))
    return {key: random_pattern(chance, depth - 1) if depth and chance.random() < 0.5 else random_conditions(chance)
            for key in keys}


def random_value(chance, depth):
    kind = chance.random()
    if depth and kind < 0.35:
        return random_object(chance, depth - 1)
    if depth and kind < 0.65:
        return [random_value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return chance.choice(SCALARS)


def random_object(chance, depth):
    return {key: random_value(chance, depth) for key in chance.sample(KEYS[:4], chance.randint(0, 3))}


def test_the_broker_and_another_matcher_agree(make_broker):
    chance = random.Random(6)
    patterns = {f"r{n}": {"detail": random_pattern(chance, 2)} for n in range(RULES)}
    rules = [{"Name": name, "EventBusName": "demo", "State": "ENABLED", "EventPattern": pattern,
              "Targets": [{"Id": "t", "Arn": "plain"}]} for name, pattern in patterns.items()]
    client = make_broker(topology={**TOPOLOGY, "Rules": rules}).start().client()
    wanted = {name: list(dict(fields(pattern)).items()) for name, pattern in patterns.items()}
    hits = 0
    for _ in range(EVENTS):
        detail = random_object(chance, 4)
        answered = client.admin("RULE", "test", "demo", body=event("t", detail))
        said = {rule["name"] if isinstance(rule, dict) else rule for rule in answered}
        found = list(leaves({"detail": detail}))
        expected = {name for name in patterns if matches(wanted[name], found)}
        hits += len(expected)
        for name in said ^ expected:
            raise AssertionError(f"{name} {json.dumps(patterns[name])} {'' if name in said else 'not '}matched by the "
                                 f"broker: {json.dumps(detail)}")
    assert hits > EVENTS, "hardly anything matched: the comparison says little"
