"""What hosts of static files take, and what to leave out of a site that is more.

GitHub Pages: a site of 1 GB at most (docs.github.com, "GitHub Pages limits"), and git refuses files above 100 MB.
Cloudflare Pages, free plan: 20,000 files of 25 MiB at most (developers.cloudflare.com, "Pages limits").
"""

import dataclasses
from collections.abc import Mapping

from flowatlas.errors import RunError

PROMPTS_LEFT = 0.95  # of those that would just fit: prompts differ in size


@dataclasses.dataclass(frozen=True)
class Host:
    """Its limits; None where there is none. Bytes of the whole site, of one file; number of files."""

    name: str
    site_bytes: int | None = None
    file_bytes: int | None = None
    files: int | None = None


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


def refuse_too_large(parts: Mapping[str, Part], n_prompts: int, host: Host) -> None:
    """Raises RunError when a site of these parts is more than the host takes; it says what to leave out."""
    whole = sum(parts.values(), Part())
    takes = f"{host.name} takes at most"
    if host.site_bytes is not None and whole.bytes > host.site_bytes:
        said = f"the site would be {size(whole.bytes)}, and {takes} {size(host.site_bytes)}"
        over = whole.bytes - int(host.site_bytes * ADVISED)
        raise RunError(f"{said}: {_drop(parts, 'bytes', over, n_prompts)}")
    if host.files is not None and whole.files > host.files:
        said = f"the site would have {whole.files:,} files, and {takes} {host.files:,}"
        raise RunError(f"{said}: {_drop(parts, 'files', whole.files - host.files, n_prompts)}")
    name, large = max(parts.items(), key=lambda item: item[1].largest)
    if host.file_bytes is not None and large.largest > host.file_bytes:
        said = f"a file of {name} would be {size(large.largest)}, and {takes} {size(host.file_bytes)} a file"
        raise RunError(f"{said}: {_without([name]) if large.optional else _ELSEWHERE}")


_ELSEWHERE = "or give --host none for a server of your own"


def _drop(parts: Mapping[str, Part], what: str, over: int, n_prompts: int) -> str:
    """In words: the fewest optional tables that bring the site under its limit, the largest first, and else fewer prompts."""
    named: list[str] = []
    for name, part in sorted(parts.items(), key=lambda item: -getattr(item[1], what)):
        if over > 0 and part.optional and getattr(part, what) > 0:
            named.append(name)
            over -= getattr(part, what)
    words = [_without(named)] if named else []
    if over > 0:
        per_prompt = [getattr(parts[name], what) for name in parts if name not in named and name in PER_PROMPT]
        share = max(0.0, 1 - over / max(1, sum(per_prompt))) * PROMPTS_LEFT
        most = int(n_prompts * share)
        words.append(
            f"--select 'prompts=true ORDER BY hash(prompt_id) LIMIT {most}' to keep as many" if most else "fewer runs"
        )
    return ", and ".join(words) + f"; {_ELSEWHERE}"


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
