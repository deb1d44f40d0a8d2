"""The tables of `RUN/stats`, declared like those of a run: what a corpus of prompts says about each component.

What each table means, how it is computed and what it cannot say: docs/stats.md.
"""

import pyarrow as pa

from flowatlas.schema import REMOVALS, Column, Table

STATS_VERSION = 4

PARTS = ("head", "mlp", "attn", "neuron")
MEASURES = ("mean_share", "target_share", "effect")
CONTRASTS = ("rest", "groups", "roles")
ROLES = (
    "previous token", "current token", "first token", "duplicate token", "induction", "same word", "same punctuation",
)  # fmt: skip
SOURCES = ("edges", "maps")
SPLITS = ("position", "token", "piece", "prediction", "extra", "label")
CHOICES = ("top", "decile", "random")
PAIRS = ("moves", "writes", "fires")
QUANTITIES = ("n_tokens", "answer_prob", "answer_rank")
FIDELITY = ("dropped_share", "bias_share")
SHARES = ("mean_share", "target_share", "route_tau", "direct")
SIDES = ("signed", "size")

category = pa.dictionary(pa.int8(), pa.string())
_i16, _i32, _f32, _text = pa.int16(), pa.int32(), pa.float32(), pa.string()

_group = Column("group", _text, "the prompts it is over", null="all prompts")
PART = (
    Column("component", category, "what it is; attn sums a block's heads", categories=PARTS),
    Column("layer", _i16, "block, zero-based", range=">= 0"),
    Column("expert", _i16, "expert of a neuron in a mixture; -1 otherwise", range=">= -1"),
    Column("index", _i32, "the head or neuron; 0 for the others", range=">= 0"),
)
_head = (Column("layer", _i16, "block, zero-based", range=">= 0"), Column("head", _i16, "the head", range=">= 0"))
PROMPT_ID = Column("prompt_id", _i32, "row of the dataset, counted from 0", range=">= 0")
_few = "fewer than 2 prompts"
_removal = Column("removal", category, "its output set to zero, or to its mean over the dataset", categories=REMOVALS)
_no_effect = "no prompt with one"
_no_gap = "no prompt with a foil and one"


def interval(name: str, meaning: str, unit: str = "", range: str = "", null: str = "") -> tuple[Column, ...]:
    """An estimate and the two ends of its 95% interval."""
    return (
        Column(name, _f32, meaning, unit, range, null),
        Column(f"{name}_low", _f32, "lower end of its 95% interval over prompts", unit, range, null or _few),
        Column(f"{name}_high", _f32, "upper end", unit, range, null or _few),
    )


