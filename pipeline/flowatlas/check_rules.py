"""The rules that the rows of a shard keep, as SQL.

Each rule selects the `prompt_id` of rows that break it. The views `prompts`, `nodes`, ... are one shard's tables; `into`
is `edges` with the node an edge goes into (`point`) and the node it comes from (`src_layer`, `src_point`).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from flowatlas.schema import TABLES, Column

SUM_TOLERANCE = 1e-4  # sums over up to thousands of float32 shares
VALUE_TOLERANCE = 1e-5  # a single share or probability, rounded


class Rule(NamedTuple):
    """`sql` selects the prompt_id of every row of `table` that is wrong in the way that `wrong` says."""

    table: str
    wrong: str
    sql: str


KEYS = {
    "prompts": ("prompt_id",),
    "rejects": ("prompt_id",),
    "targets": ("prompt_id", "target"),
    "nodes": ("prompt_id", "layer", "point", "pos"),
    "edges": ("prompt_id", "layer", "kind", "dst", "src", "head"),
    "components": ("prompt_id", "layer", "component", "index"),
    "neurons": ("prompt_id", "layer", "pos", "expert", "neuron"),
    "dominant_neurons": ("prompt_id", "target", "layer", "expert", "neuron"),
    "lens": ("prompt_id", "layer", "point", "pos", "raw", "rank"),
    "writes": ("prompt_id", "layer", "component", "index", "pos", "sign", "rank"),
    "logit_effects": ("prompt_id", "target", "layer", "component", "index"),
    "neuron_effects": ("prompt_id", "layer", "expert", "neuron"),
    "maps": ("prompt_id", "layer", "head", "dst", "src"),
    "answers": ("prompt_id", "number"),
    "generated": ("prompt_id",),
    "knockouts": ("prompt_id", "layer", "component", "index", "removal"),
}

INTO = """
CREATE OR REPLACE TEMP VIEW "into" AS SELECT *,
    CASE WHEN {parallel} OR kind IN ('mlp', 'resid_mlp') THEN 'post' ELSE 'mid' END AS point,
    CASE WHEN {parallel} OR kind NOT IN ('mlp', 'resid_mlp') THEN layer - 1 ELSE layer END AS src_layer,
    CASE WHEN {parallel} OR kind NOT IN ('mlp', 'resid_mlp') THEN 'post' ELSE 'mid' END AS src_point
