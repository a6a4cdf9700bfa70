"""Every service is named wherever services are named, with the same port: what CONTRIBUTING.md asks of a new one."""
import json
import re

import pytest
from lib.paths import ROOT, services


def forgotten(root, name):
    """The places in the tree below `root` that do not know the service."""
    port = re.search(r"\.http_port = (\d+)", (root / f"services/{name}/main.c").read_text())[1]
    wanted = {
        "compose.yaml": [rf"^      - {name}$", rf"^  {name}:\n    <<: \*image\n    command: \[{name}\]$",
                         rf"test: \[CMD, {name}, healthcheck\]", rf"MANGABUS_HTTP: \"?0\.0\.0\.0:{port}\"?"],
        "tools/demo": [rf"^services=\(.*\b{name}\b.*\)$", rf"\b{name}\) echo {port} ;;"],
        "docs/conventions.md": [rf"^\| {name} \| HTTP {port} \|"],
        "README.md": [rf"^\| {name} \|.*\(docs/services/{name}\.md\)"],
        "docs/configuration.md": [rf"^## {name}$"],
        f"docs/services/{name}.md": [rf"^# {name}$"],
        "tests/e2e/test_house.py": [rf'^    "{name}": lambda h: '],
    }
    missing = []
    for path, patterns in wanted.items():
        text = (root / path).read_text() if (root / path).exists() else ""
        missing += [f"{path}: {pattern}" for pattern in patterns if not re.search(pattern, text, re.MULTILINE)]
    if name not in json.loads((root / "broker/roles.json").read_text()):
        missing.append(f"broker/roles.json: {name}")
    return missing


def ports(root):
    return [re.search(r"\.http_port = (\d+)", main.read_text())[1] for main in root.glob("services/*/main.c")]


@pytest.mark.parametrize("name", services())
def test_a_service_is_known_wherever_services_are_named(name):
    assert forgotten(ROOT, name) == []


def test_no_two_services_have_one_port():
    assert len(ports(ROOT)) == len(set(ports(ROOT)))
