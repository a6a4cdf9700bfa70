"""The demo of the README, in a network namespace of its own: its fixed ports are free there, whoever else runs one."""
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from lib import postgres
from lib.paths import ROOT, bin_dir, patience, services
from lib.process import clean_environment

PROGRAMS = ("erp-sim", "bedrock-sim", "mangabus-broker", *services())
UP_S, AGAIN_S, DOWN_S = 60, 30, 20


def unsuitable():
    """Why the demo cannot be tried here; None when it can."""
    if os.getuid() != 0:
        return "only root may make a network namespace"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"no network namespace can be made here: {tried.stderr.strip()}"
    return postgres.unsuitable() or (None if shutil.which("ip") else "ip (iproute2) is not installed")


class Demo:
    """tools/demo in a namespace, which lives as long as the process that holds it."""

    def __init__(self, state):
        self.state = state
        self.env = clean_environment({"MANGABUS_STATE": state, "MANGABUS_BIN": bin_dir(), "MANGABUS_SIM_CATALOGUE": "",
                                      "MANGABUS_DEMO_WAIT": str(patience(60)), "NO_COLOR": "1"})
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"

    def inside(self, *command, timeout_s=UP_S, **env):
        return subprocess.run(["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, command)],
                              env={**self.env, **env}, text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=patience(timeout_s), check=False)

    def run(self, verb, code=0, **options):
        done = self.inside(ROOT / "tools/demo", verb, **options)
        assert done.returncode == code, f"demo {verb}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def logs(self):
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                         for log in sorted(self.state.glob("demo/log/*.log")))

    def processes(self):
        """{pid: program} of what runs with our state folder or inside it."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (os.getpid(), self.holder.pid):
                continue
            try:
                said = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if os.fsencode(str(self.state)) in said:
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue
        return found

    def close(self):
        try:
            self.inside(ROOT / "tools/demo", "down", timeout_s=DOWN_S)
        finally:
            self.holder.stdin.close()
            self.holder.wait(10)
            self.holder.stdout.close()


@pytest.fixture(scope="module")
def demo():
    reason = unsuitable()
    if reason:
        pytest.skip(reason)
    state = Path(tempfile.mkdtemp(prefix="mangabus-demo.", dir="/var/tmp"))
    state.chmod(0o755)
    running = Demo(state)
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(state, ignore_errors=True)


def sections(text):
    """{heading: lines below it} of what the demo prints: a heading follows an empty line."""
    found, heading = {}, ""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if line and (at == 0 or not lines[at - 1]):
            heading = line
            found[heading] = []
        elif line:
            found[heading].append(line)
    return found


@pytest.fixture(scope="module")
def shown(demo):
    """What the first `up` printed."""
    return demo.run("up").stdout


@pytest.fixture(scope="module")
def parts(shown):
    return sections(shown)


def part(parts, word):
    return next(lines for heading, lines in parts.items() if word in heading)


@pytest.mark.parametrize("question, said", [("ワンピース", r"42巻.*\d+冊"), ("One Piece", r"volume 42 .*\d+ copies")])
def test_both_questions_are_answered_and_their_ways_shown(parts, question, said):
    lines = part(parts, question)
    assert re.search(said, lines[0]), lines[0]
    hops = {line.split()[0] for line in lines[2:-1]}
    assert {"chat-router", "sync-reconciler", "embed-indexer", "acl-erp", "erp", "fm-invoker", "bedrock"} <= hops
    assert all(re.search(r"\d+\.\d", line) for line in lines[2:-1]), "each hop has its milliseconds"
    assert re.match(r"total \d+\.\d ms", lines[-1])


def test_the_events_of_the_questions_are_shown_and_no_others(parts):
    lines = [line for line in part(parts, "events that the questions caused") if re.match(r"\d\d:\d\d:\d\d", line)]
    kinds = [line.split()[4] for line in lines]
    assert sorted(kinds) == 2 * ["InferenceCompleted"] + 2 * ["MessageReceived"]
    assert any("ワンピース 42巻" in line for line in lines)


def test_they_are_captured_and_replayed_in_order_with_a_mark(parts):
    lines = part(parts, "events that the questions caused")
    first = [line.split()[4] for line in lines if re.match(r"\d\d:\d\d", line)]
    assert any(re.match(rf"{len(first)} events in .*demo\.capture", line) for line in part(parts, "Captured"))
    replayed = part(parts, "Replayed in order")
    again = [line for line in replayed if re.match(r"\d\d:\d\d", line)]
    assert [line.split()[4] for line in again] == first
    assert all("[replay demo-" in line for line in again)
    assert any(f"{len(first)} accepted, 0 refused" in line for line in replayed)


def test_its_output_is_for_people(shown):
    assert not re.search(r'"level":|unknown variable|warn', shown), shown
    assert re.search(r"catalogue (loads on behind: \d+ of \d+ books \(\d+ %\)|is loaded: \d+ books|begins to load)", shown)
    for said in ("tools/demo env", "mangactl ask", "log/*.log", "make down"):
        assert said in shown


def test_a_second_up_is_harmless_and_takes_seconds(demo, shown):
    assert shown
    before = demo.processes()
    began = time.monotonic()
    again = demo.run("up").stdout
    assert time.monotonic() - began < patience(AGAIN_S)
    assert {p: n for p, n in before.items() if n != "postgres"}.items() <= demo.processes().items()
    assert part(sections(again), "Replayed in order")


def test_status_says_who_runs(demo, shown):
    assert shown
    lines = demo.run("status").stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(PROGRAMS)
    assert all(re.search(r"pid \d+ +ready$", line) for line in lines), lines


def test_env_is_all_that_a_shell_needs(demo, shown):
    assert shown
    asked = demo.inside("bash", "-c", f'eval "$({ROOT}/tools/demo env)" && mangactl ask "鬼滅の刃 5巻はいくらですか？"')
    assert asked.returncode == 0 and "5巻" in asked.stdout, asked.stdout + asked.stderr


def test_the_script_still_finds_the_house_in_a_shell_that_has_its_environment(demo, shown):
    assert shown
    asked = demo.inside("bash", "-c", f'eval "$({ROOT}/tools/demo env)" && {ROOT}/tools/demo status')
    assert asked.returncode == 0 and "not running" not in asked.stdout, asked.stdout + asked.stderr
    assert asked.stdout.count(" ready") == asked.stdout.count(" pid ") > 8


def test_a_process_that_was_killed_is_started_again_by_up(demo, shown):
    assert shown
    pid = int((demo.state / "demo/run/mangabus-broker.pid").read_text())
    os.kill(pid, 9)
    assert "mangabus-broker    not running" in demo.run("status").stdout
    demo.run("up")
    assert int((demo.state / "demo/run/mangabus-broker.pid").read_text()) != pid


def test_down_leaves_no_process_and_can_be_repeated(demo, shown):
    assert shown
    began = time.monotonic()
    assert "stopped" in demo.run("down").stdout
    assert time.monotonic() - began < patience(DOWN_S)
    assert demo.processes() == {}
    assert demo.run("status").stdout.count("not running") == len(PROGRAMS)
    demo.run("down")


# ---- where it cannot run -----------------------------------------------------------------------------------
TAKER = """
import socket, subprocess, sys
with socket.create_server(("127.0.0.1", 7490)):
    sys.exit(subprocess.run([sys.argv[1], "up"], stderr=subprocess.STDOUT).returncode)
"""


def test_a_taken_port_is_named_and_so_is_who_needs_it(demo):
    taker = demo.inside("/usr/bin/python3", "-c", TAKER, ROOT / "tools/demo", timeout_s=30)
    assert taker.returncode == 1
    assert "port 7490, which erp-sim needs, is taken" in taker.stdout, taker.stdout + taker.stderr


def test_without_a_build_it_says_so(demo):
    done = demo.run("up", code=1, MANGABUS_BIN="/nowhere")
    assert "nothing is built in /nowhere: run make first" in done.stderr


def test_an_unknown_verb_is_told_the_known_ones(demo):
    assert "up|down|status|env" in demo.run("sideways", code=1).stderr
