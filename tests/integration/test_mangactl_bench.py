"""`mangactl bench`: measures, in a queue of its own that is gone afterwards."""
import json
import re
import signal

import pytest
from lib.mangactl import at, begin
from lib.paths import patience
from lib.wait import wait_until

MODES = ["publish", "deliver", "call"]


@pytest.fixture
def ctl(broker):
    return at(broker.endpoint)


def queues(client):
    return {queue["name"]: queue for queue in client.admin("QUEUE", "list", "")}


def test_it_measures_each_kind_and_leaves_nothing_behind(broker, ctl):
    client = broker.client()
    before = queues(client)
    status = client.admin("BROKER", "status")
    told = json.loads(ctl("bench", "--count", 300, "--window", 16, "--json").stdout)
    assert list(told) == MODES
    for figures in told.values():
        assert figures["operations"] == 300
        assert abs(figures["per_second"] - 300 / figures["seconds"]) < 1
        assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["p99_9_us"] <= figures["longest_us"]
        assert sum(row["count"] for row in figures["histogram"]) == 300
    after = client.admin("BROKER", "status")
    assert after["published"] - status["published"] == 300 and after["acked"] - status["acked"] == 300
    assert after["calls"] - status["calls"] == 300
    assert queues(client) == before  # no rule saw what was published


def test_it_prints_a_table_and_bars(ctl):
    text = ctl("bench", "deliver", "--count", 50, "--size", 10, "--histogram").stdout.splitlines()
    assert text[0].split() == "what operations seconds a second p50 us p99 us p99.9 us longest us".split()
    assert text[1].split()[:2] == ["deliver", "50"]
    bars = [re.match(r" +[\d.]+ to +[\d.]+ us +(\d+)  #+$", line) for line in text[4:]]
    assert all(bars) and sum(int(bar.group(1)) for bar in bars) == 50


def test_wrong_options_are_refused(ctl):
    for words in (["nothing"], ["--window", 0], ["--window", 1025], ["--count", 0], ["--size", 900001]):
        ctl("bench", *words, code=64)
    assert "nowhere" in ctl("bench", "publish", "--bus", "nowhere", code=1).stderr


def test_one_that_is_broken_off_takes_its_queue_along(broker):
    client = broker.client()
    bench = begin("bench", "deliver", "--count", "100000000", endpoint=broker.endpoint)
    try:
        wait_until(lambda: any(name.startswith("mangactl-bench-") for name in queues(client)), "its queue")
        bench.send_signal(signal.SIGINT)
        assert bench.wait(patience(20)) == 75
    finally:
        bench.kill()
        bench.communicate()
    assert not any(name.startswith("mangactl-bench-") for name in queues(client))
