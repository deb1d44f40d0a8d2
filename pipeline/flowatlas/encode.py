"""From rows to what the model reads: token ids, targets, and the tokens of answer and foil.

A text's ids are [BOS] + the tokenizer's own other prefix, if any + its plain ids (`tokens.plain_ids`). An EOS or other
suffix that a tokenizer appends is left out. With a chat template they are what it makes of the text (`chat.Chat`);
positions, and so targets, count over all of it: the last token is the one from which the answer is predicted.

How an answer is matched. It continues the text either after a space or directly, and which of the two a corpus means is
seldom written down. An answer that starts with white space is taken as it is. Otherwise both are tried: text + answer is
tokenized as a whole, and what follows the text's own ids is the answer (where the answer would change the text's
ids, because a merge crosses the border, the answer is tokenized alone). The one of fewer tokens wins: it is the one
that the vocabulary has a word for. A tie is decided by how the text ends:

    a letter, a digit, or a mark of , . ; : ! ? ) ] } %        a space, as written language has it
    white space, or an opening bracket                          none
    anything else, such as = / + " -                            as the text itself has it before that mark, except that
                                                                quotation marks are the other way round (they open or close)

The model's own preference is not asked: the two prompts of a contrast pair could then disagree about what they ask.
After a chat template an answer follows as the template itself writes one, with or without a space.
"""

from typing import Any

from flowatlas.chat import Chat, ChatError
from flowatlas.rows import Answer, Prompt, Reject, Row, extra_json
from flowatlas.tokens import TokenText, own_prefix, plain_ids, special_ids

SPACE_AFTER = frozenset(",.;:!?)]}%\u00bb\u201d\u2019")  # the last three: closing quotation marks
NO_SPACE_AFTER = frozenset("([{\u00ab\u201c\u2018")  # the last three: opening ones
QUOTES = frozenset("\"'")


