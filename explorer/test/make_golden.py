"""Makes the small synthetic site that the explorer's tests read: `python explorer/test/make_golden.py`.

Two runs whose numbers are random but consistent (parts of a whole sum to 1, the walk at the floor decides what is
stored, ranks follow from logits): a sequential model with all targets, and a parallel one with chosen targets.
Deterministic: the same bytes every time with one version of pyarrow.
"""

# ruff: noqa: E501 (rows of a table read best on one line)

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.schema import MODEL_TABLES, SCHEMA_VERSION, TABLES
from flowatlas.site_data import LISTING, PARTNERS
from flowatlas.site_run import ranges

SITE = Path(__file__).parent / "golden" / "site" / "data"
FLOOR = 0.01
TOP_K = 10
EAGER = ["prompts", "targets", "nodes", "edges", "lens", "tokens"]
ON_CLICK = ["components", "neurons", "dominant_neurons", "writes", "logit_effects"]
BUCKETED = [*EAGER, *ON_CLICK, "answers", "generated"]
MAPS_FLOOR = 0.005
MAPS_BUCKET = 2  # prompts in a bucket of maps: not the size of the others
NEURONS = 12  # of an MLP; each run stores the first few by share

PROMPTS = [
    ("ioi-0", "When Mary and John went to the store, John gave a drink to", "indirect objects", "8", "clean", " Mary", " John"),
    ("ioi-1", "When Mary and John went to the store, Mary gave a drink to", "indirect objects", "8", "corrupt", " John", " Mary"),
    ("ioi-2", "After Tom met Anna, Tom handed a letter to", "indirect objects", None, None, " Anna", " Tom"),
    ("cap-0", "The capital of France is", "capitals", "3", "clean", " Paris", " Rome"),
    ("cap-1", "The capital of Italy is", "capitals", "3", "corrupt", " Rome", " Paris"),
    None,  # a rejected row keeps its number
    ("seq-0", "Monday, Tuesday, Wednesday,", "sequences", None, None, " Thursday", None),
    ("seq-1", "def add(a, b):\n    return a +", "code", None, None, " b", " a"),
    ("bad-0", "<script>alert('x')</script> \"quotes\" & <b>bold</b>", "hostile", None, None, None, None),
    ("bad-1", "\u202eright to left\u202c שלום עולם مرحبا \U0001f468\u200d\U0001f469\u200d\U0001f467 \x07 bell\ttab", "hostile", None, None, None, None),
    ("bad-2", "long " * 4000, "hostile", None, None, None, None),
    ("<img src=x onerror=alert(1)>", "No group here, and an id that is markup", None, None, None, " either", None),
]  # fmt: skip
N_NEW = {"seq-0": 3}  # tokens by which the model continued a prompt
ACCEPTED = {"cap-0": [" Rome", " Paris"]}  # where more than one answer counts
EXTRA_WORDS = [
    " Mary",
    " John",
    " Paris",
    " Rome",
    " Thursday",
    " b",
    " the",
    " a",
    " her",
    " him",
    "\n",
    " either",
    "ing",
]


Targets = Callable[[int], list[int]] | None  # explained positions of a prompt; None for all


@dataclass
class Shape:
    """A run's model and what is stored of it."""

    layers: int
    heads: int
    parallel: bool
    seed: int


def split(text: str) -> list[str]:
    """Words with their leading space, at most 16 characters each and 24 in all."""
    words: list[str] = []
    for word in text.replace(" ", "\0 ").split("\0"):
        words.extend(word[i : i + 16] for i in range(0, len(word), 16))
    return [word for word in words if word][:24]


def vocabulary() -> dict[str, int]:
    texts = ["<|bos|>", *EXTRA_WORDS]
    for row in PROMPTS:
        texts.extend(split(row[1]) if row else [])
    return {token: i for i, token in enumerate(dict.fromkeys([*texts, "<0xE2>", "<0xE2><0x80>"]))}


VOCAB = vocabulary()


