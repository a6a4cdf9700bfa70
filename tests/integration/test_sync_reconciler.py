"""sync-reconciler from outside: the test plays the ERP over the bus, kills whom it likes, and counts what is kept and
told. Broker and PostgreSQL are the real ones."""
import threading

import pytest
from lib.house import Service, Tap, assert_valid, isbn, topology, wait_empty
from lib.mangabus_client import BusError, event, pack, unpack
from lib.wait import wait_until

AI_BUS = "MangaAssist-AI-Events"
GRACE = {"MANGABUS_GRACE": "5s"}
PAGE = 200  # what the service asks for


def book(number, title=None, **more):
    return {"isbn": isbn(number), "title": title or f"作品{number:05d}", "price_jpy": 500, "version": 1,
            "updated_at": "2025-03-01T00:00:00Z", **more}


class Erp:
    """erp.catalog.page and erp.stock.batch, served over the bus from lists in memory, in a thread of its own."""

    def __init__(self, broker):
        self.books, self.rejected = [], []
        self.quiet = 0  # how often in a row nothing came within 0.1 s
        self.stock = {}  # ISBN -> quantity in TK01; absent: 7
        self.as_of = "2025-03-01T12:00:00Z"
        self.pages, self.batches = [], []  # requests, in order
        self.failing = None  # (status, message) that is answered to everything
        self.hold_page = None  # number of the page that is not answered before `go` is set
        self.hold_batches = False  # stock is not answered while it is set
        self.held = []
        self.failing_batch = None  # the batch with this ISBN is refused
        self.go = threading.Event()
        self.over = threading.Event()
        self.client = broker.client("fake-erp-000001")
        self.client.serve("erp.catalog.page", "erp.stock.batch")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            while self.held and not self.hold_batches:
                call = self.held.pop()
                self.batch(call, unpack(call["body"]))
            try:
                call = self.client.next_call(timeout_s=0.1)
            except TimeoutError:
                self.quiet += 1
                continue
            self.quiet = 0
            if self.failing:
                self.client.reply(call, status=self.failing[0], message=self.failing[1])
            elif call["method"] == "erp.catalog.page":
                self.page(call, unpack(call["body"]))
            elif self.hold_batches:
                self.held.append(call)
            else:
                self.batch(call, unpack(call["body"]))

    def nothing_more(self):
        wait_until(lambda: self.quiet >= 10, "a second without a request")

    def page(self, call, asked):
        assert_valid(asked, "call.erp.catalog.page.request")
        self.pages.append(asked)
        start = int(asked.get("cursor", "0"))
        if self.hold_page == start // PAGE and not self.go.wait(60):
            return
        since = asked.get("changed_since", "")
        chosen = [b for b in self.books if b["updated_at"] >= since]
        answer = {"items": chosen[start:start + PAGE], "total": len(chosen)}
        if start == 0 and self.rejected:
            answer["rejected"] = self.rejected
        if start + PAGE < len(chosen):
            answer["next_cursor"] = str(start + PAGE)
        self.client.reply(call, answer)

    def batch(self, call, asked):
        assert_valid(asked, "call.erp.stock.batch.request")
        self.batches.append(asked)
        if self.failing_batch in asked["isbns"]:
            self.client.reply(call, status="FAILED_PRECONDITION", message="no stock today")
            return
        lines = [{"isbn": i, "warehouse_code": "TK01", "quantity": self.stock.get(i, 7), "status": "in_stock",
                  "as_of": self.as_of} for i in asked["isbns"]]
        self.client.reply(call, {"lines": lines})

    def cursors(self):
        return [asked.get("cursor", "0") for asked in self.pages]

    def close(self):
        self.go.set()
        self.over.set()
        self.thread.join(20)


