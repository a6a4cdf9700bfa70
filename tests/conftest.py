"""Fixtures that every black-box test may use: binaries, state folders, processes, PostgreSQL."""
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from lib import paths, postgres
from lib import process as processes_of


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every process that it had."""
    report = (yield).get_result()
    if report.failed:
        for process in processes_of.live:
            report.sections.append((f"log of {process.name} (pid {process.pid}), last lines", process.tail()))


@pytest.fixture(scope="session")
def bin_dir():
    """The folder of the binaries under test."""
    return paths.bin_dir()


@pytest.fixture
def state_dir():
    """A fresh, empty folder with a short path (an ipc:// socket below it must stay under 108 bytes), removed
    after the test unless MANGABUS_KEEP is set."""
    folder = Path(tempfile.mkdtemp(prefix="mb."))
    yield folder
    if not os.environ.get("MANGABUS_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(tmp_path):
    """start(program, *arguments, env={}) runs a binary by name (or any path) and returns its lib.process.Process.

    At the end of the test each still running one is asked to stop by SIGTERM, the last started first; the test
    fails if one does not stop, died by a bug of ours or was blamed by a sanitizer."""
    started = []
    numbers = itertools.count(1)

    def start_process(program, *arguments, **options):
        options.setdefault("log", tmp_path / f"{Path(program).name}.{next(numbers)}.log")
        started.append(processes_of.Process(program, *arguments, **options))
        return started[-1]

    yield start_process
    complaints = []
    for process in reversed(started):
        try:
            process.close()
        except AssertionError as complaint:
            complaints.append(str(complaint))
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def postgres_cluster():
    """A private PostgreSQL server for the session; skips where none can run."""
    reason = postgres.unsuitable()
    if reason:
        pytest.skip(reason)
    cluster = postgres.Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def database(postgres_cluster):
    """A fresh database: lib.postgres.Database with .env, .sql(text) and .value(text)."""
    fresh = postgres_cluster.create()
    yield fresh
    postgres_cluster.drop(fresh)
