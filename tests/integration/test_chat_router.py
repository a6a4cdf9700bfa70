"""chat-router from outside: broker and PostgreSQL are the real ones; all that it asks are fakes that share no code."""
import json
import threading
import time

import pytest
from lib.mangabus_client import BusError, Client, event, unpack
from lib.paths import ROOT
from lib.wait import http_get, wait_until

TOPOLOGY = json.loads((ROOT / "broker/topology.json").read_text())
AI_BUS = "MangaAssist-AI-Events"
INVENTORY_BUS = "manga-assist-inventory"
ISBN = "9784000000420"
OTHER = "9784000000437"
AS_OF = "2026-01-30T01:02:03Z"
BOOK = {"isbn": ISBN, "title": "ONE PIECE", "title_kana": "ワンピース", "title_en": "One Piece", "volume": 42,
        "creators": ["尾田栄一郎"], "price_jpy": 528}
NEXT = {**BOOK, "isbn": OTHER, "volume": 43}
LINE = {"isbn": ISBN, "warehouse_code": "TK01", "quantity": 12, "status": "in_stock", "price_jpy": 528, "as_of": AS_OF}
QUESTION = "ワンピース 42巻の在庫はありますか？"
ENGLISH = "Is Volume 42 of One Piece in stock?"
FINAL = {"inference_id": "inf-1", "text": "", "model_id": "fake-haiku", "stop_reason": "end_turn",
         "usage": {"input_tokens": 100, "output_tokens": 20}, "cost_usd_micros": 50, "latency_ms": 7,
         "hops": [{"service": "fake-backend", "operation": "fm.invoke", "duration_us": 5100, "depth": 0, "start_us": 0},
                  {"service": "bedrock", "operation": "InvokeModelWithResponseStream", "duration_us": 5000, "depth": 1,
                   "start_us": 100}]}

pytestmark = pytest.mark.timeout(120)


class Refusal(Exception):
    def __init__(self, status, message="no"):
        super().__init__(message)
        self.status = status


class Silence(Exception):
    """The fake takes the call and never answers."""


class Fakes:
    """Serves methods by functions of the request in a thread of its own. A function returns the response, or a list
    of chunks and last the response, or raises Refusal or Silence."""

    def __init__(self, endpoint, **methods):
        self.methods = {name.replace("_", ".", 1 if name.count("_") == 1 else 2): fn for name, fn in methods.items()}
        self.calls = []
        self.stopped = threading.Event()
        self.client = Client(endpoint, "fake-backend-" + format(time.monotonic_ns() % 0xFFFFFF, "06x"))
        self.client.serve(*self.methods)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopped.is_set():
            try:
                call = self.client.next_call(timeout_s=0.1)
            except TimeoutError:
                continue
            self._answer(call)

    def _answer(self, call):
        request = unpack(call["body"])
        self.calls.append((call["method"], request))
        try:
            answer = self.methods[call["method"]](request)
        except Refusal as refusal:
            self.client.reply(call, status=refusal.status, message=str(refusal))
            return
        except Silence:
            return
        pieces = answer if isinstance(answer, list) else [answer]
        for number, piece in enumerate(pieces):
            self.client.reply(call, piece, chunk=number, final=number == len(pieces) - 1)

    def count(self, method):
        return sum(1 for name, _ in self.calls if name == method)

    def requests(self, method):
        return [request for name, request in self.calls if name == method]

    def close(self):
        self.stopped.set()
        self.thread.join(5)
        self.client.close()


def catalog(request):
    books = [BOOK, NEXT]
    if request.get("isbns"):
        return {"items": [b for b in books if b["isbn"] in request["isbns"]]}
    wanted = request["title"].lower().replace(" ", "")
    found = [b for b in books if wanted in ("onepiece", "ワンピース")]
    return {"items": [b for b in found if request.get("volume") in (None, b["volume"])]}


def stock(request):
    return {"isbn": request["isbn"], "lines": [{**LINE, "isbn": request["isbn"]}], "total_quantity": 12,
            "hops": [{"service": "erp-sim", "operation": "GetStock", "duration_us": 3000, "depth": 0, "start_us": 10}]}


def batch(request):
    return {"lines": [{**LINE, "isbn": isbn} for isbn in request["isbns"]]}


def search(_request):
    return {"hits": [], "mode": "text"}