class House:
    def __init__(self, start, broker, database):
        self.broker, self.database = broker, database
        self.client = broker.client()
        self.erp = Erp(broker)
        self.told = Tap(self.client, AI_BUS)
        self.service = Service(start, "sync-reconciler", {
            "MANGABUS_ENDPOINT": broker.endpoint, "MANGABUS_SYNC_LOAD_WHEN_EMPTY": "false", **database.env})

    def call(self, method, **request):
        answer = self.client.call(method, request, idempotent=True)
        assert_valid(answer, f"call.{method}.response")
        return answer

    def status(self, **request):
        return self.call("sync.status", **request)

    def fails(self, method, **request):
        with pytest.raises(BusError) as caught:
            self.client.call(method, request)
        return caught.value

    def wait_state(self, state, run_id=None, timeout_s=30):
        def reached():
            now = self.status()
            return now if now["state"] == state and run_id in (None, now["run_id"]) else None

        return wait_until(reached, f"a run that is {state}", timeout_s)

    def load(self, **request):
        """A whole run; its last status."""
        started = self.call("sync.start", **request)
        assert started["started"]
        done = self.wait_state("completed", started["run_id"])
        wait_until(lambda: self.count("outbox") == 0, "everything to be told")
        return done

    def count(self, table):
        return int(self.database.value(f"SELECT count(*) FROM sync_reconciler.{table}"))

    def published(self):
        return self.service.metric('mangabus_outbox_events_total{outcome="published"}')

    def titles(self, **request):
        return [b["title"] for b in self.call("catalog.get", **request)["items"]]

    def stock(self):
        return {row[0]: int(row[1]) for row in
                self.database.sql("SELECT isbn, quantity FROM sync_reconciler.stock")}

    def lease_over(self):
        """As when the dead owner had been silent for long."""
        self.database.sql("UPDATE sync_reconciler.run SET leased_until = now() - interval '1 second'")


@pytest.fixture
def quiet(start, make_broker, database):
    """A house whose service is not started yet."""
    house = House(start, make_broker(topology=topology(), env=GRACE).start(), database)
    yield house
    house.erp.close()


@pytest.fixture
def house(quiet):
    quiet.service.start()
    return quiet


# ---- loading ------------------------------------------------------------------------------------------
def test_a_full_load_keeps_every_book_its_stock_and_tells_each_once(house):
    house.erp.books = [book(n) for n in range(450)]
    done = house.load()
    assert (done["kind"], done["items_total"], done["items_done"], done["items_changed"], done["items_quarantined"],
            done["stock_done"], done["catalog_size"]) == ("full", 450, 450, 450, 0, 450, 450)
    assert done["started_at"] < done["finished_at"] and "error" not in done
    assert house.erp.cursors() == ["0", "200", "400"]
    assert house.stock() == {b["isbn"]: 7 for b in house.erp.books}
    events = house.told.take(450)
    assert {e["detail-type"] for e in events} == {"CatalogUpdate.new_release"}
    assert {e["source"] for e in events} == {"mangaassist.catalog"}
    assert sorted(e["detail"]["isbn"] for e in events) == sorted(b["isbn"] for b in house.erp.books)
    assert_valid(events[0]["detail"], "event.mangaassist.catalog.CatalogUpdate.new_release")
    assert events[0]["detail"]["data"] in house.erp.books
    house.load()
    house.told.nothing()
    assert house.status()["items_changed"] == 0


def test_an_empty_house_loads_by_itself_and_only_once(quiet):
    quiet.erp.books = [book(n) for n in range(3)]
    quiet.service.start(MANGABUS_SYNC_LOAD_WHEN_EMPTY="true")
    quiet.wait_state("completed")
    quiet.service.restart()
    quiet.client.call("sync.status", {})
    quiet.service.process.wait_for_line('"message":"the bus is up"')
    quiet.told.take(3)
    quiet.told.nothing(within_s=1.5)  # longer than the look at the start takes
    assert len(quiet.erp.pages) == 1


def test_without_stock_only_the_catalogue_is_read(quiet):
    quiet.erp.books = [book(1)]
    quiet.service.start(MANGABUS_SYNC_STOCK="false")
    assert quiet.load()["stock_done"] == 0 and quiet.erp.batches == [] and quiet.stock() == {}


def test_a_service_killed_in_the_middle_goes_on_at_its_last_page(house):
    house.erp.books = [book(n) for n in range(1000)]
    house.erp.hold_page = 3
    run_id = house.call("sync.start")["run_id"]
    house.service.process.wait_for(lambda: "600" in house.erp.cursors(), "the fourth page to be asked for")
    before = wait_until(lambda: (s := house.status())["items_done"] == 600 and s, "the third page to be kept")
    assert (before["state"], before["items_total"]) == ("running", 1000)
    house.service.kill()
    house.erp.hold_page = None
    house.erp.go.set()
    house.lease_over()
    house.service.start()
    done = house.wait_state("completed", run_id)
    assert (done["items_done"], done["items_changed"], done["catalog_size"]) == (1000, 1000, 1000)
    assert house.erp.cursors() == ["0", "200", "400", "600", "600", "800"]
    assert done["stock_done"] == 1000 and len(house.stock()) == 1000
    wait_until(lambda: house.count("outbox") == 0, "everything to be told")
    events = house.told.take(1000)
    assert len({e["detail"]["isbn"] for e in events}) == 1000
    house.told.nothing()


