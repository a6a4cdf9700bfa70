"""Waiting for a condition by polling, so that no test sleeps a guessed time."""
import socket
import time
import urllib.error
import urllib.request

from lib.paths import patience

POLL_S = 0.02
# A proxy of the environment has no business between a test and the loopback interface.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until(condition, what, timeout_s=20.0):
    """Polls `condition` until it returns something true, and returns that; fails naming `what`."""
    until = time.monotonic() + patience(timeout_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            raise AssertionError(f"waited {patience(timeout_s):g} s in vain for: {what} (last saw {value!r})")
        time.sleep(POLL_S)


def http_get(url, timeout_s=5.0):
    """(status, body as text); (0, reason) when nobody answered."""
    try:
        with _opener.open(url, timeout=timeout_s) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def free_port():
    """A loopback TCP port that was free a moment ago. Only for programs that cannot bind port 0 and say which
    they got: another process may take it in between."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