def model(request):
    text = request["messages"][-1]["content"]
    words = ["在庫は", "12冊", "ございます。"] if "LANGUAGE ja" in text else ["Yes, ", "12 copies", " are in stock."]
    return [{"text": w} for w in words] + [{**FINAL, "text": "".join(words)}]


def refuse(status):
    def fn(_request):
        raise Refusal(status)
    return fn


def silent(_request):
    raise Silence


BACKENDS = {"catalog_get": catalog, "erp_stock_get": stock, "erp_stock_batch": batch, "search_query": search,
            "fm_invoke": model}


class House:
    def __init__(self, start, broker, database):
        self.start_process, self.broker, self.database = start, broker, database
        self.client = broker.client()
        self.fakes = []

    def fake(self, **methods):
        self.fakes.append(Fakes(self.broker.endpoint, **methods))
        return self.fakes[-1]

    def router(self, **env):
        process = self.start_process("chat-router", env={
            "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": self.broker.endpoint, **self.database.env, **env})
        port = int(process.wait_for_line(r'"message":"listening",.*"port":(\d+)')[1])
        process.url = f"http://127.0.0.1:{port}"
        process.wait_ready(process.url)
        self.process = process
        return process

    def ask(self, text=QUESTION, deadline_ms=5000, **request):
        """(texts of the chunks, response)"""
        number = self.client.call_begin("chat.send", {"text": text, **request}, deadline_ms, stream=True)
        values, _ = self.client.call_end(number)
        return [v["text"] for v in values[:-1]], values[-1]

    def answer(self, text=QUESTION, **request):
        return self.ask(text, **request)[1]

    def close(self):
        for fake in self.fakes:
            fake.close()


@pytest.fixture
def empty(start, make_broker, database):
    house = House(start, make_broker(topology=TOPOLOGY).start(), database)
    yield house
    house.close()


@pytest.fixture
def house(empty):
    empty.backends = empty.fake(**BACKENDS)
    empty.router()
    return empty


# ---- answering ----------------------------------------------------------------------------------------
def test_a_question_is_answered_from_stock_and_streamed(house):
    chunks, answer = house.ask()
    assert answer["answer"] == "在庫は12冊ございます。"
    assert "".join(chunks) == answer["answer"] and len(chunks) == 3
    assert (answer["language"], answer["intent"], answer["cached"]) == ("ja", "inventory_check", False)
    assert [line["warehouse_code"] for line in answer["stock"]] == ["TK01"]
    assert [c["isbn"] for c in answer["citations"]] == [ISBN]
    assert answer["usage"] == {"input_tokens": 100, "output_tokens": 20}
    assert (answer["model_id"], answer["cost_usd_micros"]) == ("fake-haiku", 50)
    assert not answer.get("degraded")


def test_english_is_answered_in_english(house):
    answer = house.answer(ENGLISH)
    assert (answer["answer"], answer["language"]) == ("Yes, 12 copies are in stock.", "en")


def test_the_catalogue_is_asked_for_title_and_volume_exactly(house):
    house.answer()
    assert house.backends.requests("catalog.get") == [{"title": "ワンピース", "volume": 42, "limit": 50}]
    assert house.backends.requests("erp.stock.get") == [{"isbn": ISBN}]


def test_the_model_gets_the_facts_and_the_question(house):
    house.answer()
    user = house.backends.requests("fm.invoke")[0]["messages"][0]["content"]
    assert f"FACT stock isbn={ISBN}" in user and "quantity=12" in user
    assert f'QUESTION "{QUESTION}"' in user


def test_hops_say_where_the_time_went_and_nest(house):
    hops = house.answer()["hops"]
    steps = [(h["operation"], h.get("depth")) for h in hops]
    assert steps[:3] == [("chat.send", 0), ("cache", 1), ("intent", 1)]
    assert steps[steps.index(("erp.stock.get", 1)) + 1] == ("GetStock", 2)
    assert steps[steps.index(("fm.invoke", 1)) + 1] == ("InvokeModelWithResponseStream", 2)
    assert steps.count(("fm.invoke", 1)) == 1, "the callee's own hop is the one that stands there already"
    assert [h["start_us"] for h in hops if h["depth"] == 1] == sorted(h["start_us"] for h in hops if h["depth"] == 1)
    assert all(hops[0]["duration_us"] >= h["duration_us"] for h in hops if h["depth"] == 1)
    assert {h["service"] for h in hops} >= {"chat-router", "fake-backend", "erp-sim", "bedrock"}


