"""flowatlas: information flow routes of language model predictions, over whole datasets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flowatlas.atlas import Atlas

__version__ = "0.1.0"


def open(run_dir: "str | Path") -> "Atlas":
    """The tables of a run, to be asked in Python; see `flowatlas.atlas`. Raises errors.RunError when it is no run."""
    from flowatlas.atlas import Atlas  # loads DuckDB, which the command line's help need not wait for

    return Atlas(run_dir)