def shares(rng: np.random.Generator, n: int, sharpness: float) -> np.ndarray:
    """n shares that sum to 1, many of them exactly 0."""
    raw = np.maximum(0, rng.normal(-0.6, 1, n)) ** sharpness
    return raw / raw.sum() if raw.sum() > 0 else np.full(n, 1 / n)


class Model:
    """Random shares and lenses of one prompt: what the extraction would have computed."""

    def __init__(self, shape: Shape, n_tokens: int, seed: int, answer: int, asked: int):
        self.shape, self.n = shape, n_tokens
        rng = np.random.default_rng(seed)
        self.edges: list[tuple[int, str, int, int, int, float, float | None]] = []
        for layer in range(shape.layers):
            for dst in range(n_tokens):
                self._block(rng, layer, dst)
        rows = [(-1, "post")] + [
            (layer, point)
            for layer in range(shape.layers)
            for point in (["post"] if shape.parallel else ["mid", "post"])
        ]
        self.logits = {}
        for pos in range(n_tokens):
            state = rng.normal(0, 1.5, len(VOCAB))
            for height, (layer, point) in enumerate(rows):
                state = 0.8 * state + 0.6 * rng.normal(0, 1.5, len(VOCAB))
                if pos == asked:
                    state[answer] += 6 * (height / len(rows)) ** 2
                self.logits[layer, point, pos] = state.copy()
        self.rows = rows

    def _block(self, rng: np.random.Generator, layer: int, dst: int) -> None:
        heads = self.shape.heads
        n_attn = (dst + 1) * heads
        near = shares(rng, n_attn, 2.0)
        keep = rng.uniform(0.35, 0.8)
        weights = rng.dirichlet(np.full(dst + 1, 0.4), heads)
        mlp = rng.uniform(0.1, 0.55)
        into_attention = 1 - mlp if self.shape.parallel else 1.0
        for src in range(dst + 1):
            per_head = near[src * heads : (src + 1) * heads] * (1 - keep) * into_attention
            self.edges.append((layer, "attn", dst, src, -1, float(per_head.sum()), None))
            for head in range(heads):
                self.edges.append((layer, "attn", dst, src, head, float(per_head[head]), float(weights[head, src])))
        self.edges.append((layer, "resid_attn", dst, dst, -1, keep * into_attention, None))
        self.edges.append((layer, "mlp", dst, dst, -1, mlp, None))
        if not self.shape.parallel:
            self.edges.append((layer, "resid_mlp", dst, dst, -1, 1 - mlp, None))

    def ends(self, edge: tuple) -> tuple[tuple, tuple]:
        """The node an edge enters, and the one it comes from."""
        layer, kind, dst, src = edge[:4]
        if self.shape.parallel:
            return (layer, "post", dst), (layer - 1, "post", src)
        if kind in ("mlp", "resid_mlp"):
            return (layer, "post", dst), (layer, "mid", src)
        return (layer, "mid", dst), (layer - 1, "post", src)

    def reach(self, target: int, per_head: bool) -> dict[tuple, float]:
        """The widest path to each node, by relaxing until nothing changes: slow and literal."""
        width = {(self.shape.layers - 1, "post", target): 1.0}
        changed = True
        while changed:
            changed = False
            for edge in self.edges:
                kind, head, share = edge[1], edge[4], edge[5]
                if kind == "attn" and (head >= 0) != per_head:
                    continue
                to, source = self.ends(edge)
                new = min(width.get(to, 0.0), share)
                if new > width.get(source, 0.0):
                    width[source], changed = new, True
        return width


def rank_of(logits: np.ndarray, token: int) -> int:
    return int((logits > logits[token]).sum()) + 1


def logsumexp(logits: np.ndarray) -> float:
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max())


