"""`python -m flowatlas.docs`: writes the tables of columns into the README, from the schema."""

import re
import sys
from pathlib import Path

from flowatlas.schema import markdown

_PLACE = re.compile(r"(<!-- tables: .*? -->\n).*(<!-- /tables -->)", re.DOTALL)


def with_tables(readme: str) -> str:
    """The README's text with the part between its two marks made anew."""
    return _PLACE.sub(lambda found: f"{found[1]}{markdown()}{found[2]}", readme)


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "README.md")
    path.write_text(with_tables(path.read_text()))
