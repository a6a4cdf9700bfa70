"""embed-indexer from outside: broker and PostgreSQL are the real ones, fm.embed is served by a fake that counts."""
import hashlib
import json
import struct
import threading

import pytest
from lib.mangabus_client import BusError, event, pack, unpack
from lib.paths import ROOT
from lib.wait import wait_until

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
        self.publish(*[update(b) for b in books])
        self.wait_size()

    def search(self, text, deadline_ms=10000, **request):
        return self.client.call("search.query", {"text": text, **request}, deadline_ms=deadline_ms)

    def titles(self, text, **request):
        return [(h["title"], h.get("volume")) for h in self.search(text, **request)["hits"]]

    def status(self):
        return self.client.call("embed.status")

    def consumed(self):
        """Everything published was taken and is acknowledged."""
        info = self.client.queue_info(QUEUE)
        return all(int(info.get(name, 0)) == 0 for name in COUNTS)

    def wait_size(self, at_least=1):
        wait_until(self.consumed, "an empty queue")
        return wait_until(lambda: self.status()["index_size"] >= at_least and self.status(), "books in the index")

    def wait_embedded(self):
        return wait_until(lambda: (s := self.status())["pending"] == 0 and s["embedded"] and s, "vectors for all books")


LISTENING = r'"message":"listening",.*"port":(\d+)'
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


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
