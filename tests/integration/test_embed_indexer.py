"""embed-indexer from outside: broker and PostgreSQL are the real ones, fm.embed is served by a fake that counts."""
import hashlib
import json
import struct
import threading

import pytest
from lib.mangabus_client import BusError, event, unpack
from lib.paths import ROOT
from lib.wait import http_get, wait_until

TOPOLOGY = json.loads((ROOT / "broker/topology.json").read_text())
AI_BUS = "MangaAssist-AI-Events"
STOCK_BUS = "manga-assist-inventory"
QUEUE = "MangaAssist-CatalogUpdate-embedding"
MODEL = "fake-embed-v1"


def isbn(number):
    digits = f"9784{number:08d}"
    return digits + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10)


def book(number, title, volume=None, **more):
    fields = {"isbn": isbn(number), "title": title, "version": 1, "price_jpy": 500, **more}
    if volume is not None:
        fields["volume"] = volume
    return fields


ONE_PIECE = {"title_kana": "ワンピース", "title_en": "One Piece", "creators": ["尾田栄一郎"], "publisher": "集英社",
             "genres": ["少年"]}


def update(entry, kind="new_release", **more):
    detail = {"product_id": entry["isbn"], "isbn": entry["isbn"], "title": entry["title"], "update_type": kind,
              "data": entry, "timestamp": "2025-01-01T00:00:00Z", **more}
    return event(f"CatalogUpdate.{kind}", detail, source="mangaassist.catalog")


