"""What two online databases know against the packages that are pinned: `make audit`.

    python tests/audit_packages.py PIP_AUDIT     asks with that program, and with npm

Exit code 0: every package was looked up and nothing is known against it. 1: something is. 3: some or all could not be looked
up, so nothing can be said of them; that is never reported as "nothing found".
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
CLEAN, KNOWN, NOT_AUDITED = 0, 1, 3


class Outcome(NamedTuple):
    """How many packages were looked up, what is known against them, and what was not looked up, with the reason."""

    looked_up: int
    known: list[str]
    not_audited: str | None


def of_python(said: str) -> Outcome:
    """Of pip-audit's JSON: it skips what its database does not know or cannot be asked about, and calls the rest clean."""
    packages = _json(said).get("dependencies")
    if not packages:
        return Outcome(0, [], "the database gives no answer")
    known = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    reason = f"{len(skipped)} of {len(packages)} packages are not in the database, or it gives no answer"
    return Outcome(len(packages) - len(skipped), known, reason if skipped else None)


def of_npm(said: str) -> Outcome:
    """Of npm's JSON: a summary, or the error of a registry that does not answer."""
    found = _json(said)
    if "vulnerabilities" not in found or "metadata" not in found:
        return Outcome(0, [], f"the registry gives no answer ({found.get('message') or 'nothing that can be read'})")
    known = [f"{name}: {flaw['severity']}" for name, flaw in found["vulnerabilities"].items()]
    return Outcome(found["metadata"]["dependencies"]["total"], known, None)


def report(outcomes: dict[str, Outcome]) -> int:
    """Say what came of it, and return the exit code."""
    for name, outcome in outcomes.items():
        if outcome.looked_up:
            print(f"{name}: {outcome.looked_up} packages looked up, {len(outcome.known)} known vulnerabilities")
        for line in outcome.known:
            print(f"{name}: {line}")
        if outcome.not_audited:
            print(f"{name}: NOT AUDITED: {outcome.not_audited}. Nothing is known of them, neither good nor bad")
    if any(outcome.known for outcome in outcomes.values()):
        return KNOWN
    return NOT_AUDITED if any(outcome.not_audited for outcome in outcomes.values()) else CLEAN


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode()


def main(pip_audit: str) -> int:
    pinned = ["--disable-pip", "--no-deps", "--requirement", "constraints.txt"]
    asked = [pip_audit, *pinned, "--progress-spinner", "off", "--format", "json"]
    return report(
        {
            "Python": of_python(_said(asked, ROOT)),
            "npm": of_npm(_said(["npm", "audit", "--json"], ROOT / "explorer")),
        }
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
