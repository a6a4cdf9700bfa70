"""mangactl tail, capture and replay against what a real broker seldom does: another clock, a gap, a forged capture, lines."""
import datetime
import json
import struct
import threading
import time

import pytest
import zmq
from lib.journal_records import crc
from lib.mangabus_client import decode, encode, event, unpack
from lib.mangactl import at, mangactl
from lib.paths import patience

HOUR_US = 3600 * 10**6


class ScriptedBroker:
    """One whose clock is an hour ahead: an event of every ten minutes of its last two hours, and a gap before them."""

    def __init__(self):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.subscribed = []
        self.has_gap = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self):
        self._over.set()
        self._thread.join()
        self.socket.close()

    @staticmethod
    def now_us():
        return int(time.time() * 1e6) + HOUR_US

    def _say(self, peer, verb, seq, **fields):
        self.socket.send_multipart([peer, encode(verb, seq, **fields)])

    def _run(self):
        while not self._over.is_set():
            if self.socket.poll(20):
                peer, data = self.socket.recv_multipart()
                self._answer(peer, decode(data))

    def _answer(self, peer, frame):
        if frame.verb == "HELLO":
            self._say(peer, "WELCOME", frame.seq, protocol=1, broker="scripted-000001", version="0", session=1,
                      resume=b"t" * 16, grace_ms=30000, heartbeat_ms=2000, max_frame_bytes=1 << 22, time_us=self.now_us())
        elif frame.verb == "PING":
            self._say(peer, "PONG", frame.seq, number=frame["number"])
        elif frame.verb == "SUBSCRIBE":
            self.subscribed.append(frame)
            self._say(peer, "SUBSCRIBED", frame.seq, sub=frame["sub"], next=10)
            if self.has_gap:
                self._say(peer, "GAP", 0, sub=frame["sub"], **{"from": 3, "next": 10})
            self._say(peer, "DELIVER", 0, sub=frame["sub"], deliveries=[
                {"record": 10 + n, "ingest_us": self.now_us() - (11 - n) * HOUR_US // 6 - HOUR_US // 12, "source": "demo",
                 "body": event("work", {"n": n})} for n in range(12)])


@pytest.fixture
def scripted():
    broker = ScriptedBroker()
    yield broker
    broker.close()


def test_since_and_until_mean_the_brokers_clock(scripted, tmp_path):
    done = mangactl("capture", "demo", "--since", "2h", "--until", "1h", "--out", tmp_path / "a", "--json",
                    endpoint=scripted.endpoint)
    assert done.returncode == 0, done.stderr
    assert abs(scripted.subscribed[0]["since_us"] - (scripted.now_us() - 2 * HOUR_US)) < patience(60) * 10**6
    # One in ten minutes, five minutes off: of twelve those six are older than an hour by the broker's clock.
    assert json.loads(done.stdout)["events"] == 6


def test_a_gap_is_told_to_programs_too(scripted, tmp_path):
    scripted.has_gap = True
    done = mangactl("capture", "demo", "--count", "12", "--timeout", "20s", "--out", tmp_path / "a", "--json",
                    endpoint=scripted.endpoint)
    assert json.loads(done.stdout)["gaps"] == 1
    assert {"gap": {"from": 3, "next": 10}} in [json.loads(line) for line in done.stderr.splitlines()]
    done = mangactl("tail", "demo", "--count", "1", "--timeout", "20s", endpoint=scripted.endpoint)
    assert "records 3 to 9 are no longer there" in done.stderr


def test_without_a_gap_a_capture_says_that_there_was_none(scripted, tmp_path):
    done = mangactl("capture", "demo", "--count", "12", "--timeout", "20s", "--out", tmp_path / "a", "--json",
                    endpoint=scripted.endpoint)
    assert json.loads(done.stdout)["gaps"] == 0 and done.stderr == ""


def forge(path, change):
    """Gives each PUBLISH of a capture the ingest time change(nth, time)."""
    data = path.read_bytes()
    head, at_byte = data.index(b"\n") + 1, data.index(b"\n") + 1
    out, nth = [data[:head]], 0
    while at_byte < len(data):
        length, _, seq, ingest_us = struct.unpack_from("<IIQq", data, at_byte)
        if seq:
            ingest_us = change(nth, ingest_us)
            nth += 1
        rest = struct.pack("<Qq", seq, ingest_us) + data[at_byte + 24:at_byte + length]
        out.append(struct.pack("<II", length, crc(rest)) + rest)
        at_byte += length
    path.write_bytes(b"".join(out))
    assert nth > 1


