"""`mangactl queue redrive` that picks: by a pattern, and by what the broker recorded of a message's death."""
import hashlib
import http.server
import json
import threading

import pytest
from lib.mangactl import at

TOPOLOGY = {"Buses": [{"Name": "demo"}], "Queues": [
    {"QueueName": "work", "Attributes": {"VisibilityTimeout": 30, "RedrivePolicy": {
        "deadLetterTargetArn": "dead", "maxReceiveCount": 1}}},
    {"QueueName": "dead"}, {"QueueName": "elsewhere"}]}

#        number  settled by  with the words
DEATHS = [(1, "reject", "detail.isbn: not an ISBN"), (2, "reject", "UNAVAILABLE: the database is away"),
          (3, "release", "ThrottlingException: slow down"), (4, "release", "RESOURCE_EXHAUSTED"),
          (5, "release", "no idea"), (6, "release", "INVALID_ARGUMENT: it stays wrong"), (7, "release", "DEADLINE_EXCEEDED")]
CLASSES = {"transient": [2, 7], "throttle": [3, 4], "permanent": [1, 6], "unknown": [5]}


@pytest.fixture
def broker(make_broker):
    return make_broker(topology=TOPOLOGY).start()


@pytest.fixture
def ctl(broker, tmp_path):
    run = at(broker.endpoint)
    return lambda *words, **options: run(*words, **{"MANGABUS_STATE": str(tmp_path), **options})


@pytest.fixture
def client(broker):
    """A session at a broker that has the dead letters of DEATHS."""
    client = broker.client()
    for number, how, words in DEATHS:
        client.send("work", {"n": number, "_error": "throttling"})  # what a body says of itself counts for nothing
        delivery, = client.receive("work", wait_ms=5000)
        client.reject(delivery, words) if how == "reject" else client.release(delivery, reason=words)
    assert client.queue_info("dead")["visible"] == len(DEATHS)
    return client


@pytest.fixture
def peek(broker):
    def run(queue):
        with_body = broker.client().admin("QUEUE", "peek", queue, {"max": 100})
        return sorted(message["body"]["n"] for message in with_body)

    return run


def test_a_dry_run_shows_each_class_with_its_reasons_and_changes_nothing(ctl, client):
    told = json.loads(ctl("queue", "redrive", "dead", "--classify", "--dry-run", "--json", code=1).stdout)
    assert {name: entry["messages"] for name, entry in told["classes"].items()} == {
        name: len(members) for name, members in CLASSES.items()}
    assert told["classes"]["permanent"]["reasons"] == {"rejected": 1, "max-receives": 1}
    assert [flagged["detail"] for flagged in told["flagged"]] == ["no idea"]
    table = ctl("queue", "redrive", "dead", "--classify", "--dry-run", code=1).stdout.splitlines()
    assert table[0].split() == ["class", "messages", "would", "be", "reasons"]
    assert [line.split()[:2] for line in table[1:5]] == [[name, str(len(n))] for name, n in CLASSES.items()]
    assert "unknown: message " in table[5] and "max-receives, no idea" in table[5]
    assert client.queue_info("dead")["visible"] == len(DEATHS)


def test_each_class_goes_where_it_belongs(ctl, client, peek, tmp_path):
    told = json.loads(ctl("queue", "redrive", "dead", "--classify", "--delay", "10m", "--json", code=1).stdout)
    assert [told["classes"][name]["done"] for name in ("transient", "throttle", "permanent")] == [2, 2, 2]
    assert peek("work") == CLASSES["transient"]
    assert client.queue_info("work")["delayed"] == 2
    assert peek("dead") == CLASSES["unknown"]
    kept = [json.loads(path.read_text()) for path in sorted((tmp_path / "objects" / "dead").iterdir())]
    assert sorted(message["body"]["n"] for message in kept) == CLASSES["permanent"]
    assert {message["attrs"]["DeadLetterSource"] for message in kept} == {"work"}
    again = json.loads(ctl("queue", "redrive", "dead", "--classify", "--json", code=1).stdout)
    assert again["looked"] == 1 and len(again["flagged"]) == 1


