"""The chassis that makes a process of a table and handlers: verbs, configuration, health, metrics, the end."""
import json
import re
import socket
import subprocess

import pytest
from lib.mangabus_client import event
from lib.paths import build_dir, patience
from lib.process import clean_environment
from lib.wait import http_get, wait_until

NO_BROKER = "tcp://127.0.0.1:1"


def program():
    return build_dir() / "tests/helpers/service_probe"


def run(*arguments, env=None):
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=patience(20),
                          env=clean_environment(env), check=False)


class Probe:
    """A running probe that listens on a port of its own choice."""

    def __init__(self, start, env=None):
        self.process = start(program(), env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": NO_BROKER,
                                             **(env or {})})
        self.port = int(self.process.wait_for_line(r'"message":"listening",.*"port":(\d+)')[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def ready(self):
        status, text = http_get(f"{self.url}/readyz")
        return status, json.loads(text)


# ---- verbs --------------------------------------------------------------------------------------------
def test_help_shows_every_variable_with_default_and_meaning():
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("test-probe: Shows what the chassis does.")
    for part in ("MANGABUS_PROBE_PIN[_FILE] (text; default empty)\n      a secret",
                 "MANGABUS_PROBE_LIMIT (whole number, 1 to 100; default 10)",
                 "MANGABUS_ENDPOINT (text; default tcp://127.0.0.1:7447)",
                 "MANGABUS_HTTP (text; default 127.0.0.1:7499)",
                 "MANGABUS_STATE (text; default /var/tmp/mangabus-$USER)"):
        assert part in done.stdout
    assert "PGHOST" not in done.stdout


def test_a_database_brings_its_variables():
    done = run("--help", env={"PROBE_DATABASE": "1"})
    assert "PGPASSWORD[_FILE]" in done.stdout


def test_markdown_is_one_section_with_a_table():
    done = run("--config-markdown")
    assert done.returncode == 0
    assert done.stdout.startswith("## test-probe\n\nShows what the chassis does.\n\n| variable | type |")
    assert "| `MANGABUS_PROBE_LIMIT` | whole number, 1 to 100 | `10` | a limit |" in done.stdout


def test_version_is_shown():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"test-probe \S+\n", done.stdout)


@pytest.mark.parametrize("arguments", [["serve"], ["--help", "x"], ["healthcheck", "now"], ["--pin", "1234"]])
def test_an_unknown_command_line_is_wrong_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 64
    assert "usage: test-probe" in done.stderr


# ---- configuration ------------------------------------------------------------------------------------
@pytest.mark.parametrize("env, part", [
    ({"MANGABUS_PROBE_LIMIT": "101"}, "MANGABUS_PROBE_LIMIT must be between 1 and 100, not '101'"),
    ({"MANGABUS_LOG_LEVEL": "loud"}, "MANGABUS_LOG_LEVEL must be debug, info, warn or error"),
    ({"MANGABUS_HTTP": "7499"}, "MANGABUS_HTTP must be ADDRESS:PORT"),
    ({"MANGABUS_HTTP": "127.0.0.1:70000"}, "MANGABUS_HTTP must be ADDRESS:PORT"),
    ({"MANGABUS_HTTP": "localhost:0"}, "localhost is no IP address"),
    ({"MANGABUS_PROBE_GREETING": "refuse", "MANGABUS_HTTP": ""}, "the probe was told to refuse"),
    ({"MANGABUS_CURVE_DIR": "/nonexistent", "MANGABUS_HTTP": ""}, "/nonexistent/server.pub"),
])
def test_a_wrong_configuration_ends_with_78_and_says_why(env, part):
    done = run(env={"MANGABUS_ENDPOINT": NO_BROKER, **env})
    assert done.returncode == 78, done.stderr
    assert part in done.stderr.replace('\\"', '"')


def test_a_secret_is_not_shown_when_it_is_wrong(tmp_path):
    done = run(env={"MANGABUS_PROBE_PIN": "hush-hush", "MANGABUS_PROBE_PIN_FILE": tmp_path / "pin",
                    "MANGABUS_ENDPOINT": NO_BROKER})
    assert done.returncode == 78
    assert "hush-hush" not in done.stderr


def test_a_misspelt_variable_is_pointed_out(start):
    probe = Probe(start, {"MANGABUS_PROBE_LIMITS": "3"})
    probe.process.wait_for_line(r'"variable":"MANGABUS_PROBE_LIMITS","did_you_mean":"MANGABUS_PROBE_LIMIT"')


# ---- health and metrics -------------------------------------------------------------------------------
def test_without_a_broker_it_is_well_but_not_ready(start):
    probe = Probe(start)
    assert http_get(f"{probe.url}/healthz") == (200, '{"status":"ok"}\n')
    assert probe.ready() == (503, {"status": "not ready", "reasons": ["no session with the broker"]})


def test_the_app_s_own_reason_is_told(start):
    probe = Probe(start, {"MANGABUS_PROBE_UNREADY": "yes"})
    assert "told so by MANGABUS_PROBE_UNREADY" in probe.ready()[1]["reasons"]


def test_metrics_tell_what_runs_here(start):
    status, text = http_get(f"{Probe(start).url}/metrics")
    assert status == 200
    assert re.search(r'^mangabus_build_info\{service="test-probe",version="[^"]+"\} 1$', text, re.MULTILINE)
    assert re.search(r"^mangabus_bus_up 0$", text, re.MULTILINE)


def test_other_paths_are_the_app_s(start):
    assert http_get(f"{Probe(start).url}/else") == (200, "hello")


def test_log_lines_are_json_with_the_common_fields(start):
    probe = Probe(start)
    probe.process.wait_for_line('"message":"started"')
    for line in probe.process.log().splitlines():
        fields = json.loads(line)
        assert list(fields)[:5] == ["time", "level", "service", "instance", "message"]
        assert fields["service"] == "test-probe"
        assert re.fullmatch(r"test-probe-[0-9a-f]{6}", fields["instance"])


def test_the_health_check_of_one_that_is_not_ready_says_no(start):
    probe = Probe(start)
    done = run("healthcheck", env={"MANGABUS_HTTP": f"0.0.0.0:{probe.port}", "http_proxy": "http://127.0.0.1:1"})
    assert done.returncode == 1
    assert "no session with the broker" in done.stderr


def test_the_health_check_of_nobody_says_no():
    assert run("healthcheck", env={"MANGABUS_HTTP": "127.0.0.1:1"}).returncode == 1
    assert run("healthcheck", env={"MANGABUS_HTTP": ""}).returncode == 78


# ---- ports --------------------------------------------------------------------------------------------
@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_default_port_that_is_taken_gives_way_to_a_free_one(start, taken):
    probe = Probe(start, {"MANGABUS_HTTP": None, "PROBE_PORT": taken})
    assert probe.port not in (0, taken)
    assert http_get(f"{probe.url}/healthz")[0] == 200


def test_a_port_that_was_asked_for_and_is_taken_is_refused(taken):
    done = run(env={"MANGABUS_HTTP": f"127.0.0.1:{taken}", "MANGABUS_ENDPOINT": NO_BROKER})
    assert done.returncode == 78
    assert f"port {taken}: Address already in use" in done.stderr


# ---- the end ------------------------------------------------------------------------------------------
def test_sigterm_ends_it_with_0(start):
    probe = Probe(start, {"MANGABUS_DRAIN": "200ms"})
    probe.process.wait_for_line('"message":"started"')
    assert probe.process.stop() == 0
    assert '"message":"ended"' in probe.process.log()


def test_sighup_is_survived(start):
    probe = Probe(start)
    probe.process.wait_for_line('"message":"started"')
    probe.process.signal(1)
    probe.process.wait_for_line("SIGHUP ignored")
    assert http_get(f"{probe.url}/healthz")[0] == 200


# ---- with a database ----------------------------------------------------------------------------------
def test_the_database_is_migrated_before_work_begins(start, database):
    probe = Probe(start, {"PROBE_DATABASE": "1", **database.env})
    assert database.value("SELECT version || name FROM test_probe.migrations") == "1begin"
    wait_until(lambda: "no connection to the database" not in probe.ready()[1]["reasons"], "the pool")


def test_without_its_database_it_ends_with_69(database):
    done = run(env={"PROBE_DATABASE": "1", **database.env, "PGPORT": "1", "MANGABUS_PG_WAIT": "100ms"})
    assert done.returncode == 69
    assert "Connection refused" in done.stderr


# ---- with a broker ------------------------------------------------------------------------------------
@pytest.fixture
def served(start, broker):
    """A probe with a session, ready."""
    probe = Probe(start, {"MANGABUS_ENDPOINT": broker.endpoint, "PROBE_QUEUE": "1"})
    wait_until(lambda: probe.ready()[0] == 200, "the probe to be ready")
    return probe


def metric(probe, line):
    return re.search(rf"^{re.escape(line)} (\S+)$", http_get(f"{probe.url}/metrics")[1], re.MULTILINE)


def test_with_a_session_it_is_ready_and_healthcheck_says_yes(served):
    assert served.ready() == (200, {"status": "ready"})
    done = run("healthcheck", env={"MANGABUS_HTTP": f"127.0.0.1:{served.port}"})
    assert (done.returncode, done.stderr) == (0, "")
    assert metric(served, "mangabus_bus_up")[1] == "1"


def test_calls_are_answered_and_counted(served, client):
    assert client.call("probe.echo", {"text": "在庫"}) == {"text": "在庫"}
    assert metric(served, 'mangabus_served_total{method="probe.echo",status="OK"}')[1] == "1"
    assert metric(served, 'mangabus_served_seconds_count{method="probe.echo"}')[1] == "1"


def test_what_became_of_messages_is_counted(served, client):
    for word in ("good", "bad", "good"):
        client.send("plain", word)
    wait_until(lambda: metric(served, 'mangabus_deliveries_total{queue="plain",outcome="rejected"}'), "the rejected one")
    wait_until(lambda: metric(served, 'mangabus_deliveries_total{queue="plain",outcome="acked"}')[1] == "2", "the acked")


def test_an_event_that_a_rule_brings_counts_for_its_queue(served, client):
    client.publish("demo", event(), to="queue:plain")
    wait_until(lambda: "mangabus_deliveries_total{" in http_get(f"{served.url}/metrics")[1], "the delivery to be counted")
    counted = http_get(f"{served.url}/metrics")[1]
    assert 'mangabus_deliveries_total{queue="plain",' in counted
    assert 'queue="demo"' not in counted


def test_a_broker_that_goes_is_noticed_and_one_that_comes_back_too(served, broker, client):
    client.close()
    broker.kill()
    wait_until(lambda: served.ready()[0] == 503, "the loss to be noticed")
    broker.start()
    wait_until(lambda: served.ready()[0] == 200, "the session to come back")
    assert broker.client().call("probe.echo", 7) == 7


def test_sigterm_lets_a_call_finish_and_takes_no_new_one(served, client):
    number = client.call_begin("probe.slow", "kept")
    served.process.wait_for_line("slow call begun")
    served.process.signal(15)
    served.process.wait_for_line('"message":"draining"')
    assert client.call_end(number)[0] == ["kept"]
    assert served.process.wait() == 0
    assert served.process.log().count("slow call begun") == 1


def test_one_that_does_not_finish_in_time_is_left_behind(start, broker, client):
    probe = Probe(start, {"MANGABUS_ENDPOINT": broker.endpoint, "MANGABUS_DRAIN": "10ms"})
    wait_until(lambda: probe.ready()[0] == 200, "the probe to be ready")
    client.call_begin("probe.slow", "lost")
    probe.process.wait_for_line("slow call begun")
    assert probe.process.stop() == 0
