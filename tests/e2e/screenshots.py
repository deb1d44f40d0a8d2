"""`make screenshots`: docs/explorer.png (the README's) and a picture of each view in docs/screens, from the demo."""

# ruff: noqa: E501 (a view and its sentence read best on one line)

import argparse
import base64
import re
import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from playwright.sync_api import Browser, Page
from stage import ROOT, chromium, flowatlas, serving, write_between

DOCS = ROOT / "docs"
LARGEST = 200_000  # bytes: the pictures are part of the repository
DESK, TALL, PHONE = (1280, 800), (1280, 1280), (390, 844)
SETTLED = (Path(__file__).parent / "measure.js").read_text()


@dataclass(frozen=True)
class View:
    """A picture: its file, the page's hash, what must be on the page (or there is no picture), and its sentence."""

    file: str
    hash: str
    shows: str
    says: str
    size: tuple[int, int] = DESK
    scheme: str = "light"


def views(places: dict[str, Any]) -> list[View]:
    """`places` are of prompt 0: `last` its last position, `edge` and `head` of its strongest attention edge, `neuron`."""
    last, edge, head, neuron, layer = (places[name] for name in ("last", "edge", "head", "neuron", "layer"))
    one = "#/demo/p/0"
    node = f"sel={layer}.post.{last}"
    return [
        View("explorer", f"{one}?{node}", "lens-row", "One prediction: tokens, route graph, and what the selected node reads as."),
        View("screens/catalogue", "#/", "run-card", "The runs of a site."),
        View("screens/list", "#/demo/prompts", "prompt-row", "The prompts of a run: search, filter by group, sort by any column."),
        View("screens/prediction-dark", f"{one}?{node}", "lens-row", "The same prediction in the dark.", scheme="dark"),
        View("screens/phone", one, "graph", "On a phone the panel stands under the graph.", PHONE),
        View("screens/edge-maps", f"{one}?sel={edge}&tab=heads&head={head}", "map-contribution", "An attention edge: its heads by share; of a head the contribution map beside the attention map, and the tokens it promotes and suppresses.", TALL),
        View("screens/mlp-neurons", f"{one}?sel={layer}.mlp.{last}&tab=mlp&neuron={neuron}", "neuron-detail", "An MLP: its top neurons; of a neuron the tokens it promotes and suppresses here, and where else in the prompt it is stored.", TALL),
        View("screens/trace", f"{one}?{node}&tab=trace", "trace-row", "The trace of a position: what each layer reads before and after attention and MLP, with the heads and neurons between.", TALL),
        View("screens/effects", f"{one}?tab=effects&of=difference", "effects-map", "Direct effects of every component on answer minus foil.", TALL),
        View("screens/pair", f"{one}?pair=1", "pair-graph", "A clean and a corrupt prompt on one graph: the difference of their shares."),
        View("screens/expanded", f"{one}?{node}&open={layer}.mid.{last},{layer}.post.{last}", "expanded-head", "Nodes opened in place into their heads and neurons.", TALL),
        View("screens/corpus", "#/demo/corpus", "heat", "The corpus: which heads, MLPs and attention blocks carry most, with intervals, and whether the threshold matters."),
        View("screens/contrast", "#/demo/contrast", "volcano", "A group against the rest: effect and q of every component."),
        View("screens/head", f"#/demo/head/{head}", "strongest-role", "A head over the corpus: importance by group, roles beside chance, the tokens that it moves.", TALL),
        View("screens/map", "#/demo/map", "map-title", "The map of prompts: those that use the same components lie together; a lasso makes a group."),
        View("screens/sql", "#/demo/sql", "sql-output", "The SQL console on the run's own tables."),
        View("screens/trust", "#/demo/trust", "versions", "Trust: what was measured about the measurement.", TALL),
    ]  # fmt: skip