@pytest.mark.parametrize("change", [
    lambda n, t: [-2**63, 2**63 - 1][n],
    lambda n, t: t - n * 10**6,
    lambda n, t: t + n * 101 * 365 * 24 * HOUR_US,
], ids=["overflow", "backwards", "a century"])
def test_a_forged_time_does_not_break_the_pace_of_a_replay(broker, client, tmp_path, change):
    ctl, path = at(broker.endpoint), tmp_path / "a.capture"
    for n in range(2):
        client.publish("demo", event("work", {"n": n}))
    ctl("capture", "demo", "--from", 1, "--count", 2, "--timeout", "20s", "--out", path)
    forge(path, change)
    done = ctl("replay", path, "--bus", "--speed", "1", code=65)
    assert "is from before the first one, or a century after it" in done.stderr
    assert "2 events" not in done.stdout
    ctl("replay", path, "--bus", "--speed", "full")


# -- lines of events ----------------------------------------------------------------------------------------
RICH = {"n": 1, "big": 18446744073709551615, "float": 0.1, "text": "在庫\u0000\"\\", "none": None, "list": [[], {}, [1, -2.5]],
        "bytes": b"\x00\xff", "deep": {"a": {"b": [True, False]}}}
ENTRY = {"Source": "shop", "DetailType": "order", "Detail": '{"n": 1, "price": 1.12345678901234567890}', "EventBusName": "demo"}


def lines_of(done):
    return done.stdout.splitlines()


def test_lines_of_a_capture_come_back_without_loss(broker, client, tmp_path):
    ctl, path = at(broker.endpoint), tmp_path / "a.jsonl"
    for n in range(3):
        client.publish("demo", event("work", {**RICH, "n": n}), attrs={"note": "x", "count": n, "sure": True, "raw": b"\x01"})
    ctl("capture", "demo", "--from", 1, "--count", 3, "--timeout", "20s", "--out", tmp_path / "a.capture")
    shown = mangactl("capture", "show", tmp_path / "a.capture", "--json").stdout
    path.write_text(shown)
    assert len(shown.splitlines()) == 3
    assert mangactl("capture", "show", path, "--json").stdout == shown
    assert mangactl("capture", "show", "-", "--json", stdin=shown).stdout == shown
    assert ctl("tail", "demo", "--from", 1, "--count", 3, "--timeout", "20s", "--json").stdout == shown
    assert json.loads(mangactl("capture", "show", path, "--verify", "--json").stdout) == {"events": 3}
    sub = client.listen("demo", name="viewer")
    for source in ("a.capture", "a.jsonl"):
        ctl("replay", tmp_path / source, "--to-subscriber", "viewer", "--name", "again")
    seen = client.deliveries(sub, 6)
    assert [(d["source"], d["body"], d["attrs"]) for d in seen[:3]] == [(d["source"], d["body"], d["attrs"]) for d in seen[3:]]


def test_entries_of_put_events_are_replayed_as_a_publisher_would_have_sent_them(broker, client, tmp_path):
    path = tmp_path / "entries.jsonl"
    arn = "arn:aws:events:ap-northeast-1:123456789012:event-bus/demo"
    entries = [ENTRY, {**ENTRY, "EventBusName": arn, "Time": "2026-01-30T20:15:12.5+09:00", "Resources": ["arn:x", "y"]},
               {key: value for key, value in ENTRY.items() if key != "EventBusName"} | {"Time": 1769771712.25,
                                                                                        "TraceHeader": "Root=1-2-3"}]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    sub = client.listen("demo", name="viewer")
    before = int(time.time())
    at(broker.endpoint)("replay", path, "--to-subscriber", "viewer", "--event-bus", "demo")
    seen = client.deliveries(sub, 3)
    events = [unpack(d["body"]) for d in seen]
    assert len({e["id"] for e in events}) == 3
    assert all((e["version"], e["source"], e["detail-type"], e["account"]) == ("0", "shop", "order", "000000000000")
               and e["detail"]["n"] == 1 for e in events)
    assert [e["resources"] for e in events] == [[], ["arn:x", "y"], []]
    assert [e["time"] for e in events[1:]] == ["2026-01-30T11:15:12Z"] * 2
    now = datetime.datetime.fromisoformat(events[0]["time"].replace("Z", "+00:00")).timestamp()
    assert before <= now <= time.time()
    assert seen[2]["attrs"]["AWSTraceHeader"] == "Root=1-2-3"
    shown = lines_of(mangactl("capture", "show", path, "--json"))
    assert '"price":1.12345678901234567890' in shown[0]
    assert [json.loads(line)["ingest_time"] for line in shown[1:]] == ["2026-01-30T11:15:12.500000Z",
                                                                       "2026-01-30T11:15:12.250000Z"]


