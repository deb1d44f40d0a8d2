"""Tokenizers of each kind, trained in a moment on a few sentences."""

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SENTENCES = [
    "The capital of France is Paris. The capital of Italy is Rome.",
    "Paris and Rome are cities, 3 + 4 = 7 and 12 + 1 = 13.",
    "When Mary and John went to the store, John gave a drink to Mary.",
    "La capitale de la France est Paris ; f(x) = x + 1",
] * 4
WORDS = ["Paris", "Rome", "Mary", "John", "is", "the", "store", "7", "13", "to", "="]


@cache
def byte_level(add_bos: bool = False, add_eos: bool = False) -> PreTrainedTokenizerFast:
    """Like GPT-2's: <|endoftext|> is BOS and EOS; added around a text only where asked for."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES + [f" {word}" for word in WORDS] * 9, trainer)
    if add_bos or add_eos:
        end = "<|endoftext|>"
        template = " ".join([*([end] if add_bos else []), "$A", *([end] if add_eos else [])])
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[(end, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@cache
def metaspace(add_bos: bool = True) -> PreTrainedTokenizerFast:
    """Like Llama 2's: the space is part of the word as U+2581, unknown bytes are pieces <0x..>, <s> goes in front."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    base = Tokenizer(models.BPE(unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=pieces, show_progress=False)
    base.train_from_iterator(SENTENCES + [f"a {word}" for word in WORDS] * 9, trainer)
    learned = base.model
    learned.byte_fallback = True
    tokenizer = Tokenizer(learned)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in pieces[:3]])
    if add_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
