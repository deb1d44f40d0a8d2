"""What `flowatlas vocab` costs: seconds and peak memory for a random model of GPT-2 small's shape, and its files in a site.

    python tests/measure_vocab.py [--layers 12] [--tokens 50257] [--threads 2]

12 layers of 12 heads and 3,072 neurons (36,864 in all), 50,257 tokens, width 768. Weights are random: the bounds that spare
most pairs of tokens in a trained model spare the fewest here.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WIDTH, HEADS = 768, 12


def save_model(folder: Path, layers: int, tokens: int) -> Path:
    """A random GPT-2 of that many layers and tokens, and a tokenizer of as many words."""
    from tokenizers import Tokenizer, models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    config = GPT2Config(vocab_size=tokens, n_embd=WIDTH, n_layer=layers, n_head=HEADS, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    words = {f"w{i}": i for i in range(tokens)}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, "w0")), bos_token="w0")
    tokenizer.save_pretrained(folder)
    return folder


def measure(model: Path, cache: Path, threads: int) -> dict[str, Any]:
    """Seconds and MB of the atlas and of its files in a site; in this process, so start one for it."""
    import torch

    torch.set_num_threads(threads)
    from flowatlas import vocab_command, vocab_files
    from flowatlas.config import Config, ModelConfig
    from flowatlas.site_data import Vocabulary
    from flowatlas.site_vocab import write_atlas

    config = Config(ModelConfig(str(model), device="cpu"))
    began = time.perf_counter()
    print(*vocab_command.carry_out(config, None), file=sys.stderr)
    wall, peak = time.perf_counter() - began, _peak_mb()
    (folder,) = (path.parent for path in cache.glob(f"*/*/{vocab_files.MARKER}"))
    marker = vocab_files.marker_of(folder)
    assert marker
    began = time.perf_counter()
    tokens = json.loads((model / "config.json").read_text())["vocab_size"]
    texts = Vocabulary({i: f"w{i}" for i in range(tokens)}, set())
    site = write_atlas(folder, texts, cache / "site")
    return {
        "neurons": marker["n_neurons"],
        "seconds": {"wall": round(wall, 1), **marker["seconds"], "site": round(time.perf_counter() - began, 1)},
        "peak_mb": {"atlas": peak, "with site": _peak_mb()},
        "weights_mb": _megabytes(model),
        "atlas_mb": _megabytes(folder),
        "site_mb": _megabytes(cache / "site"),
        "words_kb": site["words"]["bytes"] // 1000,
        "postings": {key: site["postings"][key] for key in ("files", "rows", "bytes")},
    }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _megabytes(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=50_257)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.model:
        print(json.dumps(measure(args.model, args.model.parent / "cache", args.threads), indent=1))
        return
    with tempfile.TemporaryDirectory() as place:
        model = save_model(Path(place) / "model", args.layers, args.tokens)
        environment = {"FLOWATLAS_CACHE": f"{place}/cache", "NUMBA_NUM_THREADS": str(args.threads)}
        command = [sys.executable, __file__, "--model", str(model), "--threads", str(args.threads)]
        subprocess.run(command, check=True, env={**os.environ, **environment})


if __name__ == "__main__":
    main()
