"""constraints.txt: one version of every package that pyproject.toml leads to, as this environment has it.

    python tests/pins.py     writes it anew

There are no hashes: pip checks them for all packages or for none, refuses them beside an editable install, and each would
have to list the files of every platform and of both builds of torch (its CPU build lies in an index of its own).
"""

import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints.txt"
HEAD = """\
# What `make` installs with: everything that pyproject.toml leads to, in the version that was tested (`make pins` writes it).
# torch here is the CPU build; pyproject.toml allows ranges for users with a GPU.
"""


def wanted() -> list[Requirement]:
    """The package's own requirements and those of its development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


def closure(requirements: Iterable[Requirement]) -> dict[str, str]:
    """The versions, builds left out, of all that is installed because of these; by name. Raises PackageNotFoundError."""
    found: dict[str, str] = {}
    left, seen = list(requirements), set()
    while left:
        requirement = left.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        package = distribution(requirement.name)
        found[key[0]] = package.version.partition("+")[0]
        for line in package.requires or []:
            inner = Requirement(line)
            marks = [{"extra": extra} for extra in (*requirement.extras, "")]
            if inner.marker is None or any(inner.marker.evaluate(mark) for mark in marks):
                left.append(inner)
    return dict(sorted(found.items()))


def pinned() -> dict[str, str]:
    """What constraints.txt says."""
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


if __name__ == "__main__":
    PINS.write_text(HEAD + "".join(f"{name}=={version}\n" for name, version in closure(wanted()).items()))