def extract(shape: Shape, prompt_id: int, row: tuple, targets: list[int] | None) -> dict[str, list[dict]]:
    """All rows of one prompt, per table."""
    source_id, text, group, pair_id, role, answer_text, foil_text = row
    tokens = ["<|bos|>", *split(text)]
    asked, n_new = len(tokens) - 1, N_NEW.get(source_id, 0)
    n = len(tokens) + n_new
    targets = list(range(n - (n_new > 0))) if targets is None else [target % n for target in targets]
    answer, foil = VOCAB.get(answer_text or ""), VOCAB.get(foil_text or "")
    model = Model(shape, n, shape.seed * 1000 + prompt_id, answer if answer is not None else 6, asked)
    texts = list(VOCAB)
    tokens += [texts[int(model.logits[shape.layers - 1, "post", pos].argmax())] for pos in range(asked, n - 1)]
    ids = [VOCAB[token] for token in tokens]
    out: dict[str, list[dict]] = {name: [] for name in [*BUCKETED, "partners", "maps"]}
    out["prompts"].append({
        "prompt_id": prompt_id, "source_id": source_id, "text": text, "group": group, "pair_id": pair_id, "role": role,
        "n_tokens": n, "token_ids": ids, "tokens": tokens, "targets": targets, "answer_text": answer_text,
        "foil_text": foil_text, "answer_token_ids": None if answer is None else [answer],
        "foil_token_ids": None if foil is None else [foil], "extra": None,
    })  # fmt: skip
    answers = {}
    for target in targets:
        last = model.logits[shape.layers - 1, "post", target]
        lse, predicted = logsumexp(last), int(last.argmax())
        given = answer if target == asked and answer is not None else None
        answer_id = given if given is not None else (predicted if target >= asked else ids[target + 1])
        foil_id = foil if target == asked else None
        answers[target] = (answer_id, foil_id)
        out["targets"].append({
            "prompt_id": prompt_id, "target": target, "predicted_id": predicted, "predicted_prob": np.exp(last[predicted] - lse),
            "answer_id": answer_id, "answer_from": "dataset" if given is not None else ("prediction" if target >= asked else "next_token"),
            "answer_prob": np.exp(last[answer_id] - lse), "answer_rank": rank_of(last, answer_id), "foil_id": foil_id,
            "foil_prob": None if foil_id is None else np.exp(last[foil_id] - lse),
            "foil_rank": None if foil_id is None else rank_of(last, foil_id), "logsumexp": lse,
        })  # fmt: skip
    add_said(model, prompt_id, source_id, asked, tokens, out)
    add_route(model, prompt_id, targets, answers, out)
    add_details(model, prompt_id, asked, answers, out)
    return out


def add_said(model: Model, prompt_id: int, source_id: str, asked: int, tokens: list[str], out: dict) -> None:
    """What the model wrote after the prompt, and the answers that are accepted."""
    if source_id in N_NEW:
        text = "".join(tokens[asked + 1 :])
        out["generated"].append({"prompt_id": prompt_id, "n_given": asked + 1, "text": text, "ended": False})
    logits = model.logits[model.shape.layers - 1, "post", asked]
    ids = [VOCAB[text] for text in ACCEPTED.get(source_id, [])]
    for number, id_ in enumerate(ids, 1):
        out["answers"].append({
            "prompt_id": prompt_id, "number": number, "text": ACCEPTED[source_id][number - 1], "token_ids": [id_],
            "prob": np.exp(logits[id_] - logsumexp(logits)), "rank": rank_of(logits, id_), "explained": id_ == max(ids, key=lambda i: logits[i]),
        })  # fmt: skip


