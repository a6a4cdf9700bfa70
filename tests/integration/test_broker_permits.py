"""Permits over the wire: one pace for all sessions, priorities, expiry, giving back, and a restart of the broker."""
import json
import time

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, unpack
from lib.wait import http_get, wait_until

BUCKETS = [{"BucketName": "erp", "RateLimit": 20, "BurstLimit": 4, "ExpiryMilliseconds": 500},
           {"BucketName": "steady", "RateLimit": 1, "BurstLimit": 1},
           {"BucketName": "hourly", "RateLimit": 0.01, "BurstLimit": 1}]


@pytest.fixture
def broker(make_broker):
    return make_broker(topology={**TOPOLOGY, "PermitBuckets": BUCKETS}).start()


def draw(client, tokens=1, bucket="erp", **fields):
    return client.ask("PERMIT", bucket=bucket, tokens=tokens, **fields)


def info(client, name="erp"):
    return next(b for b in unpack(client.ask("BROKER", op="permits")["body"]) if b["name"] == name)


def wait_full(client):
    wait_until(lambda: info(client)["available"] == 4, "a full bucket")


def test_two_sessions_together_keep_the_pace(broker):
    clients = [broker.client(), broker.client()]
    wait_full(clients[0])
    begin, tokens = time.monotonic(), 0
    while time.monotonic() - begin < 2:
        for client in clients:
            tokens += draw(client, 2, wait_ms=100)["tokens"]
    took = time.monotonic() - begin
    assert 20 * took * 0.5 < tokens <= 20 * took + 4


def test_a_permit_says_how_long_it_is_worth_something_and_is_passed_on_when_given_back(client, broker):
    wait_full(client)
    first = draw(client, 4)
    assert first["tokens"] == 4 and first["expires_ms"] == 500 and first["permit"] > 0 and first["waited_ms"] == 0
    other = broker.client()
    assert client.ask("PERMIT", bucket="erp", permit=first["permit"], unused=3)["tokens"] == 0
    got = draw(other, 4)
    assert got["tokens"] >= 1 and got["permit"] != first["permit"]
    wait_until(lambda: info(client)["returned"] == 3, "what was given back")


def test_a_live_request_goes_before_a_batch(broker):
    batch, live = broker.client(), broker.client()
    for _ in range(10):
        batch.tell("PERMIT", next(batch.seqs), bucket="steady", tokens=1, priority=2, wait_ms=60000)
    wait_until(lambda: info(live, "steady")["waiting"][2] >= 9, "the batch in line")
    assert draw(live, bucket="steady", wait_ms=60000)["tokens"] == 1
    assert info(live, "steady")["waiting"][2] >= 1


def test_who_waits_in_vain_is_told_when_to_ask_again(client):
    answer = draw(client, bucket="hourly", wait_ms=50)
    assert answer["tokens"] == 0 and answer["retry_after_ms"] > 1000 and answer["waited_ms"] >= 50


def test_wrong_requests_are_refused_by_name(client):
    for fields, name in (({"bucket": "none", "tokens": 1}, "ResourceNotFoundException"),
                         ({"bucket": "erp", "tokens": 0}, "InvalidParameterValue"),
                         ({"bucket": "erp", "tokens": 1, "priority": 3}, "InvalidParameterValue"),
                         ({"bucket": "erp", "tokens": 1, "wait_ms": 1 << 40}, "InvalidParameterValue")):
        with pytest.raises(BusError) as refused:
            client.ask("PERMIT", **fields)
        assert refused.value.name == name
    client.ping()


def test_after_a_restart_nothing_is_granted_for_a_second(broker):
    client = broker.client()
    wait_full(client)
    assert draw(client, 4)["tokens"] == 4
    broker.restart()
    began = time.monotonic()  # a little after the broker itself began
    client.reconnect()
    assert draw(client, wait_ms=20000)["tokens"] == 1
    assert time.monotonic() - began > 0.5


def test_the_waiting_of_a_session_that_is_gone_is_forgotten(broker):
    gone, stays = broker.client(), broker.client()
    gone.tell("PERMIT", 99, bucket="hourly", tokens=1, wait_ms=60000)
    wait_until(lambda: info(stays, "hourly")["waiting"] == [1, 0, 0], "the request in line")
    gone.close()
    wait_until(lambda: info(stays, "hourly")["waiting"] == [0, 0, 0], "nobody in line")


def test_an_exported_topology_has_the_buckets(client):
    assert json.loads(unpack(client.ask("TOPOLOGY", op="export")["body"])["document"])["PermitBuckets"] == BUCKETS


def test_metrics_show_each_bucket(broker, client):
    wait_full(client)
    draw(client, 3)
    metrics = http_get(f"{broker.url}/metrics")[1]
    assert 'mangabus_broker_permits_granted_total{bucket="erp"} 3' in metrics
    assert 'mangabus_broker_permits_waiting{bucket="hourly"} 0' in metrics
