"""What mangactl's table of commands makes besides the help: completion in real shells, the manual page, exit codes; and
contexts, which say what broker is meant."""
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import threading

import pytest
from lib.mangactl import environment, mangactl
from lib.paths import ROOT, patience
from lib.wait import wait_until


def commands():
    block = mangactl("--help").stdout.split("\n\n")[2]
    return [re.match(r"  (\S+(?: \S+)?)  ", line).group(1) for line in block.splitlines()]


# -- completion -------------------------------------------------------------------------------------------
def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def in_bash(line, tmp_path):
    """What bash offers for the last word of the line."""
    words = line.split(" ")
    script = (f"source <(mangactl completion bash)\nCOMP_WORDS=({' '.join(map(repr, words))})\nCOMP_CWORD={len(words) - 1}\n"
              "_mangactl\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment(), capture_output=True, text=True,
                          timeout=patience(20), check=False)
    assert done.stderr == ""
    return done.stdout.split()


def in_fish(line, tmp_path):
    done = subprocess.run(["fish", "--no-config", "-c", f"mangactl completion fish | source; complete -C '{line}'"],
                          env=environment(HOME=str(tmp_path)), capture_output=True, text=True, timeout=patience(20), check=False)
    assert done.stderr == ""
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


class Zsh:
    """A zsh on a terminal, for it completes nowhere else."""

    def __init__(self, home):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env=environment(HOME=str(home), TERM="dumb", PS1="$ "))
        os.close(slave)
        self.text = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.say("autoload -U compinit && compinit -u && source <(mangactl completion zsh) && echo rea''dy\n", "ready")
        self.say("setopt no_list_ambiguous auto_list; LISTMAX=1000; echo se''t\n", "set")

    def read(self):
        while True:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            self.text += got.decode(errors="replace")

    def say(self, what, until):
        begin = len(self.text)
        os.write(self.master, what.encode())
        wait_until(lambda: until in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x00-\x1f]", "", self.text[begin:]), f"zsh to say {until}; it said {self.text[begin:]!r}")
        return self.text[begin:]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        self.reader.join()


CASES = [("mangactl q", "queue"), ("mangactl queue red", "redrive"), ("mangactl queue redrive --cl", "--classify"),
         ("mangactl topo", "topology"), ("mangactl context ", "add"), ("mangactl bench --hist", "--histogram"),
         ("mangactl capture --s", "--since"), ("mangactl help exit", "exit-codes"), ("mangactl completion f", "fish")]


@pytest.mark.parametrize("line,wanted", CASES)
@pytest.mark.parametrize("shell", [pytest.param(in_bash, marks=needs("bash")), pytest.param(in_fish, marks=needs("fish"))])
def test_a_shell_completes_words_and_options(shell, line, wanted, tmp_path):
    assert wanted in shell(line, tmp_path)


@pytest.mark.parametrize("shell", [pytest.param(in_bash, marks=needs("bash")), pytest.param(in_fish, marks=needs("fish"))])
def test_a_shell_knows_every_command(shell, tmp_path):
    firsts = shell("mangactl ", tmp_path)
    assert {name.split()[0] for name in commands()} <= set(firsts)
    for family in {name.split()[0] for name in commands() if " " in name}:
        seconds = {name.split()[1] for name in commands() if name.startswith(family + " ")}
        assert seconds <= set(shell(f"mangactl {family} ", tmp_path))


@needs("zsh")
def test_zsh_completes_words_and_options(tmp_path):
    zsh = Zsh(tmp_path)
    try:
        for line, wanted in CASES:
            zsh.say(f"\x15{line}\t", wanted)
    finally:
        zsh.close()


# -- the manual page and the exit codes ---------------------------------------------------------------------
def test_the_manual_page_has_every_command_option_and_exit_code(tmp_path):
    page = mangactl("--man").stdout
    plain = page.replace("\\-", "-")
    for command in commands():
        assert f'.SS "mangactl {command}' in plain
    for option in ("--classify", "--histogram", "--context"):
        assert f"\\fB{option}\\fR" in plain
    for code in (0, 1, 64, 65, 69, 70, 74, 75, 77, 78):
        assert f"\n\\fB{code}\\fR\n" in page
    if shutil.which("groff"):
        (tmp_path / "mangactl.1").write_text(page)
        done = subprocess.run(["groff", "-k", "-man", "-Tutf8", "-ww", str(tmp_path / "mangactl.1")], capture_output=True, text=True,
                              check=True)
        assert done.stderr == "" and "queue redrive" in done.stdout