def add_details(model: Model, prompt_id: int, asked: int, answers: dict, out: dict[str, list[dict]]) -> None:
    """What the page fetches on click: components, neurons, writes, effects and maps, consistent with the stored edges."""
    shape, rng = model.shape, np.random.default_rng(900 + prompt_id)
    last = asked
    for layer in range(shape.layers):
        for head in range(shape.heads):
            of = [edge for edge in model.edges if edge[0] == layer and edge[1] == "attn" and edge[4] == head]
            at_last = sum(edge[5] for edge in of if edge[2] == last)
            add_component(out, prompt_id, layer, "head", head, sum(edge[5] for edge in of) / model.n, at_last)
            for _, _, dst, src, _, share, attention in of:
                if share > MAPS_FLOOR or attention > MAPS_FLOOR:
                    row = {"prompt_id": prompt_id, "layer": layer, "head": head, "dst": dst, "src": src}
                    out["maps"].append(row | {"share": share, "attention": attention})
        kinds = ("mlp", "resid_attn") if shape.parallel else ("mlp", "resid_attn", "resid_mlp")
        for kind in kinds:
            of = [edge for edge in model.edges if edge[0] == layer and edge[1] == kind]
            at_last = sum(edge[5] for edge in of if edge[2] == last)
            add_component(out, prompt_id, layer, kind, 0, sum(edge[5] for edge in of) / model.n, at_last)
    blocks = {
        (e["layer"], "attn" if e["kind"] == "attn" else "mlp", 0, e["dst"])
        for e in out["edges"]
        if not e["kind"].startswith("resid")
    }
    heads = {(e["layer"], "head", e["head"], e["dst"]) for e in out["edges"] if e["head"] >= 0}
    for layer, component, head, pos in sorted(blocks | heads):
        scores = rng.normal(0, 1, len(VOCAB))
        for sign in (1, -1):
            for rank, token in enumerate(np.argsort(-sign * scores, kind="stable")[:4], 1):
                out["writes"].append({
                    "prompt_id": prompt_id, "layer": layer, "component": component, "index": head, "pos": pos, "sign": sign, "rank": rank,
                    "token_id": int(token), "score": scores[token],
                })  # fmt: skip
    firing: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}
    for layer, pos in sorted({(layer, pos) for layer, component, _, pos in blocks if component == "mlp"}):
        share = shares(rng, NEURONS, 1.0)
        activation = rng.normal(0, 1, NEURONS)
        firing[layer, pos] = share, activation
        for neuron in np.argsort(-share, kind="stable")[:5]:
            out["neurons"].append({
                "prompt_id": prompt_id, "layer": layer, "pos": pos, "expert": -1, "neuron": int(neuron), "share": 0.5 * share[neuron],
                "activation": activation[neuron], "write_scale": 0.5 * activation[neuron],
            })  # fmt: skip
    add_dominant(model, prompt_id, answers, firing, out)
    for target in answers:
        parts = [(-1, "embed", 0)]
        for layer in range(shape.layers):
            parts += [(layer, "head", head) for head in range(shape.heads)] + [(layer, "mlp", 0), (layer, "bias", 0)]
        effects = rng.normal(0, 1, (len(parts), 2))
        for (layer, component, part), (effect, on_foil) in zip(parts, effects, strict=True):
            out["logit_effects"].append({
                "prompt_id": prompt_id, "target": target, "layer": layer, "component": component, "index": part, "effect_answer": effect,
                "effect_foil": None if answers[target][1] is None else on_foil,
            })  # fmt: skip


def add_dominant(model: Model, prompt_id: int, answers: dict, firing: dict, out: dict[str, list[dict]]) -> None:
    """The neurons that write most at each target, off the routes too."""
    rng = np.random.default_rng(500 + prompt_id)
    norms = np.linspace(0.5, 2, NEURONS)
    for target in answers:
        for layer in range(model.shape.layers):
            nowhere = np.zeros(NEURONS), rng.normal(0, 1, NEURONS)
            share, activation = firing.get((layer, target), nowhere)
            strength = np.abs(activation) * norms
            for rank, neuron in enumerate(np.argsort(-strength, kind="stable")[:5], 1):
                out["dominant_neurons"].append({
                    "prompt_id": prompt_id, "target": target, "layer": layer, "rank": rank, "expert": -1, "neuron": int(neuron),
                    "strength": strength[neuron], "share": 0.5 * share[neuron], "activation": activation[neuron], "write_scale": 0.5 * activation[neuron],
                })  # fmt: skip


def add_component(
    out: dict, prompt_id: int, layer: int, component: str, head: int, mean: float, at_last: float
) -> None:
    kind = "attn" if component == "head" else component
    widths = [
        e["share"]
        for e in out["edges"]
        if e["layer"] == layer and e["kind"] == kind and e["head"] == (head if kind == "attn" else -1)
    ]
    out["components"].append({
        "prompt_id": prompt_id, "layer": layer, "component": component, "index": head, "mean_share": mean, "target_share": at_last,
        "route_tau": max(widths, default=0.0),
    })  # fmt: skip