class Fake(threading.Thread):
    """Serves fm.embed: the vector of a text is that of its letters; counts the texts it was asked for."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.client = broker.client()
        self.client.serve("fm.embed")
        self.model, self.answer, self.texts, self.ending = MODEL, None, [], False
        self.start()

    def vector(self, text, dimension):
        values = [0.0] * dimension
        for character in text.lower():
            if not character.isspace():
                values[int.from_bytes(hashlib.sha1(character.encode()).digest()[:4], "big") % dimension] += 1.0
        return struct.pack(f"<{dimension}f", *values)

    def run(self):
        while not self.ending:
            try:
                call = self.client.next_call(timeout_s=0.1)
            except TimeoutError:
                continue
            request = unpack(call["body"])
            if self.answer:
                self.client.reply(call, status=self.answer, message="not now")
                continue
            self.texts += [(request["purpose"], text) for text in request["texts"]]
            self.client.reply(call, {"vectors": [self.vector(t, request["dimension"]) for t in request["texts"]],
                                     "dimension": request["dimension"], "model_id": self.model, "latency_ms": 1})

    def indexed(self):
        return [text for purpose, text in self.texts if purpose == "index"]

    def end(self):
        self.ending = True
        self.join(5)


class House:
    def __init__(self, start, broker, database):
        self.start_process, self.broker, self.database = start, broker, database
        self.client = broker.client()
        self.fake = None
        self.loaded = set()

    def indexer(self, **env):
        process = self.start_process("embed-indexer", env={
            "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": self.broker.endpoint, "MANGABUS_EMBED_DIMENSIONS": 64,
            **self.database.env, **env})
        process.url = f"http://127.0.0.1:{process.wait_for_line(LISTENING)[1]}"
        process.wait_ready(process.url)
        return process

    def publish(self, *events, bus=AI_BUS):
        for result in self.client.publish_many(bus, list(events)):
            assert result["status"] == 0, result

    def load(self, *books):
        """Publishes them and waits until all can be found: books are on the shelf before their works are."""
        self.loaded |= {b["isbn"] for b in books}
        self.publish(*[update(b) for b in books])
        self.wait_size(len(self.loaded))
        for title in {b["title"] for b in books}:
            wait_until(lambda t=title: self.titles(t, mode="text"), f"{title} to be found")

    def search(self, text, deadline_ms=10000, **request):
        return self.client.call("search.query", {"text": text, **request}, deadline_ms=deadline_ms)

    def titles(self, text, **request):
        return [(h["title"], h.get("volume")) for h in self.search(text, **request)["hits"]]

    def status(self):
        return self.client.call("embed.status")

    def consumed(self):
        """Everything published was taken and is acknowledged."""
        info = self.client.queue_info(QUEUE)
        return info["visible"] == info["in_flight"] == 0

    def wait_size(self, at_least=1):
        wait_until(self.consumed, "an empty queue")
        return wait_until(lambda: self.status()["index_size"] >= at_least and self.status(), "books in the index")

    def wait_embedded(self):
        return wait_until(lambda: (s := self.status())["pending"] == 0 and s["embedded"] and s, "vectors for all books")


LISTENING = r'"message":"listening",.*"port":(\d+)'


@pytest.fixture
def house(start, make_broker, database):
    house = House(start, make_broker(topology=TOPOLOGY).start(), database)
    yield house
    if house.fake:
        house.fake.end()


@pytest.fixture
def ready(house):
    """One instance, and a fake model."""
    house.fake = Fake(house.broker)
    house.process = house.indexer()
    return house


def one_piece(*volumes, **more):
    return [book(8872000 + v, "ONE PIECE", v, **{**ONE_PIECE, **more}) for v in volumes]


OTHERS = [book(1, "鋼の錬金術師", 1, title_kana="ハガネノレンキンジュツシ", creators=["荒川弘"], publisher="スクウェア・エニックス",
               genres=["少年"], price_jpy=450),
          book(2, "ワンパンマン", 42, title_kana="ワンパンマン", creators=["ONE", "村田雄介"]),
          book(3, "よつばと!", 1, title_kana="ヨツバト", creators=["あずまきよひこ"], price_jpy=700)]


def test_a_published_book_is_found_by_title_reading_and_translation(ready):
    ready.load(*one_piece(1, 2, 42), *OTHERS)
    for text in ("ONE PIECE", "one-piece", "ワンピース", "わんぴーす", "尾田栄一郎"):
        assert ready.titles(text)[0] == ("ONE PIECE", 1), text
    assert ready.titles("ワンピース 42巻")[0] == ("ONE PIECE", 42)
    hit = ready.search("鋼の錬金術師")["hits"][0]
    assert (hit["isbn"], hit["price_jpy"], hit["creators"]) == (isbn(1), 450, ["荒川弘"])


# ---- vectors -------------------------------------------------------------------------------------------
def test_a_work_is_embedded_once_whatever_its_volumes(ready):
    ready.load(*one_piece(*range(1, 31)))
    ready.wait_embedded()
    texts = ready.fake.indexed()
    assert len(texts) == 1 and texts[0].splitlines() == ["ONE PIECE", "ワンピース", "One Piece", "尾田栄一郎", "少年"]
    status = ready.status()
    assert (status["index_size"], status["embedded"], status["failed"]) == (30, 30, 0)
    assert (status["model_id"], status["dimension"], status["backend"]) == (MODEL, 64, "memory")
    assert status["last_indexed_at"]


def test_price_sale_and_stock_change_without_a_new_vector(ready):
    entry = book(5, "日常", 1, price_jpy=500)
    ready.load(entry)
    ready.wait_embedded()
    ready.publish(update({**entry, "version": 2, "price_jpy": 620}, "price_change"))
    wait_until(lambda: ready.search("日常")["hits"][0]["price_jpy"] == 620, "the new price")
    ready.publish(update({**entry, "version": 3, "price_jpy": 620}, "discontinued"))
    wait_until(ready.consumed, "an empty queue")
    ready.publish(stock_change(entry["isbn"], 0, 7), bus=STOCK_BUS)
    wait_until(lambda: ready.database.value("SELECT is_sold_out FROM embed_indexer.document") == "t", "no stock")
    assert ready.wait_embedded()["embedded"] == 1
    assert len(ready.fake.indexed()) == 1


def test_a_changed_text_is_embedded_anew_and_found_by_its_new_words(ready):
    entry = book(6, "夏目友人帳", 1)
    ready.load(entry)
    ready.wait_embedded()
    ready.publish(update({**entry, "version": 2, "synopsis": "妖怪の名前を返す少年", "title_en": "Book of Friends"}))
    wait_until(lambda: len(ready.fake.indexed()) == 2, "the new text at the model")
    assert "妖怪の名前を返す少年" in ready.fake.indexed()[1]
    wait_until(lambda: ready.titles("book of friends", mode="text"), "the new title")


def stock_change(isbn13, quantity, version):
    kind = "inventory.depleted" if quantity == 0 else "inventory.updated"
    detail = {"event_type": kind, "isbn": isbn13, "warehouse_code": "TK01", "new_quantity": quantity,
              "version": version, "change_source": "erp_cdc", "timestamp_utc": "2025-01-01T00:00:00Z",
              "correlation_id": "c-1"}
    return event(kind, detail, source="manga-assist.inventory")


def test_what_is_sold_out_stands_behind_what_is_there(ready):
    ready.load(*one_piece(1, 2))
    assert ready.titles("ワンピース")[0] == ("ONE PIECE", 1)
    ready.publish(stock_change(isbn(8872001), 0, 1), bus=STOCK_BUS)
    wait_until(lambda: ready.titles("ワンピース")[0] == ("ONE PIECE", 2), "the volume that is there first")
    ready.publish(stock_change(isbn(8872001), 3, 3), stock_change(isbn(8872001), 0, 2), bus=STOCK_BUS)
    wait_until(lambda: ready.titles("ワンピース")[0] == ("ONE PIECE", 1), "the first volume again")


def test_without_a_model_text_finds_at_once_and_says_so(house):
    house.process = house.indexer()
    house.load(*one_piece(1), *OTHERS)
    answer = house.search("ワンピース")
    assert answer["hits"][0]["title"] == "ONE PIECE"
    assert (answer["mode"], answer["degraded"], answer["index_size"]) == ("text", ["embedding"], 4)
    assert "no query vector" in answer["hops"][0]["detail"]
    status = house.status()
    assert (status["embedded"], status["pending"]) == (0, 4) and "model_id" not in status
    house.fake = Fake(house.broker)  # and when it comes, the vectors are made up for
    house.wait_embedded()
    answer = house.search("ワンピース")
    assert answer["mode"] == "hybrid" and "degraded" not in answer


def test_a_busy_model_is_left_alone_for_a_while_and_asked_again(house):
    house.fake = Fake(house.broker)
    house.fake.answer = "RESOURCE_EXHAUSTED"
    house.process = house.indexer()
    house.load(*OTHERS)
    house.process.wait_for_line("vectors could not be had")
    assert house.status()["pending"] == 3
    house.fake.answer = None
    assert house.wait_embedded()["embedded"] == 3


def test_a_refused_text_does_not_hold_up_the_others(house):
    house.fake = Fake(house.broker)
    original = house.fake.vector

    def picky(text, dimension):
        if "よつばと" in text:
            return b"\0\0\0\0"  # of no dimension that was told
        return original(text, dimension)

    house.fake.vector = picky
    house.process = house.indexer()
    house.load(*OTHERS)
    status = wait_until(lambda: (s := house.status())["failed"] and s["pending"] == 0 and s, "the others' vectors", 60)
    assert (status["embedded"], status["failed"]) == (2, 1)
    assert house.titles("よつばと")[0] == ("よつばと!", 1)


def test_another_model_is_noticed_and_everything_embedded_anew(ready):
    ready.load(*OTHERS)
    ready.wait_embedded()
    ready.fake.model = "fake-embed-v2"
    ready.search("あずまきよひこ")
    status = wait_until(lambda: (s := ready.status())["embedded"] == 3 and s["model_id"] == "fake-embed-v2" and s,
                        "vectors of the other model")
    assert status["pending"] == 0 and len(ready.fake.indexed()) == 6


def test_the_same_query_asks_the_model_once(ready):
    ready.load(*OTHERS)
    ready.wait_embedded()
    for _ in range(3):
        answer = ready.search("錬金術師")
    assert [t for p, t in ready.fake.texts if p == "query"] == ["錬金術師"]
    assert "cache" in answer["hops"][0]["detail"]


def test_meaning_alone_finds_without_a_common_pair_of_letters(ready):
    ready.load(book(1, "abc"), book(2, "xyz"))
    ready.wait_embedded()
    assert ready.titles("ca", mode="text") == []
    assert ready.titles("ca", mode="vector")[0] == ("abc", None)
    assert ready.search("ca", mode="vector")["mode"] == "vector"


# ---- scope and filters ---------------------------------------------------------------------------------
def test_volume_and_isbn_in_the_text_are_exact(ready):
    ready.load(*one_piece(1, 41, 42), *OTHERS)
    for text in ("ワンピース 42巻", "One Piece vol. 42", "ワンピース第四十二巻", "One Piece 42", "the 42nd volume of one piece"):
        assert ready.titles(text)[0] == ("ONE PIECE", 42), text
    assert all(volume == 42 for _, volume in ready.titles("ワンピース 42巻"))
    assert ready.titles(f"{isbn(1)[:3]}-{isbn(1)[3:]} はありますか") == [("鋼の錬金術師", 1)]
    assert ready.titles(isbn(77)) == []
    assert ready.titles("ワンピース 999巻")[0] == ("ONE PIECE", 1)  # no such volume: the work all the same


def test_filters_must_all_hold(ready):
    ready.load(*one_piece(1), *OTHERS)
    ready.wait_embedded()
    assert ready.titles("少年", filters={"genre": "少年", "max_price_jpy": 450}) == [("鋼の錬金術師", 1)]
    assert ready.titles("ワンピース", filters={"publisher": "集英社"}) == [("ONE PIECE", 1)]
    assert ready.titles("ワンピース", filters={"creator": "村田雄介"}) == [("ワンパンマン", 42)]
    assert ready.titles("よつばと", filters={"min_price_jpy": 600}) == [("よつばと!", 1)]
    assert ready.titles("ワンピース", filters={"volume": 42}) == [("ワンパンマン", 42)]
    assert ready.titles("ワンピース", filters={"genre": "料理"}) == []


def test_the_limit_is_kept_and_works_come_before_further_volumes(ready):
    ready.load(*one_piece(*range(1, 8)), *OTHERS)
    hits = ready.search("ワンピース", limit=3, mode="text")["hits"]
    assert len(hits) == 3
    assert [h["title"] for h in hits].count("ONE PIECE") <= 2
    scores = [h["score"] for h in hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("request_, path", [({"text": ""}, "request.text"), ({"limit": 101}, "request.limit"),
                                            ({"mode": "magic"}, "request.mode"),
                                            ({"filters": {"volume": -1}}, "request.filters.volume")])
def test_a_wrong_request_is_refused_by_path(ready, request_, path):
    with pytest.raises(BusError) as caught:
        ready.client.call("search.query", {"text": "x", **request_})
    assert caught.value.status == "INVALID_ARGUMENT" and path in caught.value.message


# ---- durability ----------------------------------------------------------------------------------------
def test_after_a_restart_the_index_is_there_and_nothing_is_embedded_again(ready):
    ready.load(*one_piece(1, 42), *OTHERS)
    ready.wait_embedded()
    count = len(ready.fake.indexed())
    before = ready.search("錬金術")
    ready.process.stop()
    ready.indexer()
    assert ready.status()["embedded"] == 5
    after = ready.search("錬金術")
    assert [h["isbn"] for h in after["hits"]] == [h["isbn"] for h in before["hits"]] and after["mode"] == "hybrid"
    assert len(ready.fake.indexed()) == count


def test_what_comes_twice_or_late_changes_nothing(ready):
    old, new = book(9, "古い題名", 1), book(9, "新しい題名", 1, version=2)
    ready.load(old)
    ready.publish(update(new))
    wait_until(lambda: ready.titles("新しい題名")[:1] == [("新しい題名", 1)], "the new title")  # the old one is a hit, too
    ready.publish(update(old), update(new), update(old))
    wait_until(ready.consumed, "an empty queue")
    ready.client.publish_many(AI_BUS, [update(new)], replay_name="again")
    wait_until(ready.consumed, "an empty queue")
    assert ready.database.value("SELECT string_agg(version::text, ',') FROM embed_indexer.document") == "2"
    assert ready.titles("題名")[0][0] == "新しい題名" and ready.status()["index_size"] == 1


def test_a_broken_message_is_rejected_and_the_rest_of_its_batch_taken(ready):
    broken = event("CatalogUpdate.new_release", {"product_id": "x", "isbn": isbn(4), "title": "x",
                                                 "update_type": "new_release", "data": {"isbn": "123"},
                                                 "timestamp": "2025-01-01T00:00:00Z"}, source="mangaassist.catalog")
    nul = update(book(5, "zero", publisher="a\0b"))  # the contract takes it, PostgreSQL's text does not
    ready.load(book(1, "鋼の錬金術師"))
    ready.publish(broken, nul, update(book(2, "よつばと!")))
    wait_until(lambda: ready.titles("よつばと"), "the sound message")
    wait_until(ready.consumed, "an empty queue")
    assert ready.client.queue_info("MangaAssist-EventBridge-DLQ")["visible"] == 2


def test_two_instances_know_what_either_indexed(ready):
    second = ready.indexer()
    ready.load(*one_piece(*range(1, 43)), *OTHERS)
    ready.wait_embedded()
    for volume in (1, 17, 42):
        wait_until(lambda v=volume: all(ready.titles(f"ワンピース {v}巻")[:1] == [("ONE PIECE", v)] for _ in range(4)),
                   "the volume in every answer")
    texts = ready.fake.indexed()
    assert len(texts) == len(set(texts)) == 4, "42 volumes and three more books are four works"
    ready.process.stop()
    assert ready.status()["index_size"] == 45 and second.running()


def test_a_text_noted_again_while_its_vector_came_is_not_embedded_again(ready):
    """Who notes a text looks for its vector first, but may have looked just before another stored it."""
    ready.indexer()
    ready.load(*OTHERS)
    ready.wait_embedded()
    ready.database.sql("INSERT INTO embed_indexer.pending (asks, text_hash) SELECT '/64', text_hash FROM "
                       "embed_indexer.work ON CONFLICT DO NOTHING")
    wait_until(lambda: ready.database.value("SELECT count(*) FROM embed_indexer.pending") == "0", "nothing pending")
    assert len(ready.fake.indexed()) == 3 and ready.status()["embedded"] == 3


def test_a_batch_whose_outcome_is_unknown_is_tried_again_and_costs_no_receive(ready):
    ready.load(*OTHERS)
    lock = threading.Thread(target=ready.database.sql, args=(
        "BEGIN; LOCK TABLE embed_indexer.document IN EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT",))
    lock.start()
    wait_until(lambda: ready.database.sql("SELECT 1 FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND relation"
                                          " = 'embed_indexer.document'::regclass"), "the lock")
    ready.publish(*[update(b) for b in one_piece(*range(1, 51))])
    waiting = ("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
               "AND query LIKE 'WITH given%'")
    wait_until(lambda: ready.database.sql(waiting), "a batch under way")
    ready.database.sql(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS w")
    ready.process.wait_for_line("could not be stored and is tried again")
    lock.join()
    assert ready.wait_size(53)["index_size"] == 53
    assert ready.client.queue_info("MangaAssist-EventBridge-DLQ")["visible"] == 0
    released = f'mangabus_deliveries_total{{queue="{QUEUE}",outcome="released"}}'
    assert f"{released} 1" not in http_get(ready.process.url + "/metrics")[1]


def test_without_a_database_a_search_fails_by_name(ready):
    ready.load(*OTHERS)
    ready.database.go_away()
    with pytest.raises(BusError) as caught:
        ready.search("よつばと", deadline_ms=1000)
    assert caught.value.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    ready.database.come_back()
    wait_until(lambda: http_get(ready.process.url + "/readyz")[0] == 200, "the database again")
    assert ready.titles("よつばと")[0] == ("よつばと!", 1)


def test_it_ends_cleanly_in_the_middle_of_its_work(ready):
    for first in range(1, 2001, 200):
        ready.publish(*[update(b) for b in one_piece(*range(first, first + 200))])
    assert ready.process.stop() == 0
    ready.indexer()
    assert ready.wait_size(2000)["index_size"] == 2000
