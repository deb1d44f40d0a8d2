"""Sentences of the demo, drawn from a small grammar with a seed.

Each phenomenon is a function that draws a *pair*: a clean prompt and a corrupt one that differs in the least that swaps
answer and foil. Every prompt carries keys that name the combination it is made of. A hash of a key, not the seed,
decides whether that combination is held out, so a prompt that is held out can never be met in a training text, whatever
seed drew either of them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from demo import words as w


@dataclass(frozen=True)
class Prompt:
    """One prompt and what continues it; `text + " " + answer + tail` is a sentence of the training text."""

    text: str
    answer: str
    foil: str
    tail: str
    template: str
    language: str
    keys: tuple[tuple[str, bool], ...]  # (combination, is it held out)

    @property
    def sentence(self) -> str:
        """The prompt with its answer and the rest of the sentence."""
        return f"{self.text} {self.answer}{self.tail}"

    @property
    def held_out(self) -> bool:
        """True when nothing the prompt is made of was trained on."""
        return all(out for _, out in self.keys)

    @property
    def trainable(self) -> bool:
        """True when nothing the prompt is made of is held out. A prompt may be neither."""
        return not any(out for _, out in self.keys)


Pair = tuple[Prompt, Prompt]


@cache
def is_held_out(key: str, share: float) -> bool:
    """Whether a combination is held out: the same on every machine and in every run, for about `share` of all keys."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") < share * 2**32


def _keyed(share: float, *keys: str) -> tuple[tuple[str, bool], ...]:
    return tuple((key, is_held_out(key, share)) for key in keys)


def _swapped(first: str, second: str, text: Callable[[str], str], tails: tuple[str, str], **rest) -> Pair:
    """A pair whose answers are `first` and `second`; `text(answer)` writes the prompt that has that answer."""
    return (
        Prompt(text=text(first), answer=first, foil=second, tail=tails[0], **rest),
        Prompt(text=text(second), answer=second, foil=first, tail=tails[1], **rest),
    )


def draw_ioi(rng: Random) -> Pair:
    """Indirect objects: the name that was not repeated. Corrupt: the other of the two is the giver."""
    a, b = rng.sample(w.NAMES, 2)
    number = rng.randrange(len(w.IOI_TEMPLATES))
    place, gift = rng.choice(w.PLACES), rng.choice(w.GIFTS)

    def text(answer: str) -> str:
        giver = a if answer == b else b
        return w.IOI_TEMPLATES[number].format(a=a, b=b, s=giver, place=place, gift=gift)

    key = f"ioi {number} {place} {gift} {min(a, b)} {max(a, b)}"
    # The first of the two named is as often the giver as the second.
    first, second = rng.sample((a, b), 2)
    # The thanks name both once more: copying names is the slowest thing to learn, and this shows more of it.
    tails = (f". {first} thanked {second}.", f". {second} thanked {first}.")
    return _swapped(first, second, text, tails, template=f"ioi-{number}", language="en", keys=_keyed(0.1, key))


def _draw_capital(rng: Random, language: str) -> Pair:
    number = rng.randrange(len(w.CAPITAL_TEMPLATES[language]))
    template = w.CAPITAL_TEMPLATES[language][number]
    prompts = []
    one, other = rng.sample(range(len(w.COUNTRIES)), 2)
    for index, rival in ((one, other), (other, one)):
        name, french, capital = w.COUNTRIES[index]
        # A rule, not a hash: each country is held out of two or three of the six templates and trained with the rest.
        out = (index + 2 * number) % 5 < 2
        prompts.append(
            Prompt(
                text=template.format(country=french if language == "fr" else name),
                answer=capital,
                foil=w.COUNTRIES[rival][2],
                tail=".",
                template=f"capital-{language}-{number}",
                language=language,
                keys=((f"capital {language} {number} {name}", out),),
            )
        )
    return prompts[0], prompts[1]


def draw_capital(rng: Random) -> Pair:
    """Capitals of countries in English. Corrupt: another country in the same template."""
    return _draw_capital(rng, "en")


