"""fm-invoker against an OpenAI-compatible server: a stub that speaks just what the test needs."""
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lib.mangabus_client import BusError
from lib.paths import ROOT
from lib.wait import wait_until

TOPOLOGY = json.loads((ROOT / "broker/topology.json").read_text())


class Stub(BaseHTTPRequestHandler):
    """Answers by the model's name: `fail-STATUS` fails so, `cut` ends in the middle, `open` says it is done and keeps the
    connection, `nul` has a NUL in its text, `greedy` counts more tokens than there are; others stream three pieces."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        if body["model"].startswith("fail-"):
            self.reply(int(body["model"][5:]), {"error": {"message": "as ordered"}})
        elif self.path == "/v1/embeddings":
            data = [{"index": i, "embedding": [float(i), len(text)]} for i, text in enumerate(body["input"])]
            self.reply(200, {"data": data[::-1], "usage": {"prompt_tokens": 5}})
        else:
            self.stream(body["model"])

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(data)

    def stream(self, model):
        cut = model == "cut"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = ("a\0", "b") if model == "nul" else ("漫画", "は", "よい")
        tokens = 2 ** 63 - 1 if model == "greedy" else 100
        events = [{"choices": [{"delta": {"content": text}}]} for text in pieces]
        events += [{"choices": [{"delta": {}, "finish_reason": "length"}]},
                   {"choices": [], "usage": {"prompt_tokens": tokens, "completion_tokens": 3}}]
        for event in events[:2] if cut else events:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        if not cut:
            self.wfile.write(b"data: [DONE]\n\n")
        if model == "open":
            self.rfile.read(1)  # until the other side hangs up

    def log_message(self, *_):
        pass


@pytest.fixture
def stub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bus(start, make_broker, database, stub):
    """A client of a house in which fm-invoker asks the stub."""
    broker = make_broker(topology=TOPOLOGY).start()
    process = start("fm-invoker", env={
        "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": broker.endpoint,
        "MANGABUS_FM_OPENAI_URL": f"http://127.0.0.1:{stub.server_port}/v1/", "MANGABUS_FM_OPENAI_KEY": "the-key",
        "MANGABUS_FM_MODEL_FAST": "small", "MANGABUS_FM_MODEL_QUALITY": "large", "MANGABUS_FM_MODEL_EMBED": "vectors",
        "MANGABUS_FM_PRICES": "small=1000/2000 cut=1/1 fail-429=1/1 fail-401=1/1 fail-500=1/1 "
                               "open=1/1 nul=1/1 greedy=1000000000/1000000000", **database.env})
    port = process.wait_for_line(r'"message":"listening",.*"port":(\d+)')[1]
    process.wait_ready(f"http://127.0.0.1:{port}")
    assert "the-key" not in process.log()
    return broker.client()


def ask(bus, **request):
    request = {"messages": [{"role": "user", "content": "x"}], **request}
    return bus.call_end(bus.call_begin("fm.invoke", request, stream=True))[0]


def test_an_answer_is_streamed(bus, stub):
    *chunks, response = ask(bus, system="be brief", max_tokens=9)
    assert "".join(chunk["text"] for chunk in chunks) == response["text"] == "漫画はよい"
    assert (response["model_id"], response["stop_reason"]) == ("small", "max_tokens")
    assert response["usage"] == {"input_tokens": 100, "output_tokens": 3} and response["cost_usd_micros"] == 106
    assert [hop["service"] for hop in response["hops"]] == ["fm-invoker", "openai"]
    path, key, body = stub.seen[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer the-key")
    assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "x"}]
    assert body["stream"] and body["stream_options"] == {"include_usage": True} and body["max_tokens"] == 9


def test_many_texts_are_one_request(bus, stub):
    answer = bus.call("fm.embed", {"texts": ["a", "bb", "ccc"]})
    assert [struct.unpack("<2f", v) for v in answer["vectors"]] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    assert (answer["dimension"], answer["model_id"], answer["input_tokens"]) == (2, "vectors", 5)
    assert len(stub.seen) == 1


@pytest.mark.parametrize("model, status, retry_after_ms", [
    ("fail-429", "RESOURCE_EXHAUSTED", 7000), ("fail-401", "UNAUTHENTICATED", 0), ("fail-500", "UNAVAILABLE", 0)])
def test_errors_are_told_in_the_servers_words(bus, model, status, retry_after_ms):
    with pytest.raises(BusError) as caught:
        ask(bus, model=model)
    assert (caught.value.status, caught.value.message) == (status, "as ordered")
    assert caught.value.retry_after_ms == retry_after_ms


def test_a_stream_that_is_cut_is_an_error(bus):
    with pytest.raises(BusError) as caught:
        ask(bus, model="cut")
    assert caught.value.status == "UNAVAILABLE" and "middle" in caught.value.message


def test_a_server_that_is_done_but_does_not_hang_up_has_answered(bus):
    *chunks, response = ask(bus, model="open")
    assert "".join(chunk["text"] for chunk in chunks) == response["text"] == "漫画はよい"
    assert response["usage"] == {"input_tokens": 100, "output_tokens": 3}


def test_a_text_with_a_nul_is_kept_like_any_other(bus):
    assert ask(bus, model="nul")[-1]["text"] == "a b"
    made = bus.call("fm.job.submit", {"job_type": "inference", "prompt": "x", "model": "nul"})
    job = wait_until(lambda: (lambda j: j if j["status"] == "completed" else None)(
        bus.call("fm.job.get", {"job_id": made["job_id"]})), "the job to be done")
    assert job["text"] == "a b"


def test_tokens_that_nobody_can_have_used_cost_nobody_the_day(bus):
    for _ in range(3):
        response = ask(bus, model="greedy", max_tokens=9)[-1]
        assert response["usage"]["input_tokens"] < 100
    assert ask(bus)[-1]["text"] == "漫画はよい"