def test_the_exit_codes_of_the_conventions_are_those_of_the_help():
    told = mangactl("help", "exit-codes").stdout
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (?:(.*?) )?\|$", (ROOT / "docs" / "conventions.md").read_text(), re.M)
    lines = [line for line in told.splitlines()[1:] if re.match(r" *\d+  ", line)]
    assert len(rows) == len(lines) == 10
    for (code, means, then), line in zip(rows, lines):
        assert re.split(r" {2,}", line.strip()) == [code, means] + ([then] if then else [])


# -- contexts -----------------------------------------------------------------------------------------------
@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "MANGABUS_ENDPOINT": ""}


def run(home, *words, code=0, **env):
    done = mangactl(*words, **{**home, **env})
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_a_context_names_a_broker(broker, home, tmp_path):
    run(home, "context", "add", "here", "--endpoint", broker.endpoint)
    run(home, "context", "add", "gone", "--endpoint", "tcp://127.0.0.1:1")
    run(home, "queue", "ls", "--context", "here")
    assert "tcp://127.0.0.1:1" in run(home, "queue", "ls", "--context", "gone", code=69).stderr
    run(home, "context", "use", "here")
    run(home, "queue", "ls")
    listed = json.loads(run(home, "context", "ls", "--json").stdout)
    assert [(c["name"], c["current"]) for c in listed] == [("here", True), ("gone", False)]
    assert run(home, "context", "ls").stdout.splitlines()[1].split()[:2] == ["*", "here"]
    file = tmp_path / "config" / "mangabus" / "contexts.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run(home, "context", "rm", "here")
    assert json.loads(file.read_text())["current"] == ""
    assert "there is no context" in run(home, "queue", "ls", "--context", "here", code=78).stderr
    run(home, "context", "rm", "here", code=1)


def test_the_environment_wins_over_the_context_in_use_and_the_command_line_over_both(broker, home):
    run(home, "context", "add", "gone", "--endpoint", "tcp://127.0.0.1:1", "--use")
    run(home, "context", "add", "here", "--endpoint", broker.endpoint)
    run(home, "queue", "ls", code=69)
    run(home, "queue", "ls", MANGABUS_ENDPOINT=broker.endpoint)
    run(home, "queue", "ls", "--context", "here", MANGABUS_ENDPOINT="tcp://127.0.0.1:2")
    run(home, "queue", "ls", "--context", "gone", "--endpoint", broker.endpoint)
    run(home, "context", "use", "--none")
    assert not any(context["current"] for context in json.loads(run(home, "context", "ls", "--json").stdout))
    assert "NAME" in run(home, "context", "use", code=65).stderr


def test_keys_are_a_path_and_nothing_of_them_is_kept(home, tmp_path):
    keys = tmp_path / "keys"
    assert mangactl("keygen", "--dir", keys, "--server", "mangactl", **home).returncode == 0
    run(home, "context", "add", "safe", "--endpoint", "tcp://127.0.0.1:1", "--keys", "keys", code=65)
    done = mangactl("context", "add", "safe", "--endpoint", "tcp://127.0.0.1:1", "--keys", "keys", cwd=tmp_path, **home)
    assert done.returncode == 0
    text = (tmp_path / "config" / "mangabus" / "contexts.json").read_text()
    assert json.loads(text)["contexts"]["safe"] == {"endpoint": "tcp://127.0.0.1:1", "keys": str(keys)}
    secrets = list(keys.glob("*.key"))
    assert secrets
    for secret in secrets:
        assert secret.read_text().strip() not in text


@pytest.mark.parametrize("text", ["{", "[]", '{"contexts": {"a b": {"endpoint": "x"}}}', '{"contexts": {"a": {}}}',
                                  '{"current": "b", "contexts": {"a": {"endpoint": "tcp://127.0.0.1:1"}}}'])
