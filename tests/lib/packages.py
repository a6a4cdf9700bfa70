"""Python packages that Debian does not have and a test compares with: installed once below build/, or skipped."""
import os
import shutil
import subprocess
import sys

import pytest

from lib.paths import ROOT

INSTALL_TIMEOUT_S = 60


def folder_of(package):
    """A folder for PYTHONPATH in which `package` and what it needs are installed. Skips the test where no package
    index can be reached."""
    folder = ROOT / "build/python" / package
    if (folder / ".complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--retries", "0", "--timeout", "5",
               "--disable-pip-version-check", "--target", str(folder), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
        reason = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except subprocess.TimeoutExpired:
        reason = ["it takes too long"]
    if reason is not None:
        pytest.skip(f"{package} cannot be installed with pip: {' '.join(reason)[:200]}")
    (folder / ".complete").touch()
    return folder


def run_with(package, script, *arguments, timeout_s=60):
    """Runs a Python script that imports `package`; returns its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(folder_of(package))}
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True,
                          text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, done.stderr
    return done.stdout
