"""The whole house from outside: questions, events, capture and replay, and what it does when its processes die."""
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest
from lib.erp import ONE_PIECE_42
from lib.whole_house import DRAIN_S, SERVICES, SIMULATORS, numbers_in
from lib.mangabus_client import BusError, Client, event, unpack
from lib.paths import patience
from lib.wait import wait_until

JAPANESE = "ワンピース 42巻の在庫はありますか？"
ENGLISH = "Is Volume 42 of One Piece in stock?"
AI = "MangaAssist-AI-Events"
INVENTORY = "manga-assist-inventory"
CHAT = '{"detail": {"session_id": [{"exists": true}]}}'  # what belongs to a conversation
NARUTO = 'NARUTO 3巻の在庫はありますか？'
RECOVERY_S = 15
LOAD_EVENTS = 1500  # of each producer at least
KILLS = 2


def answered(house, question=ENGLISH, *options):
    """The answer once nothing is left out of it."""

    def ask():
        try:
            response = house.ask(question, *options)
        except AssertionError:
            return None
        return None if response.get("degraded") else response

    return wait_until(ask, f"a whole answer to {question}", RECOVERY_S)


def stock_at_the_erp(house, book=ONE_PIECE_42):
    """{warehouse: quantity} and the price, by SOAP."""
    lines = house.erp.ask("GetStockLevel", ("ISBN", book), ("WarehouseCode", "")).items
    return {line["WarehouseCode"]: int(line["Quantity"]) for line in lines}, int(lines[0]["PriceJPY"])


# ---- questions ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("question, language", [(JAPANESE, "ja"), (ENGLISH, "en")])
def test_a_question_is_answered_with_the_numbers_of_the_erp(house, question, language):
    response = answered(house, question, "--fresh")
    by_warehouse, price = stock_at_the_erp(house)
    assert response["language"] == language and response["intent"] == "inventory_check"
    assert {line["warehouse_code"]: line["quantity"] for line in response["stock"]} == by_warehouse
    assert [(book["isbn"], book["volume"]) for book in response["citations"]][0] == (ONE_PIECE_42, 42)
    said = numbers_in(response["answer"])
    assert {42, sum(by_warehouse.values()), price} <= set(said), response["answer"]
    assert all(quantity in said for quantity in by_warehouse.values() if quantity), response["answer"]
    assert "one piece" in response["answer"].lower()


def test_the_stock_that_is_answered_is_what_the_bus_says_too(house):
    by_warehouse, _ = stock_at_the_erp(house)
    assert house.call("erp.stock.get", {"isbn": ONE_PIECE_42})["total_quantity"] == sum(by_warehouse.values())


def test_the_way_of_an_answer_is_printed_hop_by_hop_with_its_times(house):
    done = house.mangactl("ask", ENGLISH, "--fresh")
    hops = [line.split() for line in done.stderr.splitlines() if line and not line.startswith("total")][1:]
    passed = {hop[0] for hop in hops}
    assert {"chat-router", "sync-reconciler", "embed-indexer", "acl-erp", "erp", "fm-invoker", "bedrock"} <= passed
    assert {"cache", "intent", "catalog.get", "search.query", "erp.stock.get", "GetBatchStockLevels", "fm.invoke",
            "InvokeModelWithResponseStream"} <= {hop[1] for hop in hops}
    took = [float(hop[3]) for hop in hops]
    assert max(took) > 0 and "total" in done.stderr.splitlines()[-1] and "ms" in done.stderr.splitlines()[-1]
    assert "42" in done.stdout and "total" not in done.stdout


def test_search_finds_a_book_by_a_part_of_its_title_and_one_volume_of_each_work(house):
    def by_text_and_vector():
        response = house.call("search.query", {"text": "鬼滅", "limit": 5})
        works = {hit["title"] for hit in response["hits"]}  # while fewer have a vector, further volumes fill the room
        return response["hits"] if response["mode"] == "hybrid" and len(works) == 5 else None

    hits = wait_until(by_text_and_vector, "five works by text and by vector", 60)
    assert (hits[0]["title"], hits[0]["volume"]) == ("鬼滅の刃", 1)


