"""The examples of docs/tables.md: each block of SQL is followed by its answer on the runs that the page names.

python tests/table_examples.py FOLDER     writes the answers anew; the commands of the page ran in FOLDER
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import flowatlas
from flowatlas.atlas import Atlas

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"
BLOCK = re.compile(
    r"(### (?P<table>[\w/]+)\n(?:(?!\n#).)*?```sql\n(?P<sql>.*?)\n```\n)(?P<answer>\n(?:\|[^\n]*\n)+)?", re.DOTALL
)
LONGEST = 48


def opened(folder: Path) -> Atlas:
    """The run of the page, with what was compared to it as `compared`."""
    atlas = flowatlas.open(folder / "data" / "runs" / "tour")
    atlas.connection.execute("CREATE SCHEMA compared")
    for file in sorted((folder / "data" / "compared").glob("*.parquet")):
        atlas.connection.execute(f"CREATE VIEW compared.{file.stem} AS SELECT * FROM read_parquet('{file}')")
    return atlas


def examples(page: str) -> Iterator[tuple[str, str, str]]:
    """Table, SQL and answer of every block."""
    for found in BLOCK.finditer(page):
        yield found["table"], found["sql"], (found["answer"] or "").strip()


def answer(atlas: Atlas, sql: str) -> str:
    """The rows as a table of Markdown; a query without rows says so in one."""
    asked = atlas.sql(sql)
    rows = [[cell(value) for value in row] for row in asked.fetchall()] or [
        ["(no rows)"] + [""] * (len(asked.columns) - 1)
    ]
    lines = [asked.columns, ["---"] * len(asked.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    """Numbers to three digits, texts as code, long ones cut."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, str):
        text = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        return "`" + text.replace("|", "\\|") + "`"
    return "null" if value is None else str(value)


def written(page: str, atlas: Atlas) -> str:
    """The page with every answer made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{answer(atlas, found['sql'])}\n", page)


if __name__ == "__main__":
    with opened(Path(sys.argv[1])) as run:
        PAGE.write_text(written(PAGE.read_text(), run))
