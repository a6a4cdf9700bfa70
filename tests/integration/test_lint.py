"""The checks of `make lint` that are our own: each must fail on what it is there to find."""
import subprocess

import pytest
from lib.paths import ROOT
from lib.process import clean_environment

HEADERS = {
    "proto/a.h": "#include <stdint.h>\n",
    "kit/clock.h": "#include <time.h>\n#include <unistd.h>\n",
    "kit/bucket.h": '#include "proto/a.h"\n',
    "broker/core/core.h": "",
    "broker/rules/rules.h": "",
    "broker/journal/journal.h": "",
    "broker/front.h": "",
    "services/one/one.h": "",
    "services/two/two.h": "",
    "tools/mangactl/ctl.h": "",
    "tools/sims/erp/sim.h": "",
}


def floors(tmp_path, name, text):
    for path, content in {**HEADERS, name: text}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    return subprocess.run([ROOT / "tools/lint/floors", tmp_path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name, target", [
    ("proto/x.c", "kit/bucket.h"),
    ("kit/x.c", "broker/front.h"),
    ("kit/x.c", "services/one/one.h"),
    ("broker/x.c", "services/one/one.h"),
    ("broker/rules/x.c", "broker/core/core.h"),
    ("broker/rules/x.h", "broker/journal/journal.h"),
    ("broker/core/x.c", "broker/journal/journal.h"),
    ("broker/core/x.c", "broker/front.h"),
    ("broker/journal/x.c", "broker/core/core.h"),
    ("services/one/x.c", "services/two/two.h"),
    ("services/one/x.c", "broker/rules/rules.h"),
    ("tools/mangactl/x.c", "broker/core/core.h"),
    ("tools/mangactl/x.c", "broker/front.h"),
    ("tools/sims/erp/x.c", "tools/mangactl/ctl.h"),
    ("tools/sims/erp/x.c", "broker/rules/rules.h"),
    ("kit/x.c", "bucket.h"),
])
def test_an_include_that_breaks_a_floor_is_named(tmp_path, name, target):
    done = floors(tmp_path, name, f'/* x */\n#include "{target}"\n')
    assert done.returncode == 1
    assert done.stdout.startswith(f"{name}:2: ")
    assert f'"{target}"' in done.stdout


@pytest.mark.parametrize("name, target", [
    ("kit/x.c", "proto/a.h"),
    ("broker/x.c", "broker/core/core.h"),
    ("broker/core/x.c", "broker/rules/rules.h"),
    ("broker/core/x.c", "kit/bucket.h"),
    ("services/one/x.c", "kit/clock.h"),
    ("services/one/x.c", "services/one/one.h"),
    ("tools/mangactl/x.c", "broker/rules/rules.h"),
    ("tools/mangactl/x.c", "broker/journal/journal.h"),
    ("tools/mangactl/x.c", "gen/version.h"),
    ("tests/unit/x.c", "services/one/one.h"),
])
def test_an_include_that_keeps_to_the_floors_passes(tmp_path, name, target):
    done = floors(tmp_path, name, f'#include "{target}"\n')
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text, complaint", [
    ("#include <zmq.h>\n", "<zmq.h>"),
    ("#include <czmq.h>\n", "<czmq.h>"),
    ("#include <unistd.h>\n", "<unistd.h>"),
    ("#  include <sys/socket.h>\n", "<sys/socket.h>"),
    ('#include "kit/clock.h"\n', "<unistd.h> (by way of kit/clock.h)"),
    ("#include <time.h>\nint f(void) { return (int)time(NULL); }\n", "calls time()"),
    ("int f(void) { return rand(); }\n", "calls rand()"),
    ('int f(void) { puts("x"); }\n', "calls puts()"),
])
@pytest.mark.parametrize("folder", ["broker/core", "broker/rules"])
def test_impure_code_in_core_or_rules_is_named(tmp_path, folder, text, complaint):
    done = floors(tmp_path, f"{folder}/x.c", text)
    assert done.returncode == 1
    assert complaint in done.stdout


def test_what_only_looks_impure_passes(tmp_path):
    done = floors(tmp_path, "broker/core/x.c", "#include <time.h>\n/* time(NULL) */ // rand()\n"
                  'const char *s = "read(";\nint f(struct io *io) { return io->read(3) + io->now.time(1); }\n'
                  "int core_read(int a);\nint g(void) { return core_read(1); }\n")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name, text, complaint", [
    ("Dockerfile", "RUN pip install -i https://py" + "pi.org/simple x\n", "registry"),
    ("docs/a.md", "see .." + "/shared/DESIGN.md\n", "outside"),
    ("kit/a.c", "/* /wo" + "rk/main */\n", "outside"),
    (".ci/run", "look in .." + "/shared/tools\n", None),
    ("tests/a.py", "look in .." + "/shared/wire\n", None),
    ("docs/b.md", "a shared folder, /usr/share/doc, network/path\n", None),
])
def test_words_of_elsewhere_are_found_where_they_do_not_belong(tmp_path, name, text, complaint):
    env = clean_environment({"GIT_CONFIG_GLOBAL": "/dev/null"})
    subprocess.run(["git", "init", "-q", tmp_path], check=True, env=env)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    done = subprocess.run([ROOT / "tools/lint/words", tmp_path], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == (1 if complaint else 0), done.stdout + done.stderr
    assert complaint is None or complaint in done.stdout
