"""The old systems from the outside: SOAP in CP932 and REST, written from docs/services/erp-sim.md. Shares no code with
the C programs."""
import base64
import hashlib
import html
import http.client
import json
import os
import re
import datetime
import urllib.parse
import xml.etree.ElementTree as ET

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
INVENTORY = "http://legacy-erp.manga-store.co.jp/inventory/v1"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
ONE_PIECE_42 = "9784000000420"
SHIFT_JIS = "text/xml; charset=Shift_JIS"


def isbn(body):
    """The synthetic ISBN with these eight digits."""
    digits = f"9784{body:08d}"
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits))
    return digits + str(-total % 10)


def username_token(user, password, created=None, nonce=None):
    """A WS-Security header with a digest, as a client of any make would send it."""
    nonce = nonce or os.urandom(16)
    created = created or datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    return (f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"><wsse:UsernameToken>'
            f'<wsse:Username>{user}</wsse:Username><wsse:Password Type="{DIGEST}">{digest}</wsse:Password>'
            f'<wsse:Nonce>{base64.b64encode(nonce).decode()}</wsse:Nonce><wsu:Created>{created}</wsu:Created>'
            '</wsse:UsernameToken></wsse:Security>')


def envelope(operation, *arguments, version=SOAP_11, header=""):
    """The bytes of a request; arguments are (name, value)."""
    inner = "".join(f"<inv:{name}>{html.escape(str(value))}</inv:{name}>" for name, value in arguments)
    text = (f'<?xml version="1.0" encoding="Shift_JIS"?><s:Envelope xmlns:s="{version}" xmlns:inv="{INVENTORY}">'
            f'<s:Header>{header}</s:Header><s:Body><inv:{operation}>{inner}</inv:{operation}></s:Body></s:Envelope>')
    return text.encode("cp932", "xmlcharrefreplace")


class Answer:
    """An answer of the ERP, decoded as CP932: `items`, `values`, `fault` (its ErrorCode) and `side` (Client, …)."""

    def __init__(self, status, body):
        self.status, self.raw = status, body
        self.text = body.decode("cp932")
        root = ET.fromstring(re.sub(r"^<\?xml.*?\?>", "", self.text))
        self.version = root.tag[1:].split("}")[0]
        content = root.find(f"{{{self.version}}}Body")[0]
        self.fault = next((e.text for e in content.iter(f"{{{INVENTORY}}}ErrorCode")), None)
        code = next((e.text for e in content.iter() if e.tag.endswith("}Value") or e.tag == "faultcode"), "")
        self.side = code.split(":")[-1] if self.fault else None
        self.items = [{f.tag.split("}")[-1]: f.text for f in item} for item in content if len(item)]
        self.values = {e.tag.split("}")[-1]: e.text for e in content if not len(e)}


class ErpSim:
    """A running erp-sim on a port of its own choice, without delays unless asked for."""

    def __init__(self, start, env=None):
        self.process = start("erp-sim", env={"MANGABUS_HTTP": "127.0.0.1:0", "MANGABUS_SIM_LATENCY_P99": "0",
                                             **(env or {})})
        self.port = int(self.process.wait_for_line(r'"message":"listening".*?"port":(\d+)')[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def http(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def hurry(self, body, count):
        """The HTTP statuses of so many requests, one after the other on one connection, until one is refused."""
        connection, statuses = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20), []
        while len(statuses) < count and 503 not in statuses:
            connection.request("POST", "/soap/inventory", body, {"Content-Type": SHIFT_JIS})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    def post(self, body, content_type=SHIFT_JIS):
        return Answer(*self.http("POST", "/soap/inventory", body, {"Content-Type": content_type, "SOAPAction": '""'}))

    def ask(self, operation, *arguments, **options):
        return self.post(envelope(operation, *arguments, **options))

    def get(self, path, **query):
        status, body = self.http("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        return status, json.loads(body)

    def stats(self):
        return self.get("/sim/stats")[1]

    def control(self, **changes):
        """Turns the simulator; returns its counts."""
        status, body = self.http("POST", "/sim/control", json.dumps(changes))
        assert status == 200, body
        return json.loads(body)
