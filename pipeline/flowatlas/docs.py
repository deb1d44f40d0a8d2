"""`python -m flowatlas.docs`: writes what the documents say of tables and models, from the schema and the table of families.

README.md gets the tables of columns, as explorer/src/tables.json does for the page's SQL console; docs/models.md and
explorer/src/models.json the families, with the errors that `python tests/measure_families.py` left in docs/model_errors.json.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowatlas.families import FAMILIES, REFUSED, TEXT_PARTS, Family, SameAs
from flowatlas.schema import MODEL_TABLES, TABLES, Column, markdown
from flowatlas.schema_audit import AUDIT_TABLES
from flowatlas.schema_compared import COMPARED_TABLES
from flowatlas.schema_interventions import INTERVENTION_TABLES
from flowatlas.schema_stats import STATS_TABLES
from flowatlas.schema_vocab import VOCAB_TABLES

_PLACE = re.compile(r"(<!-- tables: .*? -->\n).*(<!-- /tables -->)", re.DOTALL)
_DTYPES = ("float32", "bfloat16", "float16")
_SQL_TYPES = {
    "bool": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT", "float": "FLOAT",
    "double": "DOUBLE", "string": "VARCHAR",
}  # fmt: skip

_MODELS = """# Models

Written by `python -m flowatlas.docs` from the one table of families (`pipeline/flowatlas/families.py`), which also drives
the code. A model is found by the `model_type` of its config.json. Whatever is not in the first table is refused by name
before any weight is loaded; whatever behaves otherwise than its entry says is refused by the guard, which compares every
run's first batch with Hugging Face and adds up the parts of every block, before anything is written.

## Exact

{exact}

*Blocks*: in a sequential block the MLP reads what attention wrote, and there is a node between them (`mid`); in a parallel
block both read the same node and write into one (`post`). *Norms*: a norm between a block's output and the residual stream
is frozen at the scale that it had: every part is divided by it and multiplied by its weight. *Neurons*: those of a mixture
are numbered by expert (`L5E3N12`), with the router's weight in their activation; where they cannot be told apart,
the MLP is one part, and tables, manifest and page say that the layer has no neurons.

*Errors*: the largest of five differences, each as a fraction of the largest value of what it is compared with (at least
1): our logits from Hugging Face's, A @ v from what the heads pass on, and the sums of attention, of the MLP and of its
neurons from what the model itself adds to the residual stream. Measured by `python tests/measure_families.py` on the tiny
random models of the tests, every weight, bias and norm random, on a CPU; a family with several kinds of config has the
worst of them. In half precision what remains is the rounding of the model's own activations: shares, norms and logits are
computed in float32.

Of checkpoints that can also see, the text part is read: {parts}. Fine-tuned weights are what their family is.

## Refused by a config's value

{fixed}

## Refused families

{refused}

Quantised checkpoints are refused as well, whatever their family (gpt-oss and DeepSeek V3 are published as such: give a copy
converted to bfloat16), and so is every family that no table here names.
"""


def with_tables(readme: str) -> str:
    """The README's text with the part between its two marks made anew."""
    tables = markdown(TABLES) + markdown(MODEL_TABLES, "model/") + markdown(STATS_TABLES, "stats/")
    tables += markdown(VOCAB_TABLES, "vocab/") + markdown(COMPARED_TABLES, "compared/")
    tables += markdown(AUDIT_TABLES, "audit/") + markdown(INTERVENTION_TABLES, "interventions/NAME/")
    return _PLACE.sub(lambda found: f"{found[1]}{tables}{found[2]}", readme)


