"""The tables of `RUN/vocab`, declared like those of a run: what a model's neurons and heads say by their weights alone.

Scores are static: a direction through the weights of the block's post-norm, if any, and of the final norm, and the
unembedding, before any scale, bias or cap (`model/neuron_tokens` has the same). What they mean: docs/vocab.md.
"""

import pyarrow as pa

from flowatlas.schema import Column, Table

VOCAB_VERSION = 1

SIDES = ("reads", "writes")

_category = pa.dictionary(pa.int8(), pa.string())
_i8, _i16, _i32, _f32, _text = pa.int8(), pa.int16(), pa.int32(), pa.float32(), pa.string()
_texts = pa.list_(pa.field("element", pa.string(), nullable=False))

_layer = Column("layer", _i16, "block, zero-based", range=">= 0")
_neuron = (
    _layer,
    Column(
        "expert", _i16, "expert of a mixture, shared ones numbered after the routed; -1 in a dense MLP", range=">= -1"
    ),
    Column("neuron", _i32, "neuron of the MLP or of the expert, zero-based", range=">= 0"),
)
_head = (_layer, Column("head", _i16, "the head", range=">= 0"))
_direction = Column("direction", _i16, "singular direction of its OV circuit; 1 is the strongest", range=">= 1")
_sign = Column("sign", _i8, "1 promoted, -1 suppressed", range="-1, 1")
_rank = Column("rank", _i16, "1 is the strongest", range=">= 1")
_token = (
    Column("token_id", _i32, "vocabulary entry", range=">= 0"),
    Column("token", _text, "its text"),
)
_cluster = Column("cluster", _i32, "cluster of value vectors; 0 is the largest", range=">= 0")

_tables = (
    Table("neuron_tokens", "a token that a neuron promotes or suppresses when its activation is positive; every neuron of the model", (
        *_neuron,
        _sign,
        _rank,
        *_token,
        Column("score", _f32, "static score: times `neurons.write_scale` it is a write"),
    )),
    Table("neurons", "a neuron of the model", (
        *_neuron,
        Column("norm", _f32, "Euclidean norm of its value vector as it reaches the residual stream", range=">= 0"),
        _cluster,
        Column("cosine", _f32, "cosine of its value vector, through the final norm's weight, with the mean of its cluster", range="-1..1"),
    )),
    Table("clusters", "neurons whose value vectors point alike", (
        _cluster,
        Column("n", _i32, "neurons in it", range=">= 1"),
        Column("layer_least", _i16, "lowest of their blocks", range=">= 0"),
        Column("layer_most", _i16, "highest", range=">= 0"),
        Column("cosine", _f32, "mean of their `cosine`: 1 where all are parallel", range="-1..1"),
        Column("promoted", _texts, "the tokens that most of them promote, the first of `cluster_tokens`"),
        Column("suppressed", _texts, "the same for suppressed ones"),
    )),
    Table("cluster_tokens", "a token that several neurons of a cluster promote or suppress", (
        _cluster,
        _sign,
        _rank,
        *_token,
        Column("n", _i32, "neurons of the cluster with it among their tokens of this sign", range=">= 1"),
        Column("score", _f32, "mean of its static score over these"),
    )),
    Table("heads", "a singular direction of a head's OV circuit", (
        *_head,
        _direction,
        Column("singular_value", _f32, "how much a unit of what it reads is stretched into what it writes", range=">= 0"),
        Column("part", _f32, "its square over the sum of all squares: the part of the circuit that is this direction", range="0..1"),
        Column("copying", _f32, "of the head: sum over absolute sum of the eigenvalues of its token-to-token circuit; near 1 it promotes what it reads, near -1 it suppresses it", range="-1..1", null="the head writes nothing"),
    )),
    Table("head_tokens", "a token at one end of a singular direction of a head", (
        *_head,
        _direction,
        Column("side", _category, "reads: tokens whose embedding lies along what it reads; writes: tokens that what it writes promotes", categories=SIDES),
        Column("sign", _i8, "reading along 1 writes along 1: promotes the tokens of 1 and suppresses those of -1; and the reverse", range="-1, 1"),
        _rank,
        *_token,
        Column("score", _f32, "reads: the token's normed embedding along the direction; writes: static score of the direction times its singular value"),
    )),
    Table("head_pairs", "a token and the token that a head promotes or suppresses most when it reads it", (
        *_head,
        _sign,
        Column("place", _i16, "1 is the strongest of all pairs; where the vocabulary is large, of the 8,192 tokens that the head reads most strongly with all tokens", range=">= 1"),
        Column("source_id", _i32, "vocabulary entry that is read, as its bare embedding", range=">= 0"),
        Column("source", _text, "its text"),
        Column("to_id", _i32, "vocabulary entry that is written", range=">= 0"),
        Column("to", _text, "its text"),
        Column("score", _f32, "static score of the token written, for an attention of 1"),
    )),
)  # fmt: skip

VOCAB_TABLES: dict[str, Table] = {table.name: table for table in _tables}
