"""A client of the bus written from docs/protocol.md alone: pyzmq and msgpack, no code shared with the C programs.

Synchronous, for tests: one thread, one DEALER socket; every wait has a timeout. Frames that nobody asked for yet
(deliveries, calls, replies) are kept until they are."""
import itertools
import os
import time

import msgpack
import zmq

from lib.paths import patience

PROTOCOL = 1
QUEUE, BUS = 1, 2
ACK, RELEASE, REJECT, EXTEND = 1, 2, 3, 4
STATUS = ("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
          "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
          "UNAUTHENTICATED").split()

# Types: u unsigned, i integer, t true or false, s text, x binary, m map, b body; a list has its entry's fields.
PUBLISH_ENTRY = "dedup:s attrs:m body:b"
SEND_ENTRY = "group:s dedup:s delay_ms:i attrs:m body:b"
RESULT_ENTRY = ("status:u record:u duplicate:t aws:s message:s md5_body:s md5_attributes:s "
                "md5_system_attributes:s")
DELIVERY = ("receipt:x record:u ingest_us:i receives:u first_receive_us:i source:s group:s attrs:m body:b sent_us:i "
            "message:u md5_body:s md5_attributes:s")
SETTLE_ENTRY = "receipt:x action:u delay_ms:i reason:s"
STATUS_ENTRY = "status:u aws:s message:s"
SERVE_ENTRY = "method:s capacity:u"
RUNNING_ENTRY = "caller:s number:u chunk:u"
ADMIN = "op:s name:s args:m body:b"

VERBS = {
    "HELLO": (1, "protocol:u name:s role:s resume:x producer:s epoch:u version:s"),
    "WELCOME": (2, "protocol:u broker:s version:s session:u resume:x resumed:t grace_ms:u heartbeat_ms:u "
                   "max_frame_bytes:u time_us:i producer_seq:u publish_window:u publish_window_bytes:u "
                   "delivery_window:u delivery_window_bytes:u call_window:u reply_window_bytes:u head:u"),
    "PUBLISH": (3, "bus:s producer_seq:u replay_name:s to:s entries", PUBLISH_ENTRY),
    "PUBLISHED": (4, "results", RESULT_ENTRY),
    "SEND": (5, "queue:s producer_seq:u entries digests:t", SEND_ENTRY),
    "SENT": (6, "results", RESULT_ENTRY),
    "RECEIVE": (7, "queue:s max:u wait_ms:u visibility_ms:i attempt:s attributes:m queue_wait:t digests:t"),
    "RECEIVED": (8, "deliveries", DELIVERY),
    "SUBSCRIBE": (9, "sub:u kind:u target:s name:s pattern:s from:u visibility_ms:i messages:u bytes:u live_only:t "
                     "since_us:i"),
    "SUBSCRIBED": (10, "sub:u next:u visibility_ms:i"),
    "CREDIT": (11, "sub:u messages:u bytes:u"),
    "DELIVER": (12, "sub:u deliveries", DELIVERY),
    "SETTLE": (13, "entries", SETTLE_ENTRY),
    "SETTLED": (14, "results", STATUS_ENTRY),
    "UNSUBSCRIBE": (15, "sub:u"),
    "UNSUBSCRIBED": (16, "sub:u"),
    "GAP": (17, "sub:u from:u next:u"),
    "SERVE": (18, "methods running", SERVE_ENTRY, RUNNING_ENTRY),
    "SERVED": (19, ""),
    "CALL": (20, "caller:s number:u method:s deadline_ms:u idempotent:t stream:t reply_from:u attrs:m body:b "
                 "again:t"),
    "REPLY": (21, "caller:s number:u chunk:u final:t status:u aws:s message:s retry_after_ms:u worker:s attrs:m body:b"),
    "REPLY_CREDIT": (22, "caller:s number:u bytes:u"),
    "CANCEL": (23, "caller:s number:u reason:s"),
    "PERMIT": (24, "bucket:s tokens:u priority:u wait_ms:u permit:u unused:u"),
    "PERMITTED": (25, "tokens:u expires_ms:u retry_after_ms:u permit:u waited_ms:u"),
    "QUEUE": (26, ADMIN),
    "RULE": (27, ADMIN),
    "TOPOLOGY": (28, ADMIN),
    "BROKER": (29, ADMIN),
    "RESULT": (30, "body:b"),
    "PING": (31, "number:u"),
    "PONG": (32, "number:u"),
    "BYE": (33, "reason:s"),
    "ERROR": (34, "status:u name:s message:s retry_after_ms:u"),
    "REPLAY": (35, ADMIN),
}
EMPTY = {"u": 0, "i": 0, "t": False, "s": "", "x": b"", "m": None, "b": b""}