def models_page(errors: dict[str, dict[str, float]]) -> str:
    """docs/models.md; errors: the largest by family and dtype."""
    exact = [["family", "models", "blocks", "norms", "neurons", "also", *_DTYPES]]
    for kind, family in FAMILIES.items():
        facts = [f"`{kind}`", family.known_as, blocks(family), norms(family), neurons(family), also(family)]
        exact.append([*facts, *(f"{errors[kind][dtype]:.0e}" for dtype in _DTYPES)])
    fixed = [["family", "config key", "must be", "because otherwise"]]
    for kind, family in FAMILIES.items():
        for rule in family.fixed:
            value = f"that of `{rule.value.key}`" if isinstance(rule.value, SameAs) else f"`{json.dumps(rule.value)}`"
            fixed.append([f"`{kind}`", f"`{rule.key}`", value, rule.reason])
    by_reason: dict[str, list[str]] = {}
    for kind, reason in REFUSED.items():
        by_reason.setdefault(reason, []).append(f"`{kind}`")
    refused = [["families", "because"], *([", ".join(kinds), reason] for reason, kinds in by_reason.items())]
    parts = ", ".join(f"`{whole}` (read as `{part}`)" for whole, part in TEXT_PARTS.items())
    return _MODELS.format(exact=_table(exact), fixed=_table(fixed), refused=_table(refused), parts=parts)


def models_list() -> list[dict[str, Any]]:
    """The same table for the explorer: each family's facts in words."""
    return [
        {
            "family": kind,
            "known_as": family.known_as,
            "block": blocks(family),
            "norms": norms(family),
            "level": family.level,
            "neurons": neurons(family),
            "notes": also(family),
        }
        for kind, family in FAMILIES.items()
    ]


def tables_list() -> list[dict[str, Any]]:
    """Every table that the page's SQL can name: `name` with its schema, what a `row` is, columns with DuckDB's types."""
    schemas = (("", TABLES), ("model.", MODEL_TABLES), ("stats.", STATS_TABLES), ("vocab.", VOCAB_TABLES))
    schemas += (("compared.", COMPARED_TABLES),)
    schemas += (("audit.", {"curves": AUDIT_TABLES["curves"]}),)  # the only one of the audit's that a site has
    schemas += (("interventions.", INTERVENTION_TABLES),)
    return [
        {"name": schema + name, "row": table.row, "columns": [_column(column) for column in table.columns]}
        for schema, tables in schemas
        for name, table in tables.items()
    ]


def _column(column: Column) -> dict[str, str]:
    said = {"name": column.name, "type": _sql_type(column.type), "meaning": column.meaning, "unit": column.unit}
    said |= {"range": column.range or ", ".join(column.categories), "null": column.null}
    return {key: value for key, value in said.items() if value}


def _sql_type(type_: pa.DataType) -> str:
    if pa.types.is_list(type_):
        return _sql_type(type_.value_type) + "[]"
    return _SQL_TYPES[str(type_.value_type if pa.types.is_dictionary(type_) else type_)]


def blocks(family: Family) -> str:
    if isinstance(family.parallel, str):
        return f"parallel or sequential (`{family.parallel}`)"
    return "parallel" if family.parallel else "sequential"


def norms(family: Family) -> str:
    kind = "LayerNorm" if family.layer_norm else "RMSNorm"
    weight = f", times {family.norm_offset:g} + weight" if family.norm_offset else ""
    return f"{kind}{weight}{', frozen after outputs' if any(family.post_norms) else ''}"


def neurons(family: Family) -> str:
    if family.level == "block":
        return "of dense MLPs; a mixture is one part"
    if family.experts is None:
        return "all"
    return "by expert, the shared one last" if family.experts.shared else "by expert"


def also(family: Family) -> str:
    """Multipliers, cap and bound, by the config keys that hold them."""
    said = {
        "outputs times": family.residual_multiplier,
        "logits times": family.logit_multiplier,
        "logits over": family.logit_divisor,
        "logits capped at": family.soft_cap,
        "values cut at": family.value_clip,
    }
    return ", ".join(f"{words} `{key}`" for words, key in said.items() if key is not None)


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def write(root: Path) -> None:
    """Write every made part of the documents of a checkout."""
    readme, errors = root / "README.md", root / "docs" / "model_errors.json"
    readme.write_text(with_tables(readme.read_text()))
    (root / "docs" / "models.md").write_text(models_page(json.loads(errors.read_text())))
    for name, made in (("models", models_list()), ("tables", tables_list())):
        (root / "explorer" / "src" / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
