"""A process under test: started with a clean environment, logged to a file, waited for, and always taken down."""
import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from lib.paths import bin_dir, patience
from lib.wait import http_get, wait_until

KEPT_VARIABLES = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                  "TSAN_OPTIONS")
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: ")
OUR_BUGS = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL)
TAIL_LINES = 60
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

live = []  # every process of the running tests, for the report of a failure


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def clean_environment(extra=None):
    """The few variables a program needs, so that MANGABUS_*, AWS_*, PG* and OTEL_* of whoever runs the tests do
    not reach the program under test; and `extra` (None as value removes)."""
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    env.update({name: str(value) for name, value in (extra or {}).items() if value is not None})
    return env


class Process:
    """One started program. `program` is a name in the build's bin folder, or a path with a slash in it."""

    def __init__(self, program, *arguments, env=None, log, cwd=None, stdin=subprocess.DEVNULL):
        path = Path(program) if "/" in str(program) else bin_dir() / program
        self.name = path.name
        self.log_path = Path(log)
        self.command = [str(path), *map(str, arguments)]
        with open(self.log_path, "ab") as output:
            self.popen = subprocess.Popen(self.command, env=clean_environment(env), cwd=cwd, stdin=stdin, stdout=output,
                                          stderr=subprocess.STDOUT, start_new_session=True,
                                          preexec_fn=_die_with_parent)
        self.pid = self.popen.pid
        live.append(self)

    # -- looking --
    def log(self):
        return self.log_path.read_text(errors="replace")

    def tail(self):
        if not self.log_path.exists():
            return "(its folder is gone already)"
        return "\n".join(self.log().splitlines()[-TAIL_LINES:])

    def running(self):
        return self.popen.poll() is None

    def wait_for(self, condition, what, timeout_s=20.0):
        """As wait_until, but gives up at once when the process has ended."""

        def met_or_dead():
            value = condition()
            if not value and not self.running():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode} before: {what}\n{self.tail()}")
            return value

        return wait_until(met_or_dead, f"{what} of {self.name}", timeout_s)

    def wait_for_line(self, pattern, timeout_s=20.0):
        """Waits until the log holds a match of the regular expression; returns the match."""
        return self.wait_for(lambda: re.search(pattern, self.log(), re.MULTILINE), f"log line /{pattern}/", timeout_s)

    def wait_ready(self, base_url, timeout_s=20.0):
        """Waits until GET base_url/readyz answers 200."""
        self.wait_for(lambda: http_get(f"{base_url}/readyz")[0] == 200, f"{base_url}/readyz", timeout_s)

    # -- ending --
    def signal(self, number):
        """To the process alone, as an operator would."""
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout_s=20.0):
        """The exit status of a process that is to end by itself."""
        return self.popen.wait(patience(timeout_s))

    def kill(self):
        """SIGKILL to the whole group, as a power cut would."""
        self._kill_group()
        self.popen.wait()

    def _kill_group(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self, timeout_s=15.0):
        """SIGTERM, then what it takes. Returns the exit status; fails when SIGTERM was not enough."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} ignored SIGTERM for {patience(timeout_s):g} s") from None
        finally:
            self.kill()

    def close(self):
        """Takes the process down and fails if it ended by a bug of ours or a sanitizer complained."""
        try:
            self.stop()
        finally:
            live.remove(self)
        if self.popen.returncode in OUR_BUGS:
            raise AssertionError(f"{self.name} died by {signal.Signals(-self.popen.returncode).name}\n{self.tail()}")
        report = SANITIZER_REPORT.search(self.log())
        if report:
            raise AssertionError(f"a sanitizer complained in {self.name}:\n{self.log()[report.start():][:8000]}")
