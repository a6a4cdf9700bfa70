"""A private PostgreSQL cluster for one test session, and a fresh database for each test."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

from lib.process import clean_environment
from lib.wait import free_port, wait_until

SUPERUSER = "mangabus"
START_ATTEMPTS = 3  # the port may be taken between choosing and binding it
# Durability is not what these tests are about; logical decoding is.
SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200", "wal_level=logical",
            "listen_addresses=127.0.0.1", "shared_buffers=32MB", "timezone=UTC")


def server_programs():
    """The folder with initdb and postgres of the newest PostgreSQL installed; None when there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        return Path(max(found, key=lambda path: float(path.split("/")[4]))).parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def unsuitable():
    """Why no cluster can be made here; None when one can."""
    if server_programs() is None:
        return "PostgreSQL is not installed (tools/install-deps test)"
    if os.getuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as"
    return None


class Database:
    """One database of the cluster. `env` is what a program needs to reach it."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.env = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": SUPERUSER, "PGDATABASE": name}

    def sql(self, text):
        """Runs SQL of which at most one statement returns rows; these as lists of text (NULL is ''). Fails with
        the server's message."""
        done = self.cluster.psql(self.name, text)
        if done.returncode != 0:
            raise AssertionError(f"SQL failed: {done.stderr.strip()}\n{text}")
        if not done.stdout:
            return []
        return [row.split("\x1f") for row in done.stdout.removesuffix("\n").split("\x1e")]

    def go_away(self):
        """Ends every connection and takes no more, until come_back."""
        done = self.cluster.psql("postgres", f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        assert done.returncode == 0, done.stderr
        # One that was just being let in may not have a name yet.
        rest = (f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}' "
                "OR (datname IS NULL AND backend_type = 'client backend')")
        while self.cluster.psql("postgres", rest).stdout:
            pass

    def come_back(self):
        self.cluster.psql("postgres", f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def cut_off(self, table, at_least=1):
        """Locks the table until so many statements wait for it, then ends these: their outcome is unknown to who sent
        them."""
        waiting = ("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
                   "AND query NOT LIKE '%pg_stat_activity%'")
        lock = threading.Thread(target=self.sql, args=(
            f"BEGIN; LOCK TABLE {table}; DO $$ BEGIN FOR i IN 1..600 LOOP PERFORM pg_sleep(0.1); PERFORM "
            f"pg_stat_clear_snapshot(); EXIT WHEN (SELECT count(*) FROM ({waiting}) AS w) >= {at_least}; END LOOP; "
            f"PERFORM pg_terminate_backend(pid) FROM ({waiting}) AS w; END $$; COMMIT",))
        lock.start()
        wait_until(lambda: self.sql(f"SELECT 1 FROM pg_locks WHERE relation = '{table}'::regclass AND granted "
                                    "AND mode = 'AccessExclusiveLock'"), "the lock")
        return lock

    def value(self, text):
        """The first column of the only row."""
        rows = self.sql(text)
        assert len(rows) == 1, f"{len(rows)} rows instead of one: {text}"
        return rows[0][0]


class Cluster:
    """The server; its files lie below /var/tmp, because the user `postgres` must be able to enter."""

    def __init__(self):
        self.programs = server_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="mangabus-pg.", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = None
        self.server = None

    def _as_user(self, *command):
        """PostgreSQL refuses to run as root."""
        if os.getuid() != 0:
            return list(command)
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL", *command]

    def start(self):
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        made = subprocess.run(self._as_user(self.programs / "initdb", "-D", self.data, "-U", SUPERUSER, "-A", "trust",
                                            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                              capture_output=True, text=True, env=clean_environment(), cwd="/", check=False)
        if made.returncode != 0:
            raise AssertionError(f"initdb failed: {made.stdout}{made.stderr}")
        for _ in range(START_ATTEMPTS):
            if self._launch():
                return
        raise AssertionError(f"PostgreSQL did not start:\n{self.log.read_text()}")

    def _launch(self):
        self.port = free_port()
        options = [word for setting in SETTINGS for word in ("-c", setting)]
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(self._as_user(self.programs / "postgres", "-D", self.data, "-k", self.folder,
                                                         "-p", str(self.port), *options),
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                           env=clean_environment(), start_new_session=True)
        return wait_until(self._answers_or_ended, "PostgreSQL to answer", 60) == "answers"

    def _answers_or_ended(self):
        if self.server.poll() is not None:
            return "ended"
        return "answers" if self.psql("postgres", "SELECT 1").returncode == 0 else None

    def psql(self, database, text):
        command = [str(self.programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-R", "\x1e", "-h",
                   str(self.folder), "-p", str(self.port), "-U", SUPERUSER, "-d", database, "-f", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True, env=clean_environment(), timeout=60,
                              check=False)

    def create(self):
        """A fresh, empty database."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        Database(self, "postgres").sql(f"CREATE DATABASE {name}")
        return Database(self, name)

    def drop(self, database):
        Database(self, "postgres").sql(f"DROP DATABASE {database.name} WITH (FORCE)")

    def stop(self):
        try:
            if self.server and self.server.poll() is None:
                self.server.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended
                self.server.wait(30)
        finally:
            if self.server and self.server.poll() is None:
                os.killpg(self.server.pid, signal.SIGKILL)
                self.server.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
