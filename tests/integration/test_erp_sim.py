"""erp-sim as a client of any make sees it: SOAP in CP932, fifty a second, faults; REST of the two other systems."""
import re
import socket
import threading
import time

import pytest
from lib.erp import DIGEST, INVENTORY, ONE_PIECE_42, SOAP_11, SOAP_12, ErpSim, envelope, isbn, username_token
from lib.paths import ROOT, is_sanitized
from lib.wait import http_get


@pytest.fixture
def sim(start):
    return ErpSim(start)


# ---- stock ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [SOAP_11, SOAP_12])
def test_one_piece_42_is_in_stock(sim, version):
    answer = sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42), ("WarehouseCode", ""), version=version)
    assert answer.status == 200 and answer.version == version
    assert answer.raw.startswith(b'<?xml version="1.0" encoding="Shift_JIS"?>')
    tokyo = next(item for item in answer.items if item["WarehouseCode"] == "TK01")
    assert tokyo["ISBN"] == ONE_PIECE_42 and tokyo["Title"] == "ONE PIECE 42" and tokyo["StatusCode"] == "01"
    assert int(tokyo["Quantity"]) > 5 and int(tokyo["PriceJPY"]) > 0


def test_a_warehouse_can_be_chosen(sim):
    answer = sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42), ("WarehouseCode", "TK01"))
    assert [item["WarehouseCode"] for item in answer.items] == ["TK01"]


def test_a_batch_takes_twenty_and_leaves_out_what_is_not_sold(sim):
    books = [isbn(n) for n in range(1, 20)]
    answer = sim.ask("GetBatchStockLevels", *[("ISBN", book) for book in books + [isbn(99_999_999)]])
    assert answer.status == 200
    assert list(dict.fromkeys(item["ISBN"] for item in answer.items)) == books


def test_the_same_seed_answers_the_same_and_another_differs(start):
    question = [("ISBN", isbn(n)) for n in range(1, 21)]
    first, same, other = (ErpSim(start, {"MANGABUS_SIM_SEED": seed}) for seed in (5, 5, 6))
    answers = [s.ask("GetBatchStockLevels", *question).raw for s in (first, same, other)]
    assert answers[0] == answers[1] != answers[2]


def test_stock_can_be_set_from_outside(sim):
    sim.control(stock=[{"isbn": ONE_PIECE_42, "warehouse": "TK01", "quantity": 0}])
    line = sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42), ("WarehouseCode", "TK01")).items[0]
    assert (line["Quantity"], line["StatusCode"]) == ("0", "03") and int(line["RestockETADays"]) > 0


# ---- catalogue ----------------------------------------------------------------------------------------
def test_pages_walk_the_whole_catalogue_in_isbn_order(sim):
    met, after = [], ""
    while True:
        page = sim.ask("GetCatalogPage", ("AfterISBN", after), ("PageSize", 500))
        assert page.status == 200, page.text
        met += [item["ISBN"] for item in page.items]
        after = met[-1]
        if page.values["HasMore"] == "0":
            break
        assert len(page.items) == 500
    assert met == sorted(set(met)) and len(met) == int(page.values["TotalCount"]) == sim.stats()["volumes"]


def test_awkward_titles_arrive_as_cp932_or_as_references(sim):
    raw, titles, after = b"", set(), ""
    while True:
        page = sim.ask("GetCatalogPage", ("AfterISBN", after), ("PageSize", 500))
        raw += page.raw
        titles |= {item["Title"] for item in page.items} | {item["TitleEN"] for item in page.items}
        if page.values["HasMore"] == "0":
            break
        after = page.items[-1]["ISBN"]
    for title in ("ソラニン", "かぐや様は告らせたい～天才たちの恋愛頭脳戦～", "らんま½", "Nausicaä of the Valley of the Wind"):
        assert title in titles
    assert b"\x83\x5c\x83\x89\x83\x6a\x83\x93" in raw  # ソラニン, with its 0x5C
    assert b"&#xBD;" in raw and b"&#xE4;" in raw  # ½ and ä, which CP932 does not have
    assert b"\x87\x8a" in raw  # ㈱, which strict Shift_JIS does not have
    assert "宮﨑駿".encode("cp932") in raw or b"\xfa\xb1" in raw


def test_changed_since_gives_only_what_changed(sim):
    pages = sim.ask("GetCatalogPage", ("PageSize", 500), ("ChangedSince", "2025/12/01 00:00:00"))
    assert pages.items and all(item["UpdatedAt"] >= "2025/12/01" for item in pages.items)
    assert sim.ask("GetCatalogPage", ("ChangedSince", "2026/02/01 00:00:00")).items == []