def draw_capital_fr(rng: Random) -> Pair:
    """The same facts in French."""
    return _draw_capital(rng, "fr")


def draw_agreement(rng: Random) -> Pair:
    """The verb agrees with the subject across a distractor. Corrupt: the subject's other number."""
    number = rng.randrange(len(w.AGREEMENT_TEMPLATES))
    template, verbs = w.AGREEMENT_TEMPLATES[number]
    subject, distractor = rng.choice(w.SUBJECTS), rng.choice(w.DISTRACTORS)
    prep, shown = rng.choice(w.PREPOSITIONS), rng.choice(distractor)

    def text(verb: str) -> str:
        return template.format(subject=subject[verbs.index(verb)], prep=prep, distractor=shown)

    tail = f" {rng.choice(w.STATES)}."
    key = f"agreement {number} {subject[0]} {prep} {distractor[0]}"
    first, second = rng.sample(verbs, 2)
    return _swapped(
        first, second, text, (tail, tail), template=f"agreement-{number}", language="en", keys=_keyed(0.15, key)
    )


def draw_sequence(rng: Random) -> Pair:
    """Days, months and number words in order. Corrupt: the same length from another start."""
    kind = rng.choice(tuple(w.CYCLES))
    cycle = w.CYCLES[kind]
    length = rng.randint(2, 4)
    number = rng.randrange(len(w.SEQUENCE_TEMPLATES))
    # Number words do not start again, so a start leaves room for the answer.
    starts = rng.sample(range(len(cycle) - (length if kind == "number" else 0)), 2)
    prompts = []
    for start, rival in (starts, starts[::-1]):
        items = [cycle[(start + i) % len(cycle)] for i in range(length)]
        prompts.append(
            Prompt(
                text=w.SEQUENCE_TEMPLATES[number].format(items=", ".join(items)),
                answer=cycle[(start + length) % len(cycle)],
                foil=cycle[(rival + length) % len(cycle)],
                tail=".",
                template=f"sequence-{kind}-{number}",
                language="en",
                # The length is not part of the key: a long list begins with the shorter ones.
                keys=_keyed(0.3, f"sequence {kind} {number} {start}"),
            )
        )
    return prompts[0], prompts[1]


def _invented(rng: Random, count: int) -> list[str]:
    """Names that share no onset and no ending, so that each piece of one points to that one alone."""
    return [a + b for a, b in zip(rng.sample(w.ONSETS, count), rng.sample(w.ENDINGS, count), strict=True)]


def draw_induction(rng: Random) -> Pair:
    """The second name of a repeated invented person. Corrupt: another second name."""
    if rng.random() < 0.5:
        return _draw_meeting(rng)
    forename, one, two = _invented(rng, 3)
    number, other = rng.randrange(len(w.INDUCTION_TEMPLATES)), rng.choice(w.NAMES)

    def text(surname: str) -> str:
        return w.INDUCTION_TEMPLATES[number].format(f=forename, l=surname, other=other)

    tail = f" {rng.choice(w.ENDS)}"
    keys = _keyed(0.3, *(f"invented {name}" for name in (forename, one, two)))
    return _swapped(one, two, text, (tail, tail), template=f"induction-{number}", language="en", keys=keys)


def _draw_meeting(rng: Random) -> Pair:
    """Two invented people. Corrupt: their second names are exchanged."""
    f, f2, one, two = _invented(rng, 4)
    number, asked = rng.randrange(len(w.MEETING_TEMPLATES)), rng.choice((f, f2))

    def text(answer: str) -> str:
        exchanged = (answer == one) != (asked == f)
        surnames = (two, one) if exchanged else (one, two)
        return w.MEETING_TEMPLATES[number].format(f=f, l=surnames[0], f2=f2, l2=surnames[1], asked=asked)

    tail = f" {rng.choice(w.ENDS)}"
    keys = _keyed(0.3, *(f"invented {name}" for name in (f, f2, one, two)))
    return _swapped(one, two, text, (tail, tail), template=f"meeting-{number}", language="en", keys=keys)


