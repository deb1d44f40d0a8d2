"""Every table that flowatlas writes, declared once.

Each table is an Arrow schema; each column carries its meaning, unit and range as field metadata, so that the files
explain themselves in any engine. Integers are at most 32 bits wide (JavaScript reads them without loss). Ranks start
at 1; positions count from 0 over all tokens, a prepended BOS included.
"""

from typing import NamedTuple

import pyarrow as pa

SCHEMA_VERSION = 1

POINTS = ("mid", "post")
EDGE_KINDS = ("attn", "resid_attn", "mlp", "resid_mlp")
COMPONENTS = ("head", "mlp", "resid_attn", "resid_mlp")
WRITERS = ("attn", "mlp", "head")
EFFECTS = ("head", "mlp", "embed", "bias")
ANSWER_FROM = ("dataset", "next_token", "prediction")
KNOCKED_OUT, REMOVALS = ("head", "mlp"), ("zero", "mean")

_category = pa.dictionary(pa.int8(), pa.string())
_i8, _i16, _i32, _f32, _text = pa.int8(), pa.int16(), pa.int32(), pa.float32(), pa.string()
_ids = pa.list_(pa.field("element", pa.int32(), nullable=False))
_texts = pa.list_(pa.field("element", pa.string(), nullable=False))


class Column(NamedTuple):
    """One column: `unit` and `range` are empty where they say nothing; `null` tells when a value is missing; `categories` are
    the values of a dictionary column, in the order of their codes."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    range: str = ""
    null: str = ""
    categories: tuple[str, ...] = ()

    def field(self) -> pa.Field:
        range_ = self.range or ", ".join(self.categories)
        notes = {"meaning": self.meaning, "unit": self.unit, "range": range_, "null": self.null}
        return pa.field(self.name, self.type, nullable=bool(self.null), metadata={k: v for k, v in notes.items() if v})


class Table(NamedTuple):
    """One table of a run: what a row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(
            [column.field() for column in self.columns],
            metadata={"flowatlas.table": self.name, "flowatlas.row": self.row, "flowatlas.schema": str(SCHEMA_VERSION)},
        )

    def from_columns(self, columns: dict) -> pa.Table:
        """An Arrow table of this schema from a column per name (lists or arrays of equal length).

        Raises KeyError for a missing column and pyarrow's own errors for a value that does not fit its type.
        """
        arrays = []
        for column in self.columns:
            values = columns[column.name]
            array = values if isinstance(values, pa.Array) else pa.array(values, _plain(column.type), from_pandas=False)
            arrays.append(array if array.type == column.type else array.cast(column.type))
        return pa.table(arrays, schema=self.schema)

    def empty(self) -> pa.Table:
        return self.schema.empty_table()