def test_an_isbn_needs_no_title(house):
    assert house.answer("978-4-00-000042-0 の在庫は？")["citations"][0]["isbn"] == ISBN


def test_what_is_out_of_scope_is_refused_politely_without_a_model(house):
    answer = house.answer("What is the weather in Tokyo?")
    assert answer["intent"] == "out_of_scope" and "model_id" not in answer
    assert house.backends.calls == []


# ---- bad input ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("request_value, path", [({}, "text"), ({"text": ""}, "text"), ({"text": " 　\n "}, "text"),
                                                 ({"text": 7}, "text"), ({"text": "a", "locale": "fr"}, "locale"),
                                                 ({"text": "x" * 32001}, "text"),
                                                 ({"text": "a", "session_id": "a\0b"}, "id")])
def test_bad_requests_are_refused_by_name(house, request_value, path):
    with pytest.raises(BusError, match=path) as caught:
        house.client.call("chat.send", request_value)
    assert caught.value.status == "INVALID_ARGUMENT"
    assert house.answer("こんにちは")["intent"] == "greeting"


# ---- when others fail -------------------------------------------------------------------------------------
def test_while_the_catalogue_is_empty_the_book_is_found_in_the_erps_pages(empty):
    pages = [{"items": [{**BOOK, "isbn": "9784000000017", "volume": 1}], "next_cursor": "p2"},
             {"items": [BOOK, NEXT], "next_cursor": "p3"}]
    backends = empty.fake(**{**BACKENDS, "catalog_get": lambda _r: {"items": []},
                             "erp_catalog_page": lambda r: pages[1] if r.get("cursor") == "p2" else pages[0]})
    empty.router()
    for text in (QUESTION, ENGLISH):
        answer = empty.answer(text)
        assert [c["isbn"] for c in answer["citations"]] == [ISBN]
        assert answer["stock"][0]["quantity"] == 12
    assert backends.count("erp.catalog.page") == 4


def test_without_a_model_the_facts_are_told(empty):
    empty.fake(**{**BACKENDS, "fm_invoke": refuse("UNAVAILABLE")})
    empty.router()
    chunks, answer = empty.ask(ENGLISH)
    assert answer["degraded"] == ["model"] and "model_id" not in answer
    assert answer["answer"] == '"One Piece" volume 42 is in stock: 12 in all (TK01: 12). It costs 528 yen.'
    assert "".join(chunks) == answer["answer"]
    assert empty.answer()["answer"] == "『ONE PIECE』42巻は在庫がございます。合計12冊（TK01：12冊）です。価格は528円です。"


def test_a_model_that_is_silent_costs_the_deadline_and_no_more(empty):
    empty.fake(**{**BACKENDS, "fm_invoke": silent})
    empty.router(MANGABUS_CHAT_DEADLINE="1s")
    began = time.monotonic()
    answer = empty.answer()
    assert time.monotonic() - began < 2.0
    assert answer["degraded"] == ["model"] and "12冊" in answer["answer"]


def test_with_everything_down_the_answer_is_honest_and_in_time(empty):
    empty.router(MANGABUS_CHAT_DEADLINE="2s")
    began = time.monotonic()
    answer = empty.answer()
    assert time.monotonic() - began < 3.0
    assert "catalog" in answer["degraded"] and "確認できません" in answer["answer"]
    assert "冊" not in answer["answer"]


def test_a_call_that_was_unavailable_is_tried_once_more(empty):
    tries = []

    def second_time(request):
        tries.append(request)
        if len(tries) == 1:
            raise Refusal("UNAVAILABLE")
        return stock(request)

    empty.fake(**{**BACKENDS, "erp_stock_get": second_time})
    empty.router()
    assert empty.answer()["stock"][0]["quantity"] == 12
    assert len(tries) == 2


def test_missing_stock_is_named_and_not_invented(empty):
    backends = empty.fake(**{**BACKENDS, "erp_stock_get": refuse("INTERNAL"), "fm_invoke": refuse("UNAVAILABLE")})
    empty.router()
    answer = empty.answer()
    assert set(answer["degraded"]) == {"stock", "model"} and "stock" not in answer
    assert "確認できません" in answer["answer"]
    assert "FACT missing what=stock" in backends.requests("fm.invoke")[0]["messages"][0]["content"]


