"""How many prompts go into one file of a site: as many as a page can fetch at once, measured on a few buckets of the run."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from flowatlas.site_data import EAGER, RunReader, encode

EAGER_BYTES = 400_000
MAPS_BYTES = 200_000  # fetched only when a head is looked at, in buckets of their own
SAMPLED_BUCKETS = 8


def bucket_size(reader: RunReader) -> int:
    """Prompts per bucket: the largest n for which a full bucket's eager tables take EAGER_BYTES at most, on average.

    Measured on buckets spread over the run, to the prompt for small n and within 2% for large ones. At least 1; at most
    the whole dataset.
    """

    def tables(k: int, n: int) -> list[pa.Table]:
        bucket = reader.bucket(k, n)
        return [bucket[table] for table in EAGER]

    return _largest(reader, EAGER, EAGER_BYTES, tables)


def maps_bucket_size(reader: RunReader) -> int:
    """Prompts per bucket of maps: the largest n for which a full bucket takes MAPS_BYTES at most, on average; as above."""
    if not reader.has("maps") or not reader.manifest["tables"].get("maps", {}).get("rows"):
        return 1
    return _largest(reader, ("maps",), MAPS_BYTES, lambda k, n: [reader.maps(k, n)])


_Tables = Callable[[int, int], list[pa.Table]]  # those of bucket k of n prompts


def _largest(reader: RunReader, names: tuple[str, ...], limit: int, tables: _Tables) -> int:
    stored, prompts = reader.manifest["tables"], max(1, reader.manifest["counts"]["prompts"])
    per_prompt = max(1, sum(stored[name]["bytes"] for name in names if name in stored) // prompts)
    low, high = 1, max(1, reader.plan.n_rows)
    guess = limit // per_prompt
    while high - low > low // 50:
        guess = min(max(guess, low + 1), high)
        size = _mean_size(reader, guess, tables)
        if size <= limit:
            low = guess
        else:
            high = guess - 1
        guess = int(guess * limit / max(size, 1))
    return low


def _mean_size(reader: RunReader, n: int, tables: _Tables) -> float:
    """Mean bytes of the tables over a sample of full buckets of n prompts, those without any row left out."""
    sizes = [sum(len(encode(table)) for table in tables(k, n) if table.num_rows) for k in sample_of(reader, n)]
    return sum(sizes) / max(1, sum(size > 0 for size in sizes))


def sample_of(reader: RunReader, n: int) -> list[int]:
    """A few buckets of n prompts spread over the run, full ones where there are any."""
    buckets = reader.buckets(n)
    full = [k for k in buckets if (k + 1) * n <= reader.plan.n_rows] or buckets
    return [full[i] for i in sorted({round(i) for i in np.linspace(0, len(full) - 1, SAMPLED_BUCKETS)})]