def test_a_product_is_one_catalogue_item(sim):
    item, = sim.ask("GetProduct", ("ISBN", ONE_PIECE_42)).items
    assert (item["Title"], item["TitleEN"], item["Authors"], item["VolumeNo"]) == ("ONE PIECE", "One Piece", "尾田栄一郎",
                                                                                  "42")


# ---- faults ---------------------------------------------------------------------------------------------
WRONG = {
    "not sold": (envelope("GetStockLevel", ("ISBN", isbn(99_999_999))), "E101"),
    "21 books": (envelope("GetBatchStockLevels", *[("ISBN", isbn(n)) for n in range(1, 22)]), "E102"),
    "no book": (envelope("GetBatchStockLevels"), "E102"),
    "check digit": (envelope("GetStockLevel", ("ISBN", "9784000000421")), "E103"),
    "no isbn": (envelope("GetStockLevel"), "E104"),
    "warehouse": (envelope("GetStockLevel", ("ISBN", ONE_PIECE_42), ("WarehouseCode", "XX99")), "E105"),
    "time": (envelope("GetCatalogPage", ("ChangedSince", "yesterday")), "E106"),
    "page too large": (envelope("GetCatalogPage", ("PageSize", 501)), "E107"),
    "page below nothing": (envelope("GetCatalogPage", ("PageSize", -1)), "E107"),
    "operation": (envelope("DropTables"), "E003"),
    "namespace": (envelope("GetProduct", ("ISBN", ONE_PIECE_42)).replace(INVENTORY.encode(), b"urn:other"), "E003"),
    "empty": (b"", "E001"),
    "unfinished": (b"<unfinished", "E001"),
    "no envelope": (b"<html/>", "E001"),
    "entities": (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "E001"),
    "no CP932": (b"<x>\x85\x40\xff</x>", "E002"),
    "too long": (b" " * (257 * 1024), "E001"),
}


@pytest.mark.parametrize("body, code", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_a_fault_of_the_sender(sim, body, code):
    answer = sim.post(body)
    assert (answer.status, answer.fault, answer.side) == (500, code, "Client")


def test_a_fault_comes_in_the_version_of_the_request(sim):
    answer = sim.ask("DropTables", version=SOAP_12)
    assert (answer.version, answer.side) == (SOAP_12, "Sender")
    assert sim.ask("GetStockLevel", version="urn:soap-of-tomorrow").side == "VersionMismatch"


def test_injected_faults_are_the_servers_own(sim):
    sim.control(fault_rate=1)
    answer = sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42))
    assert (answer.status, answer.fault, answer.side) == (500, "E900", "Server")
    assert sim.stats()["injected"] == 1


def test_down_answers_no_soap_at_all(sim):
    sim.control(down=True)
    status, body = sim.http("POST", "/soap/inventory", envelope("GetStockLevel", ("ISBN", ONE_PIECE_42)))
    assert status == 502 and b"Bad Gateway" in body
    assert http_get(f"{sim.url}/readyz")[0] == 200
    sim.control(down=False)
    assert sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42)).status == 200


# ---- who may ask ------------------------------------------------------------------------------------------
def test_a_user_must_show_a_fresh_digest(start):
    sim = ErpSim(start, {"MANGABUS_SIM_ERP_USER": "manga", "MANGABUS_SIM_ERP_PASSWORD": "pass"})

    def ask(header):
        return sim.ask("GetStockLevel", ("ISBN", ONE_PIECE_42), header=header).fault

    good = username_token("manga", "pass")
    assert ask(good) is None
    assert ask(good) == "E010"  # the same nonce again
    assert ask("") == "E010"
    assert ask(username_token("manga", "wrong")) == "E010"
    assert ask(username_token("other", "pass")) == "E010"
    assert ask(username_token("manga", "pass", created="2020-01-01T00:00:00Z")) == "E010"
    assert ask(username_token("manga", "pass").replace(DIGEST, "urn:text")) == "E010"  # a digest is no password


def test_the_services_own_token_is_taken_too(start):
    sim = ErpSim(start, {"MANGABUS_SIM_ERP_TOKEN": "secret"})
    assert sim.ask("GetProduct", ("ISBN", ONE_PIECE_42), header="<inv:AuthToken>secret</inv:AuthToken>").fault is None
    assert sim.ask("GetProduct", ("ISBN", ONE_PIECE_42), header="<inv:AuthToken>other</inv:AuthToken>").fault == "E010"