_tables = (
    Table("importance", "a component in a group of prompts: how much it carries", (
        _group,
        *PART,
        Column("n", _i32, "prompts of the group: the denominator of every mean", unit="prompts", range=">= 1"),
        Column("n_stored", _i32, "of these, prompts in which it is on the route at the floor (neurons: stored at all)", unit="prompts", range=">= 0"),
        *interval("mean_share", "mean over prompts of its share averaged over positions; of neurons what is stored, a lower bound", range="0..1"),
        *interval("target_share", "mean over prompts of its share at the last target", range="0..1"),
        *interval("effect", "mean direct effect on the answer's logit at the last target; of neurons over the prompts alone in which it is stored there", "logits", null=_no_effect),
        Column("n_effect", _i32, "prompts behind `effect`", unit="prompts", range=">= 0"),
        *interval("effect_gap", "mean direct effect on the answer's logit less that on the foil's", "logits", null=_no_gap),
        Column("n_gap", _i32, "prompts behind `effect_gap`", unit="prompts", range=">= 0"),
    )),
    Table("activity", "a component in a group of prompts at a threshold: how often it is on the route", (
        _group,
        *PART,
        Column("tau", _f32, "threshold", range="0..1"),
        Column("n", _i32, "prompts of the group", unit="prompts", range=">= 1"),
        Column("n_active", _i32, "prompts with route_tau > tau", unit="prompts", range=">= 0"),
        *interval("frequency", "activation frequency: n_active / n", range="0..1"),
        *interval("share_when_active", "mean_share averaged over the active prompts alone", range="0..1", null="never active"),
    )),
    Table("stability", "two thresholds: do they rank components alike?", (
        _group,
        Column("component", category, "what is ranked, by activation frequency", categories=PARTS),
        Column("tau_a", _f32, "the smaller threshold", range="0..1"),
        Column("tau_b", _f32, "the larger threshold", range="0..1"),
        Column("n_components", _i32, "components ranked", range=">= 1"),
        Column("rank_correlation", _f32, "Spearman's, of the two rankings", range="-1..1", null="a ranking has no order: all frequencies are equal"),
    )),
    Table("contrasts", "a component and a measure in two sets of prompts: is there a difference?", (
        Column("contrast", category, "a group against all other prompts, two groups, or two roles of the same pairs", categories=CONTRASTS),
        Column("a", _text, "the first group or role"),
        Column("b", _text, "the second group or role", null="the rest: all prompts outside of a"),
        Column("group", _text, "the pairs' group", null="contrast is not roles, or all pairs"),
        *PART,
        Column("measure", category, "what is compared: a column of `importance`", categories=MEASURES),
        Column("n_a", _i32, "prompts (roles: pairs) in a", range=">= 1"),
        Column("n_b", _i32, "prompts (roles: pairs) in b", range=">= 1"),
        Column("mean_a", _f32, "mean in a"),
        Column("mean_b", _f32, "mean in b"),
        *interval("difference", "mean_a - mean_b"),
        Column("standardised", _f32, "Hedges' g; of pairs the mean difference over its standard deviation", null="no spread, or fewer than 2 in a set"),
        Column("p", _f32, "two-sided p-value: label permutation, of pairs sign flips", range="0..1", null="fewer than 2 in a set"),
        Column("q", _f32, "Benjamini-Hochberg over the components of the same sort (neurons apart), contrast and measure", range="0..1", null="no p"),
        Column("tau", _f32, "threshold of `activity` at which it is more often active in a by the most", range="0..1"),
        Column("frequency_a", _f32, "activation frequency in a at that threshold", range="0..1"),
        Column("frequency_b", _f32, "the same in b", range="0..1"),
        Column("specific", pa.bool_(), "active in a and hardly in b: see docs/stats.md for the rule"),
    )),
    Table("roles", "a head and a role in a group of prompts: does it read from where the role says?", (
        _group,
        *_head,
        Column("role", category, "which source positions count", categories=ROLES),
        Column("source", category, "stored edges of the route, or maps of all positions (only with maps.store=true)", categories=SOURCES),
        *interval("contribution", "share that comes from sources of the role, of all its share into positions that have such a source", range="0..1", null="no share there"),
        Column("contribution_chance", _f32, "the same were its share spread evenly over all earlier positions and the position itself", range="0..1", null="no share there"),
        *interval("attention", "the same with attention weights in the place of shares", range="0..1", null="no attention there"),
        Column("attention_chance", _f32, "the same were attention spread evenly", range="0..1", null="no attention there"),
        Column("n_edges", _i32, "edges (cells of maps) into positions that have a source of the role", range=">= 0"),
        Column("n_role", _i32, "of these, edges from such a source", range=">= 0"),
        Column("n_all", _i32, "all edges (cells) of the head, position 0 left out", range=">= 0"),
    )),
    Table("by_kind", "a component among the positions or prompts of one kind", (
        *PART,
        Column("split", category, "by position, token, piece of a word, correctness of the prediction, an extra column of prompts, or one with a label for each token", categories=SPLITS),
        Column("key", _text, "name of the extra column", null="another split"),
        Column("value", _text, "the kind"),
        *interval("share", "mean share: over stored nodes (position, token, piece, label; what is under the floor counts 0) or of mean_share over prompts", range="0..1"),
        Column("n", _i32, "nodes or prompts behind the mean", range=">= 1"),
        Column("n_prompts", _i32, "prompts behind it", unit="prompts", range=">= 1"),
    )),
    Table("examples", "an edge of a head, or a position of a neuron, worth looking at", (
        *PART,
        Column("choice", category, "largest share, one at each decile of the shares, or drawn at random", categories=CHOICES),
        Column("place", _i16, "top: 1 is the largest; decile: 0 is the largest, 10 the smallest; random: 1, 2, ...", range=">= 0"),
        Column("n_prompts", _i32, "prompts to choose from: those in which it is stored; each stands for its largest share", unit="prompts", range=">= 1"),
        PROMPT_ID,
        Column("dst", _i32, "position of the node it is added to", range=">= 0"),
        Column("src", _i32, "position it comes from", range="<= dst"),
        Column("share", _f32, "its share there", range="0..1"),
    )),
    Table("token_pairs", "a token that a head reads with the token it carries it to or promotes, or a token that a neuron fires at", (
        *PART,
        Column("pair", category, "moves: a head's edges between two tokens; writes: the token it reads and one it promotes there; fires: a neuron's own position", categories=PAIRS),
        Column("place", _i16, "1 has the largest sum of shares", range=">= 1"),
        Column("source_id", _i32, "vocabulary entry at the position read; of `writes` that of the largest stored edge", range=">= 0"),
        Column("source", _text, "its text"),
        Column("to_id", _i32, "moves: vocabulary entry at the position written to; writes: among the 3 most promoted there", range=">= 0", null="a neuron"),
        Column("to", _text, "its text", null="a neuron"),
        Column("n", _i32, "edges or positions", range=">= 1"),
        Column("n_prompts", _i32, "prompts with one", unit="prompts", range=">= 1"),
        Column("share", _f32, "mean share over these", range="0..1"),
        Column("part", _f32, "their sum of shares over that of all pairs of this sort and component, listed or not", range="0..1"),
        Column("attention", _f32, "mean attention weight of the edges", range="0..1", null="not moves"),
        Column("score", _f32, "mean of what is added to the promoted token's logit", "logits", null="not writes"),
    )),
    Table("promoted", "a token that a head, MLP or attention block promotes or suppresses in many places", (
        *PART,
        Column("sign", pa.int8(), "1 promoted, -1 suppressed", range="-1, 1"),
        Column("place", _i16, "1 is among the stored tokens most often", range=">= 1"),
        Column("token_id", _i32, "vocabulary entry", range=">= 0"),
        Column("token", _text, "its text"),
        Column("n", _i32, "positions where it is among the stored tokens (writes.top_k)", range=">= 1"),
        Column("n_prompts", _i32, "prompts with one", unit="prompts", range=">= 1"),
        Column("n_all", _i32, "positions where what the component promotes is stored at all", range=">= 1"),
        Column("score", _f32, "mean of what it adds to the token's logit, over the n", "logits"),
    )),
    Table("activations", "a stored neuron: how often it is on a route, and how it is active there", (
        Column("layer", _i16, "block, zero-based", range=">= 0"),
        Column("expert", _i16, "expert of a mixture; -1 otherwise", range=">= -1"),
        Column("neuron", _i32, "the neuron", range=">= 0"),
        Column("n", _i32, "positions where it is stored", range=">= 1"),
        Column("n_prompts", _i32, "prompts with one", unit="prompts", range=">= 1"),
        Column("positive", _f32, "part of the positions where its activation is above 0: there it promotes what `neuron_tokens` says, elsewhere the reverse", range="0..1"),
        Column("activation", _f32, "mean activation there"),
        Column("activation_least", _f32, "smallest"),
        Column("activation_most", _f32, "largest"),
        Column("share", _f32, "mean share there", range="0..1"),
        Column("top_prompt", _i32, "prompt in which its share is largest, the first of equals", range=">= 0"),
        Column("top_pos", _i32, "position there", range=">= 0"),
    )),
    Table("prompt_map", "a prompt in the plane: prompts that use the same components lie together", (
        PROMPT_ID,
        Column("x", _f32, "t-SNE of the components' mean shares"),
        Column("y", _f32, "t-SNE of the components' mean shares"),
        Column("pc1", _f32, "first principal component of the standardised mean shares"),
        Column("pc2", _f32, "second principal component"),
        Column("cluster", _i16, "cluster in the principal components; 0 is the largest", range=">= 0"),
        Column("placed", pa.bool_(), "x and y are the mean of its nearest neighbours', not of t-SNE itself (large runs)"),
    )),
    Table("prompt_vectors", "a prompt as the map sees it: for groups of one's own choice", (
        PROMPT_ID,
        Column("mean_share", pa.list_(pa.field("element", _f32, nullable=False)), "mean_share of every head (layer * n_heads + head), then of every MLP (n_layers * n_heads + layer)", range="0..1"),
    )),
    Table("templates", "prompts that align token by token", (
        Column("template", _i32, "number of the template; 0 has the most prompts", range=">= 0"),
        _group,
        Column("n_prompts", _i32, "prompts that align", unit="prompts", range=">= 3"),
        Column("n_tokens", _i32, "tokens of each", unit="tokens", range=">= 1"),
        Column("example_id", _i32, "prompt_id of its first prompt", range=">= 0"),
        Column("tokens", pa.list_(pa.field("element", pa.string())), "the token at each position, null where the prompts differ"),
    )),
    Table("consensus", "an edge that several prompts of a template hold", (
        Column("template", _i32, "number of the template", range=">= 0"),
        Column("layer", _i16, "block, zero-based", range=">= 0"),
        Column("kind", category, "what carries it", categories=("attn", "resid_attn", "mlp", "resid_mlp")),
        Column("dst", _i32, "position of the node it is added to", range=">= 0"),
        Column("src", _i32, "position it comes from", range="<= dst"),
        Column("head", _i16, "head of an attn edge; -1 sums all heads, and marks the other kinds", range=">= -1"),
        Column("n_holding", _i32, "prompts of the template that store the edge; a quarter at least", unit="prompts", range=">= 1"),
        Column("frequency", _f32, "n_holding over the template's prompts", range="0..1"),
        Column("share", _f32, "mean share among those that hold it", range="0..1"),
    )),
    Table("dataset", "a group of prompts: how long they are, and how well the model predicts their answers", (
        _group,
        Column("n", _i32, "prompts", unit="prompts", range=">= 1"),
        Column("n_pairs", _i32, "pair_ids with prompts of two roles or more", range=">= 0"),
        Column("tokens_least", _i32, "tokens of the shortest", unit="tokens", range=">= 1"),
        Column("tokens_mean", _f32, "mean number of tokens", unit="tokens", range=">= 1"),
        Column("tokens_median", _f32, "half of the prompts are at most so long", unit="tokens", range=">= 1"),
        Column("tokens_most", _i32, "tokens of the longest", unit="tokens", range=">= 1"),
        Column("n_answers", _i32, "prompts whose last target has an answer that is not the prediction itself", unit="prompts", range=">= 0"),
        *interval("accuracy", "part of these whose answer is the most probable token", range="0..1", null="no answer"),
        *interval("answer_prob", "mean probability of these answers", range="0..1", null="no answer"),
        Column("n_foils", _i32, "of these, prompts with a foil", unit="prompts", range=">= 0"),
        *interval("preferred", "part of the prompts with a foil whose answer is more probable than the foil", range="0..1", null="no foil"),
    )),
    Table("histograms", "a bin of a histogram over the prompts of a group", (
        Column("quantity", category, "length, and probability and rank of the answer at the last target", categories=QUANTITIES),
        _group,
        Column("low", _f32, "start of the bin, which it holds"),
        Column("high", _f32, "end of the bin, which only the last one holds", null="no end"),
        Column("n", _i32, "prompts in it", unit="prompts", range=">= 0"),
    )),
    Table("fidelity", "what routes leave out, by layer", (
        Column("measure", category, "dropped_share: what lacks to 1 in the stored edges of a node on a route; bias_share: what the bias would take", categories=FIDELITY),
        Column("layer", _i16, "block, zero-based", range=">= 0"),
        Column("point", category, "after attention (mid) or after the block (post)", categories=("mid", "post")),
        Column("n", _i32, "nodes", range=">= 1"),
        Column("mean", _f32, "mean over nodes", range="0..1"),
        *(Column(f"q{q:02}", _f32, f"quantile: {q}% of the nodes have less (to 0.001 or better)", range="0..1") for q in (5, 25, 50, 75, 95)),
        Column("most", _f32, "largest", range="0..1"),
    )),
    Table("knockouts", "a head or MLP in a group of prompts: what its removal does to the answer, beside its shares", (
        _group,
        *PART,
        _removal,
        Column("n", _i32, "prompts in which it was removed: all means of this row are over them", unit="prompts", range=">= 1"),
        *interval("effect", "mean of the answer's logit less what it is without the component", "logits"),
        *interval("size", "mean absolute value of that", "logits", range=">= 0"),
        *interval("effect_logprob", "mean of the answer's log probability less what it is without the component", "nats"),
        *interval("effect_gap", "mean of answer's less foil's logit, less what that is without the component", "logits", null=_no_gap),
        Column("n_gap", _i32, "of these prompts, those with a foil", unit="prompts", range=">= 0"),
        Column("mean_share", _f32, "mean of its share averaged over positions", range="0..1"),
        Column("target_share", _f32, "mean of its share at the last target", range="0..1"),
        Column("route_tau", _f32, "mean of the largest tau at which it is on the last target's route", range="0..1"),
        Column("direct", _f32, "mean direct effect on the answer's logit", unit="logits"),
        Column("direct_size", _f32, "mean absolute value of that", unit="logits", range=">= 0"),
    )),
    Table("agreement", "do shares rank heads and MLPs as their removal does?", (
        _group,
        _removal,
        Column("measure", category, "what is compared with the effect of the removal: a share, or the direct effect on the answer's logit", categories=SHARES),
        Column("side", category, "signed: effects for and against the answer as they are; size: their absolute values", categories=SIDES),
        Column("n_components", _i32, "heads and MLPs ranked, by their means: those removed in enough prompts", range=">= 0"),
        *interval("rank_correlation", "Spearman's, over these", range="-1..1", null="fewer than 3, no order, or fewer than 2 prompts"),
        Column("n", _i32, "prompts with at least 3 removed that have an order", unit="prompts", range=">= 0"),
        *interval("within", "mean over these of Spearman's over the heads and MLPs removed in a prompt", range="-1..1", null="fewer than 2 prompts"),
    )),
)  # fmt: skip

