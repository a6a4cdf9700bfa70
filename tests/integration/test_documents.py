"""What the documents name exists: files, anchors, metrics, variables, ports, commands, errors."""
import re
import subprocess
import unicodedata

import pytest
from lib.paths import ROOT, bin_dir, patience
from lib.process import clean_environment

TRACKED = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                         check=False).stdout.split("\n")
PAGES = sorted(name for name in TRACKED if name.endswith(".md") and (ROOT / name).exists())
SOURCES = [name for name in TRACKED if re.match(r"(proto|kit|broker|services|tools)/.*\.[ch]$", name) and (ROOT / name).exists()]
CODE = "\n".join((ROOT / name).read_text() for name in SOURCES)
FOLDERS = ("proto", "kit", "broker", "services", "tools", "tests", "docs", "build")
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def text_of(name):
    return (ROOT / name).read_text()


def prose_of(name):
    """A page without its fenced blocks."""
    return FENCE.sub("", text_of(name))


CONFIGURATION = text_of("docs/configuration.md")
CONVENTIONS = text_of("docs/conventions.md")


def slug(heading):
    """GitHub's anchor of a heading."""
    kept = (c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).strip().replace(" ", "-")


def anchors(name):
    return {slug(heading.replace("`", "")) for heading in re.findall(r"^#+ (.*)$", prose_of(name), re.MULTILINE)}


def run(program, *arguments):
    return subprocess.run([bin_dir() / program, *arguments], capture_output=True, text=True, timeout=patience(30),
                          env=clean_environment(), check=False)


# ---- places ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.relative_to(ROOT)), target


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_exists(page):
    known = set(TRACKED)
    for named in re.findall(r"`([\w.-]+(?:/[\w.*-]+)+/?)`", prose_of(page)):
        if named.split("/")[0] not in FOLDERS or named.startswith("build/") or re.search(r"NAME|\bX\b|_X\b|DIR|review-tally", named):
            continue
        pattern = re.compile(re.escape(named.rstrip("/")).replace(r"\*", "[^/]*") + "(/.*|[.]c|[.]h)?$")
        assert any(pattern.match(name) for name in known), named


# ---- metrics ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES)
def test_every_metric_that_is_named_is_made(page):
    for metric in set(re.findall(r"(?<![\w/])(mangabus_[a-z0-9_]*[a-z0-9])(?![\w.])", prose_of(page))):
        assert re.search(rf'"[^"]*\b{metric}\b', CODE), metric


# ---- variables -------------------------------------------------------------------------------------------
def variables_in(text):
    return set(re.findall(r"\b(?:MANGABUS|AWS|PG|POSTGRES)_?[A-Z][A-Z0-9_]*[A-Z0-9]\b", text))


def test_every_variable_that_a_program_reads_is_described():
    read = set(re.findall(r'"(MANGABUS_[A-Z0-9_]+|AWS_[A-Z_]+|PG[A-Z]+|OTEL_[A-Z_]+|NO_COLOR)"', CODE))
    read -= {"MANGABUS_VERSION"} | {name for name in read if name.startswith("PG_")}
    assert len(read) > 80
    assert not {name for name in read if f"`{name}`" not in CONFIGURATION}


@pytest.mark.parametrize("name", [name for name in PAGES if name not in ("docs/configuration.md", "CONTRIBUTING.md")] +
                         ["CONTRIBUTING.md", "compose.yaml", "Dockerfile", "tools/demo"])
def test_every_variable_that_is_named_is_described(name):
    text = prose_of(name) if name == "CONTRIBUTING.md" else text_of(name)
    described = variables_in(CONFIGURATION)
    described |= {f"{secret}_FILE" for secret in re.findall(r"`(\w+)` \(or `_FILE`\)", CONFIGURATION)}
    strangers = {found for found in variables_in(text) if found not in described}
    assert not strangers - {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "PG_VERSION"}  # PostgreSQL's own


