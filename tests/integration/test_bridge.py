"""The bridge from outside: a broker with the rules to AWS enabled, and an EventBridge that the test scripts. A message
is settled when EventBridge has answered for it, and not before."""
import datetime
import json
import sys
import urllib.request

import pytest
from lib import eventbridge
from lib.eventbridge import EventBridge
from lib.house import Service, assert_valid, depth, topology, wait_empty
from lib.mangabus_client import event, unpack
from lib.packages import INSTALL_TIMEOUT_S, folder_of
from lib.wait import wait_until

BUS, SOURCE, OUT, DLQ = "manga-assist-orders", "manga-assist.orders", "mangabus-bridge-out", "mangabus-bridge-dlq"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GRACE = {"MANGABUS_GRACE": "5s"}  # what a killed process held comes back after this
AGAIN = 'mangabus_bridge_events_total{outcome="again"}'


class House:
    def __init__(self, start, broker, aws):
        self.broker, self.aws = broker, aws
        self.client = broker.client()
        self.bridge = Service(start, "bridge", {
            "MANGABUS_ENDPOINT": broker.endpoint, "AWS_ACCESS_KEY_ID": eventbridge.KEY,
            "AWS_SECRET_ACCESS_KEY": eventbridge.SECRET, "AWS_REGION": eventbridge.REGION,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": aws.url})

    def publish(self, *numbers, attrs=None, **more):
        entries = [{"body": event("order.placed", {"n": n}, SOURCE, **more), "attrs": attrs} for n in numbers]
        assert all(r["status"] == 0 for r in self.client.publish_many(BUS, entries))

    def settled(self):
        wait_empty(self.client, OUT)

    def status(self):
        return self.client.call("bridge.status", {})

    def numbers(self):
        return sorted(detail["n"] for detail in self.aws.details())

    def dead_letters(self, count):
        return self.client.deliveries(self.client.consume(DLQ), count)


@pytest.fixture
def aws():
    fake = EventBridge()
    yield fake
    fake.close()
    assert fake.complaints() == []


@pytest.fixture
def quiet(start, make_broker, aws):
    """A house whose bridge is not started yet."""
    return House(start, make_broker(topology=topology(enable=["bridge-to-aws"]), env=GRACE).start(), aws)


@pytest.fixture
def house(quiet):
    quiet.bridge.start()
    return quiet


# ---- what is sent -------------------------------------------------------------------------------------
def test_an_event_arrives_in_eventbridges_words(house):
    before = house.status()
    assert_valid(before, "call.bridge.status.response")
    assert before["state"] == "untried" and "last_success_at" not in before
    detail = {"n": 1, "title": "進撃の巨人「34」\n", "price": 1e100, "big": 2**63, "less": -0.5, "none": None,
              "nested": {"list": [1, [2, {}]], "flag": True}}
    house.client.publish(BUS, event("order.placed", detail, SOURCE, time="2025-03-01T09:00:00.25Z",
                                    resources=["arn:aws:x:1", "番号"]), attrs={"traceparent": TRACE})
    entry = house.aws.wait_entries(1)[0]
    assert json.loads(entry["Detail"]) == detail
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (SOURCE, "order.placed", BUS)
    assert entry["Resources"] == ["urn:mangabus:origin", "arn:aws:x:1", "番号"]
    then = datetime.datetime(2025, 3, 1, 9, tzinfo=datetime.timezone.utc).timestamp() + 0.25
    assert entry["Time"] == then
    trace_id = TRACE.split("-")[1]
    assert entry["TraceHeader"].startswith(f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent=")
    assert entry["TraceHeader"].endswith(";Sampled=1")
    house.settled()
    status = house.status()
    assert_valid(status, "call.bridge.status.response")
    assert (status["state"], status["events_out"], status["in_flight"], status["endpoint"]) == (
        "connected", 1, 0, house.aws.url)
    assert status["last_success_at"] and "last_error" not in status


def test_requests_hold_ten_entries_at_most_and_lose_none(house):
    house.publish(*range(95))
    house.aws.wait_entries(95)
    house.settled()
    assert house.numbers() == list(range(95))
    assert max(len(request.entries) for request in house.aws.requests) == 10
    assert len(house.aws.requests) <= 30


def test_requests_stay_below_a_mebibyte(house):
    text = "x" * 300_000
    entries = [event("order.placed", {"n": n, "text": text}, SOURCE) for n in range(7)]
    for entry in entries:
        house.client.publish(BUS, entry)
    house.aws.wait_entries(7)
    house.settled()
    assert max(len(request.entries) for request in house.aws.requests) <= 3
    assert house.numbers() == list(range(7))


def test_every_bus_may_go_to_one_bus_at_aws(quiet):
    quiet.bridge.start(MANGABUS_BRIDGE_BUS="arn:aws:events:ap-northeast-1:1:event-bus/all")
    quiet.publish(1)
    assert quiet.aws.wait_entries(1)[0]["EventBusName"] == "arn:aws:events:ap-northeast-1:1:event-bus/all"


def test_a_trace_that_is_none_is_left_out(house):
    for n, parent in enumerate(['"' * 55, "x" * 55, "00-1", TRACE.replace("0af7", '","')]):
        house.publish(n, attrs={"traceparent": parent})
    entries = house.aws.wait_entries(4)
    assert house.numbers() == [0, 1, 2, 3] and not any("TraceHeader" in entry for entry in entries)


def test_temporary_credentials_sign_with_their_token(quiet):
    quiet.bridge.start(AWS_SESSION_TOKEN="the/token==")
    quiet.publish(1)
    quiet.aws.wait_entries(1)
    assert quiet.aws.requests[0].headers["x-amz-security-token"] == "the/token=="


# ---- what is not sent ---------------------------------------------------------------------------------
def test_what_came_from_aws_does_not_go_back(house):
    house.publish(1, attrs={"origin": "aws:ap-northeast-1:123456789012"})
    house.publish(2, resources=["urn:mangabus:origin"])
    house.publish(3, attrs={"origin": "chat-router-1"})
    house.aws.wait_entries(1)
    house.settled()
    assert house.numbers() == [3] and house.status()["events_looped"] == 2


def test_replays_stay_at_home_unless_asked_for(house):
    house.client.publish(BUS, event("order.placed", {"n": 1}, SOURCE), replay_name="monday")
    house.publish(2)
    house.aws.wait_entries(1)
    house.settled()
    assert house.numbers() == [2] and house.status()["events_looped"] == 1
    house.bridge.process.stop()
    house.bridge.start(MANGABUS_BRIDGE_REPLAYS="true")
    house.client.publish(BUS, event("order.placed", {"n": 3}, SOURCE), replay_name="monday")
    house.aws.wait_entries(2)
    assert house.numbers() == [2, 3]


def test_an_event_too_large_for_eventbridge_is_dead_lettered_at_once(house):
    size = (1 << 20) - 40  # with source, type and the mark of origin it is over
    house.client.send(OUT, unpack(event("order.placed", {"text": "x" * (size - 200)}, SOURCE)))
    house.aws.wait_entries(1)
    house.client.send(OUT, unpack(event("order.placed", {"text": "\x01" * 250_000}, SOURCE)))
    letter = house.dead_letters(1)[0]
    assert letter["attrs"]["DeadLetterReason"] == "rejected"
    assert "it takes 1048576" in letter["attrs"]["DeadLetterDetail"]
    assert len(house.aws.entries()) == 1


def test_what_is_no_event_is_dead_lettered(house):
    house.client.send(OUT, {"no": "envelope"})
    assert house.dead_letters(1)[0]["attrs"]["DeadLetterReason"] == "rejected"
    assert house.aws.requests == []


# ---- EventBridge refuses ------------------------------------------------------------------------------
def test_one_refused_entry_costs_only_itself(house):
    house.aws.answer = EventBridge.entrywise(
        lambda d: ("NotAuthorizedForDetailTypeException", "not this 型") if d["n"] == 4 else None)
    house.publish(*range(10))
    letter = house.dead_letters(1)[0]
    assert unpack(letter["body"])["detail"] == {"n": 4}
    assert letter["attrs"]["DeadLetterDetail"] == (
        "EventBridge: NotAuthorizedForDetailTypeException: not this 型")
    house.settled()
    assert house.numbers() == list(range(10))
    status = house.status()
    assert (status["events_out"], status["events_refused"]) == (9, 1) and "not this" in status["last_error"]


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_a_throttled_entry_comes_again_alone(house, code):
    seen = []

    def judge(detail):
        seen.append(detail["n"])
        return (code, "slow down") if detail["n"] == 2 and seen.count(2) == 1 else None

    house.aws.answer = EventBridge.entrywise(judge)
    house.publish(*range(5))
    house.aws.wait_entries(6)
    house.settled()
    assert sorted(seen) == [0, 1, 2, 2, 3, 4]
    assert house.bridge.metric(AGAIN) == 1 and depth(house.client, DLQ) == 0


@pytest.mark.parametrize("answer", [
    EventBridge.failure(400, "ThrottlingException"),
    EventBridge.failure(500, "InternalException"),
    EventBridge.failure(403, "AccessDeniedException"),
    EventBridge.failure(403, "ExpiredTokenException"),
    lambda _: (200, {"Entries": []}),
    lambda _: (200, {"FailedEntryCount": 0, "Entries": [{}] * 3}),
    lambda _: (200, {"FailedEntryCount": 0, "Entries": [{"ErrorCode": ""}] * 3}),
    lambda _: (200, b"<html>proxy</html>"),
    lambda _: None,
], ids=["throttled", "internal", "denied", "expired", "no answers", "empty answers", "no ids", "no JSON", "hung up"])
def test_a_request_that_fails_as_a_whole_is_sent_again(house, answer):
    house.aws.answer = answer
    house.publish(1, 2, 3)
    house.bridge.wait_metric(AGAIN, 3)
    failing = house.status()
    assert failing["state"] == "failing" and failing["last_error"] and "last_success_at" not in failing
    house.aws.answer = EventBridge.accept
    house.settled()
    assert set(house.numbers()) == {1, 2, 3} and depth(house.client, DLQ) == 0
    again = house.status()
    assert again["state"] == "connected" and again["last_success_at"] > again["last_error_at"]


def test_a_refused_request_is_sorted_out_entry_by_entry(house):
    def answer(request):
        if any(json.loads(entry["Detail"])["n"] == 3 for entry in request.entries):
            return EventBridge.failure(400, "ValidationException", "one of them is bad")(request)
        return EventBridge.accept(request)

    house.aws.answer = answer
    house.publish(*range(6))
    letter = house.dead_letters(1)[0]
    assert unpack(letter["body"])["detail"] == {"n": 3}
    assert "one of them is bad" in letter["attrs"]["DeadLetterDetail"]
    house.settled()
    accepted = {json.loads(r.entries[0]["Detail"])["n"] for r in house.aws.requests if len(r.entries) == 1}
    assert accepted == set(range(6)) and house.status()["events_out"] == 5


def test_a_long_error_code_is_an_error(house):
    house.aws.answer = EventBridge.entrywise(lambda d: ("X" * 200, "y" * 1000))
    house.publish(1)
    assert house.dead_letters(1)[0]["attrs"]["DeadLetterReason"] == "rejected"


# ---- deaths -------------------------------------------------------------------------------------------
def test_nothing_is_settled_before_eventbridge_answered(house):
    house.aws.gate.clear()
    house.publish(1, 2)
    house.aws.wait_requests(1)
    assert depth(house.client, OUT) == 2 and house.status()["in_flight"] == 2
    house.bridge.kill()
    house.aws.gate.set()
    house.bridge.start()
    wait_until(lambda: depth(house.client, OUT) == 0, "both to be sent again", 60)
    assert set(house.numbers()) == {1, 2} and depth(house.client, DLQ) == 0


def test_it_finishes_what_is_under_way_when_asked_to_end(house):
    house.aws.gate.clear()
    house.publish(*range(3))
    house.aws.wait_requests(1)
    house.bridge.process.signal(15)
    house.bridge.process.wait_for_line('"message":"draining"')
    house.aws.gate.set()
    assert house.bridge.process.wait() == 0
    assert depth(house.client, OUT) == 0 and house.numbers() == [0, 1, 2]


def test_what_it_cannot_finish_in_time_comes_again(house):
    house.aws.gate.clear()
    house.publish(1)
    house.aws.wait_requests(1)
    assert house.bridge.process.stop() == 0
    assert depth(house.client, OUT) == 1
    house.aws.gate.set()
    house.bridge.start()
    house.aws.wait_entries(2)
    house.settled()


def test_a_broker_that_dies_costs_no_event(house):
    house.aws.gate.clear()
    house.publish(*range(20))
    house.aws.wait_requests(1)
    house.broker.restart()
    house.client.reconnect()
    house.aws.gate.set()
    wait_until(lambda: set(house.numbers()) == set(range(20)) and depth(house.client, OUT) == 0,
               "every event to be settled", 60)


def test_without_credentials_it_runs_and_keeps_everything(quiet):
    quiet.bridge.start(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    quiet.publish(1)
    quiet.bridge.wait_metric(AGAIN, 1)
    assert quiet.status()["state"] == "unconfigured" and depth(quiet.client, OUT) == 1
    assert quiet.aws.requests == []


def test_secrets_reach_no_log(house):
    house.aws.answer = EventBridge.failure(403, "InvalidSignatureException", "the signature does not match")
    house.publish(1)
    house.bridge.wait_metric(AGAIN, 1)
    assert eventbridge.SECRET not in house.bridge.process.log()


# ---- an EventBridge that others wrote -----------------------------------------------------------------
class Moto:
    """moto's server; one method per call that the test needs, in the wire form of AWS's JSON protocol."""

    def __init__(self, start):
        path = folder_of("moto[server,events,sqs]")
        self.process = start(sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0",
                             env={"PYTHONPATH": str(path)})
        port = self.process.wait_for_line(r"Running on http://127\.0\.0\.1:(\d+)", 60)[1]
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, service, target, version, **body):
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {
            "Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target,
            "Authorization": f"AWS4-HMAC-SHA256 Credential=k/20250301/{eventbridge.REGION}/{service}/aws4_request, "
                             "SignedHeaders=host, Signature=00"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def events(self, operation, **body):
        return self.ask("events", f"AWSEvents.{operation}", "1.1", **body)

    def sqs(self, operation, **body):
        return self.ask("sqs", f"AmazonSQS.{operation}", "1.0", **body)


@pytest.mark.timeout(INSTALL_TIMEOUT_S + 120)
def test_an_event_goes_through_motos_eventbridge_into_its_queue(start, make_broker, aws):
    moto = Moto(start)
    moto.events("CreateEventBus", Name=BUS)
    url = moto.sqs("CreateQueue", QueueName="arrived")["QueueUrl"]
    arn = moto.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    moto.events("PutRule", Name="all", EventBusName=BUS, EventPattern=json.dumps({"source": [SOURCE]}))
    moto.events("PutTargets", Rule="all", EventBusName=BUS, Targets=[{"Id": "q", "Arn": arn}])
    house = House(start, make_broker(topology=topology(enable=["bridge-to-aws"]), env=GRACE).start(), aws)
    house.bridge.start(AWS_ENDPOINT_URL_EVENTBRIDGE=moto.url)
    detail = {"order_id": "MB-0001", "title": "ワンピース", "total": 528}
    house.client.publish(BUS, event("order.placed", detail, SOURCE, time="2025-03-01T09:00:00Z"))
    house.settled()
    found = wait_until(lambda: moto.sqs("ReceiveMessage", QueueUrl=url).get("Messages"), "the event in moto's queue")
    arrived = json.loads(found[0]["Body"])
    assert (arrived["source"], arrived["detail-type"], arrived["detail"]) == (SOURCE, "order.placed", detail)
    assert arrived["resources"] == ["urn:mangabus:origin"] and arrived["time"].startswith("2025-03-01T09:00:00")
    assert house.status()["events_out"] == 1