def test_the_operator_may_know_better(ctl, client, peek):
    ctl("queue", "redrive", "dead", "--classify", "--as", "max-receives=transient,rejected=unknown", code=1)
    assert peek("work") == [2, 5, 7] and peek("dead") == [1]
    for wrong in ("x", "x=transient", "rejected=x", "rejected", "rejected=unknown,,"):
        assert "REASON=CLASS" in ctl("queue", "redrive", "dead", "--classify", "--as", wrong, code=64).stderr


def test_a_pattern_picks_by_body_attributes_and_counts(ctl, client, peek):
    ctl("queue", "redrive", "dead", "--where", '{"body": {"n": [{"numeric": ["<", 3]}]}}')
    assert peek("work") == [1, 2]
    assert peek("dead") == [3, 4, 5, 6, 7]
    rejected = '{"attrs": {"DeadLetterReason": ["rejected"]}}'
    assert ctl("queue", "redrive", "dead", "--where", rejected, code=1).stdout.splitlines()[1].split()[:2] == ["all", "0"]
    ctl("queue", "redrive", "dead", "--where", '{"attrs": {"DeadLetterDetail": ["no idea"]}}', "--delay", "5m")
    assert client.queue_info("work")["delayed"] == 1
    ctl("queue", "redrive", "dead", "--where", "{", code=64)


def test_what_cannot_go_back_stays_and_is_told(ctl, client):
    client.send("dead", {"n": 8})
    told = json.loads(ctl("queue", "redrive", "dead", "--where", '{"body": {"n": [8]}}', "--json", code=1).stdout)
    assert "came from no queue" in told["refused"][0]["why"]
    assert client.queue_info("dead")["visible"] == len(DEATHS) + 1
    client.send("elsewhere", {"n": 9})
    assert "dead-letter queue" in ctl("queue", "redrive", "elsewhere", "--where", '{"body": {"n": [9]}}', code=65).stderr


def test_many_pages_are_looked_at_once_each_and_moved_at_the_rate(ctl, client, peek):
    client.admin("QUEUE", "purge", "dead")
    for n in range(600):
        client.send("work", {"n": n})
    for delivery in client.receive_all("work", 600):
        client.reject(delivery, "UNAVAILABLE")
    told = json.loads(ctl("queue", "redrive", "dead", "--classify", "--json").stdout)
    assert told["looked"] == told["classes"]["transient"]["done"] == 600
    assert client.queue_info("work")["visible"] == 600


def test_what_was_throttled_on_a_fifo_queue_goes_back_at_once(make_broker):
    queues = [{"QueueName": "work.fifo", "Attributes": {"RedrivePolicy": {
        "deadLetterTargetArn": "dead.fifo", "maxReceiveCount": 1}}}, {"QueueName": "dead.fifo"}]
    broker = make_broker(topology={"Buses": [], "Queues": queues}).start()
    client = broker.client()
    client.send("work.fifo", 1, group="g", dedup="d")
    client.release(*client.receive("work.fifo", wait_ms=5000), reason="ThrottlingException")
    ctl = at(broker.endpoint)
    told = json.loads(ctl("queue", "redrive", "dead.fifo", "--classify", "--delay", "5s", "--json", code=1).stdout)
    assert "delays no message alone" in told["refused"][0]["why"]
    ctl("queue", "redrive", "dead.fifo", "--classify")
    assert client.queue_info("work.fifo")["visible"] == 1


class Store(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.puts.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def store():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.puts, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def aws(store):
    return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{store.server_port}", "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "ap-northeast-1"}


def test_the_archive_may_be_a_bucket(ctl, client, peek, store):
    ctl("queue", "redrive", "dead", "--classify", "--archive", "s3://letters/prod", code=1, **aws(store))
    assert [json.loads(body)["body"]["n"] for _, _, body in store.puts] == CLASSES["permanent"]
    for path, headers, body in store.puts:
        assert path.startswith("/letters/prod/dead/") and path.endswith(".json")
        assert headers["X-Amz-Content-Sha256"] == hashlib.sha256(body).hexdigest()
        assert "/ap-northeast-1/s3/aws4_request" in headers["Authorization"]
        assert "x-amz-content-sha256" in headers["Authorization"]
    assert peek("dead") == CLASSES["unknown"]


def test_what_could_not_be_archived_stays(ctl, client, peek, store):
    store.status = 403
    ctl("queue", "redrive", "dead", "--classify", "--archive", "s3://letters", code=77, **aws(store))
    assert len(peek("dead")) == len(DEATHS)
