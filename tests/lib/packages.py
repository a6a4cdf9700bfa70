"""Python packages that Debian does not have and a test compares with: installed once below build/, or skipped."""
import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from lib.paths import ROOT

INSTALL_TIMEOUT_S = 300


def folder_of(package):
    """A folder for PYTHONPATH in which `package` (with extras: "moto[server]") and what it needs are installed. Skips
    the test where no package index can be reached."""
    folder = ROOT / "build/python" / package.partition("[")[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once install once
        install(package, folder)
    return folder


def install(package, folder):
    if (folder / ".complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
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


def run_with(package, script, *arguments, timeout_s=60):
    """Runs a Python script that imports `package`; returns its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(folder_of(package))}
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True,
                          text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, done.stderr
    return done.stdout