def neuron_tokens(shape: Shape) -> pa.Table:
    rng, rows = np.random.default_rng(shape.seed), []
    for layer in range(shape.layers):
        for neuron in range(NEURONS):
            scores = rng.normal(0, 1, len(VOCAB))
            for sign in (1, -1):
                for rank, token in enumerate(np.argsort(-sign * scores, kind="stable")[:4], 1):
                    rows.append({"layer": layer, "expert": -1, "neuron": neuron, "sign": sign, "rank": rank, "token_id": int(token), "score": scores[token]})  # fmt: skip
    spec = MODEL_TABLES["neuron_tokens"]
    return spec.from_columns({column.name: [row[column.name] for row in rows] for column in spec.columns})


def vocab_table() -> pa.Table:
    texts = list(VOCAB)
    columns = {
        "token_id": list(range(len(texts))),
        "token": texts,
        "special": [i == 0 for i in range(len(texts))],
        "logit_bias": [0.0] * len(texts),
    }
    return MODEL_TABLES["vocab"].from_columns(columns)


def add_route(model: Model, prompt_id: int, targets: list[int], answers: dict, out: dict[str, list[dict]]) -> None:
    """Edges, nodes and lens of what the walks from the targets reach at the floor."""
    summed: dict[tuple, float] = {}
    per_head: dict[tuple, float] = {}
    for target in targets:
        for into, flag in ((summed, False), (per_head, True)):
            for node, width in model.reach(target, flag).items():
                into[node] = max(into.get(node, 0.0), width)
    entered = {node for node, width in summed.items() if width > FLOOR}
    stored_share: dict[tuple, float] = {}
    for edge in model.edges:
        to, _ = model.ends(edge)
        layer, kind, dst, src, head, share, attention = edge
        if to not in entered or share <= FLOOR:
            continue
        out["edges"].append({
            "prompt_id": prompt_id, "layer": layer, "kind": kind, "dst": dst, "src": src, "head": head, "share": share, "attention": attention,
        })  # fmt: skip
        if head < 0:
            stored_share[to] = stored_share.get(to, 0.0) + share
    columns = {(layer, point, target) for target in targets for layer, point in model.rows}
    for height, (layer, point) in enumerate(model.rows):
        for pos in range(model.n):
            node = (layer, point, pos)
            if node in entered | columns:
                add_node(model, prompt_id, node, height, answers.get(pos), out)
                out["nodes"][-1] |= {
                    "reach_summed": summed.get(node, 0.0) if node in entered else 0.0,
                    "reach_per_head": per_head.get(node, 0.0) if per_head.get(node, 0.0) > FLOOR else 0.0,
                    "stored_share": stored_share.get(node, 0.0),
                    "bias_share": 0.0 if layer < 0 else 0.01 * (1 + layer),
                }


def add_node(model: Model, prompt_id: int, node: tuple, height: int, answer: tuple | None, out: dict) -> None:
    layer, point, pos = node
    logits = model.logits[node]
    lse = logsumexp(logits)
    probs = np.exp(logits - lse)
    below = model.logits[(*model.rows[height - 1], pos)] if height else None
    answer_id, foil_id = answer or (None, None)
    out["nodes"].append({
        "prompt_id": prompt_id, "layer": layer, "point": point, "pos": pos, "norm": float(np.linalg.norm(logits)),
        "entropy": float(-(probs * np.log(probs)).sum()), "logsumexp": lse,
        "answer_rank": None if answer_id is None else rank_of(logits, answer_id),
        "answer_logit": None if answer_id is None else logits[answer_id],
        "foil_rank": None if foil_id is None else rank_of(logits, foil_id),
        "foil_logit": None if foil_id is None else logits[foil_id],
    })  # fmt: skip
    for rank, token in enumerate(np.argsort(-logits, kind="stable")[:TOP_K], 1):
        out["lens"].append({
            "prompt_id": prompt_id, "layer": layer, "point": point, "pos": pos, "raw": False, "rank": rank, "token_id": int(token),
            "logit": logits[token], "prob": probs[token], "prev_rank": None if below is None else rank_of(below, int(token)),
        })  # fmt: skip


