"""What a run came to: `manifest.json`, written last and atomically. It makes a run complete."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowatlas.errors import RunError, UnfinishedError
from flowatlas.files import hash_file, hash_json, read_json, write_json_atomically
from flowatlas.plan import Plan, now, open_plan, read_plan, read_planned
from flowatlas.schema import MODEL_TABLES, TABLES
from flowatlas.shards import Ledger

__all__ = [
    "Plan",
    "find_manifest",
    "hash_json",
    "is_current",
    "open_plan",
    "read_json",
    "read_manifest",
    "read_plan",
    "summary",
    "write_json_atomically",
    "write_manifest",
]


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """The manifest of a complete run. Raises RunError when the run is missing, incomplete or of another schema."""
    plan = read_plan(run_dir)
    manifest = find_manifest(run_dir, plan)
    if manifest is None:
        done = len(Ledger(run_dir).done(range(len(plan.shards))))
        raise RunError(
            f"{run_dir} is not complete ({done} of {len(plan.shards)} shards are done): "
            f"give its `flowatlas run` command again with run.dir={run_dir}"
        )
    return manifest


def find_manifest(run_dir: Path, plan: Plan) -> dict[str, Any] | None:
    """The manifest, or None while the run is not complete (one of fewer rows than the plan has does not count)."""
    if not (run_dir / "manifest.json").exists():
        return None
    manifest = read_planned(run_dir, "manifest.json", f"{run_dir} has no manifest.json")
    same = manifest["config_hash"] == plan.config_hash
    return manifest if same and manifest["dataset"]["shard_hashes"] == list(plan.shard_hashes) else None


def is_current(run_dir: Path, manifest: dict[str, Any], ledger: Ledger) -> bool:
    """False when a shard was done again since the manifest was written, or a table of the model is not as it was."""
    for shard in manifest.get("shards", []):
        marker = ledger.finished(shard["shard"])
        if marker is None or marker["tables"] != shard["tables"]:
            return False
    return manifest.get("model_tables") == _model_tables(run_dir)


def write_manifest(run_dir: Path, plan: Plan, ledger: Ledger, extra: dict[str, Any]) -> dict[str, Any]:
    """Write `manifest.json`, which makes the run complete, and return it.

    `extra` holds further top-level keys, such as `model` (description of the model). Raises UnfinishedError when a
    shard is missing or the plan has changed meanwhile, with the command to give again.
    """
    current = read_plan(run_dir)
    if (current.config_hash, current.shard_hashes) != (plan.config_hash, plan.shard_hashes):
        raise UnfinishedError(f"the dataset of {run_dir} has grown meanwhile: give the same command again to finish")
    markers = {shard: ledger.finished(shard) for shard in range(len(plan.shards))}
    missing = [shard for shard, marker in markers.items() if marker is None]
    if missing:
        raise UnfinishedError(
            f"{len(missing)} of {len(markers)} shards of {run_dir} are not done (the first is {missing[0]}): "
            "give the same command again to finish"
        )
    manifest = {**extra, **summary(run_dir, plan, [m for m in markers.values() if m]), "finished": now()}
    write_json_atomically(run_dir / "manifest.json", manifest)
    while (there := _model_tables(run_dir)) != manifest["model_tables"]:  # another task finished at the same moment
        manifest["model_tables"] = there
        write_json_atomically(run_dir / "manifest.json", manifest)
    return manifest


def summary(run_dir: Path, plan: Plan, markers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a manifest says about the given finished shards, on top of the plan: counts, tables, seconds, versions."""
    markers = list(markers)
    seconds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    tables = {table: {"rows": 0, "bytes": 0} for table in TABLES if all(table in m["tables"] for m in markers)}
    for marker in markers:
        seconds.update({k: v for k, v in marker.get("seconds", {}).items() if isinstance(v, int | float)})
        reasons.update(marker.get("reject_reasons", {}))
        for table, entry in tables.items():
            entry["rows"] += marker["tables"][table]["rows"]
            entry["bytes"] += marker["tables"][table]["bytes"]
    keys = ("shard", "first_row", "n_rows", "n_prompts", "n_rejects", "rows_hash", "tables")
    return {
        **plan.to_json(),
        "shards": [{key: marker.get(key) for key in keys} for marker in markers],
        "counts": {
            "rows": sum(marker.get("n_rows", 0) for marker in markers),
            "prompts": sum(marker["n_prompts"] for marker in markers),
            "rejects": sum(marker["n_rejects"] for marker in markers),
            "reject_reasons": dict(sorted(reasons.items())),
        },
        "tables": tables,
        "model_tables": _model_tables(run_dir),
        "seconds": {key: round(value, 3) for key, value in sorted(seconds.items())},
        "guard": _largest(marker.get("guard") for marker in markers),
        "versions": _versions(marker.get("versions") for marker in markers),
    }


def _model_tables(run_dir: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for table in MODEL_TABLES:
        path = run_dir / "model" / f"{table}.parquet"
        with contextlib.suppress(FileNotFoundError):
            found[table] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    return found


def _largest(guards: Iterable[Any]) -> dict[str, Any]:
    """The largest of each number over the shards whose first batch was guarded; other values from the first."""
    largest: dict[str, Any] = {}
    for guard in guards:
        for key, value in (guard or {}).items():
            numbers = isinstance(value, int | float) and isinstance(largest.get(key, value), int | float)
            largest[key] = max(largest.get(key, value), value) if numbers else largest.get(key, value)
    return largest


def _versions(all_versions: Iterable[Any]) -> dict[str, str]:
    """Library versions; several, when shards were made by different ones, are joined by a comma."""
    found: dict[str, set[str]] = {}
    for versions in all_versions:
        for library, version in (versions or {}).items():
            found.setdefault(library, set()).add(str(version))
    return {library: ", ".join(sorted(versions)) for library, versions in sorted(found.items())}