def test_stock_that_was_due_when_the_service_was_killed_is_read_by_the_next_owner(house):
    """The last page is kept, so that only its stock is left to be read."""
    house.erp.books = [book(n) for n in range(500)]
    house.erp.hold_batches = True
    run_id = house.call("sync.start")["run_id"]
    wait_until(lambda: house.status()["items_done"] == 500, "all pages to be kept")
    assert house.status()["stock_done"] == 0 and house.count("stock_due") == 3
    house.service.kill()
    house.erp.hold_batches = False
    house.lease_over()
    house.service.start()
    done = house.wait_state("completed", run_id)
    assert (done["items_done"], done["items_changed"], done["stock_done"]) == (500, 500, 500)
    assert house.erp.cursors() == ["0", "200", "400"]
    assert len(house.stock()) == 500 and house.count("stock_due") == 0


def test_pages_are_not_asked_for_far_ahead_of_their_stock(house):
    house.erp.books = [book(n) for n in range(3000)]
    house.erp.hold_batches = True
    run_id = house.call("sync.start")["run_id"]
    wait_until(lambda: len(house.erp.held) >= 4, "the stock of four pages to be asked for")
    house.erp.nothing_more()
    assert len(house.erp.held) <= 6 and len(house.erp.pages) <= 6
    house.erp.hold_batches = False
    house.wait_state("completed", run_id)
    assert len(house.stock()) == 3000


def test_a_page_whose_stock_cannot_be_read_is_done_without_it(house):
    house.erp.books = [book(n) for n in range(300)]
    house.erp.failing_batch = isbn(250)
    done = house.load()
    assert (done["items_done"], done["stock_done"]) == (300, 200)
    assert len(house.stock()) == 200 and house.count("stock_due") == 0
    house.erp.failing_batch = None
    house.load()
    assert len(house.stock()) == 300


def test_a_second_instance_takes_a_dead_ones_run_over(house, start):
    house.erp.books = [book(n) for n in range(500)]
    house.erp.hold_page = 1
    run_id = house.call("sync.start")["run_id"]
    house.service.process.wait_for(lambda: "200" in house.erp.cursors(), "the second page to be asked for")
    second = Service(start, "sync-reconciler", house.service.env).start()
    house.service.kill()
    house.erp.hold_page = None
    house.erp.go.set()
    house.lease_over()
    assert house.wait_state("completed", run_id)["items_done"] == 500
    assert second.process.running()


def test_a_broker_killed_in_the_middle_costs_no_page(house):
    house.erp.books = [book(n) for n in range(600)]
    house.erp.hold_page = 1
    run_id = house.call("sync.start")["run_id"]
    house.service.process.wait_for(lambda: "200" in house.erp.cursors(), "the second page to be asked for")
    house.erp.close()
    erp, head = house.erp, house.client.welcome["head"]
    house.broker.restart()
    house.client.reconnect()
    house.erp = revive(erp, house.broker)
    house.told = Tap(house.client, AI_BUS, **{"from": head + 1})
    done = house.wait_state("completed", run_id, timeout_s=60)
    assert (done["items_done"], done["items_changed"]) == (600, 600)
    wait_until(lambda: house.count("outbox") == 0, "everything to be told")
    assert len({e["detail"]["isbn"] for e in house.told.take(600)}) == 600
    house.told.nothing()


def revive(erp, broker):
    """The same ERP in a new session."""
    again = Erp.__new__(Erp)
    again.__dict__.update(erp.__dict__, client=broker.client("fake-erp-000002"), over=threading.Event(), hold_page=None)
    again.client.serve("erp.catalog.page", "erp.stock.batch")
    again.thread = threading.Thread(target=again.run, daemon=True)
    again.thread.start()
    return again


def test_a_start_joins_the_run_that_goes_on(house):
    house.erp.books = [book(1)]
    house.erp.hold_page = 0
    first = house.call("sync.start", reason="operator")
    house.service.process.wait_for(lambda: house.erp.pages, "the page to be asked for")
    second = house.call("sync.start", kind="incremental")
    assert (first["started"], second["started"]) == (True, False) and second["run_id"] == first["run_id"]
    house.client.send("manga-catalog-sync", {"jobType": "catalog_sync", "kind": "full"})
    wait_empty(house.client, "manga-catalog-sync")
    house.erp.go.set()
    house.wait_state("completed", first["run_id"])
    assert house.count("run") == 1


