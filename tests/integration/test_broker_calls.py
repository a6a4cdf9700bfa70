"""Calls: dispatch, deadline, cancel, streams, workers that die, a broker that restarts."""
import time
from collections import Counter

import pytest
from lib.mangabus_client import BusError, pack, unpack


@pytest.fixture
def worker(broker):
    worker = broker.client("worker-000001")
    worker.serve("echo", "slow")
    return worker


def test_a_call_is_answered_by_who_serves_it(client, worker):
    number = client.call_begin("echo", {"text": "在庫"}, attrs={"traceparent": "00-1-2-03"})
    call = worker.next_call()
    assert call["method"] == "echo" and call["caller"] == client.name and call["number"] == number
    assert unpack(call["body"]) == {"text": "在庫"} and call["attrs"]["traceparent"] == "00-1-2-03"
    assert 0 < call["deadline_ms"] <= 5000
    worker.reply(call, {"answer": 42})
    values, final = client.call_end(number)
    assert values == [{"answer": 42}] and final["worker"] == worker.name


def test_a_failure_of_the_worker_comes_as_it_was_said(client, worker):
    number = client.call_begin("echo")
    worker.reply(worker.next_call(), status="FAILED_PRECONDITION", aws="ItemGone", message="no such volume")
    with pytest.raises(BusError) as failed:
        client.call_end(number)
    assert (failed.value.status, failed.value.name, failed.value.message) == (
        "FAILED_PRECONDITION", "ItemGone", "no such volume")


def test_a_call_that_nobody_serves_is_unavailable(client):
    begin = time.monotonic()
    with pytest.raises(BusError) as failed:
        client.call("nobody.serves.this")
    assert failed.value.status == "UNAVAILABLE"
    assert time.monotonic() - begin < 4.5, "it does not take the whole deadline"


def test_a_call_waits_for_a_worker_that_is_about_to_come(broker, client):
    number = client.call_begin("late.method")
    late = broker.client()
    late.serve("late.method")
    late.reply(late.next_call(), "here")
    assert client.call_end(number)[0] == ["here"]


def test_calls_go_to_the_worker_with_the_fewest(broker, client):
    workers = [broker.client(f"worker-00000{n}") for n in range(3)]
    for each in workers:
        each.serve("job")
    for _ in range(9):
        client.call_begin("job", deadline_ms=20000)
    shares = Counter()
    for each in workers:
        for _ in range(3):
            each.next_call()
            shares[each.name] += 1
    assert set(shares.values()) == {3}


def test_no_worker_gets_more_than_its_capacity(broker, client):
    worker = broker.client()
    worker.serve("job", capacity=2)
    made = [client.call_begin("job", n) for n in range(3)]
    first, second = worker.next_call(), worker.next_call()
    worker.nothing("CALL")
    worker.reply(first, "a")
    third = worker.next_call()
    for call in (second, third):
        worker.reply(call, "b")
    assert [client.call_end(n)[0] for n in made] == [["a"], ["b"], ["b"]]


def test_a_deadline_ends_the_call_and_tells_the_worker(client, worker):
    number = client.call_begin("slow", deadline_ms=300)
    call = worker.next_call()
    with pytest.raises(BusError) as failed:
        client.call_end(number)
    assert failed.value.status == "DEADLINE_EXCEEDED"
    assert worker.next("CANCEL")["number"] == call["number"]
    worker.reply(call, "too late")
    client.nothing("REPLY")


def test_a_deadline_of_nothing_is_refused(client, worker):
    number = client.call_begin("echo", deadline_ms=0)
    with pytest.raises(BusError) as failed:
        client.call_end(number)
    assert failed.value.status == "DEADLINE_EXCEEDED"


def test_cancelling_reaches_the_worker(client, worker):
    number = client.call_begin("slow")
    call = worker.next_call()
    client.cancel(number, "the user left")
    cancel = worker.next("CANCEL")
    assert (cancel["caller"], cancel["number"]) == (call["caller"], call["number"])


def test_a_caller_that_leaves_cancels_its_calls(broker, worker):
    caller = broker.client()
    number = caller.call_begin("slow")
    worker.next_call()
    caller.close()
    assert worker.next("CANCEL")["number"] == number


def test_a_stream_comes_in_order_chunk_by_chunk(client, worker):
    number = client.call_begin("echo", stream=True)
    call = worker.next_call()
    assert call["stream"]
    for n in range(20):
        worker.reply(call, n, chunk=n, final=False)
    worker.reply(call, "end", chunk=20)
    assert client.call_end(number)[0] == [*range(20), "end"]


def test_reply_credit_reaches_the_worker(client, worker):
    number = client.call_begin("echo", stream=True)
    call = worker.next_call()
    worker.reply(call, "a", chunk=0, final=False)
    client.reply_of(number)
    client.tell("REPLY_CREDIT", caller=client.name, number=number, bytes=1000)
    credit = worker.next("REPLY_CREDIT")
    assert credit["number"] == number and credit["bytes"] == 1000
    worker.reply(call, "b", chunk=1)
    client.call_end(number)
    client.tell("REPLY_CREDIT", caller=client.name, number=number, bytes=1000)  # too late, and no mistake
    client.nothing("ERROR")


def test_nobody_gives_credit_for_the_call_of_another(broker, client, worker):
    number = client.call_begin("echo", stream=True)
    worker.next_call()
    broker.client().tell("REPLY_CREDIT", caller=client.name, number=number, bytes=1000)
    worker.nothing("REPLY_CREDIT")