def table(name: str, rows: list[dict]) -> pa.Table:
    spec = TABLES[name]
    return spec.from_columns({column.name: [row[column.name] for row in rows] for column in spec.columns})


def tokens_table(tables: dict[str, list[dict]]) -> pa.Table:
    used = {row["token_id"] for name in ("lens", "writes") for row in tables[name]}
    for row in tables["targets"]:
        used |= {row["predicted_id"], row["answer_id"], row["foil_id"]} - {None}
    for row in tables["prompts"]:
        used |= set(row["token_ids"])
    texts = list(VOCAB)
    ids = sorted(used)
    columns = {"token_id": ids, "token": [texts[i] for i in ids], "special": [i == 0 for i in ids]}
    fields = [field for field in MODEL_TABLES["vocab"].schema if field.name in columns]
    return pa.table(columns, schema=pa.schema(fields))


def slim(tables: dict[str, list[dict]]) -> pa.Table:
    texts = list(VOCAB)
    rows = []
    n_given = {row["prompt_id"]: row["n_given"] for row in tables["generated"]}
    for prompt in tables["prompts"]:
        of_prompt = [row for row in tables["targets"] if row["prompt_id"] == prompt["prompt_id"]]
        last = [row for row in of_prompt if row["target"] < n_given.get(prompt["prompt_id"], prompt["n_tokens"])][-1]
        keep = ("prompt_id", "source_id", "text", "group", "pair_id", "role", "n_tokens", "answer_text", "foil_text")
        rows.append({name: prompt[name] for name in keep} | {
            "n_targets": len(prompt["targets"]), "target": last["target"], "predicted": texts[last["predicted_id"]],
            "predicted_prob": last["predicted_prob"], "answer": texts[last["answer_id"]], "answer_prob": last["answer_prob"],
            "answer_rank": last["answer_rank"], "foil_rank": last["foil_rank"],
        })  # fmt: skip
    kinds = {"prompt_id": pa.int32(), "n_tokens": pa.int32(), "n_targets": pa.int32(), "target": pa.int32(),
             "predicted_prob": pa.float32(), "answer_prob": pa.float32(), "answer_rank": pa.int32(), "foil_rank": pa.int32()}  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    return pa.Table.from_pylist(rows, schema)


def write(path: Path, content: pa.Table) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, compression="zstd", data_page_version="1.0", store_schema=False)
    return path.stat().st_size


def partners_table(prompts: list[dict], everything: dict[int, dict[str, list[dict]]]) -> pa.Table:
    """The others of the pairs of a bucket's prompts."""
    every = [row for tables in everything.values() for row in tables["prompts"]]
    rows = [
        {"prompt_id": one["prompt_id"], "other_id": other["prompt_id"], "role": other["role"]}
        for one in prompts
        for other in every
        if one["pair_id"] is not None and other["pair_id"] == one["pair_id"] and other is not one
    ]
    return pa.Table.from_pylist(rows, schema=PARTNERS)


