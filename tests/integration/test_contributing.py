"""CONTRIBUTING.md: what it shows is done as it stands, and does what the text says."""
import json
import re
import shlex
import shutil
import subprocess
import textwrap

import pytest
from lib.mangabus_client import event
from lib.paths import ROOT, build_dir, patience
from lib.process import clean_environment
from lib.wait import http_get, wait_until

from tests.integration.test_services import forgotten, ports

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
    queue, rule, _ = (json.loads(body) for body in blocks("json"))
    topology = json.loads((ROOT / "broker/topology.json").read_text())
    topology["Queues"].append(queue)
    topology["Rules"].append(rule)
    client = make_broker(topology=topology).start().client()
    assert client.queue_info(queue["QueueName"])["visible"] == 0
    assert rule["Name"] in [known["name"] for known in client.admin("RULE", "list", rule["EventBusName"])]


# ---- all of it, in a copy of the tree --------------------------------------------------------------------
def edit(path, *changes):
    """Each change is (regular expression that is found once, replacement)."""
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, lambda _, said=replacement: said, text, flags=re.MULTILINE)
        assert count == 1, f"{path.name}: {pattern} is there {count} times"
    path.write_text(text)


def add_event(root):
    block = blocks("c")[0]
    lines = {kind: re.search(rf"^ +({kind}\(.*\)) +/\*", block, re.MULTILINE)[1] for kind in "SE"}
    header = root / "proto/contract/reviews.h"
    text = header.read_text()
    for kind, name in (("S", "REVIEWS_SCHEMAS"), ("E", "REVIEWS_EVENTS")):
        text, count = re.subn(rf"^(#define {name}\({kind}\)) ({kind}\(.*\))$",
                              lambda found, kind=kind: f"{found[1]} \\\n    {found[2]} \\\n    {lines[kind]}", text, flags=re.M)
        assert count == 1, name
    rows = re.sub(r"^ +[SE]\(.*\n", "", block, flags=re.MULTILINE)
    header.write_text(text.replace("#define REVIEWS_SCHEMAS", rows + "\n#define REVIEWS_SCHEMAS"))


def add_queue_and_rule(root):
    queue, rule, _ = (json.loads(body) for body in blocks("json"))
    topology = json.loads((root / "broker/topology.json").read_text())
    topology["Queues"].append(queue)
    topology["Rules"].append(rule)
    (root / "broker/topology.json").write_text(json.dumps(topology, ensure_ascii=False, indent=2))
    edit(root / "docs/topology.md", (r"^(?=\| `MangaAssist-AllEvents-Analytics-analytics`)",
                                     f"| `{queue['QueueName']}` | rule `{rule['Name']}` (disabled) | nobody yet |\n"))


def quoted(pattern):
    """What the page names in backquotes, found by a pattern; its only group."""
    found = set(re.findall(rf"`({pattern})`", TEXT))
    assert len(found) == 1, (pattern, found)
    return found.pop()


def add_service(root):
    role = json.loads(blocks("json")[2])
    (root / "services/review-tally").mkdir()
    (root / "services/review-tally/main.c").write_text(service_source())
    topology = json.loads((root / "broker/topology.json").read_text())
    rule = next(rule for rule in topology["Rules"] if rule["Name"] == "MangaAssist-ReviewSubmitted")
    next(target for target in rule["Targets"] if target["Arn"] == QUEUE).pop("State")
    (root / "broker/topology.json").write_text(json.dumps(topology, ensure_ascii=False, indent=2))
    edit(root / "docs/topology.md", (r"^\| `MangaAssist-ReviewSubmitted-moderation`, `-analytics` \|", (
        f"| `{QUEUE}` | rule `MangaAssist-ReviewSubmitted` | review-tally |\n| `MangaAssist-ReviewSubmitted-moderation` |")))
    roles = json.loads((root / "broker/roles.json").read_text())
    (root / "broker/roles.json").write_text(json.dumps({**roles, **role}, indent=2))
    edit(root / "compose.yaml", (r"(?<=^      - bridge\n)", "      - review-tally\n"),
         (r"^(?=  mangactl:$)", textwrap.indent(blocks("yaml")[0], "  ") + "\n"))
    edit(root / "tools/demo", (r"(?<=^services=\()", "review-tally "),
         (r"(?=\berp-sim\) echo)", quoted(r"review-tally\) echo \d+ ;;") + " "))
    edit(root / "docs/conventions.md", (r"^(?=\| erp-sim \|)", quoted(r"\| review-tally \| HTTP \d+ \| \|") + "\n"))
    edit(root / "README.md", (r"^(?=\| mangactl \|)",
                              "| review-tally | counts reviews | – | [review-tally](docs/services/review-tally.md) |\n"))
    (root / "docs/services/review-tally.md").write_text("# review-tally\n\nCounts the reviews that customers write.\n")
    edit(root / "tests/e2e/test_house.py", (r'^(?=    "erp-sim": lambda)', f'    {quoted(chr(34) + "review-tally.*")}\n'))


@pytest.fixture
def tree(tmp_path):
    """A copy of the tree with all that the page tells to add."""
    root = tmp_path / "tree"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    for add in (add_event, add_queue_and_rule, add_service):
        add(root)
    return root


def test_a_service_added_by_the_page_is_forgotten_nowhere(tree):
    missing = forgotten(tree, "review-tally")
    assert missing == ["docs/configuration.md: ^## review-tally$"], "what make docs writes is all that is left"
    assert len(ports(tree)) == len(set(ports(tree)))


class Steps:
    """The commands of the page, run in the copy."""

    def __init__(self, root):
        self.root = root
        self.env = clean_environment({"CCACHE_BASEDIR": root, "CCACHE_NOHASHDIR": "1"})
        for name in ("MANGABUS_BUILD", "MANGABUS_BIN"):
            self.env.pop(name, None)

    def run(self, command, timeout_s=1200):
        done = subprocess.run(["bash", "-c", command], cwd=self.root, env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_step_of_the_page_is_done_as_it_stands(tree):
    steps = Steps(tree)
    steps.run("git init -q . && git add -A")  # make lint asks git for the files
    steps.run("make format && make -j2 all test-binaries && build/tests/helpers/schema_export proto/schema")
    assert len(list((tree / "proto/schema").glob("*ReviewWithdrawn.json"))) == 1
    steps.run("build/tests/test_contract && build/tests/test_schema_json")
    assert "ReviewWithdrawn" in steps.run("build/bin/mangactl schema ls")
    assert "MANGABUS_TALLY_LOW_STARS" in steps.run("make build/bin/review-tally && build/bin/review-tally --help")
    steps.run("make docs")
    steps.run("/usr/bin/python3 -m pytest -c tests/pytest.ini -q tests/integration/test_contract.py "
              "tests/integration/test_services.py tests/integration/test_configuration_document.py")
    steps.run("git add -A && make lint")
    seen = steps.run(blocks("")[-1].replace("kill %1 %2", "sleep 1; kill %1 %2; wait"))
    assert "r2" in seen and "product_id" in seen, seen
