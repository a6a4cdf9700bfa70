"""`mangactl top` on a terminal of a given size, and for programs; `queue peek --follow`."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest
from lib.mangabus_client import Client
from lib.mangactl import at, begin, environment
from lib.paths import bin_dir, patience
from lib.wait import wait_until


@pytest.fixture
def ctl(broker):
    return at(broker.endpoint)


@pytest.fixture
def traffic(broker):
    """Somebody who sends and takes until the test ends; some messages stay."""
    stop = threading.Event()
    with Client(broker.endpoint, "worker-000001") as client:
        for n in range(3):
            client.send("work", n)

        def work():
            while not stop.is_set():
                client.send("orders", 1)
                client.ack(*client.receive("orders", 10, wait_ms=100))

        thread = threading.Thread(target=work)
        thread.start()
        yield
        stop.set()
        thread.join(patience(20))


class Terminal:
    """mangactl on a pseudo terminal; `screen()` is what a terminal would show now."""

    def __init__(self, endpoint, *words, columns=100, lines=20):
        self.columns, self.lines, self.bytes = columns, lines, b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen([str(bin_dir() / "mangactl"), *words], stdin=slave, stdout=slave,
                                        stderr=subprocess.PIPE, env=environment(MANGABUS_ENDPOINT=endpoint, NO_COLOR="1"))
        self.slave = slave
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            if not got:
                return
            self.bytes += got

    def screen(self):
        """The last whole picture: what follows the last but one HOME."""
        pictures = self.bytes.decode().split("\x1b[H")
        whole = [picture.split("\x1b[J")[0] for picture in pictures[1:] if "\x1b[J" in picture]
        return whole[-1].replace("\x1b[K", "").split("\r\n") if whole else []

    def press(self, key):
        os.write(self.master, key.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.slave)
        os.close(self.master)
        self.reader.join()


@pytest.fixture
def terminal(broker):
    opened = []

    def run(*words, **size):
        opened.append(Terminal(broker.endpoint, *words, **size))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def test_it_redraws_queues_and_rates_and_leaves_the_terminal_as_it_was(terminal, traffic):
    top = terminal("top", "--interval", "200ms")

    def shows_the_rate():
        line = next((line for line in top.screen() if line.startswith("orders")), "")
        return len(line.split()) == 8 and float(line.split()[5]) > 0

    wait_until(shows_the_rate, "a rate of orders")
    lines = top.screen()
    assert re.match(r"mangabus-broker-\S+ +\d{4}-\S+Z  up \S+  head \d+  topology 1", lines[0])
    assert lines[1].startswith("a second:  published 0  sent ") and lines[2].startswith("now:  sessions ")
    assert lines[4].split() == ["queue", "visible", "in", "flight", "delayed", "oldest", "in/s", "out/s", "consumers"]
    assert any(re.match(r"work +3 +0 +0 +\d+s", line) for line in lines)
    assert any("more in which nothing is" in line for line in lines)
    assert lines[-1].startswith("q quits")
    assert len(lines) <= 20 and all(len(line) <= 100 for line in lines)
    top.press("q")
    assert top.process.wait(patience(10)) == 0
    assert termios.tcgetattr(top.slave) == top.before
    wait_until(lambda: top.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), "the other screen is left")


def test_keys_change_what_is_shown(terminal, traffic):
    top = terminal("top", "--interval", "10s")
    wait_until(lambda: any(line.startswith("work ") for line in top.screen()), "the first picture")
    assert not any(line.startswith("plain ") for line in top.screen())
    top.press("a")
    wait_until(lambda: any(line.startswith("plain ") for line in top.screen()), "all queues")
    top.press("n")
    wait_until(lambda: [line.split()[0] for line in top.screen()[5:10]] == ["names", "orders", "plain", "work", "work-dlq"],
               "an order by name")
    top.press("s")
    wait_until(lambda: any(re.match(r"worker-000001 +live ", line) for line in top.screen()), "the sessions")
    top.process.send_signal(signal.SIGINT)
    assert top.process.wait(patience(10)) == 0


@pytest.mark.parametrize("columns,lines", [(40, 8), (12, 3), (200, 50)])
def test_it_fits_any_terminal(terminal, traffic, columns, lines):
    top = terminal("top", "--interval", "200ms", "--all", columns=columns, lines=lines)
    wait_until(lambda: len(top.screen()) > 2, "a picture")
    assert len(top.screen()) <= lines and all(len(line) <= columns for line in top.screen())
    top.press("q")
    assert top.process.wait(patience(10)) == 0


def test_programs_read_one_or_many(broker, ctl, traffic):
    told = json.loads(ctl("top", "--once", "--interval", "500ms", "--json").stdout)
    queues = {queue["name"]: queue for queue in told["queues"]}
    assert queues["work"]["visible"] == 3 and queues["orders"]["in_per_second"] > 0
    assert told["per_second"]["sent"] > 0 and told["status"]["queues"] == 5
    assert "worker-000001" in [session["name"] for session in told["sessions"]]
    text = ctl("top", "--interval", "200ms").stdout  # no terminal: once
    assert "a second:" in text and "\x1b" not in text and "q quits" not in text
    stream = begin("top", "--json", "--interval", "100ms", endpoint=broker.endpoint)
    try:
        assert all("queues" in json.loads(stream.stdout.readline()) for _ in range(3))
        stream.send_signal(signal.SIGTERM)
        assert stream.wait(patience(10)) == 0
    finally:
        stream.kill()
        stream.communicate()
    ctl("top", "--order", "colour", code=64)
    ctl("top", "--interval", "1ms", code=64)


def test_a_peek_follows_what_is_sent_though_it_is_taken_meanwhile(broker):
    client = broker.client()
    client.send("plain", 1)
    follow = begin("queue", "peek", "plain", "--follow", "--count", "3", "--json", endpoint=broker.endpoint)
    try:
        assert json.loads(follow.stdout.readline())["body"] == 1
        client.ack(*client.receive("plain"))
        client.send("plain", 2)
        assert json.loads(follow.stdout.readline())["body"] == 2
        client.send("plain", 3)
        assert json.loads(follow.stdout.readline())["body"] == 3
        assert follow.wait(patience(10)) == 0
    finally:
        follow.kill()
        follow.communicate()
    assert client.queue_info("plain")["visible"] == 2


def test_a_peek_chooses_by_a_pattern_beyond_the_first_page(broker, ctl):
    client = broker.client()
    client.send_many("plain", [{"body": b"\x81\xa1n\xcd" + n.to_bytes(2, "big")} for n in range(256)])
    client.send("plain", {"n": 999})
    found = ctl("queue", "peek", "plain", "--where", '{"body": {"n": [999]}}', "--json").stdout
    assert json.loads(found)["body"] == {"n": 999}
    ctl("queue", "peek", "plain", "--where", '{"body": {"n": [1000]}}', code=1)
    assert len(ctl("queue", "peek", "plain", "--count", 300, "--json").stdout.splitlines()) == 257