def test_a_second_question_is_answered_from_what_was_kept_and_faster(house):
    first = answered(house, NARUTO)
    second = house.ask(NARUTO)
    assert not first["cached"] and second["cached"] and second["cache_age_ms"] >= 0
    assert second["answer"] == first["answer"] and second["stock"] == first["stock"]
    assert second["latency_ms"] < first["latency_ms"]
    assert "a kept answer" in house.mangactl("ask", NARUTO).stderr


def test_a_change_of_stock_throws_the_kept_answer_out(house):
    book = answered(house, NARUTO)["citations"][0]["isbn"]
    assert house.ask(NARUTO)["cached"]
    began = time.time()
    house.erp.control(stock=[{"isbn": book, "warehouse": "TK01", "quantity": 4321}])
    adjusted = house.call("inventory.adjust", {"isbn": book, "warehouse_code": "TK01", "quantity": 4321,
                                               "reason": "counted", "idempotency_key": "e2e-count-1"})
    assert adjusted["applied"] and adjusted["new_quantity"] == 4321

    def asked_anew():
        response = house.ask(NARUTO)
        return response if not response["cached"] else None

    response = wait_until(asked_anew, "an answer that is not the kept one")
    by_warehouse, _ = stock_at_the_erp(house, book)
    assert by_warehouse["TK01"] == 4321
    assert {line["warehouse_code"]: line["quantity"] for line in response["stock"]} == by_warehouse
    assert 4321 in numbers_in(response["answer"])
    events = house.tail(INVENTORY, "--since", f"{int(time.time() - began) + 2}s", "--timeout", "500ms")
    detail = [e["event"]["detail"] for e in events if e["event"]["detail"]["isbn"] == book][-1]
    assert (detail["warehouse_code"], detail["new_quantity"]) == ("TK01", 4321)


# ---- events ---------------------------------------------------------------------------------------------
def conversation_on_the_bus(house, session):
    events = house.tail(AI, "--since", "1h", "--timeout", "500ms", "--pattern", CHAT)
    return [e for e in events if e["event"]["detail"].get("session_id") == session]


def test_a_question_is_told_on_the_bus_as_message_and_inference(house):
    session = answered(house, JAPANESE, "--fresh")["session_id"]
    wait_until(lambda: len(conversation_on_the_bus(house, session)) == 2, "both events")
    details = {e["event"]["detail-type"]: e["event"]["detail"] for e in conversation_on_the_bus(house, session)}
    assert details["MessageReceived"]["text"] == JAPANESE and details["MessageReceived"]["isbns"] == [ONE_PIECE_42]
    inference = details["InferenceCompleted"]
    assert inference["status"] == "success" and inference["metrics"]["output_tokens"] > 0
    assert inference["metrics"]["cost_usd_micros"] > 0
    traces = {e["attributes"]["traceparent"].split("-")[1] for e in conversation_on_the_bus(house, session)}
    assert len(traces) == 1


def test_what_was_captured_is_replayed_in_order_to_one_subscriber_alone(house):
    answered(house, JAPANESE, "--fresh")
    capture = house.folder / "chat.capture"
    house.mangactl("capture", AI, "--since", "1h", "--until", "0s", "--pattern", CHAT, "--out", capture)
    kept = [json.loads(line)["event"]["id"] for line in house.mangactl("capture", "show", capture, "--json").stdout.splitlines()]
    assert len(kept) >= 2
    on_bus = len(house.tail(AI, "--since", "1h", "--timeout", "500ms", "--pattern", CHAT))
    with house.client() as viewer, house.client() as live:
        mine = viewer.listen(AI, name="e2e-viewer", messages=1000, size=8 << 20)
        live.listen(AI, name="e2e-live", live_only=True, pattern=CHAT, messages=1000, size=8 << 20)
        house.mangactl("replay", capture, "--to-subscriber", "e2e-viewer", "--name", "e2e-again")
        seen = [d for d in viewer.deliveries(mine, len(kept)) if d["attrs"] and "replay-name" in d["attrs"]]
        while len(seen) < len(kept):
            seen += [d for d in viewer.deliveries(mine, 1) if d["attrs"] and "replay-name" in d["attrs"]]
        assert [unpack(d["body"])["id"] for d in seen] == kept
        assert {d["attrs"]["replay-name"] for d in seen} == {"e2e-again"}
        live.nothing("DELIVER")
    assert len(house.tail(AI, "--since", "1h", "--timeout", "500ms", "--pattern", CHAT)) == on_bus


