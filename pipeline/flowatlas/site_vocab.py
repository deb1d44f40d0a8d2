"""The vocabulary of neurons and heads in a site: files small enough that a page fetches the one that it needs.

* Keywords: `words` lists what a reader may type (tokens without case and surrounding spaces), how many neurons each moves, and
  which of the files `postings-<k>` hold them. Postings are sorted by word, so a word's rows lie together. They are of every
  neuron and head where the run has an atlas (`flowatlas vocab`), else of the neurons that the run stored.
* Of an atlas: the tokens of BLOCK neurons in `neuron_tokens/<owner>-<block>`, where L5 or L5E3 owns the neurons; the members
  of each cluster; everything else cut as statistics are.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowatlas.corpus import MEMORY, quoted
from flowatlas.schema_vocab import VOCAB_TABLES
from flowatlas.site_data import RunReader, Vocabulary, bare, encode
from flowatlas.site_stats import write_cut
from flowatlas.vocab_files import FOLDER, clustering_of, marker_of, require

BLOCK = 256  # neurons whose tokens are one file
SMALL = 100_000  # bytes of a file, about

_CUTS: dict[str, tuple[str, ...]] = {
    "neurons": ("layer", "expert"),
    "clusters": (),
    "cluster_tokens": ("cluster",),
    "heads": ("layer",),
    "head_tokens": ("layer",),
    "head_pairs": ("layer",),
}
_COLUMNS = "token_id, sign, rank, score, layer"
_OF_NEURONS = f"SELECT {_COLUMNS}, 'neuron' AS component, expert, neuron AS index, 0 AS direction FROM {{}}"
_OF_HEADS = f"""SELECT {_COLUMNS}, 'head' AS component, -1 AS expert, head AS index, direction FROM {{}}
    WHERE side = 'writes'"""
_POSTINGS = """
SELECT word, token, token_id, component, layer, expert, index, direction, sign, rank, score
FROM found JOIN tokens USING (token_id)
ORDER BY place, token_id, sign DESC, component DESC, layer, expert, index, direction
"""
_NEURONS = "SELECT count(*) FROM (SELECT DISTINCT layer, expert, index FROM found WHERE component = 'neuron')"
_WORDS = """
SELECT word, count(*) AS n,
    count_if(component = 'neuron' AND sign = 1) AS promoted, count_if(component = 'neuron' AND sign = -1) AS suppressed
