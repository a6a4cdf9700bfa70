"""CONTRIBUTING.md: the service that it shows compiles, runs and does what the text says."""
import json
import re
import shlex
import subprocess
import textwrap

import pytest
from lib.mangabus_client import event
from lib.paths import ROOT, build_dir, patience
from lib.process import clean_environment
from lib.wait import http_get, wait_until

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
QUEUE = "MangaAssist-ReviewSubmitted-analytics"
DEAD_LETTERS = "MangaAssist-EventBridge-DLQ"


def blocks(language):
    """The fenced blocks in one language, without the indentation of their list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", TEXT, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in found]


def service_source():
    return next(body for body in blocks("c") if body.startswith("/* main.c: review-tally"))


def make_says(expression):
    """The value of a Makefile's expression in the variant under test."""
    sanitizer = {"san": "1", "tsan": "thread"}.get(build_dir().name, "")
    done = subprocess.run(["make", "-s", f"SAN={sanitizer}", f"--eval=say-it: ; @echo '{expression}'", "say-it"],
                          cwd=ROOT, capture_output=True, text=True, timeout=patience(60), check=True)
    return shlex.split(done.stdout)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The service as the page shows it, built with the tree's own flags and libraries."""
    folder = tmp_path_factory.mktemp("review-tally")
    (folder / "main.c").write_text(service_source())
    libraries = [build_dir() / "lib" / name for name in ("libkit.a", "libproto.a")]
    command = [*make_says("$(CC) $(ALL_CFLAGS)"), folder / "main.c", "-o", folder / "review-tally",
               *make_says("$(ALL_LDFLAGS)"), "-Wl,--start-group", *libraries, "-Wl,--end-group",
               *make_says("$(PACKAGE_LIBS)")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr
    return folder / "review-tally"


def test_the_service_that_is_shown_is_formatted_like_the_tree(tmp_path):
    source = tmp_path / "main.c"
    source.write_text(service_source())
    try:
        done = subprocess.run(["clang-format", f"--style=file:{ROOT / '.clang-format'}", source], capture_output=True,
                              text=True, timeout=30, check=True)
    except FileNotFoundError:
        pytest.skip("clang-format is not installed")
    assert done.stdout == service_source()


def test_the_service_that_is_shown_says_what_it_takes(program):
    done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=patience(20), check=False,
                          env=clean_environment())
    assert done.returncode == 0
    assert "MANGABUS_TALLY_LOW_STARS (whole number, 1 to 5; default 2)" in done.stdout


def test_the_service_that_is_shown_consumes_counts_and_rejects(program, start, make_broker):
    topology = json.loads((ROOT / "broker/topology.json").read_text())
    rule = next(rule for rule in topology["Rules"] if rule["Name"] == "MangaAssist-ReviewSubmitted")
    target = next(target for target in rule["Targets"] if target["Arn"] == QUEUE)
    target.pop("State", None)
    broker = make_broker(topology=topology).start()
    client = broker.client()
    tally = start(program, env={"MANGABUS_ENDPOINT": broker.endpoint, "MANGABUS_HTTP": "127.0.0.1:0"})
    port = tally.wait_for_line(r'"message":"listening",.*"port":([0-9]+)')[1]
    url = f"http://127.0.0.1:{port}"
    tally.wait_ready(url)

    good = {"review_id": "r1", "product_id": "9784088725093", "review_text": "ひどい", "rating": 1}
    for detail in (good, {"review_id": "r2"}):
        client.publish("MangaAssist-AI-Events", event("ReviewSubmitted", detail, source="mangaassist.reviews"))
    tally.wait_for_line('"message":"a customer is not happy".*"stars":1')
    wait_until(lambda: "\nmangabus_reviews_total 1\n" in http_get(f"{url}/metrics")[1], "the review to be counted")
    wait_until(lambda: client.queue_info(DEAD_LETTERS)["visible"] == 1, "the broken one to be dead-lettered")
    wait_until(lambda: client.queue_info(QUEUE)["in_flight"] + client.queue_info(QUEUE)["visible"] == 0, "the queue")


@pytest.mark.parametrize("body", blocks("json"))
def test_the_entries_that_are_shown_are_json(body):
    assert json.loads(body)


def test_the_queue_and_the_rule_that_are_shown_are_taken(make_broker):
    queue, rule = (json.loads(body) for body in blocks("json"))
    topology = json.loads((ROOT / "broker/topology.json").read_text())
    topology["Queues"].append(queue)
    topology["Rules"].append(rule)
    client = make_broker(topology=topology).start().client()
    assert client.queue_info(queue["QueueName"])["visible"] == 0
    assert rule["Name"] in [known["name"] for known in client.admin("RULE", "list", rule["EventBusName"])]
