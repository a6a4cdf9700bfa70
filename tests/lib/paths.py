"""Where the tree and the binaries under test are."""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def build_dir():
    """MANGABUS_BUILD (how `make SAN=1 test` points at build/san), else build/ of this tree."""
    return Path(os.environ.get("MANGABUS_BUILD") or ROOT / "build").resolve()


def bin_dir():
    return Path(os.environ.get("MANGABUS_BIN") or build_dir() / "bin").resolve()


def services():
    """Names of all services of the tree."""
    return sorted(main.parent.name for main in ROOT.glob("services/*/main.c"))


def is_sanitized():
    """True when the binaries are several times slower than usual."""
    return build_dir().name in ("san", "tsan")


def patience(seconds):
    """A waiting time, stretched for sanitizer builds."""
    return seconds * 4 if is_sanitized() else seconds
