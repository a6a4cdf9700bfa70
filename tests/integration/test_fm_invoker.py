"""fm-invoker from outside: broker, PostgreSQL and bedrock-sim are the real ones, the caller is a client of its own."""
import json
import math
import re
import struct
import time

import pytest
from lib import bedrock
from lib.mangabus_client import BusError, unpack
from lib.paths import ROOT
from lib.wait import http_get, wait_until

TOPOLOGY = json.loads((ROOT / "broker/topology.json").read_text())
AI_BUS = "MangaAssist-AI-Events"
SYSTEM = "TASK answer\n"
QUESTION = ('LANGUAGE en\nFACT stock isbn=9784088725093 title="One Piece" volume=42 warehouse=TK01 status=in_stock '
            'quantity=12\nQUESTION "Is Volume 42 of One Piece in stock?"\n')
ANSWER = 'Yes, "One Piece" volume 42 is in stock: 12 copies (12 in TK01).'


def listening_port(process):
    return int(process.wait_for_line(r'"message":"listening",.*"port":(\d+)')[1])


@pytest.fixture
def sim(start):
    process = start("bedrock-sim", env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_SIM_FM_FIRST_TOKEN": "1ms",
                                        "MANGABUS_SIM_FM_TOKENS_PER_S": "100000", "MANGABUS_SIM_FM_EMBED": "0"})
    process.port = listening_port(process)
    return process


class House:
    """A broker with the shipped topology, a database, and fm-invokers."""

    def __init__(self, start, broker, database):
        self.start_process, self.broker, self.database = start, broker, database
        self.client = broker.client()

    def invoker(self, ready=True, **env):
        process = self.start_process("fm-invoker", env={
            "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": self.broker.endpoint, "MANGABUS_DRAIN": "1s",
            "AWS_ACCESS_KEY_ID": bedrock.KEY, "AWS_SECRET_ACCESS_KEY": bedrock.SECRET, **self.database.env, **env})
        process.url = f"http://127.0.0.1:{listening_port(process)}"
        if ready:
            process.wait_ready(process.url)
        return process

    def invoke(self, text=QUESTION, deadline_ms=10000, chunks=True, **request):
        """(texts of the chunks, response)"""
        request = {"system": SYSTEM, "messages": [{"role": "user", "content": text}], **request}
        values, _ = self.client.call_end(self.client.call_begin("fm.invoke", request, deadline_ms, stream=chunks))
        return [v["text"] for v in values[:-1]], values[-1]

    def refused(self, method="fm.invoke", **request):
        with pytest.raises(BusError) as caught:
            if method == "fm.invoke":
                self.invoke(**request)
            else:
                self.client.call(method, request, deadline_ms=10000)
        return caught.value

    def inferences(self):
        """A subscription to InferenceCompleted."""
        return self.client.listen(AI_BUS, pattern=json.dumps({"detail-type": ["InferenceCompleted"]}))

    def details(self, sub, count):
        return [unpack(d["body"])["detail"] for d in self.client.deliveries(sub, count)[:count]]


@pytest.fixture
def house(start, make_broker, database):
    return House(start, make_broker(topology=TOPOLOGY).start(), database)


@pytest.fixture
def ready(house, sim):
    """A house with one invoker that talks to the simulator."""
    house.sim = sim
    house.process = house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}")
    return house


# ---- fm.invoke -----------------------------------------------------------------------------------------
def test_an_answer_is_streamed_and_accounted_for(ready):
    sub = ready.inferences()
    bedrock.control(ready.sim.port, first_token_ms=20, tokens_per_s=200)
    chunks, response = ready.invoke(purpose="answer", session_id="s-1")
    assert len(chunks) > 1 and "".join(chunks) == response["text"] == ANSWER
    assert response["model_id"] == bedrock.HAIKU and response["stop_reason"] == "end_turn"
    usage = response["usage"]
    assert usage["input_tokens"] > 10 and usage["output_tokens"] > 10
    expected = math.ceil((usage["input_tokens"] * 250 + usage["output_tokens"] * 1250) / 1000)
    assert response["cost_usd_micros"] == expected
    assert response["latency_ms"] >= response["first_token_ms"] >= 20
    assert [(h["service"], h["depth"]) for h in response["hops"]] == [("fm-invoker", 0), ("bedrock", 1)]
    detail = ready.details(sub, 1)[0]
    assert detail["inference_id"] == response["inference_id"]
    assert (detail["status"], detail["purpose"], detail["session_id"]) == ("success", "answer", "s-1")
    assert detail["response_summary"] == ANSWER
    assert detail["metrics"]["cost_usd_micros"] == expected
    assert detail["metrics"]["estimated_cost_usd"] == f"{expected / 1e6:.6f}"