def test_an_order_in_the_queue_starts_a_run_and_a_wrong_one_is_dead_lettered(house):
    house.erp.books = [book(1)]
    house.client.send("manga-catalog-sync", {"jobType": "catalog_sync", "kind": "full"})
    assert house.wait_state("completed")["catalog_size"] == 1
    house.client.send("manga-catalog-sync", {"jobType": "catalog_sync", "kind": "sideways"})
    letter = house.client.deliveries(house.client.consume("manga-catalog-sync-dlq"), 1)[0]
    assert "kind" in letter["attrs"]["DeadLetterDetail"]


def test_an_incremental_run_asks_for_what_changed_since_the_last_one_began(house):
    house.erp.books = [book(n) for n in range(3)]
    first = house.load()
    house.erp.books[1] = book(1, price_jpy=600, version=2, updated_at="2099-01-01T00:00:00Z")
    done = house.load(kind="incremental")
    assert (done["kind"], done["items_done"], done["items_changed"]) == ("incremental", 1, 1)
    assert "changed_since" not in house.erp.pages[0]
    assert house.erp.pages[1]["changed_since"] == first["started_at"][:19] + "Z"


# ---- what is told -------------------------------------------------------------------------------------
def test_what_changed_is_told_once_under_its_name(house):
    house.erp.books = [book(n) for n in range(6)]
    house.load()
    house.told.take(6)
    house.erp.books[0]["price_jpy"] = 650
    house.erp.books[1]["status"] = "discontinued"
    house.erp.books[2]["synopsis"] = "海賊の話"
    house.erp.books[3] |= {"status": "discontinued", "synopsis": "終わり", "price_jpy": 1}
    for changed in house.erp.books[:4]:
        changed["version"] = 2
    house.erp.books[4] |= {"title": "古い", "version": 0}  # older than what is kept
    assert house.load()["items_changed"] == 4
    events = house.told.take(4)
    assert {e["detail"]["isbn"]: e["detail-type"] for e in events} == {
        isbn(0): "CatalogUpdate.price_change", isbn(1): "CatalogUpdate.discontinued",
        isbn(2): "CatalogUpdate.new_release", isbn(3): "CatalogUpdate.discontinued"}
    for told in events:
        assert_valid(told["detail"], f"event.mangaassist.catalog.{told['detail-type']}")
        assert told["detail"]["version"] == 2
    house.load()
    house.told.nothing()
    assert house.titles(isbns=[isbn(4)]) == ["作品00004"]
    house.erp.books[1] |= {"status": "active", "version": 3}
    house.load()
    assert [e["detail-type"] for e in house.told.take(1)] == ["CatalogUpdate.new_release"]


# ---- quarantine ---------------------------------------------------------------------------------------
def test_what_is_no_book_is_held_back_with_the_reason_and_the_rest_is_kept(house):
    house.erp.books = [book(1), book(2, title="壊れた\ufffd文字"), book(3, price_jpy=0), book(4, title="???の冒険"),
                       book(5, published_on="2099-01-01"), book(6, price_jpy=2_000_000), book(7, title="　 ")]
    house.erp.rejected = [{"key": "BAD-1", "reason": "ISBN: check digit", "raw": "<Item>破損</Item>"}]
    done = house.load()
    assert (done["items_done"], done["items_quarantined"], done["catalog_size"]) == (8, 7, 1)
    reasons = dict(house.database.sql("SELECT key, reason FROM sync_reconciler.quarantine"))
    assert reasons["BAD-1"] == "ISBN: check digit"
    for number, field in ((2, "title"), (3, "price_jpy"), (4, "title"), (5, "published_on"), (6, "price_jpy"), (7, "title")):
        assert reasons[isbn(number)].startswith(field)
    assert house.erp.batches[0]["isbns"][0] == isbn(1)
    assert isbn(2) in house.call("catalog.get", isbns=[isbn(2)])["missing"]


# ---- catalog.get --------------------------------------------------------------------------------------
@pytest.fixture
def shelf(house):
    """A house with a small catalogue."""
    house.erp.books = [
        book(42, "ONE PIECE", title_kana="ワンピース", volume=42, creators=["尾田栄一郎"]),
        book(1, "ONE PIECE", title_kana="ワンピース", volume=1),
        book(2, "ONE PIECE", title_kana="ワンピース", volume=2),
        book(7, "ONE PIECE PARTY", title_kana="ワンピースパーティー", volume=1),
        book(8, "鬼滅の刃", title_kana="キメツノヤイバ", title_en="Demon Slayer", volume=1),
        book(9, "%", volume=1), book(10, "_", volume=1)]
    house.erp.books.sort(key=lambda b: b["isbn"])
    house.load()
    return house


