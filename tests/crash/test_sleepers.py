"""A client that stops reading (SIGSTOP) costs others nothing and loses nothing: of a queue, a bus, calls and streams."""
import json
import re
import signal
import statistics
import subprocess
import sys
import time

import pytest
from lib.mangabus_broker import Broker
from lib.mangabus_client import event
from lib.paths import ROOT, is_sanitized
from lib.process import clean_environment
from lib.wait import wait_until

SHORT_S, LONG_S = 8, 60
FRAME_S = 0.005  # ten events at most in so long: what waits is to be read in a minute, and takes memory of its own
BODY = "x" * 4000
QUARANTINE_KIB = 512 << 10  # what AddressSanitizer keeps of freed memory (256 MiB), and what it puts around it
# 32 MiB that wait for one connection, the journal's tail cache, and what is freed later
GROWTH_KIB_MAX = (96 << 10) + (QUARANTINE_KIB if is_sanitized() else 0)
SLEEPS = [pytest.param(SHORT_S, id="some seconds"), pytest.param(LONG_S, id="a minute", marks=[
    pytest.mark.long, pytest.mark.timeout(300)])]


class Sleeper:
    """tests/lib/sleeper.py as a process."""

    def __init__(self, broker, kind, name):
        self.popen = subprocess.Popen([sys.executable, ROOT / "tests/lib/sleeper.py", broker.endpoint, kind, name],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
        assert self.popen.stdout.readline() == "ready\n"

    def stop(self):
        self.popen.send_signal(signal.SIGSTOP)

    def wake(self):
        self.popen.send_signal(signal.SIGCONT)

    def ask(self):
        self.popen.stdin.write("?\n")
        self.popen.stdin.flush()
        return json.loads(self.popen.stdout.readline())

    def end(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


@pytest.fixture
def broker(start, state_dir, request):
    """One whose sessions are silent soon: after three seconds, and over after six, or what the test says."""
    env = {"MANGABUS_HEARTBEAT": "1s", "MANGABUS_GRACE": "6s"} | getattr(request, "param", {})
    broker = Broker(start, state_dir, env=env).start()
    yield broker
    broker.close()


@pytest.fixture
def sleeper(broker):
    made = []

    def make(kind, name):
        made.append(Sleeper(broker, kind, name))
        return made[-1]

    yield make
    for each in made:
        each.end()


def rss_kib(broker):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{broker.process.pid}/status").read())[1])


class Traffic:
    """Publishes numbered events, and says how long each took."""

    def __init__(self, client, kind):
        self.client, self.kind, self.count = client, kind, 0

    def publish(self, seconds):
        """Ten events a frame; milliseconds of each frame."""
        times, until = [], time.monotonic() + seconds
        while not times or time.monotonic() < until:
            entries = [event(self.kind, {"n": n, "text": BODY}) for n in range(self.count, self.count + 10)]
            begin = time.monotonic()
            self.client.publish_many("demo", entries)
            took = time.monotonic() - begin
            times.append(took * 1000)
            self.count += 10
            time.sleep(max(0, FRAME_S - took))
        return times


def quick_as_before(before, during):
    """The middle of many, so that a busy machine does not decide; a broker that waits for a sleeper takes seconds."""
    assert statistics.median(during) < 10 * statistics.median(before) + 20


@pytest.mark.parametrize("seconds", SLEEPS)
def test_a_sleeping_consumer_of_a_queue_costs_nobody_and_its_messages_come_back(broker, sleeper, seconds):
    traffic = Traffic(broker.client(), "work")
    asleep = sleeper("queue", "work")
    before = traffic.publish(1)
    asleep.stop()
    grown_kib = rss_kib(broker)
    during = traffic.publish(seconds)
    grown_kib = rss_kib(broker) - grown_kib
    quick_as_before(before, during)
    assert grown_kib < GROWTH_KIB_MAX
    other = sleeper("queue", "work")
    asleep.wake()

    def all_handled():
        info = traffic.client.queue_info("work")
        return info["visible"] + info["in_flight"] + info["delayed"] == 0
    wait_until(all_handled, "every message to be acknowledged", 60)
    handled = set(asleep.ask()["got"]) | set(other.ask()["got"])
    assert handled == set(range(traffic.count)), "and none is lost"
    assert traffic.client.queue_info("work-dlq")["visible"] == 0


@pytest.mark.parametrize("seconds", SLEEPS)
def test_a_sleeping_listener_costs_nobody_and_sees_everything_in_order(broker, sleeper, seconds):
    traffic = Traffic(broker.client(), "tick")
    asleep, awake = sleeper("bus", "demo"), sleeper("bus", "demo")
    before = traffic.publish(1)
    asleep.stop()
    grown_kib = rss_kib(broker)
    during = traffic.publish(seconds)
    grown_kib = rss_kib(broker) - grown_kib
    quick_as_before(before, during)
    assert grown_kib < GROWTH_KIB_MAX
    asleep.wake()
    for each in (awake, asleep):
        wait_until(lambda each=each: len(each.ask()["got"]) >= traffic.count, "every event to be seen", 60)
        state = each.ask()
        assert sorted(set(state["got"])) == list(range(traffic.count)) and state["gaps"] == 0
    assert awake.ask()["got"] == list(range(traffic.count))


@pytest.mark.parametrize("broker", [{"MANGABUS_LAG_RECORDS": "500", "MANGABUS_HEARTBEAT": "60s",
                                     "MANGABUS_GRACE": "300s"}], indirect=True)
def test_a_listener_that_slept_past_its_lag_gets_a_gap_and_goes_on_at_the_head(broker, sleeper):
    """Within its heartbeats: who was silent for longer has a new subscription, and reads on where it was."""
    traffic = Traffic(broker.client(), "tick")
    asleep, awake = sleeper("bus", "demo"), sleeper("bus", "demo")

    def publish(count, *listeners):
        until = traffic.count + count
        while traffic.count < until:
            traffic.publish(0)
        for each in listeners:
            wait_until(lambda: each.ask()["got"][-1:] == [traffic.count - 1], "a listener to be at the head", 60)
    publish(100, asleep, awake)
    asleep.stop()
    for _ in range(30):  # far more than its credit takes (4,096) and than it may lag
        publish(300, awake)
    asleep.wake()
    wait_until(lambda: asleep.ask()["gaps"] > 0, "the sleeper to be told that it missed something", 60)
    missed = traffic.count
    publish(100, asleep, awake)
    got = asleep.ask()["got"]
    assert got == sorted(set(got)), "in order, and nothing twice"
    assert got[:100] == list(range(100)) and set(range(missed, traffic.count)) <= set(got) and len(got) < traffic.count
    assert awake.ask() == {"got": list(range(traffic.count)), "gaps": 0, "resumed": 0}


def test_a_sleeping_worker_holds_up_no_call_of_another(broker, sleeper):
    client, worker = broker.client(), broker.client()
    asleep = sleeper("serve", "job")
    assert client.call("job") is not None
    asleep.stop()
    worker.serve("job")
    numbers = [client.call_begin("job", idempotent=True, deadline_ms=60000) for _ in range(20)]
    answered, until = set(), time.monotonic() + 30
    while len(answered) < len(numbers) and time.monotonic() < until:
        try:
            call = worker.next_call(timeout_s=0.2)
        except TimeoutError:
            client.ping()
            continue
        worker.reply(call, "awake")
        answered.add(call["number"])
        client.ping()
    assert answered == set(numbers), "those that the sleeper had are given to the other"
    assert all(client.call_end(number)[0] == ["awake"] for number in numbers)


@pytest.mark.parametrize("broker", [{"MANGABUS_GRACE": "300s"}], indirect=True)
@pytest.mark.parametrize("seconds", SLEEPS)
def test_a_sleeping_caller_of_a_stream_holds_its_worker_and_nobody_else(broker, sleeper, seconds):
    worker, traffic = broker.client(), Traffic(broker.client(), "tick")
    worker.serve("tell")
    asleep = sleeper("stream", "tell")
    call = worker.next_call()
    window, sent, chunk = worker.welcome["reply_window_bytes"], 0, 0
    before = traffic.publish(1)
    asleep.stop()
    grown_kib = rss_kib(broker)
    while sent < window:  # as far as a worker may go without credit
        worker.reply(call, "y" * 50000, chunk=chunk, final=False)
        sent, chunk = sent + 50000, chunk + 1
    during = []
    for _ in range(seconds):
        during += traffic.publish(1)
        worker.ping()
    assert rss_kib(broker) - grown_kib < GROWTH_KIB_MAX
    quick_as_before(before, during)
    asleep.wake()

    def has_all():
        worker.ping()
        for asked in [f for f in worker.kept if f.verb == "CALL"]:  # what was lost with the old connection
            worker.kept.remove(asked)
            for n in range(asked["reply_from"], chunk):
                worker.reply(call, "y" * 50000, chunk=n, final=False)
        return len(asleep.ask()["got"]) == chunk and asleep.ask()["resumed"]
    wait_until(has_all, "every piece")
    worker.reply(call, "end", chunk=chunk)
    wait_until(lambda: len(asleep.ask()["got"]) > chunk, "the end of the stream")
    assert asleep.ask()["got"] == [*range(chunk), "status 0"]