def test_the_age_of_stale_stock_is_told_even_when_the_model_does_not(empty):
    def stale(request):
        answer = stock(request)
        answer["lines"][0]["stale_age_ms"] = 720000
        return answer

    empty.fake(**{**BACKENDS, "erp_stock_get": stale})
    empty.router()
    assert empty.answer()["answer"].endswith("（在庫は12分前時点の情報です）")
    assert not empty.answer()["cached"]


def test_it_ends_at_once_when_told_and_leaves_what_it_cannot_finish(empty):
    empty.fake(**{**BACKENDS, "fm_invoke": silent})
    process = empty.router(MANGABUS_DRAIN="100ms")
    number = empty.client.call_begin("chat.send", {"text": QUESTION}, 20000, stream=True)
    wait_until(lambda: "mangabus_chat_askers 1" in http_get(f"{process.url}/metrics")[1], "the question to be worked")
    assert process.stop() == 0
    with pytest.raises(BusError):
        empty.client.call_end(number)


def test_it_finishes_what_it_has_before_it_ends(empty):
    release = threading.Event()

    def slow(request):
        release.wait(3)
        return stock(request)

    empty.fake(**{**BACKENDS, "erp_stock_get": slow})
    process = empty.router()
    number = empty.client.call_begin("chat.send", {"text": QUESTION}, 20000, stream=True)
    wait_until(lambda: "mangabus_chat_askers 1" in http_get(f"{process.url}/metrics")[1], "the question to be worked")
    process.signal(15)
    release.set()
    assert empty.client.call_end(number)[0][-1]["answer"] == "在庫は12冊ございます。"
    assert process.wait() == 0


def test_a_caller_that_goes_away_ends_the_work(empty):
    backends = empty.fake(**{**BACKENDS, "fm_invoke": silent})
    process = empty.router()
    number = empty.client.call_begin("chat.send", {"text": QUESTION}, 20000, stream=True)
    wait_until(lambda: backends.count("fm.invoke") == 1, "the model to be asked")
    empty.client.cancel(number)
    wait_until(lambda: "mangabus_chat_askers 0" in http_get(f"{process.url}/metrics")[1], "the question to be dropped")


# ---- keeping, sharing, evicting ------------------------------------------------------------------------------
def test_the_same_question_is_answered_from_the_cache_in_any_spelling_and_session(house):
    first = house.answer(session_id="s1")
    chunks, again = house.ask("ﾜﾝﾋﾟｰｽ　４２巻の在庫はありますか", session_id="s2")
    assert again["cached"] and again["cache_age_ms"] >= 0 and again["session_id"] == "s2"
    assert again["answer"] == first["answer"] == "".join(chunks)
    assert house.backends.count("fm.invoke") == 1
    assert [(h["operation"], h.get("detail")) for h in again["hops"]] == [("chat.send", None), ("cache", "hit")]


def test_another_volume_is_another_question(house):
    house.answer()
    assert not house.answer("ワンピース 43巻の在庫はありますか？")["cached"]


def test_a_caller_may_refuse_kept_answers(house):
    house.answer()
    assert not house.answer(max_age_ms=0)["cached"]


def test_a_stock_event_throws_out_what_rests_on_the_book_and_nothing_else(house):
    other = "ワンピース 43巻の在庫はありますか？"
    house.answer()
    house.answer(other)
    house.client.publish(INVENTORY_BUS, event("inventory.updated", {
        "event_type": "inventory.updated", "isbn": ISBN, "warehouse_code": "TK01", "new_quantity": 3, "version": 7,
        "change_source": "erp_cdc", "timestamp_utc": AS_OF, "correlation_id": "c1"}, source="manga-assist.inventory"))
    wait_until(lambda: not house.answer()["cached"], "the answer to be thrown out")
    assert house.answer(other)["cached"]


def test_a_question_that_many_ask_at_once_is_worked_once(empty):
    release = threading.Event()

    def slow(request):
        release.wait(3)
        return stock(request)

    backends = empty.fake(**{**BACKENDS, "erp_stock_get": slow})
    empty.router()
    numbers = [empty.client.call_begin("chat.send", {"text": QUESTION, "session_id": f"s{i}"}, stream=True)
               for i in range(5)]
    wait_until(lambda: "mangabus_chat_askers 5" in http_get(f"{empty.process.url}/metrics")[1], "all to wait")
    release.set()
    answers = [empty.client.call_end(number)[0] for number in numbers]
    assert {a[-1]["answer"] for a in answers} == {"在庫は12冊ございます。"}
    assert {a[-1]["session_id"] for a in answers} == {f"s{i}" for i in range(5)}
    assert all("".join(c["text"] for c in a[:-1]) == a[-1]["answer"] for a in answers)
    assert backends.count("erp.stock.get") == 1 and backends.count("fm.invoke") == 1