# ---- wrong questions ------------------------------------------------------------------------------------
def packed_text(text):
    return b"\x81\xa4text" + b"\xdb" + len(text).to_bytes(4, "big") + text


WRONG = {
    "an empty text": msgpack.packb({"text": ""}),
    "no text": msgpack.packb({}),
    "a number for a text": msgpack.packb({"text": 42}),
    "a megabyte of text": msgpack.packb({"text": "長" * 349_525}),
    "broken UTF-8": packed_text(b"\xe3\x83 \xff"),
    "a list": msgpack.packb([1, 2]),
    "nothing": b"",
    "half a map": b"\x82\xa4text",
    "a length that lies": b"\x81\xa4text\xdb\xff\xff\xff\xffshort",
    "ten thousand levels": b"\x81\xa4text" + b"\x91" * 10_000 + b"\xc0",
    "an unknown language": msgpack.packb({"text": "?", "locale": "tlh"}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_is_refused_by_name(house, what):
    before = house.pids()
    with house.client() as client:
        client.tell("CALL", 900, caller=client.name, number=1, method="chat.send", deadline_ms=5000, body=WRONG[what])
        frame = client.take(lambda f: f.verb in ("ERROR", "REPLY"), "a refusal")
    assert frame["status"] == 3 and frame["message"], (frame.verb, frame["status"], frame["message"])
    assert house.pids() == before


ODD = {
    "a NUL in it": b"\x81" + packed_text(b"Is Volume 42 of One\0 Piece in stock?")[1:],
    "ten thousand levels in a field that nobody knows": b"\x82\xa4text\xa9One Piece\xa1x" + b"\x91" * 10_000 + b"\xc0",
    "nothing but signs": msgpack.packb({"text": "？！…〜♪"}),
    "combined marks and other scripts": msgpack.packb({"text": "e\u0301" * 500 + "ع‎🧑‍🦱＼①㈱髙﨑"}),
    "a title that is a pattern and a quote": msgpack.packb({"text": "'; DROP TABLE book; -- %_\\ 42巻"}),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_request_is_answered_or_refused_by_name(house, what):
    before = house.pids()
    with house.client() as client:
        client.tell("CALL", 901, caller=client.name, number=1, method="chat.send", deadline_ms=5000, body=ODD[what])
        frame = client.take(lambda f: f.verb in ("ERROR", "REPLY"), "an answer")
    assert unpack(frame["body"])["answer"] if frame["status"] == 0 else frame["status"] == 3 and frame["message"]
    assert house.pids() == before


def test_after_all_wrong_requests_questions_are_answered(house):
    assert 42 in numbers_in(answered(house)["answer"])


# ---- more of one ------------------------------------------------------------------------------------------
def test_calls_spread_over_three_instances_of_fm_invoker(house):
    for number in (2, 3):
        house.start(f"fm-invoker/{number}")
    with house.client() as client:
        calls = [client.call_begin("fm.invoke", {"messages": [{"role": "user", "content": f"{n}?"}], "stream": False})
                 for n in range(30)]
        workers = [client.call_end(call)[1]["worker"] for call in calls]
    assert len(set(workers)) == 3, workers
    assert min(workers.count(worker) for worker in set(workers)) >= 5, workers
    for number in (2, 3):
        assert house.processes.pop(f"fm-invoker/{number}").stop(DRAIN_S) == 0
    answered(house, ENGLISH, "--fresh")


# ---- the broker dies ------------------------------------------------------------------------------------
class Producer(threading.Thread):
    """Publishes numbered events one batch after the other, the unanswered ones again until they are answered."""

    def __init__(self, house, name, stop):
        super().__init__()
        self.house, self.producer, self.stopped = house, name, stop
        self.acknowledged, self.refused = 0, []

    def run(self):
        with Client(self.house.endpoint, producer=self.producer, epoch=1, timeout_s=1) as client:
            while not self.stopped.is_set() or self.acknowledged < LOAD_EVENTS:
                first = self.acknowledged + 1
                entries = [{"body": event("e2e.load", {"producer": self.producer, "n": n}, "e2e.load")}
                           for n in range(first, first + 10)]
                results = self._publish(client, entries, first)
                self.refused += [r for r in results if r["status"]]
                self.acknowledged += len(entries)

    def _publish(self, client, entries, first):
        until = time.monotonic() + patience(60)
        while True:
            try:
                return client.publish_many(AI, entries, producer_seq=first)
            except (TimeoutError, BusError):
                assert time.monotonic() < until, "the bus did not come back"
            try:
                client.reconnect()
            except (TimeoutError, BusError):
                pass


class Asker(threading.Thread):
    """Asks all the time, as customers would; counts what was answered."""

    def __init__(self, house, stop):
        super().__init__()
        self.house, self.stopped = house, stop
        self.answers, self.failures = 0, 0

    def run(self):
        while not self.stopped.is_set():
            try:
                with Client(self.house.endpoint, timeout_s=4) as client:
                    while not self.stopped.is_set():
                        client.call("chat.send", {"text": ENGLISH, "max_age_ms": 0}, deadline_ms=3000)
                        self.answers += 1
            except (TimeoutError, BusError):
                self.failures += 1


def load_on_the_bus(house, count):
    """[(producer, n)] in the order of the log."""
    with house.client(timeout_s=15) as reader:
        sub = reader.listen(AI, messages=1000, size=8 << 20, pattern='{"source": ["e2e.load"]}', **{"from": 1})
        found = []
        while len(found) < count:
            batch = reader.deliveries(sub, 1)
            found += [(d["producer"], d["n"]) for d in (unpack(b["body"])["detail"] for b in batch)]
            reader.credit(sub, messages=len(batch), size=sum(len(b["body"]) + 1024 for b in batch))
        try:
            more = reader.deliveries(sub, 1, timeout_s=0.5)
        except TimeoutError:
            more = []
        return found + [(d["producer"], d["n"]) for d in (unpack(b["body"])["detail"] for b in more)]


@pytest.fixture
def load(house):
    """Producers and an asker at work."""
    stop = threading.Event()
    workers = [Producer(house, f"e2e-producer-{n}", stop) for n in (1, 2)], Asker(house, stop)
    for thread in (*workers[0], workers[1]):
        thread.start()
    try:
        yield workers
    finally:
        stop.set()
        for thread in (*workers[0], workers[1]):
            thread.join(patience(90))


def test_killing_the_broker_under_load_loses_nothing_and_the_house_goes_on(house, load):
    producers, asker = load
    others = {name: pid for name, pid in house.pids().items() if name != "mangabus-broker"}
    for kill in range(1, KILLS + 1):
        goal = [p.acknowledged + 200 for p in producers]
        answers = asker.answers + 2
        wait_until(lambda g=goal: all(p.acknowledged >= n for p, n in zip(producers, g, strict=True)), "load")
        wait_until(lambda a=answers: asker.answers >= a, "answers")
        before = {name: house.sessions_of(name) for name in SERVICES}
        house.kill("mangabus-broker")
        house.start("mangabus-broker")
        wait_until(lambda b=before: all(house.sessions_of(name) > b[name] for name in SERVICES),
                   f"every service to be back after kill {kill}", RECOVERY_S)
        answers = asker.answers + 1
        wait_until(lambda a=answers: asker.answers >= a, f"answers after kill {kill}", RECOVERY_S)
    asker.stopped.set()
    for thread in (*producers, asker):
        thread.join(patience(90))
        assert not thread.is_alive()
    assert [p.refused for p in producers] == [[], []]
    found = load_on_the_bus(house, sum(p.acknowledged for p in producers))
    for p in producers:
        assert [n for name, n in found if name == p.producer] == list(range(1, p.acknowledged + 1))
    assert {name: house.pids().get(name) for name in others} == others


def test_after_the_crashes_nothing_is_in_a_dead_letter_queue(house):
    queues = json.loads(house.mangactl("queue", "ls", "--json").stdout)
    rows = queues if isinstance(queues, list) else queues["queues"]
    stuck = {row["name"]: row for row in rows if "dlq" in row["name"].lower() and (row.get("available") or row.get("messages"))}
    assert not stuck


# ---- everybody else dies --------------------------------------------------------------------------------
WORKS = {
    "acl-erp": lambda h: h.call("erp.stock.get", {"isbn": ONE_PIECE_42})["total_quantity"] == sum(stock_at_the_erp(h)[0].values()),
    "fm-invoker": lambda h: h.call("fm.embed", {"texts": ["鬼滅の刃"]})["dimension"] > 0,
    "sync-reconciler": lambda h: h.call("catalog.get", {"isbns": [ONE_PIECE_42]})["items"][0]["volume"] == 42,
    "embed-indexer": lambda h: bool(h.call("search.query", {"text": "ワンピース"})["hits"]),
    "inventory-events": lambda h: h.call("inventory.adjust", {
        "isbn": ONE_PIECE_42, "warehouse_code": "TK01", "quantity": 27, "idempotency_key": "e2e-same"})["new_quantity"] == 27,
    "chat-router": lambda h: h.ask(ENGLISH)["intent"] == "inventory_check",
    "bridge": lambda h: "state" in h.call("bridge.status"),
    "erp-sim": lambda h: stock_at_the_erp(h)[1] > 0,
    "bedrock-sim": lambda h: h.call("fm.embed", {"texts": ["again"]})["dimension"] > 0,
}


@pytest.mark.parametrize("name", [*SERVICES, *SIMULATORS])
def test_the_house_recovers_from_the_death_of(house, name):
    others = {other: pid for other, pid in house.pids().items() if other != name}
    house.kill(name)
    house.start(name)

    def works():
        try:
            return WORKS[name](house)
        except AssertionError:
            return False

    wait_until(works, f"{name} to do its work again", RECOVERY_S)
    answered(house, ENGLISH, "--fresh")
    assert {other: house.pids().get(other) for other in others} == others


def test_without_a_model_the_facts_are_told_all_the_same(house):
    house.kill("bedrock-sim")
    try:
        response = house.ask(ENGLISH, "--fresh")
        assert sum(stock_at_the_erp(house)[0].values()) in numbers_in(response["answer"])
        assert response["degraded"] == ["model"]
    finally:
        house.start("bedrock-sim")
    answered(house, ENGLISH, "--fresh")


def test_questions_of_many_at_once_are_all_answered(house):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: house.ask(f"Is Volume {n} of One Piece in stock?"), range(1, 25)))
    assert [a["citations"][0]["volume"] for a in answers] == list(range(1, 25))


# ---- the end; this test is the last ---------------------------------------------------------------------
def test_sigterm_ends_everything_in_time_with_exit_code_0(house):
    began = time.monotonic()
    assert set(house.down().values()) == {0}
    took_s = time.monotonic() - began
    ends = {name: re.findall(r'"time":"[^"]*T([^"]*)".*"message":"(?:draining|ended)"', p.log())
            for name, p in house.processes.items()}
    assert took_s < patience(DRAIN_S), ends
    assert house.pids() == {}
