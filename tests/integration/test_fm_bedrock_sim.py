"""bedrock-sim from outside, by a client that was written from AWS's documents: its protocol is Bedrock's."""
import datetime
import json
import math
import re
import socket
import subprocess
import time

import pytest
from lib import bedrock
from lib.bedrock import HAIKU, SONNET, TITAN, ask, invoke, stream
from lib.packages import INSTALL_TIMEOUT_S, run_with
from lib.paths import bin_dir
from lib.process import clean_environment
from lib.wait import http_get, wait_until

FACTS = ('FACT stock isbn=9784088725093 title="ワンピース" volume=42 warehouse=TK01 status=in_stock quantity=12 '
         'price_jpy=1528\n'
         'FACT stock isbn=9784088725093 title="ワンピース" volume=42 warehouse=OS01 status=low_stock quantity=3\n')
QUESTION = 'QUESTION "ワンピース 42巻の在庫はありますか？"\n'
JAPANESE = "「ワンピース」42巻は在庫がございます（合計15冊、TK01に12冊、OS01に3冊）。価格は1,528円です。"


@pytest.fixture
def run(start):
    def run_sim(**env):
        process = start("bedrock-sim", env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_SIM_FM_FIRST_TOKEN": "0",
                                            "MANGABUS_SIM_FM_TOKENS_PER_S": "100000", "MANGABUS_SIM_FM_EMBED": "0",
                                            **env})
        return int(process.wait_for_line(r'"message":"listening",.*"port":(\d+)')[1])

    return run_sim


@pytest.fixture
def port(run):
    return run()


def text_of(answer):
    assert answer.status == 200, answer.body
    return answer.json["content"][0]["text"]


def told(port, facts, question="QUESTION \"x\"\n", language="ja"):
    return text_of(invoke(port, HAIKU, ask(f"LANGUAGE {language}\n{facts}{question}", "TASK answer\n")))


def refused(answer, status, name, part=""):
    assert (answer.status, answer.error) == (status, name), answer.body
    assert part in answer.json["message"]


