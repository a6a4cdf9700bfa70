"""Event patterns against lib.event_pattern, a matcher written anew in Python, in another way: leaves with their places."""
import json
import os
import random
import subprocess

from lib.event_pattern import combinations, likely_event, matches, random_event, random_pattern
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import event
from lib.paths import bin_dir, patience
from lib.process import clean_environment

SEED = int(os.environ.get("PATTERN_SEED", "6"))
PAIRS = int(os.environ.get("PATTERN_PAIRS", "8000"))
RULES = 80
EVENTS = 150


def batch(pairs, *options):
    lines = "".join(f"{number}\t{pattern}\t{value}\n" for number, (pattern, value) in enumerate(pairs))
    done = subprocess.run([str(bin_dir() / "mangactl"), "rule", "test", "--batch", "-", *options], input=lines, text=True,
                          capture_output=True, timeout=patience(120), check=True, env=clean_environment({}))
    results = [line.split("\t") for line in done.stdout.splitlines()]
    assert [int(name) for name, _ in results] == list(range(len(pairs)))
    return [result for _, result in results]


def event_for(chance, pattern):
    # The top of an event is an object.
    while True:
        made = likely_event(chance, pattern) if chance.random() < 0.6 else random_event(chance)
        if made.startswith("{"):
            return made


def test_thousands_of_random_pairs_are_judged_alike():
    chance = random.Random(SEED)
    pairs = []
    for _ in range(PAIRS):
        pattern = random_pattern(chance)
        pairs.append((pattern, event_for(chance, pattern)))
    hits = 0
    wrong = []
    for (pattern, value), said in zip(pairs, batch(pairs)):
        if said.startswith("invalid") and "more than 1000 $or combinations" in said and combinations(pattern) > 1000:
            continue
        expected = matches(pattern, value)
        if said != ("match" if expected else "no match"):
            wrong.append((pattern, value, said))
        hits += expected
    assert not wrong, f"seed {SEED}, {len(wrong)} of them:\n" + "\n".join(min(wrong, key=lambda w: len(w[0] + w[1])))
    assert PAIRS / 10 < hits < PAIRS * 0.9, "one-sided: the comparison says little"


def test_all_rules_of_a_bus_at_once_are_judged_alike(make_broker):
    """In the broker, where one ruleset holds them all: what is asked is where events went."""
    chance = random.Random(SEED)
    patterns = {}
    while len(patterns) < RULES:
        made = f'{{"detail": {random_pattern(chance)}}}'
        if "cidr" not in made or "allOf" not in made:
            patterns[f"r{len(patterns)}"] = made
    rules = [{"Name": name, "EventBusName": "demo", "State": "ENABLED", "EventPattern": pattern,
              "Targets": [{"Id": "t", "Arn": "plain"}]} for name, pattern in patterns.items()]
    document = json.dumps({**TOPOLOGY, "Rules": rules})
    for pattern in patterns.values():  # their numbers as they are written
        document = document.replace(json.dumps(pattern), pattern)
    client = make_broker(topology=document).start().client()
    hits = 0
    for _ in range(EVENTS):
        detail = event_for(chance, chance.choice(list(patterns.values()))[len('{"detail": '):-1])
        if any(n in detail for n in ("18446744073709551616", "1.12345678901234567890", "9007199254740993.0")):
            continue  # the client in Python cannot send these
        value = json.loads(detail)
        answered = client.admin("RULE", "test", "demo", body=event("t", value))
        said = {rule["name"] for rule in answered}
        expected = {name for name, pattern in patterns.items() if matches(pattern, f'{{"detail": {json.dumps(value)}}}')}
        hits += len(expected)
        for name in said ^ expected:
            raise AssertionError(f"{name} {patterns[name]} {'' if name in said else 'not '}matched by the broker: {detail}")
    assert hits > EVENTS, "hardly anything matched: the comparison says little"
