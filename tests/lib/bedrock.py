"""Bedrock's runtime from the outside, written from AWS's documents: signs, asks, reads event streams. Shares no code
with the C programs."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import struct
import urllib.parse
import zlib

KEY, SECRET, REGION = "MANGABUSDEMO", "mangabus-demo-secret", "ap-northeast-1"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(method, path, headers, body, key=KEY, secret=SECRET, region=REGION, service="bedrock", token="", when=None):
    """The headers with X-Amz-Date, X-Amz-Security-Token and Authorization added. `path` is as on the wire."""
    when = when or datetime.datetime.now(datetime.timezone.utc)
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    headers = {**headers, "X-Amz-Date": stamp}
    if token:
        headers["X-Amz-Security-Token"] = token
    names = sorted(name.lower() for name in headers)
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    bare, _, query = path.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join([
        method, urllib.parse.quote(bare, safe="/-_.~"),
        "&".join(f"{urllib.parse.quote(n, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for n, v in pairs),
        *(f"{name}:{lower[name]}" for name in names), "", ";".join(names), hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        signing = _hmac(signing, part)
    signature = _hmac(signing, text).hex()
    headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, "
                                f"Signature={signature}")
    return headers


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return (self.headers.get("x-amzn-errortype") or "").split(":")[0]

    @property
    def frames(self):
        return list(frames(self.body))

    @property
    def events(self):
        """The model's events out of the frames."""
        return [json.loads(base64.b64decode(json.loads(payload)["bytes"])) for headers, payload in self.frames
                if headers[":message-type"] == "event"]


def frames(data):
    """(headers, payload) of each frame; asserts on every checksum. Headers of type string only, as Bedrock's are."""
    while data:
        total, header_bytes, crc = struct.unpack(">III", data[:12])
        assert zlib.crc32(data[:8]) == crc, "prelude checksum"
        assert len(data) >= total, "cut frame"
        assert zlib.crc32(data[:total - 4]) == struct.unpack(">I", data[total - 4:total])[0], "message checksum"
        raw, headers = data[12:12 + header_bytes], {}
        while raw:
            name = raw[1:1 + raw[0]].decode()
            raw = raw[1 + raw[0]:]
            assert raw[0] == 7, "string header"
            size = struct.unpack(">H", raw[1:3])[0]
            headers[name] = raw[3:3 + size].decode()
            raw = raw[3 + size:]
        yield headers, data[12 + header_bytes:total - 4]
        data = data[total:]


def request(port, method, path, body=b"", headers=None, timeout_s=20):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def invoke(port, model, body, operation="invoke", path=None, **options):
    """A signed request; options as of sign()."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = path or f"/model/{urllib.parse.quote(model, safe='')}/{operation}"
    headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json"}
    return request(port, "POST", path, data, sign("POST", path, headers, data, **options))


def stream(port, model, body, **options):
    return invoke(port, model, body, "invoke-with-response-stream", **options)


def ask(text, system=None, **more):
    """A Claude body."""
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 400,
            "messages": [{"role": "user", "content": text}], **more}
    if system is not None:
        body["system"] = system
    return body


def control(port, **settings):
    answer = request(port, "POST", "/sim/control", json.dumps(settings).encode())
    assert answer.status == 200, answer.body
    return answer.json


def stats(port):
    return request(port, "GET", "/sim/stats").json
