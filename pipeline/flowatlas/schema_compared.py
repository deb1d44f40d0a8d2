"""The tables of `flowatlas compare`, declared like those of a run: two runs of the same prompts."""

import pyarrow as pa

from flowatlas.schema import Column, Table
from flowatlas.schema_stats import MEASURES, PART, category, interval

_i16, _i32, _f32, _text = pa.int16(), pa.int32(), pa.float32(), pa.string()
_shapes = "models of other shapes"
_routes = "models of other shapes, or other tokens"
_prompts = (
    Column("prompt_a", _i32, "its prompt_id in the first run", range=">= 0"),
    Column("prompt_b", _i32, "its prompt_id in the second run", range=">= 0"),
)


def _both(
    name: str, type_: pa.DataType, meaning: str, unit: str = "", range: str = "", null: str = ""
) -> tuple[Column, Column]:
    first = Column(f"{name}_a", type_, f"{meaning} in the first run", unit, range, null)
    return first, Column(f"{name}_b", type_, "the same in the second run", unit, range, null)


_tables = (
    Table("components", "a component and a measure in two runs of the same prompts", (
        Column("group", _text, "the prompts it is over", null="all prompts"),
        *PART,
        Column("measure", category, "what is compared: a column of `importance`", categories=MEASURES),
        Column("n", _i32, "prompts in both runs", unit="prompts", range=">= 1"),
        *_both("mean", _f32, "mean"),
        *interval("difference", "mean_b - mean_a, prompt by prompt"),
        Column("standardised", _f32, "mean difference over its standard deviation", null="no spread, or one prompt"),
        Column("correlation", _f32, "of the two runs' values over all prompts", range="-1..1", null="no spread, fewer than 2 prompts, a neuron, or one group's row"),
        Column("p", _f32, "two-sided p-value: sign flips", range="0..1", null="fewer than 2 prompts"),
        Column("q", _f32, "Benjamini-Hochberg over the components of the same sort (neurons apart), group and measure", range="0..1", null="no p"),
        Column("tau", _f32, "threshold of `activity` at which the frequencies differ most", range="0..1"),
        *_both("frequency", _f32, "activation frequency at that threshold", "", "0..1"),
    )),
    Table("prompts", "a prompt in two runs", (
        Column("source_id", _text, "the dataset's own id"),
        Column("group", _text, "its group in the first run", null="not given"),
        *_prompts,
        Column("n_tokens", _i32, "tokens in the first run", unit="tokens", range=">= 1"),
        Column("distance", _f32, "mean absolute difference of its heads' and MLPs' mean_share", range="0..1", null=_shapes),
        Column("tau", _f32, "threshold of the routes compared: the larger floor of the two runs", range="0..1"),
        *_both("n_edges", _i32, "edges of the summed route at tau", "", ">= 0", _routes),
        Column("n_edges_both", _i32, "of these, edges in both", range=">= 0", null=_routes),
        *_both("predicted", _text, "the model's most probable token at the last target"),
        *_both("predicted_prob", _f32, "its probability", "", "0..1"),
        *_both("answer_prob", _f32, "probability of the answer there", "", "0..1"),
        *_both("answer_rank", _i32, "rank of the answer", "", ">= 1"),
    )),
    Table("largest", "a head or MLP whose share differs most in a prompt", (
        *_prompts,
        Column("place", _i16, "1 differs most", range="1..5"),
        *PART,
        *_both("share", _f32, "its mean_share", "", "0..1"),
        Column("difference", _f32, "share_b - share_a", range="-1..1"),
    )),
)  # fmt: skip

COMPARED_TABLES: dict[str, Table] = {table.name: table for table in _tables}

# As schema_stats.ORDERS; prompts that differ most come first.
COMPARED_CUTS: dict[str, tuple[str, ...]] = {"components": ("component", "group"), "prompts": (), "largest": ()}
