"""Every package that `make` installs has one version, and the page's packages a hash."""

import json
import re

import pins


def test_every_package_that_is_needed_is_pinned_as_installed() -> None:
    assert pins.closure(pins.wanted()).items() <= pins.pinned().items(), "run: make pins"


def test_pins_lie_in_the_ranges_of_the_project() -> None:
    for requirement in pins.wanted():
        assert requirement.specifier.contains(pins.pinned()[pins.canonicalize_name(requirement.name)]), requirement


def test_the_pages_packages_are_locked_with_hashes() -> None:
    lock = json.loads((pins.ROOT / "explorer" / "package-lock.json").read_text())
    fetched = {name: entry for name, entry in lock["packages"].items() if name and not entry.get("link")}
    assert len(fetched) > 20
    assert [name for name, entry in fetched.items() if not re.match(r"sha512-", entry.get("integrity", ""))] == []
    own = json.loads((pins.ROOT / "explorer" / "package.json").read_text())
    asked = {**own["dependencies"], **own["devDependencies"]}
    assert all(lock["packages"][f"node_modules/{name}"]["version"] == version for name, version in asked.items())
