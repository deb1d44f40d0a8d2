"""The progress bar of a run: prompts and tokens a second, what the analysis costs beside the forward pass, time left."""

import sys

from tqdm import tqdm

from flowatlas.clock import Clock


class Progress:
    """A bar over `total` prompts; `wanted` is `run.progress`: true, false, or auto (only where somebody looks)."""

    def __init__(self, total: int, wanted: bool | str):
        hide = None if wanted == "auto" else not wanted
        self._bar = tqdm(
            total=total, unit=" prompts", desc="flowatlas run", disable=hide, file=sys.stderr, smoothing=0.1
        )
        self._tokens = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, n_prompts: int, n_tokens: int = 0, clock: Clock | None = None) -> None:
        """Prompts that are through; the clock has what the stages of the current shard took."""
        self._tokens += n_tokens
        elapsed = self._bar.format_dict["elapsed"] or 0
        words = [f"{self._tokens / elapsed:,.0f} tokens/s"] if elapsed and self._tokens else []
        if clock and clock.get("forward"):
            stages = sum(seconds for stage, seconds in clock.items() if stage != "load")
            words.append(f"{stages / clock['forward']:.1f}x the forward pass")
        self._bar.set_postfix_str(", ".join(words), refresh=False)
        self._bar.update(n_prompts)

    def say(self, line: str) -> None:
        """A line above the bar."""
        tqdm.write(line, file=sys.stderr)