def test_a_caller_that_wants_no_chunks_gets_none(ready):
    assert ready.invoke(chunks=False)[0] == []
    chunks, response = ready.invoke(stream=False)
    assert chunks == [] and response["text"] == ANSWER


def test_aliases_and_names_choose_the_model(ready):
    for name, model in {"quality": bedrock.SONNET, "sonnet": bedrock.SONNET, "haiku": bedrock.HAIKU,
                        bedrock.SONNET: bedrock.SONNET}.items():
        assert ready.invoke(model=name)[1]["model_id"] == model
    error = ready.refused(model="gpt-unknown")
    assert error.status == "NOT_FOUND" and "gpt-unknown" in error.message


def test_max_tokens_and_stop_sequences_end_an_answer(ready):
    response = ready.invoke(max_tokens=3)[1]
    assert response["stop_reason"] == "max_tokens" and response["usage"]["output_tokens"] == 3
    assert ANSWER.startswith(response["text"])
    response = ready.invoke(stop_sequences=["volume"])[1]
    assert response["stop_reason"] == "stop_sequence" and response["text"] == 'Yes, "One Piece" '


@pytest.mark.parametrize("request_, path", [
    ({"messages": []}, "request.messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "request.messages[0].role"),
    ({"max_tokens": 0}, "request.max_tokens"),
    ({"temperature": 1.5}, "request.temperature"),
])
def test_a_wrong_request_is_refused_by_path(ready, request_, path):
    error = ready.refused(**request_)
    assert error.status == "INVALID_ARGUMENT" and path in error.message
    assert bedrock.stats(ready.sim.port)["requests"] == 0


def test_what_bedrock_refuses_is_told_by_its_name(ready):
    error = ready.refused(messages=[{"role": "assistant", "content": "I begin"}])
    assert (error.status, error.name) == ("INVALID_ARGUMENT", "ValidationException")


@pytest.mark.parametrize("fault, status, name", [
    ("throttling", "RESOURCE_EXHAUSTED", "ThrottlingException"),
    ("not_ready", "RESOURCE_EXHAUSTED", "ModelNotReadyException"),
    ("unavailable", "UNAVAILABLE", "ServiceUnavailableException"),
    ("internal", "UNAVAILABLE", "InternalServerException"),
    ("access_denied", "PERMISSION_DENIED", "AccessDeniedException"),
])
def test_faults_of_both_models_reach_the_caller_by_name(ready, fault, status, name):
    bedrock.control(ready.sim.port, fault=fault, fault_count=2)
    error = ready.refused()
    assert (error.status, error.name) == (status, name)
    assert (error.retry_after_ms > 0) == (status == "RESOURCE_EXHAUSTED")


def test_the_other_model_answers_while_nothing_was_said(ready):
    sub = ready.inferences()
    bedrock.control(ready.sim.port, fault="unavailable", fault_count=1)
    chunks, response = ready.invoke()
    assert "".join(chunks) == ANSWER
    assert (response["model_id"], response["fallback_from"]) == (bedrock.SONNET, bedrock.HAIKU)
    assert [h["service"] for h in response["hops"]] == ["fm-invoker", "bedrock", "bedrock"]
    first, second = ready.details(sub, 2)
    assert (first["status"], first["model_id"]) == ("error", bedrock.HAIKU)
    assert (second["status"], second["model_id"], second["fallback_from"]) == ("success", bedrock.SONNET, bedrock.HAIKU)


def test_no_model_is_asked_in_place_of_one_that_is_not_to_be_replaced(house, sim):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}", MANGABUS_FM_FALLBACK="false")
    bedrock.control(sim.port, fault="unavailable", fault_count=1)
    assert house.refused().status == "UNAVAILABLE"
    assert bedrock.stats(sim.port)["requests"] == 1


