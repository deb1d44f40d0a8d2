"""Interventions by name: a YAML file, or the words of a command line.

- name: no name movers
  note: the two heads of the last layer that write the name       # optional
  edits:
    - L3H1=off
    - {component: L2N12, action: set, value: 3.5, positions: [-1]}
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flowatlas import edits
from flowatlas.edits import Edit
from flowatlas.errors import ConfigError

_LONGEST = 60  # letters of a name, and of a folder's
_USABLE = re.compile(r"\w(?:[\w .,+=@()-]*[\w)])?")


@dataclass(frozen=True)
class Intervention:
    """Edits that are done together. `name` is for people; `folder` is it in letters that every file system has.

    Raises ConfigError for a name that is not usable as it is; the edits themselves always are.
    """

    name: str
    edits: tuple[Edit, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.edits:
            raise ConfigError(f"intervention {self.name!r} has no edit")
        edits.disjoint(self.edits)
        if self.name != _words(self.edits) and (len(self.name) > _LONGEST or not _USABLE.fullmatch(self.name)):
            raise ConfigError(
                f"{self.name[:80]!r} is no name for an intervention: {_LONGEST} letters and digits at most, between them "
                "blanks and . , _ + = @ ( ) -"
            )

    @property
    def folder(self) -> str:
        text = self.name.lower()
        if self.name == _words(self.edits):  # what tells edits apart stays in letters
            text = text.replace("-", " minus ").replace("@", " at ")
        plain = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
        if plain and len(plain) <= _LONGEST and text.isascii():
            return plain
        return f"{plain[:_LONGEST]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}".strip("-")


def _words(found: Sequence[Edit]) -> str:
    """What edits are called that nobody gave a name."""
    return ", ".join(map(str, found))


def of_words(words: Sequence[str], name: str | None = None) -> Intervention:
    """Edits as they are written on a command line; they are the name too where none is given. Raises ConfigError."""
    found = tuple(edits.parse(word) for word in words)
    return Intervention(_words(found) if name is None else name, found)


def read(path: Path) -> list[Intervention]:
    """The interventions of a YAML file. Raises ConfigError for what is none, or names that come to one folder."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: no such file, or it cannot be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{path}: it must be a list of interventions, each with a name and edits")
    found = [_intervention(path, entry) for entry in content]
    folders = [one.folder for one in found]
    for one in found:
        if folders.count(one.folder) > 1:
            raise ConfigError(f"{path}: two interventions would be stored as {one.folder!r}: give them other names")
    return found


def _intervention(path: Path, entry: Any) -> Intervention:
    fine = isinstance(entry, dict) and {"name", "edits"} <= set(entry) <= {"name", "edits", "note"}
    if not fine or not isinstance(entry["name"], str) or not isinstance(entry["edits"], list):
        raise ConfigError(
            f"{path}: {entry} is no intervention: it needs a name and a list of edits, and may have a note"
        )
    try:
        found = tuple(_edit(edit) for edit in entry["edits"])
        return Intervention(entry["name"], found, str(entry.get("note") or ""))
    except ConfigError as error:
        raise ConfigError(f"{path}, {entry['name']}: {error}") from error


def _edit(written: Any) -> Edit:
    if isinstance(written, dict):
        return edits.of_mapping(written)
    return edits.parse(str(written))
