"""Gathers the columns of tables piece by piece and makes Arrow tables of them."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from flowatlas.schema import TABLES, Column

Values = Tensor | np.ndarray | list | int | float | str
Nullable = tuple[Values, Tensor | np.ndarray]  # the values, and where they are valid


class Collector:
    """Pieces of tables in the order in which they come.

    A piece is one value per column and row: a tensor, an array, a list, or one scalar for all rows. A nullable column
    may come as a pair (values, valid). A dictionary column is one name for all rows, or a code per row. At least one
    column of a piece has the full length.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[tuple[int, dict[str, Values | Nullable]]]] = defaultdict(list)

    def add(self, table: str, **columns: Values | Nullable) -> None:
        lengths = {len(v) for v in map(_values, columns.values()) if not isinstance(v, int | float | str)}
        if len(lengths) != 1:
            raise ValueError(f"{table}: columns of different lengths {sorted(lengths)}")
        (length,) = lengths
        if length:
            self._pieces[table].append((length, columns))

    def table(self, name: str) -> pa.Table:
        """The Arrow table of everything added under this name; KeyError when a column was not given."""
        table, pieces = TABLES[name], self._pieces[name]
        if not pieces:
            return table.empty()
        chunks = {
            column.name: pa.concat_arrays([_array(piece[column.name], n, column) for n, piece in pieces])
            for column in table.columns
        }
        return table.from_columns(chunks)


def _values(given: Values | Nullable) -> Values:
    return given[0] if isinstance(given, tuple) else given


def _array(given: Values | Nullable, length: int, column: Column) -> pa.Array:
    values = _values(given)
    if column.categories:
        return _categories(values, length, column)
    if isinstance(values, int | float | str):
        values = np.full(length, values)
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    valid = given[1] if isinstance(given, tuple) else None
    if isinstance(valid, Tensor):
        valid = valid.cpu().numpy()
    if isinstance(values, np.ndarray) and pa.types.is_primitive(column.type):
        values = values.astype(column.type.to_pandas_dtype())  # float64 runs are stored as float32
    return pa.array(values, column.type, mask=None if valid is None else ~valid, from_pandas=False)


def _categories(values: Values, length: int, column: Column) -> pa.Array:
    """A dictionary column, from one name for all rows or from a code (place in `categories`) per row."""
    codes = (
        np.full(length, column.categories.index(values)) if isinstance(values, str) else torch.as_tensor(values).cpu()
    )
    return pa.DictionaryArray.from_arrays(np.asarray(codes, np.int8), pa.array(column.categories))
