"""The broker's memory over a long run: what goes through it leaves nothing behind."""
import os
import time

import pytest
from lib.mangabus_broker import Broker
from lib.mangabus_client import event
from lib.paths import is_sanitized, patience

BATCH = 100
KIB = 1024
# The index of segments takes four bytes for each record that the journal still holds; a message here makes at most four
# records (publish, delivered, settled, and a share of sessions). What is above that would be a leak.
PER_MESSAGE_BYTES = 24
SLACK_BYTES = 6 << 20  # of the allocator


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * KIB for line in status if line.startswith("VmRSS:"))


def work(client, batches):
    """Each message is published, received and acknowledged; each tenth is released once, each hundredth rejected."""
    for _ in range(batches):
        client.publish_many("demo", [event("work", {"text": "x" * 200}) for _ in range(BATCH)])
        taken = client.receive_all("work", BATCH)
        client.release(taken[0])
        client.reject(taken[1], "no use")
        client.ack(*taken[2:])
        client.ack(*client.receive_all("work", len(taken) - BATCH + 1), *client.receive_all("work-dlq", 1))


def churn(broker, rounds):
    """Clients that come and go, also without a word."""
    for n in range(rounds):
        client = broker.client()
        client.listen("demo")
        client.vanish() if n % 2 else client.close()
        broker.clients.remove(client)


def growth(broker, client, batches):
    """(bytes grown, messages) over that much work, after as much of it to warm up."""
    work(client, batches)
    churn(broker, 20)
    before = resident_bytes(broker.process.pid)
    work(client, 3 * batches)
    churn(broker, 60)
    return resident_bytes(broker.process.pid) - before, 3 * batches * BATCH


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's memory tells nothing")
def test_memory_does_not_grow_with_what_went_through(start, state_dir):
    broker = Broker(start, state_dir, env={"MANGABUS_TAIL_CACHE": "4MiB", "MANGABUS_GRACE": "1s"}).start()
    grown, messages = growth(broker, broker.client(), 150)
    assert grown < SLACK_BYTES + PER_MESSAGE_BYTES * messages, f"{grown} bytes for {messages} messages"
    broker.close()


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's memory tells nothing")
def test_memory_stays_where_it_is_for_hours(start, state_dir):
    broker = Broker(start, state_dir, env={"MANGABUS_TAIL_CACHE": "4MiB", "MANGABUS_GRACE": "1s"}).start()
    client = broker.client()
    until = time.monotonic() + patience(15 * float(os.environ.get("MANGABUS_SOAK_MINUTES", "60")))
    work(client, 150)
    before, messages, sizes = resident_bytes(broker.process.pid), 0, []
    while time.monotonic() < until:
        work(client, 50)
        churn(broker, 20)
        messages += 50 * BATCH
        sizes.append(resident_bytes(broker.process.pid))
    grown = sizes[-1] - before
    assert grown < SLACK_BYTES + PER_MESSAGE_BYTES * messages, f"{grown} bytes for {messages} messages: {sizes}"
    broker.close()