@pytest.mark.parametrize("fault, status", [
    ("stream_throttling", "RESOURCE_EXHAUSTED"), ("stream_error", "UNAVAILABLE"), ("stream_cut", "UNAVAILABLE"),
    ("stream_corrupt", "DATA_LOSS")])
def test_an_answer_that_breaks_off_is_an_error_and_not_begun_anew(ready, fault, status):
    sub = ready.inferences()
    bedrock.control(ready.sim.port, fault=fault, fault_count=1)
    assert ready.refused().status == status
    assert bedrock.stats(ready.sim.port)["requests"] == 1
    detail = ready.details(sub, 1)[0]
    assert detail["status"] == "error" and detail["metrics"]["cost_usd_micros"] > 0


def test_a_deadline_ends_the_request_to_the_model(ready):
    bedrock.control(ready.sim.port, fault="hang", fault_count=2)
    began = time.monotonic()
    assert ready.refused(deadline_ms=600).status == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 5
    wait_until(lambda: bedrock.stats(ready.sim.port)["in_flight"] == 0, "the simulator to see its client go")


def test_a_cancelled_call_ends_the_request_to_the_model(ready):
    bedrock.control(ready.sim.port, fault="hang", fault_count=1)
    number = ready.client.call_begin("fm.invoke", {"messages": [{"role": "user", "content": "x"}]}, 30000)
    wait_until(lambda: bedrock.stats(ready.sim.port)["in_flight"] == 1, "the request to reach the simulator")
    ready.client.cancel(number)
    wait_until(lambda: bedrock.stats(ready.sim.port)["cancelled"] == 1, "the simulator to see its client go")


def test_a_model_that_keeps_failing_is_left_alone(house, sim):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}", MANGABUS_FM_FALLBACK="false")
    bedrock.control(sim.port, fault="unavailable", fault_count=100)
    error = wait_until(lambda: (lambda e: e if e.name == "CircuitOpen" else None)(house.refused()), "the breaker to open")
    assert error.status == "UNAVAILABLE" and error.retry_after_ms > 0
    asked = bedrock.stats(sim.port)["requests"]
    assert house.refused().name == "CircuitOpen"
    assert bedrock.stats(sim.port)["requests"] == asked


def test_the_budget_of_the_day_holds_over_restarts(house, sim):
    env = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://127.0.0.1:{sim.port}"}
    first = house.invoker(MANGABUS_FM_BUDGET_USD="1", **env)
    cost = house.invoke()[1]["cost_usd_micros"]
    wait_until(lambda: house.database.sql("SELECT spent_usd_micros FROM fm_invoker.budget") == [[str(cost)]],
               "the cost to be saved")
    first.stop()
    house.database.sql("UPDATE fm_invoker.budget SET spent_usd_micros = 999999")
    second = house.invoker(MANGABUS_FM_BUDGET_USD="1", **env)
    wait_until(lambda: "mangabus_fm_budget_spent_usd 0.999999" in http_get(f"{second.url}/metrics")[1],
               "the day's cost to be read")
    error = house.refused()
    assert (error.status, error.name) == ("RESOURCE_EXHAUSTED", "BudgetExceeded")
    assert 0 < error.retry_after_ms <= 86400001


def test_metrics_count_calls_tokens_and_cost(ready):
    ready.invoke()
    text = http_get(f"{ready.process.url}/metrics")[1]
    assert f'mangabus_fm_requests_total{{model="{bedrock.HAIKU}",status="OK"}} 1' in text
    assert re.search(r'mangabus_fm_tokens_total\{model="[^"]*",type="output"\} [1-9]', text)
    assert re.search(r'mangabus_fm_cost_usd_total\{model="[^"]*"\} [1-9.]+e-05', text)
    assert "mangabus_fm_time_to_first_token_seconds_count" in text and "mangabus_fm_in_flight 0" in text


