"""The outbox tells what transactions decided, in order, at least once, and the bus takes each row once."""
import re

import pytest
from lib.mangabus_client import unpack
from lib.paths import build_dir
from lib.wait import http_get, wait_until

MANY = 250  # more than two turns of a hundred


class House:
    def __init__(self, start, broker, database):
        self.start, self.broker, self.database = start, broker, database
        self.listener = broker.client()
        self.sub = self.listener.listen("demo", messages=4000, size=8 << 20)
        self.probes = []

    def probe(self):
        env = {"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": self.broker.endpoint, **self.database.env}
        process = self.start(build_dir() / "tests/helpers/outbox_probe", env=env)
        port = process.wait_for_line(r'"message":"listening".*?"port":(\d+)')[1]
        process.url = f"http://127.0.0.1:{port}"
        process.wait_ready(process.url)
        self.probes.append(process)
        return process

    def insert(self, *notes):
        rows = ", ".join(f"('{note}')" for note in notes)
        self.database.sql(f"INSERT INTO outbox_probe.outbox (note) VALUES {rows}")

    def rows(self):
        return int(self.database.value("SELECT count(*) FROM outbox_probe.outbox"))

    def notes(self, count):
        return [unpack(d["body"])["detail"]["note"] for d in self.listener.deliveries(self.sub, count)]

    def nothing_more(self):
        wait_until(lambda: self.rows() == 0, "an empty outbox")
        self.listener.ping()
        assert not [f for f in self.listener.kept if f.verb == "DELIVER"]


@pytest.fixture
def house(start, broker, database):
    return House(start, broker, database)


def told(probe, outcome="published"):
    text = http_get(f"{probe.url}/metrics")[1]
    found = re.search(rf'^mangabus_outbox_events_total\{{outcome="{outcome}"\}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_rows_are_told_in_their_order_and_crossed_out(house):
    probe = house.probe()
    notes = [f"n{n}" for n in range(MANY)]
    house.insert(*notes)
    assert house.notes(MANY) == notes
    house.nothing_more()
    assert told(probe) == MANY and told(probe, "failed") == 0


def test_of_two_instances_one_tells_and_nothing_is_told_twice(house):
    probes = [house.probe(), house.probe()]
    notes = [f"n{n}" for n in range(MANY)]
    for at in range(0, MANY, 50):
        house.insert(*notes[at:at + 50])
    assert house.notes(MANY) == notes
    house.nothing_more()
    assert sum(told(probe) for probe in probes) == MANY


def test_rows_of_a_time_without_a_broker_are_told_when_it_is_back(house):
    house.probe()
    house.broker.kill()
    house.insert("while it was away", "and another")
    house.broker.start()
    house.listener.reconnect()
    house.sub = house.listener.listen("demo", since_us=1)
    assert house.notes(2) == ["while it was away", "and another"]
    house.nothing_more()


def test_what_was_told_and_could_not_be_crossed_out_is_told_again_and_taken_once(house):
    probe = house.probe()
    house.database.sql("CREATE FUNCTION outbox_probe.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$ BEGIN RAISE EXCEPTION 'not now'; END $$; "
                       "CREATE TRIGGER refuse BEFORE DELETE ON outbox_probe.outbox EXECUTE FUNCTION outbox_probe.refuse()")
    house.insert("once", "and once")
    assert house.notes(2) == ["once", "and once"]
    probe.wait_for(lambda: told(probe) >= 4, "the rows to be told again")
    assert house.rows() == 2
    house.database.sql("DROP TRIGGER refuse ON outbox_probe.outbox")
    house.nothing_more()


def test_an_instance_that_dies_leaves_its_rows_to_another(house):
    first = house.probe()
    house.database.sql("CREATE FUNCTION outbox_probe.slow() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$ BEGIN PERFORM pg_sleep(600); RETURN OLD; END $$; "
                       "CREATE TRIGGER slow BEFORE DELETE ON outbox_probe.outbox EXECUTE FUNCTION outbox_probe.slow()")
    house.insert("from the first")
    assert house.notes(1) == ["from the first"]
    first.kill()
    house.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DELETE FROM outbox%'")
    house.database.sql("DROP TRIGGER slow ON outbox_probe.outbox")
    house.insert("from the second")
    house.probe()
    assert house.notes(1) == ["from the second"]
    house.nothing_more()


def test_a_row_that_cannot_be_told_is_logged_and_stays_while_others_go_on(house):
    probe = house.probe()
    house.insert("before", "bad", "behind")
    probe.wait_for_line("the row is bad")
    assert house.notes(2) == ["before", "behind"]
    house.database.sql("UPDATE outbox_probe.outbox SET note = 'mended' WHERE note = 'bad'")
    assert house.notes(1) == ["mended"]
    house.nothing_more()
    assert told(probe, "failed") >= 1