def test_events_of_an_eventbridge_archive_keep_id_and_time(broker, client, tmp_path):
    path = tmp_path / "export.jsonl"
    sent = {"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "order", "source": "shop",
            "account": "111122223333", "time": "2017-12-22T18:43:48Z", "region": "us-west-1", "resources": ["arn:x"],
            "detail": {"n": 1}, "replay-name": "of-aws"}
    path.write_text(json.dumps(sent) + "\n")
    sub = client.listen("demo", name="viewer")
    at(broker.endpoint)("replay", path, "--to-subscriber", "viewer", "--event-bus", "demo", "--name", "again")
    delivery, = client.deliveries(sub, 1)
    assert unpack(delivery["body"]) == sent and delivery["attrs"]["replay-name"] == "again"


@pytest.mark.parametrize("line,said", [
    ({**ENTRY, "Source": 5}, "Source of the PutEvents entry is no text"),
    ({**ENTRY, "Source": ""}, "Source of the PutEvents entry is no text, or an empty one"),
    ({"Source": "x", "Detail": "{}"}, "DetailType of the PutEvents entry is missing"),
    ({**ENTRY, "Detail": {"n": 1}}, "Detail of the PutEvents entry is no text"),
    ({**ENTRY, "Detail": "{"}, "Detail of the PutEvents entry: "),
    ({**ENTRY, "Detail": "[1]"}, "Detail of the PutEvents entry holds no JSON object"),
    ({**ENTRY, "Time": "yesterday"}, "Time of the PutEvents entry"),
    ({**ENTRY, "Time": -1}, "Time of the PutEvents entry"),
    ({**ENTRY, "Resources": "arn:x"}, "resources"),
    ({**ENTRY, "Resource": ["arn:x"]}, "Resource is no field of a PutEvents entry"),
    ({"record": 1, "bus": 5, "event": {}}, '"bus" is no text'),
    ({"record": -1, "event": {}}, '"record" is no whole number'),
    ({"ingest_time": "now", "event": {}}, '"ingest_time" is no RFC 3339 time'),
    ({"attributes": {"a": [1]}, "event": {}}, '"attributes"'),
    ({"record": 1, "bus": "demo", "event": {"id": "1"}}, "detail-type"),
    ({"id": "1"}, "detail-type"),
    ([], "line 2"),
    ({**ENTRY, "EventBusName": "x" * 300}, "the bus has no usable name"),
])
def test_a_line_that_is_no_event_is_named_with_its_field(tmp_path, line, said):
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(ENTRY) + "\n" + json.dumps(line) + "\n")
    done = mangactl("replay", path, "--bus", "--dry-run")
    assert done.returncode == 65 and said in done.stderr, (done.returncode, done.stderr)
    assert "broken.jsonl, line 2" in done.stderr or "event 2" in done.stderr
    assert "no capture file" not in done.stderr


def test_an_event_without_a_bus_and_standard_input_are_refused(tmp_path):
    path = tmp_path / "entries.jsonl"
    path.write_text(json.dumps({**ENTRY, "EventBusName": "demo"}).replace('"EventBusName": "demo"', '"Time": 5') + "\n")
    done = mangactl("replay", path, "--bus", "--dry-run")
    assert done.returncode == 65 and "line 1: the event names no bus" in done.stderr
    assert mangactl("replay", path, "--bus", "--dry-run", "--event-bus", "demo").returncode == 0
    assert "a replay reads a file" in mangactl("replay", "-", "--bus", "--dry-run").stderr
    path.write_text("something else")
    done = mangactl("replay", path, "--bus", "--dry-run")
    assert "is no capture file, and as JSON Lines" in done.stderr