def test_books_come_in_the_order_asked_and_the_missing_are_named(shelf):
    wanted = [isbn(8), isbn(99), isbn(42), isbn(1), isbn(98)]
    answer = shelf.call("catalog.get", isbns=wanted)
    assert [b["isbn"] for b in answer["items"]] == [isbn(8), isbn(42), isbn(1)]
    assert answer["missing"] == [isbn(99), isbn(98)]
    assert answer["items"][1] == next(b for b in shelf.erp.books if b["isbn"] == isbn(42))
    assert answer["hops"][0]["service"] == "sync-reconciler"


@pytest.mark.parametrize("title", ["ONE PIECE", "one piece", "ＯＮＥ　ＰＩＥＣＥ", "One-Piece!", "ワンピース", "わんぴーす",
                                   "ﾜﾝﾋﾟｰｽ"])
def test_a_title_is_found_in_any_spelling_by_volume(shelf, title):
    found = shelf.call("catalog.get", title=title)["items"]
    assert [(b["title"], b["volume"]) for b in found] == [("ONE PIECE", 1), ("ONE PIECE", 2), ("ONE PIECE", 42)]
    one = shelf.call("catalog.get", title=title, volume=42)["items"]
    assert [b["isbn"] for b in one] == [isbn(42)]
    assert len(shelf.call("catalog.get", title=title, limit=2)["items"]) == 2


def test_english_titles_readings_and_beginnings_are_found(shelf):
    assert shelf.titles(title="demon slayer") == shelf.titles(title="きめつのやいば") == ["鬼滅の刃"]
    assert shelf.titles(title="鬼滅") == shelf.titles(title="Demon") == ["鬼滅の刃"]
    assert shelf.titles(title="one piece p") == ["ONE PIECE PARTY"]
    assert shelf.titles(title="ワンピース", volume=99) == [] and shelf.titles(title="進撃の巨人") == []


def test_signs_stand_for_themselves(shelf):
    assert shelf.titles(title="%") == ["%"] and shelf.titles(title="_") == ["_"]
    assert shelf.titles(title="\\") == shelf.titles(title="%%") == shelf.titles(title="!") == []


@pytest.mark.parametrize("request_, path", [
    ({}, "isbns or title"), ({"isbns": [isbn(1)], "title": "x"}, "isbns or title"), ({"isbns": []}, "isbns"),
    ({"isbns": ["123"]}, "isbns"), ({"isbns": [isbn(1)] * 201}, "isbns"), ({"title": ""}, "title"),
    ({"title": "x", "limit": 201}, "limit"), ({"title": "x", "volume": -1}, "volume")])
def test_a_wrong_question_is_refused_by_its_field(house, request_, path):
    error = house.fails("catalog.get", **request_)
    assert error.status == "INVALID_ARGUMENT" and path in error.message


def test_wrong_orders_are_refused_and_unknown_runs_are_not_found(house):
    assert house.fails("sync.start", kind="sideways").status == "INVALID_ARGUMENT"
    assert house.status()["state"] == "idle"
    error = house.fails("sync.status", run_id="20200101T000000000000")
    assert error.status == "NOT_FOUND" and "run_id" in error.message


# ---- an ERP that is away ------------------------------------------------------------------------------
def test_it_waits_for_an_erp_that_is_down_and_goes_on(house):
    house.erp.books = [book(n) for n in range(250)]
    house.erp.failing = ("UNAVAILABLE", "the ERP sleeps")
    run_id = house.call("sync.start")["run_id"]
    waiting = wait_until(lambda: (s := house.status()).get("error") and s, "the run to say what it waits for")
    assert (waiting["state"], waiting["error"]) == ("running", "the ERP sleeps")
    house.erp.failing = None
    done = house.wait_state("completed", run_id)
    assert done["items_done"] == 250 and "error" not in done


def test_it_waits_when_nobody_serves_the_erp(house):
    house.erp.books = [book(1)]
    house.erp.close()
    house.erp.client.close()
    run_id = house.call("sync.start")["run_id"]
    wait_until(lambda: house.status().get("error"), "the run to say what it waits for", 60)
    house.erp = revive(house.erp, house.broker)
    assert house.wait_state("completed", run_id, 60)["items_done"] == 1