# ---- fm.embed ------------------------------------------------------------------------------------------
def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_texts_become_vectors_in_their_order(ready):
    texts = [f"作品 {i}" for i in range(40)] + ["ワンピース", "ワンピース 42巻", "NARUTO"]
    answer = ready.client.call("fm.embed", {"texts": texts}, deadline_ms=20000)
    vectors = [floats(v) for v in answer["vectors"]]
    assert len(vectors) == len(texts) and {len(v) for v in vectors} == {1024} and answer["dimension"] == 1024
    assert all(abs(cosine(v, v) - 1) < 1e-4 for v in vectors)
    alone = floats(ready.client.call("fm.embed", {"texts": ["作品 7"]})["vectors"][0])
    assert cosine(alone, vectors[7]) > 0.9999
    assert cosine(vectors[-3], vectors[-2]) > cosine(vectors[-3], vectors[-1]) + 0.2
    assert answer["model_id"] == bedrock.TITAN and answer["input_tokens"] > 40 and answer["cost_usd_micros"] >= 1
    assert bedrock.stats(ready.sim.port)["in_flight_peak"] <= 8


def test_the_dimension_can_be_chosen(ready):
    answer = ready.client.call("fm.embed", {"texts": ["x"], "dimension": 256})
    assert answer["dimension"] == 256 and len(answer["vectors"][0]) == 1024
    error = ready.refused("fm.embed", texts=["x"], dimension=100)
    assert (error.status, error.name) == ("INVALID_ARGUMENT", "ValidationException")


def test_one_failed_text_fails_the_call_by_name(ready):
    bedrock.control(ready.sim.port, fault="throttling", fault_count=1)
    error = ready.refused("fm.embed", texts=["a"] * 30)
    assert (error.status, error.name) == ("RESOURCE_EXHAUSTED", "ThrottlingException") and error.retry_after_ms > 0
    assert ready.client.call("fm.embed", {"texts": ["a"] * 30})["dimension"] == 1024


def test_one_call_at_a_time_is_enough_for_vectors(house, sim):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}", MANGABUS_FM_CONCURRENCY="1")
    for _ in range(3):
        assert house.client.call("fm.embed", {"texts": ["a"]})["dimension"] == 1024


# ---- jobs and queues -----------------------------------------------------------------------------------
def job_when(house, job_id, status):
    def job():
        try:
            found = house.client.call("fm.job.get", {"job_id": job_id})
        except BusError as error:
            assert error.status == "NOT_FOUND"  # its message has not been taken yet
            return None
        return found if found["status"] == status else None

    return wait_until(job, f"job {job_id} to be {status}")


def test_a_job_is_done_and_its_result_kept(ready):
    made = ready.client.call("fm.job.submit", {"job_type": "inference", "prompt": QUESTION, "idempotency_key": "k",
                                               "priority": "high"})
    assert made["created"] and made["queue"] == "manga-fm-high-priority"
    job = job_when(ready, made["job_id"], "completed")
    assert job["text"] == ANSWER and job["items_succeeded"] == 1 and job["usage"]["output_tokens"] > 0
    again = ready.client.call("fm.job.submit", {"job_type": "inference", "prompt": QUESTION, "idempotency_key": "k"})
    assert again["job_id"] == made["job_id"] and not again["created"] and again["queue"] == made["queue"]
    assert bedrock.stats(ready.sim.port)["streamed"] == 1


def test_a_message_from_elsewhere_is_done_once(ready):
    for _ in range(3):
        ready.client.send("manga-fm-normal", {"request_id": "from-a-partner", "prompt": QUESTION})
    job_when(ready, "from-a-partner", "completed")
    wait_until(lambda: (lambda q: q["visible"] + q["in_flight"] == 0)(ready.client.queue_info("manga-fm-normal")),
               "the queue to be empty")
    assert bedrock.stats(ready.sim.port)["streamed"] == 1


def test_a_bad_message_is_rejected_with_the_path(ready):
    ready.client.send("manga-fm-normal", {"request_id": "x", "prompt": ""})
    sub = ready.client.consume("manga-fm-dlq")
    dead = ready.client.deliveries(sub, 1)[0]
    assert dead["attrs"]["DeadLetterReason"] == "rejected" and "body.prompt" in dead["attrs"]["DeadLetterDetail"]


def test_a_message_waits_out_a_throttled_model(ready):
    bedrock.control(ready.sim.port, fault="throttling", fault_count=2)
    ready.client.send("manga-fm-normal", {"request_id": "patient", "prompt": QUESTION})
    assert job_when(ready, "patient", "completed")["text"] == ANSWER