def test_the_same_message_id_gets_the_very_same_answer(house):
    first = house.answer(session_id="s1", message_id="m1")
    assert house.answer("something else entirely", session_id="s1", message_id="m1") == first
    assert house.answer(session_id="s2", message_id="m1")["session_id"] == "s2"
    wait_until(lambda: house.database.value("SELECT count(*) FROM chat_router.messages") == "2", "two rows")


# ---- history, orders, others -----------------------------------------------------------------------------------
def test_what_leans_on_what_was_said_before_finds_it(house):
    house.answer(session_id="s1")
    wait_until(lambda: house.database.value("SELECT count(*) FROM chat_router.messages") == "1", "the first message")
    answer = house.answer("43巻は？", session_id="s1")
    assert [c["isbn"] for c in answer["citations"]] == [OTHER]
    assert not house.answer("43巻は？", session_id="s1")["cached"]
    assert "citations" not in house.answer("43巻は？", session_id="stranger") or \
        not house.answer("43巻は？", session_id="stranger")["citations"]


def test_a_session_of_one_customer_tells_another_nothing(house):
    house.answer(session_id="s1", user_id="anna")
    wait_until(lambda: house.database.value("SELECT count(*) FROM chat_router.messages") == "1", "the first message")
    assert not house.answer("43巻は？", session_id="s1", user_id="mallory")["citations"]


def test_an_order_is_looked_up_for_its_customer_alone(empty):
    order = {"order_id": "MB-0001-03", "customer_id": "cust-0001", "status": "shipped", "items": [],
             "total_amount": 528, "currency": "JPY", "placed_at": AS_OF}

    def get(request):
        if request.get("customer_id") != "cust-0001":
            raise Refusal("NOT_FOUND")
        return {"order": order}

    backends = empty.fake(**{**BACKENDS, "erp_order_get": get, "fm_invoke": refuse("UNAVAILABLE")})
    empty.router()
    text = "Where is my order MB-0001-03?"
    assert "shipped" in empty.answer(text, user_id="cust-0001")["answer"]
    assert "no such order" in empty.answer(text, user_id="cust-0002")["answer"]
    assert "sign in" in empty.answer(text)["answer"]
    assert backends.count("erp.order.get") == 2


def test_an_unsure_question_asks_the_model_what_is_wanted(empty):
    def classify(request):
        if "TASK classify" not in request["system"]:
            return model(request)
        return {**FINAL, "text": '{"intent": "out_of_scope", "confidence": 0.9}'}

    backends = empty.fake(**{**BACKENDS, "fm_invoke": classify})
    empty.router()
    assert empty.answer("what do you think about submarines")["intent"] == "out_of_scope"
    assert backends.requests("fm.invoke")[0]["purpose"] == "intent"


def hits(_request):
    return {"hits": [{"isbn": ISBN, "title": "ONE PIECE", "volume": 42, "score": 0.9},
                     {"isbn": OTHER, "title": "NARUTO", "volume": 1, "score": 0.5}], "mode": "hybrid"}


def test_search_answer_rests_on_what_was_found(empty):
    empty.fake(**{**BACKENDS, "search_query": hits})
    empty.router()
    answer = empty.client.call("search.answer", {"text": "manga about pirates", "limit": 2})
    assert [c["isbn"] for c in answer["citations"]] == [ISBN, OTHER] and answer["language"] == "en"


def test_recommend_gives_what_the_search_finds_and_says_how(empty):
    empty.fake(**{**BACKENDS, "search_query": hits})
    empty.router()
    answer = empty.client.call("recommend", {"text": "something with pirates"})
    assert [i["isbn"] for i in answer["items"]] == [ISBN, OTHER] and answer["strategy"] == "search"
    like = empty.client.call("recommend", {"isbns": [ISBN]})
    assert [i["isbn"] for i in like["items"]] == [OTHER]


