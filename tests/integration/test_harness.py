"""The test harness itself: a runner that miscounts or leaks would make every other test worthless."""
import importlib.machinery
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lib.paths import ROOT
from lib.process import Process, clean_environment
from lib.wait import wait_until


@pytest.fixture(scope="module")
def runner():
    loader = importlib.machinery.SourceFileLoader("runner", str(ROOT / "tests/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
    loader.exec_module(module)
    return module


def script(text):
    return sys.executable, "-u", "-c", text


@pytest.mark.parametrize("tap, counts", [
    ("1..2\nok 1 - a\nok 2 - b\n", (2, 0, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n# x.c:3: error\n", (1, 1, 0)),
    ("1..2\nnot ok 1 # SKIP a\nok 2 # SKIP b\n", (0, 0, 2)),
    ("1..3\nok 1 - a\n", (1, 2, 0)),
    ("1..1\nok 1 - a\n1..1\nnot ok 1 - b\n", (1, 1, 0)),
    ("1..1\nok 1 - a\nnot ok 0 - g [  FAILED  ] GROUP TEARDOWN\n", (1, 1, 0)),
    ("nothing of the kind\n", (0, 0, 0)),
])
def test_the_runner_counts_what_cmocka_reports(runner, tap, counts):
    passed, failed, skipped = runner.parse_tap(tap)
    assert (passed, len(failed), skipped) == counts


@pytest.mark.parametrize("body, failed", [
    ("echo 1..1; echo ok 1 - a", 0),
    ("echo 1..1; echo ok 1 - a; exit 23", 1),
    ("echo 1..1; kill -SEGV $$", 1),
    ("true", 1),
])
def test_a_binary_that_ends_badly_or_tests_nothing_is_a_failure(runner, tmp_path, body, failed):
    binary = tmp_path / "test_it"
    binary.write_text(f"#!/bin/sh\n{body}\n")
    binary.chmod(0o755)
    tally = runner.Tally()
    runner.run_unit(binary, "test_it", tally, 20)
    assert tally.failed == failed


@pytest.fixture
def tree(tmp_path):
    """tree(body) makes a tree whose test binaries, one or copies of it, are a shell script, and runs the runner in it."""

    def run(body, copies=1):
        for folder in ("tests/unit", "build/tests"):
            (tmp_path / folder).mkdir(parents=True)
        shutil.copy(ROOT / "tests/run", tmp_path / "tests/run")
        for name in ["test_it", *(f"test_it_{copy}" for copy in range(2, copies + 1))]:
            (tmp_path / f"tests/unit/{name}.c").touch()
            binary = tmp_path / "build/tests" / name
            binary.write_text(f"#!/bin/sh\n{body}\n")
            binary.chmod(0o755)
        return subprocess.run([tmp_path / "tests/run", "fast"], capture_output=True, text=True, timeout=60,
                              env=clean_environment(), check=False)

    return run


@pytest.mark.parametrize("tap, last_line, status", [
    ("1..2\nok 1 - a\nok 2 - b", "2 passed, 0 failed", 0),
    ("1..2\nok 1 - a\nnot ok 2 - b", "1 passed, 1 failed", 1),
    ("1..2\nok 1 - a\nok 2 # SKIP b", "1 passed, 0 failed, 1 skipped", 0),
    ("1..1\nok 1 # SKIP b", "0 passed, 0 failed, 1 skipped", 1),
])
def test_the_last_line_is_the_count_and_the_exit_code_agrees(tree, tap, last_line, status):
    done = tree(f"cat <<'END'\n{tap}\nEND")
    assert done.stdout.splitlines()[-1] == last_line
    assert done.returncode == status


def test_a_process_that_left_its_group_is_found_killed_and_a_failure(tree, tmp_path):
    done = tree(f"setsid sleep 300 & echo $! >{tmp_path}/pid\necho 1..1; echo ok 1 - a")
    assert "sleep 300" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed"
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_runner_that_is_told_to_end_takes_running_tests_with_it(tree, tmp_path):
    """The binary tells its runner to end, and would go on for minutes."""
    begun = time.monotonic()
    done = tree(f"echo $$ >{tmp_path}/pid\nkill -TERM $PPID\nexec sleep 300")
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 60
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_runner_that_is_told_twice_begins_nothing_more(tree, tmp_path):
    """Make passes on what its whole group was told."""
    begun = time.monotonic()
    twice = "kill -TERM $PPID\nsleep 0.3\nkill -TERM $PPID"
    done = tree(f"echo $$ >>{tmp_path}/pids\n{twice}\nexec sleep 300", copies=20)
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 60
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) <= (os.cpu_count() or 1) and not any(is_running(int(pid)) for pid in pids)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # empty for a zombie
    except OSError:
        return False


def test_a_started_process_is_waited_for_by_its_log(start):
    process = start(*script("print('port 4711'); import time; time.sleep(300)"))
    assert process.wait_for_line(r"port (\d+)")[1] == "4711"
    assert process.running()


def test_waiting_for_a_process_that_ends_fails_at_once_and_shows_its_log(start):
    process = start(*script("print('no such host'); raise SystemExit(3)"))
    with pytest.raises(AssertionError, match="(?s)ended with 3.*no such host"):
        process.wait_for_line("ready")


def test_the_environment_of_the_caller_does_not_reach_the_program(start, monkeypatch):
    monkeypatch.setenv("MANGABUS_SECRET", "leaked")
    monkeypatch.setenv("AWS_REGION", "leaked")
    process = start(*script("import os; print(dict(os.environ), 'end')"), env={"MANGABUS_X": 1})
    process.wait_for_line("end")
    assert "leaked" not in process.log()
    assert "'MANGABUS_X': '1'" in process.log()


def test_closing_takes_the_whole_group_down(tmp_path):
    process = Process(*script("import subprocess; print(subprocess.Popen(['sleep', '300']).pid, 'up'); "
                              "import time; time.sleep(300)"), log=tmp_path / "log")
    child = int(process.wait_for_line(r"(\d+) up")[1])
    process.close()
    wait_until(lambda: not is_running(child), "the child to be gone")


@pytest.mark.parametrize("body, complaint", [
    ("import os; os.abort()", "SIGABRT"),
    ("print('==1==ERROR: AddressSanitizer: heap-use-after-free')", "sanitizer"),
    ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(300)", "SIGTERM"),
])
def test_closing_complains_of_our_bugs(tmp_path, monkeypatch, body, complaint):
    process = Process(*script(body), log=tmp_path / "log")
    monkeypatch.setattr(process.stop.__func__, "__defaults__", (0.3,))
    wait_until(lambda: not process.running() or "up" in process.log(), "the end or the sign")
    with pytest.raises(AssertionError, match=complaint):
        process.close()
    assert not process.running()


def test_each_test_has_a_fresh_database(database):
    assert database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
    database.sql("CREATE TABLE manga (title text); INSERT INTO manga VALUES ('ワンピース'), (E'two\nlines')")
    assert database.sql("SELECT title FROM manga ORDER BY title") == [["two\nlines"], ["ワンピース"]]
    assert database.value("SHOW server_encoding") == "UTF8"
    assert database.sql("SELECT 1 WHERE false") == []
    with pytest.raises(AssertionError, match="no_such_table"):
        database.sql("SELECT * FROM no_such_table")
