"""The database pool against a private PostgreSQL: runs the checks of tests/helpers/pg_checks.c, one test each."""
import re
import subprocess

import pytest
from lib.paths import ROOT, build_dir, patience
from lib.process import clean_environment

CHECKS = re.findall(r"^static void (\w+)\(void \*\*state\)\n\{",
                    (ROOT / "tests/helpers/pg_checks.c").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcome(postgres_cluster):
    """The TAP lines of one run, by name, and the whole output."""
    database = postgres_cluster.create()
    done = subprocess.run([build_dir() / "tests/helpers/pg_checks"], timeout=patience(100), capture_output=True,
                          text=True, env=clean_environment({**database.env, "CMOCKA_MESSAGE_OUTPUT": "TAP"}),
                          check=False)
    postgres_cluster.drop(database)
    lines = re.findall(r"^(ok|not ok) \d+ - (\w+)$", done.stdout, re.MULTILINE)
    return {name: verdict for verdict, name in lines}, done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize("name", CHECKS)
def test_pool(outcome, name):
    verdicts, output, _ = outcome
    assert verdicts.get(name) == "ok", output


def test_the_checks_end_well(outcome):
    """A leak or a race that a sanitizer finds is told by the exit status alone."""
    assert outcome[2] == 0, outcome[1]
