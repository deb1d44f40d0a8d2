"""What hosts of static files take, and what to leave out of a site that is more.

GitHub Pages: a site of 1 GB at most (docs.github.com, "GitHub Pages limits"), and git refuses files above 100 MB.
Cloudflare Pages, free plan: 20,000 files of 25 MiB at most (developers.cloudflare.com, "Pages limits").
"""

import dataclasses
from collections.abc import Iterator, Mapping

from flowatlas.errors import RunError

PROMPTS_LEFT = 0.95  # of those that would just fit: prompts differ in size


@dataclasses.dataclass(frozen=True)
class Host:
    """Its limits; None where there is none. Bytes of the whole site, of one file; number of files; `own_bytes`: the user's."""

    name: str
    site_bytes: int | None = None
    file_bytes: int | None = None
    files: int | None = None
    own_bytes: int | None = None


HOSTS = {
    "github-pages": Host("GitHub Pages", site_bytes=1_000_000_000, file_bytes=100_000_000),
    "cloudflare-pages": Host("Cloudflare Pages", file_bytes=25 * 1024**2, files=20_000),
    "none": Host("a server of your own"),
}
HOST_NAMES = tuple(HOSTS)


@dataclasses.dataclass(frozen=True)
class Part:
    """What one table of a run (or `page`, `prompts list`, ...) takes in a site; `largest` is its largest file's bytes.

    `optional`: a selection may leave it out.
    """

    bytes: int = 0
    files: int = 0
    largest: int = 0
    optional: bool = False

    def __add__(self, other: "Part") -> "Part":
        largest, optional = max(self.largest, other.largest), self.optional or other.optional
        return Part(self.bytes + other.bytes, self.files + other.files, largest, optional)


ADVISED = 0.97  # of what a host takes: sizes are foretold, and advice that is followed must do


def too_large(parts: Mapping[str, Part], host: Host) -> str:
    """In words, by which limit a site of these parts is more than the host takes; empty when it is not."""
    return next((said for said, *_ in _excesses(parts, host)), "")


def refuse_too_large(parts: Mapping[str, Part], n_prompts: int, host: Host, n_runs: int = 1) -> None:
    """Raises RunError when a site of these parts is more than the host takes; it says what to leave out."""
    for said, what, over, otherwise in _excesses(parts, host):
        raise RunError(f"{said}: {'; or '.join([*_drop(parts, what, over, n_prompts, n_runs), otherwise])}")


def _excesses(parts: Mapping[str, Part], host: Host) -> Iterator[tuple[str, str, int, str]]:
    """The limits that parts exceed: said in words, of what (a field of Part), by how much, and what else would do."""
    whole = sum(parts.values(), Part())
    elsewhere = "give --host none for a server of your own"
    limits = ((host.own_bytes, "--max-size", "give a larger --max-size"), (host.site_bytes, host.name, elsewhere))
    for limit, who, otherwise in limits:
        if limit is not None and whole.bytes > limit:
            said = f"the site would be {size(whole.bytes)}, and {who} takes at most {size(limit)}"
            yield said, "bytes", whole.bytes - int(limit * ADVISED), otherwise
    if host.files is not None and whole.files > host.files:
        said = f"the site would have {whole.files:,} files, and {host.name} takes at most {host.files:,}"
        yield said, "files", whole.files - host.files, elsewhere
    name, part = max(parts.items(), key=lambda item: item[1].largest)
    if host.file_bytes is not None and part.largest > host.file_bytes:
        most = f"{host.name} takes at most {size(host.file_bytes)} a file"
        yield f"a file of {name} would be {size(part.largest)}, and {most}", "largest", 0, elsewhere


def _drop(parts: Mapping[str, Part], what: str, over: int, n_prompts: int, n_runs: int) -> list[str]:
    """In words: the fewest optional tables that bring the site under its limit, the largest first, and else fewer prompts.

    Nothing where that cannot be done.
    """
    if what == "largest":
        name, part = max(parts.items(), key=lambda item: item[1].largest)
        return [_without([name])] if part.optional else []
    page, most = parts.get("page", Part()), getattr(sum(parts.values(), Part()), what) - over
    named: list[str] = []
    for name, part in sorted(parts.items(), key=lambda item: -getattr(item[1], what)):
        if over > 0 and part.optional and getattr(part, what) > 0:
            named.append(name)
            over -= getattr(part, what)
    words = [_without(named)] if named else []
    if over > 0:
        per_prompt = [getattr(parts[name], what) for name in parts if name not in named and name in PER_PROMPT]
        share = max(0.0, 1 - over / max(1, sum(per_prompt))) * PROMPTS_LEFT
        n_kept = int(n_prompts * share) // n_runs  # the condition holds for each run
        if not n_kept:
            return ["give fewer runs"] if n_runs > 1 and getattr(page, what) < most else []
        each = " of each run" if n_runs > 1 else ""
        words.append(f"--select 'prompts=true ORDER BY hash(prompt_id) LIMIT {n_kept}' to keep as many{each}")
    return [", and ".join(words)]


PER_PROMPT = ("prompts list", "prompts", "targets", "nodes", "edges", "lens", "tokens")


def _without(names: list[str]) -> str:
    return f"--select tables={','.join(f'-{name}' for name in names)} leaves out {' and '.join(names)}"


def size(n: float) -> str:
    """Bytes for people."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while n >= 999.5 and len(units) > 1:
        n, units = n / 1000, units[1:]
    return f"{n:.0f} {units[0]}" if n >= 99.5 or units[0] == "B" else f"{n:.2g} {units[0]}"


def lines(parts: Mapping[str, Part]) -> list[str]:
    """A table of the parts, the largest first, for the terminal."""
    whole = {"all": sum(parts.values(), Part())}
    rows = sorted(parts.items(), key=lambda item: -item[1].bytes)
    wide = max(len(name) for name in parts)
    return [
        f"{name:<{wide}}  {size(part.bytes):>8}  {part.files:>8,} files  largest {size(part.largest):>8}"
        for name, part in (*rows, *whole.items())
        if part.files
    ]
