"""Other matchers on the events and rules of bench_rules: AWS's event-ruler, quamina, hypermatch. Each in one thread.

Their programs are tests/bench/peers; what they need comes by Maven and by Go's own way to modules, and where it is not to
be had the peer is left out and said to be. They read events as JSON; ours come in msgpack, so that both are given: what
matching costs us, and what it costs with reading JSON before it."""
import json
import os
import shutil
import subprocess

from servers import BUILD, ROOT, find

SOURCES = ROOT / "tests/bench/peers"
WORK = BUILD / "bench/peers"
ROW_S = float(os.environ.get("BENCH_PEER_SECONDS", "60"))
PREPARE_S = 300
HEAP_TOLD_FROM = 1000  # so many rules stand out from what else a heap holds


class Unavailable(Exception):
    """Why a peer cannot be run."""


def say(command, **options):
    """Runs a step of preparing; its last line is the reason if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PREPARE_S, check=False, **options)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than {PREPARE_S} s") from None
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise Unavailable(f"{command[0]}: {lines[-1] if lines else 'failed'}")
    return done.stdout


def need(*programs):
    for program in programs:
        if not find(program):
            raise Unavailable(f"{program} is not installed")


def prepare_ruler():
    need("java", "javac", "mvn")
    folder = WORK / "ruler"
    say(["mvn", "-q", "-B", "-f", SOURCES / "pom.xml", "dependency:copy-dependencies",
         f"-DoutputDirectory={folder / 'lib'}", "-Dmdep.stripVersion=false"])
    say(["javac", "-d", folder, "-cp", f"{folder}/lib/*", SOURCES / "Ruler.java"])
    version = next(path.stem for path in (folder / "lib").glob("event-ruler-*.jar")).removeprefix("event-ruler-")
    java = say(["java", "--version"]).split()[1]
    return [["java", "-XX:+UseSerialGC", "-Xmx6g", "-cp", f"{folder}:{folder}/lib/*", "Ruler"], f"{version}, Java {java}"]


def prepare_go(name, module):
    need("go")
    folder = WORK / "go" / name
    shutil.copytree(SOURCES / "measure", WORK / "go/measure", dirs_exist_ok=True)
    shutil.copytree(SOURCES / name, folder, dirs_exist_ok=True)
    say(["go", "get", f"{module}@latest"], cwd=folder)
    say(["go", "mod", "tidy"], cwd=folder)
    say(["go", "build", "-o", folder / "peer", "."], cwd=folder)
    version = say(["go", "list", "-m", "-f", "{{.Version}}", module], cwd=folder).strip()
    return [[folder / "peer"], f"{version}, {say(['go', 'version']).split()[2]}"]


PEERS = {
    "event-ruler": prepare_ruler,
    "quamina": lambda: prepare_go("quamina", "quamina.net/go/quamina/v2"),
    "hypermatch": lambda: prepare_go("hypermatch", "github.com/SchwarzDigits/hypermatch/v2"),
}


def measure(command, folder, file):
    """The peer's figures; a text that says why there are none."""
    try:
        done = subprocess.run([*command, folder / "events.jsonl", folder / file], capture_output=True, text=True,
                              timeout=ROW_S, check=False)
    except subprocess.TimeoutExpired:
        return f"not done in {ROW_S:.0f} s"
    if done.returncode == 0:
        return json.loads(done.stdout)
    lines = done.stderr.strip().splitlines()
    return "refused: " + (next((line for line in lines if "xception" in line or "rror" in line), lines[0])[:90]
                          if lines else "failed")


def sets(folder):
    subprocess.run([BUILD / "bench/bench_rules", "--write", folder], check=True)
    for line in (folder / "sets.tsv").read_text().splitlines():
        file, name, count = line.split("\t")
        yield file, name, int(count)


def row(ours, from_json_ns, peer, found):
    out = {"peer": peer, "set": ours["set"], "rules": ours["rules"], "our_ns": ours["ns_per_event"],
           "our_ns_from_json": ours["ns_per_event"] + from_json_ns}
    if isinstance(found, str):
        return {**out, "why_not": found}
    if ours["rules"] < HEAP_TOLD_FROM:
        found["bytes_per_rule"] = None
    same = abs(found["matches_per_event"] - ours["matches_per_event"]) < 0.01
    return {**out, **found, "same_matches": same, "ratio": found["ns_per_event"] / out["our_ns"],
            "ratio_from_json": found["ns_per_event"] / out["our_ns_from_json"]}


def run(figures):
    """Rows for all peers and sets, and the peers' versions; `figures` is what bench_rules wrote."""
    ours = {(r["set"], r["rules"]): r for r in figures["results"]}
    folder = WORK / "data"
    folder.mkdir(parents=True, exist_ok=True)
    rows, versions = [], {}
    for peer, prepare in PEERS.items():
        try:
            command, versions[peer] = prepare()
        except Unavailable as why:
            print(f"  {peer}: left out, {why}", flush=True)
            continue
        for file, name, count in sets(folder):
            if (name, count) in ours:
                rows.append(row(ours[name, count], figures["from_json_ns"], peer, measure(command, folder, file)))
    return rows, versions


def table_rows(rows):
    """As text, for a table of: peer, set, rules, events/s, ours, ours from JSON, ratios, bytes a rule, ms, remark."""
    for r in rows:
        head = [r["peer"], r["set"], f"{r['rules']:,}"]
        us = [f"{1e9 / r['our_ns']:,.0f}", f"{1e9 / r['our_ns_from_json']:,.0f}"]
        if "why_not" in r:
            yield [*head, "-", *us, "-", "-", "-", "-", r["why_not"]]
            continue
        memory = "-" if r["bytes_per_rule"] is None else f"{r['bytes_per_rule']:,.0f}"
        yield [*head, f"{1e9 / r['ns_per_event']:,.0f}", *us, f"{r['ratio']:.1f}", f"{r['ratio_from_json']:.1f}", memory,
               f"{r['compile_ms']:,.1f}", "" if r["same_matches"] else "other matches"]
