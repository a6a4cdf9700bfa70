"""mangactl as its users meet it: every verb, its exit codes, and the examples of its help, which are run as they stand."""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time

import pytest
from lib.mangabus_client import Client, pack, unpack
from lib.mangactl import at, environment, mangactl
from lib.paths import ROOT, bin_dir, patience
from lib.wait import wait_until

AI = "MangaAssist-AI-Events"
ANSWER = {"session_id": "s-1", "message_id": "m-1", "answer": "はい、3冊あります。", "language": "ja",
          "intent": "inventory_check", "cached": False, "latency_ms": 12,
          "hops": [{"service": "chat-router", "operation": "chat.send", "duration_us": 12000, "depth": 0, "start_us": 0},
                   {"service": "acl-erp", "operation": "erp.stock.get", "duration_us": 8000, "depth": 1, "start_us": 900,
                    "detail": "kept"}]}


@pytest.fixture
def house(make_broker):
    """A broker with the shipped topology."""
    return make_broker(topology=json.loads((ROOT / "broker" / "topology.json").read_text())).start()


@pytest.fixture
def ctl(house):
    """mangactl at that broker; fails the test unless the exit code is the one expected."""
    return at(house.endpoint)


@pytest.fixture
def services(house):
    """Somebody who answers chat.send in two pieces, sync.status, catalog.get and echo, until the test ends."""
    stop = threading.Event()
    ready = threading.Event()

    def work():
        with Client(house.endpoint, "stand-in-000001") as worker:
            worker.serve("chat.send", "sync.status", "catalog.get", "echo")
            ready.set()
            while not stop.is_set():
                try:
                    call = worker.next_call(timeout_s=0.2)
                except TimeoutError:
                    continue
                if call["method"] == "chat.send" and call["stream"]:
                    worker.reply(call, {"text": "はい、"}, chunk=0, final=False)
                    worker.reply(call, {"text": "3冊あります。"}, chunk=1, final=False)
                    worker.reply(call, ANSWER, chunk=2)
                else:
                    worker.reply(call, ANSWER if call["method"] == "chat.send" else {"done": True})

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(patience(10))
    yield
    stop.set()
    thread.join()


def publish(ctl, number, detail_type="greeting"):
    done = ctl("publish", AI, "example.shop", detail_type, json.dumps({"n": number}), "--json")
    return json.loads(done.stdout)["record"]


# -- help and usage ---------------------------------------------------------------------------------------
def commands():
    text = subprocess.run([str(bin_dir() / "mangactl"), "--help"], capture_output=True, text=True, check=True).stdout
    block = text.split("\n\n")[2]
    return [re.match(r"  (\S+(?: \S+)?)  ", line).group(1) for line in block.splitlines()]


def examples_of(command):
    text = mangactl(*command.split(), "--help").stdout
    return [line.strip() for line in text.split("Examples:\n")[1].splitlines() if line.strip()]


def test_help_names_every_command_and_each_has_options_and_examples():
    found = commands()
    assert len(found) >= 20
    for command in found:
        done = mangactl(*command.split(), "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"mangactl {command}")
        assert "--json" in done.stdout
        assert examples_of(command)
        assert mangactl("help", *command.split()).stdout == done.stdout


@pytest.mark.parametrize("words", [[], ["nonsense"], ["ask"], ["ask", "a", "b"], ["tail", "--nonsense"], ["queue"],
                                   ["tail", "--count", "x"], ["tail", "--live-only", "--replays-only"],
                                   ["replay", "/dev/null"], ["replay", "/dev/null", "--bus", "--to-queue", "q"],
                                   ["replay", "/dev/null", "--bus", "--speed", "0"], ["capture"], ["keygen"],
                                   ["rule", "test", "{}"], ["completion", "tcsh"]])
def test_wrong_usage_is_told_with_exit_code_64(words):
    done = mangactl(*words)
    assert done.returncode == 64
    assert done.stdout == ""
    assert "mangactl" in done.stderr


def test_a_near_miss_is_corrected():
    assert "did you mean ask?" in mangactl("aks").stderr
    for words in (("queue",), ("queue", "frob"), ("queue", "--help")):
        assert "queue is followed by one of: ls, info, " in mangactl(*words).stderr
    assert "did you mean --since?" in mangactl("tail", "--sinse", "1m").stderr


def test_without_a_broker_it_says_so_with_exit_code_69():
    done = mangactl("queue", "ls")
    assert done.returncode == 69
    assert "cannot reach the broker at tcp://127.0.0.1:1: is it running?" in done.stderr
    failed = mangactl("queue", "ls", "--json")
    assert failed.returncode == 69
    assert json.loads(failed.stderr)["error"]["code"] == "UNAVAILABLE"


def test_an_endpoint_that_is_none_is_wrong_configuration():
    assert mangactl("queue", "ls", endpoint="nonsense").returncode == 78


# -- events -----------------------------------------------------------------------------------------------
def test_what_is_published_can_be_tailed(ctl):
    record = publish(ctl, 1)
    lines = ctl("tail", AI, "--since", "5m", "--count", "1", "--timeout", "10s", "--json").stdout.splitlines()
    shown = json.loads(lines[0])
    assert shown["record"] == record
    assert shown["bus"] == AI
    assert shown["event"]["detail"] == {"n": 1}
    assert shown["event"]["detail-type"] == "greeting"
    text = ctl("tail", AI, "--since", "5m", "--count", "1", "--timeout", "10s").stdout
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} +%d  %s  example.shop  greeting  \{\"n\":1\}\n" % (record, AI), text)


