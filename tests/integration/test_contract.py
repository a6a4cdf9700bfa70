"""What proto/schema and broker/topology.json say, checked by tools that share no code with us."""
import json
import re
import subprocess

import pytest
from lib.paths import ROOT, build_dir

SCHEMAS = ROOT / "proto/schema"
TOPOLOGY = ROOT / "broker/topology.json"
HELPER = build_dir() / "tests/helpers/schema_export"
MAX_RECEIVES = 1000
DAY_S = 86400


def documents():
    return {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in sorted(SCHEMAS.glob("*.json"))}


# ---- JSON Schema ---------------------------------------------------------------------------------
def test_every_document_is_a_draft_07_schema():
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    assert len(documents()) > 60
    for name, document in documents().items():
        jsonschema.Draft7Validator.check_schema(document)
        assert document["title"] == name


def test_what_we_pack_passes_an_independent_validator(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    subprocess.run([HELPER, "--samples", tmp_path], check=True, timeout=60)
    schemas = documents()
    checked = 0
    for path in tmp_path.glob("*.json"):
        name = re.sub(r"\.\d+\.json$", "", path.name)
        sample = json.loads(path.read_text())
        jsonschema.Draft7Validator(schemas[name]).validate(sample)
        checked += 1
    assert checked == 5 * len(schemas)


def test_an_independent_validator_misses_what_is_missing(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    subprocess.run([HELPER, "--samples", tmp_path], check=True, timeout=60)
    for name, schema in documents().items():
        sample = json.loads((tmp_path / f"{name}.0.json").read_text())
        for key in schema.get("required", []):
            less = {k: v for k, v in sample.items() if k != key}
            assert not jsonschema.Draft7Validator(schema).is_valid(less), (name, key)


# ---- topology ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def topology():
    return json.loads(TOPOLOGY.read_text())


@pytest.fixture(scope="module")
def queues(topology):
    return {queue["QueueName"]: queue["Attributes"] for queue in topology["Queues"]}


def known_events():
    """{(source, detail-type)} by the contract's documents."""
    sources = ("manga-assist.inventory", "manga-assist.orders", "mangaassist.chat", "mangaassist.ai",
               "mangaassist.catalog", "mangaassist.payments", "mangaassist.reviews", "mangaassist.notifications",
               "dvss.ingest", "dvss.normalize")
    known = set()
    for name in documents():
        for source in sources:
            if name.startswith(f"event.{source}."):
                known.add((source, name.removeprefix(f"event.{source}.")))
    return known


def test_names_are_given_once(topology):
    for kind, key in (("Buses", ["Name"]), ("Archives", ["ArchiveName"]), ("Rules", ["EventBusName", "Name"]),
                      ("Schedules", ["Name"]), ("Queues", ["QueueName"])):
        names = [tuple(thing[k] for k in key) for thing in topology[kind]]
        assert len(names) == len(set(names)), kind


def test_every_target_and_every_dead_letter_queue_exists(topology, queues):
    for rule in topology["Rules"]:
        for target in rule["Targets"]:
            assert target["Arn"] in queues, target
            assert target["DeadLetterConfig"]["Arn"] in queues, target
    for schedule in topology["Schedules"]:
        assert schedule["Target"]["Arn"] in queues, schedule
    for name, attributes in queues.items():
        policy = attributes.get("RedrivePolicy")
        if policy:
            dead_letters = policy["deadLetterTargetArn"]
            assert dead_letters in queues and dead_letters != name, name
            assert dead_letters.endswith(".fifo") == name.endswith(".fifo"), name
            assert 1 <= policy["maxReceiveCount"] <= MAX_RECEIVES, name
            assert "RedrivePolicy" not in queues[dead_letters], name


def test_queue_attributes_are_within_those_of_sqs(queues):
    bounds = {"VisibilityTimeout": (0, 43200), "MessageRetentionPeriod": (60, 1209600), "DelaySeconds": (0, 900),
              "ReceiveMessageWaitTimeSeconds": (0, 20), "MaximumEventAgeInSeconds": (60, 1209600)}
    for name, attributes in queues.items():
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}(\.fifo)?", name) and len(name) <= 80, name
        assert attributes.get("FifoQueue", False) == name.endswith(".fifo"), name
        for key, value in attributes.items():
            if key in bounds:
                assert bounds[key][0] <= value <= bounds[key][1], (name, key)
            else:
                assert key in ("FifoQueue", "ContentBasedDeduplication", "RedrivePolicy"), (name, key)


def test_one_queue_serves_one_target_of_one_rule(topology):
    """But for the bridge, which takes all it forwards from one."""
    fed = [target["Arn"] for rule in topology["Rules"] if rule["Name"] != "bridge-to-aws"
           for target in rule["Targets"]]
    assert len(fed) == len(set(fed))


def test_a_target_and_its_queue_say_the_same(topology, queues):
    for rule in topology["Rules"]:
        for target in rule["Targets"]:
            attributes = queues[target["Arn"]]
            redrive = attributes["RedrivePolicy"]
            retry = target["RetryPolicy"]
            assert 0 <= retry["MaximumRetryAttempts"] <= 185, target
            assert redrive["maxReceiveCount"] == retry["MaximumRetryAttempts"] + 1, target
            assert attributes.get("MaximumEventAgeInSeconds") == retry.get("MaximumEventAgeInSeconds"), target
            assert redrive["deadLetterTargetArn"] == target["DeadLetterConfig"]["Arn"], target


def test_every_bus_has_an_archive_of_thirty_days(topology):
    archived = {archive["EventSourceArn"]: archive["RetentionDays"] for archive in topology["Archives"]}
    assert archived == {bus["Name"]: 30 for bus in topology["Buses"]}


def leaves(pattern):
    for key, value in pattern.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield key, value


def test_patterns_use_exact_values_and_prefixes_alone(topology):
    for owner in topology["Rules"] + topology["Archives"]:
        for key, values in leaves(owner.get("EventPattern", {})):
            assert values, (owner, key)
            for value in values:
                assert isinstance(value, str) or list(value) == ["prefix"] and value["prefix"], (owner, key)


def test_patterns_name_sources_and_types_of_the_contract(topology):
    known = known_events()
    assert len(known) >= 23
    buses = {bus["Name"] for bus in topology["Buses"]}
    for rule in topology["Rules"]:
        assert rule["EventBusName"] in buses, rule
        pattern = rule["EventPattern"]
        for source in pattern["source"]:
            matches = [s for s, _ in known
                       if (s == source if isinstance(source, str) else s.startswith(source["prefix"]))]
            assert matches, rule["Name"]
        for detail_type in pattern.get("detail-type", []):
            assert any((source, detail_type) in known for source in pattern["source"]), (rule["Name"], detail_type)


def test_every_queue_with_a_body_of_its_own_is_in_the_topology(queues):
    described = {name.removeprefix("message.") for name in documents() if name.startswith("message.")}
    assert described and described <= queues.keys()


def test_schedules_are_written_as_eventbridge_writes_them(topology):
    rate = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)")
    for schedule in topology["Schedules"]:
        expression = schedule["ScheduleExpression"]
        cron = re.fullmatch(r"cron\((.+)\)", expression)
        if cron:
            fields = cron[1].split()
            assert len(fields) == 6 and (fields[2] == "?") != (fields[4] == "?"), expression
        else:
            assert rate.fullmatch(expression), expression