def test_recommend_by_nothing_is_refused_by_name(house):
    with pytest.raises(BusError) as caught:
        house.client.call("recommend", {})
    assert caught.value.status == "UNIMPLEMENTED"


# ---- what stays -----------------------------------------------------------------------------------------------------
def test_an_answer_leaves_an_event_and_rows_behind_it(house):
    sub = house.client.listen(AI_BUS)
    house.answer(session_id="s1", message_id="m1", user_id="anna")
    detail = unpack(house.client.deliveries(sub, 1)[0]["body"])
    assert (detail["source"], detail["detail-type"]) == ("mangaassist.chat", "MessageReceived")
    assert {k: detail["detail"][k] for k in ("session_id", "message_id", "user_id", "text", "intent", "isbns")} == {
        "session_id": "s1", "message_id": "m1", "user_id": "anna", "text": QUESTION, "intent": "inventory_check",
        "isbns": [ISBN]}
    wait_until(lambda: house.database.value("SELECT message_count FROM chat_router.sessions WHERE session_id = 's1'")
               == "1", "the session")
    assert house.database.value("SELECT title || '/' || volume || '/' || isbn FROM chat_router.messages") == \
        f"ONE PIECE/42/{ISBN}"


def inference(number):
    return {"inference_id": f"inf-{number}", "model_id": "m", "status": "success", "timestamp": AS_OF,
            "metrics": {"input_tokens": 1, "output_tokens": 2, "latency_ms": 3, "cost_usd_micros": 4}}


def test_model_calls_are_booked_once_and_broken_ones_are_dead_lettered(house):
    body = event("InferenceCompleted", inference(1), source="mangaassist.ai")
    house.client.publish(AI_BUS, body)
    house.client.publish(AI_BUS, body, dedup="again")
    house.client.publish(AI_BUS, event("InferenceCompleted", {"inference_id": "broken"}, source="mangaassist.ai"))
    house.client.publish(AI_BUS, event("InferenceCompleted", inference(2), source="mangaassist.ai"))
    wait_until(lambda: house.database.value("SELECT string_agg(inference_id, ',' ORDER BY inference_id) "
                                            "FROM chat_router.ledger") == "inf-1,inf-2", "the ledger")
    wait_until(lambda: house.client.queue_info("MangaAssist-EventBridge-DLQ")["visible"] == 1, "the broken one")
    wait_until(lambda: house.client.queue_info("MangaAssist-CallLedger")["in_flight"] == 0, "all settled")


def booked(house):
    return {row[0] for row in house.database.sql("SELECT inference_id FROM chat_router.ledger")}


def test_a_database_that_fails_costs_the_ledger_no_receive(house):
    lock = house.database.cut_off("chat_router.ledger", at_least=2)
    for number in range(20):
        house.client.publish(AI_BUS, event("InferenceCompleted", inference(number), source="mangaassist.ai"))
    house.process.wait_for_line("could not be booked")
    lock.join()
    wait_until(lambda: len(booked(house)) == 20, "the ledger", timeout_s=60)
    assert 'queue="MangaAssist-CallLedger",outcome="released"' not in http_get(f"{house.process.url}/metrics")[1]


def test_a_broker_that_began_anew_does_not_pass_for_its_past(house):
    house.database.sql("INSERT INTO chat_router.inbox (consumer, record, ingest_us, replay_name) "
                       "SELECT 'ledger', n, 1740000000000000 + n, '' FROM generate_series(1, 1000) AS n")
    house.client.publish(AI_BUS, event("InferenceCompleted", inference(1), source="mangaassist.ai"))
    wait_until(lambda: booked(house) == {"inf-1"}, "the ledger")


def test_a_database_that_takes_no_writes_costs_no_answer(house):
    house.database.sql("ALTER TABLE chat_router.messages RENAME TO hidden")
    answer = house.answer(session_id="s1")
    assert answer["answer"] == "在庫は12冊ございます。"
    wait_until(lambda: "mangabus_chat_write_failures_total 1" in http_get(f"{house.process.url}/metrics")[1],
               "the failure to be counted")


def test_metrics_count_answers(house):
    house.answer()
    house.answer()
    text = http_get(f"{house.process.url}/metrics")[1]
    assert 'mangabus_chat_answers_total{intent="inventory_check",cached="true",degraded="false"} 1' in text
    assert "mangabus_chat_answer_seconds_count 2" in text
