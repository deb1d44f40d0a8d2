"""The residual stream as a list of nodes by depth: the only place that knows how blocks line up in it.

Sequential blocks leave two nodes each, after attention (mid) and after the MLP (post); a parallel block leaves one, post.
Depth 0 is the embedding, (-1, post).
"""

from dataclasses import dataclass

from flowatlas.schema import POINTS

_MID, _POST = POINTS.index("mid"), POINTS.index("post")


@dataclass(frozen=True)
class Stream:
    """layer, point [depth]: whose block wrote into the node last, and which of its nodes it is (code in POINTS)."""

    layer: tuple[int, ...]
    point: tuple[int, ...]
    parallel: bool

    @classmethod
    def of(cls, n_layers: int, parallel: bool) -> "Stream":
        points = (_POST,) if parallel else (_MID, _POST)
        nodes = [(-1, _POST), *((l, point) for l in range(n_layers) for point in points)]
        layer, point = zip(*nodes, strict=True)
        return cls(layer, point, parallel)

    def __len__(self) -> int:
        return len(self.layer)

    def pre(self, l: int) -> int:
        """Depth of resid_pre of block l: the node that its attention reads."""
        return l * (1 if self.parallel else 2)

    def attended(self, l: int) -> int:
        """Depth of the node that attention is added into: mid, in a parallel block post."""
        return self.pre(l) + 1

    def post(self, l: int) -> int:
        """Depth of resid_post of block l."""
        return self.pre(l + 1)

    def place(self, depth: int) -> str:
        """A node in words."""
        return f"layer {self.layer[depth]} {POINTS[self.point[depth]]}"
