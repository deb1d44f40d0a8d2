"""The tables that ask what components cause, declared like those of a run: the means that take their place, and the audit."""

import pyarrow as pa

from flowatlas.schema import Column, Table
from flowatlas.schema_stats import PROMPT_ID, category, interval

MEAN_OF = ("head", "mlp")
MODES = ("keep", "remove")
CHOSEN = ("route", "random", "attention", "direct")
MEASURED = ("logprob", "logit", "gap")

_i16, _i32, _f32 = pa.int16(), pa.int32(), pa.float32()
_vector = pa.list_(pa.field("element", _f32, nullable=False))
_route = "the route itself"

MEANS = Table("means", "a head or MLP: its mean output over the dataset", (
    Column("layer", _i16, "block, zero-based", range=">= 0"),
    Column("component", category, "what it is", categories=MEAN_OF),
    Column("index", _i16, "the head; 0 for an MLP", range=">= 0"),
    Column("mean", _vector, "mean over all positions of the prompts drawn: of a head, what it passes to W_O (its width); of an MLP, what it adds to the residual stream"),
    Column("n_prompts", _i32, "prompts behind it", unit="prompts", range=">= 1"),
    Column("n_positions", _i32, "positions behind it", range=">= 1"),
))  # fmt: skip

_tables = (
    Table("trials", "a prompt's answer with some of the heads and MLPs at their mean", (
        PROMPT_ID,
        Column("tau", _f32, "threshold that made the set", range="0..1"),
        Column("mode", category, "keep: all but the set are at their mean; remove: the set is", categories=MODES),
        Column("chosen", category, "heads and MLPs of the route of the last target above tau, or as many by another rule", categories=CHOSEN),
        Column("draw", _i16, "which of several random sets; 0 otherwise", range=">= 0"),
        Column("n_heads", _i16, "heads in the set", range=">= 0"),
        Column("n_mlps", _i16, "MLPs in the set", range=">= 0"),
        Column("answer_logit", _f32, "logit of the answer at the last target", "logits"),
        Column("answer_logprob", _f32, "its log probability", "nats"),
        Column("foil_logit", _f32, "logit of the foil", "logits", null="no foil"),
    )),
    Table("ends", "a prompt's answer with everything in its place, and with every head and MLP at its mean", (
        PROMPT_ID,
        Column("group", pa.string(), "phenomenon or condition", null="not given"),
        Column("n_heads", _i16, "heads of the model", range=">= 1"),
        Column("n_mlps", _i16, "MLPs of the model", range=">= 1"),
        *(
            Column(f"{name}_{end}", _f32, f"{what}{words}", unit, null="no foil" if name == "foil_logit" else "")
            for end, words in (("whole", ""), ("none", " with every head and MLP at its mean"))
            for name, what, unit in (("answer_logit", "logit of the answer", "logits"), ("answer_logprob", "log probability of the answer", "nats"), ("foil_logit", "logit of the foil", "logits"))
        ),
    )),
    Table("curves", "a rule, a threshold and a measure in a group of prompts: how much of the answer its heads and MLPs hold", (
        Column("group", pa.string(), "the prompts it is over", null="all prompts"),
        Column("mode", category, "keep: all but the set are at their mean (sufficiency); remove: the set is (necessity)", categories=MODES),
        Column("measure", category, "log probability of the answer, its logit, or its logit less the foil's", categories=MEASURED),
        Column("chosen", category, "route: on the route above tau; otherwise as many heads and MLPs in each prompt: random, largest attention from the target, largest direct effect", categories=CHOSEN),
        Column("tau", _f32, "threshold", range="0..1"),
        Column("n", _i32, "prompts behind it", unit="prompts", range=">= 1"),
        Column("n_heads", _f32, "mean number of heads in the set", range=">= 0"),
        Column("n_mlps", _f32, "mean number of MLPs in the set", range=">= 0"),
        *interval("value", "mean of the measure with these heads and MLPs kept or removed"),
        *interval("part", "of the way between everything at its mean and everything in its place: what is there with only the set (keep), what goes with the set (remove); 0 nothing, 1 all", null="both ends are the same, or fewer than 2 prompts"),
        *interval("advantage", "mean over prompts of how much better the route does by the measure: keep, route less this; remove, this less route", null=f"{_route}, or fewer than 2 prompts"),
        Column("p", _f32, "two-sided p-value of the advantage: signs flipped prompt by prompt", range="0..1", null=f"{_route}, or fewer than 2 prompts"),
        Column("q", _f32, "Benjamini-Hochberg over the thresholds and rules of the same group, mode and measure", range="0..1", null="no p"),
    )),
)  # fmt: skip

AUDIT_TABLES: dict[str, Table] = {table.name: table for table in _tables}
AUDIT_ORDERS: dict[str, tuple[str, ...]] = {
    "trials": ("prompt_id", "tau", "mode", "chosen", "draw"),
    "ends": ("prompt_id",),
    "curves": ("group", "measure", "mode", "chosen", "tau"),
}
