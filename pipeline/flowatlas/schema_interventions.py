"""The tables of `RUN/interventions/<name>`, declared like those of a run: what edits of components change (docs/interventions.md)."""

import pyarrow as pa

from flowatlas.schema import ANSWER_FROM, POINTS, Column, Table
from flowatlas.schema_stats import PROMPT_ID, category, interval

SIDES = ("before", "after")
MEASURED = (
    "accuracy", "answer_logprob", "answer_logit", "foil_logprob", "foil_logit", "gap", "kl", "flipped",
)  # fmt: skip

_i16, _i32, _f32, _text = pa.int16(), pa.int32(), pa.float32(), pa.string()
_no_foil = "no foil at this target"
_intervention = Column("intervention", _text, "whose edits: the name of its folder")
_target = Column("target", _i32, "position whose prediction is compared: the prompt's last target", range=">= 0")
_side = Column("side", category, "without the edits, or with them", categories=SIDES)
_node = (
    Column("layer", _i16, "block, zero-based; -1 is the embedding", range=">= -1"),
    Column("point", category, "residual stream after attention, or after the block", categories=POINTS),
)


def _both(
    name: str, type_: pa.DataType, meaning: str, unit: str = "", range: str = "", null: str = ""
) -> tuple[Column, ...]:
    return (
        Column(f"{name}_before", type_, meaning, unit, range, null),
        Column(f"{name}_after", type_, "the same with the edits", unit, range, null),
    )


_tables = (
    Table("predictions", "a prompt's last target before and after the edits", (
        _intervention,
        PROMPT_ID,
        Column("group", _text, "phenomenon or condition", null="not given"),
        _target,
        Column("n_edits", _i32, "edits that have a position in this prompt", range=">= 0"),
        *_both("predicted_id", _i32, "the most probable next token", "", ">= 0"),
        *_both("predicted", _text, "it as text"),
        *_both("predicted_prob", _f32, "its probability", "", "0..1"),
        Column("answer_id", _i32, "the token that is asked for: the run's answer", range=">= 0"),
        Column("answer", _text, "it as text"),
        Column("answer_from", category, "the dataset's answer, else the next token, else the prediction without the edits", categories=ANSWER_FROM),
        *_both("answer_rank", _i32, "rank of the answer", "", ">= 1"),
        *_both("answer_logit", _f32, "its logit", "logits"),
        *_both("answer_logprob", _f32, "its log probability", "nats"),
        Column("foil_id", _i32, "the token that it is contrasted with", range=">= 0", null=_no_foil),
        Column("foil", _text, "it as text", null=_no_foil),
        *_both("foil_rank", _i32, "rank of the foil", "", ">= 1", _no_foil),
        *_both("foil_logit", _f32, "its logit", "logits", "", _no_foil),
        *_both("foil_logprob", _f32, "its log probability", "nats", "", _no_foil),
        Column("kl", _f32, "Kullback-Leibler divergence of the prediction after from the one before", "nats", ">= 0"),
    )),
    Table("course", "a residual node of the target's column, before or after: the lens's view of answer and foil", (
        _intervention,
        PROMPT_ID,
        *_node,
        _side,
        Column("answer_prob", _f32, "probability of the answer in the node's lens", range="0..1"),
        Column("answer_rank", _i32, "its rank there", range=">= 1"),
        Column("foil_prob", _f32, "probability of the foil", range="0..1", null=_no_foil),
        Column("entropy", _f32, "entropy of the node's lens", "nats", ">= 0"),
    )),
    Table("lens", "a top token of such a node", (
        _intervention,
        PROMPT_ID,
        *_node,
        _side,
        Column("rank", _i16, "1 is the highest", range=">= 1"),
        Column("token_id", _i32, "vocabulary entry", range=">= 0"),
        Column("token", _text, "it as text"),
        Column("prob", _f32, "its probability in the lens", range="0..1"),
    )),
    Table("continuations", "a prompt continued greedily, before and after (only with --generate)", (
        _intervention,
        PROMPT_ID,
        *_both("text", _text, "what the model writes after the prompt"),
        Column("n_same", _i32, "tokens at the beginning that both have in common", "tokens", ">= 0"),
    )),
    Table("summary", "a measure in a group of prompts, before and after", (
        _intervention,
        Column("group", _text, "the prompts it is over", null="all prompts"),
        Column("measure", category, "accuracy: the answer is predicted, of prompts that have one of their own; log probability and logit of answer and foil; gap: the answer's less the foil's; kl; flipped: another token is predicted", categories=MEASURED),
        Column("n", _i32, "prompts behind it", unit="prompts", range=">= 1"),
        Column("before", _f32, "mean without the edits", null="kl and flipped have one value"),
        Column("after", _f32, "mean with them", null="kl and flipped have one value"),
        *interval("change", "mean over prompts of after less before; the mean itself of kl and flipped"),
    )),
    Table("largest", "a prompt in which a measure changes most", (
        _intervention,
        Column("group", _text, "the prompts among which it is one", null="all prompts"),
        Column("measure", category, "what changes", categories=MEASURED),
        Column("place", _i16, "1 changes most, in either direction", range="1..20"),
        PROMPT_ID,
        Column("text", _text, "the end of its text"),
        Column("answer", _text, "the token that is asked for"),
        Column("change", _f32, "after less before; of kl and flipped the value"),
        Column("predicted_before", _text, "the most probable next token"),
        Column("predicted_after", _text, "the same with the edits"),
    )),
)  # fmt: skip

INTERVENTION_TABLES: dict[str, Table] = {table.name: table for table in _tables}
INTERVENTION_ORDERS: dict[str, tuple[str, ...]] = {
    "predictions": ("prompt_id",),
    "course": ("prompt_id",),
    "lens": ("prompt_id",),
    "continuations": ("prompt_id",),
    "summary": ("group", "measure"),
    "largest": ("group", "measure", "place"),
}
OF_PROMPTS = ("predictions", "course", "lens", "continuations")
# Columns of texts, and the columns of ids that they are of.
TEXTS: dict[str, dict[str, str]] = {
    "predictions": {
        "predicted_before": "predicted_id_before",
        "predicted_after": "predicted_id_after",
        "answer": "answer_id",
        "foil": "foil_id",
    },
    "lens": {"token": "token_id"},
}
