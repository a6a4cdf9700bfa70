"""The whole house for end-to-end tests: broker, simulators, every service, on free ports over a private database."""
import json
import re
import subprocess
from pathlib import Path

from lib.erp import ErpSim
from lib.mangabus_client import Client
from lib.paths import bin_dir, patience, services
from lib.process import Process, clean_environment
from lib.wait import http_get

SERVICES = tuple(services())
SIMULATORS = ("erp-sim", "bedrock-sim")
DRAIN_S = 10
# What the stand-ins take their time for is not what these tests are about.
QUICK_MODEL = {"MANGABUS_SIM_FM_FIRST_TOKEN": "30ms", "MANGABUS_SIM_FM_TOKENS_PER_S": "2000", "MANGABUS_SIM_FM_EMBED": "0ms"}
AWS = {"AWS_REGION": "ap-northeast-1", "AWS_ACCESS_KEY_ID": "MANGABUSDEMO", "AWS_SECRET_ACCESS_KEY": "mangabus-demo-secret"}


class House:
    """up() starts everything; kill(name) and start(name) again is a crash; down() ends it as an operator would."""

    def __init__(self, folder, database):
        self.folder = Path(folder)
        self.database = database
        self.endpoint = f"ipc://{self.folder}/bus"
        self.processes = {}  # by name; further instances as NAME/2, NAME/3
        self.ports = {}
        self.starts = 0
        self.erp = None
        self.env = {"MANGABUS_ENDPOINT": self.endpoint, **AWS, **database.env}

    # -- processes --
    def _environment(self, program):
        if program == "erp-sim":
            return {"MANGABUS_SIM_LATENCY_P99": "0", "MANGABUS_SIM_RATE": "2000"}
        if program == "bedrock-sim":
            return {**QUICK_MODEL, **AWS}
        if program == "mangabus-broker":
            return {"MANGABUS_STATE": self.folder, "MANGABUS_ENDPOINT": self.endpoint}
        if program == "acl-erp":
            return {**self.env, "MANGABUS_ERP_URL": self._url("erp-sim"), "MANGABUS_ERP_RATE": "1000",
                    "MANGABUS_ERP_BURST": "100"}
        if program == "fm-invoker":
            return {**self.env, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self._url("bedrock-sim")}
        return self.env

    def _url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name, env=None):
        """Starts it, on the HTTP port that it had before; returns when it is ready."""
        program = name.split("/")[0]
        self.starts += 1
        log = self.folder / f"{name.replace('/', '.')}.{self.starts}.log"
        env = {"MANGABUS_HTTP": f"127.0.0.1:{self.ports.get(name, 0)}", **self._environment(program), **(env or {})}
        process = self.processes[name] = Process(program, env=env, log=log)
        line = "serving health and metrics" if program == "mangabus-broker" else "listening"
        self.ports[name] = int(process.wait_for_line(rf'"message":"{line}".*?"port":(\d+)')[1])
        if program not in SIMULATORS:
            process.wait_ready(self._url(name), 30)
        return process

    def up(self):
        self.erp = ErpSim(lambda program, env: self.start(program))
        for name in ("bedrock-sim", "mangabus-broker", *SERVICES):
            self.start(name)
        return self

    def kill(self, name):
        self.processes[name].kill()

    def pids(self):
        return {name: process.pid for name, process in self.processes.items() if process.running()}

    def is_ready(self, name):
        return http_get(f"{self._url(name)}/readyz")[0] == 200

    def sessions_of(self, name):
        return self.processes[name].log().count("the bus is up")

    def down(self):
        """SIGTERM to the services at once, then to what they stand on; {name: exit status}."""
        first = [name for name in self.processes if name.split("/")[0] in SERVICES]
        for name in first:
            self.processes[name].popen.terminate()
        ended = {name: self.processes[name].wait(DRAIN_S + 5) for name in first}  # told once: they are on their way out
        others = [name for name in reversed(self.processes) if name not in first]
        return ended | {name: self.processes[name].stop(DRAIN_S + 5) for name in others}

    def close(self):
        complaints = []
        for process in reversed(self.processes.values()):
            try:
                process.close()
            except AssertionError as complaint:
                complaints.append(str(complaint))
        assert not complaints, "\n".join(complaints)

    # -- talking --
    def client(self, name=None, **options):
        return Client(self.endpoint, name, **options)

    def mangactl(self, *words, code=0, timeout_s=30):
        """Runs it to its end: a CompletedProcess with text; fails unless it ends with `code`."""
        done = subprocess.run([str(bin_dir() / "mangactl"), *map(str, words)], text=True, capture_output=True,
                              env=clean_environment({"MANGABUS_ENDPOINT": self.endpoint}), stdin=subprocess.DEVNULL,
                              timeout=patience(timeout_s), check=False)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def ask(self, question, *options):
        """The response to a question, as a dict."""
        return json.loads(self.mangactl("ask", question, "--json", *options).stdout)

    def call(self, method, request=None):
        words = [] if request is None else [json.dumps(request)]
        return json.loads(self.mangactl("call", method, *words, "--json").stdout)

    def tail(self, *options):
        """Events that were there, as dicts of record, bus, attributes, event and, when replayed, replay_name."""
        lines = self.mangactl("tail", *options, "--json").stdout.splitlines()
        return [json.loads(line) for line in lines]


def numbers_in(text):
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]