def _layout(verb):
    """[(field, type or its entry's layout)]"""
    number, fields, *entries = VERBS[verb]
    rest = iter(entries)
    layout = []
    for field in fields.split():
        name, _, kind = field.partition(":")
        layout.append((name, kind or [tuple(f.split(":")) for f in next(rest).split()]))
    return layout


LAYOUTS = {verb: _layout(verb) for verb in VERBS}
NUMBERS = {verb: spec[0] for verb, spec in VERBS.items()}
NAMES = {number: verb for verb, number in NUMBERS.items()}


class BusError(Exception):
    """What the broker refused: `status` and `name` as in the ERROR frame (or the failed REPLY)."""

    def __init__(self, status, name, message, retry_after_ms=0):
        super().__init__(f"{STATUS[status] if status < len(STATUS) else status} {name}: {message}")
        self.status = STATUS[status] if status < len(STATUS) else str(status)
        self.name, self.message, self.retry_after_ms = name, message, retry_after_ms


class Frame(dict):
    """The fields by name; `verb` and `seq` beside them."""

    def __init__(self, verb, seq, fields):
        super().__init__(fields)
        self.verb, self.seq = verb, seq


# -- frames --
def _put(layout, values, header, bodies):
    for name, kind in layout:
        value = values.get(name, EMPTY.get(kind) if isinstance(kind, str) else [])
        if isinstance(kind, list):
            rows = []
            for entry in value:
                row = []
                _put(kind, entry, row, bodies)
                rows.append(row)
            header.append(rows)
        elif kind == "b":
            header.append(len(value))
            bodies.append(bytes(value))
        else:
            header.append(value)


def encode(verb, seq, **fields):
    unknown = set(fields) - {name for name, _ in LAYOUTS[verb]}
    assert not unknown, f"{verb} has no {unknown}"
    header, bodies = [NUMBERS[verb], seq], []
    _put(LAYOUTS[verb], fields, header, bodies)
    return msgpack.packb(header, use_bin_type=True) + b"".join(bodies)


def _take(layout, row, bodies):
    values = {}
    for (name, kind), value in itertools.zip_longest(layout, row[:len(layout)], fillvalue=None):
        if isinstance(kind, list):
            values[name] = [_take(kind, entry, bodies) for entry in value or []]
        elif kind == "b":
            bodies.append((values, name, value or 0))
        else:
            values[name] = EMPTY[kind] if value is None and kind != "m" else value
    return values


def decode(data):
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)
    unpacker.feed(data)
    header = unpacker.unpack()
    at = unpacker.tell()
    verb = NAMES[header[0]]
    bodies = []
    values = _take(LAYOUTS[verb], header[2:], bodies)
    for owner, name, length in bodies:
        owner[name] = data[at:at + length]
        at += length
    assert at == len(data), f"{verb}: {len(data) - at} bytes behind the last body"
    return Frame(verb, header[1], values)


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


_ids = itertools.count(1)


def event(detail_type="test.happened", detail=None, source="test", **more):
    """An envelope in msgpack."""
    envelope = {"version": "0", "id": f"01890000-0000-7000-8000-{next(_ids):012x}", "detail-type": detail_type,
                "source": source, "account": "000000000000", "time": "2025-01-01T00:00:00Z",
                "region": "ap-northeast-1", "resources": [], "detail": {} if detail is None else detail}
    envelope.update(more)
    return pack(envelope)


