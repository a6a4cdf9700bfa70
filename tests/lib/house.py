"""What the tests of single services share: a broker with the shipped topology, a client, services, schemas."""
import json
import re

from lib.mangabus_client import unpack
from lib.paths import ROOT
from lib.wait import http_get, wait_until

ISBN = "9784088827513"


def isbn(number):
    """A valid ISBN-13 of its own for every number."""
    digits = f"9784{number:08d}"
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits))
    return digits + str(-total % 10)


def topology(enable=()):
    """The shipped topology, with the rules of these names enabled."""
    document = json.loads((ROOT / "broker/topology.json").read_text())
    for rule in document["Rules"]:
        if rule["Name"] in enable:
            rule["State"] = "ENABLED"
    return document


def schema(name):
    return json.loads((ROOT / f"proto/schema/{name}.json").read_text())


_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def violations(value, rules, path="$"):
    """What of the JSON Schemas' vocabulary that proto/schema uses does not hold for the value."""
    kind = _TYPES.get(rules.get("type"))
    if kind and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return [f"{path}: not of type {rules['type']}"]
    found = []
    if "enum" in rules and value not in rules["enum"]:
        found.append(f"{path}: {value!r} is none of {rules['enum']}")
    if isinstance(value, str):
        if "pattern" in rules and not re.search(rules["pattern"], value):
            found.append(f"{path}: {value!r} does not match {rules['pattern']}")
        if not rules.get("minLength", 0) <= len(value) or len(value.encode()) > rules.get("x-maxBytes", 1 << 30):
            found.append(f"{path}: length {len(value)}")
    if isinstance(value, int) and not rules.get("minimum", value) <= value <= rules.get("maximum", value):
        found.append(f"{path}: {value} out of bounds")
    if isinstance(value, dict):
        found += [f"{path}.{name}: missing" for name in rules.get("required", []) if name not in value]
        for name, inner in rules.get("properties", {}).items():
            if name in value:
                found += violations(value[name], inner, f"{path}.{name}")
    if isinstance(value, list) and "items" in rules:
        for at, item in enumerate(value):
            found += violations(item, rules["items"], f"{path}[{at}]")
    return found


def assert_valid(value, name):
    assert violations(value, schema(name)) == []


class Service:
    """One service under test, restarted at will."""

    def __init__(self, start, program, env):
        self._start, self.program = start, program
        self.env = {"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_DRAIN": "2s", **env}
        self.process = None

    def start(self, ready=True, **env):
        self.env.update(env)
        self.process = self._start(self.program, env=self.env)
        if ready:
            self.process.wait_ready(self.url)
        return self

    @property
    def url(self):
        return "http://127.0.0.1:" + self.process.wait_for_line(r'"message":"listening".*?"port":(\d+)')[1]

    def kill(self):
        self.process.kill()

    def restart(self):
        """A crash and a new start."""
        self.kill()
        return self.start()

    def metric(self, line):
        found = re.search(rf"^{re.escape(line)} (\S+)$", http_get(f"{self.url}/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_metric(self, line, at_least):
        return self.process.wait_for(lambda: self.metric(line) >= at_least, f"{line} >= {at_least}")


class Tap:
    """What a bus tells from now on, in order."""

    def __init__(self, client, bus, **fields):
        self.client = client
        self.sub = client.listen(bus, messages=100, size=1 << 20, **fields)
        self.seen = []

    def take(self, count, timeout_s=None):
        """The next `count` envelopes."""
        while len(self.seen) < count:
            for delivery in self.client.deliveries(self.sub, 1, timeout_s):
                self.seen.append(unpack(delivery["body"]))
                self.client.credit(self.sub, 1, len(delivery["body"]))
        taken, self.seen = self.seen[:count], self.seen[count:]
        return taken

    def details(self, count, timeout_s=None):
        return [envelope["detail"] for envelope in self.take(count, timeout_s)]

    def nothing(self, within_s=0.3):
        assert not self.seen
        self.client.nothing("DELIVER", within_s=within_s)


def depth(client, queue):
    """Messages in the queue, waiting or in hand."""
    info = client.queue_info(queue)
    return sum(int(info.get(name, 0)) for name in ("visible", "in_flight", "delayed"))


def wait_empty(client, queue, timeout_s=20):
    wait_until(lambda: depth(client, queue) == 0, f"{queue} to be empty", timeout_s)