def test_an_enabled_schedule_sends_what_the_queue_is_described_to_hold(topology):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    enabled = [s for s in topology["Schedules"] if s["State"] == "ENABLED"]
    assert enabled
    for schedule in enabled:
        target = schedule["Target"]
        jsonschema.Draft7Validator(documents()[f"message.{target['Arn']}"]).validate(target["Input"])


def test_what_nobody_consumes_is_disabled(topology):
    """docs/topology.md says who consumes what; a rule's target that nobody consumes must not fill its queue."""
    table = (ROOT / "docs/topology.md").read_text()
    consumed = set()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1].startswith("`") and not cells[3].startswith("nobody"):
            consumed |= set(re.findall(r"`([^`]+)`", cells[1]))
    for rule in topology["Rules"]:
        for target in rule["Targets"]:
            enabled = "DISABLED" not in (rule["State"], target.get("State"))
            if enabled:
                assert target["Arn"] in consumed, target


def test_the_figures_of_the_queue_plans_hold(queues):
    plans = {
        "manga-fm-high-priority": (60, 4 * DAY_S, "manga-fm-dlq", 3),
        "manga-fm-normal": (120, 7 * DAY_S, "manga-fm-dlq", 3),
        "manga-fm-low-priority": (300, 14 * DAY_S, "manga-fm-dlq", 3),
        "manga-fm-ordered.fifo": (60, 7 * DAY_S, "manga-fm-dlq.fifo", 3),
        "manga-fm-session.fifo": (60, 4 * DAY_S, "manga-fm-dlq.fifo", 3),
        "manga-enrichment-queue.fifo": (300, 4 * DAY_S, "manga-enrichment-dlq.fifo", 3),
        "manga-deferred-queue": (180, 4 * DAY_S, "manga-deferred-dlq", 5),
        "manga-moderation-queue": (120, 4 * DAY_S, "manga-moderation-dlq", 3),
    }
    for name, (visibility, retention, dead_letters, receives) in plans.items():
        attributes = queues[name]
        assert attributes["VisibilityTimeout"] == visibility, name
        assert attributes["MessageRetentionPeriod"] == retention, name
        assert attributes["RedrivePolicy"] == {"deadLetterTargetArn": dead_letters, "maxReceiveCount": receives}, name
    for name in ("manga-fm-dlq", "manga-fm-dlq.fifo"):
        assert queues[name]["VisibilityTimeout"] == 30 and queues[name]["MessageRetentionPeriod"] == 14 * DAY_S
    assert queues["MangaAssist-EventBridge-DLQ"]["VisibilityTimeout"] == 300
