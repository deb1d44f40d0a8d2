"""Numbers as the page writes them (explorer/src/format.js), and statistics as DuckDB reads them from a run's own files."""

import re

import duckdb


def fraction(value: float) -> str:
    """A share or probability with two significant figures."""
    if value == 0:
        return "0"
    if value < 1e-4:
        return f"{value:.0e}".replace("e-0", "e-").replace("-", "\N{MINUS SIGN}")
    if 0.995 < value < 1:
        return ">0.999" if value > 0.9995 else f"{value:.3f}"
    digits = f"{value:.2g}"
    if float(digits) >= 1:
        return "1"
    places = len(digits.split(".")[1]) if "." in digits else 0
    leading = len(re.match(r"0\.(0*)", f"{float(digits):.10f}")[1])  # type: ignore[index]
    return f"{float(digits):.{max(places, leading + 2)}f}"


def signed(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return ("+" if value > 0 else "") + f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def ask_stats(site, sql: str, run: str = "routes", **values) -> list[tuple]:
    """DuckDB's answer on the statistics in a run's folder; {table} in the SQL stands for one of them."""
    query = re.sub(r"\{(\w+)\}", lambda m: f"read_parquet('{site.runs}/{run}/stats/{m[1]}.parquet')", sql)
    with duckdb.connect() as connection:
        return connection.execute(query, values or None).fetchall()