# ---- rate and time ------------------------------------------------------------------------------------------
def test_the_fifty_first_in_a_second_is_refused(sim):
    statuses = sim.hurry(envelope("GetProduct", ("ISBN", ONE_PIECE_42)), 2000)
    assert statuses[:50] == [200] * 50 and statuses[-1] == 503
    refused = sim.stats()["erp"]
    assert refused["max_in_a_second"] == 50 and refused["refused"] == 1
    sim.control(rate=1)
    answer = sim.ask("GetProduct", ("ISBN", ONE_PIECE_42))
    assert (answer.status, answer.fault, answer.side) == (503, "E503", "Server")


def test_many_clients_for_two_seconds_get_no_more_than_fifty_in_any_second(sim):
    admitted, stop = [], time.monotonic() + 2.2

    def hammer():
        while time.monotonic() < stop:
            if sim.ask("GetProduct", ("ISBN", ONE_PIECE_42)).status == 200:
                admitted.append(time.monotonic())

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 50 < len(admitted) <= 150
    assert sim.stats()["erp"]["max_in_a_second"] == 50


def test_answers_take_their_time_without_holding_up_others(start):
    sim = ErpSim(start, {"MANGABUS_SIM_LATENCY_P50": "300ms", "MANGABUS_SIM_LATENCY_P99": "300ms"})
    body = envelope("GetProduct", ("ISBN", ONE_PIECE_42))
    begun = time.monotonic()
    threads = [threading.Thread(target=sim.post, args=(body,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.3 <= time.monotonic() - begun < 3  # one after the other would be six seconds


def test_stopping_answers_what_still_waits(start):
    sim = ErpSim(start, {"MANGABUS_SIM_LATENCY_P50": "30s", "MANGABUS_SIM_LATENCY_P99": "30s"})
    with socket.create_connection(("127.0.0.1", sim.port)) as client:
        client.sendall(b"GET /api/v2/orders/MB-0001-01 HTTP/1.1\r\nHost: x\r\n\r\n")
        sim.process.wait_for(lambda: sim.stats()["orders"]["admitted"] == 1, "the request")
        assert sim.process.stop() == 0


# ---- the order system ----------------------------------------------------------------------------------------
def test_orders_come_in_pages_newest_first(sim):
    status, first = sim.get("/api/v2/orders", customer="cust-0001", limit=4)
    _, rest = sim.get("/api/v2/orders", customer="cust-0001", limit=4, pageToken=first["nextPageToken"])
    assert status == 200 and len(first["orders"]) == 4 and len(rest["orders"]) == 2 and "nextPageToken" not in rest
    times = [order["orderedAt"] for order in first["orders"] + rest["orders"]]
    assert times == sorted(times, reverse=True)
    order = first["orders"][0]
    assert sim.get(f"/api/v2/orders/{order['orderNo']}")[1] == order
    assert int(order["total"]) == sum(line["qty"] * int(line["unitPrice"]) for line in order["lines"])


def test_strangers_have_no_orders_and_wrong_questions_are_refused(sim):
    assert sim.get("/api/v2/orders", customer="nobody")[1] == {"orders": []}
    assert sim.get("/api/v2/orders")[0] == 400
    assert sim.get("/api/v2/orders", customer="cust-0001", limit=101)[0] == 400
    for number in ("MB-0001-07", "MB-0001-1", "MB-0000-01", "x", "MB-0001-01x"):
        assert sim.get(f"/api/v2/orders/{number}")[0] == 404


# ---- the payment gateway ---------------------------------------------------------------------------------------
def paid_order(sim):
    for order in sim.get("/api/v2/orders", customer="cust-0001")[1]["orders"]:
        payment = sim.get("/v1/payments/" + order["orderNo"].replace("MB", "PAY"))[1]
        if payment["state"] == "captured":
            return payment
    raise AssertionError("the first customer has no paid order")


def refund(sim, payment, key, body):
    status, answer = sim.http("POST", f"/v1/payments/{payment['id']}/refunds", body,
                              {"Idempotency-Key": key} if key else {})
    return status, answer.decode()


def test_a_refund_happens_once_for_each_key(sim):
    payment = paid_order(sim)
    first = refund(sim, payment, "key-1", '{"amount": 100}')
    assert first[0] == 200 and refund(sim, payment, "key-1", '{"amount": 100}') == first
    assert refund(sim, payment, "key-1", '{"amount": 200}')[0] == 422
    assert sim.get(f"/v1/payments/{payment['id']}")[1]["refunded"] == "100"
    assert refund(sim, payment, "key-2", "")[0] == 200
    after = sim.get(f"/v1/payments/{payment['id']}")[1]
    assert after["state"] == "refunded" and after["refunded"] == payment["amount"]
    assert refund(sim, payment, "key-3", '{"amount": 1}')[0] == 422


def test_wrong_refunds_are_refused(sim):
    payment = paid_order(sim)
    assert refund(sim, payment, "", '{"amount": 1}')[0] == 400
    for body in ('{"amount": -1}', '{"amount": "1"}', '{"amount": 1.5}', "no json"):
        assert refund(sim, payment, "k" + body[:12].replace(" ", ""), body)[0] == 400
    assert refund(sim, payment, "k", '{"amount": 99999999}')[0] == 422
    assert sim.get("/v1/payments/PAY-0001-99")[0] == 404
    for body in ("[1]", "7", '"all"', "null"):
        assert refund(sim, payment, f"key-of-{body}", body)[0] == 400, body


# ---- the process -------------------------------------------------------------------------------------------------


def test_control_refuses_what_makes_no_sense(sim):
    for body in ("", "[]", '{"fault_rate": 2}', '{"rate": 0}', '{"down": 1}', '{"latency_p99_ms": -1}', '{"stock": 1}',
                 '{"stock": [{"isbn": "9784000000421", "warehouse": "TK01", "quantity": 1}]}'):
        assert sim.http("POST", "/sim/control", body)[0] == 400, body
    assert b"rate_per_s" in sim.http("POST", "/sim/control", '{"down": false, "rate_per_s": 5}')[1]
    assert sim.http("GET", "/sim/control")[0] == 405
    assert sim.http("GET", "/nowhere")[0] == 404


def test_metrics_and_health_are_served(sim):
    sim.ask("GetProduct", ("ISBN", ONE_PIECE_42))
    status, text = http_get(f"{sim.url}/metrics")
    assert status == 200 and 'mangabus_sim_requests_total{backend="erp",outcome="admitted"} 1' in text
    assert http_get(f"{sim.url}/health")[0] == http_get(f"{sim.url}/healthz")[0] == 200


def test_a_file_of_works_is_sold_too(start, tmp_path):
    works = tmp_path / "works.tsv"
    works.write_text("madb_id\ttitle\ttitle_kana\tcreators\tcreators_kana\tfirst_published\n"
                     "C1\t恋する❤①\tコイスル\t髙橋ヒロシ\tタカハシヒロシ\t2008-11-20\n", encoding="utf-8")
    sim = ErpSim(start, {"MANGABUS_SIM_CATALOGUE": works})
    item, = sim.ask("GetProduct", ("ISBN", isbn(1000 * 250 + 1))).items
    assert (item["Title"], item["Authors"], item["ReleaseDate"]) == ("恋する❤①", "髙橋ヒロシ", "20081120")


REAL_WORKS = ROOT.parent / "shared/data/madb-works.tsv"


@pytest.mark.skipif(not REAL_WORKS.exists(), reason=f"{REAL_WORKS} is not here")
def test_thirty_thousand_works_are_served_from_little_memory(start):
    sim = ErpSim(start, {"MANGABUS_SIM_CATALOGUE": REAL_WORKS, "MANGABUS_SIM_RATE": "10000"})
    stats = sim.stats()
    assert stats["works"] > 30_000 and stats["volumes"] > 100_000
    met, titles, after = 0, set(), ""
    while True:
        page = sim.ask("GetCatalogPage", ("AfterISBN", after), ("PageSize", 500))
        met += len(page.items)
        titles |= {item["Title"] for item in page.items}
        if page.values["HasMore"] == "0":
            break
        assert page.items[0]["ISBN"] > after
        after = page.items[-1]["ISBN"]
    assert met == stats["volumes"]
    rows = [line.split("\t") for line in REAL_WORKS.read_text(encoding="utf-8").splitlines()[1:]]
    assert {row[1] for row in rows if "❤" in row[1] or "①" in row[1] or "ソ" in row[1]} <= titles
    memory_kib = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{sim.process.pid}/status", encoding="ascii").read())[1])
    assert is_sanitized() or memory_kib < 64 * 1024


@pytest.mark.parametrize("env", [{"MANGABUS_SIM_CATALOGUE": "/nonexistent.tsv"}, {"MANGABUS_SIM_RATE": "0"},
                                 {"MANGABUS_HTTP": "nowhere"}, {"MANGABUS_SIM_FAULT_RATE": "1.5"},
                                 {"MANGABUS_LOG_LEVEL": "loud"}])
def test_a_wrong_setting_is_refused_at_start(start, env):
    assert start("erp-sim", env={"MANGABUS_HTTP": "127.0.0.1:0", **env}).wait() == 78
