"""Many clients of the bus in one process and one ZeroMQ context: each says HELLO, publishes, sends, consumes, settles, serves
and calls. A program: `crowd.py ENDPOINT CLIENTS QUEUES` prints one JSON line with what came of it."""
import json
import resource
import sys
import time
from pathlib import Path

import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.mangabus_client import ACK, PROTOCOL, QUEUE, decode, encode, event, pack  # noqa: E402

SOCKET_FILES = 4  # of one client: its connection, and what ZeroMQ signals by
PHASE_S = 120
SERVERS = 10


class Crowd:
    def __init__(self, endpoint, clients, queues):
        need = clients * SOCKET_FILES + 200
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, hard) if hard != resource.RLIM_INFINITY else need, hard))
        self.context = zmq.Context()
        self.context.max_sockets = clients + 10
        self.poller = zmq.Poller()
        self.queues, self.sockets, self.by_socket = queues, [], {}
        self.latencies_ms, self.errors, self.settled = {}, [], 0
        for n in range(clients):
            socket = self.context.socket(zmq.DEALER)
            socket.linger = 500
            socket.connect(endpoint)
            self.poller.register(socket, zmq.POLLIN)
            self.by_socket[socket] = n
            self.sockets.append(socket)

    def name(self, n):
        return f"crowd-{n:06x}"

    def phase(self, what, frames, answers, verb):
        """Each client sends its frame; ends when so many answers of that verb have come."""
        sent, times, came, until = {}, [], 0, time.monotonic() + PHASE_S
        for n, frame in enumerate(frames):
            if frame is not None:
                sent[n] = time.monotonic()
                self.sockets[n].send(frame)
            if n % 50 == 49:
                came += self.read(verb, sent, times, 0)
        while came < answers:
            if time.monotonic() > until:
                raise SystemExit(f"{what}: {came} of {answers} answers, {self.errors[:3]}")
            came += self.read(verb, sent, times, 1000)
        times.sort()
        self.latencies_ms[what] = {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}

    def read(self, verb, sent, times, wait_ms):
        came = 0
        for socket, _ in self.poller.poll(wait_ms):
            n = self.by_socket[socket]
            while True:
                try:
                    frame = decode(socket.recv(zmq.DONTWAIT))
                except zmq.Again:
                    break
                came += self.take(n, frame, verb)
                if frame.verb == verb and n in sent:
                    times.append((time.monotonic() - sent[n]) * 1000)
        return came

    def take(self, n, frame, verb):
        """What one frame counts for the phase."""
        if frame.verb == "ERROR" or any(r["status"] for r in frame.get("results", ())):
            self.errors.append([self.name(n), frame.verb, str(dict(frame))])
        if frame.verb == "PING":
            self.sockets[n].send(encode("PONG", frame.seq, number=frame["number"]))
        if frame.verb == "CALL":
            self.sockets[n].send(encode("REPLY", 0, caller=frame["caller"], number=frame["number"], final=True,
                                        body=frame["body"]))
        if frame.verb == "REPLY" and frame["status"]:
            self.errors.append([self.name(n), "REPLY", frame["message"]])
        if frame.verb == "DELIVER":
            rows = [{"receipt": d["receipt"], "action": ACK} for d in frame["deliveries"]]
            self.sockets[n].send(encode("SETTLE", 9, entries=rows))
        return (len(frame["results"]) if verb == "SETTLED" else 1) if frame.verb == verb else 0

    def run(self):
        everyone = range(len(self.sockets))
        count = len(self.sockets)
        self.phase("hello", (encode("HELLO", 1, protocol=PROTOCOL, name=self.name(n), version="crowd") for n in everyone),
                   count, "WELCOME")
        self.phase("publish", (encode("PUBLISH", 2, bus="demo", entries=[{"body": event("tick", {"n": n})}])
                               for n in everyone), count, "PUBLISHED")
        self.phase("subscribe", (encode("SUBSCRIBE", 3, sub=1, kind=QUEUE, target=f"crowd-{n % self.queues}",
                                        messages=100, bytes=1 << 20, visibility_ms=-1) for n in everyone),
                   count, "SUBSCRIBED")
        self.phase("send and settle", (encode("SEND", 4, queue=f"crowd-{n % self.queues}", entries=[
            {"body": pack(n), "delay_ms": -1}]) for n in everyone), count, "SETTLED")
        self.phase("serve", (encode("SERVE", 5, methods=[{"method": "echo", "capacity": 1000}])
                             if n < SERVERS else None for n in everyone), min(SERVERS, count), "SERVED")
        self.phase("call", (encode("CALL", 6, caller=self.name(n), number=1, method="echo", deadline_ms=60000,
                                   body=pack(n)) for n in everyone), count, "REPLY")
        return {"clients": count, "errors": self.errors[:5], "latencies_ms": self.latencies_ms}

    def close(self):
        for socket in self.sockets:
            socket.send(encode("BYE", 0, reason="done"))
            socket.close()
        self.context.term()


def main():
    crowd = Crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(crowd.run()), flush=True)
    sys.stdin.readline()  # until whoever started it has looked at the broker
    crowd.close()


if __name__ == "__main__":
    main()