def test_tail_shows_what_comes_later_and_ends_by_a_signal(house, ctl, tmp_path):
    output = tmp_path / "tail.txt"
    with open(output, "wb") as file:
        tail = subprocess.Popen([str(bin_dir() / "mangactl"), "tail", "--json"], stdout=file,
                                env=environment(MANGABUS_ENDPOINT=house.endpoint))
    try:
        number = 0

        def something_came():
            nonlocal number
            number += 1
            publish(ctl, number)
            return output.read_text().count("\n") > 0

        wait_until(something_came, "an event at the tail")
        tail.send_signal(signal.SIGINT)
        assert tail.wait(patience(10)) == 0
    finally:
        tail.kill()
        tail.wait()


def test_tail_filters_by_pattern_and_by_record(ctl):
    publish(ctl, 1)
    second = publish(ctl, 2, "farewell")
    done = ctl("tail", AI, "--from", 1, "--pattern", '{"detail-type": ["farewell"]}', "--count", 1, "--timeout", "10s",
               "--json")
    assert json.loads(done.stdout)["record"] == second
    done = ctl("tail", AI, "--from", second, "--count", 1, "--timeout", "10s", "--json")
    assert json.loads(done.stdout)["record"] == second


def test_tail_says_no_when_the_count_was_not_reached(ctl):
    ctl("tail", "--count", "1", "--timeout", "300ms", code=1)


def test_an_unknown_bus_or_a_broken_pattern_is_refused(ctl):
    assert "nosuch" in ctl("tail", "nosuch", "--timeout", "5s", code=1).stderr
    ctl("tail", AI, "--pattern", "{", "--timeout", "5s", code=65)
    assert "nosuch" in ctl("publish", "nosuch", "a.b", "c", "{}", code=1).stderr


def test_an_event_is_held_against_its_schema_with_the_path(ctl):
    wrong = ctl("publish", "manga-assist-inventory", "manga-assist.inventory", "inventory.updated", '{"isbn": "123"}',
                code=65)
    assert "detail" in wrong.stderr
    ctl("publish", "manga-assist-inventory", "manga-assist.inventory", "inventory.updated", '{"isbn": "123"}',
        "--no-validate")


def test_json_comes_from_a_file_or_standard_input_too(ctl, tmp_path):
    (tmp_path / "d.json").write_text('{"from": "file"}')
    ctl("publish", AI, "a.b", "c", f"@{tmp_path}/d.json")
    ctl("publish", AI, "a.b", "c", "-", stdin='{"from": "stdin"}')
    done = ctl("tail", AI, "--from", 1, "--count", 2, "--timeout", "10s", "--json")
    assert [json.loads(line)["event"]["detail"]["from"] for line in done.stdout.splitlines()] == ["file", "stdin"]
    assert "not JSON" in ctl("publish", AI, "a.b", "c", "{", code=65).stderr
    ctl("publish", AI, "a.b", "c", "@/nonexistent", code=65)


def test_the_same_deduplication_key_is_accepted_once(ctl):
    first, second = (json.loads(ctl("publish", AI, "a.b", "c", "{}", "--dedup", "k", "--json").stdout) for _ in range(2))
    assert not first["duplicate"] and second["duplicate"]
    assert first["record"] == second["record"]