# Rows lie in this order, so that what is asked together lies together. A site cuts a table that is too large for one file
# where the first columns change: as many of them as the number says.
_part_names = ("layer", "expert", "index")
ORDERS: dict[str, tuple[tuple[str, ...], int]] = {
    "importance": (("component", "group", *_part_names), 2),
    "activity": (("component", "group", "tau", *_part_names), 2),
    "stability": (("group", "component", "tau_a", "tau_b"), 0),
    "contrasts": (("component", "contrast", "a", "b", "group", "measure", *_part_names), 3),
    "roles": (("group", "source", "role", "layer", "head"), 1),
    "by_kind": (("split", "key", "value", "component", *_part_names), 2),
    "examples": (("component", *_part_names, "choice", "place"), 2),
    "token_pairs": (("component", *_part_names, "pair", "place"), 2),
    "promoted": (("component", *_part_names, "sign", "place"), 2),
    "activations": (("layer", "expert", "neuron"), 1),
    "prompt_map": (("placed", "prompt_id"), 0),
    "prompt_vectors": (("prompt_id",), 0),
    "templates": (("template",), 0),
    "consensus": (("template", "layer", "kind", "dst", "src", "head"), 1),
    "dataset": (("group",), 0),
    "histograms": (("quantity", "group", "low"), 0),
    "fidelity": (("measure", "layer", "point"), 0),
    "knockouts": (("removal", "group", "component", *_part_names), 2),
    "agreement": (("group", "removal", "measure", "side"), 0),
}

STATS_TABLES: dict[str, Table] = {table.name: table for table in _tables}
