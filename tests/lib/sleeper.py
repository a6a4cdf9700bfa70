"""A client of the bus that a test stops in its sleep (SIGSTOP) and wakes again.

    sleeper.py ENDPOINT queue|bus|serve|stream NAME

Says "ready" when it has subscribed, serves or has asked, and a line of JSON for what it has got whenever a line comes on
its standard input."""
import json
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.mangabus_client import BUS, QUEUE, BusError, Client, unpack  # noqa: E402

CREDIT = {"messages": 4096, "bytes": 16 << 20}


class Sleeper:
    def __init__(self, endpoint, kind, name):
        self.client, self.kind, self.name = Client(endpoint), kind, name
        self.got, self.gaps, self.last, self.resumed, self.number = [], 0, 0, 0, None
        self.begin()

    def begin(self):
        client = self.client
        if self.kind == "serve":
            client.serve(self.name)
        elif self.kind == "stream":
            self.number = client.call_begin(self.name, deadline_ms=600000, stream=True, number=self.number,
                                            reply_from=len(self.got))
        else:
            fields = {"from": self.last + 1} if self.last else {}
            client.subscribe(kind=QUEUE if self.kind == "queue" else BUS, target=self.name, visibility_ms=-1, **CREDIT,
                             **fields)

    def take(self, frame):
        if frame.verb == "ERROR" and frame["name"] == "NO_SESSION":
            self.client.kept.clear()
            self.resumed += self.client.reconnect()["resumed"]
            self.begin()
        elif frame.verb == "DELIVER":
            for delivery in frame["deliveries"]:
                self.deliver(frame["sub"], delivery)
        elif frame.verb == "GAP":
            self.gaps += 1
        elif frame.verb == "CALL":
            self.client.reply(frame, self.client.name)
        elif frame.verb == "REPLY" and not frame["final"]:
            self.got.append(frame["chunk"])
            self.client.tell("REPLY_CREDIT", caller=self.client.name, number=self.number, bytes=len(frame["body"]))
        elif frame.verb == "REPLY":
            self.got.append(f"status {frame['status']}")

    def deliver(self, sub, delivery):
        self.got.append(unpack(delivery["body"])["detail"]["n"])
        self.last = max(self.last, delivery["record"])
        if self.kind == "queue":
            self.client.tell("SETTLE", 7, entries=[{"receipt": delivery["receipt"], "action": 1}])
        self.client.credit(sub, messages=1, size=len(delivery["body"]))

    def run(self):
        print("ready", flush=True)
        while True:
            try:
                self.take(self.client.take(lambda _: True, "anything", timeout_s=0.1))
            except TimeoutError:
                pass
            except BusError:
                continue
            if select.select([sys.stdin], [], [], 0)[0]:
                if not sys.stdin.readline():
                    return
                print(json.dumps({"got": self.got, "gaps": self.gaps, "resumed": self.resumed}), flush=True)


if __name__ == "__main__":
    Sleeper(*sys.argv[1:4]).run()
