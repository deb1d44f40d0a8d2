"""`flowatlas`, but each batch takes `FLOWATLAS_SLOW` seconds more: so that a test can meet a task in the middle of a shard."""

import os
import sys
import time

from flowatlas import extract
from flowatlas.cli import main

_extract = extract.Extractor.__call__


def _slowly(self, prompts):
    time.sleep(float(os.environ["FLOWATLAS_SLOW"]))
    return _extract(self, prompts)


if __name__ == "__main__":
    setattr(extract.Extractor, "__call__", _slowly)  # noqa: B010 -- what pyright lets nobody assign
    sys.exit(main())
