"""`python -m flowatlas.docs`: writes the tables of columns into the README, from the schema."""

import re
import sys
from pathlib import Path

from flowatlas.schema import MODEL_TABLES, TABLES, markdown
from flowatlas.schema_stats import COMPARED_TABLES, STATS_TABLES

_PLACE = re.compile(r"(<!-- tables: .*? -->\n).*(<!-- /tables -->)", re.DOTALL)


def with_tables(readme: str) -> str:
    """The README's text with the part between its two marks made anew."""
    tables = markdown(TABLES) + markdown(MODEL_TABLES, "model/") + markdown(STATS_TABLES, "stats/")
    tables += markdown(COMPARED_TABLES, "compared/")
    return _PLACE.sub(lambda found: f"{found[1]}{tables}{found[2]}", readme)


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "README.md")
    path.write_text(with_tables(path.read_text()))