def test_it_waits_longer_each_time_for_a_database_that_keeps_no_page(house):
    house.erp.books = [book(1)]
    house.database.sql("ALTER TABLE sync_reconciler.book RENAME TO hidden")
    house.call("sync.start")
    house.service.process.wait_for_line(r'"the loading waits".*"retry_ms":2000')
    house.database.sql("ALTER TABLE sync_reconciler.hidden RENAME TO book")
    house.wait_state("completed")


def test_a_first_loading_that_cannot_begin_is_asked_for_again(quiet):
    quiet.service.start().process.stop()
    quiet.erp.books = [book(1)]
    quiet.database.sql("ALTER TABLE sync_reconciler.run RENAME TO hidden")
    quiet.service.start(MANGABUS_SYNC_LOAD_WHEN_EMPTY="true")
    quiet.service.process.wait_for_line("the first loading could not begin")
    quiet.database.sql("ALTER TABLE sync_reconciler.hidden RENAME TO run")
    quiet.wait_state("completed")


def test_an_error_for_good_fails_the_run_and_the_next_resumes_it(house):
    house.erp.books = [book(n) for n in range(500)]
    house.erp.hold_page = 1
    house.call("sync.start")
    house.service.process.wait_for(lambda: "200" in house.erp.cursors(), "the second page to be asked for")
    house.erp.books[300] = {"isbn": "no book at all", "updated_at": "2025-03-01T00:00:00Z"}
    house.erp.go.set()
    failed = house.wait_state("failed")
    assert "isbn" in failed["error"] and failed["items_done"] == 200
    house.erp.books[300] = book(300)
    done = house.load()
    assert done["items_done"] == 500 and house.erp.cursors() == ["0", "200", "200", "400"]
    house.load(resume=False)
    assert house.erp.cursors()[4:] == ["0", "200", "400"]


# ---- stock --------------------------------------------------------------------------------------------
def stock_event(quantity, version, number=1):
    return event("inventory.updated", {
        "event_type": "inventory.updated", "isbn": isbn(number), "warehouse_code": "TK01", "new_quantity": quantity,
        "version": version, "change_source": "erp_cdc", "timestamp_utc": "2025-03-01T00:00:00Z",
        "correlation_id": "c"}, "manga-assist.inventory")


def test_stock_from_events_and_batches_is_kept_by_its_version(house):
    noon = 1740830400 * 10**9  # 2025-03-01T12:00:00Z, as a version
    house.erp.books = [book(1), book(2), book(3)]
    for quantity, version, number in ((3, noon + 1, 1), (4, noon - 1, 2), (9, noon - 5, 2)):
        house.client.publish("manga-assist-inventory", stock_event(quantity, version, number))
    wait_empty(house.client, "manga-inventory-sync")
    assert house.stock() == {isbn(1): 3, isbn(2): 4}
    house.load()
    assert house.stock() == {isbn(1): 3, isbn(2): 7, isbn(3): 7}
    house.client.publish("manga-assist-inventory", stock_event(0, noon + 2, 1))
    wait_until(lambda: house.stock()[isbn(1)] == 0, "the newer event")


def test_a_database_that_fails_costs_no_message_a_receive(house):
    lock = house.database.cut_off("sync_reconciler.stock", at_least=2)
    for number in range(8):
        house.client.publish("manga-assist-inventory", stock_event(5, 10**18 + number, number))
    lock.join()
    wait_until(lambda: house.stock() == {isbn(number): 5 for number in range(8)}, "the stock", timeout_s=60)
    assert house.service.metric('mangabus_deliveries_total{queue="manga-inventory-sync",outcome="acked"}') >= 8
    assert house.service.metric('mangabus_deliveries_total{queue="manga-inventory-sync",outcome="released"}') == 0


def test_what_is_no_stock_event_is_dead_lettered(house):
    house.client.send("manga-inventory-sync", {"no": "envelope"})
    house.client.send("manga-inventory-sync", unpack(event("inventory.updated", {"isbn": "x"})))
    letters = house.client.deliveries(house.client.consume("manga-inventory-dlq"), 2)
    assert all(letter["attrs"]["DeadLetterReason"] == "rejected" for letter in letters)
    assert any("isbn" in letter["attrs"]["DeadLetterDetail"] or "detail" in letter["attrs"]["DeadLetterDetail"]
               for letter in letters)
    assert pack({"no": "envelope"}) in [letter["body"] for letter in letters]