def test_a_broken_file_of_contexts_is_told_and_can_be_gone_around(broker, home, tmp_path, text):
    file = tmp_path / "config" / "mangabus" / "contexts.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert run(home, "queue", "ls", code=78).stderr.startswith("mangactl: ")
    run(home, "queue", "ls", "--endpoint", broker.endpoint)
    for name in ("", "-x", "a/b", "x" * 64):
        run(home, "context", "add", "--endpoint", "tcp://127.0.0.1:1", "--", name, code=65)


# -- schema diff --------------------------------------------------------------------------------------------
OLD = {"type": "object", "required": ["a", "b"], "properties": {
    "a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": "integer", "minimum": 1, "maximum": 9},
    "c": {"type": "array", "items": {"type": "string", "maxLength": 5}}, "d": {"type": "string", "pattern": "^a$"},
    "e": {"type": "string"}}}


def changed(change):
    new = json.loads(json.dumps(OLD))
    change(new["properties"], new["required"])
    return new


@pytest.mark.parametrize("change,path,what,breaks", [
    (lambda p, r: p.update(f={"type": "string"}), "", "new member f, optional", "nobody"),
    (lambda p, r: p.pop("e"), "", "member e is gone", "nobody"),
    (lambda p, r: (p.update(f={"type": "string"}), r.append("f")), "", "new member f, which must be there", "producers"),
    (lambda p, r: r.remove("a"), "", "a may be absent now", "consumers"),
    (lambda p, r: r.append("e"), "", "e must be there now", "producers"),
    (lambda p, r: (p.pop("a"), r.remove("a")), "", "member a is gone, and was always there", "consumers"),
    (lambda p, r: p["a"]["enum"].append("z"), "a", 'may also be "z"', "consumers"),
    (lambda p, r: p["a"]["enum"].pop(), "a", 'may no longer be "y"', "producers"),
    (lambda p, r: p["b"].update(maximum=10), "b", "maximum: 9 is now 10", "consumers"),
    (lambda p, r: p["b"].update(minimum=2), "b", "minimum: 1 is now 2", "producers"),
    (lambda p, r: p["b"].pop("minimum"), "b", "minimum: 1 is now none", "consumers"),
    (lambda p, r: p["b"].update(type="number"), "b", 'type: "integer" is now "number"', "consumers"),
    (lambda p, r: p["b"].update(type="string"), "b", 'type: "integer" is now "string"', "both"),
    (lambda p, r: p["c"]["items"].update(maxLength=4), "c[]", "maxLength: 5 is now 4", "producers"),
    (lambda p, r: p["d"].update(pattern="^b$"), "d", 'pattern: "^a$" is now "^b$"', "both"),
    (lambda p, r: p["e"].update(format="date-time"), "e", 'format: none is now "date-time"', "producers"),
    (lambda p, r: p["e"].update(description="other words"), None, None, None),
])
def test_a_changed_schema_tells_whom_it_breaks(tmp_path, change, path, what, breaks):
    (tmp_path / "old.json").write_text(json.dumps(OLD))
    (tmp_path / "new.json").write_text(json.dumps(changed(change)))
    done = mangactl("schema", "diff", "@old.json", "@new.json", "--json", cwd=tmp_path)
    expected = [] if what is None else [{"path": path, "what": what, "breaks": breaks}]
    assert json.loads(done.stdout) == expected
    assert done.returncode == (1 if breaks not in (None, "nobody") else 0)


def test_the_contract_is_compared_with_a_file(tmp_path):
    text = mangactl("schema", "show", "inventory.updated").stdout
    (tmp_path / "a.json").write_text(text)
    assert "no difference" in mangactl("schema", "diff", "@a.json", "inventory.updated", cwd=tmp_path).stderr
    (tmp_path / "a.json").write_text(text.replace('"isbn", ', ""))
    table = mangactl("schema", "diff", "@a.json", "inventory.updated", cwd=tmp_path)
    assert table.returncode == 1 and "isbn must be there now" in table.stdout
    assert mangactl("schema", "diff", "@a.json", "nosuch", cwd=tmp_path).returncode == 1
    assert mangactl("schema", "diff", "@a.json", "@b.json", cwd=tmp_path).returncode == 65
    (tmp_path / "b.json").write_text("[]")
    assert mangactl("schema", "diff", "@a.json", "@b.json", cwd=tmp_path).returncode == 65
