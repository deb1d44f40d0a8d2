"""The documents: their pages, and the commands, programs and outputs that stand in them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "data").rglob("README.md")),
]
PROGRAMS = (
    "flowatlas", "make", "pip", "python", "python3", "pytest", "git", "source", "export", "hf", "sbatch", "scancel", "squeue",
    "npm", "npx", "apt-get", "cd", "duckdb", "curl",
)  # fmt: skip
FENCED = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def commands(text: str) -> Iterator[str]:
    """The commands of a page's blocks in order: comments gone, lines that end with a backslash joined with what follows."""
    fenced = False
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r"    \S", line):
            while line.endswith("\\"):
                line = line[:-1].rstrip() + " " + next(lines).strip()
            command = re.sub(r"^(?:\$ |(?:\S+ ){5} cd \S+ && )?(?:\w+=\S+ )*(?:\S*/bin/)?", "", line.strip())
            command = re.sub(r"\s+#\s.*$|\s>>.*$", "", command)
            if command.split(" ")[0] in PROGRAMS:
                yield command


def outputs(text: str) -> Iterator[tuple[str, str]]:
    """Blocks of `text`, each with the command that prints it: the last one before it."""
    for block in FENCED.finditer(text):
        if block[1] == "text":
            yield list(commands(text[: block.start()]))[-1], block[2]


def inline(text: str) -> Iterator[str]:
    """The commands in a page's running text, and expressions of Python that begin with `flowatlas.`. What begins the row of a
    table is none: a key, or a message."""
    running = FENCED.sub("", text)
    for found in re.finditer(r"`([^`]+)`", running):
        program, _, words = found[1].partition(" ")
        begins_row = running[: found.start()].endswith("\n| ")
        if not begins_row and ((program in PROGRAMS and words) or re.match(r"flowatlas\.\w+\(", found[1])):
            yield found[1]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [block for named, block in FENCED.findall(text) if named == language]
