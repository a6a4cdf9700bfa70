"""mangactl tail, capture and replay against what a real broker seldom does: another clock, a gap, a forged capture."""
import json
import struct
import threading
import time

import pytest
import zmq
from lib.journal_records import crc
from lib.mangabus_client import decode, encode, event
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
