"""acl-erp over the bus, with a real broker, a real database and erp-sim behind it: nothing legacy comes through, many
questions become few calls, and silence of the ERP is answered from kept copies."""
import datetime
import http.server
import re
import threading

import pytest
from lib.erp import INVENTORY, ONE_PIECE_42, SOAP_11, ErpSim, isbn
from lib.mangabus_client import BusError
from lib.wait import http_get, wait_until


class House:
    """A broker, erp-sim, acl-erp and one client."""

    def __init__(self, start, broker, database, sim_env=None, acl_env=None):
        self.broker = broker
        self.database = database
        self.sim = ErpSim(start, sim_env)
        self.env = {"MANGABUS_ENDPOINT": broker.endpoint, "MANGABUS_HTTP": "127.0.0.1:0",
                    "MANGABUS_ERP_URL": self.sim.url, "MANGABUS_ORDERS_URL": self.sim.url,
                    "MANGABUS_PAYMENTS_URL": self.sim.url, **database.env, **(acl_env or {})}
        self._start = start
        self.client = broker.client()
        self.start_acl()

    def start_acl(self):
        self.acl = self._start("acl-erp", env=self.env)
        port = self.acl.wait_for_line(r'"message":"listening".*?"port":(\d+)')[1]
        self.url = f"http://127.0.0.1:{port}"
        self.acl.wait_ready(self.url)
        self.acl.wait_for(self._is_served, "erp.* to be served")

    def _is_served(self):
        try:
            return self.client.call("erp.payment.get", {"payment_id": "PAY-0000-00"}, deadline_ms=2000)
        except BusError as error:
            return error.status == "NOT_FOUND" and "no such thing" in error.message

    def stock(self, book=ONE_PIECE_42, **fields):
        deadline_ms = fields.pop("deadline_ms", 5000)
        return self.client.call("erp.stock.get", {"isbn": book, **fields}, deadline_ms=deadline_ms)

    def fails(self, method, value, **options):
        with pytest.raises(BusError) as caught:
            self.client.call(method, value, **options)
        return caught.value

    def metric(self, line):
        found = re.search(rf"^{re.escape(line)} (\S+)$", http_get(f"{self.url}/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def kept_in_database(self):
        return int(self.database.value("SELECT count(*) FROM acl_erp.kept"))


@pytest.fixture
def make_house(start, broker, database):
    return lambda **options: House(start, broker, database, **options)


@pytest.fixture
def house(make_house):
    return make_house()


class CannedErp:
    """An ERP that answers each operation with the children of its body, as `answers` has them."""

    def __init__(self):
        self.answers, self.seen = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode("cp932")
                operation = re.search(r"<inv:(\w+)>", asked.split("Body>", 1)[1])[1]
                outer.seen.append(asked)
                body = (f'<s:Envelope xmlns:s="{SOAP_11}" xmlns:i="{INVENTORY}"><s:Body><i:{operation}Response>'
                        f'{outer.answers[operation]}</i:{operation}Response></s:Body></s:Envelope>').encode("cp932")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def record(name, **fields):
    return f"<i:{name}>" + "".join(f"<i:{key}>{value}</i:{key}>" for key, value in fields.items()) + f"</i:{name}>"


@pytest.fixture
def canned(make_house):
    """(a house, the canned ERP behind it)"""
    erp = CannedErp()
    yield make_house(acl_env={"MANGABUS_ERP_URL": erp.url, }), erp
    erp.close()


# ---- one book -----------------------------------------------------------------------------------------
def test_stock_of_a_book_comes_by_warehouse_in_the_houses_terms(house):
    answer = house.stock()
    tokyo = next(line for line in answer["lines"] if line["warehouse_code"] == "TK01")
    assert tokyo["status"] == "in_stock" and tokyo["title"] == "ONE PIECE 42" and tokyo["quantity"] == 27
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", tokyo["last_restock_date"])
    assert "stale_age_ms" not in tokyo
    assert answer["total_quantity"] == sum(line["quantity"] for line in answer["lines"])
    own, erp = answer["hops"]
    assert (own["service"], own["operation"], own["depth"]) == ("acl-erp", "erp.stock.get", 0)
    assert (erp["service"], erp["depth"]) == ("erp", 1) and 0 < erp["duration_us"] <= own["duration_us"]
    allowed = {"isbn", "warehouse_code", "quantity", "status", "title", "price_jpy", "last_restock_date", "eta_days", "as_of"}
    assert all(set(line) <= allowed for line in answer["lines"])


def test_one_warehouse_can_be_asked_for(house):
    assert [line["warehouse_code"] for line in house.stock(warehouse_code="TK01")["lines"]] == ["TK01"]
    assert house.fails("erp.stock.get", {"isbn": ONE_PIECE_42, "warehouse_code": "XX99"}).status == "NOT_FOUND"


def test_a_book_that_is_not_sold_is_not_found(house):
    assert house.fails("erp.stock.get", {"isbn": isbn(99_999_999)}).status == "NOT_FOUND"


@pytest.mark.parametrize("method, value, field", [
    ("erp.stock.get", {"isbn": "9784000000421"}, "isbn"),
    ("erp.stock.get", {}, "isbn"),
    ("erp.stock.get", {"isbn": ONE_PIECE_42, "max_stale_ms": -1}, "max_stale_ms"),
    ("erp.stock.batch", {"isbns": []}, "isbns"),
    ("erp.stock.batch", {"isbns": [ONE_PIECE_42] * 201}, "isbns"),
    ("erp.catalog.page", {"cursor": "page two"}, "cursor"),
    ("erp.catalog.page", {"page_size": 501}, "page_size"),
    ("erp.catalog.page", {"changed_since": "yesterday"}, "changed_since"),
    ("erp.order.list", {}, "customer_id"),
    ("erp.payment.refund", {"payment_id": "PAY-0001-01", "idempotency_key": "a\r\nb"}, "idempotency_key"),
    ("erp.payment.refund", {"payment_id": "PAY-0001-01", "idempotency_key": "k", "amount": 0}, "amount"),
])
def test_a_wrong_request_is_refused_by_its_field_and_costs_no_call(house, method, value, field):
    before = house.sim.stats()["erp"]["admitted"]
    error = house.fails(method, value)
    assert error.status == "INVALID_ARGUMENT" and field in error.message
    assert house.sim.stats()["erp"]["admitted"] == before


# ---- many books -----------------------------------------------------------------------------------------
def test_a_crowd_of_questions_becomes_a_few_calls(make_house):
    house = make_house(sim_env={"MANGABUS_SIM_LATENCY_P50": "60ms", "MANGABUS_SIM_LATENCY_P99": "60ms"})
    books = [isbn(n) for n in range(1, 101)] * 2
    calls = [house.client.call_begin("erp.stock.get", {"isbn": book}) for book in books]
    answers = [house.client.call_end(number)[0][0]["isbn"] for number in calls]
    stats = house.sim.stats()
    assert answers == books
    assert 5 <= stats["operations"]["batch"] <= 20
    assert stats["batch_isbns"] <= 120 and stats["erp"]["refused"] == 0
    assert house.metric("mangabus_erp_books_joined_total") >= 80


def test_a_batch_says_what_is_missing(house):
    unknown = isbn(99_999_999)
    books = [isbn(n) for n in range(1, 61)]
    answer = house.client.call("erp.stock.batch", {"isbns": [*books, unknown], "warehouse_code": "TK01"})
    assert [line["isbn"] for line in answer["lines"]] == books
    assert answer["missing"] == [unknown] and not answer.get("failed")
    assert house.sim.stats()["operations"]["batch"] == 4  # 61 books, twenty at a time


def test_the_pace_stays_below_the_erps_ceiling(house):
    calls = [house.client.call_begin("erp.catalog.page", {"page_size": 1}, deadline_ms=10000) for _ in range(16)]
    books = [house.client.call_begin("erp.stock.batch", {"isbns": [isbn(250 * w + n) for n in range(1, 6)]},
                                     deadline_ms=10000) for w in range(40)]
    for number in calls + books:
        house.client.call_end(number)
    rest = [house.client.call_begin("erp.product.summary", {"isbn": isbn(n)}, deadline_ms=10000) for n in range(1, 61)]
    for number in rest:
        house.client.call_end(number)
    stats = house.sim.stats()["erp"]
    assert stats["refused"] == 0 and stats["max_in_a_second"] <= 50 and stats["admitted"] > 75


def test_a_customer_goes_before_the_catalogue(make_house):
    house = make_house(acl_env={"MANGABUS_ERP_RATE": "10", "MANGABUS_ERP_BURST": "1"})
    pages = [house.client.call_begin("erp.catalog.page", {"page_size": 1}, deadline_ms=15000) for _ in range(12)]
    house.acl.wait_for(lambda: house.sim.stats()["operations"]["page"] >= 1, "the first page")
    house.stock(deadline_ms=10000)
    behind = house.sim.stats()["operations"]["page"]
    for number in pages:
        house.client.call_end(number, timeout_s=20)
    assert behind < 12  # at ten a second the customer would have been the thirteenth


# ---- the catalogue ----------------------------------------------------------------------------------------
def test_pages_walk_the_catalogue_and_awkward_titles_arrive_whole(house):
    books, cursor = [], {}
    while True:
        page = house.client.call("erp.catalog.page", {"page_size": 500, **cursor})
        books += page["items"]
        assert page["total"] == house.sim.stats()["volumes"] and not page.get("rejected")
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(books) == page["total"]
    by_title = {book["title"]: book for book in books}
    for title in ("ソラニン", "かぐや様は告らせたい～天才たちの恋愛頭脳戦～", "らんま½", "３月のライオン"):
        assert title in by_title
    nausicaa = by_title["風の谷のナウシカ"]
    assert nausicaa["creators"] == ["宮﨑駿"] and nausicaa["publisher"] == "徳間書店"
    assert nausicaa["title_en"] == "Nausicaä of the Valley of the Wind"
    assert by_title["DEATH NOTE"]["creators"] == ["大場つぐみ", "小畑健"]


@pytest.mark.parametrize("last, cursor", [
    ({"ISBN": "9784000000421"}, "9784000000421"),  # its check digit is wrong: the ERP knows it by it all the same
    ({"ISBN": "978-4-00-000042-X"}, "978-4-00-000042-X"),
    ({}, ONE_PIECE_42), ({"ISBN": "不明"}, ONE_PIECE_42)], ids=["digit", "dashes", "none", "text"])
def test_a_page_whose_last_entry_is_broken_has_a_next_page(canned, last, cursor):
    house, erp = canned
    erp.answers["GetCatalogPage"] = (record("CatalogItem", ISBN=ONE_PIECE_42, Title="ONE PIECE") +
                                     record("CatalogItem", **last, Title="?") + "<i:HasMore>1</i:HasMore>")
    page = house.client.call("erp.catalog.page", {})
    assert (len(page["items"]), len(page["rejected"]), page["next_cursor"]) == (1, 1, cursor)
    erp.answers["GetCatalogPage"] = "<i:HasMore>0</i:HasMore>"
    assert house.client.call("erp.catalog.page", {"cursor": page["next_cursor"]})["items"] == []
    assert f"<inv:AfterISBN>{cursor}<" in erp.seen[-1]


def test_a_page_that_does_not_get_on_is_an_error_and_not_the_last(canned):
    house, erp = canned
    erp.answers["GetCatalogPage"] = record("CatalogItem", Title="?") + "<i:HasMore>1</i:HasMore>"
    assert house.fails("erp.catalog.page", {}).status == "DATA_LOSS"
    erp.answers["GetCatalogPage"] = record("CatalogItem", ISBN=ONE_PIECE_42, Title="x") + "<i:HasMore>1</i:HasMore>"
    assert house.fails("erp.catalog.page", {"cursor": ONE_PIECE_42}).status == "DATA_LOSS"


def test_a_book_whose_stock_is_unreadable_is_not_unknown(canned):
    house, erp = canned
    good = record("StockItem", ISBN=ONE_PIECE_42, Quantity="7", WarehouseCode="TK01", StatusCode="01")
    broken = record("StockItem", ISBN=ONE_PIECE_42, Quantity="-7", WarehouseCode="TK01", StatusCode="01")
    erp.answers["GetBatchStockLevels"] = broken
    assert house.fails("erp.stock.get", {"isbn": ONE_PIECE_42}).status == "DATA_LOSS"
    erp.answers["GetBatchStockLevels"] = good
    assert house.stock()["total_quantity"] == 7
    erp.answers["GetBatchStockLevels"] = broken
    line = house.stock()["lines"][0]
    assert line["quantity"] == 7 and line["stale_age_ms"] >= 0
    assert house.client.call("erp.stock.batch", {"isbns": [isbn(7)]})["missing"] == [isbn(7)]


def test_changed_since_asks_only_for_what_changed(house):
    page = house.client.call("erp.catalog.page", {"page_size": 500, "changed_since": "2025-12-01T00:00:00Z"})
    assert page["items"] and all(book["updated_at"] >= "2025-12-01" for book in page["items"])


def test_a_summary_puts_the_parts_together(house):
    order = house.client.call("erp.order.list", {"customer_id": "cust-0001"})["orders"][0]
    book = order["items"][0]["isbn"]
    summary = house.client.call("erp.product.summary", {"isbn": book, "customer_id": "cust-0001"})
    assert summary["book"]["isbn"] == book and summary["lines"] and not summary.get("degraded")
    assert order["order_id"] in [mine["order_id"] for mine in summary["orders"]]
    assert {hop["service"] for hop in summary["hops"]} == {"acl-erp", "erp", "orders"}
    assert house.fails("erp.product.summary", {"isbn": isbn(99_999_999)}).status == "NOT_FOUND"


# ---- when the ERP is silent -----------------------------------------------------------------------------------
def age(line):
    then = datetime.datetime.fromisoformat(line["as_of"].replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds() * 1000


def test_a_kept_answer_stands_in_with_its_age(house):
    fresh = house.stock()
    house.sim.control(down=True)
    stale = house.stock()
    assert [line["quantity"] for line in stale["lines"]] == [line["quantity"] for line in fresh["lines"]]
    for line in stale["lines"]:
        assert line["as_of"] == fresh["lines"][0]["as_of"]
        assert 0 < line["stale_age_ms"] <= age(line) + 1
    assert "kept" in stale["hops"][0]["detail"]
    assert house.metric("mangabus_erp_stale_answers_total") == 1
    assert house.fails("erp.stock.get", {"isbn": ONE_PIECE_42, "max_stale_ms": 0}).status == "UNAVAILABLE"
    assert house.fails("erp.stock.get", {"isbn": isbn(250 + 1)}).status == "UNAVAILABLE"  # never seen


def test_a_batch_mixes_kept_and_failed(house):
    house.stock()
    house.sim.control(down=True)
    answer = house.client.call("erp.stock.batch", {"isbns": [ONE_PIECE_42, isbn(43)]})
    assert {line["isbn"] for line in answer["lines"]} == {ONE_PIECE_42} and answer["failed"] == [isbn(43)]


def test_kept_answers_survive_a_restart(house):
    house.stock()
    order = house.client.call("erp.order.list", {"customer_id": "cust-0001"})["orders"][0]
    house.client.call("erp.order.get", {"order_id": order["order_id"]})
    wait_until(lambda: house.kept_in_database() == 3, "the kept answers in the database")
    house.acl.kill()
    house.start_acl()
    house.sim.control(down=True)
    assert house.stock()["lines"][0]["stale_age_ms"] > 0
    again = house.client.call("erp.order.get", {"order_id": order["order_id"]})
    assert again["order"] == order and again["stale_age_ms"] > 0
    assert house.client.call("erp.order.list", {"customer_id": "cust-0001"})["stale_age_ms"] > 0


def test_a_strange_name_does_not_keep_other_answers_from_the_database(house):
    assert house.client.call("erp.order.list", {"customer_id": "nobody\0"})["orders"] == []
    house.stock()
    wait_until(lambda: house.kept_in_database() == 1, "the stock to be stored")
    assert house.metric("mangabus_erp_kept_write_failures_total") == 0


def test_a_slow_erp_is_answered_for_before_the_deadline(house):
    house.stock()
    house.sim.control(latency_p50_ms=5000, latency_p99_ms=5000)
    answer = house.stock(deadline_ms=400)  # the ERP would take five seconds
    assert answer["lines"][0]["stale_age_ms"] > 0 and answer["hops"][0]["duration_us"] < 400_000
    assert house.fails("erp.stock.get", {"isbn": isbn(43)}, deadline_ms=300).status == "DEADLINE_EXCEEDED"


def test_faults_open_the_breaker_and_the_erp_is_left_alone(make_house):
    house = make_house(acl_env={"MANGABUS_ERP_BREAKER_OPEN": "600ms"})
    house.stock()
    house.sim.control(fault_rate=1)
    open_gauge = 'mangabus_backend_breaker_open{backend="erp"}'
    for attempt in range(100):
        house.stock()
        if house.metric(open_gauge):
            break
    assert house.metric(open_gauge) == 1 and attempt >= 5
    before = house.sim.stats()["erp"]["admitted"]
    for _ in range(20):
        assert house.stock()["lines"][0]["stale_age_ms"] > 0
    error = house.fails("erp.stock.get", {"isbn": ONE_PIECE_42, "max_stale_ms": 0})
    assert error.status == "UNAVAILABLE" and error.retry_after_ms > 0
    assert house.sim.stats()["erp"]["admitted"] - before <= 2  # a probe at most
    house.sim.control(fault_rate=0)
    house.acl.wait_for(lambda: "stale_age_ms" not in house.stock()["lines"][0], "the breaker to close", 20)
    assert house.metric(open_gauge) == 0


def test_unknown_books_do_not_open_the_breaker(house):
    for n in range(40):
        assert house.fails("erp.stock.get", {"isbn": isbn(99_999_000 + n)}).status == "NOT_FOUND"
        assert house.fails("erp.product.summary", {"isbn": isbn(99_999_000 + n)}).status == "NOT_FOUND"
    assert "stale_age_ms" not in house.stock()["lines"][0]


def test_without_its_database_it_still_answers(house):
    house.stock()
    house.database.go_away()
    try:
        assert "stale_age_ms" not in house.stock(isbn(43))["lines"][0]
        house.sim.control(down=True)
        assert house.stock()["lines"][0]["stale_age_ms"] > 0  # from memory
    finally:
        house.database.come_back()


def test_a_caller_that_goes_away_costs_nothing_more(make_house):
    house = make_house(sim_env={"MANGABUS_SIM_LATENCY_P50": "200ms", "MANGABUS_SIM_LATENCY_P99": "200ms"})
    number = house.client.call_begin("erp.stock.get", {"isbn": ONE_PIECE_42})
    house.client.cancel(number)
    assert house.stock(isbn(43))["lines"]


# ---- who it is ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("soap", ["1.1", "1.2"])
def test_it_shows_its_credentials_in_either_version_of_soap(make_house, soap):
    house = make_house(sim_env={"MANGABUS_SIM_ERP_USER": "manga", "MANGABUS_SIM_ERP_PASSWORD": "pass"},
                       acl_env={"MANGABUS_ERP_USER": "manga", "MANGABUS_ERP_PASSWORD": "pass", "MANGABUS_ERP_SOAP": soap})
    assert house.stock()["total_quantity"] > 0
    assert house.stock(isbn(43))["lines"]
    assert "pass" not in house.acl.log().replace('"pass', "")


def test_refused_credentials_are_named_and_do_not_pass_for_an_outage(make_house):
    house = make_house(sim_env={"MANGABUS_SIM_ERP_TOKEN": "right"}, acl_env={"MANGABUS_ERP_TOKEN": "wrong"})
    error = house.fails("erp.stock.get", {"isbn": ONE_PIECE_42})
    assert error.status == "FAILED_PRECONDITION" and "credentials" in error.message
    assert "wrong" not in house.acl.log()


# ---- orders and payments --------------------------------------------------------------------------------------
def test_orders_come_in_the_houses_terms_and_only_to_their_customer(house):
    first = house.client.call("erp.order.list", {"customer_id": "cust-0001", "page_size": 4})
    rest = house.client.call("erp.order.list", {"customer_id": "cust-0001", "cursor": first["next_cursor"]})
    orders = first["orders"] + rest["orders"]
    assert len(orders) == 6 and [o["placed_at"] for o in orders] == sorted((o["placed_at"] for o in orders), reverse=True)
    order = orders[0]
    assert order["currency"] == "JPY" and order["status"] in ("placed", "paid", "packed", "shipped", "delivered",
                                                              "cancelled", "returned")
    assert order["total_amount"] == sum(item["quantity"] * item["unit_amount"] for item in order["items"])
    one = house.client.call("erp.order.get", {"order_id": order["order_id"], "customer_id": "cust-0001"})
    assert one["order"] == order and one["hops"][1]["service"] == "orders"
    for wrong in ({"order_id": order["order_id"], "customer_id": "cust-0002"}, {"order_id": "../../health"},
                  {"order_id": "MB-0001-99"}):
        assert house.fails("erp.order.get", wrong).status == "NOT_FOUND"
    assert house.client.call("erp.order.list", {"customer_id": "nobody & co"})["orders"] == []


def test_a_refund_happens_once_for_a_key(house):
    orders = house.client.call("erp.order.list", {"customer_id": "cust-0001"})["orders"]
    paid = next(order for order in orders if order["status"] in ("paid", "packed", "shipped", "delivered"))
    payment_id = paid["order_id"].replace("MB", "PAY")
    payment = house.client.call("erp.payment.get", {"payment_id": payment_id})["payment"]
    assert (payment["status"], payment["currency"], payment["amount"]) == ("completed", "JPY", paid["total_amount"])
    ask = {"payment_id": payment_id, "amount": 100, "reason": "破損❤", "idempotency_key": "refund-1"}
    first, again = (house.client.call("erp.payment.refund", ask) for _ in range(2))
    assert first["refund_id"] == again["refund_id"] and first["amount"] == 100 and first["status"] == "completed"
    assert again["payment"]["refunded_amount"] == 100 and again["payment"]["status"] == "partially_refunded"
    assert house.fails("erp.payment.refund", {**ask, "amount": 200}).status == "FAILED_PRECONDITION"
    house.sim.control(down=True)
    error = house.fails("erp.payment.refund", {**ask, "idempotency_key": "refund-2"})
    assert error.status == "UNAVAILABLE" and "outcome unknown" in error.message


# ---- the process ------------------------------------------------------------------------------------------------
def test_it_drains_within_its_time(house):
    house.sim.control(latency_p50_ms=300, latency_p99_ms=300)
    number = house.client.call_begin("erp.stock.get", {"isbn": ONE_PIECE_42})
    house.acl.wait_for(lambda: house.sim.stats()["erp"]["admitted"] >= 1, "the call on its way")
    assert house.acl.stop() == 0
    assert house.client.call_end(number)[0][0]["lines"]  # what was in hand was answered


def test_a_wrong_setting_is_refused_at_start(start, database):
    for env in ({"MANGABUS_ERP_SOAP": "2.0"}, {"MANGABUS_ERP_RATE": "0"}, {"MANGABUS_ERP_URL": "ftp://erp"}):
        process = start("acl-erp", env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": "tcp://127.0.0.1:1",
                                        **database.env, **env})
        assert process.wait() == 78, process.log()
