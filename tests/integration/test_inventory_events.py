"""inventory-events from outside: what the ERP's change records and inventory.adjust become on the bus, once and in
order, whoever dies meanwhile. Broker and PostgreSQL are the real ones."""
import datetime
import random
import threading

import pytest
from lib.house import ISBN, Service, Tap, assert_valid, depth, isbn, topology, wait_empty
from lib.mangabus_client import BusError, pack, unpack
from lib.wait import wait_until

BUS, QUEUE, DLQ = "manga-assist-inventory", "manga-inventory-cdc", "manga-inventory-dlq"
GRACE = {"MANGABUS_GRACE": "5s"}  # what a killed process held comes back after this
BASE = datetime.datetime(2025, 3, 1, 9, 0, 0)


def moment(second, micro=0):
    return (BASE + datetime.timedelta(seconds=second, microseconds=micro)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def version(second, place=0):
    """As docs/services/inventory-events.md makes it: microseconds of the commit, and the place in the transaction."""
    then = (BASE + datetime.timedelta(seconds=second)).replace(tzinfo=datetime.timezone.utc)
    return int(then.timestamp()) * 10**9 + place


def change(quantity, second=0, book=ISBN, warehouse="TK01", operation="update", place=0, title=None, **metadata):
    """A DMS data record."""
    row = {"ISBN": book, "QTY": quantity, "WAREHOUSE_CD": warehouse}
    if title is not None:
        row["TITLE"] = title
    if quantity is None:
        del row["QTY"]
    return {"data": row, "metadata": {
        "timestamp": moment(second + 1), "record-type": "data", "operation": operation, "schema-name": "ERP",
        "table-name": "STOCK", "partition-key-type": "primary-key", "commit-timestamp": moment(second),
        "transaction-id": 1000 + second, "transaction-record-id": place, **metadata}}


class House:
    def __init__(self, start, broker, database):
        self.broker, self.database = broker, database
        self.client = broker.client()
        self.events = Tap(self.client, BUS)
        self.service = Service(start, "inventory-events", {"MANGABUS_ENDPOINT": broker.endpoint, **database.env})

    def send(self, *records, **entry):
        for at in range(0, len(records), 100):
            entries = [{"body": pack(record), **entry} for record in records[at:at + 100]]
            assert all(r["status"] == 0 for r in self.client.send_many(QUEUE, entries))

    def outcomes(self):
        return {name: self.service.metric(f'mangabus_inventory_changes_total{{outcome="{name}"}}')
                for name in ("applied", "unchanged", "older", "repeated", "ignored")}

    def wait_outcome(self, name, count):
        self.service.process.wait_for(lambda: self.outcomes()[name] >= count, f"{count} {name}")

    def settled(self, outcome):
        return self.service.metric(f'mangabus_deliveries_total{{queue="{QUEUE}",outcome="{outcome}"}}')

    def adjust(self, key, book=ISBN, warehouse="TK01", **fields):
        return self.client.call("inventory.adjust", {"isbn": book, "warehouse_code": warehouse, "idempotency_key": key,
                                                     **fields}, idempotent=True)

    def refused(self, key, **fields):
        with pytest.raises(BusError) as caught:
            self.adjust(key, **fields)
        return caught.value

    def stock(self):
        return {(row[0], row[1]): int(row[2])
                for row in self.database.sql("SELECT isbn, warehouse_code, quantity FROM inventory_events.stock")}

    def outbox(self):
        return int(self.database.value("SELECT count(*) FROM inventory_events.outbox"))


@pytest.fixture
def quiet(start, make_broker, database):
    """A house whose service is not started yet."""
    return House(start, make_broker(topology=topology(), env=GRACE).start(), database)


@pytest.fixture
def house(quiet):
    quiet.service.start()
    return quiet


# ---- change records -----------------------------------------------------------------------------------
def test_changes_become_events_by_what_they_mean(house):
    house.send(change(12, 0, operation="insert", title="ワンピース", place=3))
    first = house.events.take(1)[0]
    house.send(change(0, 10))
    house.send(change(5, 20, warehouse="OS01"))
    wait_until(lambda: len(house.stock()) == 2, "the second warehouse")
    house.send(change(4, 30))
    kinds = sorted((e["detail-type"], e["detail"]["warehouse_code"]) for e in [first] + house.events.take(3))
    assert kinds == [("inventory.depleted", "TK01"), ("inventory.restocked", "TK01"), ("inventory.updated", "OS01"),
                     ("inventory.updated", "TK01")]
    detail = first["detail"]
    assert_valid(detail, "event.manga-assist.inventory.inventory.updated")
    assert (first["source"], first["detail-type"], detail["event_type"]) == (
        "manga-assist.inventory", "inventory.updated", "inventory.updated")
    assert {k: detail[k] for k in ("isbn", "warehouse_code", "title", "new_quantity", "total_quantity", "stock_status",
                                   "version", "change_source", "timestamp_utc")} == {
        "isbn": ISBN, "warehouse_code": "TK01", "title": "ワンピース", "new_quantity": 12, "total_quantity": 12,
        "stock_status": "in_stock", "version": version(0, 3), "change_source": "erp_cdc", "timestamp_utc": moment(0)}
    assert "previous_quantity" not in detail and detail["correlation_id"]
    assert detail["metadata"] == {"cdc_operation": "insert", "cdc_timestamp": moment(1), "table_name": "STOCK"}


def test_a_later_event_knows_what_was_before_and_the_sum(house):
    house.send(change(12, 0, title="ワンピース"))
    house.events.take(1)
    house.send(change(3, 1, warehouse="OS01"))
    house.events.take(1)
    house.send(change(0, 2))
    detail = house.events.details(1)[0]
    assert_valid(detail, "event.manga-assist.inventory.inventory.depleted")
    assert (detail["previous_quantity"], detail["new_quantity"], detail["total_quantity"]) == (12, 0, 3)
    assert (detail["stock_status"], detail["title"]) == ("out_of_stock", "ワンピース")
    house.send(change(5, 3))
    detail = house.events.details(1)[0]
    assert (detail["event_type"], detail["stock_status"]) == ("inventory.restocked", "low_stock")


def test_a_delete_empties_the_row_that_its_key_names(house):
    house.send(change(7, 0))
    house.events.take(1)
    gone = change(None, 1, operation="delete")
    gone["before-image"] = gone.pop("data")
    gone["data"] = {}
    house.send(gone)
    assert house.events.details(1)[0]["event_type"] == "inventory.depleted"


def test_the_trace_of_the_record_is_the_correlation_of_the_event(house):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    house.send(change(1), attrs={"traceparent": parent})
    assert house.events.details(1)[0]["correlation_id"].split("-")[1] == parent.split("-")[1]


def test_duplicates_and_late_records_are_without_effect(house):
    newest = change(9, 100)
    house.send(newest)
    house.events.take(1)
    house.send(newest, change(3, 50), change(4, 99, place=999), change(2, 100))
    house.wait_outcome("older", 4)
    house.send(change(9, 200))
    house.wait_outcome("unchanged", 1)
    house.events.nothing()
    assert house.stock() == {(ISBN, "TK01"): 9}
    house.send(change(8, 150))  # between: the unchanged record was the newer one
    house.wait_outcome("older", 5)
    assert house.stock() == {(ISBN, "TK01"): 9}


def test_a_load_record_fills_but_never_overwrites(house):
    other = isbn(77)
    house.send(change(5, 10), change(6, 0, book=other, operation="load"))
    assert {d["isbn"]: d["new_quantity"] for d in house.events.details(2)} == {ISBN: 5, other: 6}
    house.send(change(50, 500, operation="load"), change(60, 500, book=other, operation="load"))
    house.wait_outcome("older", 2)
    house.events.nothing()
    assert house.stock() == {(ISBN, "TK01"): 5, (other, "TK01"): 6}


def test_control_records_other_tables_and_unknown_quantities_are_no_events(quiet):
    house = quiet
    house.service.start(MANGABUS_INVENTORY_TABLE="STOCK")
    control = {"metadata": {"timestamp": moment(0), "record-type": "control", "operation": "create-table",
                            "schema-name": "ERP", "table-name": "STOCK"}}
    house.send(control, change(None, 1), change(None, 2) | {"data": {"ISBN": ISBN, "QTY": None}},
               change(4, 3, **{"table-name": "PRICES"}))
    house.wait_outcome("ignored", 4)
    house.events.nothing()
    wait_empty(house.client, QUEUE)
    assert depth(house.client, DLQ) == 0 and house.stock() == {}


@pytest.mark.parametrize("record, path", [
    (change(1, book="9784088827514"), "data.ISBN"),
    (change(-1), "data.QTY"),
    (change(1.5), "data.QTY"),
    (change("many"), "data.QTY"),
    (change(100_000_000), "data.QTY"),
    (change(1, warehouse="W" * 17), "data.WAREHOUSE_CD"),
    (change(1, operation="truncate"), "metadata.operation"),
    (change(1, timestamp="yesterday", **{"commit-timestamp": "yesterday"}), "metadata"),
    ({"data": {"ISBN": ISBN}}, "metadata"),
    ("no map", "map"),
])
def test_a_record_that_cannot_be_understood_is_dead_lettered_with_its_path(house, record, path):
    dead = house.client.consume(DLQ)
    house.send(record)
    letter = house.client.deliveries(dead, 1)[0]
    assert letter["attrs"]["DeadLetterReason"] == "rejected" and path in letter["attrs"]["DeadLetterDetail"]
    assert unpack(letter["body"]) == record
    house.send(change(1))
    assert house.events.details(1)[0]["new_quantity"] == 1


def test_a_replayed_record_tells_again_without_overwriting(house):
    house.send(change(9, 0), change(3, 10))
    wait_until(lambda: house.stock() == {(ISBN, "TK01"): 3}, "the newest stock")
    wait_empty(house.client, QUEUE)
    wait_until(lambda: house.outbox() == 0, "the events to be told")
    told = house.service.metric('mangabus_outbox_events_total{outcome="published"}')
    house.events.take(int(told))
    house.send(change(9, 0), attrs={"replay-name": "again"})
    detail = house.events.details(1)[0]
    assert (detail["new_quantity"], detail["version"]) == (9, version(0))
    assert house.stock() == {(ISBN, "TK01"): 3}


# ---- inventory.adjust ---------------------------------------------------------------------------------
def test_an_adjustment_changes_the_stock_and_is_told(house):
    answer = house.adjust("a-1", quantity=10)
    assert_valid(answer, "call.inventory.adjust.response")
    assert "previous_quantity" not in answer and answer["applied"] and answer["new_quantity"] == 10
    assert [hop["service"] for hop in answer["hops"]] == ["inventory-events"]
    detail = house.events.details(1)[0]
    assert_valid(detail, "event.manga-assist.inventory.inventory.updated")
    assert (detail["change_source"], detail["version"], detail["correlation_id"]) == (
        "manual_adjustment", answer["version"], "a-1")
    answer = house.adjust("a-2", delta=-10, change_source="order_fulfillment", reason="sold")
    assert (answer["previous_quantity"], answer["new_quantity"]) == (10, 0)
    detail = house.events.details(1)[0]
    assert (detail["event_type"], detail["change_source"]) == ("inventory.depleted", "order_fulfillment")


def test_the_same_key_is_applied_once_and_answered_alike(house):
    first = house.adjust("k", delta=5)
    house.events.take(1)
    house.adjust("other", delta=1)
    house.events.take(1)
    again = house.adjust("k", delta=5)
    assert again.pop("applied") is False and first.pop("applied") is True
    first.pop("hops"), again.pop("hops")
    assert again == first
    house.events.nothing()
    assert house.stock() == {(ISBN, "TK01"): 6}


@pytest.mark.parametrize("fields", [{"delta": 6}, {"quantity": 5}, {"delta": 5, "warehouse": "OS01"},
                                    {"delta": 5, "book": isbn(3)}])
def test_a_key_means_one_adjustment(house, fields):
    house.adjust("k", delta=5)
    error = house.refused("k", **fields)
    assert error.status == "ALREADY_EXISTS" and "idempotency_key" in error.message
    assert house.stock()[ISBN, "TK01"] == 5


def test_stock_stays_within_its_bounds_and_the_events_go_on(house):
    house.adjust("k-1", quantity=3)
    for key, fields in (("k-2", {"delta": -4}), ("k-3", {"delta": 99_999_997})):
        error = house.refused(key, **fields)
        assert error.status == "FAILED_PRECONDITION" and "below zero or rise above 99999999" in error.message
    assert house.adjust("k-2", delta=-3)["applied"]  # a refused key was not used up
    house.adjust("k-4", quantity=99_999_999)
    house.adjust("k-5", quantity=99_999_999, warehouse="OS01")
    details = house.events.details(4)
    assert [d["new_quantity"] for d in details] == [3, 0, 99_999_999, 99_999_999]
    assert "total_quantity" not in details[3]  # more than the contract can say
    assert_valid(details[3], "event.manga-assist.inventory.inventory.updated")


@pytest.mark.parametrize("request_, path", [
    ({}, "isbn"), ({"isbn": "123", "warehouse_code": "TK01", "idempotency_key": "k", "delta": 1}, "isbn"),
    ({"isbn": ISBN, "warehouse_code": "TK01", "idempotency_key": "k"}, "delta or quantity"),
    ({"isbn": ISBN, "warehouse_code": "TK01", "idempotency_key": "k", "delta": 1, "quantity": 1}, "delta or quantity"),
    ({"isbn": ISBN, "warehouse_code": "TK01", "delta": 1}, "idempotency_key"),
    ({"isbn": ISBN, "warehouse_code": "TK01", "idempotency_key": "k", "quantity": -1}, "quantity"),
    ({"isbn": ISBN, "warehouse_code": "", "idempotency_key": "k", "quantity": 1}, "warehouse_code"),
])
def test_a_wrong_adjustment_is_refused_by_its_field(house, request_, path):
    with pytest.raises(BusError) as caught:
        house.client.call("inventory.adjust", request_)
    assert caught.value.status == "INVALID_ARGUMENT" and path in caught.value.message


def test_an_adjustment_and_a_change_record_keep_one_line_of_versions(house):
    house.adjust("now", quantity=8)
    house.send(change(1, 0))  # committed long before the adjustment
    house.wait_outcome("older", 1)
    assert house.stock() == {(ISBN, "TK01"): 8}


# ---- deaths -------------------------------------------------------------------------------------------
def shuffled(books, changes, seed):
    """`changes` for each of `books` in two warehouses, out of order, and what is to be left."""
    rng = random.Random(seed)
    records, last = [], {}
    for book in books:
        for warehouse in ("TK01", "OS01"):
            for second in range(1, changes + 1):
                quantity = rng.randrange(0, 9)
                records.append(change(quantity, second, book, warehouse))
                last[book, warehouse] = quantity
    rng.shuffle(records)
    return records, last


def told_once_and_in_order(details, last):
    """No version twice, none after a newer one, and the last word is the stock's."""
    versions, quantities = {}, {}
    for detail in details:
        key = detail["isbn"], detail["warehouse_code"]
        assert detail["version"] > versions.get(key, 0), f"{key} told out of order or twice"
        if key in quantities:
            assert detail["previous_quantity"] == quantities[key], f"{key}: a change was not told"
        versions[key], quantities[key] = detail["version"], detail["new_quantity"]
    assert {key: quantities[key] for key in last} == last


def everything(house, records, last):
    """Waits until all was taken and told; returns the events' details."""
    wait_until(lambda: depth(house.client, QUEUE) == 0 and house.stock() == last and house.outbox() == 0,
               "every change to be taken and told", 60)
    probe = isbn(99_999)
    house.adjust(f"end-{len(records)}", book=probe, quantity=1)
    details = []
    while not details or details[-1]["isbn"] != probe:
        details += house.events.details(1)
    return details[:-1]


def test_a_few_hundred_shuffled_changes_end_right_and_are_told_in_order(house):
    records, last = shuffled([isbn(n) for n in range(10)], 20, seed=1)
    house.send(*records)
    told_once_and_in_order(everything(house, records, last), last)


def test_two_instances_share_the_work_and_keep_the_order(house, start):
    second = Service(start, "inventory-events", house.service.env).start()
    records, last = shuffled([isbn(n) for n in range(5)], 40, seed=2)
    house.send(*records)
    told_once_and_in_order(everything(house, records, last), last)
    assert second.process.running()


def test_a_service_killed_while_it_tells_tells_each_change_once(house):
    records, last = shuffled([isbn(n) for n in range(10)], 20, seed=3)
    details = []
    for part in range(4):
        house.send(*records[part * 100:part * 100 + 100])
        house.service.process.wait_for(lambda: sum(house.outcomes().values()) >= 10, "some changes")
        house.service.restart()
    details += everything(house, records, last)
    told_once_and_in_order(details, last)


def test_an_event_published_but_not_crossed_out_is_not_taken_twice(house):
    """What a death between publishing and deleting leaves: the row is there again."""
    house.send(change(4, 1, title="怪獣8号"))
    house.events.take(1)
    wait_until(lambda: house.outbox() == 0, "the row to be crossed out")
    house.service.kill()
    house.database.sql(
        "INSERT INTO inventory_events.outbox (isbn, warehouse_code, title, quantity, total, version, source, at_us, "
        f"correlation_id, operation, table_name, written_at, replay_name) VALUES ('{ISBN}', 'TK01', '怪獣8号', 4, 4, "
        f"{version(1)}, 'erp_cdc', {version(1) // 1000}, 'c', 'update', 'STOCK', '{moment(2)}', '')")
    house.service.start()
    wait_until(lambda: house.outbox() == 0, "the row to be crossed out again")
    house.events.nothing()


def test_a_row_that_cannot_be_told_holds_up_no_other_and_none_is_told_again_for_it(house):
    row = ("INSERT INTO inventory_events.outbox (isbn, warehouse_code, quantity, total, version, source, at_us, "
           "correlation_id, operation, table_name, written_at, replay_name) "
           "VALUES ('{}', 'TK01', 1, 1, {}, 'erp_cdc', 1, 'c', '', '', '', '')")
    house.database.sql("BEGIN; " + "; ".join([row.format(isbn(1), 1), row.format("no ISBN", 2), row.format(isbn(3), 3)]) +
                       "; COMMIT")
    assert {d["isbn"] for d in house.events.details(2)} == {isbn(1), isbn(3)}
    house.service.wait_metric('mangabus_outbox_events_total{outcome="failed"}', 3)  # it is tried again and again
    assert house.outbox() == 1
    assert house.service.metric('mangabus_outbox_events_total{outcome="published"}') == 2


def test_a_broker_killed_under_load_costs_no_change_and_doubles_none(house):
    records, last = shuffled([isbn(n) for n in range(10)], 20, seed=4)
    house.send(*records)
    house.service.process.wait_for(lambda: sum(house.outcomes().values()) >= 40, "some changes")
    head = house.client.welcome["head"]
    house.broker.restart()
    house.client.reconnect()
    house.events = Tap(house.client, BUS, **{"from": head + 1})
    told_once_and_in_order(everything(house, records, last), last)


def test_it_ends_cleanly_while_a_turn_waits_for_a_dead_broker(house):
    records, _ = shuffled([isbn(n) for n in range(10)], 20, seed=5)
    house.send(*records)
    house.service.process.wait_for(lambda: sum(house.outcomes().values()) >= 40, "some changes")
    house.broker.kill()
    assert house.service.process.stop() == 0


def test_a_database_that_goes_away_delays_and_costs_no_receive(house):
    house.send(change(1, 1))
    house.events.take(1)
    house.database.go_away()
    house.send(*(change(2, 2 + n, book=isbn(n)) for n in range(100)))
    wait_until(lambda: house.client.queue_info(QUEUE)["in_flight"] >= 32, "records in hand")
    house.database.come_back()
    assert {d["isbn"] for d in house.events.details(100, timeout_s=60)} == {isbn(n) for n in range(100)}
    assert house.settled("released") == 0 and house.settled("acked") >= 10


def test_a_statement_whose_outcome_is_unknown_is_tried_again_and_takes_effect_once(house):
    lock = threading.Thread(target=house.database.sql, args=(
        "BEGIN; LOCK TABLE inventory_events.stock; SELECT pg_sleep(2); COMMIT",))
    lock.start()
    waiting = ("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
               "AND query LIKE '%apply_change%'")
    wait_until(lambda: house.database.sql("SELECT 1 FROM pg_locks WHERE relation = 'inventory_events.stock'::regclass "
                                          "AND mode = 'AccessExclusiveLock' AND granted"), "the lock")
    house.send(*(change(2, n, book=isbn(n)) for n in range(10)))
    wait_until(lambda: house.database.sql(waiting), "statements under way")
    house.database.sql(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS w")
    house.service.process.wait_for_line("could not be stored and is tried again")
    assert {d["isbn"] for d in house.events.details(10, timeout_s=30)} == {isbn(n) for n in range(10)}
    lock.join()
    house.events.nothing()
    assert house.settled("released") == 0 and house.settled("acked") >= 10
