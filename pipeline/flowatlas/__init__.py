"""flowatlas: information flow routes of language model predictions, over whole datasets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from flowatlas.atlas import Atlas
    from flowatlas.notebook import Shown

__version__ = "0.1.0"


def open(run_dir: "str | Path") -> "Atlas":
    """The tables of a run, to be asked in Python; see `flowatlas.atlas`. Raises errors.RunError when it is no run."""
    from flowatlas.atlas import Atlas  # loads DuckDB, which the command line's help need not wait for

    return Atlas(run_dir)


def show(run: "str | Path", prompt: int | None = None, **options: Any) -> "Shown":
    """The explorer in a notebook's cell: `flowatlas.show(RUN, prompt=17)`; options as in `flowatlas.notebook.show`."""
    from flowatlas.notebook import show as explorer

    return explorer(run, prompt, **options)