FROM found JOIN tokens USING (token_id) GROUP BY word ORDER BY any_value(place)
"""
_TYPES = {
    "component": pa.dictionary(pa.int8(), pa.string()), "layer": pa.int16(), "expert": pa.int16(), "index": pa.int32(),
    "direction": pa.int16(), "sign": pa.int8(), "rank": pa.int16(), "token_id": pa.int32(), "score": pa.float32(),
}  # fmt: skip


def word_of(token: str) -> str:
    """What a reader types to find a token: no case, no spaces around it; a space, where it is nothing else, as \\s, a line
    break as \\n."""
    return token.strip().lower() or "".join({" ": "\\s"}.get(c, repr(c)[1:-1]) for c in token)


def write_vocab(reader: RunReader, folder: Path) -> dict[str, Any] | None:
    """Write `folder/vocab`; returns its entry of the run's index. None while the run has neither an atlas nor the tokens of
    its neurons (it is not complete)."""
    atlas, stored = reader.run_dir / FOLDER, reader.run_dir / "model" / "neuron_tokens.parquet"
    if (marker := marker_of(atlas)) is not None:
        require(atlas, marker, f"remove {atlas} and give `flowatlas vocab {reader.run_dir}` again")
        return write_atlas(atlas, reader.vocabulary, folder)
    if not stored.is_file():
        return None
    found = _write_postings(reader.vocabulary, [_OF_NEURONS.format(f"read_parquet({quoted(stored)})")], folder)
    return {"atlas": False, **found}


def write_atlas(atlas: Path, vocabulary: Vocabulary, folder: Path) -> dict[str, Any]:
    """The same of a whole atlas."""
    marker = marker_of(atlas)
    assert marker is not None
    tables = {table: _write_table(atlas, table, folder) for table in _CUTS}
    tables["neuron_tokens"] = {"rows": 0, "bytes": 0, "block": BLOCK}
    for path, piece in _blocks(atlas):
        _count(tables["neuron_tokens"], folder / "vocab" / "neuron_tokens" / path, piece)
    sources = [_OF_NEURONS.format(_parts(atlas, "neuron_tokens")), _OF_HEADS.format(_parts(atlas, "head_tokens"))]
    return {
        "atlas": True,
        "made_from": marker["made_from"],
        **clustering_of(atlas.parent),
        "special": _special(atlas, vocabulary),
        "neurons": marker["neurons"],
        "without_heads": marker["without_heads"],
        "settings": marker["settings"],
        "tables": tables,
        "members": _write_members(atlas, folder),
        **_write_postings(vocabulary, sources, folder),
    }


def _special(atlas: Path, vocabulary: Vocabulary) -> list[int]:
    """Control tokens among those of the neurons, ascending."""
    ids = pa.concat_tables([pq.read_table(part, columns=["token_id"]) for part in _files(atlas, "neuron_tokens")])
    return sorted(vocabulary.special & set(ids["token_id"].unique().to_pylist()))


def files_of(entry: dict[str, Any]) -> Iterator[str]:
    """The files that `write_vocab` wrote for an entry, by their names in the run's folder."""
    yield "vocab/words.parquet"
    yield from (f"vocab/postings-{k}.parquet" for k in range(entry["postings"]["files"]))
    if entry["atlas"]:
        for cut in (*(entry["tables"][table] for table in _CUTS), entry["members"]):
            yield from (file["file"] for file in cut["files"])
        for layer, first, last, n in entry["neurons"]:
            for expert in range(first, last + 1):
                yield from (f"vocab/neuron_tokens/{_block(layer, expert, k)}" for k in range(-(-n // BLOCK)))


def _block(layer: int, expert: int, k: int) -> str:
    return f"L{layer}-{k}.parquet" if expert < 0 else f"L{layer}E{expert}-{k}.parquet"


def _parts(atlas: Path, table: str) -> str:
    return f"read_parquet({quoted(atlas / table / '*.parquet')})"


def _files(atlas: Path, table: str) -> list[Path]:
    return sorted((atlas / table).glob("part-*.parquet"))


def _read(atlas: Path, table: str) -> pa.Table:
    parts = [pq.read_table(path) for path in _files(atlas, table)]
    return pa.concat_tables(parts) if parts else VOCAB_TABLES[table].empty()


def _write_table(atlas: Path, table: str, folder: Path) -> dict[str, Any]:
    return write_cut(_read(atlas, table), folder, f"vocab/{table}", _CUTS[table], SMALL)


def _write_members(atlas: Path, folder: Path) -> dict[str, Any]:
    """The neurons of each cluster, those nearest to its mean first."""
    order = [("cluster", "ascending"), ("cosine", "descending"), ("layer", "ascending"), ("neuron", "ascending")]
    return write_cut(_read(atlas, "neurons").sort_by(order), folder, "vocab/members", ("cluster",), SMALL)


def _blocks(atlas: Path) -> Iterator[tuple[str, pa.Table]]:
    """`neuron_tokens` in blocks of neurons of one MLP or expert, with the names of their files."""
    for part in _files(atlas, "neuron_tokens"):
        table = pq.read_table(part)
        expert, neuron = table["expert"].to_numpy(), table["neuron"].to_numpy()
        if not len(expert):
            continue  # a layer whose neurons cannot be told apart
        starts = np.flatnonzero(np.r_[True, (np.diff(expert) != 0) | (np.diff(neuron // BLOCK) != 0)])
        for start, stop in zip(starts, [*starts[1:], len(expert)], strict=True):
            name = _block(table["layer"][int(start)].as_py(), int(expert[start]), int(neuron[start]) // BLOCK)
            yield name, bare(table.slice(start, stop - start).combine_chunks())


def _count(entry: dict[str, Any], path: Path, table: pa.Table) -> None:
    """Write a file and add it to the rows and bytes of its entry."""
    data = encode(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    entry["rows"] += table.num_rows
    entry["bytes"] += len(data)


def _write_postings(vocabulary: Vocabulary, sources: list[str], folder: Path) -> dict[str, Any]:
    """Write `words` and `postings-<k>`; returns their entries, and how many neurons they are of."""
    place = folder / "vocab"
    with tempfile.TemporaryDirectory() as spill, duckdb.connect(config=_limits(spill)) as connection:
        connection.register("given", _tokens(vocabulary))
        connection.execute("CREATE TEMP TABLE tokens AS SELECT * FROM given")
        connection.execute("CREATE VIEW found AS " + " UNION ALL ".join(sources))
        sorted_ones = Path(spill) / "postings.parquet"
        connection.execute(f"COPY ({_POSTINGS}) TO {quoted(sorted_ones)} (FORMAT parquet)")
        n_neurons = connection.execute(_NEURONS).fetchall()[0][0]
        words = connection.execute(_WORDS).fetchnumpy()
        postings = {"rows": 0, "bytes": 0, "files": 0}
        with pq.ParquetFile(sorted_ones) as file:
            rows = _rows_of_a_file(file)
            for piece in _pieces(file.iter_batches(rows), rows):
                _count(postings, place / f"postings-{postings['files']}.parquet", piece)
                postings["files"] += 1
    listed: dict[str, Any] = {"rows": 0, "bytes": 0}
    _count(listed, place / "words.parquet", _words(words, rows))
    return {"n_neurons": n_neurons, "words": listed, "postings": postings}


def _limits(spill: str) -> dict[str, Any]:
    return {"memory_limit": MEMORY, "temp_directory": spill, "threads": 2}


def _tokens(vocabulary: Vocabulary) -> pa.Table:
    """Every token with its word; `place` is that of the word in their order."""
    ids, texts = vocabulary.all()
    words = [word_of(text) for text in texts]
    places = {word: place for place, word in enumerate(sorted(set(words)))}
    columns = {"token_id": ids, "token": texts, "word": words, "place": [places[word] for word in words]}
    return pa.table(columns)


def _rows_of_a_file(postings: pq.ParquetFile) -> int:
    """How many postings make a file of about SMALL bytes, by the first of them."""
    for batch in postings.iter_batches(20_000):
        sample = _typed(pa.Table.from_batches([batch]))
        return max(1000, SMALL * sample.num_rows // len(encode(sample)))
    return 1


def _pieces(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of exactly so many rows, the last one of what is left."""
    waiting: list[pa.Table] = []
    for batch in batches:
        table = pa.concat_tables([*waiting, pa.Table.from_batches([batch])])
        while table.num_rows >= rows:
            yield _typed(table.slice(0, rows))
            table = table.slice(rows)
        waiting = [table]
    for table in waiting:
        if table.num_rows:
            yield _typed(table)


def _typed(table: pa.Table) -> pa.Table:
    """As narrow as the values are."""
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return pa.table({name: column.cast(_TYPES[name]) if name in _TYPES else column for name, column in columns.items()})


def _words(words: Mapping[str, Any], rows: int) -> pa.Table:
    """The list of words with the first and the last file that hold a word's postings, of so many rows each."""
    end = np.cumsum(words["n"])
    numbers = {"first": (end - words["n"]) // rows, "last": (end - 1) // rows}
    numbers |= {name: words[name] for name in ("promoted", "suppressed")}
    columns = {name: pa.array(values.astype(np.int32)) for name, values in numbers.items()}
    return pa.table({"word": pa.array(words["word"], pa.string()), **columns})