def write_run(
    run: str, title: str, shape: Shape, prompts: list, targets: Targets, bucket_size: int, page_size: int
) -> dict:
    folder = SITE / run
    everything: dict[int, dict[str, list[dict]]] = {}
    rejects = []
    for prompt_id, row in enumerate(prompts):
        if row is None:
            rejects.append(
                {
                    "prompt_id": prompt_id,
                    "source_id": str(prompt_id),
                    "reason": "too long",
                    "detail": "1,204 tokens, the model takes 64",
                }
            )
        else:
            chosen = targets(prompt_id) if targets else None
            everything[prompt_id] = extract(shape, prompt_id, row, chosen)
    info = {name: {"rows": 0, "bytes": 0, "buckets": []} for name in [*BUCKETED, "partners", "maps"]}
    for bucket in sorted({prompt_id // bucket_size for prompt_id in everything}):
        tables = join([rows for prompt_id, rows in everything.items() if prompt_id // bucket_size == bucket])
        for name in BUCKETED:
            content = tokens_table(tables) if name == "tokens" else table(name, tables[name])
            if not content.num_rows:
                continue
            info[name]["rows"] += content.num_rows
            info[name]["bytes"] += write(folder / name / f"bucket-{bucket}.parquet", content)
            info[name]["buckets"].append(bucket)
        content = partners_table(tables["prompts"], everything)
        if content.num_rows:
            info["partners"]["rows"] += content.num_rows
            info["partners"]["bytes"] += write(folder / "partners" / f"bucket-{bucket}.parquet", content)
            info["partners"]["buckets"].append(bucket)
    for bucket in () if shape.parallel else sorted({prompt_id // MAPS_BUCKET for prompt_id in everything}):
        content = table(
            "maps", [row for i, rows in everything.items() if i // MAPS_BUCKET == bucket for row in rows["maps"]]
        )
        info["maps"]["rows"] += content.num_rows
        info["maps"]["bytes"] += write(folder / "maps" / f"bucket-{bucket}.parquet", content)
        info["maps"]["buckets"].append(bucket)
    write(folder / "model" / "neuron_tokens.parquet", neuron_tokens(shape))
    write(folder / "model" / "vocab.parquet", vocab_table())
    ids = sorted(everything)
    pages = []
    for page, start in enumerate(range(0, len(ids), page_size)):
        listed = ids[start : start + page_size]
        file = f"prompts-{page}.parquet"
        n_bytes = write(folder / file, slim(join([everything[i] for i in listed])))
        pages.append(
            {"file": file, "rows": len(listed), "bytes": n_bytes, "first_id": listed[0], "last_id": listed[-1]}
        )
    write(folder / "listing.parquet", slim(join([everything[i] for i in ids])).select(LISTING.names))
    for entry in info.values():
        entry["buckets"] = ranges(entry["buckets"])
    write(folder / "rejects.parquet", table("rejects", rejects))
    groups: dict[str, int] = {}
    for row in prompts:
        if row and row[2]:
            groups[row[2]] = groups.get(row[2], 0) + 1
    index = {
        "schema_version": SCHEMA_VERSION, "id": run, "title": title, "manifest": {"created": "2026-11-20T12:00:00Z"},
        "counts": {"prompts": len(ids), "rejects": len(rejects)}, "bucket_size": bucket_size, "prompt_pages": pages,
        "n_layers": shape.layers, "n_heads": shape.heads, "parallel": shape.parallel, "floor": FLOOR,
        "targets": "last" if targets else "all", "tables": info, "maps": {"stored": not shape.parallel, "floor": MAPS_FLOOR, "bucket_size": MAPS_BUCKET}, "eager": EAGER, "groups": groups, "n_groups": len(groups),
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    return {
        "id": run, "title": title, "model": "synthetic-parallel" if shape.parallel else "synthetic", "dataset": "golden prompts",
        "n_prompts": len(ids), "n_rejects": len(rejects), "created": "2026-11-20T12:00:00Z",
        "bytes": sum(entry["bytes"] for entry in info.values()), "groups": list(groups), "n_groups": len(groups), "complete": not shape.parallel,
    }  # fmt: skip


def join(prompts: list[dict[str, list[dict]]]) -> dict[str, list[dict]]:
    return {name: [row for tables in prompts for row in tables[name]] for name in BUCKETED if name != "tokens"}


def main() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    runs = [
        write_run("golden", "Golden: four layers, all targets", Shape(4, 4, False, 1), PROMPTS, None, 4, 8),
        write_run(
            "parallel",
            "Golden: parallel blocks",
            Shape(3, 2, True, 2),
            PROMPTS[:3],
            lambda i: [-1] if i else [3, -1],
            2,
            8,
        ),
    ]
    catalogue = {"schema_version": SCHEMA_VERSION, "title": "Golden data of the explorer's tests", "runs": runs}
    (SITE / "catalogue.json").write_text(json.dumps(catalogue, indent=1) + "\n")


if __name__ == "__main__":
    main()