def test_a_worker_that_leaves_hands_an_idempotent_call_to_another(broker, client):
    first = broker.client()
    first.serve("job")
    number = client.call_begin("job", "do it", idempotent=True)
    first.next_call()
    second = broker.client()
    second.serve("job")
    first.close()
    call = second.next_call()
    assert unpack(call["body"]) == "do it"
    second.reply(call, "done")
    assert client.call_end(number)[0] == ["done"]


def test_a_worker_that_leaves_fails_a_call_that_is_not_idempotent(broker, client):
    first = broker.client()
    first.serve("job")
    number = client.call_begin("job")
    first.next_call()
    first.close()
    with pytest.raises(BusError) as failed:
        client.call_end(number)
    assert failed.value.status == "UNAVAILABLE" and "outcome unknown" in failed.value.message


def test_asking_again_under_one_identity_does_not_start_it_twice(client, worker):
    number = client.call_begin("echo", deadline_ms=10000)
    call = worker.next_call()
    client.call_begin("echo", deadline_ms=10000, number=number)
    worker.nothing("CALL")
    worker.reply(call, "once")
    assert client.call_end(number)[0] == ["once"]


def test_a_running_call_survives_a_restart_of_the_broker(broker):
    caller, worker = broker.client(), broker.client()
    worker.serve("slow")
    number = caller.call_begin("slow", deadline_ms=20000, stream=True)
    call = worker.next_call()
    worker.reply(call, "before", chunk=0, final=False)
    assert caller.reply_of(number)["chunk"] == 0
    broker.restart()
    worker.reconnect()
    worker.serve("slow", running=[{"caller": call["caller"], "number": call["number"], "chunk": 1}])
    caller.reconnect()
    caller.call_begin("slow", deadline_ms=20000, stream=True, number=number, reply_from=1)
    worker.reply(call, "after", chunk=1)
    assert caller.call_end(number)[0] == ["after"]
    worker.nothing("CALL")


def test_a_call_that_ran_is_not_begun_again_however_late_its_caller_comes_back(make_broker):
    broker = make_broker(env={"MANGABUS_HEARTBEAT": "200ms"}).start()
    caller, worker = broker.client(), broker.client()
    worker.serve("pay")
    number = caller.call_begin("pay", deadline_ms=60000)
    worker.next_call()
    caller.drop()
    worker.vanish()
    broker.restart()
    second = broker.client()
    second.serve("pay")
    second.nothing("CALL", within_s=1)  # longer than three heartbeats
    caller.reconnect()
    caller.call_begin("pay", deadline_ms=60000, number=number)
    with pytest.raises(BusError) as failed:
        caller.call_end(number)
    assert failed.value.status == "UNAVAILABLE" and "outcome unknown" in failed.value.message
    second.nothing("CALL")


def test_a_worker_that_comes_back_after_its_caller_is_joined(broker):
    caller, worker = broker.client(), broker.client()
    worker.serve("slow")
    number = caller.call_begin("slow", deadline_ms=60000)
    call = worker.next_call()
    broker.restart()
    caller.reconnect()
    caller.call_begin("slow", deadline_ms=60000, number=number)
    caller.nothing("REPLY", within_s=1.2)
    worker.reconnect()
    worker.serve("slow", running=[{"caller": call["caller"], "number": call["number"], "chunk": 0}])
    worker.reply(call, "done")
    assert caller.call_end(number)[0] == ["done"]


def test_pieces_lost_with_the_callers_connection_are_sent_again(broker):
    caller, worker = broker.client(), broker.client()
    worker.serve("tell")
    number = caller.call_begin("tell", deadline_ms=60000, stream=True)
    call = worker.next_call()
    worker.reply(call, 0, chunk=0, final=False)
    assert unpack(caller.reply_of(number)["body"]) == 0
    caller.drop()
    for n in range(1, 5):
        worker.reply(call, n, chunk=n, final=n == 4)
    worker.ping()
    caller.connect()
    caller.hello(resume=caller.welcome["resume"])
    caller.call_begin("tell", deadline_ms=60000, stream=True, number=number, reply_from=1)
    asked = worker.next_call()
    assert asked["again"] and asked["reply_from"] == 1
    for n in range(1, 5):
        worker.reply(call, n, chunk=n, final=n == 4)
    assert caller.call_end(number)[0] == [1, 2, 3, 4]


def test_an_idempotent_call_moves_on_within_a_second_when_its_workers_process_dies(broker, client):
    first, second = broker.client(), broker.client()
    first.serve("job")
    number = client.call_begin("job", idempotent=True, deadline_ms=60000)
    first.next_call()
    second.serve("job")
    begin = time.monotonic()
    first.vanish()
    call = second.next_call()
    took = time.monotonic() - begin
    second.reply(call, "done")
    assert client.call_end(number)[0] == ["done"]
    assert took < 5, "well before three heartbeats of silence"


def test_a_reply_to_no_call_does_no_harm(worker):
    worker.reply({"caller": "nobody-000000", "number": 5}, "hello")
    worker.ping()


def test_serving_with_capacity_nothing_stops_new_calls(broker, client):
    worker = broker.client()
    worker.serve("job")
    worker.serve("job", capacity=0)
    number = client.call_begin("job", deadline_ms=500)
    worker.nothing("CALL")
    with pytest.raises(BusError) as failed:
        client.call_end(number)
    assert failed.value.status == "DEADLINE_EXCEEDED"


def test_a_big_answer_comes_whole(client, worker):
    number = client.call_begin("echo", deadline_ms=20000)
    answer = "あ" * 300_000
    worker.reply(worker.next_call(), answer)
    assert client.call_end(number)[0] == [answer]
    assert len(pack(answer)) > 800_000