class Encoder:
    """Turns rows into prompts; `targets` ("last", "all" or positions) is for rows that name none of their own.

    `bos_id` as `tokens.resolve_bos` (or `Chat.added_bos`) gives it; `max_tokens` is the model's limit, BOS included;
    `vocab_size` is the model's (None: any id will do), which a tokenizer with added tokens may exceed.
    """

    def __init__(
        self,
        tokenizer: Any,
        bos_id: int | None,
        max_tokens: int,
        targets: str | list[int],
        vocab_size: int | None = None,
        chat: Chat | None = None,
    ) -> None:
        self._tokenizer, self._max_tokens, self._targets = tokenizer, max_tokens, targets
        self._vocab_size, self._chat, self._bos = vocab_size, chat, bos_id
        own = [index for index in own_prefix(tokenizer) if index != tokenizer.bos_token_id]
        self._prefix = [*([] if bos_id is None else [bos_id]), *own]
        self._special = special_ids(tokenizer)
        self._display = TokenText(tokenizer)

    def encode(self, row: Row) -> Prompt | Reject:
        """The prompt of a row, or why there is none. Never raises for what a row contains."""
        if row.problem is not None or row.text is None:
            return Reject(row.prompt_id, row.source_id, *(row.problem or ("no_text", "the text is missing")))
        plain = plain_ids(self._tokenizer, row.text)
        if not plain:
            return self._reject(row, "no_text", "the tokenizer makes no token of the text")
        try:
            ids, shown, base = self._input(row.text, plain)
        except ChatError as error:
            return self._reject(row, "bad_template", f"the chat template fails on it: {error}")
        if len(ids) > self._max_tokens:
            return self._reject(row, "too_long", f"{len(ids)} tokens, the model takes {self._max_tokens}")
        targets = self._positions(row, len(ids))
        if isinstance(targets, Reject):
            return targets
        foil = row.foil or None
        foil_ids = self._continuation(shown, base, foil)
        accepted = self._accepted(row, shown, base)
        answer = accepted[0] if accepted else None
        highest = max((*ids, *(foil_ids or ()), *(index for one in accepted for index in one.token_ids)))
        if self._vocab_size is not None and highest >= self._vocab_size:
            return self._reject(row, "unknown_token", f"token id {highest}, the model knows {self._vocab_size} tokens")
        return Prompt(
            row.prompt_id,
            row.source_id,
            row.text,
            row.group,
            row.pair_id,
            row.role,
            extra_json(row.extra),
            token_ids=tuple(ids),
            tokens=tuple(self._display.texts(ids)),
            targets=targets,
            answer_text=None if answer is None else answer.text,
            foil_text=foil,
            answer_token_ids=None if answer is None else answer.token_ids or None,
            foil_token_ids=foil_ids,
            accepted=accepted if len(accepted) > 1 else (),
        )

    def _accepted(self, row: Row, shown: str, base: list[int]) -> tuple[Answer, ...]:
        """The row's answers in its order; of several, those of which the tokenizer makes nothing are left out."""
        listed = row.answer if isinstance(row.answer, list) else [row.answer]
        matched = [Answer(text, self._continuation(shown, base, text) or ()) for text in listed if text]
        return tuple(one for one in matched if one.token_ids or len(matched) == 1)

    def describe(self) -> dict[str, Any]:
        """What is put around every text, for the manifest: `before` and `after` as text, and the BOS it begins with."""
        chat, bos = self._chat, self._tokenizer.bos_token_id
        first = self._prefix if chat is None else self._input("a", [])[0]
        begins = bos is not None and first[:1] == [bos]
        added = "".join(
            self._display.texts(self._prefix if chat is None else self._added_bos(chat.continued(chat.before)))
        )
        return {
            "bos_id": bos if begins else None,
            "chat_template": chat is not None,
            "before": added if chat is None else added + chat.before,
            "after": "" if chat is None else chat.after,
        }

    def _input(self, text: str, plain: list[int]) -> tuple[list[int], str, list[int]]:
        """The model's ids; and what an answer continues, as text and as ids. Raises ChatError."""
        if self._chat is None:
            return self._prefix + plain, text, plain
        ids = self._chat.ids(text)
        return self._added_bos(ids) + ids, self._chat.text(text), ids

    def _added_bos(self, ids: list[int]) -> list[int]:
        return [] if self._bos is None or ids[:1] == [self._bos] else [self._bos]

    def _positions(self, row: Row, n_tokens: int) -> tuple[int, ...] | Reject:
        """Sorted and unique; negative positions count from the end, all of them over a BOS as well."""
        wanted = self._targets if row.targets is None else row.targets
        if wanted == "all":
            return tuple(range(n_tokens))
        listed = [-1] if isinstance(wanted, str) else wanted
        if not listed:
            return self._reject(row, "bad_targets", "the list of targets is empty")
        for position in listed:
            if not -n_tokens <= position < n_tokens:
                where = f"position {position}" if abs(position) < 10**9 else "a position"
                return self._reject(row, "target_out_of_range", f"{where}, the prompt has {n_tokens} tokens")
        return tuple(sorted({position % n_tokens for position in listed}))

    def _continuation(self, text: str, base: list[int], answer: str | None) -> tuple[int, ...] | None:
        """The answer's tokens after `text` (see the module's docstring); None if there is none."""
        if answer is None:
            return None
        if answer[0].isspace():
            return tuple(self._after(text, base, answer)) or None
        if self._chat is not None:
            has_space = self._chat.answer_spaced
            spaced_out = _wants_space(text) if has_space is None else has_space
            return tuple(self._after(text, base, f" {answer}" if spaced_out else answer)) or None
        spaced, direct = (self._after(text, base, candidate) for candidate in (f" {answer}", answer))
        if not (spaced and direct):
            return tuple(spaced or direct) or None
        if len(spaced) != len(direct):
            return tuple(min(spaced, direct, key=len))
        return tuple(spaced if _wants_space(text) else direct)

    def _after(self, text: str, base: list[int], candidate: str) -> list[int]:
        whole = text + candidate
        joint = plain_ids(self._tokenizer, whole) if self._chat is None else self._chat.continued(whole)
        added = joint[len(base) :]
        if joint[: len(base)] == base and (self._chat is None or self._special.isdisjoint(added)):
            return added
        return plain_ids(self._tokenizer, candidate)

    @staticmethod
    def _reject(row: Row, reason: str, detail: str) -> Reject:
        return Reject(row.prompt_id, row.source_id, reason, detail)


def _wants_space(text: str) -> bool:
    """Would a word after this text be set off by a space? See the module's docstring."""
    last, space_before = text[-1], text[-2:-1].isspace() or len(text) == 1
    if last.isalnum() or last in SPACE_AFTER:
        return True
    if last.isspace() or last in NO_SPACE_AFTER:
        return False
    return space_before != (last in QUOTES)