def test_a_message_waits_in_hand_while_no_model_can_be_asked(house, sim):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}", MANGABUS_FM_CONCURRENCY="1",
                  MANGABUS_FM_FALLBACK="false")
    bedrock.control(sim.port, fault="hang", fault_count=1)
    busy = house.client.call_begin("fm.invoke", {"system": SYSTEM, "messages": [{"role": "user", "content": QUESTION}]},
                                   7000, stream=True)
    wait_until(lambda: bedrock.stats(sim.port)["requests"] > 0, "the one call to be under way")
    house.client.send("manga-fm-normal", {"request_id": "patient", "prompt": QUESTION})
    with pytest.raises(BusError):
        house.client.call_end(busy, timeout_s=20)
    assert job_when(house, "patient", "completed")["text"] == ANSWER
    info = house.client.queue_info("manga-fm-dlq")
    assert info["visible"] + info["in_flight"] == 0


def test_a_prompt_that_no_model_takes_fails_its_job(ready):
    ready.client.send("manga-fm-normal", {"request_id": "hopeless", "prompt": "x", "model_id": "no-such-model"})
    assert "no-such-model" in job_when(ready, "hopeless", "failed")["error"]
    assert len(ready.client.deliveries(ready.client.consume("manga-fm-dlq"), 1)) == 1


def test_a_job_can_be_given_up(ready):
    bedrock.control(ready.sim.port, fault="hang", fault_count=1)
    made = ready.client.call("fm.job.submit", {"job_type": "inference", "prompt": QUESTION})
    job_when(ready, made["job_id"], "processing")
    assert ready.client.call("fm.job.cancel", {"job_id": made["job_id"]})["status"] == "cancelled"
    assert ready.client.call("fm.job.get", {"job_id": made["job_id"]})["status"] == "cancelled"


def test_jobs_of_kinds_that_are_not_done_say_so(ready):
    submit = {"job_type": "inference", "prompt": "x"}
    for more, name in [({"job_type": "batch_analysis"}, "batch_analysis"), ({"message_group_id": "g"}, "message_group_id"),
                       ({"callback_url": "https://example.org/x"}, "callback_url")]:
        error = ready.refused("fm.job.submit", **{**submit, **more})
        assert error.status == "UNIMPLEMENTED" and name in error.message
    assert ready.refused("fm.job.get", job_id="nobody").status == "NOT_FOUND"
    assert ready.refused("fm.job.cancel", job_id="nobody").status == "NOT_FOUND"


# ---- the process ---------------------------------------------------------------------------------------
def test_a_wrong_secret_is_told_by_bedrocks_name(house, sim):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://127.0.0.1:{sim.port}", AWS_SECRET_ACCESS_KEY="wrong")
    error = house.refused()
    assert (error.status, error.name) == ("UNAUTHENTICATED", "InvalidSignatureException")


def test_nobody_at_the_endpoint_is_unavailable(house):
    house.invoker(AWS_ENDPOINT_URL_BEDROCK_RUNTIME="http://127.0.0.1:1")
    assert house.refused().status == "UNAVAILABLE"


@pytest.mark.parametrize("env, named", [
    ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "AWS_ACCESS_KEY_ID"),
    ({"MANGABUS_FM_PRICES": "model"}, "MANGABUS_FM_PRICES"),
    ({"MANGABUS_FM_MODEL_DEFAULT": "nothing"}, "MANGABUS_FM_MODEL_DEFAULT"),
    ({"MANGABUS_FM_QUEUES": "manga-erp-update"}, "MANGABUS_FM_QUEUES"),
])
def test_a_wrong_configuration_ends_it_by_name(house, env, named):
    process = house.start_process("fm-invoker", env={
        "MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_ENDPOINT": house.broker.endpoint, "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s", **house.database.env, **env})
    assert process.wait() == 78
    assert named in process.log()


def test_two_invokers_share_the_calls(house, sim):
    env = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://127.0.0.1:{sim.port}"}
    for _ in range(2):
        house.invoker(**env)
    bedrock.control(sim.port, first_token_ms=200)
    request = {"messages": [{"role": "user", "content": "x"}]}
    numbers = [house.client.call_begin("fm.invoke", request) for _ in range(6)]
    assert len({house.client.call_end(number)[1]["worker"] for number in numbers}) == 2
