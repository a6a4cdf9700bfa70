"""`mangactl rule …`: test, explain and lint, without a broker and with one."""
import json
import re
import subprocess
import time

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, event, pack, unpack
from lib.paths import bin_dir, patience
from lib.process import clean_environment

PATTERN = {"source": ["shop"], "detail": {"n": [{"numeric": [">", 5]}], "$or": [{"a": ["x"]}, {"b": [{"exists": False}]}]}}
EVENT = {"version": "0", "id": "e-1", "detail-type": "t", "source": "shop", "account": "", "region": "",
         "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {"n": 7, "a": "x", "b": 1}}


def rule(name, pattern, queue="plain", **more):
    return {"Name": name, "EventBusName": "demo", "EventPattern": pattern, "Targets": [{"Id": "t", "Arn": queue}], **more}


RULES = [rule("all", {"source": [{"prefix": "s"}]}), rule("shop", PATTERN), rule("dead", {"source": [7]}),
         rule("items", {"detail": {"items": {"k": [1], "v": [2]}}}),
         rule("again", {"source": [{"prefix": "s"}]}),
         rule("both", {"source": [{"allOf": [{"prefix": "s"}, {"suffix": "p"}]}]}, PatternExtensions=["allOf"])]


def mangactl(*words, code=0, stdin="", endpoint="tcp://127.0.0.1:1", cwd=None):
    done = subprocess.run([str(bin_dir() / "mangactl"), "rule", *map(str, words)], input=stdin, text=True, cwd=cwd,
                          capture_output=True, timeout=patience(60), check=False,
                          env=clean_environment({"MANGABUS_ENDPOINT": endpoint}))
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def files(tmp_path):
    (tmp_path / "P.json").write_text(json.dumps(PATTERN, indent=2))
    (tmp_path / "E.json").write_text(json.dumps(EVENT, indent=2))
    (tmp_path / "T.json").write_text(json.dumps({**TOPOLOGY, "Rules": RULES}))
    return tmp_path


# -- test --
def test_a_pattern_is_tested_from_files_without_a_broker(files):
    assert mangactl("test", "--pattern", "P.json", "--event", "E.json", cwd=files).stdout == "match\n"
    other = json.dumps({**EVENT, "detail": {"n": 5}})
    assert mangactl("test", "--pattern", "P.json", "--event", other, cwd=files, code=1).stdout == "no match\n"
    bad = mangactl("test", "--pattern", '{"a":{"b":[1,{"suffix":2}]}}', "--event", "E.json", cwd=files, code=2).stdout
    assert bad.startswith("invalid: ") and "suffix match pattern must be a string (at a.b[1])" in bad
    assert mangactl("test", "--pattern", "P.json", "--event", "{", cwd=files, code=2).stdout.startswith("invalid: event: ")
    assert mangactl("test", "--pattern", "P.json", "--event", "[]", cwd=files, code=2).stdout.startswith("invalid: event: ")


def test_its_answer_comes_as_json_too(files):
    answer = mangactl("test", "--pattern", "P.json", "--event", "E.json", "--json", cwd=files).stdout
    assert json.loads(answer) == {"result": "match"}
    answer = json.loads(mangactl("test", "--pattern", "{}", "--event", "E.json", "--json", cwd=files, code=2).stdout)
    assert answer["result"] == "invalid" and "Empty objects are not allowed" in answer["reason"]


def test_what_cannot_be_read_is_no_answer(files):
    assert "cannot open" in mangactl("test", "--pattern", "nosuch.json", "--event", "E.json", cwd=files, code=65).stderr
    mangactl("test", "--pattern", "P.json", cwd=files, code=64)
    mangactl("test", "--pattern", "P.json", "--event", "E.json", "--bus", "demo", cwd=files, code=64)
    mangactl("test", "--batch", "nosuch.tsv", cwd=files, code=65)


def test_trap_17_an_event_that_lacks_what_every_event_has_can_be_refused(files):
    words = ("test", "--pattern", '{"detail":{"n":[7]}}', "--event")
    mangactl(*words, '{"detail":{"n":7}}')
    said = mangactl(*words, '{"detail":{"n":7}}', "--envelope", code=2).stdout
    assert said.startswith("invalid: Parameter Event is not valid")
    for key in ("id", "source", "time", "detail-type"):
        mangactl(*words, json.dumps({k: v for k, v in EVENT.items() if k != key}), "--envelope", code=2)
    mangactl(*words, "E.json", "--envelope", cwd=files)


def test_all_of_must_be_allowed():
    words = ("test", "--pattern", '{"a":[{"allOf":[{"prefix":"x"},{"suffix":"y"}]}]}', "--event", '{"a":"xy"}')
    assert "Unrecognized match type allOf" in mangactl(*words, code=2).stdout
    assert mangactl(*words, "--all-of").stdout == "match\n"


def test_a_batch_is_answered_line_by_line(tmp_path):
    lines = ['one\t{"a":[1]}\t{"a":1}', 'two\t{"a":[1]}\t{"a":2}', 'three\t{"a":[]}\t{}', 'four\t{"a":[1]}\tx', "five"]
    (tmp_path / "cases.tsv").write_text("\n".join(lines))
    got = [line.split("\t") for line in mangactl("test", "--batch", tmp_path / "cases.tsv").stdout.splitlines()]
    assert [name for name, _ in got] == ["one", "two", "three", "four", "five"]
    assert [result for _, result in got[:2]] == ["match", "no match"]
    assert all(result.startswith("invalid: ") for _, result in got[2:])
    told = [json.loads(line) for line in mangactl("test", "--batch", "-", "--json", stdin="\n".join(lines)).stdout.splitlines()]
    assert told[0] == {"name": "one", "result": "match"} and told[2]["result"] == "invalid"


def test_a_batch_takes_thousands_of_lines_a_second(tmp_path):
    path = tmp_path / "many.tsv"
    path.write_text("".join(f'n{n}\t{{"detail":{{"n":[{n}]}}}}\t{json.dumps(EVENT)}\n' for n in range(20000)))
    begun = time.monotonic()
    assert mangactl("test", "--batch", path).stdout.count("\n") == 20000
    assert time.monotonic() - begun < patience(10)


# -- explain --
def explained(answer):
    return {row["rule"]: row["explanation"] for row in json.loads(answer)}


def check_explanations(told):
    assert told["all"] == {"matched": True} and told["both"] == {"matched": True}
    shop = told["shop"]
    assert (shop["path"], shop["found"], shop["reason"]) == ("detail.n", [3], "value")
    assert shop["wanted"] == [{"numeric": [">", 5]}]
    assert told["dead"]["found"] == ["shop"] and told["dead"]["wanted"] == [7]
    assert (told["items"]["path"], told["items"]["reason"]) == ("detail.items", "element")


SUBJECT = {**EVENT, "detail": {"n": 3, "a": "x", "items": [{"k": 1, "v": 1}, {"k": 2, "v": 2}]}}


def test_rules_of_a_document_are_explained_without_a_broker(files):
    words = ("explain", json.dumps(SUBJECT), "--bus", "demo", "--topology", "T.json")
    check_explanations(explained(mangactl(*words, "--json", cwd=files).stdout))
    text = mangactl(*words, cwd=files).stdout
    assert 'detail.n: wanted [{"numeric":[">",5]}], found [3]' in text
    assert "detail.items: no one element of the array meets all" in text
    only = mangactl(*words, "--rule", "dead", "--json", cwd=files, code=1).stdout
    assert list(explained(only)) == ["dead"]


def test_absence_and_nothing_are_told_apart(files):
    nothing = mangactl("explain", json.dumps({**EVENT, "detail": {"b": 1}}), "--bus", "demo", "--topology", "T.json",
                       "--rule", "shop", "--json", cwd=files, code=1).stdout
    assert explained(nothing)["shop"]["reason"] == "missing" and explained(nothing)["shop"]["found"] == []
    there = mangactl("explain", json.dumps({**EVENT, "detail": {"n": 9, "b": 1}}), "--bus", "demo", "--topology",
                     '{"Rules":[{"Name":"r","EventBusName":"demo","EventPattern":{"detail":{"b":[{"exists":false}]}}}]}',
                     "--json", code=1).stdout
    assert (explained(there)["r"]["reason"], explained(there)["r"]["found"]) == ("present", [1])


def test_of_a_rule_that_matches_its_targets_are_named_and_which_are_disabled(make_broker):
    rule = {"Name": "all", "EventBusName": "demo", "EventPattern": {"source": ["test"]},
            "Targets": [{"Id": "a", "Arn": "work"}, {"Id": "b", "Arn": "orders", "State": "DISABLED"}]}
    broker = make_broker(topology={**TOPOLOGY, "Rules": [rule, {**rule, "Name": "none", "Targets": []}]}).start()
    lines = mangactl("explain", json.dumps({**SUBJECT, "source": "test"}), "--bus", "demo",
                     endpoint=broker.endpoint).stdout.splitlines()
    assert [line.split(maxsplit=3)[2:] for line in lines[1:]] == [["match", "to work, orders (disabled)"],
                                                                  ["match", "it has no targets"]]


def test_the_broker_explains_an_event_given_or_from_its_journal(make_broker, files):
    broker = make_broker(topology={**TOPOLOGY, "Rules": RULES}).start()
    given = mangactl("explain", json.dumps(SUBJECT), "--bus", "demo", "--json", endpoint=broker.endpoint).stdout
    check_explanations(explained(given))
    client = broker.client()
    client.publish("demo", event("t", {"n": 1}))
    value = event("t", SUBJECT["detail"], source="shop", id="looked-for")
    record = client.publish("demo", value)["record"]
    for words in (("--id", "looked-for"), ("--record", record)):
        check_explanations(explained(mangactl("explain", *words, "--json", endpoint=broker.endpoint).stdout))
    mangactl("explain", "--record", record + 1000, endpoint=broker.endpoint, code=1)
    mangactl("explain", "--id", "x", "--bus", "demo", "E.json", endpoint=broker.endpoint, code=64)
    with pytest.raises(BusError) as refused:
        client.admin("RULE", "explain", "demo", {"rule": "nosuch"}, body=value)
    assert refused.value.name == "ResourceNotFoundException"
    with pytest.raises(BusError):
        client.admin("RULE", "explain", "demo", body=pack({"detail": {}}))


# -- lint --
def test_lint_names_what_is_dead_double_or_shadowed(files):
    told = [json.loads(line) for line in mangactl("lint", "--topology", "T.json", "--json", cwd=files, code=1).stdout.splitlines()]
    problems = {(line["rule"], line["problem"]): line for line in told}
    assert "source: it is always a text" in problems["dead", "never matches"]["text"]
    assert problems["again", "duplicate"]["other"] == "all"
    assert problems["shop", "shadowed"]["other"] in ("all", "again")
    assert problems["both", "shadowed"]["other"] in ("all", "again")
    assert not [key for key in problems if key[0] in ("items", "all")]
    assert "never matches" in mangactl("lint", "--topology", "T.json", cwd=files, code=1).stdout


def test_lint_says_nothing_of_good_rules(files):
    document = {"Rules": [rule("a", {"source": ["a"]}), rule("b", {"source": ["b"]}), rule("c", {"source": ["a"], "id": ["1"]}, "other")]}
    assert mangactl("lint", "--topology", json.dumps(document)).stdout == ""


def test_lint_reads_the_brokers_rules(make_broker):
    broker = make_broker(topology={**TOPOLOGY, "Rules": RULES}).start()
    assert '"rule":"dead"' in mangactl("lint", "demo", "--json", endpoint=broker.endpoint, code=1).stdout


# -- what AWS has not --
def test_rules_with_all_of_run_but_are_not_exported(make_broker):
    broker = make_broker(topology={**TOPOLOGY, "Rules": [RULES[-1]]}).start()
    client = broker.client()
    client.publish("demo", event("t", {}, source="sx"))
    client.publish("demo", event("t", {"wanted": True}, source="shop"))
    delivery, = client.deliveries(client.consume("plain"), 1)
    assert unpack(delivery["body"])["detail"] == {"wanted": True}
    with pytest.raises(BusError) as refused:
        client.admin("TOPOLOGY", "export")
    assert "allOf" in str(refused.value) and '"both"' in str(refused.value)


# -- schedules --
SCHEDULED = {**TOPOLOGY, "Schedules": [
    {"Name": "nightly", "ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleExpressionTimezone": "Asia/Tokyo",
     "Target": {"Arn": "plain", "Input": {"job": 1}}},
    {"Name": "off", "ScheduleExpression": "rate(1 day)", "State": "DISABLED", "Target": {"Arn": "plain"}}]}


def test_the_list_shows_schedules_with_their_next_firing(make_broker):
    broker = make_broker(topology=SCHEDULED).start()
    listed = json.loads(mangactl("ls", "--json", endpoint=broker.endpoint).stdout)
    nightly, off = [entry for entry in listed if "expression" in entry]
    assert (nightly["name"], nightly["time_zone"], nightly["queue"]) == ("nightly", "Asia/Tokyo", "plain")
    assert 0 < nightly["next_us"] / 1e6 - time.time() <= 86400 and nightly["next_us"] % 86_400_000_000 == 18 * 3_600_000_000
    assert (off["state"], off["next_us"], off["fired_us"]) == ("DISABLED", 0, 0)
    table = mangactl("ls", endpoint=broker.endpoint).stdout
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nightly["next_us"] / 1e6))
    assert re.search(rf"nightly +ENABLED +cron\(0 3 \* \* \? \*\) +Asia/Tokyo +plain +{moment} +-", table), table
    assert "nightly" not in mangactl("ls", "demo", endpoint=broker.endpoint).stdout


def test_a_schedule_that_cannot_fire_is_refused_by_what_and_where(make_broker):
    client = make_broker().start().client()
    for change, said in (({"ScheduleExpression": "cron(0 25 * * ? *)"}, 'field 2 of cron (hours), "25"'),
                         ({"ScheduleExpressionTimezone": "Asia/Tokio"}, 'no time zone "Asia/Tokio"')):
        wrong = {**SCHEDULED, "Schedules": [{**SCHEDULED["Schedules"][0], **change}]}
        with pytest.raises(BusError) as refused:
            client.admin("TOPOLOGY", "apply", body=pack(json.dumps(wrong)))
        assert 'schedule "nightly"' in str(refused.value) and said in str(refused.value)


def test_a_machine_without_time_zones_knows_utc(make_broker, tmp_path):
    broker = make_broker(topology={**SCHEDULED, "Schedules": [
        {**SCHEDULED["Schedules"][0], "ScheduleExpressionTimezone": "UTC"}]}, env={"TZDIR": str(tmp_path)}).start()
    assert "no time zones are installed" in broker.process.log()
    listed = json.loads(mangactl("ls", "--json", endpoint=broker.endpoint).stdout)
    assert [entry["next_us"] > 0 for entry in listed if "expression" in entry] == [True]
