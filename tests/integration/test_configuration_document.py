"""docs/configuration.md is what the programs say of themselves."""
import subprocess

from lib.paths import ROOT, bin_dir


def test_the_page_is_what_the_programs_say():
    done = subprocess.run([ROOT / "tools/docs-configuration", "--check", bin_dir()], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