FROM edges
"""

_sums = """
SELECT prompt_id, layer, point, dst AS pos, sum(share::DOUBLE) AS total FROM "into" WHERE head = -1
GROUP BY ALL
"""

RELATIONS = (
    Rule(
        "rejects",
        "are prompts as well: a row is either processed or rejected",
        "SELECT prompt_id FROM rejects SEMI JOIN prompts USING (prompt_id)",
    ),
    Rule(
        "prompts",
        "have a number of tokens or targets that disagrees with their lists",
        """SELECT p.prompt_id FROM prompts p
        LEFT JOIN (SELECT prompt_id, list(target ORDER BY target) AS targets FROM targets GROUP BY ALL) t
        USING (prompt_id)
        WHERE n_tokens <> len(token_ids) OR n_tokens <> len(tokens) OR p.targets IS DISTINCT FROM t.targets""",
    ),
    Rule(
        "edges",
        "go into a node whose edges sum to more than 1",
        f"SELECT prompt_id FROM ({_sums}) WHERE total > 1 + {SUM_TOLERANCE}",
    ),
    Rule(
        "edges",
        "are heads whose shares sum to more than their head = -1 row (or that have none)",
        f"""SELECT prompt_id FROM edges WHERE kind = 'attn' GROUP BY prompt_id, layer, dst, src
        HAVING sum(CASE WHEN head >= 0 THEN share::DOUBLE ELSE 0 END)
            > coalesce(max(CASE WHEN head = -1 THEN share END), 0) + {SUM_TOLERANCE}""",
    ),
    Rule(
        "edges",
        "go into a node that is not stored",
        """SELECT e.prompt_id FROM "into" e ANTI JOIN nodes n ON e.prompt_id = n.prompt_id AND e.layer = n.layer
        AND e.point = n.point AND e.dst = n.pos""",
    ),
    Rule(
        "edges",
        "come from a node that is not stored",
        """SELECT e.prompt_id FROM "into" e ANTI JOIN nodes n ON e.prompt_id = n.prompt_id AND e.src_layer = n.layer
        AND e.src_point = n.point AND e.src = n.pos""",
    ),
    Rule(
        "edges",
        "have an attention weight though they are no single head's, or lack one",
        "SELECT prompt_id FROM edges WHERE (head = -1) <> (attention IS NULL) OR (head <> -1 AND kind <> 'attn')",
    ),
    Rule(
        "nodes",
        "have a stored_share that is not the sum of their edges",
        f"""SELECT n.prompt_id FROM nodes n LEFT JOIN ({_sums}) s USING (prompt_id, layer, point, pos)
        WHERE abs(n.stored_share - coalesce(s.total, 0)) > {SUM_TOLERANCE}""",
    ),
    Rule(
        "nodes",
        "are reached further per head than summed over heads",
        f"SELECT prompt_id FROM nodes WHERE reach_per_head > reach_summed + {VALUE_TOLERANCE}",
    ),
    Rule(
        "nodes",
        "have an answer or a foil where their position is no target (or has no foil), or lack it where it is",
        """SELECT n.prompt_id FROM nodes n LEFT JOIN targets t ON n.prompt_id = t.prompt_id AND n.pos = t.target
        WHERE (t.target IS NULL) <> (n.answer_rank IS NULL) OR (t.target IS NULL) <> (n.answer_logit IS NULL)
        OR (t.foil_id IS NULL) <> (n.foil_rank IS NULL) OR (t.foil_id IS NULL) <> (n.foil_logit IS NULL)""",
    ),
    Rule(
        "targets",
        "have only some of foil_id, foil_prob and foil_rank",
        """SELECT prompt_id FROM targets
        WHERE (foil_id IS NULL) <> (foil_prob IS NULL) OR (foil_id IS NULL) <> (foil_rank IS NULL)""",
    ),
    Rule(
        "logit_effects",
        "are of no target, or disagree with it on whether there is a foil",
        """SELECT e.prompt_id FROM logit_effects e LEFT JOIN targets t USING (prompt_id, target)
        WHERE t.predicted_id IS NULL OR (t.foil_id IS NULL) <> (e.effect_foil IS NULL)""",
    ),
    Rule(
        "neuron_effects",
        "are of no last target, disagree with it on whether there is a foil, or are of a neuron that is not stored there",
        """SELECT e.prompt_id FROM neuron_effects e LEFT JOIN targets t USING (prompt_id, target)
        LEFT JOIN neurons n ON n.prompt_id = e.prompt_id AND n.layer = e.layer AND n.expert = e.expert
        AND n.neuron = e.neuron AND n.pos = e.target
        LEFT JOIN (
            SELECT prompt_id, max(target) FILTER (n_given IS NULL OR target < n_given) AS last FROM targets
            LEFT JOIN generated USING (prompt_id) GROUP BY prompt_id
        ) l ON l.prompt_id = e.prompt_id
        WHERE n.neuron IS NULL OR e.target IS DISTINCT FROM l.last OR (t.foil_id IS NULL) <> (e.effect_foil IS NULL)""",
    ),
    Rule(
        "dominant_neurons",
        "are of no target, or of ranks that are not 1, 2, 3, ... by strength",
        """SELECT prompt_id FROM (
            SELECT prompt_id, target, rank, row_number() OVER (
                PARTITION BY prompt_id, target, layer ORDER BY strength DESC, rank
            ) AS place FROM dominant_neurons
        ) d LEFT JOIN targets t USING (prompt_id, target) WHERE place <> rank OR t.answer_id IS NULL""",
    ),
    Rule(
        "lens",
        "are of a node whose ranks are not 1, 2, 3, ...",
        """SELECT prompt_id FROM lens GROUP BY prompt_id, layer, point, pos, raw
        HAVING min(rank) <> 1 OR max(rank) <> count(*)""",
    ),
    Rule(
        "lens",
        "are of a node that is not stored",
        "SELECT prompt_id FROM lens ANTI JOIN nodes USING (prompt_id, layer, point, pos)",
    ),
    Rule(
        "lens",
        "have a prev_rank at the embedding or without the final norm, or lack it elsewhere",
        "SELECT prompt_id FROM lens WHERE (prev_rank IS NULL) <> (layer = -1 OR raw)",
    ),
    Rule(
        "writes",
        "are of a component whose ranks are not 1, 2, 3, ...",
        """SELECT prompt_id FROM writes GROUP BY prompt_id, layer, component, "index", pos, sign
        HAVING min(rank) <> 1 OR max(rank) <> count(*)""",
    ),
    Rule(
        "answers",
        "are of a prompt without a likeliest one, or with one that is not what its target explains",
        """SELECT a.prompt_id FROM answers a LEFT JOIN targets t
        ON t.prompt_id = a.prompt_id AND answer_from = 'dataset' AND answer_id = token_ids[1] AND explained
        GROUP BY a.prompt_id HAVING count(*) FILTER (explained) <> 1 OR count(t.target) <> 1""",
    ),
    Rule(
        "generated",
        "say that more was given than the prompt has, or that a token was written at a position that is no target",
        """SELECT g.prompt_id FROM generated g JOIN prompts p USING (prompt_id)
        WHERE n_given > n_tokens OR NOT list_has_all(targets, range(n_given - 1, greatest(n_given, n_tokens - 1))::INT[])""",
    ),
    Rule(
        "maps",
        "are of a query whose shares sum to more than 1",
        f"""SELECT prompt_id FROM maps GROUP BY prompt_id, layer, dst HAVING sum(share::DOUBLE) > 1 + {SUM_TOLERANCE}""",
    ),
    Rule(
        "maps",
        "are of a head that attends by more than 1 in all",
        f"""SELECT prompt_id FROM maps GROUP BY prompt_id, layer, head, dst
        HAVING sum(attention::DOUBLE) > 1 + {SUM_TOLERANCE}""",
    ),
    Rule(
        "maps",
        "disagree with the head's edge",
        f"""SELECT m.prompt_id FROM maps m JOIN edges e USING (prompt_id, layer, head, dst, src)
        WHERE abs(m.share - e.share) > {VALUE_TOLERANCE} OR abs(m.attention - e.attention) > {VALUE_TOLERANCE}""",
    ),
    Rule(
        "knockouts",
        "are not at the last target",
        """SELECT prompt_id FROM knockouts JOIN (SELECT prompt_id, max(target) AS last FROM targets
        LEFT JOIN generated USING (prompt_id) WHERE n_given IS NULL OR target < n_given GROUP BY ALL)
        USING (prompt_id) WHERE target <> last""",
    ),
    Rule(
        "knockouts",
        "are of a component that was removed in one way only",
        'SELECT prompt_id FROM knockouts GROUP BY prompt_id, layer, component, "index" HAVING count(*) <> 2',
    ),
    Rule(
        "knockouts",
        "are on the route of the last target further than on that of all targets",
        f"""SELECT prompt_id FROM knockouts k JOIN components c USING (prompt_id, layer, component, "index")
        WHERE k.route_tau > c.route_tau + {VALUE_TOLERANCE}""",
    ),
)

# Of a run whose blocks are parallel: they have no node between attention and MLP, and no residual past the MLP alone.
PARALLEL_RULES = (
    Rule(
        "nodes", "are between attention and MLP of a parallel block", "SELECT prompt_id FROM nodes WHERE point = 'mid'"
    ),
    Rule("lens", "are between attention and MLP of a parallel block", "SELECT prompt_id FROM lens WHERE point = 'mid'"),
    Rule("edges", "pass only the MLP of a parallel block", "SELECT prompt_id FROM edges WHERE kind = 'resid_mlp'"),
    Rule(
        "components",
        "pass only the MLP of a parallel block",
        "SELECT prompt_id FROM components WHERE component = 'resid_mlp'",
    ),
)


def shard_rules() -> Iterator[Rule]:
    """Every rule about the rows of a shard, except those on single values."""
    for table, keys in KEYS.items():
        names = ", ".join(f'"{key}"' for key in keys)
        sql = f"SELECT prompt_id FROM {table} GROUP BY {names} HAVING count(*) > 1"
        yield Rule(table, f"are there twice (same {', '.join(keys)})", sql)
    for table in TABLES:
        if table not in ("prompts", "rejects"):
            orphans = f"SELECT prompt_id FROM {table} ANTI JOIN prompts USING (prompt_id)"
            yield Rule(table, "belong to no prompt", orphans)
    positions = {"targets": "target", "nodes": "pos", "edges": "dst", "neurons": "pos", "writes": "pos", "maps": "dst"}
    for table, column in positions.items():
        sql = f"SELECT t.prompt_id FROM {table} t JOIN prompts p USING (prompt_id) WHERE t.{column} >= p.n_tokens"
        yield Rule(table, f"have a {column} after the prompt's end", sql)
    yield from RELATIONS


def outside(column: Column, n_layers: int | None) -> str | None:
    """SQL that is true for a value outside the column's declared range; None where any value will do.

    A NaN is outside of every range, and wrong in every float column.
    """
    name, is_float = f'"{column.name}"', pa.types.is_floating(column.type)
    slack = VALUE_TOLERANCE if is_float else 0
    if pa.types.is_list(column.type):
        return None
    if limits := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", column.range):
        return f"NOT ({name} BETWEEN {int(limits[1]) - slack} AND {int(limits[2]) + slack})"
    if column.range.startswith(">= "):
        return f"NOT ({name} >= {float(column.range[3:]) - slack})"
    if column.range == "-1..n_layers-1":
        return f"NOT ({name} BETWEEN -1 AND {32767 if n_layers is None else n_layers - 1})"
    if column.range.startswith("<= "):
        return f'NOT ({name} <= "{column.range[3:]}")'
    if column.categories:
        return f"{name} NOT IN ({', '.join(repr(value) for value in column.categories)})"
    if column.range:
        return f"{name} NOT IN ({column.range})"
    return f"isnan({name})" if is_float else None
