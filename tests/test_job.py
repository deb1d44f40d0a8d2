"""What is decided before a run: batches, and that rotary frequencies that switch with the length keep prompts apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Phi3Config

from flowatlas import checkpoints
from flowatlas.config import ModelConfig
from flowatlas.job import make_batches
from flowatlas.prompts import Prompt
from tiny import save_model


def prompts_of(lengths: list[int]) -> list[Prompt]:
    nothing = (None,) * 4
    more = {"answer_text": None, "foil_text": None, "answer_token_ids": None, "foil_token_ids": None}
    return [
        Prompt(n, str(n), "", *nothing, token_ids=(1,) * length, tokens=("a",) * length, targets=(0,), **more)
        for n, length in enumerate(lengths)
    ]


@given(
    lengths=st.lists(st.integers(1, 40), max_size=30),
    batch_tokens=st.integers(1, 100),
    switch=st.none() | st.integers(1, 40),
)
def test_every_prompt_is_in_one_batch_of_bounded_size_on_one_side_of_the_switch(lengths, batch_tokens, switch):
    batches = make_batches(prompts_of(lengths), batch_tokens, switch)
    assert sorted(prompt.prompt_id for batch in batches for prompt in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [len(prompt.token_ids) for prompt in batch]
        assert len(batch) == 1 or max(sizes) * len(batch) <= batch_tokens
        assert switch is None or len({size > switch for size in sizes}) == 1


@pytest.fixture
def longrope(tmp_path):
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = Phi3Config(
        vocab_size=500, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64, original_max_position_embeddings=16, pad_token_id=0,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **factors},
    )  # fmt: skip
    config.bos_token_id = config.eos_token_id = 0
    return save_model(tmp_path / "longrope", config)


def test_why_they_are_kept_apart(longrope):
    """A long neighbour changes a short prompt's logits in Hugging Face's own model; one of its side does not."""
    model = ModelConfig(str(longrope))
    located = checkpoints.locate(model)
    assert (located.rope_switch, located.max_tokens) == (16, 64)
    hf, _ = checkpoints.read(located, model)

    def logits(width: int) -> torch.Tensor:
        """Of the same eight tokens, padded to `width`."""
        ids = torch.zeros(1, width, dtype=torch.long)
        ids[0, :8] = torch.arange(1, 9)
        with torch.inference_mode():
            return hf(ids, attention_mask=(ids > 0).long()).logits[0, :8]

    assert torch.allclose(logits(8), logits(16), atol=1e-5)
    assert (logits(8) - logits(17)).abs().max() > 1e-3
    assert torch.allclose(logits(8), logits(12), atol=1e-5)  # and nothing of it stays behind
