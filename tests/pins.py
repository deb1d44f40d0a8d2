"""What `make` installs with: one version of every package that pyproject.toml leads to, as this environment has it.

    python tests/pins.py UV     writes constraints.txt anew, and requirements.lock with the program uv

constraints.txt has the versions; requirements.lock the same packages with the hashes of every file that the index has of them.
torch is in the first alone: its CPU build lies in an index of its own, or on a machine's disk, under other hashes. What only
Linux has (triton) is pinned there, and the lock says so.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints.txt"
LOCK = ROOT / "requirements.lock"
HEAD = """\
# What `make` installs with: everything that pyproject.toml leads to, in the version that was tested (`make pins` writes it).
# torch here is the CPU build; pyproject.toml allows ranges for users with a GPU.
"""
LOCK_HEAD = """\
# The packages of constraints.txt, torch apart, with the hashes of all of their files (`make pins` writes it).
"""


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def needed() -> list[Requirement]:
    """The package's own requirements."""
    return [Requirement(line) for line in project()["dependencies"]]


def wanted() -> list[Requirement]:
    """These and those of its development, on this platform."""
    named = [*needed(), *(Requirement(line) for line in project()["optional-dependencies"]["dev"])]
    return [one for one in named if one.marker is None or one.marker.evaluate()]


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


def locked() -> dict[str, tuple[str, list[str]]]:
    """What requirements.lock says: the version and the hashes of each package."""
    entries = LOCK.read_text().removeprefix(LOCK_HEAD).replace("\\\n", " ").splitlines()
    found = {}
    for name_and_version, *options in map(str.split, entries):  # between them a marker, where there is one
        name, _, version = name_and_version.partition("==")
        found[name] = version, [option.removeprefix("--hash=") for option in options if option.startswith("--hash=")]
    return found


def main(uv: str) -> None:
    pins = closure(wanted())
    PINS.write_text(HEAD + "".join(f"{name}=={version}\n" for name, version in pins.items()))
    only: dict[str, str] = {canonicalize_name(one.name): f" ; {one.marker}" for one in wanted() if one.marker}
    hashed = "".join(f"{name}=={version}{only.get(name, '')}\n" for name, version in pins.items() if name != "torch")
    options = ("--no-deps", "--generate-hashes", "--universal", "--python-version=3.11", "--no-header", "--no-annotate")
    compiled = subprocess.run(
        [uv, "pip", "compile", "--quiet", "--no-config", *options, "-"],
        input=hashed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if compiled.returncode:
        sys.exit(compiled.stderr)
    LOCK.write_text(LOCK_HEAD + compiled.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
