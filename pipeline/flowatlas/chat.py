"""Chat templates: a text becomes one user's turn, and the model is asked to begin its answer.

The tokenizer's own template decides what is put around a text, BOS included. Control tokens spelt out in a text stay text, as
they do without a template. A template that asks for the current date (`strftime_now`) is told a fixed one by a macro of
that name in front of it: otherwise the same run would read other tokens tomorrow.
"""

import datetime
from typing import Any

from flowatlas.errors import ConfigError

_PROBE = "xyzzy"  # a text that no template contains: shows what is put before and after one
_DIRECTIVES = "aAbBcdeHIjmMpSUwxXyYZ"  # of strftime


class ChatError(Exception):
    """A template, a program of its own, that failed on a text."""


class Chat:
    """The template of a tokenizer. Raises ConfigError when it has none, or one that takes no system prompt.

    `before` and `after` are what it puts around a text; `answer_spaced` says whether it has a space before an answer (None
    where it cannot be told).
    """

    def __init__(self, tokenizer: Any, name: str, system_prompt: str | None, date: str) -> None:
        self._tokenizer = tokenizer
        try:
            own = tokenizer.get_chat_template()
        except ValueError as error:
            raise ConfigError(
                f"model.chat_template=true, but the tokenizer of {name} has no chat template: give an instruct model, or "
                "leave model.chat_template away"
            ) from error
        self._template = _dated(datetime.date.fromisoformat(date)) + own
        self._system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
        try:
            whole = self.text(_PROBE)
        except ChatError as error:
            of = " with model.system_prompt" if self._system else ""
            raise ConfigError(f"the chat template of {name} cannot be used{of}: {error}") from error
        if _PROBE not in whole:
            raise ConfigError(f"the chat template of {name} leaves a user's text out: it cannot be used")
        self.before, _, self.after = whole.rpartition(_PROBE)
        if self._system and self._without_system() == whole:
            raise ConfigError(f"the chat template of {name} leaves model.system_prompt out: put it into the texts")
        self.answer_spaced = self._answer_spaced(whole)

    def text(self, text: str) -> str:
        """The whole conversation as the template spells it. Raises ChatError."""
        return self._render([*self._system, *self._user(text)], add_generation_prompt=True, tokenize=False)

    def ids(self, text: str) -> list[int]:
        """The same as tokens; nothing more is added, control tokens in `text` itself are text. Raises ChatError."""
        how: dict[str, Any] = {"tokenize": True, "return_dict": False, "sanitize_control_tokens": True}
        return list(self._render([*self._system, *self._user(text)], add_generation_prompt=True, **how))

    def continued(self, text: str) -> list[int]:
        """Tokens of a conversation that is already spelt out."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def added_bos(self, prepend_bos: str | bool) -> int | None:
        """The BOS to put in front where the template has written none: it is never there twice.

        auto: none, the template decides. True: the tokenizer's. False: none. Raises ConfigError for True where the
        tokenizer has none, and for False where the template writes one.
        """
        bos = self._tokenizer.bos_token_id
        if prepend_bos is True and bos is None:
            raise ConfigError("model.prepend_bos=true, but the tokenizer has no BOS token: use auto or false")
        if prepend_bos is False and bos is not None and self.ids(_PROBE)[:1] == [bos]:
            raise ConfigError("model.prepend_bos=false, but the chat template begins with BOS: use auto")
        return bos if prepend_bos is True else None

    @staticmethod
    def _user(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}]

    def _render(self, messages: list[dict[str, str]], **how: Any) -> Any:
        try:
            return self._tokenizer.apply_chat_template(messages, chat_template=self._template, **how)
        except Exception as error:  # whatever the program in the template raises
            raise ChatError((str(error).strip().splitlines() or [type(error).__name__])[0]) from error

    def _without_system(self) -> str | None:
        try:
            return self._render(self._user(_PROBE), add_generation_prompt=True, tokenize=False)
        except ChatError:  # it must have one
            return None

    def _answer_spaced(self, prompt: str) -> bool | None:
        """From a conversation with an answer: what stands between the opening of the model's turn and the answer?"""
        answer = {"role": "assistant", "content": _PROBE}
        try:
            whole = self._render([*self._system, *self._user(_PROBE), answer], tokenize=False)
        except ChatError:  # a template for one turn only
            return None
        gap, found, _ = whole.removeprefix(prompt).partition(_PROBE)
        return None if not (whole.startswith(prompt) and found) or gap.strip() else gap.endswith(" ")


def _dated(date: datetime.date) -> str:
    """A macro that stands in for transformers' `strftime_now`; a template sees nothing of it but the date."""
    replaced = "".join(f"|replace('%{letter}',{date.strftime('%' + letter)!r})" for letter in _DIRECTIVES)
    return "{%- macro strftime_now(format) -%}{{- format" + replaced + " -}}{%- endmacro -%}"
