"""Every package that `make` installs has one version and hashes; an audit that asked nobody does not call them clean."""

import ast
import json
import re
import sys
from importlib.metadata import packages_distributions

import pytest

import audit_packages
import pins


def test_every_package_that_is_needed_is_pinned_as_installed() -> None:
    assert pins.closure(pins.wanted()).items() <= pins.pinned().items(), "run: make pins"


def test_pins_lie_in_the_ranges_of_the_project() -> None:
    for requirement in pins.wanted():
        assert requirement.specifier.contains(pins.pinned()[pins.canonicalize_name(requirement.name)]), requirement


def test_every_pin_but_torch_is_locked_with_hashes() -> None:
    locked = pins.locked()
    assert {name: version for name, (version, _) in locked.items()} | {"torch": pins.pinned()["torch"]} == pins.pinned()
    for name, (_, hashes) in locked.items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_what_builds_the_package_is_what_is_pinned() -> None:
    project = pins.tomllib.loads((pins.ROOT / "pyproject.toml").read_text())
    assert project["build-system"]["requires"] == [f"hatchling=={pins.pinned()['hatchling']}"]


def test_what_the_package_imports_it_declares() -> None:
    """By itself, not by way of what another package happens to bring."""
    extras = [pins.Requirement(line) for line in pins.project()["optional-dependencies"]["lora"]]
    declared = {pins.canonicalize_name(one.name) for one in (*pins.needed(), *extras)}
    brought_by = packages_distributions()
    for file in (pins.ROOT / "pipeline" / "flowatlas").glob("*.py"):
        found = list(ast.walk(ast.parse(file.read_text())))
        named = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
        named |= {str(node.module) for node in found if isinstance(node, ast.ImportFrom)}
        named = {name.partition(".")[0] for name in named} - sys.stdlib_module_names
        for module in named - {"flowatlas", "triton"}:  # triton comes with the builds of torch that have a use for it
            assert {pins.canonicalize_name(name) for name in brought_by[module]} & declared, f"{file.name}: {module}"


def test_actions_are_named_by_commit() -> None:
    for file in (pins.ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (.*)", file.read_text())
        assert used
        assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", line)] == []


def test_the_pages_packages_are_locked_with_hashes() -> None:
    lock = json.loads((pins.ROOT / "explorer" / "package-lock.json").read_text())
    fetched = {name: entry for name, entry in lock["packages"].items() if name and not entry.get("link")}
    assert len(fetched) > 20
    assert [name for name, entry in fetched.items() if not re.match(r"sha512-", entry.get("integrity", ""))] == []
    own = json.loads((pins.ROOT / "explorer" / "package.json").read_text())
    asked = {**own["dependencies"], **own["devDependencies"]}
    assert all(lock["packages"][f"node_modules/{name}"]["version"] == version for name, version in asked.items())


KNOWN = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
CLEAN = {"name": "b", "version": "1", "vulns": []}
SKIPPED = {"name": "c", "skip_reason": "not found"}
PAGE = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 5}}}


@pytest.mark.parametrize(
    ("python", "npm", "code", "said"),
    [
        ({"dependencies": [CLEAN]}, PAGE, 0, "Python: 1 packages looked up, 0 known vulnerabilities\nnpm: 5"),
        ({"dependencies": [KNOWN, CLEAN]}, PAGE, 1, "a 1: CVE-1, mended in 2"),
        ({"dependencies": [CLEAN]}, {**PAGE, "vulnerabilities": {"d": {"severity": "high"}}}, 1, "npm: d: high"),
        ({"dependencies": [CLEAN, SKIPPED]}, PAGE, 3, "Python: NOT AUDITED: 1 of 2"),
        ({"dependencies": [KNOWN, SKIPPED]}, {}, 1, "npm: NOT AUDITED"),
        ({"dependencies": [CLEAN]}, {"message": "405", "error": {}}, 3, "npm: NOT AUDITED: the registry gives no answer (405)"),
        ({}, PAGE, 3, "Python: NOT AUDITED: the database gives no answer"),
    ],
)  # fmt: skip
def test_an_audit_says_what_it_could_not_ask(python, npm, code, said, capsys) -> None:
    outcomes = {
        "Python": audit_packages.of_python(json.dumps(python) if python else "no network"),
        "npm": audit_packages.of_npm(json.dumps(npm)),
    }
    assert audit_packages.report(outcomes) == code
    out = capsys.readouterr().out
    assert said in out
    assert ("NOT AUDITED" in out) == (code == 3 or npm == {})
