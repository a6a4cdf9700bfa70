"""The broker as a process: its command line, configuration, health, ending."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, Client, event, pack
from lib.paths import ROOT, bin_dir
from lib.process import clean_environment
from lib.wait import http_get

LABEL = r'[a-z_]+="([^"\\\n]|\\.)*"'
PROGRAM = bin_dir() / "mangabus-broker"


def run(*arguments, **env):
    return subprocess.run([PROGRAM, *arguments], env=clean_environment(env), capture_output=True, text=True, timeout=60,
                          check=False)


def test_help_names_every_variable_it_reads():
    done = run("--help")
    assert done.returncode == 0
    read = set(re.findall(r'"(MANGABUS_[A-Z_]+)"', (ROOT / "broker/options.c").read_text()))
    assert read and all(name in done.stdout for name in read)


def test_version_is_one_line():
    done = run("--version")
    assert done.returncode == 0 and re.fullmatch(r"mangabus-broker \S+\n", done.stdout)


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["healthcheck", "now"], ["start"]])
def test_a_wrong_command_line_is_refused(arguments):
    done = run(*arguments)
    assert done.returncode == 64 and "healthcheck" in done.stderr


@pytest.mark.parametrize("name,value", [
    ("MANGABUS_GRACE", "soon"), ("MANGABUS_LOG_LEVEL", "loud"), ("MANGABUS_MAX_FRAME", "1KiB"),
    ("MANGABUS_HTTP", "nowhere"), ("MANGABUS_TOPOLOGY", "/nonexistent.json"), ("MANGABUS_ROLES", "/nonexistent.json"),
    ("MANGABUS_CURVE_DIR", "/nonexistent"), ("MANGABUS_ENDPOINT_LOCAL", "tcp://0.0.0.0:*"),
    ("MANGABUS_ENDPOINT", "tcp://0.0.0.0:*"), ("MANGABUS_SEGMENT", "1025MiB")])
def test_a_wrong_setting_is_refused_by_its_name(make_broker, name, value):
    broker = make_broker(env={name: value})
    done = run(**{k: str(v) for k, v in broker.env.items()})
    assert done.returncode == 78, done.stderr
    assert name in done.stderr or "0.0.0.0" in done.stderr


def test_a_segment_is_of_whole_blocks_whatever_is_asked_for(make_broker):
    broker = make_broker(env={"MANGABUS_SEGMENT": "8193KiB"}).start()
    files = list((broker.env["MANGABUS_STATE"] / "journal").glob("*.journal"))
    assert [f.stat().st_size for f in files] == [8 << 20]


@pytest.mark.parametrize("text", ["{", "[]", '{"Buses":7}',
                                  json.dumps({**TOPOLOGY, "Rules": [{"Name": "x", "EventBusName": "nowhere"}]})])
def test_a_wrong_topology_is_refused_at_the_first_start(make_broker, text):
    broker = make_broker()
    broker.env["MANGABUS_TOPOLOGY"].write_text(text)
    done = run(**{k: str(v) for k, v in broker.env.items()})
    assert done.returncode == 78 and "MANGABUS_TOPOLOGY" in done.stderr


def test_the_shipped_topology_and_roles_are_found_and_good(make_broker):
    client = make_broker(env={"MANGABUS_TOPOLOGY": None}).start().client()
    queues = {q["name"] for q in client.admin("QUEUE", "list")}
    shipped = json.loads((ROOT / "broker/topology.json").read_text())
    assert queues == {q["QueueName"] for q in shipped["Queues"]}


def test_health_and_readiness(broker):
    assert http_get(f"{broker.url}/healthz")[0] == 200
    assert http_get(f"{broker.url}/readyz")[0] == 200
    assert http_get(f"{broker.url}/nowhere")[0] == 404
    port = broker.url.rsplit(":", 1)[1]
    assert run("healthcheck", MANGABUS_HTTP=f"0.0.0.0:{port}").returncode == 0


def test_healthcheck_says_no_when_nobody_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert run("healthcheck", MANGABUS_HTTP=f"127.0.0.1:{taken.getsockname()[1]}").returncode == 1


def test_metrics_are_in_prometheus_format(broker, client):
    client.publish("demo", event("work"))
    text = http_get(f"{broker.url}/metrics")[1]
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .*|[a-z_]+(\{LABEL(,LABEL)*\})? [-+0-9.eE]+".replace("LABEL", LABEL), line), line
    assert "mangabus_broker_published_total 1" in text
    assert "mangabus_broker_journal_sync_seconds_count" in text
    assert 'mangabus_broker_queue_oldest_age_seconds{queue="work"}' in text


def test_metrics_say_of_each_queue_what_became_of_its_messages(broker, client):
    def value(name, queue):
        text = http_get(f"{broker.url}/metrics")[1]
        return float(re.search(rf'^mangabus_broker_queue_{name}{{queue="{queue}"}} (\S+)$', text, re.MULTILINE)[1])

    client.make_queue("line.fifo", FifoQueue="true")
    for _ in range(2):
        client.send("line.fifo", 1, group="g", dedup="same")
    assert client.receive("line.fifo") and not client.receive("line.fifo") and not client.receive("plain")
    assert value("deduplicated_total", "line.fifo") == 1
    assert value("groups_blocked", "line.fifo") == 1
    assert (value("empty_receives_total", "line.fifo"), value("empty_receives_total", "plain")) == (1, 1)
    assert value("expired_total", "plain") == value("redriven_total", "plain") == value("tenants_noisy", "plain") == 0
    client.admin("QUEUE", "delete", "line.fifo")
    assert "line.fifo" not in http_get(f"{broker.url}/metrics")[1]


def test_the_start_tells_how_fast_the_disk_syncs(broker):
    assert re.search(r'"syncs_per_s":\d+', broker.process.log())


def test_every_log_line_is_json(broker, client):
    client.tell("PUBLISHED", 7)
    client.next("ERROR")
    broker.process.signal(signal.SIGTERM)
    broker.process.wait()
    for line in broker.process.log().splitlines():
        assert {"time", "level", "service", "instance", "message"} <= set(json.loads(line))


def test_sigterm_says_bye_and_ends_well(broker, client):
    client.publish("demo", event("work"))
    broker.process.signal(signal.SIGTERM)
    client.next("BYE", "ERROR")
    assert broker.process.wait(10) == 0
    client.welcome = None


def test_what_was_acknowledged_before_sigterm_is_there_afterwards(broker):
    client = broker.client()
    client.send_many("plain", [pack(n) for n in range(100)])
    assert broker.process.stop() == 0
    broker.start()
    client.reconnect()
    assert client.queue_info("plain")["visible"] == 100


def test_a_second_broker_on_the_same_journal_is_refused(broker):
    other = {**{k: str(v) for k, v in broker.env.items()}, "MANGABUS_ENDPOINT": f"ipc://{broker.folder}/second"}
    assert run(**other).returncode == 75


def test_an_endpoint_that_is_taken_is_refused(make_broker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broker = make_broker(endpoint=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        assert run(**{k: str(v) for k, v in broker.env.items()}).returncode == 69


def test_tcp_on_loopback_needs_no_keys(make_broker):
    client = make_broker(endpoint="tcp://127.0.0.1:*").start().client()
    client.ping()


def test_insecure_must_be_said_aloud(make_broker):
    broker = make_broker(endpoint="tcp://0.0.0.0:*", env={"MANGABUS_INSECURE": "1"}).start()
    port = broker.endpoint.rsplit(":", 1)[1]
    with Client(f"tcp://127.0.0.1:{port}") as client:
        client.ping()


def test_topology_and_status_can_be_asked_for(client):
    shown = client.admin("TOPOLOGY", "show")
    assert shown["version"] >= 1
    assert isinstance(client.admin("BROKER", "status"), dict)
    assert any(s["name"] == client.name for s in client.admin("BROKER", "sessions"))
    client.serve("some.method")
    assert "some.method" in str(client.admin("BROKER", "services"))


def test_rules_can_be_listed_and_tested(client):
    assert {"to-work", "big-orders"} <= {r["name"] for r in client.admin("RULE", "list", "demo")}
    assert "to-work" in str(client.admin("RULE", "test", "demo", body=event("work")))
    assert "to-work" not in str(client.admin("RULE", "test", "demo", body=event("play")))


def test_applying_a_topology_that_drops_a_full_queue_needs_force(client):
    client.send("plain", 1)
    smaller = {**TOPOLOGY, "Queues": [q for q in TOPOLOGY["Queues"] if q["QueueName"] != "plain"]}
    document = pack(json.dumps(smaller))
    with pytest.raises(BusError) as refused:
        client.admin("TOPOLOGY", "apply", body=document)
    assert refused.value.status == "FAILED_PRECONDITION"
    client.admin("TOPOLOGY", "apply", args={"force": True}, body=document)
    with pytest.raises(BusError):
        client.queue_info("plain")


def test_nothing_is_left_in_the_state_folder_but_the_journal(broker):
    assert sorted(os.listdir(broker.folder)) == ["bus", "journal", "topology.json"]
