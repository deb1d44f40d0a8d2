"""`python tests/measure_families.py`: the largest error of every family by dtype, into docs/model_errors.json.

The guard's errors on the tiny random models of the matrix (tests/test_families.py); the worst of a family's configs, to
two digits. `python -m flowatlas.docs` then writes them into docs/models.md.
"""

import json
import sys
import tempfile
from pathlib import Path

from extraction import load
from flowatlas.families import TEXT_PARTS
from tiny import CONFIGS, make_model

DTYPES = ("float32", "bfloat16", "float16")
ERRORS = Path(__file__).parent.parent / "docs" / "model_errors.json"


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """The largest error by family and dtype; models are made in `folder`."""
    found: dict[str, dict[str, float]] = {}
    for name, config in CONFIGS.items():
        kind = config().model_type
        worst = found.setdefault(TEXT_PARTS.get(kind, kind), dict.fromkeys(DTYPES, 0.0))
        model = make_model(folder / name, name)
        for dtype in DTYPES:
            worst[dtype] = max(worst[dtype], float(f"{max(load(model, dtype)[2].values()):.1e}"))
        print(name, file=sys.stderr)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ERRORS.write_text(json.dumps(measure(Path(folder)), indent=1) + "\n")