def find_places(run: Path) -> dict[str, Any]:
    """Where prompt 0 has something to show: its strongest attention edge into the last token, its strongest neuron."""

    def ask(table: str, sql: str) -> tuple[Any, ...]:
        rows = duckdb.execute(sql.replace("{}", f"read_parquet('{run}/{table}/*.parquet')")).fetchall()
        return rows[0]

    last = ask("prompts", "SELECT n_tokens - 1 FROM {} WHERE prompt_id = 0")[0]
    into = f"FROM {{}} WHERE prompt_id = 0 AND kind = 'attn' AND head >= 0 AND dst = {last} AND src < dst"
    layer, src, head = ask("edges", f"SELECT layer, src, head {into} ORDER BY share DESC")
    at = f"FROM {{}} WHERE prompt_id = 0 AND layer = {layer} AND pos = {last}"
    neuron = ask("neurons", f"SELECT neuron {at} ORDER BY share DESC")[0]
    names = {"head": f"L{layer}H{head}", "neuron": f"L{layer}N{neuron}", "edge": f"{layer}.attn.{last}-{src}"}
    return {"last": last, "layer": layer, **names}


def take(browser: Browser, url: str, view: View) -> bytes | None:
    """The view as PNG, when it has settled and says nothing went wrong; None when the page does not show it."""
    width, height = view.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=view.scheme)  # pyright: ignore[reportArgumentType]
    context.add_init_script(SETTLED)
    page: Page = context.new_page()
    page.goto(url + view.hash)
    page.wait_for_load_state("networkidle")
    page.evaluate("measure.settled(() => {}, 800)")
    for name in ("message", "banner"):
        said = page.get_by_test_id(name)
        for i in range(said.count()):
            assert not said.nth(i).is_visible(), f"{view.file}: {said.nth(i).inner_text()}"
    if not any(shown.is_visible() for shown in page.get_by_test_id(view.shows).all()):
        context.close()
        return None
    picture = page.screenshot()
    small = in_256_colours(page, picture, width, height)
    context.close()
    return min(picture, small, key=len)


PIXELS = """async (data) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const bytes = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}"""


def in_256_colours(page: Page, picture: bytes, width: int, height: int) -> bytes:
    """The picture with a palette of its most frequent colours, the others drawn in the nearest of them."""
    page.goto("about:blank")
    rgba = base64.b64decode(page.evaluate(PIXELS, base64.b64encode(picture).decode()))
    pixels = np.frombuffer(rgba, np.uint8).reshape(height * width, 4)[:, :3]
    colours, which, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    distance = ((colours[:, None, :].astype(np.int32) - palette[None].astype(np.int32)) ** 2).sum(-1)
    rows = distance.argmin(1).astype(np.uint8)[which.reshape(-1)].reshape(height, width)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", body), (b"IEND", b""))
    framed = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def main() -> int:
    parser = argparse.ArgumentParser(description="Take the pictures of the documents.")
    parser.add_argument("--only", default="", help="a regular expression: only views whose file it matches")
    args = parser.parse_args()
    large: list[str] = []
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flowatlas("run", "model=demo", "dataset=demo", "run.dir=demo", cwd=folder)
        flowatlas("site", "demo", "--out", "site", "--title", "flowatlas demo", cwd=folder)
        shown = views(find_places(folder / "demo"))
        with serving(folder / "site") as url, chromium() as browser:
            for view in shown:
                if re.search(args.only, view.file):
                    path = DOCS / f"{view.file}.png"
                    picture = take(browser, url, view)
                    if picture is None:
                        path.unlink(missing_ok=True)
                        missing.append(view.file)
                        continue
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(picture)
                    print(f"{path.relative_to(ROOT)}  {len(picture) / 1e3:.0f} kB", flush=True)
                    large += [path.name] if len(picture) > LARGEST else []
    there = [view for view in shown if (DOCS / f"{view.file}.png").exists()]
    write_between("screens", "".join(f"\n{view.says}\n\n![{view.says}]({view.file}.png)\n" for view in there) + "\n")
    if large:
        print(f"larger than {LARGEST // 1000} kB: {', '.join(large)}")
    if missing:
        print(f"not on the page, so without a picture: {', '.join(missing)}")
    return int(bool(large or missing))


if __name__ == "__main__":
    sys.exit(main())