class Client:
    """One session. Use as a context manager, or close()."""

    def __init__(self, endpoint, name=None, role="", producer="", epoch=0, curve=None, timeout_s=10.0, hello=True):
        self.endpoint, self.role, self.producer, self.epoch, self.curve = endpoint, role, producer, epoch, curve
        self.name = name or f"test-{os.urandom(3).hex()}"
        self.timeout_s = timeout_s
        self.context = zmq.Context()
        self.socket = None
        self.welcome = None
        self.kept = []
        self.seqs = itertools.count(1)
        self.numbers = itertools.count(1)
        self.subs = itertools.count(1)
        self.call_seqs = {}
        self.sent_at = time.monotonic()
        self.producer_seq = 0
        self.connect()
        if hello:
            try:
                self.hello()
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- transport --
    def connect(self):
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 500
        self.socket.sndhwm = self.socket.rcvhwm = 20000  # above the sum of the protocol's windows
        if self.curve:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = self.curve
        self.socket.connect(self.endpoint)

    def drop(self):
        """Cuts the connection without a word."""
        self.socket.close(linger=0)
        self.socket = None
        self.kept = []

    def close(self):
        if self.socket is not None:
            if self.welcome is not None:
                self.write(encode("BYE", 0, reason="done"))
            self.socket.close()
            self.socket = None
        self._end()

    def _end(self):
        if not self.context.closed:
            self.context.term()

    def vanish(self):
        """Closes everything without a word."""
        self.drop()
        self._end()

    def write(self, data):
        """Never blocks: a full pipe is a failure of the test."""
        self.socket.send(data, zmq.DONTWAIT)
        self.sent_at = time.monotonic()

    def tell(self, verb, seq=0, **fields):
        self.write(encode(verb, seq, **fields))

    def _read(self, until):
        """The next frame that is no heartbeat; None when the time is over. Sends PING when it has long been silent."""
        while True:
            left = until - time.monotonic()
            ping_in = self._heartbeat_s() - (time.monotonic() - self.sent_at)
            if ping_in <= 0:
                self.tell("PING")
                continue
            if self.socket.poll(max(0, min(left, ping_in) * 1000)):
                frame = decode(self.socket.recv())
                if frame.verb == "PING":
                    self.tell("PONG", frame.seq, number=frame["number"])
                elif frame.verb != "PONG" or frame.seq:
                    return frame
            elif left <= ping_in:
                return None

    def _heartbeat_s(self):
        return self.welcome["heartbeat_ms"] / 2000 if self.welcome else 3600

    def take(self, wanted, what, timeout_s=None):
        """The first frame, kept or to come, for which wanted(frame) is true."""
        for at, frame in enumerate(self.kept):
            if wanted(frame):
                return self.kept.pop(at)
        limit = patience(self.timeout_s if timeout_s is None else timeout_s)
        until = time.monotonic() + limit
        while True:
            frame = self._read(until)
            if frame is None:
                raise TimeoutError(f"waited {limit:g} s in vain for {what}; kept: {[f.verb for f in self.kept]}")
            if wanted(frame):
                return frame
            self.kept.append(frame)

    def next(self, *verbs, timeout_s=None):
        return self.take(lambda frame: frame.verb in verbs, "/".join(verbs), timeout_s)

    def nothing(self, *verbs, within_s=0.3):
        """Fails when one of the verbs arrives within the time. For proving a negative only."""
        try:
            frame = self.next(*verbs, timeout_s=within_s)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected {frame.verb}: {dict(frame)}")

    def ask(self, verb, timeout_s=None, **fields):
        seq = next(self.seqs)
        self.tell(verb, seq, **fields)
        return self.answer(seq, verb, timeout_s)

    def answer(self, seq, what="answer", timeout_s=None):
        frame = self.take(lambda f: f.seq == seq and f.verb not in ("CALL", "REPLY", "DELIVER"), f"answer to {what}",
                          timeout_s)
        if frame.verb == "ERROR":
            raise BusError(frame["status"], frame["name"], frame["message"], frame["retry_after_ms"])
        return frame

    # -- session --
    def hello(self, resume=b"", timeout_s=None):
        self.welcome = self.ask("HELLO", timeout_s, protocol=PROTOCOL, name=self.name, role=self.role, resume=resume,
                                producer=self.producer, epoch=self.epoch, version="test")
        self.producer_seq = max(self.producer_seq, self.welcome["producer_seq"])
        return self.welcome

    def reconnect(self, timeout_s=None):
        """A new connection that resumes the session."""
        if self.socket is not None:
            self.drop()
        self.connect()
        return self.hello(resume=self.welcome["resume"], timeout_s=timeout_s)

    def ping(self, number=7):
        return self.ask("PING", number=number)

    # -- publish and send --
    def _producer_seqs(self, count):
        if not self.producer:
            return 0
        first = self.producer_seq + 1
        self.producer_seq += count
        return first

    def publish_many(self, bus, entries, timeout_s=None, **fields):
        """entries: envelopes as bytes, or dicts with body, dedup, attrs. Returns the results."""
        rows = [entry if isinstance(entry, dict) else {"body": entry} for entry in entries]
        fields.setdefault("producer_seq", self._producer_seqs(len(rows)))
        return self.ask("PUBLISH", timeout_s, bus=bus, entries=rows, **fields)["results"]

    def publish(self, bus, body, timeout_s=None, dedup="", attrs=None, **fields):
        """One event; raises when it was refused."""
        entry = {"body": body, "dedup": dedup, "attrs": attrs}
        return accepted(self.publish_many(bus, [entry], timeout_s, **fields)[0])

    def send_many(self, queue, entries, timeout_s=None, **fields):
        rows = [{"delay_ms": -1, **(entry if isinstance(entry, dict) else {"body": entry})} for entry in entries]
        fields.setdefault("producer_seq", self._producer_seqs(len(rows)))
        return self.ask("SEND", timeout_s, queue=queue, entries=rows, **fields)["results"]

    def send(self, queue, value, timeout_s=None, **entry):
        return accepted(self.send_many(queue, [{"body": pack(value), **entry}], timeout_s)[0])

    # -- consume and listen --
    def consume(self, queue, messages=100, size=1 << 20, visibility_ms=-1):
        return self.subscribe(kind=QUEUE, target=queue, messages=messages, bytes=size, visibility_ms=visibility_ms)

    def listen(self, bus, messages=100, size=1 << 20, **fields):
        return self.subscribe(kind=BUS, target=bus, messages=messages, bytes=size, visibility_ms=-1, **fields)

    def subscribe(self, **fields):
        sub = next(self.subs)
        self.ask("SUBSCRIBE", sub=sub, **fields)
        return sub

    def deliveries(self, sub, count, timeout_s=None):
        """At least `count` deliveries of the subscription (all of the frames they came in)."""
        found = []
        while len(found) < count:
            frame = self.take(lambda f: f.verb == "DELIVER" and f["sub"] == sub,
                              f"delivery {len(found) + 1} of {count}", timeout_s)
            found += frame["deliveries"]
        return found

    def receive(self, queue, most=1, wait_ms=0, visibility_ms=-1, timeout_s=None, **fields):
        """The deliveries of one RECEIVE; an empty list when there was nothing for as long as it waited."""
        return self.ask("RECEIVE", timeout_s, queue=queue, max=most, wait_ms=wait_ms, visibility_ms=visibility_ms,
                        **fields)["deliveries"]

    def receive_all(self, queue, count, wait_ms=5000, **fields):
        """At least `count` deliveries, by RECEIVE, as many at once as that gives."""
        found = []
        while len(found) < count:
            more = self.receive(queue, most=10, wait_ms=wait_ms, **fields)
            assert more, f"{queue} gave {len(found)} of {count} messages"
            found += more
        return found

    def credit(self, sub, messages=0, size=0):
        self.tell("CREDIT", sub=sub, messages=messages, bytes=size)

    def settle(self, entries):
        return self.ask("SETTLE", entries=entries)["results"]

    def _settle_one(self, delivery, **entry):
        return accepted(self.settle([{"receipt": delivery["receipt"], **entry}])[0])

    def ack(self, *deliveries):
        for result in self.settle([{"receipt": d["receipt"], "action": ACK} for d in deliveries]):
            accepted(result)

    def release(self, delivery, delay_ms=0, reason=""):
        self._settle_one(delivery, action=RELEASE, delay_ms=delay_ms, reason=reason)

    def reject(self, delivery, reason=""):
        self._settle_one(delivery, action=REJECT, reason=reason)

    def extend(self, delivery, delay_ms):
        self._settle_one(delivery, action=EXTEND, delay_ms=delay_ms)

    # -- calls --
    def call_begin(self, method, value=None, deadline_ms=5000, number=None, **fields):
        """With a number given, it is the call of before, asked again."""
        fields.setdefault("again", number is not None)
        number = next(self.numbers) if number is None else number
        self.call_seqs[number] = next(self.seqs)
        self.tell("CALL", self.call_seqs[number], caller=self.name, number=number, method=method, deadline_ms=deadline_ms,
                  body=pack(value), **fields)
        return number

    def reply_of(self, number, timeout_s=None):
        """The next REPLY of that call, or the ERROR that refused it."""
        return self.take(lambda f: (f.verb == "ERROR" and f.seq == self.call_seqs[number]) or
                         (f.verb == "REPLY" and f["number"] == number), f"reply to call {number}", timeout_s)

    def call_end(self, number, timeout_s=None):
        """(values of all chunks, final frame); raises when the call failed."""
        values = []
        while True:
            frame = self.reply_of(number, timeout_s)
            if frame.verb == "ERROR":
                raise BusError(frame["status"], frame["name"], frame["message"], frame["retry_after_ms"])
            if frame["final"] and frame["status"]:
                raise BusError(frame["status"], frame["aws"], frame["message"], frame["retry_after_ms"])
            if frame["body"]:
                values.append(unpack(frame["body"]))
            if frame["final"]:
                return values, frame

    def call(self, method, value=None, timeout_s=None, **fields):
        return self.call_end(self.call_begin(method, value, **fields), timeout_s)[0][-1]

    def cancel(self, number, reason="enough"):
        self.tell("CANCEL", caller=self.name, number=number, reason=reason)

    def serve(self, *methods, capacity=16, running=()):
        return self.ask("SERVE", methods=[{"method": m, "capacity": capacity} for m in methods], running=list(running))

    def next_call(self, timeout_s=None):
        return self.next("CALL", timeout_s=timeout_s)

    def reply(self, call, value=None, chunk=0, final=True, status="OK", aws="", message=""):
        self.tell("REPLY", caller=call["caller"], number=call["number"], chunk=chunk, final=final,
                  status=STATUS.index(status), aws=aws, message=message, body=pack(value) if status == "OK" else b"")

    # -- administration --
    def admin(self, verb, op, name="", args=None, body=b"", timeout_s=None):
        """This client sends no heartbeats; who was silent for long, waiting for a process to start, resumes."""
        try:
            answer = self.ask(verb, timeout_s, op=op, name=name, args=args, body=body)
        except BusError as error:
            if error.name != "NO_SESSION" or not self.welcome:
                raise
            self.reconnect(timeout_s)
            answer = self.ask(verb, timeout_s, op=op, name=name, args=args, body=body)
        return unpack(answer["body"])

    def make_queue(self, name, **attributes):
        return self.admin("QUEUE", "create", name, {k: str(v) for k, v in attributes.items()})

    def queue_info(self, name):
        return self.admin("QUEUE", "info", name)


def accepted(result):
    if result["status"]:
        raise BusError(result["status"], result["aws"], result["message"])
    return result