def _plain(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(type_) else type_


_prompt_id = Column("prompt_id", _i32, "row of the dataset, counted from 0, rejected rows included", range=">= 0")
_source_id = Column("source_id", _text, "the dataset's own id, else the row number")
_target = Column(
    "target", _i32, "explained position: the prediction made there is what the route explains", range=">= 0"
)
_layer = Column("layer", _i16, "block, zero-based; -1 is the embedding", range="-1..n_layers-1")
_pos = Column("pos", _i32, "token position", range=">= 0")
_point = Column(
    "point",
    _category,
    "residual stream after attention (mid) or after the whole block (post); a parallel block has no mid",
    categories=POINTS,
)
_rank = Column("rank", _i16, "1 is the highest", range=">= 1")
_token_id = Column("token_id", _i32, "vocabulary entry", range=">= 0")
_expert = Column(
    "expert", _i16, "expert of a mixture, shared ones numbered after the routed; -1 in a dense MLP", range=">= -1"
)
_neuron = Column("neuron", _i32, "neuron of the MLP or of the expert, zero-based", range=">= 0")
_sign = Column("sign", _i8, "1 promoted, -1 suppressed", range="-1, 1")
_no_foil = "no foil at this target"
_off_column = "the position is no target"

_tables = (
    Table("prompts", "a prompt", (
        _prompt_id,
        _source_id,
        Column("text", _text, "the prompt as given"),
        Column("group", _text, "phenomenon or condition", null="not given"),
        Column("pair_id", _text, "joins the prompts of a contrast pair", null="not given"),
        Column("role", _text, "place in the pair, such as clean or corrupt", null="not given"),
        Column("n_tokens", _i32, "tokens, a prepended BOS included", unit="tokens", range=">= 1"),
        Column("token_ids", _ids, "token ids as the model saw them"),
        Column("tokens", _texts, "the tokens as text; bytes that are no UTF-8 by themselves as <0xE2>"),
        Column("targets", _ids, "explained positions, ascending"),
        Column("answer_text", _text, "the expected continuation as given; of several, the one that the model finds likeliest (see `answers`)", null="not given"),
        Column("foil_text", _text, "the contrasted continuation as given", null="not given"),
        Column("answer_token_ids", _ids, "the answer as it was matched: with or without a leading space, all its tokens; the first is explained", null="no answer"),
        Column("foil_token_ids", _ids, "the foil as it was matched, likewise", null="no foil"),
        Column("extra", _text, "the dataset's other columns, as a JSON object", null="no other columns"),
    )),
    Table("targets", "an explained position", (
        _prompt_id,
        _target,
        Column("predicted_id", _i32, "the model's most probable next token", range=">= 0"),
        Column("predicted_prob", _f32, "its probability", range="0..1"),
        Column("answer_id", _i32, "the token whose logit is explained", range=">= 0"),
        Column("answer_from", _category, "the dataset's answer (last target only; in a run that generates, where the text as given ends), else the next token, else the prediction", categories=ANSWER_FROM),
        Column("answer_prob", _f32, "probability of the answer", range="0..1"),
        Column("answer_rank", _i32, "rank of the answer among all tokens", range=">= 1"),
        Column("foil_id", _i32, "the token that the answer is contrasted with", range=">= 0", null=_no_foil),
        Column("foil_prob", _f32, "probability of the foil", range="0..1", null=_no_foil),
        Column("foil_rank", _i32, "rank of the foil among all tokens", range=">= 1", null=_no_foil),
        Column("logsumexp", _f32, "log of the sum of exponentiated logits: logit - logsumexp is a log probability", unit="nats"),
    )),
    Table("nodes", "a residual node on a stored route, and every node of each target's own column", (
        _prompt_id,
        _layer,
        _point,
        _pos,
        Column("reach_summed", _f32, "largest tau at which the node is reached from a target when shares are summed over heads; 0 off the route", range="0..1"),
        Column("reach_per_head", _f32, "the same when every head's own share is compared with tau", range="0..1"),
        Column("stored_share", _f32, "sum of the stored edges into the node (summed over heads); what lacks to 1 lies under the floor", range="0..1"),
        Column("bias_share", _f32, "share that the bias would take as a part: b_O at mid, b_out against the neurons at post, b_O + b_out at post of a parallel block; 0 at the embedding", range="0..1"),
        Column("norm", _f32, "Euclidean norm of the node's vector", range=">= 0"),
        Column("entropy", _f32, "entropy of the node's lens", unit="nats", range=">= 0"),
        Column("logsumexp", _f32, "logsumexp of the node's lens: exp(logit - logsumexp) is a probability", unit="nats"),
        Column("answer_rank", _i32, "rank of the answer of the target at this position", range=">= 1", null=_off_column),
        Column("answer_logit", _f32, "its logit", unit="logits", null=_off_column),
        Column("foil_rank", _i32, "rank of the foil", range=">= 1", null="the position is no target, or has no foil"),
        Column("foil_logit", _f32, "its logit", unit="logits", null="the position is no target, or has no foil"),
    )),
    Table("edges", "an edge into a node on a stored route, share above the floor", (
        _prompt_id,
        _layer,
        Column("kind", _category, "what carries it: attention heads, the residual past them, the MLP, the residual past it", categories=EDGE_KINDS),
        Column("dst", _i32, "position of the node it is added to: mid for attn and resid_attn, post for mlp and resid_mlp; post for all in a parallel block", range=">= 0"),
        Column("src", _i32, "position it comes from", range="<= dst"),
        Column("head", _i16, "head of an attn edge; -1 sums all heads, stored or not, and marks the other kinds", range=">= -1"),
        Column("share", _f32, "contribution of the part to the whole it is added into (ALTI)", range="0..1"),
        Column("attention", _f32, "the head's attention weight", range="0..1", null="no single head's edge"),
    )),
    Table("components", "a head, MLP or residual stream step in a prompt", (
        _prompt_id,
        _layer,
        Column("component", _category, "what it is", categories=COMPONENTS),
        Column("index", _i16, "the head; 0 for the others", range=">= 0"),
        Column("mean_share", _f32, "its share, averaged over all positions, without any threshold", range="0..1"),
        Column("target_share", _f32, "its share at the last target", range="0..1"),
        Column("route_tau", _f32, "largest tau at which one of its edges is on the per-head route; 0 when none is stored", range="0..1"),
    )),
    Table("neurons", "a top neuron of an MLP on a stored route", (
        _prompt_id,
        _layer,
        _pos,
        _expert,
        _neuron,
        Column("share", _f32, "contribution of the neuron to resid_post, against all neurons and resid_mid (in a parallel block, resid_post minus the MLP's output)", range="0..1"),
        Column("activation", _f32, "what the neuron's output row is multiplied by, an expert's router weight included; before multipliers and a post-norm"),
        Column("write_scale", _f32, "takes the static scores of `neuron_tokens` to this prompt's write, in logits before bias and cap: activation, multipliers, the scales of post-norm and final norm"),
    )),
    Table("dominant_neurons", "one of the ten neurons (or neurons.top_k) of an MLP that write most at a target, on a route or not", (
        _prompt_id,
        _target,
        _layer,
        _rank,
        _expert,
        _neuron,
        Column("strength", _f32, "what it is ranked by: |activation| x |value vector|, the Euclidean norm of what it adds to the residual stream (multipliers and a post-norm included)", range=">= 0"),
        Column("share", _f32, "as in `neurons`; 0 where it writes against the node", range="0..1"),
        Column("activation", _f32, "as in `neurons`"),
        Column("write_scale", _f32, "as in `neurons`"),
    )),
    Table("lens", "a top token of a node's projection to the vocabulary", (
        _prompt_id,
        _layer,
        _point,
        _pos,
        Column("raw", pa.bool_(), "without the final norm (only with lens.raw=true)"),
        _rank,
        _token_id,
        Column("logit", _f32, "its logit", unit="logits"),
        Column("prob", _f32, "its probability in the lens", range="0..1"),
        Column("prev_rank", _i32, "its rank one node earlier in the residual stream", range=">= 1", null="the embedding, and raw rows"),
    )),
    Table("writes", "a token that an attention block, MLP or stored head promotes or suppresses", (
        _prompt_id,
        _layer,
        Column("component", _category, "who writes", categories=WRITERS),
        Column("index", _i16, "the head; 0 for blocks", range=">= 0"),
        _pos,
        _sign,
        _rank,
        _token_id,
        Column("score", _f32, "what it adds to the token's logit, with the norm scale of the node written into, before bias and cap", unit="logits"),
    )),
    Table("logit_effects", "a component's direct effect on a target's logits", (
        _prompt_id,
        _target,
        _layer,
        Column("component", _category, "head (without b_O), MLP (with b_out), the embedding (layer -1), or the block's b_O as bias", categories=EFFECTS),
        Column("index", _i16, "the head; 0 for the others", range=">= 0"),
        Column("effect_answer", _f32, "its write at the answer with the last node's norm scale; all of a target's add up to the answer's logit before bias and cap", unit="logits"),
        Column("effect_foil", _f32, "the same at the foil", unit="logits", null=_no_foil),
    )),
    Table("neuron_effects", "a stored neuron's direct effect on the logits of a prompt's last target", (
        _prompt_id,
        Column("target", _i32, "the prompt's last target: neurons that `neurons` has there are listed", range=">= 0"),
        _layer,
        _expert,
        _neuron,
        Column("effect_answer", _f32, "its write at the answer with the last node's norm scale: what it adds to the effect of its MLP in `logit_effects`", unit="logits"),
        Column("effect_foil", _f32, "the same at the foil", unit="logits", null=_no_foil),
    )),
    Table("answers", "an accepted answer of a prompt that has several", (
        _prompt_id,
        Column("number", _i16, "its place in the dataset's list", range=">= 1"),
        Column("text", _text, "the continuation as given"),
        Column("token_ids", _ids, "all its tokens as it was matched; the first is what prob and rank are of"),
        Column("prob", _f32, "its probability at the target where the answer is expected", range="0..1"),
        Column("rank", _i32, "its rank among all tokens there", range=">= 1"),
        Column("explained", pa.bool_(), "it is the likeliest (of equals the first): the one that `targets` calls the answer"),
    )),
    Table("generated", "a prompt that the model continued (only with generate.max_new_tokens)", (
        _prompt_id,
        Column("n_given", _i32, "tokens that were given, a BOS and a chat template included; the tokens after them are the model's own", unit="tokens", range=">= 1"),
        Column("text", _text, "what it wrote, as text"),
        Column("ended", pa.bool_(), "it came to an end by itself: the last token is an end of text or of a turn"),
    )),
    Table("maps", "a cell of a head's contribution map and attention map (only with maps.store=true)", (
        _prompt_id,
        _layer,
        Column("head", _i16, "the head", range=">= 0"),
        Column("dst", _i32, "query: position of the node after attention, on a route or not", range=">= 0"),
        Column("src", _i32, "key: position it comes from", range="<= dst"),
        Column("share", _f32, "contribution of the head's part from this key to the node; it or the attention is above maps.floor", range="0..1"),
        Column("attention", _f32, "the head's attention weight", range="0..1"),
    )),
    Table("knockouts", "a head or MLP removed from a prompt, and what that does to the answer (only with knockouts.store=true)", (
        _prompt_id,
        Column("target", _i32, "the last target", range=">= 0"),
        _layer,
        Column("component", _category, "what is removed, at all positions", categories=KNOCKED_OUT),
        Column("index", _i16, "the head; 0 for an MLP", range=">= 0"),
        Column("removal", _category, "its output set to zero, or to its mean over the dataset (model/means.parquet)", categories=REMOVALS),
        Column("route_tau", _f32, "largest tau at which one of its edges is on the per-head route of this target; 0 when none is stored", range="0..1"),
        Column("effect_answer", _f32, "the answer's logit less what it is without the component", unit="logits"),
        Column("effect_foil", _f32, "the same of the foil", unit="logits", null=_no_foil),
        Column("effect_logprob", _f32, "the answer's log probability less what it is without the component", unit="nats"),
        Column("divergence", _f32, "Kullback-Leibler divergence of the prediction without it from the prediction", unit="nats", range=">= 0"),
        Column("answer_rank", _i32, "rank of the answer without it", range=">= 1"),
    )),
    Table("rejects", "a prompt that was not processed", (
        _prompt_id,
        _source_id,
        Column("reason", _text, "short name of the reason"),
        Column("detail", _text, "what was wrong with this row"),
    )),
)  # fmt: skip

_model_tables = (
    Table("vocab", "a vocabulary entry", (
        _token_id,
        Column("token", _text, "the token as text; bytes that are no UTF-8 by themselves as <0xE2>"),
        Column("special", pa.bool_(), "a control token such as BOS, not text"),
        Column("logit_bias", _f32, "the constant that the final norm's bias and the unembedding's bias add to this logit", unit="logits"),
    )),
    Table("neuron_tokens", "a token that a neuron promotes or suppresses when it is active", (
        _layer,
        _expert,
        _neuron,
        _sign,
        _rank,
        _token_id,
        Column("score", _f32, "static score: the neuron's output row through the weights of the block's post-norm, if any, and of the final norm, and the unembedding; times `neurons.write_scale` it is a write"),
    )),
)  # fmt: skip

TABLES: dict[str, Table] = {table.name: table for table in _tables}
MODEL_TABLES: dict[str, Table] = {table.name: table for table in _model_tables}

# Added within this schema version: runs made before have no parts of them, and are read as if these were empty.
LATER_TABLES = frozenset({"maps", "knockouts", "answers", "generated", "neuron_effects", "dominant_neurons"})


def markdown(tables: dict[str, Table], place: str = "") -> str:
    """Tables as the README shows them: a folded section per table, a row per column. `place` is their folder in a run."""
    sections = []
    for table in tables.values():
        lines = [
            f"<details><summary><code>{place}{table.name}</code>: {table.row}</summary>\n",
            "| column | type | unit, range | meaning |",
            "|---|---|---|---|",
        ]
        for column in table.columns:
            notes = column.field().metadata or {}
            limits = ", ".join(notes[key].decode() for key in (b"unit", b"range") if key in notes)
            null = f" (null: {column.null})" if column.null else ""
            meaning = column.meaning.replace("|", r"\|")
            lines.append(f"| `{column.name}` | {_type_name(column.type)} | {limits} | {meaning}{null} |")
        sections.append("\n".join([*lines, "\n</details>"]))
    return "\n".join(sections) + "\n"


def _type_name(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return "string"
    return f"list of {type_.value_type}" if pa.types.is_list(type_) else str(type_)
