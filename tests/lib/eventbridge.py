"""A PutEvents endpoint that a test scripts: it verifies signatures (AWS's rules, written anew in lib.bedrock) and keeps
what it was sent."""
import datetime
import http.server
import json
import re
import threading

from lib import bedrock
from lib.wait import wait_until

KEY, SECRET, REGION = "AKIDBRIDGE", "bridge-secret/with+signs", "ap-northeast-1"
ENTRY_NAMES = {"Source", "DetailType", "Detail", "EventBusName", "Time", "TraceHeader", "Resources"}


class Request:
    """One PutEvents request; `complaints` is what AWS would have refused it for."""

    def __init__(self, handler, body):
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body
        self.path = handler.path
        self.complaints = list(self._check())
        self.entries = json.loads(body)["Entries"]

    def _check(self):
        if self.path != "/" or self.headers.get("x-amz-target") != "AWSEvents.PutEvents":
            yield f"not PutEvents: {self.path} {self.headers.get('x-amz-target')}"
        if self.headers.get("content-type") != "application/x-amz-json-1.1":
            yield f"content type {self.headers.get('content-type')}"
        yield from self._check_signature()
        for entry in json.loads(self.body)["Entries"]:
            if set(entry) - ENTRY_NAMES or not isinstance(json.loads(entry["Detail"]), dict):
                yield f"entry shape: {sorted(entry)}"

    def _check_signature(self):
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                             r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                             self.headers.get("authorization", ""))
        if not found:
            yield f"authorization: {self.headers.get('authorization')}"
            return
        key, _, region, service, signed, _ = found.groups()
        names = signed.split(";")
        if (key, region, service) != (KEY, REGION, "events") or not {"host", "x-amz-date"} <= set(names):
            yield f"scope {key} {region} {service}, signed {names}"
        when = datetime.datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        kept = {name: self.headers[name] for name in names
                if name not in ("x-amz-date", "x-amz-security-token")}
        again = bedrock.sign("POST", "/", kept, self.body, KEY, SECRET, REGION, "events", when=when,
                             token=self.headers.get("x-amz-security-token", ""))
        if again["Authorization"].rsplit("=", 1)[1] != found[6]:
            yield "signature"


class EventBridge:
    """answer(request) -> (HTTP status, JSON value, headers) or None to hang up; settable between requests."""

    def __init__(self):
        self.requests = []
        self.answer = self.accept
        self.gate = threading.Event()  # a request waits for it before it is answered
        self.gate.set()
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = Request(self, self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.requests.append(request)
                outer.gate.wait(60)
                answer = outer.answer(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, value, headers = (*answer, {})[:3]
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    for name, text in headers.items():
                        self.send_header(name, text)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the bridge was killed meanwhile

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def accept(request):
        return 200, {"FailedEntryCount": 0, "Entries": [{"EventId": f"e{n}"} for n in range(len(request.entries))]}

    @staticmethod
    def entrywise(judge):
        """An answer made of judge(detail) for every entry: None is accepted, else (code, message)."""

        def answer(request):
            verdicts = [judge(json.loads(entry["Detail"])) for entry in request.entries]
            return 200, {"FailedEntryCount": sum(map(bool, verdicts)), "Entries": [
                {"ErrorCode": v[0], "ErrorMessage": v[1]} if v else {"EventId": "e"} for v in verdicts]}

        return answer

    @staticmethod
    def failure(status, kind, message="no", **headers):
        return lambda _: (status, {"__type": kind, "message": message}, {"x-amzn-errortype": kind, **headers})

    def entries(self):
        with self.lock:
            return [entry for request in self.requests for entry in request.entries]

    def details(self):
        return [json.loads(entry["Detail"]) for entry in self.entries()]

    def wait_entries(self, count, timeout_s=20):
        return wait_until(lambda: len(self.entries()) >= count and self.entries(), f"{count} entries at EventBridge",
                          timeout_s)

    def wait_requests(self, count, timeout_s=20):
        return wait_until(lambda: len(self.requests) >= count and self.requests, f"{count} requests at EventBridge",
                          timeout_s)

    def complaints(self):
        return [complaint for request in self.requests for complaint in request.complaints]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