# ---- ports and programs ------------------------------------------------------------------------------------
def port_table():
    """{program: port of MANGABUS_HTTP} as conventions.md says."""
    rows = re.findall(r"^\| ([a-z-]+) \| ([^|]*) \|", CONVENTIONS.split("## Ports")[1].split("\n## ")[0], re.MULTILINE)
    return {program: int(re.findall(r"\d{4}", ports)[-1]) for program, ports in rows if re.search(r"\d{4}", ports)}


def programs():
    return sorted({name.split("/")[-2] for name in SOURCES if re.match(r"(services|tools/sims)/[^/]+/main\.c$", name)} |
                  {"mangabus-broker"})


@pytest.mark.parametrize("program", programs())
def test_a_program_listens_where_the_table_of_ports_says(program):
    default = re.search(r"MANGABUS_HTTP \(text; default 127\.0\.0\.1:(\d+)\)", run(program, "--help").stdout).group(1)
    assert port_table()[program] == int(default)
    assert re.search(rf"\b{program}\) echo {default} ;;", text_of("tools/demo"))
    compose = text_of("compose.yaml").split(f"\n  {program.removeprefix('mangabus-')}:\n")[1].split("\n\n")[0]
    assert re.search(rf"MANGABUS_HTTP: \"?0\.0\.0\.0:{default}\b", compose)


@pytest.mark.parametrize("program", programs() + ["mangactl"])
def test_a_program_is_in_the_readmes_table(program):
    table = text_of("README.md").split("## Processes")[1].split("\n## ")[0]
    assert re.search(rf"^\|[^|]*\b{program}\b[^|]*\|", table, re.MULTILINE)


def test_the_common_variables_have_the_defaults_that_conventions_say():
    table = re.findall(r"^\| `(MANGABUS_\w+)` \| ([^|]+) \|", CONVENTIONS, re.MULTILINE)
    assert len(table) >= 6
    text = run("fm-invoker", "--help").stdout
    for name, default in table:
        wanted = default.strip().strip("`").replace("PORT", str(port_table()["fm-invoker"]))
        assert f"{name} (" in text and f"default {wanted})" in text.split(f"{name} (")[1].split("\n")[0], name


# ---- commands ----------------------------------------------------------------------------------------------
def mangactl_commands():
    lines = run("mangactl", "--help").stdout.split("\n\n")[2].splitlines()
    return {line.strip().split("  ")[0] for line in lines}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_mangactl_that_is_named_is_there(page):
    known = mangactl_commands()
    assert {"ask", "queue ls"} <= known
    first = {command.split()[0] for command in known}
    for words in re.findall(r"\bmangactl ((?:[a-z]+)(?: [a-z]+)?)", text_of(page)):
        one, _, two = words.partition(" ")
        if one in first and not any(command.startswith(f"{one} ") for command in known):
            continue
        named_in_code = re.search(rf"`[^`\n]*mangactl {one}|^\s*(?:docker compose run --rm )?(?:build/bin/)?mangactl {one}",
                                  text_of(page), re.MULTILINE)
        if named_in_code:
            assert words in known or one in known | {"help", "version"}, f"mangactl {words}"


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_that_is_named_is_there(page):
    makefile = text_of("Makefile")
    for target in re.findall(r"(?:`|^)make (?:-\w+ |[A-Z]+=\S* )*([a-z][a-z_.-]*)", text_of(page), re.MULTILINE):
        if not target.startswith("build"):
            assert re.search(rf"^{re.escape(target)}:|\.PHONY:.*\b{re.escape(target)}\b", makefile, re.MULTILINE), target


# ---- errors ------------------------------------------------------------------------------------------------
def test_every_error_name_of_the_broker_is_in_the_protocol():
    section = text_of("docs/protocol.md").split("## Errors")[1].split("\n## ")[0]
    core = "\n".join(text_of(name) for name in SOURCES if name.startswith(("broker/core/", "broker/front", "broker/gate")))
    names = set(re.findall(r'STATUS_[A-Z_]+,\s*"([A-Za-z_]{4,})"', core))
    assert "QueueDoesNotExist" in names
    at_start = {name for name in names if name.startswith("JOURNAL_")}  # no frame carries one: nobody is connected yet
    missing = {name for name in names - at_start if f"`{name}`" not in section}
    assert not missing
