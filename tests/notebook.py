"""Executes docs/notebook.ipynb without Jupyter: cells in order, one namespace, the last expression of a cell is its output.

python tests/notebook.py      # after `make demo`: executes it in the checkout and writes the outputs into it
"""

import ast
import base64
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def execute(notebook: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the code cells in the current folder; returns the notebook with outputs, and the namespace they left."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = cell | {"execution_count": count, "outputs": _outputs("".join(cell["source"]), names, count)}
        cells.append(cell)
    return notebook | {"cells": cells}, names


def _outputs(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    import matplotlib.pyplot as plt

    body = ast.parse(source)
    end = body.body[-1]
    last = ast.Expression(end.value) if isinstance(end, ast.Expr) else None
    body.body = body.body[:-1] if last else body.body
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        exec(compile(body, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(last, "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append(
            {"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)}
        )
    figures = [_png(plt.figure(number)) for number in plt.get_fignums()]
    plt.close("all")
    for png in figures:
        outputs.append({"output_type": "display_data", "metadata": {}, "data": {"image/png": png}})
    if value is not None and not figures:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        outputs.append({"output_type": "execute_result", "metadata": {}, "execution_count": count, "data": data})
    return outputs


def _png(figure: Any) -> str:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
    return base64.b64encode(image.getvalue()).decode()


def main() -> None:
    done, _ = execute(json.loads(NOTEBOOK.read_text()))
    NOTEBOOK.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
