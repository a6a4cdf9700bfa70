"""What benchmarks load: the broker, the floors, and peers; each on loopback, with a folder of its own, ended by pid."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("MANGABUS_BUILD") or ROOT / "build")
BIN = Path(os.environ.get("MANGABUS_BIN") or BUILD / "bin")
FOLDER = os.environ.get("BENCH_FOLDER", "/var/tmp")
QUEUES = 8
START_S = 60
STOP_S = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def version_of(command, *arguments, word=0):
    """One word of what a program says of its version; None when it is not there."""
    path = find(command)
    if not path:
        return None
    said = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)
    words = (said.stdout + said.stderr).split()
    return words[word].strip(",") if len(words) > word else "?"


def find(command):
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/rabbitmq/bin")


class Keys:
    """CURVE keys for a broker and one client, named bench."""

    def __init__(self, folder):
        subprocess.run([BIN / "mangactl", "keygen", "--dir", folder, "--server", "bench"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.folder = folder
        self.server_secret = (folder / "server.key").read_text().strip()
        self.load = [f"server_key={(folder / 'server.pub').read_text().strip()}",
                     f"public_key={(folder / 'bench.pub').read_text().strip()}",
                     f"secret_key={(folder / 'bench.key').read_text().strip()}"]


class Server:
    """One process. `extra` are arguments of the load generator that go with it."""
    driver = None

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mangabus-bench.", dir=FOLDER))
        self.port = free_port()
        self.process = None
        self.extra = []

    @property
    def endpoint(self):
        return f"tcp://127.0.0.1:{self.port}"

    def launch(self, *command, env=None):
        self.log = self.folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True, cwd=self.folder,
                                            env={**os.environ, **(env or {})})

    def wait(self, is_ready):
        until = time.monotonic() + START_S
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > until:
                text = self.log.read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"{type(self).__name__} does not start:\n{text}")
            time.sleep(0.01)

    def wait_for(self, text):
        self.wait(lambda: text in self.log.read_text(errors="replace"))

    def pid(self):
        """Of the process whose CPU time counts."""
        return self.process.pid

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker(Server):
    """mangabus-broker with QUEUES queues, each fed by a rule of its own."""
    driver = "bus"

    def __init__(self, curve=False, archives=(), **settings):
        super().__init__()
        (self.folder / "topology.json").write_text(json.dumps({
            "Buses": [{"Name": "bench", "DeduplicationWindowSeconds": 300}], "Archives": list(archives), "Schedules": [],
            "Rules": [{"Name": f"bench-{i}", "EventBusName": "bench", "State": "ENABLED",
                       "EventPattern": {"source": ["bench"], "detail-type": [f"bench-{i}"]},
                       "Targets": [{"Id": "queue", "Arn": f"bench-{i}"}]} for i in range(QUEUES)],
            "Queues": [{"QueueName": f"bench-{i}", "Attributes": {"VisibilityTimeout": 300}} for i in range(QUEUES)],
        }))
        everything = {kind: ["*"] for kind in ("publish", "sources", "consume", "subscribe", "send", "call", "serve",
                                               "permits")}
        (self.folder / "roles.json").write_text(json.dumps({"bench": {**everything, "admin": True, "observe": True}}))
        env = {"MANGABUS_STATE": self.folder / "state", "MANGABUS_ENDPOINT": self.endpoint, "MANGABUS_HTTP": "",
               "MANGABUS_TOPOLOGY": self.folder / "topology.json", "MANGABUS_ROLES": self.folder / "roles.json", **settings}
        if curve:
            keys = Keys(self.folder / "keys")
            self.extra = keys.load
            env["MANGABUS_CURVE_DIR"] = keys.folder
        self.launch(BIN / "mangabus-broker", env={name: str(value) for name, value in env.items()})
        self.wait_for('"message":"ready"')


class Floor(Server):
    """bench_bare: appending to a file, over a zero-filled one, or forwarding."""
    driver = "bare"

    def __init__(self, kind, curve=False, work="sync"):
        super().__init__()
        secret = []
        if curve:
            keys = Keys(self.folder / "keys")
            self.extra, secret = list(keys.load), [keys.server_secret]
        if kind == "forward":
            workers = f"tcp://127.0.0.1:{free_port()}"
            self.extra = [*self.extra, f"workers={workers}"]
            command = ["forward", self.endpoint, workers]
        else:
            command = [work, self.endpoint, self.folder, kind]
        self.launch(BUILD / "bench/bench_bare", *command, *secret)
        self.wait_for("ready")


class Redis(Server):
    driver = "redis"

    def __init__(self, appendfsync):
        super().__init__()
        self.launch(find("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                    "--appendonly", "yes", "--appendfsync", appendfsync)
        self.wait(lambda: listens(self.port))


class Nats(Server):
    driver = "nats"

    def __init__(self):
        super().__init__()
        self.launch(find("nats-server"), "-a", "127.0.0.1", "-p", self.port, "-js", "-sd", self.folder)
        self.wait(lambda: listens(self.port))


class Beanstalk(Server):
    driver = "beanstalk"

    def __init__(self, fsync_ms):
        super().__init__()
        self.launch(find("beanstalkd"), "-l", "127.0.0.1", "-p", self.port, "-b", self.folder, "-f", fsync_ms)
        self.wait(lambda: listens(self.port))


class Rabbit(Server):
    """Its own Erlang port mapper too: one that runs already belongs to somebody else."""
    driver = "amqp"

    def __init__(self, queue):
        super().__init__()
        self.extra = [f"queue={queue}"]
        (self.folder / "conf").write_text(f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
                                          "total_memory_available_override_value = 4GB\n"
                                          "disk_free_limit.absolute = 64MB\n")
        (self.folder / "plugins").write_text("[].\n")
        self.env = {"HOME": str(self.folder), "RABBITMQ_NODENAME": f"bench{self.port}@localhost",
                    "RABBITMQ_CONFIG_FILE": str(self.folder / "conf"), "RABBITMQ_LOG_BASE": str(self.folder),
                    "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"), "RABBITMQ_LOGS": "-",
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
                    "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_DIST_PORT": str(free_port()),
                    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
                    "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(free_port())}
        self.launch("/usr/lib/rabbitmq/bin/rabbitmq-server", env=self.env)
        self.wait(lambda: listens(self.port))

    def _family(self):
        """All processes of its session: the shell, the machine, the port mapper."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.getsid(int(entry.name)) == self.process.pid:
                    found.append((int(entry.name), (entry / "comm").read_text().strip()))
            except OSError:
                continue
        return found

    def pid(self):
        return next((pid for pid, name in self._family() if name == "beam.smp"), self.process.pid)

    def stop(self):
        family = [pid for pid, _ in self._family()]
        mappers = epmd_on(self.env["ERL_EPMD_PORT"])
        for pid in [*family, *mappers]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def epmd_on(port):
    """The port mapper leaves its session; its environment says whose it is."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "epmd" and \
                    f"ERL_EPMD_PORT={port}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