def draw_sum(rng: Random) -> Pair:
    """Sums of 1 to 10. Corrupt: another first number. Held out: the larger number first, in some templates."""
    number = rng.randrange(len(w.SUM_TEMPLATES))
    b = rng.randint(1, 10)
    one, other = rng.sample(range(1, 11), 2)
    prompts = []
    for a, rival in ((one, other), (other, one)):
        key = f"sum {number} {a} {b}"
        prompts.append(
            Prompt(
                text=w.SUM_TEMPLATES[number].format(a=a, b=b),
                answer=str(a + b),
                foil=str(rival + b),
                tail=".",
                template=f"sum-{number}",
                language="en",
                keys=((key, a > b and is_held_out(key, 0.45)),),
            )
        )
    return prompts[0], prompts[1]


def draw_year(rng: Random) -> Pair:
    """The century of a second year is that of the first. Corrupt: another century."""
    number, event = rng.randrange(len(w.YEAR_TEMPLATES)), rng.choice(w.EVENTS)
    start = rng.randint(1, 79)
    tail = f"{rng.randint(start + 1, 99):02d}."

    def text(century: str) -> str:
        return w.YEAR_TEMPLATES[number].format(event=event, year=f"{century}{start:02d}")

    century, other = (str(number) for number in rng.sample(range(11, 20), 2))
    keys = _keyed(0.15, f"year {number} {event} {start}")
    return _swapped(century, other, text, (tail, tail), template=f"year-{number}", language="en", keys=keys)


def draw_code(rng: Random) -> Pair:
    """The argument that a one-line function has not used yet. Corrupt: the other argument is used first."""
    function, sign = rng.choice(w.FUNCTIONS)
    arguments = rng.sample(w.ARGUMENTS, 2)

    def text(answer: str) -> str:
        used = arguments[1 - arguments.index(answer)]
        return f"def {function}({', '.join(arguments)}): return {used} {sign}"

    keys = _keyed(0.15, f"code {function} {min(arguments)} {max(arguments)}")
    first, second = rng.sample(arguments, 2)
    return _swapped(first, second, text, ("", ""), template=f"code-{function}", language="python", keys=keys)


def draw_colour(rng: Random) -> Pair:
    """The colour of the thing that is asked for. Corrupt: the two colours are exchanged."""
    number = rng.randrange(len(w.COLOUR_PLACES))
    colours, thing = rng.sample(w.COLOURS, 2), rng.choice(w.THINGS)
    places = [f"{thing} {place}" for place in w.COLOUR_PLACES[number]]
    asked, unasked = rng.sample(places, 2)

    def text(answer: str) -> str:
        shown = colours if (answer == colours[0]) == (asked == places[0]) else colours[::-1]
        return f"The {places[0]} is {shown[0]} and the {places[1]} is {shown[1]}. So the {asked} is"

    # The sentence goes on to tell of the other one, which doubles what there is to learn from.
    tails = tuple(f". So the {unasked} is {colour}." for colour in reversed(colours))
    key = f"colour {number} {thing} {min(colours)} {max(colours)}"
    return _swapped(
        colours[0], colours[1], text, (tails[0], tails[1]), template=f"colour-{number}", language="en",
        keys=_keyed(0.15, key),
    )  # fmt: skip


GROUPS: dict[str, Callable[[Random], Pair]] = {
    "ioi": draw_ioi,
    "capital": draw_capital,
    "capital_fr": draw_capital_fr,
    "agreement": draw_agreement,
    "sequence": draw_sequence,
    "induction": draw_induction,
    "sum": draw_sum,
    "year": draw_year,
    "code": draw_code,
    "colour": draw_colour,
}


def draw_pair(group: str, rng: Random) -> Pair:
    """A pair of held-out prompts of a group."""
    while True:
        pair = GROUPS[group](rng)
        if all(prompt.held_out for prompt in pair):
            return pair


def draw_trainable(group: str, rng: Random) -> Prompt:
    """A prompt of the training text."""
    while True:
        prompt = GROUPS[group](rng)[0]
        if prompt.trainable:
            return prompt