# ---- answers -------------------------------------------------------------------------------------------
def test_an_answer_is_made_of_the_facts(port):
    answer = invoke(port, HAIKU, ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n"))
    assert text_of(answer) == JAPANESE
    body = answer.json
    assert (body["type"], body["role"], body["stop_reason"]) == ("message", "assistant", "end_turn")
    assert body["id"].startswith("msg_bdrk_") and body["stop_sequence"] is None
    assert answer.headers["x-amzn-bedrock-input-token-count"] == str(body["usage"]["input_tokens"])
    assert answer.headers["x-amzn-bedrock-output-token-count"] == str(body["usage"]["output_tokens"])


@pytest.mark.parametrize("facts, language, expected", [
    (FACTS, "en", 'Yes, "ワンピース" volume 42 is in stock: 15 copies (12 in TK01, 3 in OS01). The price is ¥1,528.'),
    ("FACT stock isbn=1 title=X volume=1 status=out_of_stock quantity=0 eta_days=5\n", "ja",
     "「X」1巻は申し訳ございませんが、ただいま在庫切れです。入荷は約5日後の予定です。"),
    ("FACT stock isbn=1 title=X volume=1 status=out_of_stock quantity=0 eta_days=1\n", "en",
     'I am sorry, "X" volume 1 is out of stock at the moment. It is expected in about 1 day.'),
    ("FACT stock isbn=1 title=X status=preorder\n", "ja", "「X」は予約を受け付けております。"),
    ("FACT stock isbn=1 title=X status=in_stock quantity=1 stale_minutes=7\n", "en",
     'Yes, "X" is in stock: 1 copy. The stock figure is about 7 minutes old.'),
    ("FACT price isbn=1 title=X volume=2 price_jpy=528\n", "ja", "「X」2巻の価格は528円です。"),
    ("FACT order order_id=ORD-1 status=shipped eta_days=2 total_jpy=12340\n", "ja",
     "ご注文 ORD-1 は発送済みです。お届けまで約2日です。合計は12,340円です。"),
    ("FACT order order_id=ORD-2 status=packed expected_on=2026-01-02\n", "en",
     "Your order ORD-2 is packed. It should arrive on 2026-01-02."),
    ("FACT none what=orders\n", "ja", "申し訳ございませんが、該当するご注文は見つかりませんでした。"),
    ("FACT missing what=orders\n", "en", "I am sorry, the orders could not be looked up just now."),
    ("FACT missing what=stock\n", "ja", "申し訳ございません。ただいま在庫情報を確認できません。"),
    ("FACT none what=book\n", "en", "I am sorry, no matching book was found."),
    ("FACT book isbn=1 title=X volume=1 creators=\"A B\" price_jpy=500\nFACT book isbn=2 title=Y\n", "en",
     'What comes closest: "X" volume 1 (A B, ¥500); "Y".'),
    ("FACT policy topic=shipping text=\"送料は無料です。\"\n", "ja", "送料は無料です。"),
])
def test_each_kind_of_fact_has_its_sentence(port, facts, language, expected):
    assert told(port, facts, language=language) == expected


def test_what_no_fact_says_is_not_said(port):
    assert "情報がございません" in told(port, "", QUESTION)
    assert "stand-in" in text_of(invoke(port, HAIKU, ask("Write me a poem about autumn.")))


@pytest.mark.parametrize("question, intent", [
    ("ワンピース 42巻の在庫はありますか？", {"intent": "inventory_check", "title": "ワンピース", "volume": 42}),
    ("Is Volume 42 of One Piece in stock?", {"intent": "inventory_check", "title": "one piece", "volume": 42}),
    ("鬼滅の刃 ５巻はいくら", {"intent": "price", "title": "鬼滅の刃", "volume": 5}),
    ("「寄生獣」に似た作品", {"intent": "recommendation", "title": "寄生獣"}),
    ("my order ORD-17 has not arrived", {"intent": "order_status"}),
    ("?", {"intent": "other"}),
])
def test_a_question_is_classified_among_what_is_offered(port, question, intent):
    names = ("inventory_check", "price", "recommendation", "order_status", "search", "other")
    system = "TASK classify\n" + "".join(f'INTENT {name} "…"\n' for name in names)
    found = json.loads(text_of(invoke(port, HAIKU, ask("QUESTION " + json.dumps(question), system))))
    assert 0 <= found.pop("confidence") <= 1
    assert found == intent


# ---- streams -------------------------------------------------------------------------------------------
def test_a_stream_is_frames_of_the_models_events(port):
    answer = stream(port, SONNET, ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n"))
    assert answer.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert {(h[":message-type"], h[":event-type"], h[":content-type"]) for h, _ in answer.frames} == \
        {("event", "chunk", "application/json")}
    kinds = [event["type"] for event in answer.events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(e["delta"]["text"] for e in answer.events if e["type"] == "content_block_delta") == JAPANESE
    metrics = answer.events[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == answer.events[-2]["usage"]["output_tokens"]
    assert metrics["inputTokenCount"] == answer.events[0]["message"]["usage"]["input_tokens"]


def test_a_stream_keeps_its_pace(run):
    port = run(MANGABUS_SIM_FM_FIRST_TOKEN="100ms", MANGABUS_SIM_FM_TOKENS_PER_S="100")
    began = time.monotonic()
    answer = stream(port, HAIKU, ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n"))
    tokens = answer.events[-2]["usage"]["output_tokens"]
    assert time.monotonic() - began >= 0.1 + (tokens - 2) / 100
    assert answer.events[-1]["amazon-bedrock-invocationMetrics"]["firstByteLatency"] >= 100
    assert sum(e["type"] == "content_block_delta" for e in answer.events) >= 5


def test_max_tokens_and_stop_sequences_cut(port):
    body = ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n")
    answer = invoke(port, HAIKU, {**body, "max_tokens": 4}).json
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("max_tokens", 4)
    assert answer["content"][0]["text"] == JAPANESE[:4]
    answer = invoke(port, HAIKU, {**body, "stop_sequences": ["価格", "合計"]}).json
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "合計")
    assert answer["content"][0]["text"] == JAPANESE[:JAPANESE.index("合計")]


# ---- embeddings ----------------------------------------------------------------------------------------
def embed(port, text, **more):
    answer = invoke(port, TITAN, {"inputText": text, **more})
    assert answer.status == 200, answer.body
    return answer.json["embedding"]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_similar_titles_are_near_and_others_are_not(port):
    one, full, volume, other = (embed(port, t) for t in ("ワンピース", "ﾜﾝﾋﾟｰｽ", "ワンピース 42巻", "進撃の巨人"))
    assert cosine(one, full) > 0.9999  # NFKC
    assert cosine(one, volume) > 0.5 > 0.2 > abs(cosine(one, other))
    assert cosine(embed(port, "NARUTO"), embed(port, "naruto ")) > 0.9999


@pytest.mark.parametrize("dimension", [1024, 512, 256])
def test_vectors_have_the_dimension_and_length_asked_for(port, dimension):
    vector = embed(port, "ワンピース", dimensions=dimension)
    assert len(vector) == dimension and abs(math.hypot(*vector) - 1) < 1e-5
    assert abs(math.hypot(*embed(port, "ワンピース", dimensions=dimension, normalize=False)) - 1) > 0.1


def test_embedding_types_are_given_by_type(port):
    answer = invoke(port, TITAN, {"inputText": "x", "embeddingTypes": ["binary"], "dimensions": 256}).json
    assert "embedding" not in answer and set(answer["embeddingsByType"]["binary"]) <= {0, 1}
    assert len(invoke(port, "amazon.titan-embed-text-v1", {"inputText": "x"}).json["embedding"]) == 1536


# ---- who may ask ---------------------------------------------------------------------------------------
def test_signatures_are_verified_over_the_bytes_on_the_wire(port):
    body = ask("x")
    assert invoke(port, HAIKU, body).status == 200
    raw = f"/model/{HAIKU}/invoke"  # with its colon as it is, signed so
    assert invoke(port, HAIKU, body, path=raw).status == 200
    refused(invoke(port, HAIKU, body, secret="wrong"), 403, "InvalidSignatureException")
    refused(invoke(port, HAIKU, body, key="NOBODY"), 403, "UnrecognizedClientException")
    refused(invoke(port, HAIKU, body, region="us-east-1"), 403, "InvalidSignatureException", "ap-northeast-1")
    refused(invoke(port, HAIKU, body, service="bedrock-runtime"), 403, "InvalidSignatureException", "bedrock")
    refused(invoke(port, HAIKU, body, token="a token"), 403, "UnrecognizedClientException")
    hour_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    refused(invoke(port, HAIKU, body, when=hour_ago), 403, "InvalidSignatureException", "15 minutes")
    refused(bedrock.request(port, "POST", raw, b"{}"), 403, "MissingAuthenticationTokenException")
    refused(bedrock.request(port, "POST", raw, b"{}", {"Authorization": "AWS4-HMAC-SHA256 nonsense"}), 403,
            "IncompleteSignatureException")


def test_a_changed_body_or_path_is_refused(port):
    path, data = f"/model/{HAIKU}/invoke", json.dumps(ask("x")).encode()
    headers = bedrock.sign("POST", path, {"Host": f"127.0.0.1:{port}"}, data)
    assert bedrock.request(port, "POST", path, data, headers).status == 200
    refused(bedrock.request(port, "POST", path, data + b" ", headers), 403, "InvalidSignatureException")
    refused(bedrock.request(port, "POST", path.replace(":", "%3A"), data, headers), 403, "InvalidSignatureException")
    refused(bedrock.request(port, "POST", path + "?x=1", data, headers), 403, "InvalidSignatureException")
    refused(bedrock.request(port, "POST", path, data, {**headers, "Host": "localhost"}), 403,
            "InvalidSignatureException")


def test_temporary_credentials_need_their_token(run):
    port = run(AWS_SESSION_TOKEN="the token")
    assert invoke(port, HAIKU, ask("x"), token="the token").status == 200
    refused(invoke(port, HAIKU, ask("x"), token="another"), 403, "UnrecognizedClientException")
    refused(invoke(port, HAIKU, ask("x")), 403, "UnrecognizedClientException")


# ---- bad input -----------------------------------------------------------------------------------------
GOOD = ask("x")


@pytest.mark.parametrize("body, part", [
    (b"", "Malformed"), (b"{", "Malformed"), (b"[]", "object"), (b"\xff", "Malformed"),
    ({k: v for k, v in GOOD.items() if k != "anthropic_version"}, "anthropic_version"),
    ({**GOOD, "anthropic_version": "2023"}, "bedrock-2023-05-31"),
    ({k: v for k, v in GOOD.items() if k != "max_tokens"}, "max_tokens"),
    ({**GOOD, "max_tokens": 0}, "max_tokens"), ({**GOOD, "max_tokens": "9"}, "max_tokens"),
    ({k: v for k, v in GOOD.items() if k != "messages"}, "messages"),
    ({**GOOD, "messages": []}, "at least one"), ({**GOOD, "messages": [1]}, "role"),
    ({**GOOD, "messages": [{"role": "user"}]}, "content"), ({**GOOD, "messages": [{"role": "user", "content": ""}]}, "non-empty"),
    ({**GOOD, "messages": [{"role": "system", "content": "x"}]}, "role"),
    ({**GOOD, "messages": [{"role": "assistant", "content": "x"}]}, "first message"),
    ({**GOOD, "messages": [{"role": "user", "content": [{"text": "x"}]}]}, "type"),
    ({**GOOD, "temperature": 2}, "temperature"), ({**GOOD, "top_p": -1}, "top_p"), ({**GOOD, "top_k": 1.5}, "top_k"),
    ({**GOOD, "stop_sequences": "x"}, "stop_sequences"), ({**GOOD, "stop_sequences": [""]}, "stop_sequences"),
    ({**GOOD, "model": "x"}, "extraneous key [model]"), ({**GOOD, "stream": True}, "extraneous key [stream]"),
    ({**GOOD, "messages": [{"role": "user", "content": "漫" * 200001}]}, "too long"),
])
def test_what_claude_would_not_take_is_refused(port, body, part):
    refused(invoke(port, HAIKU, body), 400, "ValidationException", part)
    refused(stream(port, HAIKU, body), 400, "ValidationException", part)


@pytest.mark.parametrize("body, part", [
    ({}, "inputText"), ({"inputText": ""}, "inputText"), ({"inputText": "x", "dimensions": 100}, "dimensions"),
    ({"inputText": "x", "dimensions": "256"}, "dimensions"), ({"inputText": "x", "normalize": 1}, "normalize"),
    ({"inputText": "x", "embeddingTypes": []}, "embeddingTypes"), ({"inputText": "x", "extra": 1}, "extra"),
    ({"inputText": "漫" * 8193}, "8192"), ({"inputText": "a" * 50001}, "50000"),
])
def test_what_titan_would_not_take_is_refused(port, body, part):
    refused(invoke(port, TITAN, body), 400, "ValidationException", part)


def test_unknown_models_operations_and_paths_are_refused(port):
    refused(invoke(port, "anthropic.claude-9", GOOD), 404, "ResourceNotFoundException")
    refused(invoke(port, HAIKU, GOOD, "converse"), 404, "UnknownOperationException")
    refused(stream(port, TITAN, {"inputText": "x"}), 400, "ValidationException", "streaming")
    assert invoke(port, "apac." + SONNET, GOOD).status == 200
    arn = f"arn:aws:bedrock:ap-northeast-1:123456789012:inference-profile/apac.{SONNET}"
    assert invoke(port, arn, GOOD).status == 200
    assert bedrock.request(port, "GET", f"/model/{HAIKU}/invoke").status == 405
    assert bedrock.request(port, "GET", "/nothing").status == 404


def test_a_body_over_the_limit_is_refused_and_nothing_else_suffers(port):
    refused(invoke(port, HAIKU, b" " * 25_000_001), 413, "RequestEntityTooLargeException")
    assert invoke(port, HAIKU, GOOD).status == 200


# ---- rate, faults, control -----------------------------------------------------------------------------
def test_a_rate_is_held(port):
    bedrock.control(port, rate_per_s=10)
    answers = [invoke(port, HAIKU, GOOD) for _ in range(40)]
    let_in = sum(a.status == 200 for a in answers)
    assert 1 <= let_in < 40
    for answer in answers:
        if answer.status != 200:
            refused(answer, 429, "ThrottlingException")
    assert bedrock.stats(port)["refused"]["ThrottlingException"] == 40 - let_in


@pytest.mark.parametrize("fault, status, name", [
    ("throttling", 429, "ThrottlingException"), ("not_ready", 429, "ModelNotReadyException"),
    ("internal", 500, "InternalServerException"), ("unavailable", 503, "ServiceUnavailableException"),
    ("timeout", 408, "ModelTimeoutException"), ("model_error", 424, "ModelErrorException"),
    ("access_denied", 403, "AccessDeniedException"), ("quota", 400, "ServiceQuotaExceededException")])
def test_faults_come_as_often_as_ordered(port, fault, status, name):
    bedrock.control(port, fault=fault, fault_count=2, fault_model="haiku")
    assert invoke(port, SONNET, GOOD).status == 200
    refused(invoke(port, HAIKU, GOOD), status, name)
    refused(stream(port, HAIKU, GOOD), status, name)
    assert invoke(port, HAIKU, GOOD).status == 200


def test_faults_in_mid_stream_are_what_they_are_on_the_wire(port):
    body = ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n")
    bedrock.control(port, tokens_per_s=500, fault="stream_throttling")
    headers, payload = stream(port, HAIKU, body).frames[-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "throttlingException")
    assert "message" in json.loads(payload)
    bedrock.control(port, fault="stream_cut")
    with pytest.raises(Exception, match="cut frame|unpack|checksum"):
        _ = stream(port, HAIKU, body).frames
    bedrock.control(port, fault="stream_corrupt")
    with pytest.raises(AssertionError, match="message checksum"):
        _ = stream(port, HAIKU, body).frames


def test_a_client_that_goes_away_is_noticed(run):
    port = run(MANGABUS_SIM_FM_TOKENS_PER_S="1")
    data = json.dumps(ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n")).encode()
    path = f"/model/{HAIKU}/invoke-with-response-stream"
    headers = bedrock.sign("POST", path, {"Host": "x"}, data)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        connection.sendall(f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    wait_until(lambda: bedrock.stats(port)["cancelled"] == 1, "the client's end to be noticed")
    assert bedrock.stats(port)["in_flight"] == 0


@pytest.mark.parametrize("settings, part", [
    (b"", "error"), (b"[]", "object"), (b'{"fault":"nothing"}', "fault"), (b'{"rate_per_s":-1}', "rate_per_s"),
    (b'{"tokens_per_s":0}', "tokens_per_s"), (b'{"latency":1}', "latency"), (b'{"fault_model":1}', "fault_model")])
def test_a_wrong_control_changes_nothing(port, settings, part):
    before = {k: v for k, v in bedrock.stats(port).items() if k != "refused"}
    answer = bedrock.request(port, "POST", "/sim/control", settings)
    assert answer.status == 400 and (part in answer.json["message"] or part == "error")
    assert {k: v for k, v in bedrock.stats(port).items() if k != "refused"} == before


def test_metrics_count_what_became_of_requests(port):
    before = bedrock.stats(port)
    status, text = http_get(f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    counted = dict(re.findall(r'^mangabus_sim_requests_total\{outcome="(\w+)"\} (\d+)$', text, re.MULTILINE))
    assert {name: int(counted[name]) for name in ("invoked", "streamed", "embedded", "cancelled")} == {
        name: before[name] for name in ("invoked", "streamed", "embedded", "cancelled")}
    assert int(counted["refused"]) == sum(before["refused"].values())


# ---- the program ---------------------------------------------------------------------------------------
def program(*arguments, **env):
    return subprocess.run([bin_dir() / "bedrock-sim", *arguments], env=clean_environment(env), capture_output=True,
                          text=True, check=False, timeout=20)


def test_its_verbs(port):
    assert program("healthcheck", MANGABUS_HTTP=f"127.0.0.1:{port}").returncode == 0
    assert program("healthcheck", MANGABUS_HTTP="127.0.0.1:1").returncode == 1
    assert program("--version").stdout.startswith("bedrock-sim ")
    assert "MANGABUS_SIM_FM_RATE" in program("--help").stdout
    assert program("--nonsense").returncode == 64
    assert program(MANGABUS_HTTP="nowhere").returncode == 78
    assert program(MANGABUS_SIM_FM_RATE="many").returncode == 78


BOTOCORE = """
import json, sys
import botocore.session
port, region, key, secret, model, body = sys.argv[1:]
client = botocore.session.get_session().create_client(
    "bedrock-runtime", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
    endpoint_url=f"http://127.0.0.1:{port}")
answer = json.loads(client.invoke_model(modelId=model, body=body)["body"].read())
events = [json.loads(event["chunk"]["bytes"])
          for event in client.invoke_model_with_response_stream(modelId=model, body=body)["body"]]
try:
    client.invoke_model(modelId="anthropic.claude-9", body=body)
    error = None
except client.exceptions.ResourceNotFoundException as caught:
    error = caught.response["Error"]["Code"]
pieces = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
print(json.dumps([answer["content"][0]["text"], "".join(pieces), error]))
"""


@pytest.mark.timeout(INSTALL_TIMEOUT_S + 120)
def test_the_sdk_of_aws_finds_nothing_strange(port):
    """botocore's own signer (with its %3A paths), parser and error names."""
    body = json.dumps(ask(f"LANGUAGE ja\n{FACTS}{QUESTION}", "TASK answer\n"))
    said = run_with("botocore", BOTOCORE, port, bedrock.REGION, bedrock.KEY, bedrock.SECRET, HAIKU, body)
    assert json.loads(said) == [JAPANESE, JAPANESE, "ResourceNotFoundException"]
