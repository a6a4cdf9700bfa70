"""acl-erp draws permits: two instances together stay below the ERP's ceiling, and one without a bucket keeps its own."""
import contextlib
import json
import time

import pytest
from lib.erp import ErpSim, isbn
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, unpack
from lib.paths import ROOT
from lib.wait import wait_until

SHIPPED = json.loads((ROOT / "broker/topology.json").read_text())["PermitBuckets"]


@pytest.fixture
def make_house(start, make_broker, database):
    """(client, sim, processes): so many instances of acl-erp before one ERP."""
    def make(instances, buckets, **env):
        broker = make_broker(topology={**TOPOLOGY, "PermitBuckets": buckets}).start()
        sim = ErpSim(start)
        env = {"MANGABUS_ENDPOINT": broker.endpoint, "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ERP_URL": sim.url,
               **database.env, **env}
        processes = [start("acl-erp", env=env) for _ in range(instances)]
        client = broker.client()
        wait_until(lambda: served(client) == instances, f"{instances} instances")
        return client, sim, processes
    return make


def served(client):
    services = unpack(client.ask("BROKER", op="services")["body"])
    return sum(len(s["instances"]) for s in services if s["method"] == "erp.stock.get")


def flood(client, seconds):
    """Asks for pages of the catalogue and for books, always with some outstanding; whatever the answers are."""
    outstanding, n = [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or outstanding:
        while len(outstanding) < 48 and time.monotonic() < until:
            n += 1
            method, body = (("erp.product.summary", {"isbn": isbn(n)}) if n % 3 == 0 else
                            ("erp.catalog.page", {"page_size": 1}))
            outstanding.append(client.call_begin(method, body, deadline_ms=30000))
        with contextlib.suppress(BusError):
            client.call_end(outstanding.pop(0))


def test_two_instances_together_stay_below_the_erps_ceiling(make_house):
    client, sim, _ = make_house(2, SHIPPED)
    began = time.monotonic()
    flood(client, 4)
    took = time.monotonic() - began
    stats = sim.stats()["erp"]
    assert stats["refused"] == 0 and stats["max_in_a_second"] <= 50
    assert stats["admitted"] > 43 * took * 0.5, "and they make use of it"
    bucket = unpack(client.ask("BROKER", op="permits")["body"])[0]
    assert bucket["granted"] - bucket["returned"] >= stats["admitted"]


def test_without_permits_two_instances_would_pass_it(make_house):
    """What the test above would see if nothing were shared."""
    client, sim, _ = make_house(2, [], MANGABUS_ERP_PERMITS="")
    flood(client, 1)
    assert sim.stats()["erp"]["refused"] > 0


def test_a_broker_without_the_bucket_leaves_the_own_pace_and_a_warning(make_house):
    client, sim, (acl,) = make_house(1, [])
    assert client.call("erp.stock.get", {"isbn": isbn(1)}, deadline_ms=10000)["isbn"] == isbn(1)
    acl.wait_for_line("no permits are to be had")
    assert sim.stats()["erp"]["admitted"] == 1


def test_a_customer_is_served_while_a_batch_waits_for_permits(make_house):
    slow = [{"BucketName": "erp", "RateLimit": 5, "BurstLimit": 1, "ExpiryMilliseconds": 500}]
    client, sim, _ = make_house(2, slow)
    pages = [client.call_begin("erp.catalog.page", {"page_size": 1}, deadline_ms=60000) for _ in range(30)]
    wait_until(lambda: sim.stats()["operations"].get("page", 0) >= 1, "the first page")
    client.call("erp.stock.get", {"isbn": isbn(7)}, deadline_ms=20000)
    assert sim.stats()["operations"]["page"] < 25
    for number in pages:
        client.cancel(number)