# -- captures and replays -----------------------------------------------------------------------------------
def captured(ctl, path, count=3):
    records = [publish(ctl, n) for n in range(count)]
    done = ctl("capture", AI, "--from", 1, "--count", count, "--timeout", "20s", "--out", path, "--json")
    assert json.loads(done.stdout)["events"] == count
    return records


def test_a_capture_holds_the_events_as_they_were(ctl, tmp_path):
    path = tmp_path / "a.capture"
    records = captured(ctl, path)
    shown = [json.loads(line) for line in mangactl("capture", "show", path, "--json").stdout.splitlines()]
    assert [event["record"] for event in shown] == records
    assert [event["event"]["detail"]["n"] for event in shown] == [0, 1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ctl("capture", AI, "--out", path, "--timeout", "1s", code=65)  # it is there already
    ctl("capture", AI, "--out", path, "--timeout", "200ms", "--force")


def test_a_capture_leaves_out_what_is_to_be_redacted(house, ctl, tmp_path):
    path = tmp_path / "r.capture"
    for n in range(2):
        ctl("publish", AI, "example.shop", "order", json.dumps(
            {"n": n, "customer_email": "secret@example.jp", "items": [{"name": "secret", "isbn": "1"}, {"name": "secret"}]}))
    done = ctl("capture", AI, "--from", 1, "--count", 2, "--timeout", "20s", "--out", path, "--json",
               "--redact", "detail.customer_email,detail.items.name,detail.no_such")
    assert json.loads(done.stdout)["redacted"] == {"detail.customer_email": 2, "detail.items.name": 4, "detail.no_such": 0}
    assert b"secret" not in path.read_bytes()
    shown = [json.loads(line)["event"] for line in mangactl("capture", "show", path, "--json").stdout.splitlines()]
    assert [event["detail"] for event in shown] == [
        {"n": n, "customer_email": "[redacted]", "items": [{"name": "[redacted]", "isbn": "1"}, {"name": "[redacted]"}]}
        for n in range(2)]
    with house.client() as viewer:
        sub = viewer.listen(AI, name="viewer")
        ctl("replay", path, "--to-subscriber", "viewer")
        assert [unpack(event["body"]) for event in viewer.deliveries(sub, 2)] == shown
    done = ctl("capture", AI, "--from", 1, "--count", 1, "--timeout", "20s", "--out", path, "--force", "--redact", "detail.n")
    assert "1 values of detail.n redacted" in done.stdout


@pytest.mark.parametrize("path", ["customer_email", "detail", "$.detail.a", "detail..a", "detail.a[0]", "detail.a,"])
def test_a_path_that_cannot_be_redacted_is_refused_before_anything_is_written(tmp_path, path):
    done = mangactl("capture", "--out", tmp_path / "r.capture", "--redact", path)
    assert done.returncode == 64 and "is no path to redact" in done.stderr
    assert not (tmp_path / "r.capture").exists()


def test_a_rotated_capture_is_many_whole_ones(ctl, tmp_path):
    records = [json.loads(ctl("publish", AI, "example.shop", "greeting", json.dumps({"n": n, "x": "x" * 3000}), "--json").stdout)
               ["record"] for n in range(5)]
    words = ["capture", AI, "--from", 1, "--count", 5, "--timeout", "20s", "--out", tmp_path / "long", "--rotate", "4KiB"]
    report = json.loads(ctl(*words, "--json").stdout)
    files = [str(tmp_path / f"long.{n:06}") for n in (1, 2, 3)]
    assert (report["events"], report["files"]) == (5, files)
    assert report["bytes"] == sum(os.path.getsize(file) for file in files)
    assert all(json.loads(mangactl("capture", "show", file, "--verify", "--json").stdout)["complete"] for file in files)
    shown = [json.loads(line)["record"] for file in files
             for line in mangactl("capture", "show", file, "--json").stdout.splitlines()]
    assert shown == records
    assert f"5 events in {tmp_path / 'long.000004'} to {tmp_path / 'long.000006'} (" in ctl(*words).stdout
    assert "--rotate is a size" in ctl(*words[:-1], "64MB", code=64).stderr
    assert "numbered on" in ctl(*words, "--force", code=64).stderr
    assert len(list(tmp_path.glob("long*"))) == 6


def test_a_capture_up_to_now_ends_by_itself(ctl, tmp_path):
    publish(ctl, 1)
    done = ctl("capture", AI, "--since", "5m", "--until", "0s", "--out", tmp_path / "b", "--json", timeout_s=10)
    assert json.loads(done.stdout)["events"] == 1


def test_a_damaged_capture_is_refused_with_the_offset(ctl, tmp_path):
    path = tmp_path / "c.capture"
    captured(ctl, path)
    good = path.read_bytes()
    assert json.loads(mangactl("capture", "show", path, "--verify", "--json").stdout)["complete"]
    path.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    done = mangactl("capture", "show", path)
    assert done.returncode == 65 and "offset" in done.stderr
    path.write_bytes(good[:-10])
    assert mangactl("capture", "show", path).returncode == 65
    path.write_bytes(b"something else")
    assert "no capture file" in mangactl("capture", "show", path).stderr
    assert mangactl("replay", path, "--bus", "--dry-run").returncode == 65


def test_a_replay_reaches_its_subscriber_in_order_and_marked(house, ctl, tmp_path):
    path = tmp_path / "d.capture"
    captured(ctl, path, 5)
    with house.client() as viewer:
        sub = viewer.listen(AI, name="viewer")
        done = ctl("replay", path, "--to-subscriber", "viewer", "--name", "again", "--json")
        report = json.loads(done.stdout)
        assert (report["published"], report["accepted"], report["refused"]) == (5, 5, 0)
        seen = viewer.deliveries(sub, 5)
    assert [unpack(event["body"])["detail"]["n"] for event in seen] == [0, 1, 2, 3, 4]
    assert all(event["attrs"]["replay-name"] == "again" for event in seen)


def test_a_replay_to_a_bus_can_be_told_from_live_events(ctl, tmp_path):
    path = tmp_path / "e.capture"
    captured(ctl, path, 2)
    ctl("replay", path, "--bus", "--name", "again")
    replays = ctl("tail", AI, "--from", 1, "--replays-only", "--count", 2, "--timeout", "20s",
                  "--json").stdout.splitlines()
    live = ctl("tail", AI, "--from", 1, "--live-only", "--timeout", "1s", "--json").stdout.splitlines()
    assert [json.loads(line).get("replay_name") for line in live] == [None, None]
    assert [json.loads(line)["replay_name"] for line in replays] == ["again", "again"]


def test_the_name_of_a_replay_moves_no_cursor(ctl, tmp_path):
    path = tmp_path / "j.capture"
    captured(ctl, path, 1)
    ctl("replay", path, "--bus", "--name", "a\x1b[2Jb", "--speed", "full")
    shown = ctl("tail", AI, "--from", 1, "--replays-only", "--timeout", "1s").stdout
    assert "[replay a[2Jb]" in shown and "\x1b" not in shown


def test_a_dry_run_publishes_nothing(ctl, tmp_path):
    path = tmp_path / "f.capture"
    captured(ctl, path, 2)
    done = mangactl("replay", path, "--bus", "--dry-run")  # no broker
    assert done.returncode == 0 and "would replay 2 events" in done.stdout


def test_a_replay_keeps_the_pace_that_was_asked_for(ctl, tmp_path):
    path = tmp_path / "g.capture"
    publish(ctl, 0)
    time.sleep(1)  # the pace itself is under test: two events, a second apart
    publish(ctl, 1)
    ctl("capture", AI, "--from", 1, "--count", 2, "--timeout", "20s", "--out", path)
    took = [json.loads(ctl("replay", path, "--to-queue", "manga-deferred-queue", "--speed", speed, "--json").stdout)
            ["duration_ms"] for speed in ("1", "full")]
    assert took[0] >= 1000 > took[1]


def test_a_replay_that_was_interrupted_says_that_it_is_no_whole_one(house, ctl, tmp_path):
    path = tmp_path / "i.capture"
    publish(ctl, 0)
    time.sleep(3)  # the second is due so long after the first: time for Ctrl-C
    publish(ctl, 1)
    ctl("capture", AI, "--from", 1, "--count", 2, "--timeout", "20s", "--out", path)
    words = ["replay", str(path), "--to-queue", "manga-deferred-queue", "--speed", "1", "--json"]
    with subprocess.Popen([str(bin_dir() / "mangactl"), *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(MANGABUS_ENDPOINT=house.endpoint)) as process:
        wait_until(lambda: json.loads(ctl("queue", "info", "manga-deferred-queue", "--json").stdout)["visible"] == 1,
                   "the first event in its queue")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=patience(10))
    assert json.loads(out)["published"] == 1
    assert process.returncode == 75 and "interrupted" in err


def test_a_replay_to_nobody_is_refused(ctl, tmp_path):
    path = tmp_path / "h.capture"
    captured(ctl, path, 1)
    assert "nobody" in ctl("replay", path, "--to-subscriber", "nobody", code=1).stderr


# -- calls --------------------------------------------------------------------------------------------------
def test_a_question_is_answered_with_the_way_it_took(ctl, services):
    done = ctl("ask", "ワンピース 42巻の在庫はありますか？")
    assert done.stdout == "はい、3冊あります。\n"
    assert re.search(r"chat-router +chat.send +0.0 +12.0", done.stderr)
    assert re.search(r"^  acl-erp +erp.stock.get +0.9 +8.0 +kept$", done.stderr, re.MULTILINE)
    assert "inventory_check" in done.stderr
    answer = json.loads(ctl("ask", "在庫は？", "--json").stdout)
    assert answer == ANSWER


def test_a_question_that_is_none_is_refused_here(ctl):
    assert ctl("ask", "", code=65).stderr
    assert ctl("ask", "x", "--locale", "fr", code=65).stderr


def test_any_call_can_be_made(ctl, services):
    assert json.loads(ctl("call", "echo", '{"a": 1}', "--json").stdout) == {"done": True}
    pieces = ctl("call", "chat.send", '{"text": "x"}', "--stream", "--json").stdout.splitlines()
    assert [json.loads(piece).get("text") for piece in pieces] == ["はい、", "3冊あります。", None]
    assert "text" in ctl("call", "chat.send", '{"text": 1}', code=65).stderr


def test_a_call_that_nobody_answers_fails_by_its_code(ctl):
    assert "no.such" in ctl("call", "no.such", "--timeout", "5s", code=69).stderr
    ctl("call", "no.such", "--timeout", "100ms", code=75)


# -- the rest -----------------------------------------------------------------------------------------------
def test_rules_are_listed_and_tested(ctl):
    rules = json.loads(ctl("rule", "ls", AI, "--json").stdout)
    assert rules and all(rule["bus"] == AI for rule in rules)
    table = ctl("rule", "ls").stdout
    assert "catalog → manga-inventory-sync, " in table
    assert "order-management → manga-order-management (disabled)\n" in table
    event = {"version": "0", "id": "1", "detail-type": "nothing.known", "source": "a.b", "account": "", "region": "",
             "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {"n": 1}}
    assert "no rule matches" in ctl("rule", "test", json.dumps(event), "--bus", AI, code=1).stderr
    pattern = '{"detail": {"n": [1]}}'
    assert mangactl("rule", "test", json.dumps(event), "--pattern", pattern).returncode == 0
    assert mangactl("rule", "test", json.dumps(event), "--pattern", '{"detail": {"n": [2]}}').returncode == 1
    assert mangactl("rule", "test", json.dumps(event), "--pattern", "{}x").returncode == 2


def test_the_topology_and_the_status_are_shown(ctl, services):
    document = json.loads(ctl("topology", "show").stdout)
    assert any(bus["Name"] == AI for bus in document["Buses"])
    both = json.loads(ctl("status", "--json").stdout)
    assert "chat.send" in [service["method"] for service in both["services"]]
    assert "chat.send" in ctl("status").stdout


def test_schemas_are_shown_without_a_broker():
    kinds = [json.loads(line)["kind"] for line in mangactl("schema", "ls", "--json").stdout.splitlines()]
    assert {"event", "call", "message"} == set(kinds)
    assert json.loads(mangactl("schema", "show", "chat.send", "--part", "response").stdout)["type"] == "object"
    assert json.loads(mangactl("schema", "show", "inventory.updated").stdout)["type"] == "object"
    assert mangactl("schema", "show", "nosuch").returncode == 1


def test_keys_are_made_once_and_let_their_owner_in(make_broker, tmp_path):
    keys = tmp_path / "keys"
    words = ["keygen", "--dir", keys, "--server", "mangactl", "chat-router"]
    assert mangactl(*words).returncode == 0
    assert stat.S_IMODE((keys / "server.key").stat().st_mode) == 0o600
    assert (keys / "clients" / "mangactl.pub").read_text() == (keys / "mangactl.pub").read_text()
    before = (keys / "server.key").read_text()
    assert mangactl(*words).returncode == 65
    assert json.loads(mangactl(*words, "--if-missing", "--json").stdout) == {"made": 0, "kept": 3}
    assert (keys / "server.key").read_text() == before
    assert mangactl("keygen", "--dir", keys, "../evil").returncode == 65
    broker = make_broker(env={"MANGABUS_CURVE_DIR": str(keys)}, endpoint="tcp://127.0.0.1:*").start()
    inside = mangactl("tail", "--timeout", "200ms", endpoint=broker.endpoint, MANGABUS_CURVE_DIR=str(keys))
    assert inside.returncode == 0, inside.stderr
    strange = tmp_path / "strange"
    assert mangactl("keygen", "--dir", strange, "mangactl").returncode == 0
    shutil.copy(keys / "server.pub", strange / "server.pub")
    outside = mangactl("tail", "--timeout", "200ms", endpoint=broker.endpoint, MANGABUS_CURVE_DIR=str(strange))
    assert outside.returncode == 69 and "this key" in outside.stderr
    assert mangactl("tail", endpoint=broker.endpoint, MANGABUS_CURVE_DIR="/nonexistent").returncode == 78


def test_the_doctor_looks_and_tells(ctl, house, services):
    lines = [json.loads(line) for line in ctl("doctor", "--json", MANGABUS_STATE=house.folder).stdout.splitlines()]
    verdicts = {line["check"]: line["verdict"] for line in lines}
    assert verdicts["broker"] == verdicts["version"] == verdicts["clock"] == verdicts["CP932"] == "ok"
    assert any("chat.send is answered" in line["text"] for line in lines)
    assert mangactl("doctor", "--no-disk", MANGABUS_STATE=house.folder).returncode == 69
    assert mangactl("doctor", "--offline", "--no-disk", MANGABUS_STATE=house.folder).returncode == 0


def test_the_doctor_names_the_queues_of_dead_letters_that_are_not_empty(broker):
    ctl, client = at(broker.endpoint), broker.client()
    assert "dead letters none" in ctl("doctor", "--no-disk").stdout
    client.send("work", {"n": 1})
    client.reject(client.receive("work")[0], "no")
    assert "1 in work-dlq; look at them: mangactl queue peek work-dlq" in ctl("doctor", "--no-disk").stdout


def test_the_doctor_lets_the_broker_count_again(ctl, house):
    for n in range(3):
        publish(ctl, n)
    for line in ctl("doctor", "--deep", "--no-disk", "--json").stdout.splitlines():
        if json.loads(line)["check"] == "state":
            assert json.loads(line)["verdict"] == "ok" and "everything agrees" in json.loads(line)["text"]
            return
    raise AssertionError("the state was not looked at")


def test_the_doctor_measures_the_journals_disk_and_leaves_nothing_there(house):
    done = mangactl("doctor", "--offline", "--json", MANGABUS_STATE=house.folder)
    assert done.returncode == 0, done.stderr
    checks = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert checks["filesystem"]["filesystem"] in checks["filesystem"]["text"]
    assert str(house.folder / "journal") in checks["filesystem"]["text"]
    sync = checks["sync"]
    for size in ("record", "batch"):
        assert sync[size]["syncs_per_s"] > 0 and 0 < sync[size]["p50_us"] <= sync[size]["p99_us"]
    assert sync["write_bytes_per_s"] > 0 and "fdatasync works" in sync["text"]
    expected = checks["publishing"]["publishes_per_s"]
    assert 0 < expected["1"] < min(expected["64"], expected["1000"])
    assert not list(house.folder.rglob("doctor*"))
    assert "sync" not in mangactl("doctor", "--offline", "--no-disk", MANGABUS_STATE=house.folder).stdout
    words = mangactl("doctor", "--offline", MANGABUS_STATE=house.folder).stdout
    assert "outstanding" in words and "is on" in words


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no /dev/shm")
def test_the_doctor_says_when_the_journal_is_in_memory():
    folder = tempfile.mkdtemp(prefix="mb.", dir="/dev/shm")
    try:
        lines = mangactl("doctor", "--offline", "--json", MANGABUS_STATE=folder).stdout.splitlines()
        found = {line["check"]: line for line in map(json.loads, lines)}["filesystem"]
        assert (found["verdict"], found["filesystem"]) == ("warn", "tmpfs") and "memory" in found["text"]
    finally:
        shutil.rmtree(folder)


def test_completion_knows_commands_and_options(tmp_path):
    script = tmp_path / "complete.sh"
    script.write_text('source <(mangactl completion bash)\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mangactl\n'
                      'printf "%s\\n" "${COMPREPLY[@]}"\n')

    def complete(*words):
        return subprocess.run(["bash", script, *words], env=environment(), text=True, capture_output=True,
                              check=True).stdout.split()

    assert complete("mangactl", "cap") == ["capture"]
    assert {"peek", "receive", "settle"} <= set(complete("mangactl", "queue", ""))
    assert complete("mangactl", "queue", "receive", "q", "--vis") == ["--visibility"]
    assert complete("mangactl", "queue", "peek", "q", "--cou") == ["--count"]
    assert complete("mangactl", "tail", "--si") == ["--since"]
    assert complete("mangactl", "completion", "f") == ["fish"]
    assert "complete -c mangactl" in mangactl("completion", "fish").stdout
    assert mangactl("completion", "zsh").stdout.startswith("#compdef mangactl")


def test_lost_brokers_are_waited_for(house, ctl):
    tail = subprocess.Popen([str(bin_dir() / "mangactl"), "tail", AI, "--from", "1", "--count", "2", "--timeout", "60s",
                             "--json"], stdout=subprocess.PIPE, text=True,
                            env=environment(MANGABUS_ENDPOINT=house.endpoint))
    try:
        publish(ctl, 1)
        assert json.loads(tail.stdout.readline())["event"]["detail"] == {"n": 1}
        house.restart()
        publish(ctl, 2)
        assert json.loads(tail.stdout.readline())["event"]["detail"] == {"n": 2}
        assert tail.wait(patience(20)) == 0
    finally:
        tail.kill()
        tail.wait()


# -- the examples of the help ---------------------------------------------------------------------------------
EXPECTED = {"queue redrive": 1, "topology show": 1, "queue cancel": 1,
            "archive info": 1, "archive read": 1, "rules diff": 1,  # nothing has left the log yet
            "replay pause": 65, "replay resume": 65, "replay cancel": 65,  # it has ended before
            "topology export": 69}  # a later version's
NEED_A_SHELL = "source"


def test_every_example_of_the_help_works_as_it_stands(house, services, tmp_path):
    """As they stand but for places: /tmp is the test's own folder, and the journal is the test's."""
    (tmp_path / "event.json").write_text(json.dumps(
        {"version": "0", "id": "1", "detail-type": "MessageReceived", "source": "mangaassist.chat", "account": "",
         "region": "", "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {"to": "you"}}))
    (tmp_path / "message.json").write_text('{"jobType": "deferred_inference", "prompt": "later"}')
    for name in ("topology.json", "changed.json"):
        (tmp_path / name).write_text((ROOT / "broker" / "topology.json").read_text())
    (tmp_path / "cases.tsv").write_text('one\t{"source": ["a"]}\t{"source": "a"}\n')
    (tmp_path / ".local/share/bash-completion/completions").mkdir(parents=True)
    env = environment(MANGABUS_ENDPOINT=house.endpoint, HOME=str(tmp_path), MANGABUS_STATE=str(house.folder))
    viewer = house.client()
    viewer.listen(AI, messages=1000, name="viewer")
    viewer.publish(AI, pack({"version": "0", "id": "1", "detail-type": "MessageReceived", "source": "mangaassist.chat",
                        "time": "2026-01-01T00:00:00Z", "detail": {}}))
    for _ in range(4):  # for the examples of receiving, which take what there is
        viewer.send("manga-deferred-queue", {"jobType": "deferred_inference", "prompt": "later"})
    late, failed = [], []

    def run(command, example):
        line = re.sub(r"(?<!/var)/tmp/", f"{tmp_path}/", example)
        line = line.replace("/var/tmp/mangabus-root", str(house.folder))
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], env=env, cwd=tmp_path, text=True,
                              capture_output=True, timeout=patience(60), check=False)
        if done.returncode not in (0, EXPECTED.get(command), 1 if command.startswith("rule ") else 0):
            failed.append(f"{example}\n  {done.returncode} {done.stderr}")

    for command in commands():
        for example in examples_of(command):
            if command.startswith("journal"):
                late.append((command, example))
            elif NEED_A_SHELL not in example:
                run(command, example)
    viewer.close()
    house.process.stop()
    for command, example in late:
        run(command, example)
    assert not failed, "\n".join(failed)
